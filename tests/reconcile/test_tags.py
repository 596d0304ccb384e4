"""Tags: with the key of the run, an unchanged secret needs no scrypt, and the state shows no more."""

from __future__ import annotations

from itertools import product

import pytest

from hooksync.core.model import Secret, TenancyKey
from hooksync.core.record import replace
from hooksync.core.signing import PlanKey
from hooksync.reconcile.run import FetchedTenancy
from hooksync.state.fingerprints import Key, KeyRing, SecretWithSalt
from tests.conftest import HOOKS, SECRET, Place
from tests.makers import declared, live, tenancy
from tests.reconcile.planning import VALUE, derive, made, planner, told
from tests.state_makers import PROD, SERVER, state

RUN_KEY, OTHER_KEY = PlanKey(b"the-key-of-the-run"), PlanKey(b"the-key-of-another-run")
ONE = declared()
WEAK = "changeme"


def ring(key: PlanKey | None = RUN_KEY) -> KeyRing:
    return KeyRing(1, derive, key)


@pytest.mark.parametrize(
    ("key", "tagged", "value", "expected", "derived"),
    [
        (RUN_KEY, True, VALUE, "keep old", 0),
        (RUN_KEY, True, "a-new-secret-of-the-receiver-01234", "resubscribe old secret-changed", 1),
        (RUN_KEY, False, VALUE, "keep old", 1),
        (OTHER_KEY, True, VALUE, "keep old", 1),
        (None, True, VALUE, "keep old", 1),
    ],
)
def test_a_plan_derives_a_key_only_if_no_tag_proves_that_the_secret_is_the_same(
    key: PlanKey | None, *, tagged: bool, value: str, expected: str, derived: int
) -> None:
    calls: list[SecretWithSalt] = []

    def counting(wanted: SecretWithSalt) -> Key:
        calls.append(wanted)
        return derive(wanted)

    entry = made("old", ONE)
    if tagged:
        entry = replace(entry, tag=ring().tag(Secret(VALUE), PROD, "old"))
    run = planner(state(entry), environ={"HOOK_SECRET": value})
    run = replace(run, ring=KeyRing(1, counting, key))
    [plan] = run.plan([FetchedTenancy(tenancy(ONE), (live("old"),))])
    assert (told(plan), len(calls)) == ([expected], derived)


def test_a_tag_depends_on_the_key_the_secret_the_server_the_tenant_and_the_id() -> None:
    tenancies = (PROD, TenancyKey(SERVER, "other"), TenancyKey("other", "brama"))
    tags = set()
    for key, value, place, name in product((RUN_KEY, OTHER_KEY), ("", "x"), tenancies, ("1", "2")):
        tags.add(ring(key).tag(Secret(VALUE + value), place, name))
    assert len(tags) == 24


@pytest.mark.parametrize(("key", "value"), [(None, VALUE), (RUN_KEY, WEAK), (RUN_KEY, "ab" * 16)])
def test_a_run_without_a_key_and_a_weak_secret_have_no_tag(key: PlanKey | None, value: str) -> None:
    assert ring(key).tag(Secret(value), PROD, "1") == ""


def tags_of(place: Place) -> list[bool]:
    """Return, for each entry by its address, whether it has a tag."""
    [records] = place.state["tenancies"]
    return ["tag" in entry for entry in records["entries"]]


def test_an_apply_tags_what_it_made_and_compared_once_with_the_key_of_the_run(
    place: Place,
) -> None:
    assert place.run("apply", "--yes").code == 0
    assert tags_of(place) == [False, False]
    place.environ["HOOKSYNC_PLAN_KEY"] = RUN_KEY.value.decode()
    state = (place.folder / "hooks.state.json").read_text()
    place.write(state, "old.json")
    assert place.run("state", "push", "old.json").code == 0
    place.write(HOOKS.replace("[INDEXED, MOVED]", "[INDEXED, MOVED, INGEST_FAILED]"))
    for _ in range(2):
        assert place.run("apply", "--yes").code == 0
        written = place.state
        assert tags_of(place) == [True, True, True]
    assert place.run("apply", "--yes").code == 0
    assert place.state == written  # there was nothing left to tag


def test_an_apply_tags_no_entry_whose_secret_is_weak(place: Place) -> None:
    place.environ |= {"HOOKSYNC_PLAN_KEY": RUN_KEY.value.decode(), "CATALOGUE_SECRET": WEAK}
    place.receiver.set_secret("catalogue", WEAK)
    assert SECRET != WEAK
    assert place.run("apply", "--yes").code == 0
    assert tags_of(place) == [False, False]
