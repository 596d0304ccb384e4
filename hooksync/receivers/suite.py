"""The requests that test a receiver: events in each form in which Preservica may send them.

Forged events come first, because a receiver that answers 200 to them proves nothing with its 200.
Each event is new, except in the tests of repeats, so that a receiver that drops duplicates still
works on it. It has an identifier of its own, so that the receiver's log shows if it was worked on.
`verdict` explains the failures.

No request can show from outside what `UNTESTED` lists.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from typing import Any, Literal
from urllib.parse import quote

from hooksync.core.model import FailureKind, HookUrl, ReceiverResult, ReceiverState, Secret
from hooksync.core.record import Record, replace
from hooksync.core.urls import masked_url
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
    "with an emoji in UTF-8": ((*_OVER_LATIN, "emoji"), {"letter": "\N{PARTY POPPER}"}),
    "with unknown fields": (("unknown field",), {"newField": {"of": ["a", 1, None, 1.0]}}),
    "of an unknown trigger": (("unknown trigger",), {"trigger": "A_TRIGGER_THAT_IS_NEW"}),
    "of a folder": (("other entity",), {"kind": "SO"}),
    "of a content object": (("other entity",), {"kind": "CO"}),
    "of three entities": (("three entities",), {"entities": 3}),
    "without entities": (("no entities",), {"events": []}),
}
_SIZES = {"of 150 kB": 150_000, "of 1.5 MB": 1_500_000}
LARGEST = 10_000_000  # bytes
UNTESTED = (
    "whether signatures are compared in constant time",
    "whether events wait in memory, where a crash loses them",
    "whether the identifiers are logged only after the work",
    "whether its memory of events grows without end",
)
TOKEN = re.compile(rb"suite-[0-9a-f]{12}")  # an identifier of an entity in the suite


# a genuine event: its name, how it is sent, and what is special about it
Form = tuple[str, Delivery, Iterable[str]]


class Trial(Record):
    """One test of a receiver, and its result."""

    HIDDEN = ("works",)

    name: str
    kind: TrialKind
    state: TrialState
    status: int | None = None  # None: there was no answer
    seconds: float = 0.0
    detail: str = ""  # what the receiver answered, or why it did not; one line, safe to show
    fix: str = ""  # if the detail explains the failure or the warning
    features: tuple[str, ...] = ()  # of a genuine event
    sent: Delivery = Delivery(b"", None)
    works: Mapping[bytes, int] = {}  # how often the log should have each identifier
    log_fault: str = ""  # what the log shows against it
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
        says_no = kind == "genuine" and re.search(rb'"success"\s*:\s*false', answer.body)
        if answer.status not in _RIGHT[kind] or says_no:
            location = answer.headers.get("Location")
            said = masked_url(location) if location else answer.text
            return replace(trial, detail=self.caller.redactor.quote(said))
        detail, fix = _warning(answer, kind, seconds)
        if not detail:
            return replace(trial, state="passed")
        return replace(trial, state="warning", detail=detail, fix=fix)


def _warning(answer: Response, kind: TrialKind, seconds: float) -> tuple[str, str]:
    """Return what may be wrong with an answer that is right, and the fix; or two empty texts."""
    if kind == "method" and answer.status in SUCCESS:
        return "it answers 2xx to GET", "answer 405"
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

    def __init__(self, sender: Sender, events: NewEvents, largest: int = LARGEST) -> None:
        self._sender = sender
        self._events = events
        self._largest = largest  # bytes of a body

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
        for name, sent in self._forged():
            kind: TrialKind = "method" if sent.method == "GET" else "forged"
            works = dict.fromkeys(TOKEN.findall(sent.body), 0)  # it needs no work
            trial = replace(self._sender.send(name, sent, kind), works=works)
            if trial.status in SUCCESS and name in (WRONG, WRONG_WHOLE):
                is_unproved = True
            yield trial if is_proof else _doubted(trial)
        genuine = (self._send(*form) for form in forms)
        for trial in chain(simple, genuine, self._repeated(), self._alike()):
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

    def _forged(self) -> Iterator[tuple[str, Delivery]]:
        """Yield events that none of the secrets signed as they are. 401 is the answer to each."""
        key = key_of(self._sender.secret)
        for name in _wrong_signatures(key, b""):
            genuine = self._event()
            signature = _wrong_signatures(key, genuine.body)[name]
            yield name, replace(genuine, signature=signature)
        yield WRONG_WHOLE, Delivery(self._body(), "0" * 64, is_chunked=False)
        genuine = self._event()
        yield "with a changed body", replace(genuine, body=genuine.body[:-1] + b', "forged": true}')
        genuine = self._event()
        yield "with one byte more", replace(genuine, body=genuine.body + b" ")
        genuine = self._event()
        again = json.dumps(json.loads(genuine.body)).encode()
        yield "written again", replace(genuine, body=again)
        body = self._body(letter="é")  # sent in UTF-8
        message = EVENT_PREFIX + body.decode().encode("latin-1")
        yield LATIN, Delivery(body, sign_challenge(key, message))
        yield "sent with GET", Delivery(b"", "0" * 64, is_chunked=False, method="GET")

    def _forms(self, others: Mapping[str, Secret]) -> Iterator[Form]:
        """Yield an event of each form."""
        for name, (features, how) in _FORMS.items():
            if "other entity" not in features or self._events.is_made_up:
                yield name, self._event(**how), features
        # white space and headers that a receiver may not expect
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
        yield from self._large_forms()
        for name, secret in others.items():
            yield f"signed with {name}", signed(self._body(), secret), ["other secret"]

    def _large_forms(self) -> Iterator[Form]:
        """Yield events of each size, up to the largest one."""
        over: list[str] = []  # a size is special for larger events, too
        sizes = {name: number for name, number in _SIZES.items() if number < self._largest}
        sizes[f"of {self._largest / 1_000_000:g} MB"] = self._largest
        for size, number in sizes.items():
            over = [*over, size if size in _SIZES else "largest"]
            version = "x" * (number - len(self._body()))
            yield f"{size}, in chunks", self._event(version=version), over
            yield f"{size}, in one piece", self._event(version=version, **_WHOLE), over

    def _repeated(self) -> Iterator[Trial]:
        """Deliver an event twice: one after the other, under two ids, and at once."""
        sent = self._event()
        yield self._in_turn("the same twice", [sent, sent])
        event = json.loads(self._body())
        ids = [self._signed({**event, "subscriptionId": digit * 32}) for digit in "ab"]
        yield self._in_turn("with two subscriptionIds", ids)
        sent = self._event()
        yield self._at_once("two at once", [sent, sent], "at once")

    def _alike(self) -> Iterator[Trial]:
        """Send two events each that differ in little, or come at once. Both need work."""
        for name, feature, field in (
            ("two that differ only in time", "time", "timestamp"),
            ("two that differ only in their list", "list", "events"),
        ):
            event = json.loads(self._body())
            changed = {**event, field: json.loads(self._body())[field]}
            yield self._in_turn(name, [self._signed(event), self._signed(changed)], feature)
        if self._events.is_made_up:
            event = json.loads(self._body())
            entity = {**event["events"][0], "entityRef": secrets.token_hex(16)}
            yield self._in_turn(
                "two that differ only in their entity",
                [self._signed(event), self._signed({**event, "events": [entity]})],
                "entity",
            )
        yield self._at_once("two different at once", [self._event(), self._event()], "different")

    def _in_turn(self, name: str, events: Sequence[Delivery], feature: str = "repeat") -> Trial:
        """Send events one after the other, until one fails. Return the last result."""
        for sent in events:
            trial = self._send(name, sent, [feature])
            if trial.state == "failed":
                break
        return self._needing(trial, events, feature)

    def _at_once(self, name: str, events: Sequence[Delivery], feature: str) -> Trial:
        """Send two events at the same time.

        Both threads wait for each other before they send the last piece. Returns a failed result if
        there is one. But the receiver may ask one of the senders of the same event to wait.
        """
        barrier = threading.Barrier(2)

        def meet() -> None:
            with suppress(threading.BrokenBarrierError):
                barrier.wait(_TOGETHER)

        def send(sent: Delivery) -> Trial:
            return self._send(name, replace(sent, before_last=meet), [feature])

        with ThreadPoolExecutor(2) as pool:
            trials = list(pool.map(send, events))
        trials.sort(key=lambda trial: trial.state != "failed")  # failed first
        first, second = trials
        may_wait = feature == "at once" and first.status in WAITING and second.state != "failed"
        return self._needing(second if may_wait else first, events, feature)

    def _needing(self, trial: Trial, events: Sequence[Delivery], feature: str) -> Trial:
        """Return a result with the work that several events need: once each, or once for all."""
        works: Counter[bytes] = Counter()
        for sent in events:
            works.update(TOKEN.findall(sent.body))
        if feature in ("repeat", "at once"):
            works = Counter(works.keys())
        return replace(trial, works=works)

    def _send(self, name: str, sent: Delivery, features: Iterable[str]) -> Trial:
        """Send a genuine event."""
        trial = self._sender.send(name, sent)
        works = dict.fromkeys(TOKEN.findall(sent.body), 1)
        how = "in chunks" if sent.is_chunked else "in one piece"
        return replace(trial, features=(how, *features), works=works)

    def _event(self, *, is_chunked: bool = True, **how: Any) -> Delivery:
        """Make and sign a new event. `how`: arguments of `_body`."""
        return signed(self._body(**how), self._sender.secret, is_chunked=is_chunked)

    def _signed(self, event: object) -> Delivery:
        """Sign a document."""
        return signed(json.dumps(event, separators=(",", ":")).encode(), self._sender.secret)

    def _body(
        self,
        *,
        is_compact: bool = True,
        letter: str = "",
        entities: int = 1,
        kind: str = "",
        **changed: object,
    ) -> bytes:
        """Make the body of a new event, whose entities have identifiers of their own."""
        identifiers = [{"hooksync": f"suite-{secrets.token_hex(6)}"} for _ in range(entities)]
        if letter:
            identifiers[0]["title"] = f"{letter} of hooksync"
        event: Any = self._events.make(*identifiers, **changed)
        if kind:
            event["events"][0]["entityType"] = kind
        if is_compact:
            return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
        return json.dumps(event).encode()
