"""The requests that test a receiver: events in each form in which Preservica may send them.

Forged events come first, because a receiver that answers 200 to them proves nothing with its 200.
Each event is new, except in the tests of repeats, so that a receiver that drops duplicates still
works on it. It has an identifier of its own, so that the receiver's log shows if it was worked on.
`verdict` explains the failures.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from typing import Any, Literal
from urllib.parse import quote

from hooksync.core.model import FailureKind, HookUrl, ReceiverResult, ReceiverState, Secret
from hooksync.core.record import Record, replace
from hooksync.receiver import EVENT_PREFIX, sign_challenge, sign_event
from hooksync.receivers.events import (
    JSON_HEADERS,
    LISTEN,
    SIGNATURE,
    SUCCESS,
    Delivery,
    NewEvents,
    deliver,
    signed,
)
from hooksync.service.challenges import challenge, doubt, key_of, signs
from hooksync.service.http import Caller, Response

TrialState = Literal["passed", "failed", "unproved", "warning"]
TrialKind = Literal["challenge", "code", "forged", "genuine", "method"]

WAITING = (409, 429, 503)  # a receiver is busy: the event is to be sent again
REFUSING = range(400, 500)
# failures that each further request would have, too: these last or cost as long as the first
_FINAL: tuple[FailureKind, ...] = ("not-sent", "no-connection", "time-out", "too-large")
WRONG = "with a wrong signature"  # the names of the forged events that prove something
WRONG_WHOLE = "with a wrong signature, in one piece"
LATIN = "signed in Latin-1"
FIRST = "compact, in chunks"  # the simplest event
# the statuses with which a receiver passes
_RIGHT = {"genuine": SUCCESS, "forged": REFUSING, "method": range(600)}
_CODES = {
    "challenge": None,  # a random one
    "challenge in percent-encoding": "a%20b%2Bc%2Fd%3D%26%25",
    "challenge with + for a space": "a+b",
    "challenge of one letter": "Z",
    "challenge of 512 letters": "c0de" * 128,
}
_LISTEN = (
    "this is hooksync listen: challenges and forged events do not reach your receiver, so the suite"
    " proves nothing"
)
_LISTEN_FIX = "run the suite with the URL of the receiver itself"
_TOGETHER = 5.0  # seconds that two deliveries wait for each other
_PREFIX = EVENT_PREFIX.decode()
# codes that a receiver must not sign; the rest of the second one is hex digits, and no event
_REFUSED_CODES = (
    *(_PREFIX, _PREFIX + secrets.token_hex(16)),
    *('{"a": 1}', "[1]", '"text"', " [1]", "\ufeff[1]", "\0[\x001"),
    *("~", "café", "€", "a\nb", "a\n"),
)
_CODES_FIX = (
    "sign only codes of printable ASCII that begin with a letter or a digit, and not with"
    f" {_PREFIX}"
)
_WHOLE = {"is_chunked": False}
_OVER_ASCII = ("letter",)
_OVER_LATIN = ("letter", "letter outside Latin-1")
# the name of an event -> what is special about it, and how `Suite._event` makes it
_FORMS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    FIRST: ((), {}),
    "compact, in one piece": ((), _WHOLE),
    "spaced": (("spaced",), {"is_compact": False}),
    "with é in UTF-8": (_OVER_ASCII, {"letter": "é"}),
    "with Ł in UTF-8": (_OVER_LATIN, {"letter": "Ł"}),
    "with an emoji in UTF-8": (_OVER_LATIN, {"letter": "\N{PARTY POPPER}"}),
    "with unknown fields": (("unknown field",), {"newField": {"of": ["a", 1, None, 1.0]}}),
    "of an unknown trigger": (("unknown trigger",), {"trigger": "A_TRIGGER_THAT_IS_NEW"}),
    "of three entities": (("three entities",), {"entities": 3}),
    "without entities": (("no entities",), {"events": []}),
}
_SIZES = {"of 150 kB": 150_000, "of 1.5 MB": 1_500_000, "of 10 MB": 10_000_000}


# a genuine event: its name, how it is sent, and what is special about it
Form = tuple[str, Delivery, Iterable[str]]


class Trial(Record):
    """One test of a receiver, and its result."""

    name: str
    kind: TrialKind
    state: TrialState
    status: int | None = None  # None: there was no answer
    seconds: float = 0.0
    detail: str = ""  # what the receiver answered, or why it did not; one line, safe to show
    fix: str = ""  # if the detail explains the failure or the warning
    features: tuple[str, ...] = ()  # of a genuine event
    sent: Delivery = Delivery(b"", None)
    probe: ReceiverState | None = None  # of a challenge
    is_last: bool = False  # no further test can prove anything, for the reason in `detail`


class Sender:
    """Sends events to one receiver."""

    def __init__(self, url: HookUrl, secret: Secret, caller: Caller) -> None:
        self.url = url
        self.secret = secret
        self.caller = caller
        self.sent = 0  # events

    def send(self, name: str, sent: Delivery, kind: TrialKind = "genuine") -> Trial:
        """Send an event. The receiver must answer 2xx, or 4xx if it is forged."""
        self.sent += 1
        begun = self.caller.context.clock.monotonic()
        answer = deliver(self.url, sent, self.caller)
        return self.judge(name, sent, answer, kind, self.caller.context.clock.monotonic() - begun)

    def judge(
        self,
        name: str,
        sent: Delivery,
        answer: Response | ReceiverResult,
        kind: TrialKind = "genuine",
        seconds: float = 0.0,
    ) -> Trial:
        """Judge the answer to an event."""
        trial = Trial(name, kind, "failed", answer.status, seconds, sent=sent)
        if isinstance(answer, ReceiverResult):
            is_last = answer.failure in _FINAL
            return replace(trial, detail=answer.detail, fix=answer.fix, is_last=is_last)
        if LISTEN in answer.headers and kind != "genuine":
            return replace(trial, detail=_LISTEN, fix=_LISTEN_FIX, is_last=True)
        if answer.status not in _RIGHT[kind]:
            return replace(trial, detail=self.caller.redactor.quote(answer.text))
        detail, fix = _warning(answer, kind, seconds)
        if not detail:
            return replace(trial, state="passed")
        return replace(trial, state="warning", detail=detail, fix=fix)


def _warning(answer: Response, kind: TrialKind, seconds: float) -> tuple[str, str]:
    """Return what may be wrong with an answer that is right, and the fix; or two empty texts."""
    if kind == "method" and answer.status in SUCCESS:
        return "it answers 2xx to an event that was sent with GET", "answer 405"
    if kind == "genuine" and (answer.status != 200 or answer.text.startswith("<")):
        what = f"it answers {answer.status} {answer.headers.get('Content-Type', '')}".strip()
        what += "; nobody knows if Preservica counts that as success"
        return what, "answer 200, with JSON"
    return doubt(seconds)


def _doubted(trial: Trial) -> Trial:
    """Return a result as unproved unless it failed."""
    return trial if trial.state == "failed" else replace(trial, state="unproved")


def _wrong_signatures(key: bytes, body: bytes) -> dict[str, str | None]:
    """Make signatures of an event that are none, or not the right one."""
    right = sign_event(key, body)
    return {
        WRONG: "0" * 64,
        "without a signature": None,
        "with an empty signature": "",
        "with a signature that is no hex": "caf\xe9",
        "with a wrong last digit": right[:-1] + ("1" if right[-1] == "0" else "0"),
        "with a digit less": right[:-1],
        "with a digit more": f"{right}0",
        "signed without the prefix": sign_challenge(key, body),
        "signed with a line break": sign_event(key + b"\n", body),
    }


class Suite:
    """All tests of one receiver."""

    def __init__(self, sender: Sender, events: NewEvents) -> None:
        self._sender = sender
        self._events = events

    def run(self, others: Mapping[str, Secret]) -> Iterator[Trial]:
        """Run the tests. After one that is the last, the others can prove nothing.

        `others`: further secrets that the receiver has, by their names.
        """
        yield from self._challenged()
        forms = self._forms(others)
        # the simplest events come first: if both fail, a refused event proves nothing
        simple = [self._send(*next(forms)) for _ in range(2)]
        if simple[-1].is_last:
            yield from simple
        is_proof = any(trial.state != "failed" for trial in simple)
        is_unproved = False  # 200 to an event proves nothing
        for name, sent in self._forged().items():
            trial = self._sender.send(name, sent, "method" if sent.method == "GET" else "forged")
            if trial.status in SUCCESS and name in (WRONG, WRONG_WHOLE):
                is_unproved = True
            yield trial if is_proof else _doubted(trial)
        genuine = (self._send(*form) for form in forms)
        for trial in chain(simple, genuine, self._repeated()):
            yield _doubted(trial) if is_unproved else trial

    def _challenged(self) -> Iterator[Trial]:
        """Challenge the receiver with codes that it must sign, and with codes that it must not."""
        receiver = (self._sender.url, self._sender.secret, self._sender.caller)
        is_ready = False
        for name, code in _CODES.items():
            result = challenge(*receiver, code)
            detail = result.detail
            fix = result.fix
            state: TrialState = "failed"
            if result.state == "ready":
                is_ready = True
                detail, fix = doubt(result.seconds, result.content_type)
                state = "warning" if detail else "passed"
            trial = Trial(name, "challenge", state, result.status, result.seconds, detail, fix)
            yield replace(trial, probe=result.state, is_last=result.failure in _FINAL)
        codes = [ascii(code) for code in _REFUSED_CODES if signs(*receiver, quote(code))]
        trial = Trial("codes to refuse", "code", "passed")
        if codes:
            detail = f"it signs {', '.join(codes)}: anybody could let it sign a message"
            trial = replace(trial, state="failed", detail=detail, fix=_CODES_FIX)
        yield trial if is_ready else _doubted(trial)

    def _forged(self) -> dict[str, Delivery]:
        """Make events that none of the secrets signed as they are. 401 is the answer to each."""
        key = key_of(self._sender.secret)
        genuine = self._event()
        forged = {}
        for name, signature in _wrong_signatures(key, genuine.body).items():
            forged[name] = replace(genuine, signature=signature)
        forged[WRONG_WHOLE] = replace(forged[WRONG], is_chunked=False)
        bodies = {
            "with a changed body": genuine.body[:-1] + b', "forged": true}',
            "with one byte more": genuine.body + b" ",
            "written again": json.dumps(json.loads(genuine.body)).encode(),
        }
        for name, body in bodies.items():
            forged[name] = replace(genuine, body=body)
        letter = self._body(letter="é")
        latin = EVENT_PREFIX + letter.decode().encode("latin-1")
        forged[LATIN] = Delivery(letter, sign_challenge(key, latin))
        forged["sent with GET"] = replace(self._event(), method="GET")
        return forged

    def _forms(self, others: Mapping[str, Secret]) -> Iterator[Form]:
        """Yield an event of each form."""
        for name, (features, how) in _FORMS.items():
            yield name, self._event(**how), features
        yield from self._odd_forms()
        over: list[str] = []  # a size is special for larger events, too
        for size, number in _SIZES.items():
            over = [*over, size]
            version = "x" * number
            yield f"{size}, in chunks", self._event(version=version), over
            yield f"{size}, in one piece", self._event(version=version, **_WHOLE), over
        for name, secret in others.items():
            yield f"signed with {name}", signed(self._body(), secret), ["other secret"]

    def _odd_forms(self) -> Iterator[Form]:
        """Yield events whose white space or header a receiver may not expect."""
        lines = json.dumps(json.loads(self._body()), indent=1).replace("\n", "\r\n").encode()
        ends = signed(b"\n " + lines + b" \r\n", self._sender.secret)
        yield "with white space at its ends", ends, ["ends"]
        sent = self._event()
        headers = JSON_HEADERS | {SIGNATURE.lower(): sent.signature or ""}
        small = replace(sent, signature=None, headers=headers)
        yield "with the header in lower case", small, ["lower-case header"]
        sent = self._event()
        upper = replace(sent, signature=(sent.signature or "").upper())
        yield "with hex in upper case", upper, ["upper-case hex"]

    def _repeated(self) -> Iterator[Trial]:
        """Deliver an event twice: one after the other, under two ids, and at once."""
        sent = self._event()
        yield self._in_turn("the same twice", [sent, sent])
        event = json.loads(self._body())
        ids = []
        for digit in "ab":
            document = {**event, "subscriptionId": digit * 32}
            body = json.dumps(document, separators=(",", ":")).encode()
            ids.append(signed(body, self._sender.secret))
        yield self._in_turn("with two subscriptionIds", ids)
        yield self._at_once("two at once")

    def _in_turn(self, name: str, events: Iterable[Delivery]) -> Trial:
        """Send events one after the other, until one fails. Return the last result."""
        for sent in events:
            trial = self._send(name, sent, ["repeat"])
            if trial.state == "failed":
                break
        return trial

    def _at_once(self, name: str) -> Trial:
        """Send an event twice at the same time. The receiver may ask one of the senders to wait.

        Both threads wait for each other before they send the last piece. Returns a failed result if
        there is one. If one sender was asked to wait and the other passed, the test passed.
        """
        barrier = threading.Barrier(2)

        def meet() -> None:
            with suppress(threading.BrokenBarrierError):
                barrier.wait(_TOGETHER)

        sent = replace(self._event(), before_last=meet)
        with ThreadPoolExecutor(2) as pool:
            trials = list(pool.map(lambda _: self._send(name, sent, ["at once"]), range(2)))
        first, second = sorted(trials, key=lambda trial: trial.state != "failed")  # failed first
        return second if first.status in WAITING and second.state != "failed" else first

    def _send(self, name: str, sent: Delivery, features: Iterable[str]) -> Trial:
        """Send a genuine event."""
        trial = self._sender.send(name, sent)
        how = "in chunks" if sent.is_chunked else "in one piece"
        return replace(trial, features=(how, *features))

    def _event(self, *, is_chunked: bool = True, **how: Any) -> Delivery:
        """Make and sign a new event. `how`: arguments of `_body`."""
        return signed(self._body(**how), self._sender.secret, is_chunked=is_chunked)

    def _body(
        self, *, is_compact: bool = True, letter: str = "", entities: int = 1, **changed: object
    ) -> bytes:
        """Make the body of a new event, whose entities have identifiers of their own."""
        identifiers = [{"hooksync": f"suite-{secrets.token_hex(6)}"} for _ in range(entities)]
        if letter:
            identifiers[0]["title"] = f"{letter} of hooksync"
        event = self._events.make(*identifiers, **changed)
        if is_compact:
            return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
        return json.dumps(event).encode()
