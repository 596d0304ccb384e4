"""Calls made with patience: repeated as their manner allows, told to the watcher. Touches the network by `transport`.

What a call means, and what its answer does, is not known here.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

from hooksync.core.errors import AnswerLost, ServiceError
from hooksync.core.record import Record, field, replace
from hooksync.core.redaction import Redactor
from hooksync.service.http import Answer, Request, Transport
from hooksync.service.http_errors import ConnectionRefused, NoName, NoRoute, TooLarge
from hooksync.service.retry import BUSY_STATUSES, TOO_MANY, RetryPolicy, read_retry_after


class CallRecord(Record, frozen=True):
    """One call that was made, for those who watch."""

    tenancy: str
    request: str  # method and path
    result: str  # the status, or what happened instead of an answer
    seconds: float


class CallContext(Record, frozen=True):
    """What every client of a run shares: the connections, the patience, the watcher and the way to be stopped."""

    transport: Transport
    redactor: Redactor
    stop: threading.Event  # set: no more repeats
    watch: Callable[[CallRecord], None]
    policy: RetryPolicy = field(default_factory=RetryPolicy)


class RetryRule(Record, frozen=True):
    """When a kind of call is made again."""

    statuses: frozenset[int]  # answers that ask for it
    repeats_lost: bool  # whether it may be made twice
    is_change: bool  # one of many; a look or a log-in is one that all depends on


LOOK = RetryRule(BUSY_STATUSES, repeats_lost=True, is_change=False)
REMOVAL = RetryRule(BUSY_STATUSES, repeats_lost=True, is_change=True)
CREATION = RetryRule(frozenset({TOO_MANY}), repeats_lost=False, is_change=True)  # only a 429 says that nothing was made


class Caller:
    """Makes the calls to one tenancy's service. Safe among threads."""

    def __init__(self, tenancy: str, line: CallContext) -> None:
        self.tenancy = tenancy
        self.line = line
        self._was_reached = False  # it has answered: that nobody listens now will pass
        self._is_out = False  # a change was not answered in all its tries: others try once, until one is

    def send(self, request: Request, manner: RetryRule) -> Answer:
        """Make a call until it is answered or patience ends; gives the last answer, a busy one too.

        Raises AnswerLost when it may have been carried out, Unreachable when it never was.
        """
        start = time.monotonic()
        follows_lost = False
        for repeat in count():
            last = self._try(request)
            if not self._may_repeat(last, manner):
                self._is_out &= not (isinstance(last, Answer) and last.status not in BUSY_STATUSES)
                break
            wait = self._wait(last, repeat, time.monotonic() - start)
            if manner.is_change and (self._is_out or wait is None):
                self._is_out = True
                wait = None
            follows_lost |= _may_be_done(last)
            if wait is None or self.line.stop.wait(wait):
                break
        if isinstance(last, ServiceError):
            raise last
        return replace(last, repeats=repeat, follows_lost=follows_lost)

    def _may_repeat(self, last: Answer | ServiceError, manner: RetryRule) -> bool:
        match last:
            case Answer():
                return last.status in manner.statuses
            case NoName() | NoRoute() | ConnectionRefused():  # nothing was sent
                return self._was_reached
            case TooLarge():
                return False
            case _:
                return manner.repeats_lost and isinstance(last, AnswerLost)

    def _wait(self, last: Answer | ServiceError, repeat: int, elapsed: float) -> float | None:
        asked = read_retry_after(last.retry_after, datetime.now(UTC)) if isinstance(last, Answer) else None
        return self.line.policy.wait(repeat, elapsed, asked, random.random())  # noqa: S311, spreads callers out

    def _try(self, request: Request) -> Answer | ServiceError:
        """Make one try and tell the watcher."""
        start = time.monotonic()
        result = "failed"
        try:
            answer = self.line.transport.send(request)
            self._was_reached = True
            result = str(answer.status)
        except ServiceError as error:
            result = error.summary.removeprefix(f"{request}: ")
            return error
        finally:
            self.line.watch(CallRecord(self.tenancy, str(request), result, time.monotonic() - start))
        return answer


def _may_be_done(last: Answer | ServiceError) -> bool:
    return last.status != TOO_MANY if isinstance(last, Answer) else isinstance(last, AnswerLost)
