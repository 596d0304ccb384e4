"""Judge a receiver's answer to a challenge, and name what a probe can find. Pure: bytes in, objects out.

As strict as the service is known to be, and no stricter: content type and further fields are not judged.
Source: pyPreservica 4.2.2, webHooksAPI.py; not verified on a live tenancy.
"""

from __future__ import annotations

import hmac
import json
import re
from typing import Literal, NoReturn

from hooksync.core import handshake
from hooksync.core.record import Record

ReceiverState = Literal["ready", "wrong-secret", "wrong-answer", "unreachable"]
AnswerKind = Literal["ready", "wrong-secret", "not-json", "wrong-shape", "not-hex", "not-echoed", "status", "redirect"]
FailureKind = Literal["no-name", "refused", "no-route", "no-connection", "proxy", "tls", "time-out", "cut", "too-large"]
Kind = AnswerKind | FailureKind

_STATES: dict[Kind, ReceiverState] = {
    "ready": "ready",
    "wrong-secret": "wrong-secret",
    **dict.fromkeys(
        ("no-name", "refused", "no-route", "no-connection", "proxy", "tls", "time-out", "cut"), "unreachable"
    ),
}
_RESPONSE = re.compile("[0-9a-f]{64}")
_ANY_CASE = re.compile("[0-9A-Fa-f]{64}")
_RECIPE = '{"challengeCode": the code, "challengeResponse": lower-case hex HMAC-SHA256 of the code under the secret}'


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


def judge_answer(status: int, body: bytes, code: str, secret: bytes) -> ProbeResult:
    """Judge a receiver's answer to a challenge; the result quotes nothing of the body.

    We assume that the service compares text, so an upper-case response is "not-hex" even if its value is right.
    """
    if 300 <= status < 400:
        return ProbeResult("redirect", f"it answers {status}, a redirect", "declare the URL that it leads to")
    if status != 200:
        return ProbeResult("status", f"it answers {status}, not 200", _fix_for(status))
    try:
        document: object = json.loads(body, parse_constant=_refuse, parse_int=float)  # a long integer is not an error
    except (ValueError, RecursionError):
        return ProbeResult("not-json", "its answer is not JSON", f"answer a challenge with {_RECIPE}")
    return _judge_document(document, code, handshake.answer_challenge(secret, code.encode("latin-1")))


def signed_in_disguise(status: int, body: bytes, code: str, secret: bytes) -> bool | None:
    """Whether an answer gives away the signature of a code that begins as a signed event does. None: not clear."""
    signature = handshake.answer_challenge(secret, code.encode("latin-1")).encode()
    if signature in body.lower():
        return True
    if judge_answer(status, body, code, secret).kind == "wrong-secret":
        return None  # it signed something, or under another secret
    is_refusal = 400 <= status < 500 and status not in (408, 429)
    return False if status == 200 or is_refusal else None


def _judge_document(document: object, code: str, expected: str) -> ProbeResult:
    if not isinstance(document, dict):
        return ProbeResult("wrong-shape", "its answer is not a JSON object", f"answer a challenge with {_RECIPE}")
    for name in ("challengeCode", "challengeResponse"):
        if not isinstance(document.get(name), str):
            what = f"its answer has no text in {name}"
            return ProbeResult("wrong-shape", what, f"answer a challenge with {_RECIPE}")
    if document["challengeCode"] != code:
        what = "its answer does not repeat the challengeCode"
        return ProbeResult("not-echoed", what, "return the challengeCode of the query unchanged")
    response = document["challengeResponse"]
    if not _RESPONSE.fullmatch(response):
        is_upper = _ANY_CASE.fullmatch(response)
        what = f"its challengeResponse is {'upper-case hex' if is_upper else 'not the hex of an HMAC-SHA256'}"
        return ProbeResult("not-hex", what, "write the HMAC-SHA256 as 64 lower-case hex digits")
    if not hmac.compare_digest(response, expected):
        what = "it signs challenges with another secret"
        return ProbeResult(
            "wrong-secret", what, "give the receiver the declared secret, or declare the one that it holds"
        )
    return READY


def _fix_for(status: int) -> str:
    match status:
        case 401 | 403:
            return "the receiver must accept a POST without credentials: check the key in its URL, if it has one"
        case 404 | 410:
            return "check the path of the URL, and that the receiver is deployed"
        case 405:
            return "the receiver must accept POST"
        case _ if status >= 500:
            return "see the receiver's log"
        case _:
            return f"answer a challenge with 200 and {_RECIPE}"


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads although JSON does not have them."""
    raise ValueError(constant)
