"""The laws of the state: what is remembered, what is forgotten, and that nothing can be moved."""

from __future__ import annotations

import copy
import pickle
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.model import SecretRef, SubscriptionKey, Trigger
from hooksync.core.record import replace
from hooksync.state.fingerprints import Key, Salt, declared_digest, fingerprint, intent_fingerprint
from hooksync.state.model import LARGEST_RUN, RECENT, Removed, Settlement, State, is_recent
from tests.state_makers import (
    KEY,
    SALT,
    TENANCIES,
    TEXTS,
    URL_SALT,
    entry,
    intent,
    removed,
    state,
    states,
)

T = TypeVar("T")

OTHER_KEY = Key(b"o" * 32)
OTHER_SALT = Salt("env:OTHER#6f6f6f6f", "6f" * 16)
REFS = [SecretRef("env", name) for name in ("A", "B", "C")] + [SecretRef("file", "a#b")]


def no_random(_: int) -> bytes:
    raise AssertionError("no new salt is needed")


# --- fingerprints


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_an_entry_that_is_moved_matches_nothing(
    tenancy: str, identifier: str, other: str, other_id: str
) -> None:
    moved = replace(entry(tenancy, identifier), tenancy=other, id=other_id)
    assert moved.is_made_with(KEY) == ((tenancy, identifier) == (other, other_id))


@given(TEXTS, st.data())
def test_a_text_cut_elsewhere_is_another_fingerprint(text: str, data: st.DataObject) -> None:
    whole = text + text
    cuts = data.draw(st.lists(st.integers(0, len(whole)), min_size=2, max_size=2))
    marks = [fingerprint(KEY, whole[:cut], whole[cut:]) for cut in cuts]
    assert (marks[0] == marks[1]) == (cuts[0] == cuts[1])


def test_an_intent_that_is_moved_matches_nothing() -> None:
    assert intent().is_made_with(KEY)
    assert not replace(intent(), tenancy="test").is_made_with(KEY)
    assert not replace(intent(), address="prod/other/MOVED").is_made_with(KEY)


def test_an_intent_cannot_pass_for_an_entry() -> None:
    assert fingerprint(KEY, "prod", "x") != intent_fingerprint(KEY, "prod", "x")


def test_another_secret_or_another_salt_does_not_match() -> None:
    assert entry().is_made_with(KEY)
    assert not entry().is_made_with(OTHER_KEY)
    assert not intent().is_made_with(OTHER_KEY)


def test_a_declared_digest_tells_url_trigger_and_state_apart() -> None:
    digests = {
        declared_digest(URL_SALT, SubscriptionKey("https://a/b", Trigger("MOVED"))),
        declared_digest(URL_SALT, SubscriptionKey("https://a/", Trigger("bMOVED"))),
        declared_digest(URL_SALT, SubscriptionKey("https://a/b", Trigger("INDEXED"))),
        declared_digest("76" * 16, SubscriptionKey("https://a/b", Trigger("MOVED"))),
    }
    assert len(digests) == 4


def test_a_key_shows_nothing_and_cannot_be_taken_away() -> None:
    key = Key(b"hidden-hidden-hidden-hidden-1234")
    for shown in (repr(key), str(key), f"{key}", f"{key!r:>40}", repr({"key": key}), repr([key])):
        assert "hidden" not in shown
        assert key._value.hex() not in shown
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            take(key)


def test_nothing_in_a_state_shows_its_digests() -> None:
    one = state(entry(), intent())
    for hidden in (
        entry().fingerprint,
        intent().fingerprint,
        entry().declared,
        SALT.salt,
        URL_SALT,
    ):
        assert hidden not in repr(one)


# --- salts


def test_references_share_no_salt_and_one_reference_has_one() -> None:
    given_bytes = iter(bytes([number]) * 16 for number in range(1, 9))
    found = State(0, URL_SALT).salts_for([*REFS, *REFS], lambda _: next(given_bytes))
    assert list(found) == REFS
    assert len({salt.salt for salt in found.values()}) == len(REFS)
    assert [salt.id.rpartition("#")[0] for salt in found.values()] == list(map(str, REFS))


def test_a_salt_that_is_there_is_used_again() -> None:
    ref = SecretRef("env", "HOOK_SECRET")
    assert state(entry()).salts_for([ref], no_random) == {ref: SALT}


def test_a_reference_that_looks_like_a_salts_id_finds_its_own() -> None:
    [salt] = State(0, URL_SALT).salts_for([REFS[-1]], lambda size: b"n" * size).values()
    one = state(entry(salt=salt), salts=(salt,))
    assert one.salts_for([REFS[-1]], no_random) == {REFS[-1]: salt}
    assert (
        one.salts_for([SecretRef("file", "a")], lambda size: b"m" * size)[SecretRef("file", "a")]
        != salt
    )


def test_an_entry_without_its_salt_never_gets_into_a_state() -> None:
    with pytest.raises(KeyError):
        state().settled([Settlement("prod", 1, (entry(salt=OTHER_SALT),))], [])


def test_a_salt_that_another_run_dropped_comes_back_with_the_entries_that_name_it() -> None:
    one = state(entry()).settled([Settlement("prod", 2, gone=frozenset({"1" * 32}))], [])
    assert one.salts == ()
    assert one.settled([Settlement("test", 3, (entry("test"),))], [SALT]).salts == (SALT,)


# --- runs


def test_intents_of_another_run_stay_unless_this_one_has_looked_after_them() -> None:
    killed, under_way = intent(run=1), intent(run=2)
    begun = state(killed, under_way, intent(run=3), last_run=3)
    assert begun.settled([Settlement("prod", 3)], []).intents == (killed, under_way)
    assert begun.settled([Settlement("prod", 3, finished=(killed,))], []).intents == (under_way,)


def test_a_run_ends_well_in_a_state_that_was_re_created_meanwhile() -> None:
    after = State(0, URL_SALT).settled([Settlement("prod", 7, (entry(run=7),))], [SALT])
    assert after.last_run == 7
    assert after.with_intents([], []).last_run == 8


def test_an_intent_that_is_named_twice_is_one() -> None:
    assert len(state().with_intents([intent(), intent()], [SALT]).intents) == 1


NOW = 1_800_000_000


@pytest.mark.parametrize(
    ("ago", "is_so"),
    [(0, True), (RECENT - 1, True), (RECENT, False), (-RECENT + 1, True), (-RECENT, False)],
)
def test_a_list_may_lag_for_a_quarter_of_an_hour_and_no_wrong_clock_makes_it_longer(
    ago: int, is_so: bool
) -> None:
    assert is_recent(NOW - ago, NOW) is is_so


def removed_of(one: State, tenancy: str) -> tuple[Removed, ...]:
    return tuple(each for each in one.removed if each.tenancy == tenancy)


def test_what_was_removed_long_ago_is_forgotten_once_its_tenancy_is_settled() -> None:
    old = (removed(at=NOW), removed("test", at=NOW))
    one = state(*old)
    assert one.settled([Settlement("prod", 1, at=NOW + RECENT - 1)], []).removed == old
    assert one.settled([Settlement("prod", 1, at=NOW + RECENT)], []).removed == (old[1],)
    assert one.settled([Settlement("prod", 1)], []).removed == old


@given(states(), TENANCIES, st.booleans())
def test_settling_one_tenancy_leaves_all_others_as_they_are(
    one: State, tenancy: str, knows: bool
) -> None:
    gone = one.gone(tenancy, [] if knows else None, LARGEST_RUN * 2)  # long after all of it
    end = Settlement(tenancy, one.last_run, (entry(tenancy),), gone=gone)
    after = one.settled([end], [SALT])
    tenancies = {each.tenancy for each in one.entries + after.entries}
    tenancies |= {each.tenancy for each in one.intents + after.intents}
    tenancies |= {each.tenancy for each in one.removed + after.removed}
    for other in tenancies - {tenancy}:
        assert after.entries_of(other) == one.entries_of(other)
        assert after.intents_of(other) == one.intents_of(other)
        assert removed_of(after, other) == removed_of(one, other)
    kept = set() if knows else set(one.entries_of(tenancy))
    assert set(after.entries_of(tenancy)) == kept | {"1" * 32}


def test_a_salts_id_names_its_reference_and_itself() -> None:
    [salt] = State(0, URL_SALT).salts_for([REFS[-1]], lambda size: bytes(range(size))).values()
    assert salt.id == "file:a#b#00010203"
