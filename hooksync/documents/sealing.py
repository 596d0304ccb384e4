"""What seals a plan: digests of what was declared and live, what binds it to its URLs, and the signature.

No value of the environment goes into a digest, but whole URLs into those that bind, which have a key.

A signature prevents those who can write a plan's file from redirecting events.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from os.path import join

import msgspec.json

from hooksync.core.model import CredentialRefs, DeclaredSubscription, LiveSubscription, SecretRef
from hooksync.core.signing import PlanKey
from hooksync.core.urls import masked_url

SIGNED_FOR = timedelta(hours=24)  # unless --max-age says otherwise: a signed plan is not good for ever

encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode  # canonical JSON
_encode_fast = msgspec.json.Encoder(order="sorted").encode

_LINES_AT_ONCE = 256  # that are written and hashed together: less work for each, and little memory

_DOMAIN = b"hooksync.plan/1 signature\n"  # a signature of anything else under this key is never one of a plan
_URL_DOMAIN = b"hooksync.plan/1 url\n"  # nor is one a digest of a URL


class Sections(dict[str, object]):
    """An object of a document, each of whose fields starts a line."""


class Blocks(list[Sections]):
    """A list of a document, each of whose items is an object of several lines."""


class Lines(list[str]):
    """A list of a document, each of whose items is a line that is encoded already, so that it is done once."""

    brackets = "[]"


class Pairs(Lines):
    """An object of a document, each of whose fields is such a line; they are sorted by whoever makes it."""

    brackets = "{}"


def encode_line(fields: dict[str, object]) -> str:
    """Write an object without floats as canonical JSON, five times as fast where nothing in it is escaped."""
    try:
        line = _encode_fast(fields)
    except (UnicodeEncodeError, OverflowError):  # half a surrogate pair, or a number of many digits
        return encode(fields)
    return line.decode() if line.isascii() and b"\\" not in line else encode(fields)


def signature_of(document: Mapping[str, object], key: PlanKey) -> str:
    """Sign all of a document but its digest and its signature."""
    rest = {name: value for name, value in document.items() if name not in ("digest", "signature")}
    return key.sign(_DOMAIN, json_parts(Sections(rest)))


def url_digest(declared: DeclaredSubscription, plan_id: str, key: PlanKey | None) -> str:
    """Return what binds a plan to the URL of a declared subscription and does not tell the URL.

    Made under the plan key; where there is none, under the plan's id, which is random: nobody can prepare for it.
    """
    bound = "\n".join((plan_id, declared.address, declared.url.full)).encode("utf-8", "surrogatepass")
    made = hmac.digest(key.value if key else bytes.fromhex(plan_id), _URL_DOMAIN + bound, "sha256")
    return f"hmac-sha256:{made.hex()}"


def live_digest(live: Iterable[LiveSubscription]) -> str:
    """Return the digest of what was live, in any order. What may be a key in a URL is left out."""
    rows = sorted((s.id, masked_url(s.url.full), s.trigger.wire, str(s.include_identifiers)) for s in live)
    return digest(rows)


def digest(data: object) -> str:
    """Return the SHA-256 of data in its canonical JSON."""
    made = hashlib.sha256()
    for part in json_parts(data):
        made.update(part.encode())
    return "sha256:" + made.hexdigest()


def json_parts(data: object, margin: str | None = None) -> Iterator[str]:
    """Write data as JSON, in parts: a document of ten thousand steps is not held a second time for its digest.

    `margin`: a line break and the blanks that indent the data; None: the canonical text, of which digests are made.
    """
    inner = None if margin is None else f"{margin}  "
    between = f",{inner or ''}"
    if isinstance(data, Sections):
        brackets, colon = "{}", ":" if margin is None else ": "
        for number, name in enumerate(sorted(data)):
            yield f"{between if number else brackets[0] + (inner or '')}{encode(name)}{colon}"
            yield from json_parts(data[name], inner)
    elif isinstance(data, Lines):
        # many at once are less work, but a copy: of a digest, parts are dropped; of a text, they are kept and joined
        brackets, number = data.brackets, _LINES_AT_ONCE if margin is None else 1
        for start in range(0, len(data), number):
            yield between if start else brackets[0] + (inner or "")
            yield data[start] if number == 1 else between.join(data[start : start + number])
    elif isinstance(data, Blocks):
        brackets = "[]"
        for number, item in enumerate(data):
            yield between if number else f"[{inner or ''}"
            yield from json_parts(item, inner)
    else:
        yield encode(data)
        return
    yield f"{margin or ''}{brackets[1]}" if data else brackets


def reference(ref: SecretRef) -> dict[str, str]:
    """Write a reference that holds without the hooks file: a relative path starts at the current folder."""
    is_relative = ref.kind == "file" and ref.base and not ref.name.startswith("~")
    return {ref.kind: join(ref.base, ref.name) if is_relative else ref.name}


def credential_references(refs: CredentialRefs) -> dict[str, object]:
    """Write credentials by reference."""
    fields = {"username": refs.username, "password": refs.password, "totp": refs.totp}
    return {**{name: reference(ref) for name, ref in fields.items()}, "method": refs.method}
