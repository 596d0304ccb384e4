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
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_to_bytes

from hooksync.core.record import Record
from hooksync.receiver import EVENT_PREFIX, sign_challenge

_RAW_FIX = (
    "take the raw bytes of the body, before a framework, a proxy or a relay such as smee changes"
    " them"
)
_PREFIX = EVENT_PREFIX.decode()
_CODE_FIX = "sign the challengeCode of the query alone, percent-decoded"
_PREFIX_FIX = f"sign the text {_PREFIX}, followed at once by the raw bytes of the body"
_KEY_FIX = "the key is the text of the secret, exactly as it was given to Preservica"
_SECRET_FIX = (
    f"{_KEY_FIX}: set it without quotation marks, spaces or a line break, as with printf %s, and do"
    " not decode it"
)
_HMAC_FIX = f"use HMAC-SHA256; {_KEY_FIX}"
_HEX_FIX = "write the HMAC-SHA256 as 64 lower-case hex digits, and nothing else"
# how programs write JSON, as arguments of json.dumps
_JSON_FORMS: dict[str, dict[str, Any]] = {
    "compact": {"separators": (",", ":")},
    "spaced": {},
    "indented": {"indent": 2},
    "sorted compact": {"separators": (",", ":"), "sort_keys": True},
    "sorted spaced": {"sort_keys": True},
}


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
    forms = (given, given.lower())
    return next((mistake for mistake in mistakes if mistake.signature in forms), None)


def challenge_mistakes(secret: bytes, code: str, url: str) -> Iterator[Mistake]:
    """Yield the mistakes that a receiver may make when it answers a challenge.

    `code`: as written in the query. `url`: the URL that was called, with its query.
    """
    signed = unquote_to_bytes(code.replace("+", " "))
    target = url.partition("://")[2]
    path = target[target.find("/") :]
    for what, message in (
        ("is made of the body instead of the code", b""),
        (f"is made of {_PREFIX} and the code", EVENT_PREFIX + signed),
        ("is made of the URL instead of the code", url.encode()),
        ("is made of the URL instead of the code", path.encode()),
        ("is made of the code before it was decoded", code.encode()),
    ):
        if message != signed:
            yield Mistake(what, _CODE_FIX, sign_challenge(secret, message))
    fix = "sign the code; do not send it back as the response"
    yield Mistake("is the challengeCode itself", fix, signed.decode("latin-1"))
    yield from _usual_mistakes(secret, signed)


def event_mistakes(secret: bytes, body: bytes) -> Iterator[Mistake]:
    """Yield the mistakes that a sender may make in signing an event, or a receiver in checking."""
    for what, message in (
        (f"is made of the body alone, without {_PREFIX} before it", body),
        (f"has a line break between {_PREFIX} and the body", EVENT_PREFIX + b"\n" + body),
        (f"has a colon between {_PREFIX} and the body", EVENT_PREFIX + b":" + body),
        (f"has a space between {_PREFIX} and the body", EVENT_PREFIX + b" " + body),
        ("has the prefix in different letters", b"Preservica-Webhook-Auth" + body),
        ("has the prefix after the body", body + EVENT_PREFIX),
    ):
        yield Mistake(what, _PREFIX_FIX, sign_challenge(secret, message))
    for what, changed in _changed_bodies(body):
        if changed != body:
            yield Mistake(
                f"is made of {what}", _RAW_FIX, sign_challenge(secret, EVENT_PREFIX + changed)
            )
    yield from _usual_mistakes(secret, EVENT_PREFIX + body)


def _changed_bodies(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield descriptions and bodies, changed as servers, proxies and frameworks change them."""
    yield "an empty body", b""
    yield "the text undefined instead of the body", b"undefined"
    yield "the body in base64", base64.b64encode(body)
    yield "the body without white space at its ends", body.strip()
    yield "the body and a line break", body + b"\n"
    yield "the body with different line breaks", body.replace(b"\r\n", b"\n")
    yield (
        "the body with different line breaks",
        body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
    )
    text = body.decode("utf-8", "replace")
    yield "the body in Latin-1 instead of UTF-8", text.encode("latin-1", "replace")
    yield "the body read as Latin-1 instead of UTF-8", body.decode("latin-1").encode()
    yield "the body cut to ASCII", text.encode("ascii", "ignore")
    yield "the body cut to ASCII", text.encode("ascii", "replace")
    with suppress(ValueError, RecursionError):
        yield from _rewritten(json.loads(body))


def _rewritten(document: object) -> Iterator[tuple[str, bytes]]:
    """Yield descriptions and bodies of an event that was read and written again as JSON."""
    for name, how in _JSON_FORMS.items():
        for is_ascii in (False, True):
            again = json.dumps(document, ensure_ascii=is_ascii, **how)
            what = f"the event written again as {name} JSON"
            yield what, again.encode("utf-8", "replace")
            if not is_ascii:
                yield f"{what} in Latin-1", again.encode("latin-1", "replace")


def _secrets(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield wrong forms of a secret: what is wrong, and the key."""
    yield "and a line break at its end", secret + b"\n"
    yield "and a line break at its end", secret + b"\r\n"
    yield "and a space at its end", secret + b" "
    yield "in quotation marks", b'"' + secret + b'"'
    yield "in quotation marks", b"'" + secret + b"'"
    with suppress(ValueError):
        yield "read as hex", bytes.fromhex(secret.decode("ascii"))
    with suppress(ValueError):
        yield "read as base64", base64.b64decode(secret)


def _usual_mistakes(secret: bytes, message: bytes) -> Iterator[Mistake]:
    """Yield mistakes that sign the right message in a wrong way."""
    for what, key in _secrets(secret):
        signature = sign_challenge(key, message)
        yield Mistake(f"is made with the secret {what}", _SECRET_FIX, signature, is_secret=True)
    yield Mistake(
        "is made with key and message swapped", _HMAC_FIX, sign_challenge(message, secret)
    )
    for name in ("sha1", "sha512"):
        digest = hmac.new(secret, message, name).hexdigest()
        yield Mistake(f"is an HMAC-{name.upper()}", _HMAC_FIX, digest)
    for text in (secret + message, message + secret, message):
        plain = hashlib.sha256(text).hexdigest()
        yield Mistake("is a plain SHA-256, and no HMAC", _HMAC_FIX, plain)
    right = sign_challenge(secret, message)
    yield Mistake("is right, but in upper case", _HEX_FIX, right.upper())
    yield Mistake("is right, but after `sha256=`", _HEX_FIX, f"sha256={right}")
    encoded = base64.b64encode(bytes.fromhex(right)).decode()
    yield Mistake("is right, but in base64", _HEX_FIX, encoded)
