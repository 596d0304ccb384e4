"""Canonical JSON, its digest, and documents with a record a line. Pure.

A document of ten thousand steps is written in parts: it is not held a second time for its digest.
Each step is on one line, so that it can be read and compared, and is encoded once, for the text and
the digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import msgspec.json

# canonical JSON
encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode
_encode_fast = msgspec.json.Encoder(order="sorted").encode


class Sections(dict[str, object]):
    """An object of a document, each of whose fields starts a line."""


class Lines(list[Any]):
    """A list, each of whose items starts a line."""


def encode_line(data: object) -> bytes:
    """Write data without floats as canonical JSON; five times as fast if nothing is escaped."""
    try:
        line = _encode_fast(data)
    except (UnicodeEncodeError, OverflowError):  # half a surrogate pair, or a number of many digits
        return encode(data).encode()
    return line if line.isascii() and b"\\" not in line else encode(data).encode()


def sealed(document: Sections) -> str:
    """Add the digest of everything else and write it all."""
    document["digest"] = digest(document)
    # a line break added to the whole would copy it
    return b"".join((*json_parts(document, b"\n"), b"\n")).decode()


def digest(data: object) -> str:
    """Return the SHA-256 of data in its canonical JSON."""
    made = hashlib.sha256()
    for part in json_parts(data):
        made.update(part)
    return "sha256:" + made.hexdigest()


def json_parts(data: object, margin: bytes | None = None) -> Iterator[bytes]:
    """Write data as JSON, in parts, so that a large document is not copied for its digest.

    Bytes are JSON already: encoded once, for the text and the digest. `margin`: a line break and
    the blanks that indent the data; None: the canonical text, of which digests are made.
    """
    if not isinstance(data, Sections | Lines):
        yield data if isinstance(data, bytes) else encode(data).encode()
        return
    opening, closing = (b"{", b"}") if isinstance(data, Sections) else (b"[", b"]")
    if not data:
        yield opening + closing
        return
    inner = None if margin is None else margin + b"  "
    yield opening + (inner or b"")
    if isinstance(data, Sections):
        yield from _field_parts(data, inner)
    else:
        yield from _item_parts(data, inner)
    yield (margin or b"") + closing


def _field_parts(data: Sections, margin: bytes | None) -> Iterator[bytes]:
    separator = b""
    colon = b":" if margin is None else b": "
    for name in sorted(data):
        yield separator + encode(name).encode() + colon
        yield from json_parts(data[name], margin)
        separator = b"," + (margin or b"")


def _item_parts(data: Lines, margin: bytes | None) -> Iterator[bytes]:
    separator = b"," + (margin or b"")
    if margin is None and isinstance(data[0], bytes):  # many at once: a part has its price
        for start in range(0, len(data), 100):
            yield (separator if start else b"") + separator.join(data[start : start + 100])
        return
    for number, each in enumerate(data):
        yield separator if number else b""
        yield from json_parts(each, margin)


def to_text(document: object) -> str:
    """Write a small document, indented."""
    return json.dumps(document, indent=2, sort_keys=True) + "\n"
