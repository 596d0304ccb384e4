"""Carrying a plan out, on a service in memory: the order of calls, lost answers, refusals,
interrupts.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from hooksync.core.errors import HooksyncError, Problem, ServiceError
from hooksync.core.model import LiveSubscription, Secret, Tenancy
from hooksync.reconcile.apply import Execution
from hooksync.reconcile.diff import DiffOptions, make_plan
from hooksync.reconcile.plan import TenancyOutcome, Unsubscribe
from hooksync.reconcile.step_runner import CONFLICTS, NEXT_RUN, STILL_LISTED, UNCONFIRMED, UNLISTED
from hooksync.service.worker_pool import WorkerPool
from tests.clocks import JumpingClock
from tests.fakes import LIE, FakeService, lost, rejected, unreachable
from tests.makers import INDEXED, SECRET, declared, live, tenancy

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
            plan,
            service,
            {SECRET: VALUE},
            pool,
            options=options,
            clock=JumpingClock(),
            advance=advance,
        ).run()


def results(outcome: TenancyOutcome) -> list[str]:
    return [one.result for one in outcome.outcomes]


def said(outcome: TenancyOutcome) -> list[tuple[str, str]]:
    """Why each step is not done, and the fix."""
    return [(one.detail, one.fix) for one in outcome.outcomes]


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
    assert [call.split()[0] for call in service.calls] == [
        "subscribe",
        "unsubscribe",
        "subscribe",
        "list",
    ]
    assert results(outcome) == ["done"]
    assert outcome.outcomes[0].warnings == (CONFLICTS,)
    assert outcome.is_as_declared


def test_a_lost_answer_that_was_not_carried_out_is_tried_once_more() -> None:
    service = FakeService(on_subscribe=deque([lost()]))
    outcome = carry_out(tenancy(declared()), service)
    assert [call.split()[0] for call in service.calls] == ["subscribe", "list", "subscribe", "list"]
    assert outcome.is_as_declared


def test_a_service_that_gives_the_old_id_again_never_loses_the_subscription() -> None:
    service = FakeService.holding([OLD], is_upsert=True)
    outcome = carry_out(tenancy(declared()), service)
    assert list(service.live) == ["old"]
    assert results(outcome) == ["half-done"]
    assert said(outcome) == [(UNCONFIRMED, NEXT_RUN)]
    assert outcome.outcomes[0].may_be_made
    assert not outcome.is_as_declared


def test_a_failed_step_does_not_stop_the_others() -> None:
    wanted = [
        declared(f"https://hooks.example.org/{number}", name=f"n{number}") for number in range(6)
    ]
    there = live("gone", "https://hooks.example.org/x", INDEXED)
    service = FakeService.holding([there], on_subscribe=deque([rejected(400)]))
    outcome = carry_out(tenancy(*wanted), service)
    assert sorted(results(outcome)) == ["done"] * 5 + ["failed", "not-attempted"]
    assert "gone" in service.live


def held_back(address: str) -> tuple[str, str]:
    what = f"held back: {address} may not have been made, and may replace this one"
    return what, "fix that, then run apply again"


@pytest.mark.parametrize("answers", [[rejected(400)], [rejected(500)], [lost(), lost()]])
def test_a_removal_waits_for_what_could_not_be_made(answers: list[object]) -> None:
    there = live("there", "https://hooks.example.org/x")
    service = FakeService.holding([there], on_subscribe=deque(answers))
    outcome = carry_out(tenancy(declared()), service)
    assert results(outcome) == ["failed", "not-attempted"]
    assert said(outcome)[1] == held_back("prod/catalogue/MOVED")
    assert list(service.live) == ["there"]
    assert [step.reason for step in outcome.differences if isinstance(step, Unsubscribe)] == [
        "not declared, held back"
    ]
    assert not outcome.is_as_declared


def test_a_removal_that_waits_names_one_and_counts_the_others() -> None:
    wanted = [
        declared(f"https://hooks.example.org/{number}", name=f"n{number}") for number in range(3)
    ]
    service = FakeService.holding(
        [live("x", "https://h.example/x")], on_subscribe=deque([rejected(400)] * 3)
    )
    assert said(carry_out(tenancy(*wanted), service))[-1] == held_back("prod/n0/MOVED and 2 more")


def test_an_undeclared_one_stays_while_a_replacement_could_not_be_made() -> None:
    there = live("x", "https://hooks.example.org/x")
    service = FakeService.holding([OLD, there], on_subscribe=deque([rejected(400)]))
    outcome = carry_out(tenancy(declared()), service)
    assert results(outcome) == ["failed", "not-attempted"]
    assert list(service.live) == ["old", "x"]


def test_a_duplicate_stays_while_what_it_duplicates_is_missing() -> None:
    twin = live("twin", include_identifiers=False)
    service = FakeService.holding([OLD, twin], on_subscribe=deque([rejected(400)]))
    outcome = carry_out(tenancy(declared(), replacement="remove-first"), service)
    assert results(outcome) == ["half-done", "not-attempted"]
    assert said(outcome)[1] == held_back("prod/catalogue/MOVED")
    assert list(service.live) == ["twin"]


def test_replace_is_not_asked_for_again_by_the_verification() -> None:
    service = FakeService.holding([live("old")])
    outcome = carry_out(tenancy(declared()), service, options=DiffOptions(replace=("*",)))
    assert "old" not in service.live
    assert outcome.is_as_declared


def test_after_an_interrupt_nothing_new_starts_and_nothing_is_called_verified() -> None:
    stop = threading.Event()
    wanted = [
        declared(f"https://hooks.example.org/{number}", name=f"n{number}") for number in range(50)
    ]
    service = FakeService.holding([live("gone", "https://hooks.example.org/x")])
    outcome = carry_out(tenancy(*wanted), service, stop=stop, advance=stop.set)
    counted = {result: results(outcome).count(result) for result in results(outcome)}
    assert 1 <= counted["done"] <= 4  # as many as are in flight at once
    assert counted["not-attempted"] == 51 - counted["done"]
    assert "gone" in service.live
    assert {(one.detail, one.fix) for one in outcome.outcomes if one.result == "not-attempted"} == {
        ("", "")
    }
    assert outcome.not_verified == "interrupted"


def test_a_replacement_interrupted_between_its_halves_is_half_done() -> None:
    stop = threading.Event()
    service = FakeService.holding([OLD])
    outcome = carry_out(tenancy(declared()), service, stop=stop, advance=stop.set)
    assert results(outcome) == ["half-done"]
    assert said(outcome) == [
        ("interrupted: the new one is made, the old one is still there", NEXT_RUN)
    ]
    assert sorted(service.live) == ["new-1", "old"]


def test_progress_is_told_for_each_call_that_brings_a_step_forward() -> None:
    ticks: list[None] = []
    service = FakeService.holding([OLD, live("x", "https://hooks.example.org/x")])
    wanted = tenancy(declared(), declared("https://hooks.example.org/new", name="new"))
    carry_out(wanted, service, advance=lambda: ticks.append(None))
    assert len(ticks) == 4


GONE = live("x", "https://hooks.example.org/x")


def test_a_refusal_that_changed_nothing_is_said_to_have_changed_nothing() -> None:
    service = FakeService.holding([GONE], on_unsubscribe=deque([rejected(500)]))
    outcome = carry_out(tenancy(), service)
    assert results(outcome) == ["failed"]
    assert not outcome.has_changed


# --- a success answer, and nothing done


def test_a_removed_one_that_is_still_listed_is_done_and_said_to_be_listed() -> None:
    outcome = carry_out(tenancy(), FakeService.holding([GONE], on_unsubscribe=deque([LIE])))
    assert (results(outcome), said(outcome)) == (["done"], [("", "")])
    [one] = outcome.outcomes
    assert (one.warnings, one.is_removed) == ((STILL_LISTED,), True)
    assert outcome.differences == ()


@pytest.mark.parametrize("second", [rejected(403), lost()])
def test_a_removal_that_was_answered_stays_done_whatever_is_answered_the_second_time(
    second: HooksyncError,
) -> None:
    service = FakeService.holding([GONE], on_unsubscribe=deque([LIE, second]))
    outcome = carry_out(tenancy(), service)
    assert (results(outcome), said(outcome)) == (["done"], [("", "")])
    assert outcome.outcomes[0].warnings[0].what.endswith(STILL_LISTED.what)


def test_what_somebody_put_in_the_place_of_a_kept_one_is_told_and_unknown() -> None:
    kept, other = live("kept"), live("other")
    service = FakeService.holding([kept, GONE])
    outcome = carry_out(
        tenancy(declared()), service, advance=lambda: service.live.update({"kept": other})
    )
    [told] = [one for one in outcome.outcomes if one.result == "unchanged"]
    assert told.is_found
    assert "other" in told.warnings[0].what


UNREAD = "the list could not be read to find out: the server refuses connections"
ENDS = {  # a service | replacement | the result, what went wrong, and the fix
    "made without the old one: refused": (
        FakeService.holding([OLD], on_subscribe=deque([rejected(400)])),
        "remove-first",
        ("half-done", "the old one was removed, and the new one could not be made: -> 400: no"),
        "this subscription is missing now: look, then run apply again",
    ),
    "the new one is refused": (
        FakeService.holding([OLD], on_subscribe=deque([rejected(400)])),
        "create-first",
        ("failed", "-> 400: no"),
        "look",
    ),
    "the old one is not removed": (
        FakeService.holding([OLD], on_unsubscribe=deque([rejected(500)])),
        "create-first",
        ("half-done", "-> 500: no"),
        "run apply again: it removes the old one and keeps the new one (look)",
    ),
    "the old one is not removed first": (
        FakeService.holding([OLD], on_unsubscribe=deque([rejected(403)])),
        "remove-first",
        ("failed", "-> 403: no"),
        "look",
    ),
    "the old one may be removed": (
        FakeService.holding(
            [OLD], on_unsubscribe=deque([("after", lost())]), on_list=deque([unreachable()])
        ),
        "remove-first",
        ("half-done", f"the connection was cut; the old one may have been removed, and {UNREAD}"),
        NEXT_RUN,
    ),
    "lost twice": (
        FakeService(on_subscribe=deque([lost(), lost()])),
        "create-first",
        ("failed", "the connection was cut; it is not there after two tries"),
        NEXT_RUN,
    ),
    "lost, and no list": (
        FakeService(
            on_subscribe=deque([("after", lost())]), on_list=deque([unreachable(), unreachable()])
        ),
        "create-first",
        ("failed", f"the connection was cut; it may have been made, and {UNREAD}"),
        NEXT_RUN,
    ),
    "lost, then a conflict": (  # the first try may yet be through
        FakeService(on_subscribe=deque([lost(), rejected(409)])),
        "create-first",
        ("failed", "-> 409: no; the list does not show it"),
        NEXT_RUN,
    ),
    "accepted without an id, and no list": (
        FakeService.holding([OLD], tells_ids=False, on_list=deque([unreachable(), unreachable()])),
        "create-first",
        ("half-done", f"the service accepted it but told no id, and {UNREAD}"),
        NEXT_RUN,
    ),
    "accepted without an id, and a list in the end": (
        FakeService.holding([OLD], tells_ids=False, on_list=deque([unreachable()])),
        "create-first",
        ("half-done", "only the verification found the new one, the old one is still there"),
        NEXT_RUN,
    ),
}


@pytest.mark.parametrize(("service", "replacement", "end", "fix"), ENDS.values(), ids=ENDS)
def test_what_is_not_done_says_what_is_wrong_and_the_fix(
    service: FakeService, replacement: str, end: tuple[str, str], fix: str
) -> None:
    outcome = carry_out(tenancy(declared(), replacement=replacement), service)
    assert results(outcome) == [end[0]]
    assert said(outcome) == [(end[1], fix)]


def test_a_create_that_broke_and_was_made_all_the_same_is_known_by_the_verification() -> None:
    outcome = carry_out(
        tenancy(declared()), FakeService(on_subscribe=deque([("after", rejected(500))]))
    )
    assert results(outcome) == ["done"]
    assert outcome.outcomes[0].new_id == "new-1"


def test_a_removal_that_broke_and_was_done_all_the_same_is_known_by_the_list() -> None:
    service = FakeService.holding([OLD], on_unsubscribe=deque([("after", rejected(500))]))
    outcome = carry_out(tenancy(declared(), replacement="remove-first"), service)
    assert (results(outcome), said(outcome)) == (["done"], [("", "")])


def test_an_old_one_that_is_still_listed_is_left_to_the_next_apply() -> None:
    service = FakeService.holding([OLD], on_unsubscribe=deque([LIE]), on_subscribe=deque([lost()]))
    outcome = carry_out(tenancy(declared(), replacement="remove-first"), service)
    [warning] = outcome.outcomes[0].warnings
    assert "it is still listed" in warning.what
    assert sorted(service.live) == sorted(["old", str(outcome.outcomes[0].new_id)])


@pytest.mark.parametrize("error", [rejected(400), unreachable()])
def test_a_create_that_certainly_failed_is_not_tried_again(error: HooksyncError) -> None:
    service = FakeService(on_subscribe=deque([error]))
    carry_out(tenancy(declared()), service)
    assert service.calls == ["subscribe https://hooks.example.org/a", "list"]


def test_all_that_is_wrong_and_every_fix_is_told() -> None:
    service = FakeService(
        on_subscribe=deque([ServiceError(Problem("this", "fix this"), Problem("that", "and that"))])
    )
    assert said(carry_out(tenancy(declared()), service)) == [("this; that", "fix this; and that")]


def test_what_somebody_else_made_meanwhile_is_not_taken_for_what_was_refused() -> None:
    service = FakeService(on_subscribe=deque([rejected(400)]))
    theirs = live("theirs")
    outcome = carry_out(
        tenancy(declared()), service, advance=lambda: service.live.update(theirs=theirs)
    )
    assert results(outcome) == ["failed"]
    assert outcome.outcomes[0].new_id is None


def test_a_second_try_does_not_remove_the_old_one_again() -> None:
    service = FakeService.holding([OLD], on_subscribe=deque([lost()]))
    outcome = carry_out(tenancy(declared(), replacement="remove-first"), service)
    assert [call.split()[0] for call in service.calls] == [
        "unsubscribe",
        "subscribe",
        "list",
        "subscribe",
        "list",
    ]
    assert results(outcome) == ["done"]


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
    assert said(outcome) == [
        ("the connection was cut; it is not there after one try: interrupted", NEXT_RUN)
    ]
