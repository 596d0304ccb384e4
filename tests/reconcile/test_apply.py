"""Carrying a plan out, on a service in memory: the order of calls, lost answers, refusals, interrupts."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.errors import HooksyncError, Problem, ServiceError
from hooksync.core.model import DeclaredSubscription, LiveSubscription, Secret, Tenancy, live_url
from hooksync.core.record import replace
from hooksync.reconcile.apply import Execution
from hooksync.reconcile.diff import DiffOptions, make_plan
from hooksync.reconcile.plan import Outcome, Resubscribe, Subscribe, TenancyOutcome, Unsubscribe
from hooksync.reconcile.step_runner import CONFLICTS, NEXT_RUN, STILL_LISTED, UNCONFIRMED, UNLISTED
from hooksync.service.worker_pool import WorkerPool
from tests.clocks import JumpingClock
from tests.fakes import LIE, FakeService, lost, rejected, unreachable
from tests.makers import INDEXED, SECRET, declared, lists_of_live, live, tenancies, tenancy

OLD = live("old", include_identifiers=False)  # the declared one asks for identifiers
VALUE = Secret("x" * 32)


def carry_out(
    wanted: Tenancy,
    service: FakeService,
    *,
    options: DiffOptions | None = None,
    stop: threading.Event | None = None,
    advance: Callable[[], None] = lambda: None,
    width: int = 4,
) -> TenancyOutcome:
    options = options or DiffOptions()
    plan = make_plan(wanted, tuple(service.live.values()), options)
    with WorkerPool(width, stop or threading.Event()) as pool:
        return Execution(
            plan, service, {SECRET: VALUE}, pool, options=options, clock=JumpingClock(), advance=advance
        ).run()


def results(outcome: TenancyOutcome) -> list[str]:
    return [one.result for one in outcome.outcomes]


def said(outcome: TenancyOutcome) -> list[tuple[str, str]]:
    """Why each step is not done, and the fix."""
    return [(one.detail, one.fix) for one in outcome.outcomes]


def test_a_plan_without_changes_makes_no_call() -> None:
    service = FakeService.holding([live()])
    outcome = carry_out(tenancy(declared()), service)
    assert service.calls == []
    assert results(outcome) == ["unchanged"]
    assert [one.step for one in outcome.outcomes] == list(outcome.plan.steps)
    assert outcome.is_as_declared
    assert not outcome.has_changed


def test_a_subscribe_gives_its_id_and_is_verified() -> None:
    service = FakeService()
    outcome = carry_out(tenancy(declared()), service)
    assert service.calls == ["subscribe https://hooks.example.org/a", "list"]
    assert outcome.outcomes[0].new_id == "new-1"
    assert said(outcome) == [("", "")]
    assert outcome.outcomes[0].warnings == ()
    assert outcome.is_as_declared


def test_the_old_one_goes_only_after_the_new_one_is_there() -> None:
    service = FakeService.holding([OLD])
    outcome = carry_out(tenancy(declared()), service)
    assert service.calls == ["subscribe https://hooks.example.org/a", "list", "unsubscribe old", "list"]
    assert results(outcome) == ["done"]


def test_the_old_one_stays_while_no_list_shows_the_new_one() -> None:
    service = FakeService.holding([OLD], on_subscribe=deque([LIE]))
    outcome = carry_out(tenancy(declared()), service)
    assert service.calls == ["subscribe https://hooks.example.org/a", "list", "list"]
    assert results(outcome) == ["half-done"]
    assert said(outcome) == [(UNCONFIRMED, NEXT_RUN)]
    assert outcome.outcomes[0].warnings == (UNLISTED,)


def test_the_old_one_stays_while_the_list_cannot_be_read() -> None:
    service = FakeService.holding([OLD], on_list=deque([unreachable()]))
    outcome = carry_out(tenancy(declared()), service)
    assert sorted(service.live) == ["new-1", "old"]
    assert results(outcome) == ["half-done"]
    why = "the list could not be read: the server refuses connections"
    assert said(outcome) == [(f"{UNCONFIRMED}: {why}", NEXT_RUN)]


def test_remove_first_removes_first() -> None:
    service = FakeService.holding([OLD])
    outcome = carry_out(tenancy(declared(), replacement="remove-first"), service)
    assert service.calls == ["unsubscribe old", "subscribe https://hooks.example.org/a", "list"]
    assert results(outcome) == ["done"]


def test_a_conflict_falls_back_to_remove_first_with_a_warning() -> None:
    service = FakeService.holding([OLD], refuses_duplicates=True)
    outcome = carry_out(tenancy(declared()), service)
    assert [call.split()[0] for call in service.calls] == ["subscribe", "unsubscribe", "subscribe", "list"]
    assert results(outcome) == ["done"]
    assert outcome.outcomes[0].warnings == (CONFLICTS,)
    assert outcome.is_as_declared


def test_a_conflict_of_a_plain_subscribe_fails_it() -> None:
    service = FakeService(on_subscribe=deque([rejected(409)]))
    outcome = carry_out(tenancy(declared()), service)
    assert results(outcome) == ["failed"]
    assert not outcome.has_changed


def test_a_refused_replacement_keeps_the_old_one() -> None:
    service = FakeService.holding([OLD], on_subscribe=deque([rejected(400)]))
    outcome = carry_out(tenancy(declared()), service)
    assert "old" in service.live
    assert results(outcome) == ["failed"]
    assert said(outcome) == [("-> 400: no", "look")]
    assert not outcome.is_as_declared


@pytest.mark.parametrize(
    ("error", "what", "fix"),
    [
        (rejected(400), "-> 400: no", "look"),
        (unreachable(), "the server refuses connections", "check the network"),
    ],
)
def test_a_create_that_fails_after_the_removal_is_half_done_and_says_what_is_missing(
    error: HooksyncError, what: str, fix: str
) -> None:
    service = FakeService.holding([OLD], on_subscribe=deque([error]))
    outcome = carry_out(tenancy(declared(), replacement="remove-first"), service)
    assert results(outcome) == ["half-done"]
    detail = f"the old one was removed, and the new one could not be made: {what}"
    assert said(outcome) == [(detail, f"this subscription is missing now: {fix}, then run apply again")]
    assert outcome.has_changed


def test_a_removal_that_fails_after_the_create_is_half_done() -> None:
    service = FakeService.holding([OLD], on_unsubscribe=deque([rejected(500)]))
    outcome = carry_out(tenancy(declared()), service)
    assert results(outcome) == ["half-done"]
    fix = "run apply again: it removes the old one and keeps the new one (look)"
    assert said(outcome) == [("-> 500: no", fix)]
    assert len(service.live) == 2
    assert [type(step) for step in outcome.differences] == [Unsubscribe]


@pytest.mark.parametrize("answer", [("after", lost()), None])
def test_a_lost_answer_that_was_carried_out_is_found_in_the_list(answer: object) -> None:
    service = FakeService(on_subscribe=deque([answer]), tells_ids=answer is not None)
    outcome = carry_out(tenancy(declared()), service)
    assert [call.split()[0] for call in service.calls] == ["subscribe", "list", "list"]
    assert outcome.outcomes[0].new_id == "new-1"
    assert said(outcome) == [("", "")]
    assert not outcome.outcomes[0].is_open
    assert outcome.is_as_declared


def test_a_lost_answer_that_was_not_carried_out_is_tried_once_more() -> None:
    service = FakeService(on_subscribe=deque([lost()]))
    outcome = carry_out(tenancy(declared()), service)
    assert [call.split()[0] for call in service.calls] == ["subscribe", "list", "subscribe", "list"]
    assert outcome.is_as_declared


def test_what_is_lost_twice_and_not_there_has_failed() -> None:
    service = FakeService(on_subscribe=deque([lost(), lost()]))
    outcome = carry_out(tenancy(declared()), service)
    assert [call.split()[0] for call in service.calls].count("subscribe") == 2
    assert results(outcome) == ["failed"]
    assert said(outcome) == [("the connection was cut; it is not there after two tries", NEXT_RUN)]


def test_what_is_lost_twice_and_there_is_done() -> None:
    service = FakeService(on_subscribe=deque([lost(), ("after", lost())]))
    outcome = carry_out(tenancy(declared()), service)
    assert len(service.live) == 1
    assert outcome.is_as_declared


def test_a_lost_answer_does_not_take_an_old_subscription_for_the_new_one() -> None:
    service = FakeService.holding([OLD], on_subscribe=deque([lost(), lost()]))
    outcome = carry_out(tenancy(declared()), service)
    assert list(service.live) == ["old"]
    assert results(outcome) == ["failed"]


def test_a_lost_replacement_that_was_carried_out_is_finished() -> None:
    service = FakeService.holding([OLD], on_subscribe=deque([("after", lost())]))
    outcome = carry_out(tenancy(declared()), service)
    assert list(service.live) == ["new-1"]
    assert outcome.is_as_declared


def test_a_service_that_gives_the_old_id_again_never_loses_the_subscription() -> None:
    service = FakeService.holding([OLD], is_upsert=True)
    outcome = carry_out(tenancy(declared()), service)
    assert list(service.live) == ["old"]
    assert results(outcome) == ["half-done"]
    assert said(outcome) == [(UNCONFIRMED, NEXT_RUN)]
    assert outcome.outcomes[0].may_be_made
    assert not outcome.is_as_declared


def test_when_the_list_fails_a_lost_answer_stays_open() -> None:
    service = FakeService(on_subscribe=deque([("after", lost())]), on_list=deque([unreachable(), unreachable()]))
    outcome = carry_out(tenancy(declared()), service)
    assert results(outcome) == ["failed"]
    unread = "the list could not be read to find out: the server refuses connections"
    assert said(outcome) == [(f"the connection was cut; it may have been made, and {unread}", NEXT_RUN)]
    assert outcome.outcomes[0].may_be_made
    assert outcome.has_changed
    assert outcome.not_verified == "the server refuses connections"
    assert [type(step) for step in outcome.plan.steps] == [Subscribe]


def test_when_the_list_fails_an_accepted_replacement_keeps_the_old_one() -> None:
    service = FakeService.holding([OLD], tells_ids=False, on_list=deque([unreachable()]))
    outcome = carry_out(tenancy(declared()), service)
    assert "old" in service.live
    assert results(outcome) == ["half-done"]
    assert said(outcome) == [("only the verification found the new one, the old one is still there", NEXT_RUN)]


def test_a_failed_step_does_not_stop_the_others() -> None:
    wanted = [declared(f"https://hooks.example.org/{number}", name=f"n{number}") for number in range(6)]
    there = live("gone", "https://hooks.example.org/x", INDEXED)
    service = FakeService.holding([there], on_subscribe=deque([rejected(400)]))
    outcome = carry_out(tenancy(*wanted), service)
    assert sorted(results(outcome)) == ["done"] * 6 + ["failed"]
    assert "gone" not in service.live


def held_back(address: str) -> tuple[str, str]:
    what = f"held back: {address} may not have been made, and may replace this one"
    return what, "fix that, then run apply again"


@pytest.mark.parametrize("answers", [[rejected(400)], [rejected(500)], [lost(), lost()]])
def test_a_removal_waits_for_what_could_not_be_made_of_its_trigger(answers: list[object]) -> None:
    there = live("there", "https://hooks.example.org/x")
    service = FakeService.holding([there], on_subscribe=deque(answers))
    outcome = carry_out(tenancy(declared()), service)
    assert results(outcome) == ["failed", "not-attempted"]
    assert said(outcome)[1] == held_back("prod/catalogue/MOVED")
    assert list(service.live) == ["there"]
    assert [step.reason for step in outcome.differences if isinstance(step, Unsubscribe)] == ["not declared, held back"]
    assert not outcome.is_as_declared


def test_a_removal_that_waits_names_one_and_counts_the_others() -> None:
    wanted = [declared(f"https://hooks.example.org/{number}", name=f"n{number}") for number in range(3)]
    service = FakeService.holding([live("x", "https://h.example/x")], on_subscribe=deque([rejected(400)] * 3))
    assert said(carry_out(tenancy(*wanted), service))[-1] == held_back("prod/n0/MOVED and 2 more")


def test_a_removal_does_not_wait_for_a_replacement_whose_old_one_is_there() -> None:
    there = live("x", "https://hooks.example.org/x")
    service = FakeService.holding([OLD, there], on_subscribe=deque([rejected(400)]))
    outcome = carry_out(tenancy(declared()), service)
    assert results(outcome) == ["failed", "done"]
    assert list(service.live) == ["old"]


def test_a_duplicate_stays_while_what_it_duplicates_is_missing() -> None:
    twin = live("twin", include_identifiers=False)
    service = FakeService.holding([OLD, twin], on_subscribe=deque([rejected(400)]))
    outcome = carry_out(tenancy(declared(), replacement="remove-first"), service)
    assert results(outcome) == ["half-done", "not-attempted"]
    assert said(outcome)[1] == held_back("prod/catalogue/MOVED")
    assert list(service.live) == ["twin"]


def test_another_writer_is_seen_by_the_verification() -> None:
    service = FakeService()

    def interfere() -> None:
        service.live["theirs"] = live("theirs", "https://hooks.example.org/theirs")

    outcome = carry_out(tenancy(declared()), service, advance=interfere)
    assert results(outcome) == ["done"]
    assert [type(step) for step in outcome.differences] == [Unsubscribe]
    assert not outcome.is_as_declared


def test_replace_is_not_asked_for_again_by_the_verification() -> None:
    service = FakeService.holding([live("old")])
    outcome = carry_out(tenancy(declared()), service, options=DiffOptions(replace=("*",)))
    assert "old" not in service.live
    assert outcome.is_as_declared


def test_after_an_interrupt_nothing_new_starts_and_nothing_is_called_verified() -> None:
    stop = threading.Event()
    wanted = [declared(f"https://hooks.example.org/{number}", name=f"n{number}") for number in range(50)]
    service = FakeService.holding([live("gone", "https://hooks.example.org/x")])
    outcome = carry_out(tenancy(*wanted), service, stop=stop, advance=stop.set)
    counted = {result: results(outcome).count(result) for result in results(outcome)}
    assert 1 <= counted["done"] <= 4  # as many as are in flight at once
    assert counted["not-attempted"] == 51 - counted["done"]
    assert "gone" in service.live
    assert {(one.detail, one.fix) for one in outcome.outcomes if one.result == "not-attempted"} == {("", "")}
    assert outcome.not_verified == "interrupted"


def test_a_replacement_interrupted_between_its_halves_is_half_done() -> None:
    stop = threading.Event()
    service = FakeService.holding([OLD])
    outcome = carry_out(tenancy(declared()), service, stop=stop, advance=stop.set)
    assert results(outcome) == ["half-done"]
    assert said(outcome) == [("interrupted: the new one is made, the old one is still there", NEXT_RUN)]
    assert sorted(service.live) == ["new-1", "old"]


def test_progress_is_told_for_each_call_that_brings_a_step_forward() -> None:
    ticks: list[None] = []
    service = FakeService.holding([OLD, live("x", "https://hooks.example.org/x")])
    wanted = tenancy(declared(), declared("https://hooks.example.org/new", name="new"))
    carry_out(wanted, service, advance=lambda: ticks.append(None))
    assert len(ticks) == 4


def is_still_listed(one: Outcome) -> bool:
    return any(each.what.endswith(STILL_LISTED.what) for each in one.warnings)


def assert_true(outcome: TenancyOutcome) -> None:
    """Hold what the report says of each step against what is listed, unless it says that the list may lag."""
    assert outcome.last_live is not None
    ids = {one.id for one in outcome.last_live}
    accounted = {one.id for one in outcome.plan.live} | {one.new_id for one in outcome.outcomes}
    unclaimed = {one.key for one in outcome.last_live if one.id not in accounted}
    for one in outcome.outcomes:
        is_new = one.new_id in ids or UNLISTED in one.warnings
        match one.step:
            case Unsubscribe(gone):
                assert (one.result == "done") == (gone.id not in ids or is_still_listed(one))
            case Resubscribe() as step:
                is_gone = step.live.id not in ids or is_still_listed(one)
                assert (one.result == "done") == (is_gone and is_new)
                assert (one.result == "half-done") == (is_gone != is_new)
            case Subscribe():
                assert (one.result == "done") == is_new
            case _:
                assert one.result == "unchanged"
        if one.result == "failed" and isinstance(one.step, Subscribe | Resubscribe):
            assert one.step.declared.key not in unclaimed or one.may_be_made


ANSWERS = [None, None, lost(), ("after", lost()), rejected(400), rejected(409), rejected(500)]
SCRIPTS = st.lists(st.sampled_from([*ANSWERS, LIE]), max_size=12)
LIST_SCRIPTS = st.lists(st.sampled_from(ANSWERS), max_size=12)


@given(
    tenancies(),
    lists_of_live(),
    st.fixed_dictionaries({"refuses_duplicates": st.booleans(), "tells_ids": st.booleans()}),
    st.tuples(SCRIPTS, SCRIPTS, LIST_SCRIPTS),
    st.sampled_from(["create-first", "remove-first"]),
)
def test_whatever_goes_wrong_the_report_is_honest_and_the_next_run_puts_it_right(
    wanted: Tenancy,
    there: tuple[LiveSubscription, ...],
    service_settings: dict[str, bool],
    scripts: tuple[list[object], list[object], list[object]],
    replacement: str,
) -> None:
    unique = {s.key: s for s in there}.values() if service_settings["refuses_duplicates"] else there
    wanted = tenancy(*wanted.subscriptions, owns=wanted.owns, replacement=replacement)
    service = FakeService.holding(unique, **service_settings)
    service.on_subscribe, service.on_unsubscribe, service.on_list = map(deque, scripts)
    outcome = carry_out(wanted, service)
    assert tuple(one.step for one in outcome.outcomes) == outcome.plan.steps
    left = make_plan(wanted, tuple(service.live.values()), DiffOptions())
    if outcome.is_as_declared and not any(one.warnings for one in outcome.outcomes):
        assert left.is_empty
    for one in outcome.outcomes:
        if one.result in ("failed", "half-done"):
            assert one.detail
            assert one.fix
    if outcome.last_live is not None:
        assert_true(outcome)
    service.on_subscribe, service.on_unsubscribe, service.on_list = deque(), deque(), deque()
    again = carry_out(wanted, service)
    assert again.is_as_declared
    assert make_plan(wanted, tuple(service.live.values()), DiffOptions()).is_empty


GONE = live("x", "https://hooks.example.org/x")


@pytest.mark.parametrize("replacement", ["create-first", "remove-first"])
@pytest.mark.parametrize("error", [lost(), rejected(500)])
def test_a_removal_whose_answer_was_lost_is_known_by_the_list(replacement: str, error: HooksyncError) -> None:
    service = FakeService.holding([OLD], on_unsubscribe=deque([("after", error)]))
    outcome = carry_out(tenancy(declared(), replacement=replacement), service)
    assert results(outcome) == ["done"]
    assert said(outcome) == [("", "")]
    assert not outcome.outcomes[0].is_open
    assert outcome.is_as_declared
    assert [name.partition(" ")[0] for name in service.calls].count("subscribe") == 1


def test_an_unsubscribe_whose_answer_was_lost_is_known_by_the_verification() -> None:
    service = FakeService.holding([GONE], on_unsubscribe=deque([("after", lost())]))
    outcome = carry_out(tenancy(), service)
    assert results(outcome) == ["done"]
    assert said(outcome) == [("", "")]
    assert not outcome.outcomes[0].is_open
    assert outcome.is_as_declared


@pytest.mark.parametrize("replacement", ["create-first", "remove-first"])
def test_a_removal_that_was_lost_and_not_carried_out_leaves_the_old_one(replacement: str) -> None:
    service = FakeService.holding([OLD], on_unsubscribe=deque([lost()]))
    outcome = carry_out(tenancy(declared(), replacement=replacement), service)
    assert "old" in service.live
    assert results(outcome) == (["half-done"] if replacement == "create-first" else ["failed"])
    assert len(service.live) == (2 if replacement == "create-first" else 1)
    assert outcome.outcomes[0].detail == "the connection was cut"
    assert outcome.has_changed == (replacement == "create-first")


def test_an_old_one_that_may_be_gone_is_not_replaced_before_the_list_tells() -> None:
    service = FakeService.holding([OLD], on_unsubscribe=deque([("after", lost())]), on_list=deque([rejected(500)]))
    outcome = carry_out(tenancy(declared(), replacement="remove-first"), service)
    assert results(outcome) == ["half-done"]
    unread = "the list could not be read to find out: -> 500: no"
    assert said(outcome) == [(f"the connection was cut; the old one may have been removed, and {unread}", NEXT_RUN)]
    assert not outcome.outcomes[0].may_be_made
    assert [name.partition(" ")[0] for name in service.calls].count("subscribe") == 0
    assert outcome.has_changed


def test_a_removal_that_nothing_can_tell_of_is_not_said_to_have_changed_nothing() -> None:
    broken: deque[object] = deque([rejected(500)])
    service = FakeService.holding([GONE], on_unsubscribe=deque([("after", lost())]), on_list=broken)
    outcome = carry_out(tenancy(), service)
    assert results(outcome) == ["failed"]
    assert outcome.not_verified
    assert outcome.has_changed


def test_a_refusal_that_changed_nothing_is_said_to_have_changed_nothing() -> None:
    service = FakeService.holding([GONE], on_unsubscribe=deque([rejected(500)]))
    outcome = carry_out(tenancy(), service)
    assert results(outcome) == ["failed"]
    assert not outcome.has_changed


def test_a_create_that_broke_and_was_made_all_the_same_is_known_by_the_verification() -> None:
    service = FakeService(on_subscribe=deque([("after", rejected(500))]))
    outcome = carry_out(tenancy(declared()), service)
    assert results(outcome) == ["done"]
    assert outcome.outcomes[0].new_id == "new-1"
    assert outcome.is_as_declared


def test_a_replacement_that_broke_and_was_made_all_the_same_leaves_the_old_one_to_the_next_run() -> None:
    service = FakeService.holding([OLD], on_subscribe=deque([("after", rejected(500))]))
    outcome = carry_out(tenancy(declared()), service)
    assert results(outcome) == ["half-done"]
    assert "old" in service.live
    assert outcome.outcomes[0].new_id in service.live


# --- a success answer, and nothing done


@pytest.mark.parametrize("tells_ids", [True, False])
def test_a_new_one_that_is_not_listed_in_the_end_is_done_and_said_to_be_unlisted(tells_ids: bool) -> None:
    service = FakeService(tells_ids=tells_ids, on_subscribe=deque([LIE]))
    outcome = carry_out(tenancy(declared()), service)
    assert (results(outcome), said(outcome)) == (["done"], [("", "")])
    [one] = outcome.outcomes
    assert one.warnings == (UNLISTED,)
    assert (one.new_id is not None, one.is_unlisted, one.may_be_made) == (tells_ids, tells_ids, not tells_ids)
    assert outcome.is_as_declared


def test_a_removed_one_that_is_still_listed_is_removed_once_more() -> None:
    service = FakeService.holding([GONE], on_unsubscribe=deque([LIE]))
    outcome = carry_out(tenancy(), service)
    assert service.calls == ["unsubscribe x", "list", "unsubscribe x", "list"]
    assert (results(outcome), said(outcome)) == (["done"], [("", "")])
    assert outcome.is_as_declared


def test_a_removed_one_that_is_still_listed_is_done_and_said_to_be_listed() -> None:
    outcome = carry_out(tenancy(), FakeService.holding([GONE], on_unsubscribe=deque([LIE, LIE])))
    assert (results(outcome), said(outcome)) == (["done"], [("", "")])
    [one] = outcome.outcomes
    assert (one.warnings, one.is_removed) == ((STILL_LISTED,), True)
    assert outcome.differences == ()


@pytest.mark.parametrize("second", [rejected(403), lost()])
def test_a_removal_that_was_answered_stays_done_whatever_is_answered_the_second_time(second: HooksyncError) -> None:
    service = FakeService.holding([GONE], on_unsubscribe=deque([LIE, second]))
    outcome = carry_out(tenancy(), service)
    assert (results(outcome), said(outcome)) == (["done"], [("", "")])
    assert is_still_listed(outcome.outcomes[0])


def test_what_somebody_put_in_the_place_of_a_kept_one_is_told_and_unknown() -> None:
    kept, other = live("kept"), live("other")
    service = FakeService.holding([kept, GONE])
    outcome = carry_out(tenancy(declared()), service, advance=lambda: service.live.update({"kept": other}))
    [told] = [one for one in outcome.outcomes if one.result == "unchanged"]
    assert told.is_found
    assert "other" in told.warnings[0].what


def test_an_old_one_that_is_still_listed_is_removed_once_more_at_the_end() -> None:
    service = FakeService.holding([OLD], on_unsubscribe=deque([LIE]), on_subscribe=deque([lost()]))
    outcome = carry_out(tenancy(declared(), replacement="remove-first"), service)
    assert (results(outcome), said(outcome)) == (["done"], [("", "")])
    assert not outcome.outcomes[0].is_open
    assert list(service.live) == [outcome.outcomes[0].new_id]


def test_a_new_one_that_is_listed_under_another_id_takes_nothing_away() -> None:
    service = Renaming.holding([OLD])
    outcome = carry_out(tenancy(declared()), service)
    assert results(outcome) == ["half-done"]
    assert sorted(service.live) == ["NEW-1", "old"]


# --- the same, to the last word and call


def test_all_that_is_wrong_and_every_fix_is_told() -> None:
    service = FakeService(on_subscribe=deque([ServiceError(Problem("this", "fix this"), Problem("that", "and that"))]))
    assert said(carry_out(tenancy(declared()), service)) == [("this; that", "fix this; and that")]


@dataclass
class Renaming(FakeService):
    """Tells an id in another letter case than the list does."""

    def subscribe(self, declared: DeclaredSubscription, secret: Secret) -> str | None:
        identifier = super().subscribe(declared, secret) or ""
        self.live[identifier.upper()] = replace(self.live.pop(identifier), id=identifier.upper())
        return identifier


@dataclass
class Hearing(FakeService):
    """Notes the secret that came with each subscribe."""

    heard: list[Secret] = field(default_factory=list)

    def subscribe(self, declared: DeclaredSubscription, secret: Secret) -> str | None:
        self.heard.append(secret)
        return super().subscribe(declared, secret)


@pytest.mark.parametrize(("answer", "tries"), [(None, 1), (rejected(409), 2), (lost(), 2)])
def test_each_try_comes_with_the_declared_secret(answer: object, tries: int) -> None:
    service = Hearing.holding([OLD], on_subscribe=deque([answer]))
    carry_out(tenancy(declared()), service)
    assert len(service.heard) == tries
    assert all(secret is VALUE for secret in service.heard)


@dataclass
class Respelling(FakeService):
    """Spells a URL in its own way."""

    def subscribe(self, declared: DeclaredSubscription, secret: Secret) -> str | None:
        identifier = super().subscribe(declared, secret)
        if identifier:
            url = live_url(declared.url.full.replace("%7E", "~"))
            self.live[identifier] = LiveSubscription(identifier, url, declared.trigger, declared.include_identifiers)
        return identifier


def test_a_new_one_that_the_service_respells_is_known_by_the_verification() -> None:
    outcome = carry_out(tenancy(declared("https://hooks.example.org/%7Ea")), Respelling())
    assert results(outcome) == ["done"]
    assert outcome.is_as_declared


def test_a_service_that_gives_the_old_id_again_at_the_second_try_never_loses_the_subscription() -> None:
    service = FakeService.holding([OLD], is_upsert=True, on_subscribe=deque([lost()]))
    outcome = carry_out(tenancy(declared()), service)
    assert list(service.live) == ["old"]
    assert results(outcome) == ["half-done"]


def test_a_replacement_that_is_accepted_without_an_id_is_found_in_the_list_and_finished() -> None:
    service = FakeService.holding([OLD], tells_ids=False)
    outcome = carry_out(tenancy(declared()), service)
    assert list(service.live) == ["new-1"]
    assert results(outcome) == ["done"]


@pytest.mark.parametrize(("there", "result"), [([], "done"), ([OLD], "half-done")])
def test_what_is_accepted_without_an_id_stays_accepted_when_no_list_can_be_read(
    there: list[LiveSubscription], result: str
) -> None:
    service = FakeService.holding(there, tells_ids=False, on_list=deque([unreachable(), unreachable()]))
    outcome = carry_out(tenancy(declared()), service)
    assert results(outcome) == [result]
    unread = "the list could not be read to find out: the server refuses connections"
    assert said(outcome) == [(f"the service accepted it but told no id, and {unread}", NEXT_RUN)]
    assert outcome.outcomes[0].may_be_made


@pytest.mark.parametrize(
    ("again", "detail", "fix"),
    [
        (rejected(409), "-> 409: no; the list does not show it", NEXT_RUN),  # the first try may yet be through
        (rejected(400), "-> 400: no", "look"),
    ],
)
def test_a_second_try_that_is_refused_is_given_up_unless_the_first_may_be_the_reason(
    again: HooksyncError, detail: str, fix: str
) -> None:
    outcome = carry_out(tenancy(declared()), FakeService(on_subscribe=deque([lost(), again])))
    assert results(outcome) == ["failed"]
    assert said(outcome) == [(detail, fix)]
    assert outcome.outcomes[0].may_be_made


@pytest.mark.parametrize("error", [rejected(400), rejected(499), unreachable()])
def test_a_create_that_certainly_failed_is_not_tried_again(error: HooksyncError) -> None:
    service = FakeService(on_subscribe=deque([error]))
    outcome = carry_out(tenancy(declared()), service)
    assert service.calls == ["subscribe https://hooks.example.org/a", "list"]
    assert results(outcome) == ["failed"]
    assert said(outcome) == [(error.summary, error.problems[0].fix)]
    assert outcome.outcomes[0].new_id is None
    assert not outcome.outcomes[0].is_open


def test_what_somebody_else_made_meanwhile_is_not_taken_for_what_was_refused() -> None:
    service = FakeService(on_subscribe=deque([rejected(400)]))
    theirs = live("theirs")
    outcome = carry_out(tenancy(declared()), service, advance=lambda: service.live.update(theirs=theirs))
    assert results(outcome) == ["failed"]
    assert outcome.outcomes[0].new_id is None


def test_what_somebody_else_removed_meanwhile_is_not_called_half_of_a_refused_replacement() -> None:
    service = FakeService.holding([OLD], on_subscribe=deque([rejected(400)]))
    outcome = carry_out(tenancy(declared()), service, advance=service.live.clear)
    assert results(outcome) == ["failed"]


def test_a_second_try_does_not_remove_the_old_one_again() -> None:
    service = FakeService.holding([OLD], on_subscribe=deque([lost()]))
    outcome = carry_out(tenancy(declared(), replacement="remove-first"), service)
    assert [call.split()[0] for call in service.calls] == ["unsubscribe", "subscribe", "list", "subscribe", "list"]
    assert results(outcome) == ["done"]


def test_a_conflict_although_the_old_one_is_gone_is_not_tried_again() -> None:
    service = FakeService.holding([OLD], on_subscribe=deque([rejected(409)]))
    outcome = carry_out(tenancy(declared(), replacement="remove-first"), service)
    assert [call.split()[0] for call in service.calls] == ["unsubscribe", "subscribe", "list", "list"]
    assert results(outcome) == ["half-done"]


def test_a_refused_removal_of_the_old_one_ends_a_remove_first_replacement() -> None:
    service = FakeService.holding([OLD], on_unsubscribe=deque([rejected(403)]))
    outcome = carry_out(tenancy(declared(), replacement="remove-first"), service)
    assert service.calls == ["unsubscribe old", "list"]
    assert results(outcome) == ["failed"]
    assert said(outcome) == [("-> 403: no", "look")]


def test_an_old_one_that_somebody_else_removed_meanwhile_is_gone() -> None:
    service = FakeService.holding([OLD], on_unsubscribe=deque([("after", rejected(403))]))
    outcome = carry_out(tenancy(declared()), service)
    assert results(outcome) == ["done"]
    assert said(outcome) == [("", "")]


@dataclass
class Cut(FakeService):
    """Ctrl-C comes while it lists."""

    stop: threading.Event = field(default_factory=threading.Event)

    def list_subscriptions(self) -> tuple[LiveSubscription, ...]:
        self.stop.set()
        return super().list_subscriptions()


def test_an_interrupt_while_the_list_is_read_leaves_no_second_try() -> None:
    service = Cut(on_subscribe=deque([lost()]))
    outcome = carry_out(tenancy(declared()), service, stop=service.stop)
    assert service.calls == ["subscribe https://hooks.example.org/a", "list"]
    assert said(outcome) == [("the connection was cut; it is not there after one try: interrupted", NEXT_RUN)]


def test_an_interrupt_before_the_second_try_leaves_a_replacement_half_done_where_the_old_one_is_gone() -> None:
    stop, ticks = threading.Event(), iter(range(9))
    new, replaced = declared("https://hooks.example.org/new", name="new"), declared()
    service = FakeService.holding([OLD], on_subscribe=deque([lost()]), on_unsubscribe=deque([("after", lost())]))

    def advance() -> None:
        if next(ticks) == 2:  # both were begun, and the first of them once more
            stop.set()

    wanted = tenancy(new, replaced, replacement="remove-first")
    outcome = carry_out(wanted, service, stop=stop, advance=advance, width=1)
    assert results(outcome) == ["done", "half-done"]
    assert list(service.live) == [outcome.outcomes[0].new_id]
