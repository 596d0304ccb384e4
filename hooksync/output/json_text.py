"""Canonical JSON and its digest, and documents as indented JSON. Pure.

All of it is ASCII, so that a stream of any encoding takes it.
"""

from __future__ import annotations

import json

import msgspec.json

from hooksync.core.record import to_builtins


def canonical(data: object) -> bytes:
    """Write data as canonical JSON: sorted, compact, ASCII. Records are objects.

    msgspec takes a fifth of the time that `json` takes, but does not escape what is not ASCII.
    """
    try:
        text = msgspec.json.encode(data, order="sorted")
        if text.isascii() and b"\x7f" not in text:
            return text
    except (UnicodeEncodeError, OverflowError):  # half a surrogate pair, or a number of many digits
        pass
    encoded = json.dumps(to_builtins(data), sort_keys=True, separators=(",", ":"))
    return encoded.encode()


def digest(data: object) -> str:
    """Return the SHA-256 of data in its canonical JSON."""
    import hashlib  # only here: `validate` needs none, and its start-up is measured

    return "sha256:" + hashlib.sha256(canonical(data)).hexdigest()


def to_text(document: object) -> str:
    """Write a document, indented."""
    text = canonical(document)
    try:
        return msgspec.json.format(text, indent=2).decode() + "\n"
    except msgspec.DecodeError:  # half a surrogate pair
        return json.dumps(json.loads(text), indent=2) + "\n"


def sealed(document: dict[str, object]) -> str:
    """Write a document with the digest of everything else in it."""
    return to_text({**document, "digest": digest(document)})
