"""The time: of day, monotonic, and waiting. Whoever waits or looks at a clock does it by one of these.

So that a test can let hours pass in no time, and a simulation can replay them.
"""

from __future__ import annotations

import time
from threading import Event
from typing import Protocol


class Clock(Protocol):
    """What can be known of the time."""

    def now(self) -> float:
        """Return the time of day, in seconds since 1970."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow, from any beginning."""

    def wait(self, stop: Event, seconds: float) -> bool:
        """Wait, and return whether `stop` was set before the time was over."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Return the time of day, in seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that only ever grow, from any beginning."""
        return time.monotonic()

    def wait(self, stop: Event, seconds: float) -> bool:
        """Wait, and return whether `stop` was set before the time was over."""
        return stop.wait(seconds)


SYSTEM_CLOCK = SystemClock()
