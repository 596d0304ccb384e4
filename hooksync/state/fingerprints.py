"""Fingerprints and tags of secrets, and digests of declared subscriptions.

scrypt, which makes the key of a fingerprint, is slow by design. So it runs in parallel, and only
once for each secret and salt. A tag is one HMAC: without the key of the run, nobody can test a
guess with it. This module is allowed to reveal secrets. The keys that it returns are only for
signing, and are never shown.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Iterable

from hooksync.core.model import Secret, SubscriptionKey, TenancyKey
from hooksync.core.record import Record
from hooksync.core.signing import PlanKey

SALT_BYTES = 16

# These values must never change: all fingerprints and digests in states depend on them.
_ENTRY = "hooksync.state/entry"
_DECLARED = "hooksync.state/declared"
_TAG = "hooksync.state/tag"

_KEY_BYTES = 32
# bytes that OpenSSL may use; the 32 MiB of the table alone are not quite enough
_MEMORY = 64 * 1024 * 1024


class Key(Record):
    """The key that scrypt derives from a secret and a salt. It signs, and is never shown."""

    value: bytes


class Salt(Record):
    """A salt of scrypt, and the cost. Each reference to a secret has its own salt."""

    # unique: the reference and the first bytes of the salt, e.g. "env:HOOK_SECRET#1f2e3d4c"
    id: str
    salt: str  # hex
    # the cost of scrypt: 32 MiB and about 0.1 s; the schema of the state allows no other
    n: int = 2**15
    r: int = 8
    p: int = 1


SecretWithSalt = tuple[Secret, Salt]
Derive = Callable[[SecretWithSalt], Key]


def fingerprint(key: Key, tenancy: TenancyKey, identifier: str) -> str:
    """Return the fingerprint of a secret for one live subscription.

    If it is copied to a different subscription, it does not match there.
    """
    return _digest(key.value, _ENTRY, tenancy.server, tenancy.tenant, identifier)


def identity_digest(url_salt: str, key: SubscriptionKey) -> str:
    """Return a digest that identifies a URL and trigger, so that the state keeps no URL."""
    return _digest(bytes.fromhex(url_salt), _DECLARED, key.url, key.trigger)


def derive_key(wanted: SecretWithSalt) -> Key:
    """Derive the key of one secret under one salt; takes about 0.1 s."""
    secret, salt = wanted
    key = hashlib.scrypt(
        secret.reveal().encode(),
        salt=bytes.fromhex(salt.salt),
        n=salt.n,
        r=salt.r,
        p=salt.p,
        maxmem=_MEMORY,
        dklen=_KEY_BYTES,
    )
    return Key(key)


class KeyRing:
    """The keys that a run has derived so far, so that none is derived twice."""

    def __init__(
        self, width: int, derive: Derive = derive_key, run_key: PlanKey | None = None
    ) -> None:
        """`width`: most parallel derivations; more than the processors would only cost memory.

        `run_key`: makes the key of tags.
        """
        self._width = min(width, os.cpu_count() or 1)
        self._derive = derive
        self._keys: dict[SecretWithSalt, Key] = {}
        self._tag_key = _digest(run_key.value, _TAG) if run_key else ""  # hex

    def derive(self, wanted: Iterable[SecretWithSalt]) -> None:
        """Derive the keys that are missing, in parallel."""
        missing = [pair for pair in dict.fromkeys(wanted) if pair not in self._keys]
        from concurrent.futures import ThreadPoolExecutor  # only here: `validate` derives none

        with ThreadPoolExecutor(self._width, thread_name_prefix="scrypt") as pool:
            self._keys |= zip(missing, pool.map(self._derive, missing), strict=True)

    def key(self, secret: Secret, salt: Salt) -> Key:
        """Return a key that was derived before."""
        return self._keys[secret, salt]

    def tag(self, secret: Secret, tenancy: TenancyKey, identifier: str) -> str:
        """Return the tag of a secret for one live subscription.

        "": the run has no key, or the secret is weak, so that a stolen key would reveal it.
        """
        if not self._tag_key or secret.weakness:
            return ""
        key = bytes.fromhex(self._tag_key)
        return _digest(key, secret.reveal(), tenancy.server, tenancy.tenant, identifier)


def _digest(key: bytes, *parts: str) -> str:
    """Return the HMAC-SHA256 of the parts, as hex.

    Each part follows its length, because ids come from the service and may contain any character.
    """
    joined = b""
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        joined += len(encoded).to_bytes(8, "big") + encoded
    return hmac.digest(key, joined, "sha256").hex()
