"""A clock that jumps: each wait ends at once, and the clock is ahead by the time of the wait."""

from __future__ import annotations

import threading

BEGINNING = 1_700_000_000.0  # seconds since 1970


class JumpingClock:
    """A clock for a run and for the service that it runs against. Thread-safe."""

    def __init__(self, beginning: float = BEGINNING, jitter: float = 1.0) -> None:
        self._lock = threading.Lock()
        self._now = beginning
        self._jitter = jitter

    def jitter(self) -> float:
        return self._jitter

    def now(self) -> float:
        """Return the time of day, in seconds since 1970."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds that never decrease."""
        return self._now

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Advance the clock, unless there was an interrupt; return whether there was one."""
        if not stop.is_set():
            self.advance(seconds)
        return stop.is_set()

    def advance(self, seconds: float) -> None:
        """Advance the clock by so many seconds."""
        with self._lock:
            self._now += seconds


class SteadyClock(JumpingClock):
    """A clock on which each look takes a millisecond, however busy the machine is."""

    def monotonic(self) -> float:
        """Return seconds that increase."""
        self.advance(0.001)
        return super().monotonic()
