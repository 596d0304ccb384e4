"""A run against tenancies: what it has opened, and the reading and planning of its tenancies.

An error in one tenancy does not stop the others. api/opening.py opens runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from hooksync.config.secret_sources import SecretSources
from hooksync.core.clock import Backoff
from hooksync.core.context import Context
from hooksync.core.errors import HooksyncError, Problem, unforeseen
from hooksync.core.model import Tenancy, TenancyKey
from hooksync.core.record import Record, replace
from hooksync.reconcile.diff import unread
from hooksync.reconcile.plan import TenancyPlan
from hooksync.reconcile.planner import Planner
from hooksync.service.client import Preservica
from hooksync.service.http import Caller
from hooksync.service.worker_pool import WorkerPool
from hooksync.state.history import FetchedTenancy
from hooksync.state.store import StateStore

Fetched = FetchedTenancy | TenancyPlan  # the plan of an unread tenancy has its error
Advance = Callable[[], None]


class Run(Record, frozen=True):
    """What a run has opened: connections, threads, secrets, the state and the planner."""

    context: Context
    tenancies: tuple[Tenancy, ...]
    clients: Mapping[str, Preservica]  # by the tenancy's name
    secrets: SecretSources
    pool: WorkerPool
    caller: Caller  # for calls to receivers, which no client makes
    planner: Planner
    store: StateStore | None  # of the state
    list_wait: float  # seconds to wait for a list that lags behind the responses
    # errors that ended the run early: LockLost, StateError, or unforeseen ones
    failures: list[Exception]
    other: Problem | None = None  # a different run holds the run lock

    def plan(self, *, has_policy: bool) -> list[TenancyPlan]:
        """Read the tenancies and plan them."""
        with self.context.terminal.progress("reading", len(self.tenancies)) as advance:
            fetched = self._read(advance)
        if has_policy:
            fetched = _refuse_shared_ids(fetched)
        read = [item for item in fetched if isinstance(item, FetchedTenancy)]
        planned = {plan.name: plan for plan in self.planner.plan(read)}
        self._await_attempts(planned)
        plans = []
        for item in fetched:
            plans.append(item if isinstance(item, TenancyPlan) else planned[item.tenancy.name])
        return plans

    def _await_attempts(self, planned: dict[str, TenancyPlan]) -> None:
        """Read lists again and plan again, while a plan would make what an attempt may have made.

        Ends when no plan would, or after the wait of the run.
        """
        awaiting = {name: plan for name, plan in planned.items() if plan.awaits_attempt}
        for name in awaiting:
            self.tell_wait(name, "the list lacks what an earlier run may have made")
        backoff = Backoff(self.list_wait, self.context.clock, self.context.stop)
        while awaiting and backoff.wait():
            again = [tenancy for tenancy in self.tenancies if tenancy.name in awaiting]
            read_quietly = partial(self._read_one, advance=lambda: None)
            results = self.pool.run([partial(read_quietly, tenancy) for tenancy in again])
            read = [item for item in results if isinstance(item, FetchedTenancy)]
            planned |= {plan.name: plan for plan in self.planner.plan(read)}
            awaiting = {name: plan for name, plan in planned.items() if plan.awaits_attempt}

    def _read(self, advance: Advance) -> tuple[Fetched, ...]:
        """Fetch the live subscriptions of each tenancy."""
        tasks = [partial(self._read_one, tenancy, advance) for tenancy in self.tenancies]
        results = self.pool.run(tasks)
        interrupted = (Problem("interrupted before it was read", "run it again"),)
        fetched = []
        for tenancy, result in zip(self.tenancies, results, strict=True):
            fetched.append(result or unread(tenancy, interrupted))
        return self._refuse_same_tenancies(fetched)

    def located(self, tenancy: Tenancy) -> Tenancy:
        """Return the tenancy with the tenant that the log-in returned, if none is declared."""
        told = self.clients[tenancy.name].tenant
        if tenancy.tenant or not told:
            return tenancy
        return replace(tenancy, tenant=told)

    def give_up(self, error: Exception) -> Problem:
        """Let an error end the run as an interrupt does: no further call begins.

        Returns the problem to report.
        """
        self.context.stop.set()
        self.failures.append(error)
        return error.problems[0] if isinstance(error, HooksyncError) else unforeseen(error)

    def tell_wait(self, tenancy: str, why: str) -> None:
        """Report why the run reads the list of a tenancy again, unless it does not wait."""
        if self.list_wait:
            most = f"watching the list, at most {self.list_wait:g} s"
            self.context.terminal.message(f"{tenancy}: {why}: {most}")

    def _read_one(self, tenancy: Tenancy, advance: Advance) -> Fetched:
        try:
            live = self.clients[tenancy.name].list_subscriptions()
            return FetchedTenancy(self.located(tenancy), live)
        except HooksyncError as error:
            return unread(self.located(tenancy), error.problems)
        finally:
            advance()

    def _refuse_same_tenancies(self, fetched: Sequence[Fetched]) -> tuple[Fetched, ...]:
        """Refuse declared tenancies that the log-in shows to be the same tenancy.

        They would undo each other's changes.
        """
        names: defaultdict[TenancyKey, list[str]] = defaultdict(list)
        for item in fetched:
            tenancy = item.tenancy if isinstance(item, FetchedTenancy) else item
            if tenancy.tenant:
                names[tenancy.key].append(tenancy.name)
        kept: list[Fetched] = []
        for item in fetched:
            if isinstance(item, FetchedTenancy) and len(names[item.tenancy.key]) > 1:
                kept.append(_same_tenancy(item.tenancy, names[item.tenancy.key]))
            else:
                kept.append(item)
        return tuple(kept)


def _refuse_shared_ids(fetched: Sequence[Fetched]) -> tuple[Fetched, ...]:
    """Refuse tenancies whose lists share an id: they may be one tenancy under two names.

    A limit for each tenancy would then count its removals in parts.
    """
    names: defaultdict[str, list[str]] = defaultdict(list)
    for item in fetched:
        if isinstance(item, FetchedTenancy):
            for live in item.live:
                names[live.id].append(item.tenancy.name)
    sharing: dict[str, list[str]] = {}
    for several in names.values():
        if len(several) > 1:
            sharing |= dict.fromkeys(several, several)
    kept: list[Fetched] = []
    for item in fetched:
        if isinstance(item, FetchedTenancy) and item.tenancy.name in sharing:
            both = " and ".join(sharing[item.tenancy.name])
            what = f"the lists of {both} contain the same id: they may be one tenancy"
            kept.append(_refused(item.tenancy, what))
        else:
            kept.append(item)
    return tuple(kept)


def _same_tenancy(tenancy: Tenancy, names: Sequence[str]) -> TenancyPlan:
    what = (
        f"{' and '.join(names)} are the same tenancy on the service: they would undo each other's"
        " changes"
    )
    return _refused(tenancy, what)


def _refused(tenancy: Tenancy, what: str) -> TenancyPlan:
    problem = Problem(what, "declare it once", tenancy.location)
    return replace(unread(tenancy), refusals=(problem,))
