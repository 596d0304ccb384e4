"""Secrets become keys here, at a price: scrypt, side by side, each distinct secret and salt once.

One of the rooms that may reveal a secret; what it gives out only signs, and shows nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable

from hooksync.core.model import Secret
from hooksync.state.model import Key, Salt

Wanted = tuple[Secret, Salt]

_KEY_BYTES = 32
_LEAST_MEMORY = 64 * 1024 * 1024  # bytes that OpenSSL may take; the 32 MiB of the usual cost are not quite enough


def stretch(wanted: Wanted) -> Key:
    """Derive the key of one secret under one salt; about 0.1 s at the usual cost."""
    secret, salt = wanted
    memory = max(_LEAST_MEMORY, 256 * salt.n * salt.r)  # twice what its table takes
    value = secret.reveal().encode()
    return Key(hashlib.scrypt(value, salt=salt.salt, n=salt.n, r=salt.r, p=salt.p, maxmem=memory, dklen=_KEY_BYTES))


def derive_keys(wanted: Collection[Wanted], width: int, derive: Callable[[Wanted], Key] = stretch) -> dict[Wanted, Key]:
    """Derive the key of each distinct pair, once.

    `width`: how many at a time, at most; more than there are processors would only take memory.
    """
    distinct = tuple(dict.fromkeys(wanted))
    threads = max(1, min(width, os.cpu_count() or 1, len(distinct)))
    if threads == 1:
        return {each: derive(each) for each in distinct}
    from concurrent.futures import ThreadPoolExecutor  # only here: most runs have no use for it

    with ThreadPoolExecutor(threads, thread_name_prefix="scrypt") as pool:
        return dict(zip(distinct, pool.map(derive, distinct), strict=True))


class KeyRing:
    """The keys that a run has derived so far, so that none is paid for twice."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._keys: dict[Wanted, Key] = {}

    def derive(self, wanted: Iterable[Wanted]) -> None:
        """Derive what is not there yet, side by side."""
        self._keys |= derive_keys([each for each in dict.fromkeys(wanted) if each not in self._keys], self._width)

    def key(self, secret: Secret, salt: Salt) -> Key:
        """Give a key that was derived before."""
        return self._keys[secret, salt]
