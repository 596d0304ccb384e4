"""Calls that are repeated: which kind of call is made again, when, and how often. Touches the network by `transport`.

What a call means, and what its answer does, is not known here.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Literal

from hooksync.core.clock import SYSTEM_CLOCK, Clock
from hooksync.core.errors import AnswerLost, ServiceError
from hooksync.core.record import Record, field, replace
from hooksync.core.redaction import Redactor
from hooksync.core.urls import shown_server
from hooksync.service.http import Answer, Network, Request

PrivateReceivers = Literal["challenged", "quoted", "refused"]  # challenged: but what they answer is not quoted

TOO_MANY = 429
BUSY_STATUSES = frozenset({TOO_MANY, 502, 503, 504})  # the service, or a gateway before it, may answer better soon

_NEVER_SENT = (
    "no-name",
    "slow-name",
    "no-route",
    "forbidden",
    "refused",
)  # kinds that pass where there was a way before
_LONGEST_NUMBER = 9  # digits; a longer Retry-After is longer than any wait


class RetryPolicy(Record, frozen=True):
    """How often calls are repeated, and for how long; all times in seconds."""

    repeats: int = 4  # after the first try
    window: float = 120.0  # from the first try to the last
    first_wait: float = 0.5  # doubled each time
    longest_wait: float = 60.0  # however long a Retry-After asks for
    dice: Callable[[], float] = random.random  # 0 to 1, spreads callers out

    def wait(self, repeat: int, elapsed: float, retry_after: float | None) -> float | None:
        """Return how long to wait before a repeat, or None to give up.

        `repeat`: 0 for the first one; `retry_after`: what the service asked for.
        """
        if repeat >= self.repeats:
            return None
        wait = self.first_wait * 2**repeat * (0.5 + self.dice() / 2)
        if retry_after is not None:
            wait = max(wait, retry_after)  # never sooner than it asks, nor at once because it asks for nothing
        wait = min(wait, self.longest_wait)
        return wait if elapsed + wait <= self.window else None


class RetryRule(Record, frozen=True):
    """When a kind of call is made again."""

    statuses: frozenset[int]  # answers after which it is repeated
    repeats_lost: bool  # whether it may be repeated when its answer was lost, and so be carried out twice
    is_change: bool  # one of many calls; False: a read or a log-in, on which all others depend


READ = RetryRule(BUSY_STATUSES, repeats_lost=True, is_change=False)  # and log-in
REMOVAL = RetryRule(BUSY_STATUSES, repeats_lost=True, is_change=True)
CREATION = RetryRule(frozenset({TOO_MANY}), repeats_lost=False, is_change=True)  # after 429 alone, nothing was created


class CallRecord(Record, frozen=True):
    """One call that was made, for progress and logs."""

    peer: str  # who was called: "archive-prod (eu.preservica.com)", or "receiver"
    request: str  # method and path
    result: str  # the status, or what happened instead of an answer
    seconds: float


class CallContext(Record, frozen=True):
    """What all calls of a run share."""

    transport: Network
    redactor: Redactor
    stop: threading.Event  # set: no more repeats
    watch: Callable[[CallRecord], None]  # is told of every call
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    clock: Clock = SYSTEM_CLOCK
    private_receivers: PrivateReceivers = "challenged"

    def send(self, request: Request, peer: str, shown: str, told: Callable[[ServiceError], str]) -> Answer:
        """Make one call and record it. Raises ServiceError.

        `peer`: who is called; `shown`: the request as it is recorded; `told`: what is recorded instead of an answer.
        """
        start = self.clock.monotonic()
        result = "failed"
        try:
            answer = self.transport.send(request)
            result = str(answer.status)
        except ServiceError as error:
            result = told(error)
            raise
        finally:
            self.watch(CallRecord(peer, shown, result, self.clock.monotonic() - start))
        return answer


class Caller:
    """Makes the calls to one tenancy's service. Thread-safe."""

    def __init__(self, tenancy: str, context: CallContext) -> None:
        self.tenancy = tenancy
        self.context = context
        self._was_reached = False  # it has answered before: a refused connection is likely to be temporary
        self._is_out = False  # a change failed in all its tries: the next ones are tried once, until one is answered

    def send(self, request: Request, rule: RetryRule) -> Answer:
        """Make a call until it is answered or may not be repeated; returns the last answer, even a busy one.

        Raises AnswerLost when it may have been carried out, Unreachable when it never was.
        """
        clock = self.context.clock
        start = clock.monotonic()
        follows_lost = False
        for repeat in count():
            last = self._try(request)
            if not self._may_repeat(last, rule):
                self._is_out &= not (isinstance(last, Answer) and last.status not in BUSY_STATUSES)
                break
            now = datetime.fromtimestamp(clock.now(), UTC)
            asked = read_retry_after(last.retry_after, now) if isinstance(last, Answer) else None
            wait = self.context.policy.wait(repeat, clock.monotonic() - start, asked)
            if rule.is_change and (self._is_out or wait is None):
                self._is_out = True
                wait = None
            may_be_done = last.status != TOO_MANY if isinstance(last, Answer) else isinstance(last, AnswerLost)
            follows_lost |= may_be_done
            if wait is None or clock.wait(self.context.stop, wait):
                break
        if isinstance(last, ServiceError):
            raise last
        return replace(last, repeats=repeat, follows_lost=follows_lost)

    def _may_repeat(self, last: Answer | ServiceError, rule: RetryRule) -> bool:
        if isinstance(last, Answer):
            return last.status in rule.statuses
        if last.kind in _NEVER_SENT:
            return self._was_reached
        return rule.repeats_lost and isinstance(last, AnswerLost) and last.kind != "too-large"  # it would be so again

    def _try(self, request: Request) -> Answer | ServiceError:
        peer = f"{self.tenancy} ({shown_server(request.base_url)})"
        try:
            answer = self.context.send(request, peer, str(request), lambda error: error.reason)
        except ServiceError as error:
            return error
        self._was_reached = True
        return answer


def read_retry_after(header: str | None, now: datetime) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date; None where it is missing or cannot be read."""
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
    except (ValueError, TypeError, LookupError, OverflowError):  # odd dates break the parser in all these ways
        return None
