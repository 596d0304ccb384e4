"""Challenge receivers as Preservica does, and judge their answers.

Touches the network; changes nothing.

Answers are judged as strictly as the service is known to do it, and no stricter: content type and
further fields are not judged. Source: pyPreservica 4.2.2, webHooksAPI.py; not verified on a live
tenancy. No redirect is followed, no answer read beyond 64 KiB. What a receiver says is quoted only
through the redactor, and failures are described in our own words: the transport's texts hold paths,
and a receiver's path may hold a key.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Literal, NoReturn, get_args

from hooksync.core.errors import FailureKind, MaybeSent, NeverSent, ServiceError
from hooksync.core.model import HookUrl, Secret
from hooksync.core.record import Record, replace
from hooksync.core.urls import split_url
from hooksync.receiver import EVENT_PREFIX, sign_challenge
from hooksync.service.http import Answer, CallContext, Request
from hooksync.service.worker_pool import WorkerPool

ReceiverState = Literal["ready", "wrong-secret", "wrong-answer", "unreachable"]
AnswerKind = Literal[
    "ready",
    "wrong-secret",
    "not-json",
    "wrong-shape",
    "not-hex",
    "not-echoed",
    "status",
    "redirect",
]
Kind = AnswerKind | FailureKind
ProbeTarget = tuple[HookUrl, Secret]

_LARGEST_ANSWER = 64 * 1024  # bytes
_CODE_BYTES = 16  # random bytes in a code; written as hex
# kinds that hold for every receiver of the server
_UNREACHED = frozenset({"no-name", "no-route", "no-connection"})
_QUOTED = frozenset({"status", "not-json"})  # kinds where the receiver's own words help
_NOT_QUOTED = "what it says is not shown, because its address is private"

_STATES: dict[Kind, ReceiverState] = {
    "ready": "ready",
    "wrong-secret": "wrong-secret",
    **{
        kind: "unreachable"
        for kind in get_args(NeverSent) + get_args(MaybeSent)
        if kind != "too-large"
    },
}
_NO_ENTRY = (
    "the receiver must accept a POST without credentials: check the key in its URL, if it has one"
)
_STATUS_FIXES = {
    **dict.fromkeys((401, 403), _NO_ENTRY),
    **dict.fromkeys((404, 410), "check the path of the URL, and that the receiver is deployed"),
    405: "the receiver must accept POST",
}
_RESPONSE = re.compile("[0-9a-f]{64}")
_ANY_CASE = re.compile("[0-9A-Fa-f]{64}")
_RECIPE = (
    '{"challengeCode": the code, "challengeResponse": lower-case hex HMAC-SHA256 of the code under'
    " the secret}"
)


class ProbeResult(Record, frozen=True):
    """What a probe found out about a receiver."""

    kind: Kind
    detail: str  # one line, safe to show, without the URL; "" when ready
    fix: str  # "" when ready

    @property
    def state(self) -> ReceiverState:
        """The kind, in the four classes that plans show."""
        return _STATES.get(self.kind, "wrong-answer")


READY = ProbeResult("ready", "", "")


def probe_all(
    wanted: Iterable[ProbeTarget],
    pool: WorkerPool,
    context: CallContext,
    advance: Callable[[], None] = lambda: None,
) -> dict[ProbeTarget, ProbeResult]:
    """Challenge each distinct URL and secret once, in parallel; a stop leaves the rest out.

    `advance`: called once for each that was challenged. Every wanted target is a key, however its
    URL is shown.
    """
    targets = tuple(wanted)
    distinct = {(url.full, secret): (url, secret) for url, secret in targets}
    context.redactor.learn({secret.reveal() for _, secret in distinct})
    unreached: dict[str, ProbeResult] = {}  # by host and port: each is waited for once

    def probe(target: ProbeTarget) -> ProbeResult:
        _, server, _ = split_url(target[0].full)
        try:
            result = unreached.get(server) or _challenge(*target, context)
        finally:
            advance()
        if result.kind in _UNREACHED:
            unreached[server] = result
        return result

    found = pool.run([partial(probe, target) for target in distinct.values()])
    results = dict(zip(distinct, found, strict=True))
    return {
        (url, secret): result
        for url, secret in targets
        if (result := results[url.full, secret]) is not None
    }


def signs_events_in_disguise(url: HookUrl, secret: Secret, context: CallContext) -> bool | None:
    """Whether a receiver signs a challenge code that begins as a signed event does.

    None: no clear answer.

    Such an answer would be the valid signature of the event that the rest of the code spells. This
    code spells none: an event is a JSON object, and hex digits are not, so the answer is of no use
    even to somebody who overhears it.
    """
    code = EVENT_PREFIX.decode("ascii") + secrets.token_hex(_CODE_BYTES)
    answer = post(url, context, "challenge that begins as an event does", code=code)
    if isinstance(answer, ProbeResult):
        return None
    return signed_in_disguise(answer.status, answer.body, code, secret.reveal().encode("latin-1"))


def probe_once(
    request: Request, context: CallContext, peer: str, shown: str
) -> Answer | ProbeResult:
    """Make a call, without a repeat: returns its answer, or why there is none.

    See `CallContext.send`.
    """
    try:
        return context.send(request, peer, shown)
    except (
        ServiceError
    ) as error:  # its words are our own, and without a URL; but they may quote a certificate
        return ProbeResult(error.kind, context.redactor.quote(error.reason), error.problems[0].fix)


def _challenge(url: HookUrl, secret: Secret, context: CallContext) -> ProbeResult:
    code = secrets.token_hex(_CODE_BYTES)
    answer = post(url, context, "challenge", code=code)
    if isinstance(answer, ProbeResult):
        return answer
    result = judge_answer(answer.status, answer.body, code, secret.reveal().encode("latin-1"))
    if result.kind not in _QUOTED or not answer.text.strip():
        return result
    if (said := quoted_answer(answer, context)) is None:
        return replace(result, detail=f"{result.detail}; {_NOT_QUOTED}")
    return replace(result, detail=f"{result.detail}: {said}")


def quoted_answer(answer: Answer, context: CallContext) -> str | None:
    """Quote a receiver's response; None: its address is private, and no policy allows quotes."""
    is_open = answer.reach == "public" or context.private_receivers == "quoted"
    return context.redactor.quote(answer.text) if is_open else None


def post(
    url: HookUrl,
    context: CallContext,
    what: str,
    *,
    code: str = "",
    headers: Mapping[str, str] | None = None,
    body: bytes | Iterable[bytes] | None = None,
) -> Answer | ProbeResult:
    """Call a receiver once, at a private address only where that is allowed.

    `what`: the call; `code`: a challenge.
    """
    scheme, netloc, tail = split_url(url.full.partition("#")[0])
    path = tail if tail.startswith("/") else f"/{tail}"
    if code:
        separator = "&" if "?" in path else "?"
        path += f"{separator}challengeCode={code}"
    is_open = context.private_receivers != "refused"
    request = Request(
        "POST", f"{scheme}://{netloc}", path, headers or {}, body, _LARGEST_ANSWER, is_open
    )
    return probe_once(request, context, "receiver", f"POST {url.shown} {what}")


def judge_answer(status: int, body: bytes, code: str, secret: bytes) -> ProbeResult:
    """Judge a receiver's answer to a challenge; the result quotes nothing of the body.

    We assume that the service compares text, so an upper-case response is "not-hex" even if its
    value is right.
    """
    if 300 <= status < 400:
        return ProbeResult(
            "redirect", f"it answers {status}, a redirect", "declare the URL that it leads to"
        )
    if status != 200:
        otherwise = (
            "see the receiver's log"
            if status >= 500
            else f"answer a challenge with 200 and {_RECIPE}"
        )
        fix = _STATUS_FIXES.get(status, otherwise)
        return ProbeResult("status", f"it answers {status}, not 200", fix)
    try:
        # a long integer is not an error
        document: object = json.loads(body, parse_constant=_refuse, parse_int=float)
    except (ValueError, RecursionError):
        return ProbeResult(
            "not-json", "its answer is not JSON", f"answer a challenge with {_RECIPE}"
        )
    return _judge_document(document, code, sign_challenge(secret, code.encode("latin-1")))


def signed_in_disguise(status: int, body: bytes, code: str, secret: bytes) -> bool | None:
    """Whether an answer gives away the signature of a code that begins as a signed event does.

    None: not clear.
    """
    signature = sign_challenge(secret, code.encode("latin-1")).encode()
    if signature in body.lower():
        return True
    if judge_answer(status, body, code, secret).kind == "wrong-secret":
        return None  # it signed something, or under another secret
    is_refusal = 400 <= status < 500 and status not in (408, 429)
    return False if status == 200 or is_refusal else None


def _judge_document(document: object, code: str, expected: str) -> ProbeResult:
    if not isinstance(document, dict):
        return ProbeResult(
            "wrong-shape", "its answer is not a JSON object", f"answer a challenge with {_RECIPE}"
        )
    echoed, response = document.get("challengeCode"), document.get("challengeResponse")
    if not (isinstance(echoed, str) and isinstance(response, str)):
        what = (
            "its answer has no text in"
            f" challenge{'Code' if not isinstance(echoed, str) else 'Response'}"
        )
        return ProbeResult("wrong-shape", what, f"answer a challenge with {_RECIPE}")
    if echoed != code:
        what = "its answer does not repeat the challengeCode"
        return ProbeResult("not-echoed", what, "return the challengeCode of the query unchanged")
    if not _RESPONSE.fullmatch(response):
        is_upper = _ANY_CASE.fullmatch(response)
        what = (
            "its challengeResponse is"
            f" {'upper-case hex' if is_upper else 'not the hex of an HMAC-SHA256'}"
        )
        return ProbeResult("not-hex", what, "write the HMAC-SHA256 as 64 lower-case hex digits")
    if not hmac.compare_digest(response, expected):
        fix = "give the receiver the declared secret, or declare the one that it holds"
        return ProbeResult("wrong-secret", "it signs challenges with another secret", fix)
    return READY


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads although JSON does not have them."""
    raise ValueError(constant)
