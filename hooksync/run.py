"""A run against tenancies: read them, plan them, apply them, side by side; each may fail alone.

Reaches the network through the clients it makes, and secrets through `secret_sources`. Prints nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

from hooksync.apply import Means, apply_plan
from hooksync.calls import CallPool
from hooksync.diff import DiffOptions, count_owned, make_plan
from hooksync.errors import HooksyncError, Problem, SecretError, ServiceError
from hooksync.login import LogInCalls
from hooksync.model import Secret, SecretRef, Tenancy
from hooksync.outcomes import TenancyOutcome
from hooksync.plan import Resubscribe, Subscribe, TenancyPlan, UnreadTenancy, unsafe_reasons
from hooksync.preservica import Line, Preservica
from hooksync.secret_sources import SecretSources, is_weak
from hooksync.transport import Timeouts, Transport

if TYPE_CHECKING:
    from hooksync.preservica import CallRecord
    from hooksync.redactor import Redactor

AnyPlan = TenancyPlan | UnreadTenancy
Ready = tuple[TenancyPlan, Mapping[SecretRef, Secret]]  # a plan and all secrets that it needs
Advance = Callable[[], None]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a run behaves."""

    diff: DiffOptions
    timeout: float  # seconds that a call may take
    parallelism: int  # calls in flight over the whole run
    allows_mass_unsubscribe: bool


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run takes from outside."""

    environ: Mapping[str, str] = field(repr=False)
    redactor: Redactor
    stop: Event  # set: nothing new starts
    watch: Callable[[CallRecord], None]


@contextmanager
def open_run(tenancies: Sequence[Tenancy], settings: RunSettings, around: Surroundings) -> Iterator[Run]:
    """Open the connections and threads of a run; all are closed at its end."""
    transport = Transport(Timeouts(call=settings.timeout), settings.parallelism, around.environ)
    line = Line(transport, around.redactor, around.stop, around.watch)
    sources = SecretSources(around.environ)
    clients = {
        tenancy.name: Preservica(tenancy, LogInCalls(tenancy, sources.find, around.redactor), line)
        for tenancy in tenancies
    }
    try:
        with CallPool(settings.parallelism, around.stop) as pool:
            yield Run(tuple(tenancies), settings, clients, sources, pool)
    finally:
        transport.close()


@dataclass(frozen=True, slots=True)
class Run:
    """The tenancies of a run with their clients."""

    tenancies: tuple[Tenancy, ...]
    settings: RunSettings
    clients: Mapping[str, Preservica]  # by the tenancy's name
    sources: SecretSources
    pool: CallPool

    def plan(self, advance: Advance) -> tuple[AnyPlan, ...]:
        """Fetch what is live in each tenancy and compare it with what is declared."""

        def task(tenancy: Tenancy) -> Callable[[], AnyPlan]:
            return lambda: self._plan_one(tenancy, advance)

        found = self.pool.run("", [task(tenancy) for tenancy in self.tenancies])
        interrupted = ServiceError(Problem("interrupted before it was read", "run it again"))
        plans = [
            UnreadTenancy(tenancy, interrupted) if plan is None else plan
            for tenancy, plan in zip(self.tenancies, found, strict=True)
        ]
        return self._without_twins(plans)

    def refusals(self, plan: AnyPlan) -> tuple[Problem, ...]:
        """Say why a plan is not carried out."""
        if isinstance(plan, UnreadTenancy) or self.settings.allows_mass_unsubscribe:
            return ()
        return unsafe_reasons(plan, count_owned(plan.tenancy, plan.live))

    def ready(self, plans: Sequence[AnyPlan]) -> tuple[dict[str, Ready], dict[str, SecretError]]:
        """Look up the secrets of every plan that is to be carried out; gives plans and failures by the tenancy's name."""
        ready: dict[str, Ready] = {}
        errors: dict[str, SecretError] = {}
        for plan in plans:
            if isinstance(plan, UnreadTenancy) or plan.is_empty or self.refusals(plan):
                continue
            try:
                ready[plan.tenancy.name] = plan, self.secrets(plan)
            except SecretError as error:
                errors[plan.tenancy.name] = error
        return ready, errors

    def secrets(self, plan: TenancyPlan) -> dict[SecretRef, Secret]:
        """Look up every secret that a plan needs. Raises SecretError naming all that cannot be had."""
        found: dict[SecretRef, Secret] = {}
        problems: dict[SecretRef, tuple[Problem, ...]] = {}
        for ref in _needed(plan):
            try:
                found[ref] = self.sources.find_shared(ref)
            except SecretError as error:
                problems[ref] = error.problems
        if problems:
            raise SecretError(*(problem for several in problems.values() for problem in several))
        return found

    def doubts(self, plan: AnyPlan) -> tuple[Problem, ...]:
        """Warn of secrets that an apply of this plan would fail for, and of weak ones."""
        if isinstance(plan, UnreadTenancy):
            return ()
        doubts: list[Problem] = []
        for ref in dict.fromkeys(_needed(plan)):
            try:
                secret = self.sources.find_shared(ref)
            except SecretError as error:
                doubts += [Problem(f"{p.what}; apply will need it", p.fix, p.where) for p in error.problems]
            else:
                if is_weak(secret):
                    doubts.append(
                        Problem(f"secret {ref} is shorter than 16 bytes", "use 32 random bytes", ref.location)
                    )
        return tuple(doubts)

    def apply(self, plans: Mapping[str, Ready], advance: Advance) -> dict[str, TenancyOutcome]:
        """Carry plans out, tenancies side by side; gives each one's outcome by name."""

        def task(name: str) -> Callable[[], TenancyOutcome]:
            plan, secrets = plans[name]
            means = Means(self.clients[name], secrets, self.pool, self.settings.diff, advance)
            return lambda: apply_plan(plan, means)

        # these threads wait for calls and make none; a stop reaches the calls, so that every plan gets its outcome
        with CallPool(self.settings.parallelism, Event()) as coordinators:
            outcomes = coordinators.run("", [task(name) for name in plans])
        return {name: outcome for name, outcome in zip(plans, outcomes, strict=True) if outcome is not None}

    def _plan_one(self, tenancy: Tenancy, advance: Advance) -> AnyPlan:
        try:
            live = self.clients[tenancy.name].list_subscriptions()
        except HooksyncError as error:
            return UnreadTenancy(tenancy, error)
        finally:
            advance()
        return make_plan(tenancy, live, self.settings.diff)

    def _without_twins(self, plans: Sequence[AnyPlan]) -> tuple[AnyPlan, ...]:
        """Refuse to plan two names that turn out, after the log-in, to be one tenancy: they would undo each other."""
        names: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for plan in plans:
            if tenant := self.clients[plan.tenancy.name].tenant:
                names[plan.tenancy.server.base_url, tenant.casefold()].append(plan.tenancy.name)
        twins = {name: several for several in names.values() if len(several) > 1 for name in several}
        return tuple(_twin(plan, twins[plan.tenancy.name]) if plan.tenancy.name in twins else plan for plan in plans)


def _twin(plan: AnyPlan, names: Sequence[str]) -> UnreadTenancy:
    what = f"{' and '.join(names)} are one and the same tenancy on the service, and would undo each other"
    return UnreadTenancy(plan.tenancy, ServiceError(Problem(what, "declare it once", plan.tenancy.location)))


def _needed(plan: TenancyPlan) -> Iterator[SecretRef]:
    return (step.declared.secret for step in plan.steps if isinstance(step, Subscribe | Resubscribe))
