"""Makes scrypt cheap for tests, because a call takes 0.1 s on purpose.

In a process that imports this module, scrypt stretches a secret under a salt only once. In pytest,
one HMAC replaces scrypt, except in tests that use the fixture `real_scrypt`: they check keys, or
share a state with a process that they start.
"""

from __future__ import annotations

import functools
import hashlib
import hmac

import pytest

scrypt = functools.lru_cache(maxsize=4096)(hashlib.scrypt)
hashlib.scrypt = scrypt  # type: ignore[assignment]


def stretch_cheaply(password: bytes, *, salt: bytes, dklen: int, **costs: int) -> bytes:
    """Return a key of a secret and a salt. `costs`: those of scrypt."""
    return hmac.digest(salt, password + repr(costs).encode(), "sha512")[:dklen]


@pytest.fixture
def real_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashlib, "scrypt", scrypt)
