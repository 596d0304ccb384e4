"""What the journal writes to the state, and which plan the next run makes from it."""

from __future__ import annotations

from collections import deque

import pytest

from hooksync.core.model import Secret
from hooksync.core.record import replace
from hooksync.reconcile.diff import DiffOptions
from hooksync.state.model import TenancyRecords
from tests.fakes import LIE, FakeService, lost, rejected
from tests.makers import declared, live, tenancy
from tests.reconcile.planning import PLAIN, derive, made, told
from tests.reconcile.tenants import Tenant, outcomes, results
from tests.state_makers import PROD, intent, unsettled

ONE = declared()
ADDRESS = ONE.address
CUT = ("after", lost())  # the subscription is created, and the response is lost
REPLACING = DiffOptions(replace=(ADDRESS,))
NEW_VALUE = "the-secret-after-it-was-rotated-0123"


def test_an_apply_records_what_it_made_and_closes_its_intents() -> None:
    tenant = Tenant(tenancy(ONE))
    assert tenant.apply().is_as_declared
    [entry] = tenant.records.entries
    assert (entry.key, entry.address, entry.id) == (PROD, ADDRESS, "new-1")
    assert (entry.run, entry.is_listed, entry.is_adopted, entry.replaces) == (1, True, False, "")
    assert entry.is_confirmed
    assert tenant.records == TenancyRecords((entry,))
    serial = tenant.state.serial
    assert told(tenant.plan()) == ["keep new-1"]
    tenant.apply()
    assert tenant.state.serial == serial  # nothing changed, so nothing is written


def test_a_rotation_is_noticed_and_only_a_success_response_proves_the_new_secret() -> None:
    tenant = Tenant(tenancy(ONE))
    tenant.apply()
    tenant.value = NEW_VALUE
    tenant.service.on_subscribe = deque([CUT])
    assert told(tenant.plan()) == ["resubscribe new-1 secret-changed"]
    assert results(tenant.apply()) == ["unsettled"]
    [newest] = [entry for entry in tenant.records.entries if entry.id != "new-1"]
    assert not newest.is_confirmed
    assert told(tenant.plan()) == [
        f"resubscribe {newest.id} unconfirmed",
        "unsubscribe new-1 duplicate",
    ]
    assert tenant.apply().is_as_declared
    [entry] = tenant.records.entries
    assert entry.is_confirmed
    assert list(tenant.service.live) == [entry.id]
    assert tenant.counts == {}


# --- runs that are killed, and responses that are lost


def test_the_subscription_that_a_killed_run_replaced_is_removed_even_if_it_is_not_owned() -> None:
    tenant = Tenant(tenancy(ONE, owns="made"), FakeService.holding([live("theirs")]), REPLACING)
    tenant.service.on_unsubscribe = deque([LIE])
    tenant.apply(is_killed=True)
    tenant.options = PLAIN
    assert told(tenant.plan())[1:] == ["unsubscribe theirs duplicate"]
    assert tenant.apply().is_as_declared
    assert "theirs" not in tenant.service.live


def test_an_intent_stays_until_its_subscription_appears_or_a_later_run_closes_it() -> None:
    tenant = Tenant(tenancy(ONE))
    tenant.service.on_subscribe = deque([lost()])
    assert results(tenant.apply()) == ["unsettled"]
    assert len(tenant.records.intents) == 1
    tenant.service.live["late"] = live("late")
    assert told(tenant.plan()) == ["resubscribe late unconfirmed"]
    tenant.service.live.clear()
    assert told(tenant.plan()) == ["subscribe new"]
    assert tenant.apply().is_as_declared
    assert tenant.records.intents == ()


def test_all_candidates_of_an_intent_are_owned_and_none_is_confirmed() -> None:
    tenant = Tenant(tenancy(ONE, owns="made"))
    tenant.service.on_subscribe = deque([lost()])
    tenant.apply()
    tenant.service.live = {name: live(name) for name in ("one", "two")}
    assert [line.split()[0] for line in told(tenant.plan())] == ["resubscribe", "unsubscribe"]
    assert tenant.apply().is_as_declared
    assert len(tenant.service.live) == 1


# --- the count of unsettled applies


def test_after_two_unsettled_applies_nothing_is_created_until_replace() -> None:
    tenant = Tenant(tenancy(ONE, owns="made"))
    tenant.service.on_subscribe = deque([CUT] * 9)
    for number in (1, 2):
        assert results(tenant.apply()) == ["unsettled"]
        assert tenant.counts == {ADDRESS: number}
    for _ in range(2):
        assert "two applies left it unsettled" in tenant.plan().refusals[0].what
        tenant.apply()
    assert tenant.verbs.count("subscribe") == 2
    tenant.options = REPLACING
    assert results(tenant.apply())[0] == "unsettled"
    assert tenant.counts == {ADDRESS: 1}  # --replace starts the count again
    tenant.service.on_subscribe.clear()
    tenant.options = DiffOptions()
    assert tenant.apply().is_as_declared
    assert tenant.counts == {}
    assert len(tenant.service.live) == 1


@pytest.mark.parametrize(
    ("answers", "count"),
    [
        ([], None),  # done: no longer unsettled
        ([rejected(400)], None),  # refused: certainly not created
        ([lost()], 2),
    ],
)
def test_only_unsettled_applies_in_succession_are_counted(
    answers: list[object], count: int | None
) -> None:
    tenant = Tenant(tenancy(ONE)).remember(unsettled(applies=1), unsettled("other", applies=2))
    tenant.service.on_subscribe = deque(answers)
    tenant.apply()
    assert tenant.counts.get(ADDRESS) == count
    assert len(tenant.state.unsettled) == (1 if count is None else 2)


# --- lists that lag, and changes outside hooksync


def test_an_id_from_a_response_counts_as_live_until_a_list_shows_it() -> None:
    tenant = Tenant(tenancy(ONE))
    tenant.service.on_subscribe = deque([LIE])
    [made_now] = outcomes(tenant.apply())
    assert made_now.result == "unsettled"
    [entry] = tenant.records.entries
    assert (entry.is_listed, entry.is_confirmed) == (False, True)
    for _ in range(3):
        [step] = tenant.plan().steps
        assert (step.action, step.old.is_listed, step.secret) == ("keep", False, "same")
        assert results(tenant.apply()) == ["unsettled"]
    assert tenant.verbs.count("subscribe") == 1
    tenant.service.live[entry.id] = live(entry.id)
    assert tenant.apply().is_as_declared
    assert tenant.records == TenancyRecords((replace(entry, is_listed=True),))
    tenant.service.live.clear()  # a list has shown the id: it was removed outside this state
    assert told(tenant.plan()) == ["subscribe removed-outside"]


def test_a_removal_outside_hooksync_is_reported_until_the_subscription_is_recreated() -> None:
    tenant = Tenant(tenancy(ONE), FakeService(on_subscribe=deque([rejected(400)])))
    tenant.remember(made("lost", ONE))
    for _ in range(2):
        assert told(tenant.plan()) == ["subscribe removed-outside"]
        tenant.apply()
    assert [entry.id for entry in tenant.records.entries] != ["lost"]
    assert told(tenant.plan())[0].startswith("keep ")


def test_a_subscription_replaced_outside_hooksync_is_reported_until_its_id_is_adopted() -> None:
    tenant = Tenant(tenancy(ONE), FakeService.holding([live("theirs")])).remember(made("lost", ONE))
    for _ in range(2):
        assert told(tenant.plan()) == ["keep theirs replaced-outside"]
        tenant.apply()
    tenant.wanted = tenancy(replace(ONE, adopt=("theirs",)))
    tenant.apply()
    assert [entry.id for entry in tenant.records.entries] == ["theirs"]
    assert told(tenant.plan()) == ["keep theirs"]


def test_an_adopted_subscription_has_the_declared_secret_and_flag_and_is_owned() -> None:
    there = live("theirs", include_identifiers=None)
    tenant = Tenant(tenancy(replace(ONE, include_identifiers=False), owns="made"))
    tenant.service.live = {"theirs": there}
    assert told(tenant.plan()) == ["keep theirs secret-unknown"]
    tenant.options = DiffOptions(adopt=("*",))
    tenant.apply()
    [entry] = tenant.records.entries
    assert (entry.is_adopted, entry.is_listed, entry.include_identifiers) == (True, True, False)
    salt = tenant.state.salts_by_id()[entry.salt]
    assert entry.is_made_with(derive((Secret(tenant.value), salt)))
    assert told(tenant.plan()) == ["keep theirs"]
    tenant.wanted = tenancy(declared("https://h.example/x", name="x"), owns="made")
    assert told(tenant.plan()) == ["subscribe new", "unsubscribe theirs undeclared"]


# --- names


def test_the_state_forgets_removed_subscriptions_and_keeps_those_left_alone() -> None:
    gone = declared("https://h.example/gone", name="gone")
    there = [live("a"), live("gone", gone.url.full)]
    tenant = Tenant(tenancy(ONE, owns="none"), FakeService.holding(there))
    tenant.remember(made("a", ONE), made("gone", gone), intent("other", run=1))
    tenant.apply()
    assert {entry.id for entry in tenant.records.entries} == {"a", "gone"}
    tenant.wanted = tenancy(ONE, owns="made")
    assert tenant.apply().is_as_declared
    assert [entry.id for entry in tenant.records.entries] == ["a"]
    assert len(tenant.state.intents) == 1  # of a tenancy that this run does not declare
