"""Caches scrypt, so that a process stretches a secret under a salt only once. A call of scrypt
takes 0.1 s on purpose.

Import this module to run many commands in one process. If even one call is too slow, and the key
does not matter, replace scrypt by `stretch_cheaply`.
"""

from __future__ import annotations

import functools
import hashlib
import hmac

hashlib.scrypt = functools.lru_cache(maxsize=4096)(hashlib.scrypt)  # type: ignore[assignment]


def stretch_cheaply(password: bytes, *, salt: bytes, dklen: int, **costs: int) -> bytes:
    """Return a key of a secret and a salt, much faster than scrypt. `costs`: those of scrypt."""
    return hmac.digest(salt, password + repr(costs).encode(), "sha512")[:dklen]
