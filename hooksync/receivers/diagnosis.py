"""Find the usual mistake behind a wrong signature, by trying each one. Pure.

With the secret, we can make the signature that each mistake leads to. A wrong signature is compared
with these. A receiver that refuses genuine events is sent events with these, one after the other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator
from itertools import product

from hooksync.core.record import Record, replace
from hooksync.receiver import EVENT_PREFIX

_RAW_FIX = "take the raw bytes of the body, before a framework reads them"
_PREFIX = EVENT_PREFIX.decode()
_CODE_FIX = "sign the challengeCode of the query alone, percent-decoded"
_PREFIX_FIX = f"sign the text {_PREFIX}, followed by the raw bytes of the body"
_SEPARATORS = {"compact": (",", ":"), "spaced": (", ", ": ")}  # of JSON


class Mistake(Record, frozen=True):
    """A way to sign wrongly, and the signature that it makes."""

    HIDDEN = ("signature",)

    what: str  # ends a sentence that begins with "the signature"
    fix: str
    signature: str
    is_secret: bool = False  # only the secret is wrong


def name_mistake(signature: str, mistakes: Iterable[Mistake]) -> Mistake | None:
    """Return the mistake that leads to a signature, if there is one."""
    given = signature.strip()
    for mistake in mistakes:
        if mistake.signature in (given, given.lower()):
            return mistake
    return None


def challenge_mistakes(secret: bytes, code: str, url: str) -> Iterator[Mistake]:
    """Yield the mistakes that a receiver may make when it answers a challenge.

    `url`: the URL that was called, with its query.
    """
    signed = code.encode("latin-1")
    target = url.partition("://")[2]
    path = target[target.find("/") :]
    yield _mistake(secret, b"", "is made of the body instead of the code", _CODE_FIX)
    prefixed = EVENT_PREFIX + signed
    yield _mistake(secret, prefixed, f"is made of {_PREFIX} and the code", _CODE_FIX)
    for place in (url, path):
        yield _mistake(secret, place.encode(), "is made of the URL instead of the code", _CODE_FIX)
    yield from _usual_mistakes(secret, signed)


def event_mistakes(secret: bytes, body: bytes) -> Iterator[Mistake]:
    """Yield the mistakes that a sender may make in signing an event, or a receiver in checking."""
    yield _mistake(
        secret, body, f"is made of the body alone, without {_PREFIX} before it", _PREFIX_FIX
    )
    for what, changed in _changed_bodies(body):
        if changed != body:
            yield _mistake(secret, EVENT_PREFIX + changed, f"is made of {what}", _RAW_FIX)
    yield from _usual_mistakes(secret, EVENT_PREFIX + body)


def _changed_bodies(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield descriptions and bodies, changed as servers and frameworks change them."""
    yield "an empty body", b""
    yield "the body in base64", base64.b64encode(body)
    yield "the body without white space at its ends", body.strip()
    text = body.decode("utf-8", "replace")
    yield "the body in Latin-1 instead of UTF-8", text.encode("latin-1", "replace")
    yield "the body read as Latin-1 instead of UTF-8", body.decode("latin-1").encode()
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return
    for form, is_ascii, is_sorted in product(_SEPARATORS, (True, False), (False, True)):
        again = json.dumps(
            document, ensure_ascii=is_ascii, sort_keys=is_sorted, separators=_SEPARATORS[form]
        )
        order = "sorted " if is_sorted else ""
        yield f"the event written again as {order}{form} JSON", again.encode("utf-8", "replace")


def _usual_mistakes(secret: bytes, message: bytes) -> Iterator[Mistake]:
    """Yield mistakes that sign the right message in a wrong way."""
    for end in (b"\n", b"\r\n"):
        what = "is made with the secret and a line break at its end"
        fix = "set the secret without a line break, as with printf %s"
        yield replace(_mistake(secret + end, message, what, fix), is_secret=True)
    fix = "use HMAC-SHA256: the key is the text of the secret"
    yield _mistake(message, secret, "is made with key and message swapped", fix)
    for text in (secret + message, message + secret, message):
        plain = hashlib.sha256(text).hexdigest()
        yield Mistake("is a plain SHA-256, and no HMAC", fix, plain)
    right = hmac.new(secret, message, hashlib.sha256)
    fix = "write the HMAC-SHA256 as 64 lower-case hex digits, and nothing else"
    yield Mistake("is right, but in upper case", fix, right.hexdigest().upper())
    yield Mistake("is right, but after `sha256=`", fix, f"sha256={right.hexdigest()}")
    encoded = base64.b64encode(right.digest()).decode()
    yield Mistake("is right, but in base64", fix, encoded)


def _mistake(secret: bytes, message: bytes, what: str, fix: str) -> Mistake:
    return Mistake(what, fix, hmac.new(secret, message, hashlib.sha256).hexdigest())
