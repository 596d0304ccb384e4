"""The laws of the state: what belongs together stays together, and nothing can be moved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.model import SecretRef, SubscriptionKey, TenancyKey, Trigger
from hooksync.core.record import replace
from hooksync.state.fingerprints import Key, Salt, declared_digest, fingerprint
from hooksync.state.model import State, TenancyRecords
from tests.state_makers import (
    KEY,
    PROD,
    SALT,
    SERVER,
    TEXTS,
    URL_SALT,
    entry,
    intent,
    state,
    states,
    unsettled,
)

OTHER_KEY = Key(b"o" * 32)
REFS = [SecretRef("env", name) for name in ("A", "B", "C")] + [SecretRef("file", "a#b")]


def no_random(_: int) -> bytes:
    raise AssertionError("no new salt is needed")


# --- fingerprints


@pytest.mark.parametrize("field", ["server", "tenant", "id", "fingerprint"])
def test_an_entry_that_is_moved_matches_nothing(field: str) -> None:
    assert entry().is_made_with(KEY)
    assert not entry().is_made_with(OTHER_KEY)
    assert not replace(entry(), **{field: "other"}).is_made_with(KEY)
    assert replace(entry(), address="renamed/b/MOVED").is_made_with(KEY)


@given(TEXTS, st.data())
def test_a_text_cut_elsewhere_is_a_different_fingerprint(text: str, data: st.DataObject) -> None:
    whole = text + text
    cuts = data.draw(st.lists(st.integers(0, len(whole)), min_size=2, max_size=2))
    marks = [fingerprint(KEY, TenancyKey(whole[:cut], ""), whole[cut:]) for cut in cuts]
    assert (marks[0] == marks[1]) == (cuts[0] == cuts[1])


def test_an_unconfirmed_entry_matches_no_secret() -> None:
    one = entry(key=None)
    assert not one.is_confirmed
    assert not one.is_made_with(KEY)
    assert one.made_with(KEY, SALT) == entry()


def test_a_declared_digest_tells_url_trigger_and_state_apart() -> None:
    digests = {
        declared_digest(URL_SALT, SubscriptionKey("https://a/b", Trigger("MOVED"))),
        declared_digest(URL_SALT, SubscriptionKey("https://a/", Trigger("bMOVED"))),
        declared_digest(URL_SALT, SubscriptionKey("https://a/b", Trigger("INDEXED"))),
        declared_digest("76" * 16, SubscriptionKey("https://a/b", Trigger("MOVED"))),
    }
    assert len(digests) == 4


def test_a_key_shows_nothing() -> None:
    key = Key(b"hidden-hidden-hidden-hidden-1234")
    for shown in (repr(key), str(key), f"{key}", f"{key!r:>40}", repr({"key": key}), repr([key])):
        assert "hidden" not in shown
        assert key.value.hex() not in shown


def test_nothing_in_a_state_shows_its_digests() -> None:
    shown = repr(state(entry(), intent()))
    for hidden in (entry().fingerprint, entry().declared, SALT.salt, URL_SALT):
        assert hidden not in shown


# --- salts


def test_references_share_no_salt_and_one_reference_has_one() -> None:
    given_bytes = iter(bytes([number]) * 16 for number in range(1, 9))
    found = State(URL_SALT).salts_for([*REFS, *REFS], lambda _: next(given_bytes))
    assert list(found) == REFS
    assert len({salt.salt for salt in found.values()}) == len(REFS)
    names = [f"{ref}#{number:02x}" + f"{number:02x}" * 3 for number, ref in enumerate(REFS, 1)]
    assert [salt.id for salt in found.values()] == names


def test_a_salt_that_is_there_is_used_again() -> None:
    ref = SecretRef("env", "HOOK_SECRET")
    assert state(entry()).salts_for([ref], no_random) == {ref: SALT}


def test_a_reference_that_looks_like_a_salts_id_finds_its_own() -> None:
    [salt] = State(URL_SALT).salts_for([REFS[-1]], lambda size: b"n" * size).values()
    one = state(entry(salt=salt), salts=(salt,))
    assert one.salts_for([REFS[-1]], no_random) == {REFS[-1]: salt}
    shorter = SecretRef("file", "a")
    assert one.salts_for([shorter], lambda size: b"m" * size)[shorter] != salt


def test_salts_come_and_go_with_the_entries_that_name_them() -> None:
    one = state(entry()).with_records({PROD: TenancyRecords()})
    assert one.salts == ()
    again = {PROD: TenancyRecords((entry(),))}
    assert one.with_records(again, [SALT]).salts == (SALT,)
    with pytest.raises(KeyError):
        one.with_records({PROD: TenancyRecords((entry(salt=Salt("env:B#0", "00" * 16)),))}, [SALT])


# --- records


@given(states())
def test_what_is_replaced_in_one_tenancy_leaves_the_others_as_they_are(one: State) -> None:
    after = one.with_records({PROD: TenancyRecords((entry(),))}, [SALT])
    assert after.of(PROD) == TenancyRecords((entry(),))
    for key in one.by_tenancy.keys() - {PROD}:
        assert after.of(key) == one.of(key)


def test_the_records_of_a_tenancy_belong_to_server_and_tenant_and_not_to_its_name() -> None:
    renamed = replace(entry(identifier="2"), address="archive/catalogue/MOVED")
    elsewhere = replace(entry(), server="us.preservica.com")
    one = state(entry(), renamed, entry("other"), elsewhere, intent(), unsettled())
    assert one.of(PROD) == TenancyRecords((renamed, entry()), (intent(),), (unsettled(),))
    assert one.of(TenancyKey(SERVER, "other")).entries == (entry("other"),)
    assert one.of(TenancyKey(SERVER, "none")) == TenancyRecords()
