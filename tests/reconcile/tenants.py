"""A tenancy in memory with its state, for tests that run several applies in succession."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from hooksync.core.errors import Problem
from hooksync.core.model import LiveSubscription, Tenancy
from hooksync.reconcile.apply import Execution
from hooksync.reconcile.journal import Journal, Ledger
from hooksync.reconcile.plan import Outcome, Selection, TenancyPlan, not_begun
from hooksync.reconcile.run import FetchedTenancy, Planner, Run
from hooksync.service.http import Caller, Transport
from hooksync.service.worker_pool import WorkerPool
from hooksync.state.model import NO_STATE, Attempt, State, SubscriptionRecord, TenancyRecords
from hooksync.state.remote import RemoteStore
from hooksync.state.store import update
from tests.clocks import JumpingClock
from tests.fakes import FakeService
from tests.memory_backend import MemoryBackend
from tests.memory_terminal import MemoryTerminal, make_context
from tests.reconcile.planning import ENVIRON, PLAIN, VALUE, made, planner
from tests.state_makers import PROD, load, state


@dataclass
class Tenant:
    """A declared tenancy, the service in memory that holds it, and its state."""

    wanted: Tenancy
    service: FakeService = field(default_factory=FakeService)
    options: Selection = PLAIN
    value: str = VALUE  # of the declared secret
    stop: threading.Event = field(default_factory=threading.Event)
    width: int = 4  # calls at the same time
    advance: Callable[[], None] = lambda: None
    list_wait: float = 0.0
    terminal: MemoryTerminal = field(default_factory=MemoryTerminal)
    clock: JumpingClock = field(default_factory=JumpingClock)
    store: RemoteStore = field(
        default_factory=lambda: RemoteStore(MemoryBackend(), make_context(clock=JumpingClock()))
    )

    def remember(self, *records: SubscriptionRecord | TenancyRecords) -> Tenant:
        """Write a state with these records."""
        update(self.store, lambda _: state(*records))
        return self

    def remember_live(self) -> Tenant:
        """Write a state in which hooksync made each live subscription with a declared identity."""
        wanted = {one.key: one for one in self.wanted.subscriptions}
        known = [made(one.id, wanted[one.key]) for one in self.listed if one.key in wanted]
        return self.remember(*known)

    @property
    def state(self) -> State:
        return load(self.store) or NO_STATE

    @property
    def records(self) -> TenancyRecords:
        return self.state.of(PROD)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        return self.records.attempts

    @property
    def verbs(self) -> list[str]:
        """Return the kind of each call of the service: list, subscribe or unsubscribe."""
        return [call.split()[0] for call in self.service.calls]

    def plan(self, run: Planner | None = None) -> TenancyPlan:
        [one] = (run or self.planner()).plan([FetchedTenancy(self.wanted, self.listed)])
        return one

    def planner(self) -> Planner:
        environ = ENVIRON | {"HOOK_SECRET": self.value}
        return planner(load(self.store), self.options, environ)

    @property
    def listed(self) -> tuple[LiveSubscription, ...]:
        """Return the subscriptions that a list shows."""
        return tuple(self.service.listed)

    def apply(self, *, is_killed: bool = False) -> TenancyPlan:
        """Plan, apply and record the outcome. If `is_killed`, the run ends before the recording."""
        planned = self.planner()
        plan = self.plan(planned)
        if plan.has_changes and not plan.is_ready:
            return not_begun(plan)
        with WorkerPool(self.width, self.stop) as pool:
            run = self._run(pool, planned)
            journal = Journal(run, None)
            if plan.is_ready:
                execution = Execution(journal, plan, self.advance, is_reviewed=True)
                journal.begin([execution])
                execution.run_phases()
                ledger: Ledger = execution
            else:
                ledger = Ledger(journal, not_begun(plan))
                ledger.begin(journal.state)
                ledger.end(plan.live)
        if not (is_killed or plan.refusals):
            journal.write([ledger])
        return ledger.plan

    def begin(self) -> None:
        """Plan and write the attempts, as an apply that is killed before its first change."""
        planned = self.planner()
        plan = self.plan(planned)
        if plan.is_ready:
            with WorkerPool(self.width, self.stop) as pool:
                journal = Journal(self._run(pool, planned), None)
                journal.begin([Ledger(journal, plan)])

    def _run(self, pool: WorkerPool, planned: Planner) -> Run:
        self.service.tenancy = self.wanted
        context = make_context(terminal=self.terminal, stop=self.stop, clock=self.clock)
        return Run(
            context,
            {self.wanted.name: self.service},  # type: ignore[dict-item]
            planned.secrets,
            pool,
            Caller(Transport(1.0, 1, {}), context),
            planned,
            self.store,
            self.list_wait,
            [],
        )


def outcomes(applied: TenancyPlan) -> list[Outcome]:
    return [step.outcome for step in applied.steps if step.outcome]


def results(applied: TenancyPlan) -> list[str]:
    return [outcome.result for outcome in outcomes(applied)]


def said(applied: TenancyPlan) -> list[tuple[str, str]]:
    """Return why each step is not done, and the fix."""
    problems = [outcome.problem or Problem("", "") for outcome in outcomes(applied)]
    return [(problem.what, problem.fix) for problem in problems]
