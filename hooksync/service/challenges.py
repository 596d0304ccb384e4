"""Challenge receivers as Preservica does, and judge their answers.

This module calls receivers, but changes nothing in a tenancy.

As far as is known, the service does not check the content type or further fields, so this module
does not either. Source: pyPreservica 4.2.2, webHooksAPI.py; not verified on a live tenancy.

No redirect is followed, and no answer is read beyond 64 KiB. The redactor cleans all that is quoted
of an answer. Failures are described in our own words, because other texts may quote the path of a
URL, which may hold a key.
"""

from __future__ import annotations

import codecs
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from functools import partial
from urllib.parse import unquote_plus, unquote_to_bytes

from hooksync.core.context import Advance
from hooksync.core.errors import ServiceError
from hooksync.core.model import HookUrl, ReceiverResult, ReceiverState, Secret
from hooksync.core.record import replace
from hooksync.core.urls import masked_url
from hooksync.receiver import sign_challenge
from hooksync.service.http import Caller, Request, Response
from hooksync.service.signatures import FORM_FIX, challenge_mistakes, name_mistake
from hooksync.service.worker_pool import WorkerPool

ProbeTarget = tuple[HookUrl, Secret]

SLOW = 3.0  # seconds for an answer, by our own judgement
_LARGEST_ANSWER = 64 * 1024  # bytes
_CODE_BYTES = 16  # random bytes in a code; written as hex
_STATUS_FIX = (
    "see the receiver's log; it must accept a POST at this path without credentials and without a"
    " redirect: check the path and the key in its URL, if it has one"
)
_RESPONSE = re.compile("[0-9a-f]{64}")
_RECIPE = (
    'answer a challenge with 200 and {"challengeCode": the code, "challengeResponse": lower-case'
    " hex HMAC-SHA256 of the code under the secret}, in UTF-8 without a byte order mark"
)


def key_of(secret: Secret) -> bytes:
    """Return a secret as the key that signs."""
    return secret.reveal().encode("latin-1")


def probe_all(
    wanted: Iterable[ProbeTarget],
    pool: WorkerPool,
    caller: Caller,
    advance: Advance = lambda: None,
) -> dict[ProbeTarget, ReceiverResult]:
    """Challenge each distinct target once, in parallel. A stop leaves out the remaining ones.

    `advance`: called after each challenge.
    """
    targets = list(dict.fromkeys(wanted))

    def probe(target: ProbeTarget) -> ReceiverResult:
        result = challenge(*target, caller)
        advance()
        return result

    found = pool.run([partial(probe, target) for target in targets])
    return {target: result for target, result in zip(targets, found, strict=True) if result}


def doubt(seconds: float) -> tuple[str, str]:
    """Return what may be wrong with an answer that is right, and the fix; or two empty texts."""
    if seconds > SLOW:
        what = f"it takes more than {SLOW:g} s; nobody knows if Preservica waits so long"
        return what, "answer first and work afterwards, as with an inbox"
    return "", ""


def challenge(
    url: HookUrl, secret: Secret, caller: Caller, code: str | None = None
) -> ReceiverResult:
    """Challenge one receiver, and judge its answer.

    `code`: as written in the query; None: a new random one.
    """
    code = code or secrets.token_hex(_CODE_BYTES)
    called = challenged(url, code)
    answer = post(called, caller, "challenge")
    if isinstance(answer, ReceiverResult):
        return answer
    quoted = quote_answer(answer, caller)
    key = key_of(secret)
    result = judge_answer(answer.status, answer.body, code, key, called.identity, quoted=quoted)
    return replace(result, seconds=answer.seconds, status=answer.status)


def challenged(url: HookUrl, code: str) -> HookUrl:
    """Return a URL with a challenge code in its query."""
    separator = "&" if "?" in url.full else "?"
    return HookUrl(url.shown, f"{url.full}{separator}challengeCode={code}")


def quote_answer(answer: Response, caller: Caller) -> str:
    """Return the words of a receiver, or where it redirects to, safe to show."""
    location = answer.headers.get("Location")
    return caller.redactor.quote(masked_url(location) if location else answer.text)


def post(
    url: HookUrl,
    caller: Caller,
    what: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | Iterable[bytes] | None = None,
    method: str = "POST",
) -> Response | ReceiverResult:
    """Call a receiver once. `what`: the name of the call in records."""
    request = Request(
        method,
        url.full,
        {"Connection": "close", **(headers or {})},  # it may leave a request half read
        body,
        answer_limit=_LARGEST_ANSWER,
        is_for_receiver=True,
    )
    try:
        return caller.send(request, "receiver", f"POST {url.shown} {what}")
    except ServiceError as error:  # it is in our own words, or quotes a certificate
        state: ReceiverState = "wrong-answer" if error.kind == "too-large" else "unreachable"
        fix = error.problems[0].fix
        return ReceiverResult(state, error.summary, fix, failure=error.kind)


def judge_answer(
    status: int, body: bytes, code: str, secret: bytes, url: str = "", *, quoted: str = ""
) -> ReceiverResult:
    """Judge a receiver's answer to a challenge. The result quotes nothing of it but `quoted`.

    `code`: as written in the query. `url`: the URL that was called. `quoted`: the receiver's own
    words, or where it redirects to, safe to show. We assume that the service compares text, so a
    response in upper case is wrong.
    """
    words = f": {quoted}" if quoted else ""
    if status != 200:
        fix = _STATUS_FIX if status >= 300 else _RECIPE
        return ReceiverResult("wrong-answer", f"it answers {status}, not 200{words}", fix)
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError):
        document = None
    match document:
        case {"challengeCode": str(echoed), "challengeResponse": str(given)}:
            pass
        case _:
            what = "its answer is not JSON with text in challengeCode and challengeResponse"
            if body.startswith(codecs.BOM_UTF8):
                what = "its answer begins with a byte order mark"
            elif b"\0" in body:
                what = "its answer is in UTF-16 or UTF-32, not in UTF-8"
            return ReceiverResult("wrong-answer", f"{what}{words}", _RECIPE)
    if echoed != unquote_plus(code):
        return ReceiverResult(
            "wrong-answer",
            "its answer does not repeat the challengeCode",
            "return the challengeCode of the query, decoded and otherwise unchanged",
        )
    if given == sign_challenge(secret, unquote_to_bytes(code.replace("+", " "))):
        return ReceiverResult("ready", "", "")
    if mistake := name_mistake(given, challenge_mistakes(secret, code, url)):
        state: ReceiverState = "wrong-secret" if mistake.is_secret else "wrong-answer"
        return ReceiverResult(state, f"its challengeResponse {mistake.what}", mistake.fix)
    if not _RESPONSE.fullmatch(given):
        return ReceiverResult(
            "wrong-answer", "its challengeResponse is not the hex of an HMAC-SHA256", FORM_FIX
        )
    return ReceiverResult(
        "wrong-secret",
        "it signs challenges with a different secret",
        "give the receiver the declared secret, or declare the secret that the receiver has",
    )
