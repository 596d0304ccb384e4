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
FORM_FIX = f"write the HMAC-SHA256 as 64 lower-case hex digits, and nothing else; {_KEY_FIX}"
# how programs write JSON, as arguments of json.dumps
_JSON_FORMS: dict[str, dict[str, Any]] = {
    "compact": {"separators": (",", ":")},
    "spaced": {},
    "indented": {"indent": 2},
    "sorted compact": {"separators": (",", ":"), "sort_keys": True},
    "sorted spaced": {"sort_keys": True},
}


class Mistake(Record):
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
    path = "/" + url.partition("://")[2].partition("/")[2]
    messages = (
        ("is made of the body instead of the code", b""),
        (f"is made of {_PREFIX} and the code", EVENT_PREFIX + signed),
        ("is made of the URL instead of the code", url.encode()),
        ("is made of the URL instead of the code", path.encode()),
        ("is made of the code before it was decoded", code.encode()),
    )
    yield from _wrong_messages(secret, signed, messages, _CODE_FIX)
    fix = "sign the code; do not send it back as the response"
    yield Mistake("is the challengeCode itself", fix, signed.decode("latin-1"))
    yield from _usual_mistakes(secret, signed)


def event_mistakes(secret: bytes, body: bytes) -> Iterator[Mistake]:
    """Yield the mistakes that a sender may make in signing an event, or a receiver in checking."""
    right = EVENT_PREFIX + body
    messages = (
        (f"is made of the body alone, without {_PREFIX} before it", body),
        (f"has a line break between {_PREFIX} and the body", EVENT_PREFIX + b"\n" + body),
        (f"has a colon between {_PREFIX} and the body", EVENT_PREFIX + b":" + body),
        ("has the prefix in different letters", b"Preservica-Webhook-Auth" + body),
        ("has the prefix after the body", body + EVENT_PREFIX),
    )
    yield from _wrong_messages(secret, right, messages, _PREFIX_FIX)
    changed = ((f"is made of {what}", EVENT_PREFIX + other) for what, other in _changed(body))
    yield from _wrong_messages(secret, right, changed, _RAW_FIX)
    yield from _usual_mistakes(secret, right)


def _wrong_messages(
    secret: bytes, right: bytes, messages: Iterable[tuple[str, bytes]], fix: str
) -> Iterator[Mistake]:
    """Yield the mistakes of signing a message other than the right one."""
    for what, message in messages:
        if message != right:
            yield Mistake(what, fix, sign_challenge(secret, message))


def _changed(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield descriptions and bodies, changed as servers, proxies and frameworks change them."""
    text = body.decode("utf-8", "replace")
    lines = body.replace(b"\r\n", b"\n")
    yield from (
        ("an empty body", b""),
        ("the text undefined instead of the body", b"undefined"),
        ("the body in base64", base64.b64encode(body)),
        ("the body without white space at its ends", body.strip()),
        ("the body and a line break", body + b"\n"),
        ("the body with different line breaks", lines),
        ("the body with different line breaks", lines.replace(b"\n", b"\r\n")),
        ("the body in Latin-1 instead of UTF-8", text.encode("latin-1", "replace")),
        ("the body read as Latin-1 instead of UTF-8", body.decode("latin-1").encode()),
        ("the body cut to ASCII", text.encode("ascii", "ignore")),
        ("the body cut to ASCII", text.encode("ascii", "replace")),
    )
    with suppress(ValueError, RecursionError):
        document = json.loads(body)
        for name, how in _JSON_FORMS.items():
            for is_ascii in (False, True):
                again = json.dumps(document, ensure_ascii=is_ascii, **how)
                what = f"the event written again as {name} JSON"
                yield what, again.encode("utf-8", "replace")
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
    right = sign_challenge(secret, message)
    for what, signature in (
        ("is made with key and message swapped", sign_challenge(message, secret)),
        ("is an HMAC-SHA1", hmac.new(secret, message, "sha1").hexdigest()),
        ("is an HMAC-SHA512", hmac.new(secret, message, "sha512").hexdigest()),
        ("is a plain SHA-256, and no HMAC", hashlib.sha256(secret + message).hexdigest()),
        ("is a plain SHA-256, and no HMAC", hashlib.sha256(message + secret).hexdigest()),
        ("is a plain SHA-256, and no HMAC", hashlib.sha256(message).hexdigest()),
        ("is right, but in upper case", right.upper()),
        ("is right, but after `sha256=`", f"sha256={right}"),
        ("is right, but in base64", base64.b64encode(bytes.fromhex(right)).decode()),
    ):
        yield Mistake(what, FORM_FIX, signature)
