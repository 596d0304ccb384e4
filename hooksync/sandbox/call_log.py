"""What the sandbox was asked, in the order in which it was asked. It holds no token, no secret and no query."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace

from hooksync.sandbox.messages import Request
from hooksync.sandbox.rules import call_name


@dataclass(frozen=True, slots=True)
class Call:
    """One request that came in."""

    name: str  # in `rules.CALL_NAMES`, or "unknown"
    method: str
    path: str  # without its query
    connection: int  # 1 for the first connection, and so on
    arrived: float  # seconds on the monotonic clock
    status: int | None = None  # of the answer; None: not answered yet, or cut instead


class CallLog:
    """Collects the calls, and counts how many were under way at once. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._in_flight = 0
        self.max_in_flight = 0

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls so far."""
        with self._lock:
            return tuple(self._calls)

    def arrive(self, request: Request, connection: int) -> int:
        """Note a request as it comes in; gives the place by which it is settled."""
        call = Call(call_name(request), request.method, request.path, connection, time.monotonic())
        with self._lock:
            self._calls.append(call)
            self._in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self._in_flight)
            return len(self._calls) - 1

    def settle(self, place: int, status: int | None) -> None:
        """Note how a request ends, just before its answer goes out, so that whoever has the answer finds it here."""
        with self._lock:
            self._calls[place] = replace(self._calls[place], status=status)
            self._in_flight -= 1
