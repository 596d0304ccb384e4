"""What the journal writes to the state, and which plan the next run makes from it."""

from __future__ import annotations

from collections import deque

from hooksync.core.model import Secret, TenancyKey
from hooksync.core.record import replace
from hooksync.reconcile.plan import NEXT_RUN, Selection
from tests.fakes import LIE, FakeService, lost, rejected
from tests.makers import declared, live, tenancy
from tests.reconcile.planning import PLAIN, VALUE, derive, made, refused, told
from tests.reconcile.tenants import Tenant, results, said
from tests.state_makers import PROD, SERVER, attempt, records

ONE = declared()
ADDRESS = ONE.address
CUT = ("after", lost())  # the subscription is created, and the response is lost
REPLACING = Selection(replace=(ADDRESS,))
NEW_VALUE = "the-secret-after-it-was-rotated-0123"


def test_an_apply_records_what_it_made_and_closes_its_attempts() -> None:
    tenant = Tenant(tenancy(ONE))
    assert tenant.apply().is_as_declared
    [entry] = tenant.records.entries
    assert (entry.address, entry.id) == (ADDRESS, "new-1")
    assert (entry.run_number, entry.is_adopted, bool(entry.fingerprint)) == (1, False, True)
    assert tenant.records.subscriptions == (entry,)
    serial = tenant.state.serial
    assert told(tenant.plan()) == ["keep new-1"]
    tenant.apply()
    assert tenant.state.serial == serial  # nothing changed, so nothing is written


# --- runs that are killed, and responses that are lost


def test_after_two_lost_responses_nothing_is_created_until_replace() -> None:
    tenant = Tenant(tenancy(ONE, owns="made"))
    tenant.service.on_subscribe = deque([CUT] * 9)
    for number, fix in ((1, NEXT_RUN), (2, f"`hooksync apply --replace {ADDRESS}` makes")):
        applied = tenant.apply()
        assert results(applied)[0] == "unsettled"
        assert fix in said(applied)[0][1]  # a third apply would create nothing
        assert len(tenant.attempts) == number
    for _ in range(2):
        assert "two attempts are open" in refused(tenant.plan())[0].what
        tenant.apply()
    assert tenant.verbs.count("subscribe") == 2
    tenant.options = REPLACING
    assert results(tenant.apply())[0] == "unsettled"
    tenant.service.on_subscribe.clear()
    assert tenant.apply().is_as_declared
    assert (len(tenant.service.live), tenant.attempts) == (1, ())


def test_a_lost_response_whose_edit_is_reverted_is_neither_awaited_nor_refused() -> None:
    tenant = Tenant(tenancy(ONE))
    tenant.apply()
    tenant.value = NEW_VALUE
    for _ in range(2):
        tenant.service.on_subscribe = deque([lost()])
        assert results(tenant.apply()) == ["unsettled"]
    tenant.value = VALUE
    plan = tenant.plan()
    assert (told(plan), refused(plan), plan.open_attempts) == (["keep new-1"], (), ())
    assert plan.idle_attempts == (ADDRESS,)
    assert tenant.apply().is_as_declared
    tenant.apply()
    assert tenant.plan().open_attempts == ()  # otherwise drift for ever
    tenant.value = NEW_VALUE
    assert tenant.apply().is_as_declared


def test_the_next_run_finishes_an_interrupted_replace() -> None:
    tenant = Tenant(tenancy(ONE))
    tenant.apply()
    tenant.options = REPLACING
    tenant.begin()  # it is killed before its first change
    tenant.options = PLAIN
    assert told(tenant.plan()) == ["resubscribe new-1 unconfirmed"]  # it is marked
    assert tenant.apply().is_as_declared
    assert "new-1" not in tenant.service.live
    assert tenant.records.marks == ()


# --- responses without an id, and ids that prove nothing


def test_what_a_list_shows_after_a_conflict_is_found_and_not_foreign() -> None:
    tenant = Tenant(tenancy(ONE, owns="none"))
    tenant.service.on_subscribe = deque([("after", rejected(409))])  # after a 429 that lied
    assert results(tenant.apply()) == ["unsettled"]
    assert told(tenant.plan()) == ["resubscribe new-1 unconfirmed"]


def test_what_hooksync_removed_first_was_not_removed_outside() -> None:
    tenant = Tenant(tenancy(ONE, replacement="remove-first"))
    tenant.apply()
    tenant.value = NEW_VALUE
    tenant.service.on_subscribe = deque([rejected(400)])
    assert results(tenant.apply()) == ["half-done"]
    assert told(tenant.plan()) == ["subscribe new"]


# --- lists that lag, and changes outside hooksync


def test_a_replaced_subscription_that_is_still_listed_is_removed_by_the_next_apply() -> None:
    tenant = Tenant(tenancy(ONE, owns="none"), FakeService.holding([live("mine")]), REPLACING)
    tenant.remember_live()
    tenant.service.on_unsubscribe = deque([LIE])
    assert results(tenant.apply()) == ["unsettled"]
    [entry] = [entry for entry in tenant.records.entries if entry.id != "mine"]
    tenant.options = PLAIN
    assert told(tenant.plan()) == ["unsubscribe mine duplicate", f"keep {entry.id}"]
    assert tenant.apply().is_as_declared
    assert tenant.records.subscriptions == (entry,)


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
    tenant.options = Selection(adopt=("*",))
    tenant.apply()
    [entry] = tenant.records.entries
    assert (entry.is_adopted, entry.content) == (True, {"include_identifiers": False})
    salt = tenant.state.salts_by_id[entry.salt]
    assert entry.is_made_with(derive((Secret(tenant.value), salt)), PROD)
    assert told(tenant.plan()) == ["keep theirs"]
    tenant.wanted = tenancy(declared("https://h.example/x", name="x"), owns="made")
    assert told(tenant.plan()) == ["subscribe new", "unsubscribe theirs undeclared"]


# --- names


def test_the_state_forgets_removed_subscriptions_and_keeps_those_left_alone() -> None:
    gone = declared("https://h.example/gone", name="gone")
    there = [live("a"), live("gone", gone.url.full)]
    tenant = Tenant(tenancy(ONE, owns="none"), FakeService.holding(there))
    tenant.remember(
        made("a", ONE), made("gone", gone), records(attempt(run_number=1), tenant="other")
    )
    tenant.apply()
    assert {entry.id for entry in tenant.records.entries} == {"a", "gone"}
    tenant.wanted = tenancy(ONE, owns="made")
    assert tenant.apply().is_as_declared
    assert [entry.id for entry in tenant.records.entries] == ["a"]
    assert (
        len(tenant.state.of(TenancyKey(SERVER, "other")).attempts) == 1
    )  # of a tenancy that this run does not declare
