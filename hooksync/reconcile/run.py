"""A run against tenancies: what it has opened, and the reading and planning of its tenancies.

An error in one tenancy does not stop the others. api/run.py opens runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from hooksync.config.secret_sources import SecretSources
from hooksync.core.clock import Backoff
from hooksync.core.context import Context
from hooksync.core.errors import HooksyncError, Problem, problems_of
from hooksync.core.model import Tenancy, TenancyKey
from hooksync.core.record import Record, replace
from hooksync.reconcile.plan import TenancyPlan
from hooksync.reconcile.planner import FetchedTenancy, Planner
from hooksync.service.client import Preservica
from hooksync.service.http import Caller
from hooksync.service.worker_pool import WorkerPool
from hooksync.state.store import StateStore


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
    # errors that ended the run early: LockLost, StateError, or internal ones
    failures: list[Exception]
    other: Problem | None = None  # a different run holds the run lock

    def plan(self, *, has_policy: bool) -> list[TenancyPlan]:
        """Read the tenancies and plan them.

        While a plan would make what an attempt may have made, its list is read again, until the
        wait of the run is over.
        """
        with self.context.terminal.progress("reading", len(self.tenancies)) as advance:
            fetched = self._read(self.tenancies, advance)
        fetched = _refuse_same_tenancies(fetched, has_policy=has_policy)
        plans = self.planner.plan([*fetched.values()])
        awaiting = [plan.name for plan in plans if plan.awaits_attempt]
        for name in awaiting:
            self.tell_wait(name, "the list lacks what an earlier run may have made")
        backoff = Backoff(self.list_wait, self.context.clock, self.context.stop)
        while awaiting and backoff.wait():
            again = [tenancy for tenancy in self.tenancies if tenancy.name in awaiting]
            fetched |= self._read(again, lambda: None)
            plans = self.planner.plan([*fetched.values()])
            awaiting = [plan.name for plan in plans if plan.awaits_attempt]
        return plans

    def _read(
        self, tenancies: Sequence[Tenancy], advance: Callable[[], None]
    ) -> dict[str, FetchedTenancy]:
        """Fetch the live subscriptions of tenancies. Returns them by the tenancy's name."""
        tasks = [partial(self._read_one, tenancy, advance) for tenancy in tenancies]
        results = self.pool.run(tasks)
        interrupted = (Problem("interrupted before it was read", "run it again"),)
        fetched = {}
        for tenancy, result in zip(tenancies, results, strict=True):
            fetched[tenancy.name] = result or FetchedTenancy(tenancy, None, interrupted)
        return fetched

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
        return problems_of(error)[0]

    def tell_wait(self, tenancy: str, why: str) -> None:
        """Report why the run reads the list of a tenancy again, unless it does not wait."""
        if self.list_wait:
            most = f"watching the list, at most {self.list_wait:g} s"
            self.context.terminal.message(f"{tenancy}: {why}: {most}")

    def _read_one(self, tenancy: Tenancy, advance: Callable[[], None]) -> FetchedTenancy:
        try:
            live = self.clients[tenancy.name].list_subscriptions()
            return FetchedTenancy(self.located(tenancy), live)
        except HooksyncError as error:
            return FetchedTenancy(self.located(tenancy), None, error.problems)
        finally:
            advance()


def _refuse_same_tenancies(
    fetched: Mapping[str, FetchedTenancy], *, has_policy: bool
) -> dict[str, FetchedTenancy]:
    """Refuse declared tenancies that are the same on the service: they would undo each other.

    The log-in shows that they are. Under a policy, lists that share an id do, too: a limit for each
    tenancy would otherwise count its removals in parts.
    """
    names = defaultdict[TenancyKey | str, list[str]](list)
    for name, item in fetched.items():
        if item.tenancy.tenant:
            names[item.tenancy.key].append(name)
        for live in item.live or () if has_policy else ():
            names[live.id].append(name)
    refused: dict[str, FetchedTenancy] = {}
    for key, several in names.items():
        if len(several) == 1:
            continue
        both = " and ".join(several)
        what = f"{both} are the same tenancy on the service: they would undo each other's changes"
        if isinstance(key, str):
            what = f"the lists of {both} contain the same id: they may be one tenancy"
        for name in several:
            item = fetched[name]
            problem = Problem(what, "declare it once", item.tenancy.location)
            refused.setdefault(name, replace(item, live=None, refusals=(problem,)))
    return {**fetched, **refused}
