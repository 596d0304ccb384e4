"""Warnings about secrets that others could guess, and new secrets. A warning names the reference, never the value.

The check finds what people leave in place by carelessness; it does not prove that a secret is strong.
"""

from __future__ import annotations

import re
import secrets
from itertools import pairwise

from hooksync.core.errors import Problem
from hooksync.core.model import Secret, SecretRef

_BYTES = 32  # random; as many as HMAC-SHA256 uses
SHORTEST_STRONG = 16  # bytes
FIX = "make one with `hooksync secret generate`, and give it to the receiver too"

_WORDS = (
    "secret", "changeme", "password", "passw0rd", "preservica", "webhook", "hook", "test", "example", "default",
    "admin", "qwerty", "letmein", "my", "shared", "key", "token", "the", "your", "here", "sandbox", "catalogue",
)  # fmt: skip
_WELL_KNOWN = re.compile(f"(?:{'|'.join(_WORDS)})+[0-9]{{0,4}}")  # such words alone, and perhaps a year
_SEPARATORS = re.compile("[^0-9a-z]+")


def doubts_about(secret: Secret, ref: SecretRef) -> tuple[Problem, ...]:
    """Warn of a secret that is well known, follows a pattern, or is short: one warning, of the worst."""
    value = secret.reveal()
    if _is_well_known(value):
        return (Problem(f"secret {ref} is a well-known value", FIX, ref.location),)
    if _is_pattern(value):
        return (Problem(f"secret {ref} is a simple pattern", FIX, ref.location),)
    if len(value.encode("utf-8", "surrogatepass")) < SHORTEST_STRONG:
        return (Problem(f"secret {ref} is shorter than {SHORTEST_STRONG} bytes", FIX, ref.location),)
    return ()


def _is_well_known(value: str) -> bool:
    return bool(_WELL_KNOWN.fullmatch(_SEPARATORS.sub("", value.lower())))


def _is_pattern(value: str) -> bool:
    """Whether it is one character again and again, or digits that count up or down."""
    if len(set(value)) == 1:
        return True
    if not (value.isascii() and value.isdigit()):
        return False
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(value)}
    return steps in ({1}, {9})


def generate_secret() -> str:
    """Make a secret that service and receiver can share: 43 letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(_BYTES)
