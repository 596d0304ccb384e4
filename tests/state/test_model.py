"""Tests of the parts of a state: fingerprints, digests, salts, and the records of each tenancy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.model import SecretRef, SubscriptionKey, TenancyKey, Trigger
from hooksync.core.record import replace
from hooksync.state.fingerprints import Key, Salt, fingerprint, identity_digest
from hooksync.state.model import State
from tests.state_makers import (
    KEY,
    PROD,
    SALT,
    SERVER,
    TEXTS,
    URL_SALT,
    attempt,
    elsewhere,
    entry,
    records,
    state,
    states,
)

OTHER_KEY = Key(b"o" * 32)
REFS = [SecretRef("env", name) for name in ("A", "B", "C")] + [SecretRef("file", "a#b")]


def no_random(_: int) -> bytes:
    raise AssertionError("no new salt is needed")


# --- fingerprints


def test_an_entry_that_is_moved_to_a_different_subscription_matches_no_secret() -> None:
    assert entry().is_made_with(KEY, PROD)
    assert not entry().is_made_with(OTHER_KEY, PROD)
    for field in ("id", "fingerprint"):
        assert not replace(entry(), **{field: "other"}).is_made_with(KEY, PROD)
    for tenancy in (TenancyKey(SERVER, "other"), TenancyKey("other", "brama")):
        assert not entry().is_made_with(KEY, tenancy)
    assert replace(entry(), address="renamed/b/MOVED").is_made_with(KEY, PROD)


@given(TEXTS, st.data())
def test_a_fingerprint_depends_on_where_the_server_ends_and_the_id_begins(
    text: str, data: st.DataObject
) -> None:
    whole = text + text
    cuts = data.draw(st.lists(st.integers(0, len(whole)), min_size=2, max_size=2))
    marks = [fingerprint(KEY, TenancyKey(whole[:cut], ""), whole[cut:]) for cut in cuts]
    assert (marks[0] == marks[1]) == (cuts[0] == cuts[1])


def test_an_attempt_without_a_fingerprint_matches_no_secret() -> None:
    one = attempt(id="1" * 32)
    assert not one.is_made_with(KEY, PROD)
    assert one.made_with(KEY, SALT, PROD).entry() == entry()


def test_a_declared_digest_depends_on_the_url_the_trigger_and_the_salt() -> None:
    digests = {
        identity_digest(URL_SALT, SubscriptionKey("https://a/b", Trigger("MOVED"))),
        identity_digest(URL_SALT, SubscriptionKey("https://a/", Trigger("bMOVED"))),
        identity_digest(URL_SALT, SubscriptionKey("https://a/b", Trigger("INDEXED"))),
        identity_digest("76" * 16, SubscriptionKey("https://a/b", Trigger("MOVED"))),
    }
    assert len(digests) == 4


def test_a_printed_state_shows_no_digest_and_no_salt() -> None:
    shown = repr(state(entry(), attempt()))
    for hidden in (entry().fingerprint, entry().identity, SALT.salt, URL_SALT):
        assert hidden not in shown


# --- salts


def test_each_secret_reference_has_exactly_one_salt_of_its_own() -> None:
    given_bytes = iter(bytes([number]) * 16 for number in range(1, 9))
    found = State(URL_SALT).salts_for([*REFS, *REFS], lambda _: next(given_bytes))
    assert list(found) == REFS
    assert len({salt.salt for salt in found.values()}) == len(REFS)
    names = [f"{ref}#{number:02x}" + f"{number:02x}" * 3 for number, ref in enumerate(REFS, 1)]
    assert [salt.id for salt in found.values()] == names


def test_an_existing_salt_is_used_again() -> None:
    ref = SecretRef("env", "HOOK_SECRET")
    assert state(entry()).salts_for([ref], no_random) == {ref: SALT}


def test_a_state_keeps_exactly_the_salts_that_its_entries_name() -> None:
    one = state(entry()).with_records([records()])
    assert one.salts == ()
    assert one.with_records([records(entry())], [SALT]).salts == (SALT,)
    with pytest.raises(KeyError):
        one.with_records([records(entry(salt=Salt("env:B#0", "00" * 16)))], [SALT])


# --- records


@given(states())
def test_new_records_of_one_tenancy_leave_the_other_tenancies_unchanged(one: State) -> None:
    after = one.with_records([records(entry())], [SALT])
    assert after.of(PROD) == records(entry())
    for key in one.by_tenancy.keys() - {PROD}:
        assert after.of(key) == one.of(key)


def test_records_belong_to_a_server_and_a_tenant_and_not_to_the_name_of_a_tenancy() -> None:
    renamed = replace(entry(identifier="2"), address="archive/catalogue/MOVED")
    us = replace(records(entry()), server="us.preservica.com")
    one = state(entry(), renamed, elsewhere("other"), us, attempt())
    assert one.of(PROD) == records(renamed, entry(), attempt())
    assert one.of(TenancyKey(SERVER, "other")).entries == (entry("other"),)
    assert one.of(TenancyKey(SERVER, "none")) == records(tenant="none")
