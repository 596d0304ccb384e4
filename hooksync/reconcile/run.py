"""A run against tenancies: it reads and plans them, and challenges their receivers.

Tenancies are planned together, so that scrypt derives the key of each secret only once, however
many subscriptions and tenancies share it. An error in one tenancy does not stop the others.
api/run.py opens runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial

from hooksync.config.secret_sources import SecretSources
from hooksync.core.clock import Backoff
from hooksync.core.context import Advance, Context
from hooksync.core.errors import (
    HooksyncError,
    Problem,
    Problems,
    StateError,
    problems_of,
    shortened,
)
from hooksync.core.flags import NO_FLAGS, CommandOptions
from hooksync.core.model import (
    LiveSubscriptions,
    ReceiverResult,
    Secret,
    Tenancy,
    TenancyPlaces,
)
from hooksync.core.record import Record, field, replace
from hooksync.reconcile.diff import Basis, Comparison, empty_plan
from hooksync.reconcile.plan import (
    NEEDS_DECLARED,
    Step,
    TenancyPlan,
    TenancyPlans,
    with_held,
)
from hooksync.reconcile.refusals import hold_unproven, judged
from hooksync.service.challenges import ProbeTarget, probe_all
from hooksync.service.client import Preservica
from hooksync.service.http import Caller
from hooksync.service.worker_pool import WorkerPool
from hooksync.state.fingerprints import SecretWithSalt
from hooksync.state.model import NO_STATE
from hooksync.state.store import StateStore

# a state may ask scrypt to work on MOST_SALTS salts for each declared reference, and on FEW_SALTS
# more, because references may have changed
MOST_SALTS = 2
FEW_SALTS = 8


class FetchedTenancy(Record):
    """A tenancy and its live subscriptions."""

    tenancy: Tenancy
    live: LiveSubscriptions | None  # None: they could not be read
    errors: Problems = ()  # why they could not
    refusals: Problems = ()  # why the tenancy is not planned


Fetched = dict[str, FetchedTenancy]  # by the tenancy's name


class Planner(Basis, kw_only=True):
    """Makes plans from the state, the secrets and the selection of a run."""

    secrets: SecretSources
    flags: CommandOptions = NO_FLAGS  # of the run, for printed commands

    def plan(self, fetched: Sequence[FetchedTenancy]) -> TenancyPlans:
        """Plan every tenancy. The plan of one that could not be read has only the errors."""
        comparisons = {item.tenancy.name: item for item in self._compared(fetched)}
        plans = []
        for item in fetched:
            if comparison := comparisons.get(item.tenancy.name):
                plans.append(judged(comparison))
            else:
                plans.append(empty_plan(item.tenancy, item.errors, item.refusals))
        if self.place is None:
            return plans
        is_empty = not (self.state and self.state.addresses)
        is_part = bool(self.selection.since) or len(comparisons) < len(plans)
        return hold_unproven(plans, comparisons, self.flags, is_empty=is_empty, is_part=is_part)

    def _compared(self, fetched: Sequence[FetchedTenancy]) -> list[Comparison]:
        """Pair what is declared and live in each tenancy, and derive the keys of all secrets.

        Raises StateError for a state that asks for hours of scrypt. A state that hooksync wrote has
        about one salt for each reference.
        """
        read = [item for item in fetched if item.live is not None]
        refs = {declared.secret for item in read for declared in item.tenancy.subscriptions}
        secrets, problems = self.secrets.look_up(refs)
        no_value = {ref: self.secrets.state_without(ref) for ref in problems}
        comparisons = []
        needed: set[SecretWithSalt | None] = set()
        for item in read:
            live = item.live or ()
            comparisons.append(Comparison(self, item.tenancy, live, secrets, no_value))
            needed.update(comparisons[-1].secrets.values())
        most = MOST_SALTS * len(refs) + FEW_SALTS
        if len(needed) > most:
            what = (
                f"the state {self.place} requires {len(needed)} fingerprints: somebody changed it"
            )
            raise StateError(
                f"{what}, for the declared secrets need {most} at most",
                "restore it from Git or the CI cache; or, if many secrets became few, apply parts"
                " of it with --target",
            )
        self.ring.derive(filter(None, needed))
        return comparisons


class Run(Record):
    """What a run has opened: connections, threads, secrets, the state and the planner."""

    context: Context
    clients: Mapping[str, Preservica]  # by the tenancy's name
    secrets: SecretSources
    pool: WorkerPool
    caller: Caller  # for calls to receivers, which no client makes
    planner: Planner
    store: StateStore | None  # of the state
    list_wait: float  # seconds to wait for a list that lags behind the responses
    # errors that ended the run early: LockLost, StateError, or internal ones
    failures: list[Exception]
    others: TenancyPlaces = field(default_factory=dict)  # declared, and not selected

    def plan(self) -> TenancyPlans:
        """Read the tenancies and plan them.

        While a plan would make what an attempt may have made, its list is read again, until the
        wait of the run is over.
        """
        advance = self.context.terminal.progress("reading", len(self.clients))
        fetched = self._without_takeovers(self._read(self.clients, advance))
        plans = self.planner.plan([*fetched.values()])
        # under a policy, anybody may have written the attempts of an unsigned state
        awaiting = [plan for plan in plans if plan.awaited and self.planner.is_trusted]
        names = [address for plan in awaiting for address in plan.awaited]
        backoff = self.backoff(names, "the list lacks what an earlier run may have made")
        while awaiting and backoff.wait():
            fetched |= self._read([plan.name for plan in awaiting], lambda: None)
            plans = self.planner.plan([*fetched.values()])
            awaiting = [plan for plan in plans if plan.awaited]
        return plans

    def _read(self, names: Collection[str], advance: Advance) -> Fetched:
        """Fetch the live subscriptions of tenancies."""
        results = self.pool.run([partial(self._read_one, name, advance) for name in names])
        interrupted = (Problem("interrupted before it was read", "run it again"),)
        fetched = {}
        for name, result in zip(names, results, strict=True):
            fetched[name] = result or FetchedTenancy(self.located(name), None, interrupted)
        return fetched

    def _read_one(self, name: str, advance: Advance) -> FetchedTenancy:
        """Fetch one tenancy. Its errors are part of the result."""
        live = None
        errors: Problems = ()
        try:
            live = self.clients[name].list_subscriptions()
        except HooksyncError as error:
            errors = error.problems
        finally:
            advance()
        return FetchedTenancy(self.located(name), live, errors)

    def located(self, name: str) -> Tenancy:
        """Return a tenancy with the tenant that the log-in returned, if none is declared."""
        client = self.clients[name]
        return replace(client.tenancy, tenant=client.tenant)

    def _without_takeovers(self, fetched: Fetched) -> Fetched:
        """Refuse declared tenancies that are one on the service: each would take over the other."""
        refused = {}
        for name, same in self._taken_for_one(fetched):
            item = fetched[name]
            what = f"by the files, the log-in, the lists or the state, {' and '.join(sorted(same))}"
            what += f" may be one tenancy, {item.tenancy.key}: each would take over the other's"
            problem = Problem(
                f"{what} subscriptions",
                "declare it once; or declare `server` and `tenant` of each",
                item.tenancy.location,
            )
            refused[name] = replace(item, live=None, refusals=(problem,))
        return fetched | refused

    def _taken_for_one(self, fetched: Fetched) -> Iterator[tuple[str, set[str]]]:
        """Yield the name of each tenancy that may be the same as others, and all their names.

        Tenancies with the same server and tenant are. So are those of which the state has addresses
        there, if they are still declared, and not certain to be elsewhere. Under a policy, lists
        must share no id: a limit would count their removals in parts.
        """
        places = {**self.others, **{name: item.tenancy.key for name, item in fetched.items()}}
        names = defaultdict[object, set[str]](set)  # by place, and by live id
        for name, place in places.items():
            names[place].add(name)
        for name, item in fetched.items():
            for live in item.live if item.live and self.planner.has_policy else ():
                names[live.id].add(name)
        for name, item in fetched.items():
            key = item.tenancy.key
            same = {name, *(names[key] if key.tenant else ())}
            for live in item.live or ():
                same |= names.get(live.id, set())
            for former in (self.planner.state or NO_STATE).of(key).names.intersection(places):
                place = places[former]
                if place is None or not place.is_elsewhere(key):
                    same.add(former)
            if len(same) > 1:
                yield name, same

    def give_up(self, error: Exception) -> Problem:
        """Let an error end the run as an interrupt does: no further call begins.

        Returns the problem to report.
        """
        self.context.stop.set()
        self.failures.append(error)
        return problems_of(error)[0]

    def backoff(self, awaited: Sequence[str], why: str) -> Backoff:
        """Begin to read a list again, and report why, and for which addresses, if it may wait."""
        if awaited and self.list_wait:
            most = f"watching the list, at most {self.list_wait:g} s"
            self.context.terminal.message(f"{shortened(awaited)}: {why}: {most}")
        return Backoff(self.list_wait, self.context.clock, self.context.stop)


def challenge_receivers(
    plans: TenancyPlans, run: Run, *, is_check: bool = False, guess: Secret | None = None
) -> TenancyPlans:
    """Challenge the receivers of new and adopted subscriptions, each once, and judge the plans.

    `is_check`: challenge all others, too, unless `probe` is `never`. `guess`: a secret for what is
    live and not declared, so that a check tells whether anything answers challenges.

    A receiver is left out if its secret cannot be used, or if the run was interrupted before.
    """
    rows = [[*_targets(plan, run, guess, is_check=is_check)] for plan in plans]
    targets = dict.fromkeys(target for row in rows for target in row if target)
    advance = run.context.terminal.progress("challenging receivers", len(targets))
    answers = probe_all(targets, run.pool, run.caller, advance)
    judged_plans = []
    for plan, row in zip(plans, rows, strict=True):
        answered = [answers.get(target) if target else None for target in row]
        judged_plans.append(_judged_by_answers(plan, answered, is_check=is_check))
    return judged_plans


def _targets(
    plan: TenancyPlan, run: Run, guess: Secret | None, *, is_check: bool
) -> Iterator[ProbeTarget | None]:
    """Yield what each step of a plan challenges; None: nothing."""
    may_ask = plan.probe != "never"
    is_ready = plan.is_ready
    for step in plan.steps:
        target = None
        is_asked = (step.creates and may_ask) or _is_risky(plan, step)
        # a duplicate has the declared side of a different step
        if step.action not in NEEDS_DECLARED:
            target = (step.live_side.url, guess) if guess else None
        elif (is_check and may_ask) or (is_ready and step.is_due and is_asked):
            declared = step.declared_side
            for secret in run.secrets.look_up([declared.secret])[0].values():
                target = (declared.url, secret)
        yield target


def _is_risky(plan: TenancyPlan, step: Step) -> bool:
    """Whether the receiver must be ready.

    It must be if a step removes a live subscription before its replacement exists, or adopts one.
    """
    if step.action == "adopt":
        return plan.probe != "never"
    return step.action == "resubscribe" and plan.replacement == "remove-first"


def _judged_by_answers(
    plan: TenancyPlan, answers: Sequence[ReceiverResult | None], *, is_check: bool
) -> TenancyPlan:
    """Hold an address if its receiver has a different secret, or must be ready and is not.

    Warn of other receivers that are not ready: they are errors in a check. Receivers with the same
    answer are one problem. `answers`: to each step.
    """
    not_ready = defaultdict[ReceiverResult, list[Step]](list)  # by the answer
    steps = []
    for step, answer in zip(plan.steps, answers, strict=True):
        if answer and step.action not in NEEDS_DECLARED:
            if answer.state == "wrong-secret":  # nobody knows the right one
                answer = replace(answer, state="alive", detail="it answers challenges", fix="")
        elif answer and answer.state != "ready":
            not_ready[replace(answer, seconds=0.0)].append(step)
        steps.append(replace(step, receiver=answer))
    held = {}
    warnings = [*plan.warnings]
    for answer, alike in not_ready.items():
        problem = _not_ready(answer, alike)
        for step in alike:
            is_strict = plan.probe == "require" or _is_risky(plan, step)
            if is_check or is_strict or answer.state == "wrong-secret":
                held[step.declared_side.address] = problem
            else:
                warnings.append(problem)
    plan = replace(plan, steps=tuple(steps), warnings=tuple(dict.fromkeys(warnings)))
    return with_held(plan, held, is_error=is_check)


def _not_ready(answer: ReceiverResult, steps: Sequence[Step]) -> Problem:
    """Word one answer of the receivers of a tenancy."""
    first = steps[0].declared_side
    names = shortened([*dict.fromkeys(step.declared_side.name for step in steps)])
    fix = answer.fix
    if answer.state == "unreachable":
        fix += "; if only Preservica can reach it, declare `probe: never`"
    what = f"{first.tenancy}/{names}: the receiver is not ready: {answer.detail}"
    return Problem(what, fix, first.location)
