"""Carrying a plan out, on a service in memory: the order of calls, lost answers, refusals, interrupts."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.apply import Means, apply_plan
from hooksync.calls import CallPool
from hooksync.diff import DiffOptions, make_plan
from hooksync.errors import HooksyncError
from hooksync.memory import NOTHING
from hooksync.model import LiveSubscription, Secret, Tenancy
from hooksync.outcomes import TenancyOutcome
from hooksync.plan import Resubscribe, Subscribe, Unsubscribe
from tests.fakes import FakeService, lost, rejected, unreachable
from tests.makers import SECRET, declared, lists_of_live, live, tenancies, tenancy

OLD = live("old", include_identifiers=False)  # the declared one asks for identifiers


def carry_out(
    wanted: Tenancy,
    service: FakeService,
    *,
    options: DiffOptions | None = None,
    stop: threading.Event | None = None,
    advance: Callable[[], None] = lambda: None,
) -> TenancyOutcome:
    options = options or DiffOptions()
    plan = make_plan(wanted, tuple(service.live.values()), options)
    with CallPool(4, stop or threading.Event()) as pool:
        return apply_plan(plan, Means(service, {SECRET: Secret("x" * 32)}, pool, options, NOTHING, advance))


def results(outcome: TenancyOutcome) -> list[str]:
    return [one.result for one in outcome.outcomes]


def test_a_plan_without_changes_makes_no_call() -> None:
    service = FakeService.holding([live()])
    outcome = carry_out(tenancy(declared()), service)
    assert service.calls == []
    assert results(outcome) == ["unchanged"]
    assert outcome.is_as_declared
    assert not outcome.has_changed


def test_a_subscribe_gives_its_id_and_is_verified() -> None:
    service = FakeService()
    outcome = carry_out(tenancy(declared()), service)
    assert service.calls == ["subscribe https://hooks.example.org/a", "list"]
    assert outcome.outcomes[0].new_id == "new-1"
    assert outcome.is_as_declared


def test_the_old_one_goes_only_after_the_new_one_is_there() -> None:
    service = FakeService.holding([OLD])
    outcome = carry_out(tenancy(declared()), service)
    assert service.calls == ["subscribe https://hooks.example.org/a", "unsubscribe old", "list"]
    assert results(outcome) == ["done"]


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
    assert "removed first" in outcome.outcomes[0].warning
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
    assert not outcome.is_as_declared


def test_a_create_that_fails_after_the_removal_is_half_done_and_says_what_is_missing() -> None:
    service = FakeService.holding([OLD], on_subscribe=deque([rejected(400)]))
    outcome = carry_out(tenancy(declared(), replacement="remove-first"), service)
    assert results(outcome) == ["half-done"]
    assert "missing now" in outcome.outcomes[0].fix
    assert outcome.has_changed


def test_a_removal_that_fails_after_the_create_is_half_done() -> None:
    service = FakeService.holding([OLD], on_unsubscribe=deque([rejected(500)]))
    outcome = carry_out(tenancy(declared()), service)
    assert results(outcome) == ["half-done"]
    assert len(service.live) == 2
    assert [type(step) for step in outcome.differences] == [Unsubscribe]


@pytest.mark.parametrize("answer", [("after", lost()), None])
def test_a_lost_answer_that_was_carried_out_is_found_in_the_list(answer: object) -> None:
    service = FakeService(on_subscribe=deque([answer]), tells_ids=answer is not None)
    outcome = carry_out(tenancy(declared()), service)
    assert [call.split()[0] for call in service.calls] == ["subscribe", "list", "list"]
    assert outcome.outcomes[0].new_id == "new-1"
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
    assert "not there after two tries" in outcome.outcomes[0].detail


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
    assert results(outcome) != ["done"]
    assert not outcome.is_as_declared


def test_when_the_list_fails_a_lost_answer_stays_open() -> None:
    service = FakeService(on_subscribe=deque([("after", lost())]), on_list=deque([unreachable(), unreachable()]))
    outcome = carry_out(tenancy(declared()), service)
    assert results(outcome) == ["failed"]
    assert "may have been made" in outcome.outcomes[0].detail
    assert "refuses connections" in outcome.not_verified


def test_when_the_list_fails_an_accepted_replacement_keeps_the_old_one() -> None:
    service = FakeService.holding([OLD], tells_ids=False, on_list=deque([unreachable()]))
    outcome = carry_out(tenancy(declared()), service)
    assert "old" in service.live
    assert results(outcome) == ["half-done"]


def test_a_failed_step_does_not_stop_the_others() -> None:
    wanted = [declared(f"https://hooks.example.org/{number}", name=f"n{number}") for number in range(6)]
    service = FakeService.holding([live("gone", "https://hooks.example.org/x")], on_subscribe=deque([rejected(400)]))
    outcome = carry_out(tenancy(*wanted), service)
    assert sorted(results(outcome)) == ["done"] * 6 + ["failed"]
    assert "gone" not in service.live


def test_another_writer_is_seen_by_the_last_look() -> None:
    service = FakeService()

    def interfere() -> None:
        service.live["theirs"] = live("theirs", "https://hooks.example.org/theirs")

    outcome = carry_out(tenancy(declared()), service, advance=interfere)
    assert results(outcome) == ["done"]
    assert [type(step) for step in outcome.differences] == [Unsubscribe]
    assert not outcome.is_as_declared


def test_replace_is_not_asked_for_again_by_the_last_look() -> None:
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
    assert outcome.not_verified == "interrupted"


def test_a_replacement_interrupted_between_its_halves_is_half_done() -> None:
    stop = threading.Event()
    service = FakeService.holding([OLD])
    outcome = carry_out(tenancy(declared()), service, stop=stop, advance=stop.set)
    assert results(outcome) == ["half-done"]
    assert sorted(service.live) == ["new-1", "old"]


def test_progress_is_told_for_each_call_that_brings_a_step_forward() -> None:
    ticks: list[None] = []
    service = FakeService.holding([OLD, live("x", "https://hooks.example.org/x")])
    carry_out(tenancy(declared()), service, advance=lambda: ticks.append(None))
    assert len(ticks) == 3


def assert_true(outcome: TenancyOutcome) -> None:
    """Hold what the report says of each step against what is live."""
    assert outcome.last_live is not None
    ids = {one.id for one in outcome.last_live}
    accounted = {one.id for one in outcome.plan.live} | {one.new_id for one in outcome.outcomes}
    unclaimed = {one.key for one in outcome.last_live if one.id not in accounted}
    for one in outcome.outcomes:
        match one.step:
            case Unsubscribe(gone):
                assert (one.result == "done") == (gone.id not in ids)
            case Resubscribe() as step:
                assert (one.result == "done") == (step.live.id not in ids and one.new_id in ids)
                assert (one.result == "half-done") == ((step.live.id in ids) == (one.new_id in ids))
            case Subscribe():
                assert (one.result == "done") == (one.new_id in ids)
            case _:
                assert one.result == "unchanged"
        if one.result == "failed" and isinstance(one.step, Subscribe | Resubscribe):
            assert one.step.declared.key not in unclaimed


SCRIPTS = st.lists(
    st.sampled_from([None, None, lost(), ("after", lost()), rejected(400), rejected(409), rejected(500)]), max_size=12
)


@given(
    tenancies(),
    lists_of_live(),
    st.fixed_dictionaries({"refuses_duplicates": st.booleans(), "tells_ids": st.booleans()}),
    st.tuples(SCRIPTS, SCRIPTS, SCRIPTS),
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
    left = make_plan(wanted, tuple(service.live.values()), DiffOptions())
    if outcome.is_as_declared:
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
    assert outcome.is_as_declared
    assert [name.partition(" ")[0] for name in service.calls].count("subscribe") == 1


def test_an_unsubscribe_whose_answer_was_lost_is_known_by_the_last_look() -> None:
    service = FakeService.holding([GONE], on_unsubscribe=deque([("after", lost())]))
    outcome = carry_out(tenancy(), service)
    assert results(outcome) == ["done"]
    assert outcome.outcomes[0].detail == ""
    assert outcome.is_as_declared


@pytest.mark.parametrize("replacement", ["create-first", "remove-first"])
def test_a_removal_that_was_lost_and_not_carried_out_leaves_the_old_one(replacement: str) -> None:
    service = FakeService.holding([OLD], on_unsubscribe=deque([lost()]))
    outcome = carry_out(tenancy(declared(), replacement=replacement), service)
    assert "old" in service.live
    assert results(outcome) == (["half-done"] if replacement == "create-first" else ["failed"])
    assert len(service.live) == (2 if replacement == "create-first" else 1)
    assert outcome.has_changed == (replacement == "create-first")


def test_an_old_one_that_may_be_gone_is_not_replaced_before_the_list_tells() -> None:
    service = FakeService.holding([OLD], on_unsubscribe=deque([("after", lost())]), on_list=deque([rejected(500)]))
    outcome = carry_out(tenancy(declared(), replacement="remove-first"), service)
    assert results(outcome) == ["half-done"]
    assert "the list could not be read" in outcome.outcomes[0].detail
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


def test_a_create_that_broke_and_was_made_all_the_same_is_known_by_the_last_look() -> None:
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
