"""When a call is made again, and after how long. Pure: the clock and the dice are arguments."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from hooksync.core.record import Record

TOO_MANY = 429
BUSY_STATUSES = frozenset({TOO_MANY, 502, 503, 504})  # the service, or a gateway before it, may answer better soon

_LONGEST_NUMBER = 9  # digits; more are longer than anyone waits


class RetryPolicy(Record, frozen=True):
    """How patient a run is; all times in seconds."""

    repeats: int = 4  # after the first try
    window: float = 120.0  # from the first try to the last
    first_wait: float = 0.5  # doubled each time
    longest_wait: float = 60.0  # however long a Retry-After asks for

    def wait(self, repeat: int, elapsed: float, retry_after: float | None, dice: float) -> float | None:
        """Say how long to wait before a repeat, or None to give up.

        `repeat`: 0 for the first one; `dice`: 0 to 1, spreads callers out; `retry_after`: what the service asked for.
        """
        if repeat >= self.repeats:
            return None
        wait = self.first_wait * 2**repeat * (0.5 + dice / 2)
        if retry_after is not None:
            wait = max(wait, retry_after)  # never sooner than it asks, nor at once because it asks for nothing
        wait = min(wait, self.longest_wait)
        return wait if elapsed + wait <= self.window else None


def read_retry_after(header: str | None, now: datetime) -> float | None:
    """Read a Retry-After header in either form, seconds or an HTTP date; None where there is none to go by."""
    if header is None:
        return None
    header = header.strip()
    if header.isdecimal() and header.isascii():
        return float(header) if len(header) <= _LONGEST_NUMBER else float("inf")
    try:
        moment = parsedate_to_datetime(header)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, TypeError, LookupError, OverflowError):  # the parser lets through what odd dates break in it
        return None
