"""Signed events: which secret made a signature, and what can be told of one that none made. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress

from hooksync.core.model import Secret, SecretRef
from hooksync.receiver import sign_challenge, sign_event, verify_event

SIGNATURE = "Preservica-Signature"  # the header

_HEX = re.compile("[0-9A-Fa-f]{64}")


def keys_of(secrets: Mapping[SecretRef, Secret]) -> dict[str, bytes]:
    """Return keys as `hooksync.receiver` takes them, named by their numbers: two secrets may be written alike."""
    return {str(number): secret.reveal().encode("latin-1") for number, secret in enumerate(secrets.values())}


def find_signers(secrets: Mapping[SecretRef, Secret], body: bytes, signature: str) -> list[SecretRef]:
    """Find what an event was signed with: references to one secret, or none. `body`: raw bytes, as received."""
    keys = zip(secrets, keys_of(secrets).values(), strict=True)
    return [ref for ref, key in keys if verify_event({"": key}, body, signature) is not None]


def explain_signature(secrets: Mapping[SecretRef, Secret], body: bytes, signature: str) -> str:
    """Say what can be told of a signature that none of the secrets made of this body; quotes nothing of it."""
    if not signature:
        return f"the header {SIGNATURE} is missing"
    given = signature.strip().lower()
    if not _HEX.fullmatch(given):
        return "the signature is not the hex of an HMAC-SHA256, which has 64 digits"
    for ref, key in zip(secrets, keys_of(secrets).values(), strict=True):
        if sign_challenge(key, body) == given:
            return f"{ref} signed the body alone: preservica-webhook-auth goes before it"
        for what, other in _former_bodies(body):
            if sign_event(key, other) == given:
                return f"{ref} signed it, and then the body was changed: {what}"
    return "the signature is wrong: another secret, or the body was changed on its way"


def _former_bodies(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Guess what a body was before it was changed, as frameworks, editors and shells change it."""
    end = "white space at its end"
    yield from ((end, body.rstrip()), (end, body.rstrip() + b"\n"), (end, body.rstrip() + b"\r\n"))
    with suppress(UnicodeError):
        yield "its encoding", body.decode("utf-8").encode("latin-1")
    with suppress(UnicodeError):
        yield "its encoding", body.decode("latin-1").encode("utf-8")
    with suppress(ValueError, RecursionError):
        document = json.loads(body)
        for is_ascii in (False, True):
            for separators in ((",", ":"), (", ", ": ")):
                text = json.dumps(document, separators=separators, ensure_ascii=is_ascii)
                yield "its JSON was read and written again", text.encode("utf-8", "surrogatepass")
