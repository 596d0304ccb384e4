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
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from typing import Any, Literal
from urllib.parse import quote, unquote_to_bytes

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
from hooksync.service.challenges import (
    challenge,
    challenged,
    doubt,
    key_of,
    post,
    quote_answer,
)
from hooksync.service.http import Caller, Response

TrialState = Literal["passed", "failed", "unproved", "warning"]
TrialKind = Literal["challenge", "code", "forged", "genuine", "method"]

WAITING = (409, 429, 503)  # a receiver is busy: the event is to be sent again
REFUSING = range(400, 500)
# failures that each further request would have, too: these last or cost as long as the first
_FINAL: tuple[FailureKind, ...] = ("not-sent", "time-out", "too-large")
WRONG = "with a wrong signature"  # the names of the forged events that prove something
WRONG_WHOLE = "with a wrong signature, in one piece"
LATIN = "signed in Latin-1"
FIRST = "compact, in chunks"  # the simplest event
_WITH_GET = "sent with GET"
_REPEAT = "that comes again"
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
_OVER_ASCII = "with letters outside ASCII"
_OVER_LATIN = "with letters outside Latin-1"
_ENDS = "with white space at its ends"
_OTHER_ENTITY = "of a folder or a content object"  # these need not exist for a made-up event
# the name of an event -> what is special about it, from general to special, and how it is made
_FORMS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    FIRST: ((), {}),
    "compact, in one piece": ((), {"is_chunked": False}),
    "spaced": (("that is spaced",), {"is_compact": False}),
    "with é in UTF-8": ((_OVER_ASCII,), {"letter": "é"}),
    "with Ł in UTF-8": ((_OVER_ASCII, _OVER_LATIN), {"letter": "Ł"}),
    "with an emoji in UTF-8": (
        (_OVER_ASCII, _OVER_LATIN, "with characters of four bytes"),
        {"letter": "\N{PARTY POPPER}"},
    ),
    "with unknown fields": (("with unknown fields",), {"newField": {"of": ["a", 1, None, 1.0]}}),
    "of an unknown trigger": (("of an unknown trigger",), {"trigger": "A_TRIGGER_THAT_IS_NEW"}),
    "of a folder": ((_OTHER_ENTITY,), {"kind": "SO"}),
    "of a content object": ((_OTHER_ENTITY,), {"kind": "CO"}),
    "of three entities": (("of several entities",), {"entities": 3}),
    "without entities": (("without entities",), {"events": []}),
}
_SIZES = (150_000, 1_500_000)  # bytes, over usual limits
_HOW = {True: "in chunks", False: "in one piece"}  # by `is_chunked`
_SAME_TIME = "of the time of an earlier one"
_SAME_LIST = "with the list of an earlier one"
# two events: their name -> what is special about the second one, and the fields in which it differs
_PAIRS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "the same twice": ((_SAME_TIME, _SAME_LIST, _REPEAT), ()),
    "with two subscriptionIds": ((_SAME_TIME, _SAME_LIST, _REPEAT), ("subscriptionId",)),
    "two at once": ((_SAME_TIME, _SAME_LIST, _REPEAT, "that comes twice at once"), ()),
    "two that differ only in time": ((_SAME_LIST,), ("timestamp",)),
    "two that differ only in their list": ((_SAME_TIME,), ("events",)),
    "two that differ only in their entity": (
        (_SAME_TIME, "that differs from an earlier one only in an entity"),
        ("entityRef",),
    ),
    "two different at once": (("at the same time as a different one",), ("timestamp", "events")),
}
UNTESTED = (
    "whether signatures are compared in constant time",
    "whether events wait in memory, where a crash loses them",
    "whether the identifiers are logged only after the work",
    "whether its memory of events grows without end",
)
TOKEN = re.compile(rb"suite-[0-9a-f]{12}")  # an identifier of an entity in the suite


# genuine events: their name, what is special about the last one, and how they are sent
Form = tuple[str, Sequence[str], Sequence[Delivery]]


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
        return self.judge(name, sent, deliver(self.url, sent, self.caller), kind)

    def judge(
        self,
        name: str,
        sent: Delivery,
        answer: Response | ReceiverResult,
        kind: TrialKind = "genuine",
    ) -> Trial:
        """Judge the answer to an event."""
        trial = Trial(name, kind, "failed", answer.status, answer.seconds, sent=sent)
        if isinstance(answer, ReceiverResult):
            is_last = answer.failure in _FINAL
            return replace(trial, detail=answer.detail, fix=answer.fix, is_last=is_last)
        if LISTEN in answer.headers and kind != "genuine":
            return replace(trial, detail=_LISTEN, fix=_LISTEN_FIX, is_last=True)
        says_no = kind == "genuine" and re.search(rb'"success"\s*:\s*false', answer.body)
        if answer.status not in _RIGHT[kind] or says_no:
            return replace(trial, detail=quote_answer(answer, self.caller))
        detail, fix = _warning(answer, kind)
        if not detail:
            return replace(trial, state="passed")
        return replace(trial, state="warning", detail=detail, fix=fix)


def _warning(answer: Response, kind: TrialKind) -> tuple[str, str]:
    """Return what may be wrong with an answer that is right, and the fix; or two empty texts."""
    if kind == "method" and answer.status in SUCCESS:
        return "it answers 2xx to GET", "answer 405"
    if kind == "genuine" and (answer.status != 200 or answer.text.startswith("<")):
        what = f"it answers {answer.status} {answer.headers.get('Content-Type', '')}".strip()
        what += "; nobody knows if Preservica counts that as success"
        return what, "answer 200, with JSON"
    return doubt(answer.seconds)


def _doubted(trial: Trial) -> Trial:
    """Return a result as unproved unless it failed."""
    return trial if trial.state == "failed" else replace(trial, state="unproved")


def _forgeries(key: bytes, body: bytes) -> dict[str, Delivery]:
    """Make events that no secret signed as they are."""
    right = sign_event(key, body)
    again = json.dumps(json.loads(body)).encode()
    latin = body.decode().encode("latin-1")
    return {
        WRONG: Delivery(body, "0" * 64),
        WRONG_WHOLE: Delivery(body, "0" * 64, is_chunked=False),
        "without a signature": Delivery(body, None),
        "with an empty signature": Delivery(body, ""),
        "with a signature that is no hex": Delivery(body, "caf\xe9"),
        "with a wrong last digit": Delivery(body, right[:-1] + ("1" if right[-1] == "0" else "0")),
        "with a digit less": Delivery(body, right[:-1]),
        "with a digit more": Delivery(body, f"{right}0"),
        "signed without the prefix": Delivery(body, sign_challenge(key, body)),
        "signed with a line break": Delivery(body, sign_event(key + b"\n", body)),
        "with a changed body": Delivery(body[:-1] + b', "forged": true}', right),
        "with one byte more": Delivery(body + b" ", right),
        "written again": Delivery(again, right),
        LATIN: Delivery(body, sign_event(key, latin)),
        _WITH_GET: Delivery(b"", "0" * 64, is_chunked=False, method="GET"),
    }


def _signs(url: HookUrl, secret: Secret, caller: Caller, code: str) -> bool:
    """Whether a receiver signs a challenge code that it should refuse.

    `code`: as written in the query. It must be no event and no message of a different service, so
    that nobody can misuse the answer.
    """
    answer = post(challenged(url, code), caller, "challenge to refuse")
    if isinstance(answer, ReceiverResult):
        return False
    signed = unquote_to_bytes(code)
    said = answer.body.lower()
    return any(
        sign_challenge(key_of(secret), form).encode() in said
        for form in (signed, signed.decode("utf-8", "replace").encode("latin-1", "replace"))
    )


class Suite:
    """All tests of one receiver.

    `largest`: bytes of a body. `others`: further secrets that the receiver has, by their names.
    """

    def __init__(
        self, sender: Sender, events: NewEvents, largest: int, others: Mapping[str, Secret]
    ) -> None:
        self._sender = sender
        self._events = events
        self._largest = largest
        self._others = others

    def run(self) -> Iterator[Trial]:
        """Run the tests. After one that is the last, the others can prove nothing."""
        yield from self._challenged()
        forms = self._forms()
        # the simplest events come first: if both fail, a refused event proves nothing
        simple = [self._send(*next(forms)) for _ in range(2)]
        if simple[-1].is_last:
            yield from simple
        is_proof = any(trial.state != "failed" for trial in simple)
        is_unproved = False  # 200 to an event proves nothing
        key = key_of(self._sender.secret)
        for name in _forgeries(key, b"{}"):
            body = self._body(letter="é" if name == LATIN else "")
            sent = _forgeries(key, body)[name]
            kind: TrialKind = "method" if name == _WITH_GET else "forged"
            works = dict.fromkeys(TOKEN.findall(sent.body), 0)  # it needs no work
            trial = replace(self._sender.send(name, sent, kind), works=works)
            if trial.status in SUCCESS and name in (WRONG, WRONG_WHOLE):
                is_unproved = True
            yield trial if is_proof else _doubted(trial)
        for trial in chain(simple, (self._send(*form) for form in forms)):
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
                detail, fix = doubt(result.seconds)
                state = "warning" if detail else "passed"
            trial = Trial(name, "challenge", state, result.status, result.seconds, detail, fix)
            yield replace(trial, probe=result.state, is_last=result.failure in _FINAL)
        codes = [ascii(code) for code in _REFUSED_CODES if _signs(*receiver, quote(code))]
        trial = Trial("codes to refuse", "code", "passed")
        if codes:
            detail = f"it signs {', '.join(codes)}: anybody could let it sign a message"
            trial = replace(trial, state="failed", detail=detail, fix=_CODES_FIX)
        yield trial if is_ready else _doubted(trial)

    def _forms(self) -> Iterator[Form]:
        """Yield genuine events of each form."""
        for name, (features, how) in _FORMS.items():
            if _OTHER_ENTITY not in features or self._events.is_made_up:
                yield name, features, [self._event(**how)]
        lines = json.dumps(json.loads(self._body()), indent=1).replace("\n", "\r\n")
        sent = signed(f"\n {lines} \r\n".encode(), self._sender.secret)
        yield _ENDS, [_ENDS], [sent]
        sent = self._event()
        headers = JSON_HEADERS | {SIGNATURE.lower(): sent.signature or ""}
        sent = replace(sent, signature=None, headers=headers)
        yield "with the header in lower case", ["lower-case header"], [sent]
        sent = self._event()
        sent = replace(sent, signature=(sent.signature or "").upper())
        yield "with hex in upper case", ["upper-case hex"], [sent]
        yield from self._large()
        for name, secret in self._others.items():
            yield f"signed with {name}", ["other secret"], [signed(self._body(), secret)]
        yield from self._pairs()

    def _large(self) -> Iterator[Form]:
        """Yield events of each size, up to the largest one."""
        features: list[str] = []  # a size is special for larger events, too
        sizes = [number for number in _SIZES if number < self._largest]
        for number in (*sizes, self._largest):
            size = f"of {number / 1_000_000:g} MB"
            features = [*features, size]
            version = "x" * (number - len(self._body()))
            for is_chunked, how in _HOW.items():
                sent = self._event(version=version, is_chunked=is_chunked)
                yield f"{size}, {how}", features, [sent]

    def _pairs(self) -> Iterator[Form]:
        """Yield two events each that are the same, or differ in little."""
        for name, (features, fields) in _PAIRS.items():
            event = json.loads(self._body())
            other = json.loads(self._body(subscriptionId=secrets.token_hex(16)))
            changed = {field: other[field] for field in fields if field in other}
            if "entityRef" in fields:
                if not self._events.is_made_up:
                    continue
                entity = event["events"][0] | {"entityRef": secrets.token_hex(16)}
                changed = {"events": [entity]}
            bodies = [_compact(event), _compact(event | changed)]
            yield name, features, [signed(body, self._sender.secret) for body in bodies]

    def _send(self, name: str, features: Sequence[str], events: Sequence[Delivery]) -> Trial:
        """Send one genuine event, or two: one after the other, or at the same time.

        At the same time: both threads wait for each other before they send the last piece. Returns
        a failed result if there is one. But the receiver may ask one of the senders of the same
        event to wait.
        """
        number = 2 if name.endswith("at once") else 1
        barrier = threading.Barrier(number)

        def send(sent: Delivery) -> Trial:
            return self._sender.send(name, replace(sent, before_last=meet))

        def meet() -> None:
            with suppress(threading.BrokenBarrierError):
                barrier.wait(_TOGETHER)

        with ThreadPoolExecutor(number) as pool:
            trials = list(pool.map(send, events))
        trials.sort(key=lambda trial: trial.state != "failed")  # failed first
        first, last = trials[0], trials[-1]
        works = Counter(TOKEN.findall(b"".join(sent.body for sent in events)))
        if _REPEAT in features:
            works = Counter(works.keys())
            if number > 1 and first.status in WAITING:
                first = last
        if number > 1 and first.state != "failed":
            features = features[-1:]  # it proves nothing about events one after the other
        features = (_HOW[events[0].is_chunked], *features)
        return replace(first, features=features, works=works)

    def _event(self, *, is_chunked: bool = True, **how: Any) -> Delivery:
        """Make and sign a new event. `how`: arguments of `_body`."""
        return signed(self._body(**how), self._sender.secret, is_chunked=is_chunked)

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
        return _compact(event) if is_compact else json.dumps(event).encode()


def _compact(event: object) -> bytes:
    """Write a document without spaces."""
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
