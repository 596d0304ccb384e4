"""Tests of the keys that scrypt derives from secrets: each is derived once, and none is shown."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.errors import StateError
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


@pytest.mark.parametrize(
    "error", [MemoryError(), ValueError("[digital envelope routines] memory limit exceeded")]
)
def test_without_memory_for_scrypt_there_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **costs: int) -> bytes:
        assert costs["maxmem"] >= 2**25
        raise error

    monkeypatch.setattr(hashlib, "scrypt", fail)
    with pytest.raises(StateError) as caught:
        derive_keys([(ONE, SALT), (TWO, SALT)], 2)
    assert caught.value.summary == "no memory for the fingerprint of a secret, which takes 32 MiB"


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
