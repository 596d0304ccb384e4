"""A clock that jumps: whoever waits by it waits for no time at all, and finds that it has passed."""

from __future__ import annotations

import threading

BEGINNING = 1_700_000_000.0  # seconds since 1970


class JumpingClock:
    """A clock for a run and for the service that it runs against. Thread-safe."""

    def __init__(self, beginning: float = BEGINNING) -> None:
        self._lock = threading.Lock()
        self._now = beginning

    def now(self) -> float:
        """Return the time of day, in seconds since 1970."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""
        return self._now

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Let the time pass at once, but not after an interrupt; returns whether there was one."""
        if not stop.is_set():
            self.advance(seconds)
        return stop.is_set()

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        with self._lock:
            self._now += seconds
