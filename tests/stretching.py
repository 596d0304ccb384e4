"""Stretches the same secret under the same salt once in a process: scrypt is a pure function, meant
to cost 0.1 s.

To be imported by whatever runs many commands in one process. Where even once is too often, and
nobody looks at what comes of it, `stretch_cheaply` stands for scrypt.
"""

from __future__ import annotations

import functools
import hashlib
import hmac

hashlib.scrypt = functools.lru_cache(maxsize=4096)(hashlib.scrypt)  # type: ignore[assignment]


def stretch_cheaply(password: bytes, *, salt: bytes, dklen: int, **costs: int) -> bytes:
    """Make a key of a secret and a salt in no time. `costs`: as of scrypt."""
    return hmac.digest(salt, password + repr(costs).encode(), "sha512")[:dklen]
