"""The fates of a step's two halves: a table holds all that the code does with them, and nothing else."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

import pytest

from hooksync.core.model import DeclaredSubscription, LiveSubscription, Secret, Tenancy
from hooksync.reconcile.apply import Execution
from hooksync.reconcile.diff import DiffOptions, make_plan
from hooksync.reconcile.plan import Resubscribe, Subscribe, Unsubscribe
from hooksync.reconcile.step_runner import ActiveStep, Creation, Removal, StepRunner
from hooksync.service.worker_pool import WorkerPool
from tests.clocks import JumpingClock
from tests.fakes import LIE, FakeService, lost, rejected, unreachable
from tests.makers import SECRET, declared, tenancy
from tests.reconcile.test_apply import OLD, VALUE

NEW, REPLACED, GONE = (
    Subscribe(declared()),
    Resubscribe(declared(), OLD, ("differs",)),
    Unsubscribe(OLD, "not declared"),
)


class NotingRunner(StepRunner):
    """Notes what happens to it."""

    def __init__(self, step: ActiveStep, happened: set[object]) -> None:
        self.happened = happened
        super().__init__(step)

    def __setattr__(self, name: str, value: object) -> None:
        former = getattr(self, name, None)
        if isinstance(former, Creation | Removal) and former is not value:
            self.happened.add((former, value))
        super().__setattr__(name, value)


@dataclass
class Lagging(FakeService):
    """Lists what was there before the run, where its script says so."""

    lags: deque[bool] = field(default_factory=deque)

    def list_subscriptions(self) -> tuple[LiveSubscription, ...]:
        found = super().list_subscriptions()
        return (OLD,) if self.lags and self.lags.popleft() else found


class Repeating(FakeService):
    """Answers every subscribe with the same id."""

    def subscribe(self, declared: DeclaredSubscription, secret: Secret) -> str | None:
        return super().subscribe(declared, secret) and "always the same"


FIRST_POST = (
    None,
    lost(),
    ("after", lost()),
    rejected(400),
    rejected(409),
    rejected(500),
    ("after", rejected(500)),
    LIE,
)
SECOND_POST = (None, lost(), rejected(400), rejected(409), rejected(500), LIE)
FIRST_DELETE = (None, lost(), ("after", lost()), rejected(403), ("after", rejected(403)), LIE)
SECOND_DELETE = (None, lost(), rejected(403))
LISTS = ((None, False, False), (None, True, False), (None, False, True), (unreachable(), False, False))


TRANSITIONS = {
    (Creation.UNTRIED, Creation.LOST),
    (Creation.UNTRIED, Creation.UNKNOWN),
    (Creation.UNTRIED, Creation.REFUSED),
    (Creation.UNTRIED, Creation.ACCEPTED),
    (Creation.UNTRIED, Creation.MADE),
    (Creation.LOST, Creation.UNKNOWN),
    (Creation.LOST, Creation.ACCEPTED),
    (Creation.LOST, Creation.MADE),
    (Creation.ACCEPTED, Creation.MADE),
    (Creation.ACCEPTED, Creation.UNKNOWN),
    (Creation.MADE, Creation.ACCEPTED),  # its id was told for another one, too, or the list shows another one under it
    (Creation.UNKNOWN, Creation.MADE),
    (Removal.UNTRIED, Removal.UNKNOWN),
    (Removal.UNTRIED, Removal.REFUSED),
    (Removal.UNTRIED, Removal.GONE),
    (Removal.UNKNOWN, Removal.GONE),
    (Removal.REFUSED, Removal.GONE),
}


def services() -> Iterator[Lagging]:
    """Every service that does wrong in up to two calls of each kind."""
    posts, deletes = product(FIRST_POST, SECOND_POST), product(FIRST_DELETE, SECOND_DELETE)
    for number, (on_subscribe, on_unsubscribe, (on_list, *lags)) in enumerate(product(posts, deletes, LISTS)):
        yield Lagging(
            {OLD.id: OLD},
            tells_ids=number % 5 > 0,
            on_subscribe=deque(on_subscribe),
            on_unsubscribe=deque(on_unsubscribe),
            on_list=deque([on_list]),
            lags=deque(lags),
        )


def execute(service: FakeService, wanted: Tenancy, pool: WorkerPool, happened: set[object]) -> Execution:
    plan = make_plan(wanted, (OLD,), DiffOptions())
    execution = Execution(plan, service, {SECRET: VALUE}, pool, options=DiffOptions(), clock=JumpingClock())
    execution.runners[:] = [NotingRunner(runner.step, happened) for runner in execution.runners]
    execution.run()
    return execution


@pytest.mark.slow
def test_the_code_makes_every_transition_of_the_table_and_no_other() -> None:
    happened: set[object] = set()
    wanted = [tenancy(), tenancy(declared()), tenancy(declared(), replacement="remove-first")]
    with WorkerPool(1, threading.Event()) as pool:
        for number, service in enumerate(services()):
            execute(service, wanted[number % 16 and 1 + number % 2], pool, happened)
        others = tenancy(declared("https://hooks.example.org/b"), declared("https://hooks.example.org/c", name="c"))
        execute(Repeating({OLD.id: OLD}), others, pool, happened)
    assert happened == TRANSITIONS


MADE = {Creation.MADE, Creation.ACCEPTED}
NOT_MADE = {Creation.LOST, Creation.REFUSED, Creation.UNKNOWN}
STILL_THERE = {Removal.UNKNOWN, Removal.REFUSED}


def result_of(step: ActiveStep, creation: Creation, removal: Removal) -> str:
    runner = StepRunner(step)
    runner.creation, runner.removal = creation, removal
    return runner.result


@pytest.mark.parametrize(("creation", "removal"), list(product(Creation, Removal)))
def test_the_result_follows_from_the_fates(creation: Creation, removal: Removal) -> None:
    new = {**dict.fromkeys(MADE, "done"), **dict.fromkeys(NOT_MADE, "failed"), Creation.UNTRIED: "not-attempted"}
    gone = {Removal.GONE: "done", **dict.fromkeys(STILL_THERE, "failed"), Removal.UNTRIED: "not-attempted"}
    both = {frozenset({"done"}): "done", frozenset({"not-attempted"}): "not-attempted"}
    assert result_of(NEW, creation, Removal.UNTRIED) == new[creation]
    assert result_of(GONE, Creation.UNTRIED, removal) == gone[removal]
    halves = frozenset({new[creation], gone[removal]})
    assert result_of(REPLACED, creation, removal) == both.get(halves, "half-done" if "done" in halves else "failed")
