"""Find the usual mistake behind a wrong signature, by trying each one. Pure.

With the secret, we can make the signature that each mistake leads to. A wrong signature is compared
with these. `receivers/diagnosis.py` has the mistakes that only events have.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from contextlib import suppress
from urllib.parse import unquote_to_bytes

from hooksync.core.record import Record
from hooksync.receiver import EVENT_PREFIX, sign_challenge

_PREFIX = EVENT_PREFIX.decode()
_CUTS = (16, 20, 24, 32, 64, 128, 255, 256)  # lengths of columns and of keys
_CODE_FIX = "sign the challengeCode of the query alone, percent-decoded"
_KEY_FIX = "the key is the text of the secret, exactly as it was given to Preservica"
_SECRET_FIX = (
    f"{_KEY_FIX}: set it without quotation marks, spaces or a line break, as with printf %s, and do"
    " not decode it"
)
FORM_FIX = f"write the HMAC-SHA256 as 64 lower-case hex digits, and nothing else; {_KEY_FIX}"


class Mistake(Record):
    """A way to sign wrongly, and the signature that it makes."""

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
        ("is made of the code in lower case", signed.lower()),
        ("is made of the code in upper case", signed.upper()),
        *(
            (f"is made of the first {number} bytes of the code", signed[:number])
            for number in _CUTS
        ),
    )
    yield from wrong_messages(secret, signed, messages, _CODE_FIX)
    yield Mistake(
        "is the challengeCode itself",
        "sign the code; do not send it back as the response",
        signed.decode("latin-1"),
    )
    yield from usual_mistakes(secret, signed)


def wrong_messages(
    secret: bytes, right: bytes, messages: Iterable[tuple[str, bytes]], fix: str
) -> Iterator[Mistake]:
    """Yield the mistakes of signing a message other than the right one."""
    for what, message in messages:
        if message != right:
            yield Mistake(what, fix, sign_challenge(secret, message))


def _secrets(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield wrong forms of a secret: what is wrong, and the key."""
    yield "and a line break at its end", secret + b"\n"
    yield "and a line break at its end", secret + b"\r\n"
    yield "and a space at its end", secret + b" "
    yield "in quotation marks", b'"' + secret + b'"'
    yield "in quotation marks", b"'" + secret + b"'"
    text = secret.decode("latin-1")
    for what, decode, written in (
        ("read as hex", bytes.fromhex, text),
        ("read as base64", base64.urlsafe_b64decode, f"{text}=="),
        ("read as base64", base64.b64decode, f"{text}=="),
    ):
        with suppress(ValueError):
            yield what, decode(written)
    for codec in ("utf-16", "utf-16-le", "utf-16-be"):
        yield "in UTF-16", text.encode(codec)
    for number in _CUTS:
        if number < len(secret):
            yield f"cut to {number} bytes", secret[:number]


def usual_mistakes(secret: bytes, message: bytes) -> Iterator[Mistake]:
    """Yield mistakes that sign the right message in a wrong way."""
    for what, key in _secrets(secret):
        signature = sign_challenge(key, message)
        yield Mistake(f"is made with the secret {what}", _SECRET_FIX, signature, is_secret=True)
    right = sign_challenge(secret, message)
    digest = hashlib.sha256(message)
    for name in ("MD5", "SHA1", "SHA512"):
        signature = hmac.new(secret, message, name).hexdigest()
        yield Mistake(f"is an HMAC-{name}", FORM_FIX, signature)
    for what, signature in (
        ("is made with key and message swapped", sign_challenge(message, secret)),
        ("is a plain MD5, and no HMAC", hashlib.md5(secret + message).hexdigest()),  # noqa: S324  # nosec B324
        ("is an HMAC of a digest", sign_challenge(secret, digest.digest())),
        (
            "is an HMAC of a digest",
            sign_challenge(secret, digest.hexdigest().encode()),
        ),
        ("is the digest of an HMAC", hashlib.sha256(bytes.fromhex(right)).hexdigest()),
        ("is the digest of an HMAC", hashlib.sha256(right.encode()).hexdigest()),
        ("is a plain SHA-256, and no HMAC", hashlib.sha256(secret + message).hexdigest()),
        ("is a plain SHA-256, and no HMAC", hashlib.sha256(message + secret).hexdigest()),
        ("is a plain SHA-256, and no HMAC", digest.hexdigest()),
        ("is right, but in upper case", right.upper()),
        ("is right, but after `sha256=`", f"sha256={right}"),
        ("is right, but in base64", base64.b64encode(bytes.fromhex(right)).decode()),
    ):
        yield Mistake(what, FORM_FIX, signature)
