"""How apply carries a plan out on a service in memory: the order of calls, lost and wrong
responses, refusals, interrupts.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field

import pytest

from hooksync.core.errors import HooksyncError, Problem
from hooksync.core.model import LiveSubscription
from hooksync.reconcile.plan import NEXT_RUN, UNLISTED, Selection
from hooksync.service.client import CONFLICT_FIX
from tests.fakes import LIE, FakeService, lost, rejected, unreachable
from tests.makers import INDEXED, declared, live, tenancy
from tests.reconcile.planning import line_of, made, told
from tests.reconcile.tenants import Tenant, outcomes, results, said

OLD = live("old", include_identifiers=False)  # the declaration asks for identifiers
GONE = live("gone", "https://hooks.example.org/x", INDEXED)
ONE = declared()
CREATE = "subscribe https://hooks.example.org/a"
NOT_SHOWN = "the list does not show what was made"
REMOVED = "the old one is removed, and nothing is live in its place"
STILL_LIVE = "; the old subscription is still live"
INTERRUPTED = "interrupted: the new one is made, the old one is still there"


@pytest.mark.parametrize(
    ("replacement", "calls"),
    [
        # the removal waits for a list that shows the new subscription
        ("create-first", [CREATE, "list", "unsubscribe old", "list"]),
        # only the verification reads a list
        ("remove-first", ["unsubscribe old", CREATE, "list"]),
    ],
)
def test_a_replacement_creates_first_unless_remove_first_is_declared(
    replacement: str, calls: list[str]
) -> None:
    tenant = Tenant(tenancy(ONE, replacement=replacement), FakeService.holding([OLD]))
    tenant.remember_live()
    assert tenant.apply().is_as_declared
    assert tenant.service.calls == calls


def test_an_undeclared_subscription_is_removed_only_after_a_list_shows_the_new_ones() -> None:
    tenant = Tenant(tenancy(ONE), FakeService.holding([GONE]))
    assert tenant.apply().is_as_declared
    assert tenant.service.calls == [CREATE, "list", "unsubscribe gone", "list"]


ENDS = {  # service | replacement | result, reason and fix | live ids afterwards
    "a conflict": (
        FakeService.holding([OLD], refuses_duplicates=True),
        "create-first",
        ("failed", f"-> 409: no{STILL_LIVE}", "look"),
        ["old"],
    ),
    "the new one is refused": (
        FakeService.holding([OLD], on_subscribe=deque([rejected(400)])),
        "create-first",
        ("failed", f"-> 400: no{STILL_LIVE}", "look"),
        ["old"],
    ),
    "every problem and every fix": (
        FakeService(on_subscribe=deque([HooksyncError.of([Problem("a", "b"), Problem("c", "d")])])),
        "create-first",
        ("failed", "a; c", "b; d"),
        [],
    ),
    "the new one is refused, and no list": (
        FakeService.holding(
            [OLD], on_subscribe=deque([rejected(400)]), on_list=deque([unreachable()])
        ),
        "create-first",
        ("failed", "-> 400: no", "look"),
        ["old"],
    ),
    "removed, and the new one is refused": (
        FakeService.holding([OLD], on_subscribe=deque([rejected(400)])),
        "remove-first",
        ("half-done", f"{REMOVED}: -> 400: no", f"look; {NEXT_RUN}"),
        [],
    ),
    "the old one is not removed": (
        FakeService.holding([OLD], on_unsubscribe=deque([rejected(403)])),
        "create-first",
        ("half-done", "-> 403: no", "look"),
        ["new-1", "old"],
    ),
    "the old one is not removed first": (
        FakeService.holding([OLD], on_unsubscribe=deque([rejected(403)])),
        "remove-first",
        ("failed", f"-> 403: no{STILL_LIVE}", "look"),
        ["old"],
    ),
    "no response to the removal, and it is not listed": (
        FakeService.holding([OLD], on_unsubscribe=deque([("after", lost())])),
        "create-first",
        ("done", "", ""),
        ["new-1"],
    ),
    "the service refuses the removal, and it is not listed": (
        FakeService.holding([OLD], on_unsubscribe=deque([("after", rejected(403))])),
        "create-first",
        ("done", "", ""),
        ["new-1"],
    ),
    "no response to the first removal": (  # nothing is created while the old one may be live
        FakeService.holding([OLD], on_unsubscribe=deque([lost()])),
        "remove-first",
        ("unsettled", "the connection was cut; it may be removed", NEXT_RUN),
        ["old"],
    ),
    "no response to the first removal, and it is not listed": (
        FakeService.holding([OLD], on_unsubscribe=deque([("after", lost())])),
        "remove-first",
        ("half-done", f"{REMOVED}: the connection was cut", f"try again; {NEXT_RUN}"),
        [],
    ),
    "the response is lost, and it was not made": (
        FakeService.holding([OLD], on_subscribe=deque([lost()])),
        "create-first",
        ("unsettled", f"the connection was cut; {NOT_SHOWN}", NEXT_RUN),
        ["old"],
    ),
    "the response is lost, and it was made": (
        FakeService.holding([OLD], on_subscribe=deque([("after", lost())])),
        "create-first",
        ("unsettled", "the connection was cut; the list shows new-1, and no response proves its secret", NEXT_RUN),
        ["new-1", "old"],
    ),
    "a success without an id": (  # one new subscription in the list is confirmed
        FakeService.holding([OLD], tells_ids=False),
        "create-first",
        ("done", "", ""),
        ["new-1"],
    ),
    "a success without an id, and nothing new": (
        FakeService.holding([OLD], tells_ids=False, on_subscribe=deque([LIE])),
        "create-first",
        ("unsettled", NOT_SHOWN, NEXT_RUN),
        ["old"],
    ),
    "the id of the old one": (
        FakeService.holding([OLD], is_upsert=True),
        "create-first",
        ("unsettled", NOT_SHOWN, CONFLICT_FIX),
        ["old"],
    ),
    "an id that no list shows": (
        FakeService.holding([OLD], on_subscribe=deque([LIE])),
        "create-first",
        ("unsettled", UNLISTED, NEXT_RUN),
        ["old"],
    ),
    "removed, and still listed": (
        FakeService.holding([OLD], on_unsubscribe=deque([LIE])),
        "create-first",
        ("unsettled", "the service reported the removal, and the list still shows the subscription", NEXT_RUN),
        ["new-1", "old"],
    ),
    "no list before the removal": (
        FakeService.holding([OLD], on_list=deque([unreachable()])),
        "create-first",
        ("half-done", "the list could not be read: the server refuses connections", NEXT_RUN),
        ["new-1", "old"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("service", "replacement", "end", "there"), ENDS.values(), ids=ENDS)
def test_no_step_is_tried_twice_and_each_unfinished_step_has_a_reason_and_a_fix(
    service: FakeService, replacement: str, end: tuple[str, str, str], there: list[str]
) -> None:
    tenant = Tenant(tenancy(ONE, replacement=replacement), service).remember_live()
    outcome = tenant.apply()
    [one] = outcomes(outcome)
    problem = one.problem or Problem("", "")
    assert (one.result, problem.what, problem.fix) == end
    assert sorted(service.live) == there
    assert outcome.is_as_declared == (one.result == "done")
    verbs = Counter(tenant.verbs)
    assert max(verbs["subscribe"], verbs["unsubscribe"]) == 1


@pytest.mark.parametrize(
    ("service", "why"),
    [
        (FakeService.holding([OLD], on_subscribe=deque([lost()])), "a response was unclear"),
        (FakeService(on_subscribe=deque([LIE])), "the list does not match the responses yet"),
    ],
)
def test_a_wait_for_the_list_says_why_and_how_long(service: FakeService, why: str) -> None:
    tenant = Tenant(tenancy(ONE), service, list_wait=30.0).remember_live()
    tenant.apply()
    assert tenant.terminal.err[0] == f"{ONE.address}: {why}: watching the list, at most 30 s"


def test_what_one_wait_did_not_show_is_not_awaited_again() -> None:
    service = FakeService.holding([OLD], on_subscribe=deque([LIE]))
    tenant = Tenant(tenancy(ONE), service, list_wait=30.0).remember_live()
    start = tenant.clock.monotonic()
    assert results(tenant.apply()) == ["unsettled"]
    assert tenant.clock.monotonic() - start < 31
    assert "watching the list" in "".join(tenant.terminal.err)


# --- removals of undeclared subscriptions wait


@pytest.mark.parametrize(
    "answer",
    [rejected(400), lost(), ("after", lost()), LIE],
    ids=["refused", "lost", "unconfirmed", "not listed"],
)
def test_nothing_undeclared_is_removed_until_everything_declared_exists(
    answer: object,
) -> None:
    wanted = tenancy(declared("https://hooks.example.org/b", name="b"), ONE)
    service = FakeService.holding([GONE], on_subscribe=deque([answer]))
    outcome = Tenant(wanted, service).apply()
    assert "gone" in service.live
    assert said(outcome)[-1][0].startswith("it stays until these certainly exist: ")
    assert results(outcome)[-1] == "not-attempted"


def test_a_duplicate_stays_while_the_declared_subscription_is_missing() -> None:
    twin = live("twin", include_identifiers=False)
    service = FakeService.holding([OLD, twin], on_subscribe=deque([rejected(400)]))
    tenant = Tenant(tenancy(ONE, replacement="remove-first"), service)
    outcome = tenant.remember(made("old", ONE)).apply()
    assert results(outcome) == ["half-done", "not-attempted"]
    changed = "what is live has changed since the plan, which does not remove it"
    assert said(outcome)[1] == (changed, NEXT_RUN)
    assert list(service.live) == ["twin"]


def test_what_is_undeclared_stays_while_an_address_is_held() -> None:
    other = declared("https://hooks.example.org/b", name="b")
    service = FakeService.holding([live("a"), live("b", other.url.full)])
    tenant = Tenant(tenancy(ONE, owns="made"), service).remember(made("b", other))
    outcome = tenant.apply()  # the secret of what is declared is unknown
    assert (outcome.held, results(outcome)) == ([ONE.address], ["not-attempted", "unchanged"])
    assert "it stays until these certainly exist: " + ONE.address in said(outcome)[0][0]
    assert sorted(service.live) == ["a", "b"]


# --- what the verification finds


def test_the_verification_ignores_the_option_replace() -> None:
    options = Selection(replace=("*",))
    tenant = Tenant(tenancy(ONE), FakeService.holding([live("old")]), options)
    outcome = tenant.apply()
    assert "old" not in tenant.service.live
    assert outcome.is_as_declared


@pytest.mark.parametrize(
    ("theirs", "codes", "is_right"),
    [
        ({"kept": live("other")}, ["keep other replaced-outside"], False),
        ({"twin": live("twin")}, ["leave twin duplicate"], True),
    ],
)
def test_changes_by_others_during_an_apply_are_reported_as_differences(
    theirs: dict[str, LiveSubscription], codes: list[str], is_right: bool
) -> None:
    service = FakeService.holding([live("kept"), GONE])
    tenant = Tenant(tenancy(ONE, owns=frozenset(["https://hooks.example.org/x"])), service)
    tenant.advance = lambda: service.live.update(theirs)
    outcome = tenant.remember(made("kept", ONE)).apply()
    assert list(map(line_of, outcome.differences)) == codes
    assert outcome.is_as_declared == is_right


def test_a_subscription_of_others_is_not_taken_for_one_that_was_refused() -> None:
    service = FakeService(on_subscribe=deque([rejected(400)]))
    tenant = Tenant(tenancy(ONE), service)
    tenant.advance = lambda: service.live.update(theirs=live("theirs"))
    [one] = outcomes(tenant.apply())
    assert (one.result, one.new_id) == ("failed", None)


# --- interrupts


def test_after_an_interrupt_nothing_new_starts_and_nothing_counts_as_verified() -> None:
    wanted = [declared(f"https://h.example/{number}", name=f"n{number}") for number in range(50)]
    tenant = Tenant(tenancy(*wanted), FakeService.holding([GONE]))
    tenant.advance = tenant.stop.set
    outcome = tenant.apply()
    counted = Counter(results(outcome))
    # no list has shown the new subscriptions, so they are unsettled
    assert 1 <= counted["unsettled"] <= 4  # at most 4 calls run at the same time
    assert counted["not-attempted"] == 51 - counted["unsettled"]
    assert "gone" in tenant.service.live
    assert outcome.not_verified == "interrupted"


@pytest.mark.parametrize(
    ("replacement", "there"), [("create-first", ["new-1", "old"]), ("remove-first", ["new-2"])]
)
def test_an_interrupted_replacement_is_unsettled_and_never_leaves_its_place_empty(
    replacement: str, there: list[str]
) -> None:
    tenant = Tenant(tenancy(ONE, replacement=replacement), FakeService.holding([OLD]))
    tenant.remember_live()
    tenant.advance = tenant.stop.set
    assert results(tenant.apply()) == ["unsettled"]
    assert sorted(tenant.service.live) == there


@dataclass
class Cut(FakeService):
    """A service that gets Ctrl-C during each list."""

    stop: threading.Event = field(default_factory=threading.Event)

    def list_subscriptions(self) -> tuple[LiveSubscription, ...]:
        self.stop.set()
        return super().list_subscriptions()


def test_an_interrupt_while_the_list_is_read_keeps_the_old_subscription() -> None:
    service = Cut.holding([OLD])
    tenant = Tenant(tenancy(ONE), service, stop=service.stop).remember_live()
    assert said(tenant.apply()) == [(INTERRUPTED, NEXT_RUN)]
    assert service.calls == [CREATE, "list"]


def test_each_subscribe_and_unsubscribe_advances_the_progress() -> None:
    ticks: list[None] = []
    new = declared("https://hooks.example.org/new", name="new")
    tenant = Tenant(tenancy(ONE, new), FakeService.holding([OLD, GONE])).remember_live()
    tenant.advance = lambda: ticks.append(None)
    tenant.apply()
    assert len(ticks) == 4
    assert sorted(told(tenant.plan())) == ["keep new-1", "keep new-2"]
