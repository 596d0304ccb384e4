"""Tests of a receiver: it gets events as Preservica may send them, and its answers are judged.

Each event is new, except in the tests of repeats, so that a receiver that drops duplicates still
processes it. If a receiver refuses an event, it gets more events, each signed with a usual mistake.
If it accepts one of these, that mistake is its bug.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from hooksync.core.model import HookUrl, ProbeResult, Secret
from hooksync.core.record import Record, replace
from hooksync.receivers.challenges import (
    challenge,
    signs_events_in_disguise,
)
from hooksync.receivers.events import TAKEN, Delivery, NewEvents, deliver, find_bug, signed
from hooksync.service.http import Caller, Response

_REFUSING = range(400, 500)
_SERVER_ERRORS = range(500, 600)
_WAITING = (409, 429, 503)  # a receiver is busy: the event is to be sent again
_TOO_LARGE = 413
_LARGE = 1_000_000  # characters
_NOT_ASCII = {
    "é": "é of hooksync",
    "Ł": "Ł of hooksync",
    "an emoji": "\N{PARTY POPPER} of hooksync",
}
_MOST_SEARCHES = 3  # for a bug: no more searches after so many found none
_TOGETHER = 5.0  # seconds that two deliveries wait for each other

_LOST = "events of this form would be lost"
_NEW = "events could be lost after a release of Preservica"
_ENTITIES = "events of many entities would be lost"
_LETTERS = "every event with such a letter in an identifier would be lost"
_TWICE = "an event that comes again would fail; while a subscription is replaced, each comes twice"
_FORGED = (
    "either it works on events that anybody can forge, or it answers 200 to events that it drops;"
    " then its 200 to a genuine event proves nothing"
)
_SIGNS_ALL = "anybody who knows the URL could let it sign an event of their own"

_SERVER_FIX = (
    "see the receiver's log; if its work looks up the entity, give an event of a real one: --event"
)
_TAKE_FIX = "answer genuine events with 200, whatever they hold; see the receiver's log"
_LARGE_FIX = "let the server and its proxies take bodies of 10 MB"
_SIGNATURE_FIX = "check that the receiver has this secret, and signs the raw bytes of the body"
_REFUSE_FIX = "answer 401 to what none of your secrets signed"
_FORGE_FIX = "refuse challenge codes that begin with preservica-webhook-auth"


class Result(Record, frozen=True):
    """The result of one test of a receiver."""

    name: str
    status: int | None
    seconds: float
    detail: str = ""  # one line, safe to show
    fix: str = ""  # "": the test passed
    meaning: str = ""  # what a failure means for events

    @property
    def state(self) -> str:
        """Whether the test passed."""
        return "failed" if self.fix else "passed"


class Sender:
    """Sends events to one receiver, and judges its answers."""

    def __init__(self, url: HookUrl, secret: Secret, caller: Caller) -> None:
        self.url = url
        self.secret = secret
        self.caller = caller
        self._searches = 0

    def send(
        self, name: str, sent: Delivery, meaning: str = _LOST, *, is_forged: bool = False
    ) -> Result:
        """Send an event. The receiver must accept it, or refuse it if it is forged."""
        begun = self.caller.context.clock.monotonic()
        answer = deliver(self.url, sent, self.caller)
        seconds = self.caller.context.clock.monotonic() - begun
        if is_forged:
            result = self._result_of(name, answer, meaning, _REFUSE_FIX, _REFUSING)
        else:
            result = self.judge(name, sent.body, answer, meaning)
        return replace(result, seconds=seconds)

    def judge(
        self, name: str, body: bytes, answer: Response | ProbeResult, meaning: str = _LOST
    ) -> Result:
        """Judge the answer to a genuine event.

        If the receiver refused the event, send it more events, to find its bug.
        """
        result = self._result_of(name, answer, meaning, _TAKE_FIX, TAKEN)
        status = result.status
        if not result.fix or status in _WAITING:
            return result
        if status in _SERVER_ERRORS:
            return replace(result, fix=_SERVER_FIX)
        if status == _TOO_LARGE:
            return replace(result, fix=_LARGE_FIX)
        if status not in _REFUSING or self._searches >= _MOST_SEARCHES:
            return result
        mistake = find_bug(self.url, body, self.secret, self.caller)
        if mistake:
            bug = f"the signature that it expects {mistake.what}"
            return replace(result, detail=bug, fix=mistake.fix)
        self._searches += 1
        return replace(result, fix=_SIGNATURE_FIX)

    def _result_of(
        self, name: str, answer: Response | ProbeResult, meaning: str, fix: str, right: range
    ) -> Result:
        if isinstance(answer, ProbeResult):
            return Result(name, None, 0.0, answer.detail, answer.fix, meaning)
        if answer.status in right:
            return Result(name, answer.status, 0.0)
        said = self.caller.redactor.quote(answer.text)
        return Result(name, answer.status, 0.0, said, fix, meaning)


class Suite:
    """All tests of one receiver."""

    def __init__(self, sender: Sender, events: NewEvents) -> None:
        self._sender = sender
        self._events = events

    def run(self, others: Mapping[str, Secret]) -> Iterator[Result]:
        """Run all tests. `others`: further secrets that the receiver has, by their names."""
        for name, sent, meaning in self._forms():
            yield self._sender.send(name, sent, meaning)
        for name, secret in others.items():
            meaning = "while a secret is rotated, late events would be lost"
            yield self._sender.send(f"signed with {name}", signed(self._new(), secret), meaning)
        yield from self._repeated()
        yield from self._forged()
        yield from self._challenged()

    def _new(self, identifier: str = "", **changed: object) -> bytes:
        return json.dumps(self._events.make(identifier, **changed)).encode()

    def _compact(self, identifier: str = "") -> bytes:
        event = self._events.make(identifier)
        return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()

    def _forms(self) -> Iterator[tuple[str, Delivery, str]]:
        """Yield an event of each form: its name, how it is sent, and what a failure means."""
        sign = partial(signed, secret=self._sender.secret)
        yield "compact, in chunks", sign(self._compact()), _LOST
        yield "compact, in one piece", sign(self._compact(), is_chunked=False), _LOST
        yield "spaced", sign(self._new()), _LOST
        for name, letter in _NOT_ASCII.items():
            yield f"with {name} in UTF-8", sign(self._compact(letter)), _LETTERS
        yield "with Ł escaped", sign(self._new(_NOT_ASCII["Ł"])), _LETTERS
        yield "with unknown fields", sign(self._new(newField={"of": ["a", 1, None]})), _NEW
        yield "of an unknown trigger", sign(self._new(trigger="A_TRIGGER_THAT_IS_NEW")), _NEW
        large = self._new(filling="x" * _LARGE)
        yield "of 1 MB, in chunks", sign(large), _ENTITIES
        large = self._new(filling="x" * _LARGE)
        yield "of 1 MB, in one piece", sign(large, is_chunked=False), _ENTITIES

    def _repeated(self) -> Iterator[Result]:
        """Deliver an event twice: one after the other, under two ids, and at once.

        Its identifier lets you see in the receiver's log how often the event was processed.
        """
        name = "the same twice"
        event = self._events.make(name)
        yield self._in_turn(name, [event, event])
        name = "with two subscriptionIds"
        event = self._events.make(name)
        yield self._in_turn(name, [{**event, "subscriptionId": digit * 32} for digit in "ab"])
        name = "two at once"
        yield self._at_once(name, self._new(name))

    def _in_turn(self, name: str, events: Iterable[object]) -> Result:
        """Send events one after the other, until one fails. Return the last result."""
        for event in events:
            body = json.dumps(event).encode()
            result = self._sender.send(name, signed(body, self._sender.secret), _TWICE)
            if result.fix:
                break
        return result

    def _at_once(self, name: str, body: bytes) -> Result:
        """Send an event twice at the same time. The receiver may ask one of the senders to wait.

        Both threads wait for each other before they send the last piece. Returns a failed result if
        there is one. If one sender was asked to wait and the other passed, the test passed.
        """
        barrier = threading.Barrier(2)

        def meet() -> None:
            with suppress(threading.BrokenBarrierError):
                barrier.wait(_TOGETHER)

        def send(sent: Delivery) -> Result:
            return self._sender.send(name, sent, _TWICE)

        sent = replace(signed(body, self._sender.secret), before_last=meet)
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(send, [sent, sent])
        if not first.fix:
            first, second = second, first
        # if any result failed, `first` is a failed one
        return second if first.status in _WAITING and not second.fix else first

    def _forged(self) -> Iterator[Result]:
        genuine = signed(self._new(), self._sender.secret)
        forged = {
            "with a wrong signature": replace(genuine, signature="0" * 64),
            "without a signature": replace(genuine, signature=None),
            "with a changed body": replace(genuine, body=genuine.body[:-1] + b', "forged": true}'),
        }
        for name, sent in forged.items():
            yield self._sender.send(name, sent, _FORGED, is_forged=True)

    def _challenged(self) -> Iterator[Result]:
        """Challenge the receiver with a code, and with one that could forge an event."""
        url = self._sender.url
        secret = self._sender.secret
        caller = self._sender.caller
        found = challenge(url, secret, caller)
        meaning = "no subscription could be made" if found.fix else ""
        yield Result("challenge", None, found.seconds, found.detail, found.fix, meaning)
        begun = caller.context.clock.monotonic()
        is_signed = signs_events_in_disguise(url, secret, caller)
        result = Result("code that could forge", None, caller.context.clock.monotonic() - begun)
        if is_signed:
            result = replace(result, detail="it signs one", fix=_FORGE_FIX, meaning=_SIGNS_ALL)
        yield result
