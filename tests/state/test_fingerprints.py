"""Tests of the keys that scrypt derives from secrets: each is derived once, and none is shown."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.model import Secret
from hooksync.state.fingerprints import Key, KeyRing, Salt, SecretWithSalt, derive_key

pytestmark = pytest.mark.usefixtures("real_scrypt")

ONE, TWO = Secret("the-first-shared-secret"), Secret("the-second-shared-secret")
SALT, OTHER_SALT = Salt("env:A#61616161", "61" * 16), Salt("env:B#62626262", "62" * 16)


def derive_keys(
    wanted: list[SecretWithSalt], width: int, derive: Callable[[SecretWithSalt], Key] = derive_key
) -> dict[SecretWithSalt, Key]:
    ring = KeyRing(width, derive)
    ring.derive(wanted)
    return {each: ring.key(*each) for each in wanted}


def expected(secret: str, salt: Salt) -> bytes:
    return hashlib.scrypt(
        secret.encode(), salt=bytes.fromhex(salt.salt), n=2**15, r=8, p=1, maxmem=2**28, dklen=32
    )


@given(
    st.lists(st.tuples(st.sampled_from([ONE, TWO]), st.sampled_from([SALT, OTHER_SALT]))),
    st.integers(1, 8),
)
def test_each_distinct_pair_of_secret_and_salt_is_derived_once(
    wanted: list[SecretWithSalt], width: int
) -> None:
    derived: Counter[SecretWithSalt] = Counter()

    def derive(each: SecretWithSalt) -> Key:
        derived[each] += 1
        return Key(b"")

    keys = derive_keys(wanted, width, derive)
    assert set(keys) == set(wanted)
    assert derived == Counter(set(wanted))


def test_equal_secrets_from_two_places_share_one_key() -> None:
    keys = derive_keys([(Secret("the-first-shared-secret"), SALT), (ONE, SALT)], 4)
    assert list(keys) == [(ONE, SALT)]


def test_each_pair_of_secret_and_salt_gets_its_own_key() -> None:
    pairs = [(secret, salt) for secret in (ONE, TWO) for salt in (SALT, OTHER_SALT)]
    keys = derive_keys(pairs, 8)
    for secret, salt in pairs:
        assert keys[secret, salt].value == expected(secret.reveal(), salt)


def test_printed_keys_show_neither_the_secret_nor_the_value_of_a_key() -> None:
    keys = derive_keys([(ONE, SALT)], 1)
    shown = f"{keys} {keys!r} {list(keys.values())} {keys[ONE, SALT]}"
    stretched = hashlib.scrypt(
        b"the-first-shared-secret", salt=b"a" * 16, n=2**15, r=8, p=1, maxmem=2**26, dklen=32
    )
    for hidden in ("the-first-shared-secret", stretched.hex(), repr(stretched)):
        assert hidden not in shown
