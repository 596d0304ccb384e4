"""The clock, waiting, time limits and growing pauses.

Code that takes a `Clock` can be tested without real waiting: a test passes a clock of its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

_FIRST_PAUSE = 0.5  # seconds; each pause is twice the one before, and half of it is random
_LONGEST_PAUSE = 5.0  # seconds
MOST_ASKED = 60.0  # seconds
_CHECK_INTERVAL = 0.05  # seconds between two checks whether `stop` is set


class Clock:
    """The clock of this machine; a test replaces it by a subclass."""

    def now(self) -> float:
        """Return the time of day, in seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never decrease, counted from an arbitrary start."""
        return time.monotonic()

    def jitter(self) -> float:
        """Return a random number from 0 to 1, so that several runs do not wait equally long."""
        return os.urandom(1)[0] / 255

    def wait(self, stop: Event, seconds: float) -> bool:
        """Wait, and return whether `stop` is set. A set `stop` ends the wait early.

        It checks `stop` at short intervals and never calls `stop.wait`. A signal handler sets
        `stop` in the main thread. If that thread were in `stop.wait`, it could hold the lock that
        `set` needs: a deadlock.
        """
        end = time.monotonic() + seconds
        while not stop.is_set() and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _CHECK_INTERVAL))
        return stop.is_set()


SYSTEM_CLOCK = Clock()


def rfc3339(seconds: float) -> str:
    """Format a time as UTC, to the second: `2026-03-01T12:00:00Z`. `seconds`: since 1970."""
    # four times as fast as a datetime, and a plan may format ten thousand times
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def run_with_timeout(seconds: float, do: Callable[[], T], stop: Event | None = None) -> T:
    """Run a call that has no timeout in a daemon thread, and abandon it after `seconds` or a stop.

    Raises TimeoutError if it was abandoned. An exception of `do` is raised unchanged.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(do())
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    end = time.monotonic() + seconds
    while thread.is_alive():
        if stop and stop.is_set():
            raise TimeoutError("interrupted")
        if time.monotonic() > end:
            raise TimeoutError(f"no answer within {seconds:g} seconds")
        thread.join(_CHECK_INTERVAL)
    if errors:
        raise errors[0]
    return results[0]


class Backoff:
    """Growing pauses between the tries of something, for at most `seconds` in all."""

    def __init__(self, seconds: float, clock: Clock, stop: Event) -> None:
        self._end = clock.monotonic() + seconds
        self._clock = clock
        self._stop = stop
        self._pause = _FIRST_PAUSE

    def wait(self, asked: float = 0.0) -> bool:
        """Pause, and return True; False if the time was over already, or `stop` was set.

        `asked`: the shortest pause that a peer asks for, in seconds; it counts up to a minute. If
        the time is over before, it does not pause.
        """
        left = self._end - self._clock.monotonic()
        asked = min(asked, MOST_ASKED)
        pause = self._pause * (0.5 + self._clock.jitter() / 2)
        if left <= 0 or asked > left:
            return False
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return not self._clock.wait(self._stop, min(max(pause, asked), left))
