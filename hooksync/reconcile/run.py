"""A run against tenancies: it reads and plans them, and challenges their receivers.

Tenancies are planned together, so that scrypt derives the key of each secret only once, however
many subscriptions and tenancies share it. An error in one tenancy does not stop the others.
api/run.py opens runs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TypeAlias

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
    DeclaredSubscription,
    LiveSubscriptions,
    ReceiverResult,
    SecretRef,
    Secrets,
    SecretState,
    Tenancy,
    TenancyKey,
    TenancyPlaces,
)
from hooksync.core.record import Record, field, replace
from hooksync.core.signing import is_same
from hooksync.reconcile.diff import Comparison, empty_plan, pair
from hooksync.reconcile.plan import (
    IN_PROGRESS,
    NEEDS_DECLARED,
    Action,
    Selection,
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
from hooksync.state.fingerprints import KeyRing
from hooksync.state.history import (
    MOST_OPEN,
    History,
    declared_by_identity,
    history_of,
    needless_attempts,
    open_attempts,
)
from hooksync.state.model import NO_STATE, State, TenancyRecords
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

    def refused(self, what: str, fix: str) -> FetchedTenancy:
        """Return the tenancy as one that is not planned."""
        return replace(self, live=None, refusals=(Problem(what, fix, self.tenancy.location),))


Fetched: TypeAlias = Mapping[str, FetchedTenancy]  # by the tenancy's name


class Planner(Record):
    """Makes plans from the state, the secrets and the selection of a run."""

    selection: Selection
    state: State | None
    secrets: SecretSources
    ring: KeyRing
    place: str | None = ""  # where the state is, for messages; None: the run has no state
    is_trusted: bool = True  # False: under a policy, the state is unsigned
    flags: CommandOptions = NO_FLAGS  # of the run, for printed commands
    other: Problem | None = None  # a different run holds the run lock

    @property
    def running(self) -> int:
        """The number of that run: the serial of the state that it has begun; 0: there is none."""
        return self.state.serial if self.other and self.state else 0

    def plan(self, fetched: Sequence[FetchedTenancy]) -> TenancyPlans:
        """Plan every tenancy. The plan of one that could not be read has only the errors."""
        comparisons = {comparison.tenancy.name: comparison for comparison in self.compare(fetched)}
        plans = []
        tried: set[str] = set()
        for item in fetched:
            plan = empty_plan(item.tenancy, item.errors, item.refusals)
            if comparison := comparisons.get(plan.name):
                plan = _beside_run(comparison.plan(), comparison.history, self.running)
                plan, often = _with_attempts(comparison, judged(comparison, plan), self.running)
                tried |= often
            plans.append(plan)
        if self.place is None:
            return plans
        is_empty = not (self.state and self.state.addresses)
        return hold_unproven(plans, comparisons, tried, self.flags, is_empty=is_empty)

    def compare(self, fetched: Sequence[FetchedTenancy]) -> list[Comparison]:
        """Pair what is declared and live in each tenancy, and derive the keys of all secrets.

        Raises StateError for a state that asks for hours of scrypt. A state that hooksync wrote has
        about one salt for each reference.
        """
        read = [item for item in fetched if item.live is not None]
        refs = {declared.secret for item in read for declared in item.tenancy.subscriptions}
        secrets, problems = self.secrets.look_up(refs)
        no_value = {ref: self.secrets.state_without(ref) for ref in problems}
        comparisons = [self._paired(item, secrets, no_value) for item in read]
        needed = {secret for comparison in comparisons for secret in comparison.secrets.values()}
        most = MOST_SALTS * len(refs) + FEW_SALTS
        if len(needed) > most:
            what = (
                f"the state {self.place} requires {len(needed)} fingerprints: somebody changed it"
            )
            fix = (
                "restore it from Git or the CI cache; or, if many secrets became few, apply parts"
                " of it with --target"
            )
            raise StateError(Problem(f"{what}, for the declared secrets need {most} at most", fix))
        self.ring.derive(needed)
        return comparisons

    def _paired(
        self,
        item: FetchedTenancy,
        values: Secrets,
        no_value: Mapping[SecretRef, SecretState],
    ) -> Comparison:
        """Pair what is declared and live in a tenancy, with what the state has about it."""
        state = self.state or NO_STATE
        live = item.live or ()
        history = replace(
            history_of(state, item.tenancy, live),
            is_trusted=self.is_trusted,
            has_state=self.place is not None,
        )
        pairs = pair(item.tenancy, live, history)
        secrets = {}
        tagged = set()
        for declared, found in pairs:
            entry = history.entries.get(found[0].id) if found else None
            if entry is None or declared.secret not in values:
                continue
            secret = values[declared.secret]
            tag = self.ring.tag(secret, item.tenancy.key, entry.id)
            if tag and is_same(entry.tag, tag):
                tagged.add(entry.id)
            else:
                secrets[entry.id] = secret, state.salts_by_id[entry.salt]
        return Comparison(
            item.tenancy, live, self.selection, history, pairs, self.ring, tagged, secrets, no_value
        )


def wanted_identities(tenancy: Tenancy, url_salt: str, plan: TenancyPlan) -> dict[str, bool]:
    """Return the identities that are declared and not paused, and whether each is as declared.

    An identity that this run has not compared is not.
    """
    kept = {step.declared_side.key for step in plan.steps if step.evidence}
    wanted = {}
    for digest, declared in declared_by_identity(tenancy, url_salt).items():
        if declared.enabled:
            wanted[digest] = declared.key in kept
    return wanted


def _beside_run(plan: TenancyPlan, history: History, running: int) -> TenancyPlan:
    """Leave alone what a different run has begun: its half-done steps are not drift.

    `running`: its number. Its attempts have the addresses of what it makes, and marks the ids of
    what it removes.
    """
    if not running:
        return plan
    begun = {attempt.address for attempt in history.records.attempts if attempt.run == running}
    steps = []
    for step in plan.steps:
        if step.differs and (step.address in begun or step.id in history.records.marks):
            action: Action = "keep" if step.declared else "leave"
            begun_step = Step(action, step.declared, step.live, (IN_PROGRESS,))
            step = replace(begun_step, address=step.address, name=step.name)
        steps.append(step)
    return replace(plan, steps=tuple(steps))


def _without_run(records: TenancyRecords, run: int) -> TenancyRecords:
    """Leave out the attempts of a run."""
    attempts = tuple(attempt for attempt in records.attempts if attempt.run != run)
    return replace(records, attempts=attempts)


def _with_attempts(
    comparison: Comparison, plan: TenancyPlan, running: int
) -> tuple[TenancyPlan, set[str]]:
    """Fill in the attempts that no list shows. Those of a running run do not count.

    Also returns the addresses under which too many attempts that somebody needs are open.
    """
    history = comparison.history
    records = _without_run(history.records, running)
    if not records.attempts or comparison.tenancy.is_handed_over:
        return plan, set()
    declared = declared_by_identity(comparison.tenancy, history.url_salt)
    wanted = wanted_identities(comparison.tenancy, history.url_salt, plan)
    needless = needless_attempts(records, history.shown, wanted)
    idle = set()
    hidden = set()
    numbers = Counter[str]()
    for attempt in open_attempts(records, history.shown):
        address = declared.get(attempt.identity, attempt).address
        if (attempt.run, attempt.identity) in needless:
            idle.update([] if attempt.id else [address])
            continue
        numbers[address] += 1
        if attempt.id not in history.shown:
            hidden.add(address)
    plan = replace(plan, open_attempts=tuple(sorted(hidden)), idle_attempts=tuple(sorted(idle)))
    if hidden:
        what = f"an earlier run may have made what no list shows: {shortened(plan.open_attempts)}"
        problem = Problem(what, "apply again: it waits for the list, and then continues")
        plan = replace(plan, warnings=(*plan.warnings, problem))
    return plan, {address for address, number in numbers.items() if number >= MOST_OPEN}


class Run(Record):
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
    others: TenancyPlaces = field(default_factory=dict)  # declared, and not selected

    def plan(self, *, has_policy: bool) -> TenancyPlans:
        """Read the tenancies and plan them.

        While a plan would make what an attempt may have made, its list is read again, until the
        wait of the run is over.
        """
        with self.context.terminal.progress("reading", len(self.tenancies)) as advance:
            fetched = self._read(self.tenancies, advance)
        fetched = _refuse_takeovers(fetched, self.others, self.planner.state or NO_STATE)
        fetched = _refuse_shared_ids(fetched) if has_policy else fetched
        plans = self.planner.plan([*fetched.values()])
        # under a policy, anybody may have written the attempts of an unsigned state
        is_patient = self.planner.is_trusted
        awaiting = [plan for plan in plans if is_patient and plan.awaited]
        for plan in awaiting:
            self.tell_wait(plan.awaited, "the list lacks what an earlier run may have made")
        backoff = Backoff(self.list_wait, self.context.clock, self.context.stop)
        while awaiting and backoff.wait():
            names = {plan.name for plan in awaiting}
            again = [tenancy for tenancy in self.tenancies if tenancy.name in names]
            fetched = {**fetched, **self._read(again, lambda: None)}
            plans = self.planner.plan([*fetched.values()])
            awaiting = [plan for plan in plans if plan.awaited]
        return plans

    def _read(self, tenancies: Sequence[Tenancy], advance: Advance) -> Fetched:
        """Fetch the live subscriptions of tenancies."""
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

    def tell_wait(self, awaited: Sequence[str], why: str) -> None:
        """Report why the run reads a list again, and for which addresses, unless it never waits."""
        if self.list_wait:
            most = f"watching the list, at most {self.list_wait:g} s"
            self.context.terminal.message(f"{shortened(awaited)}: {why}: {most}")

    def _read_one(self, tenancy: Tenancy, advance: Advance) -> FetchedTenancy:
        """Fetch one tenancy. Its errors are part of the result."""
        try:
            live = self.clients[tenancy.name].list_subscriptions()
            return FetchedTenancy(self.located(tenancy), live)
        except HooksyncError as error:
            return FetchedTenancy(self.located(tenancy), None, error.problems)
        finally:
            advance()


def _refuse_takeovers(fetched: Fetched, others: TenancyPlaces, state: State) -> Fetched:
    """Refuse declared tenancies that are one on the service: each would take over the other.

    They are if they have the same server and tenant, or if the state has addresses of a different
    name there that is still declared, and not certain to be elsewhere. `others`: declared, and not
    selected.
    """
    places = {**others, **{name: item.tenancy.key for name, item in fetched.items()}}
    names = defaultdict[TenancyKey | None, set[str]](set)
    for name, place in places.items():
        names[place].add(name)
    refused = {}
    for name, item in fetched.items():
        key = item.tenancy.key
        same = {name, *(names[key] if key.tenant else ())}
        for former in state.of(key).names.intersection(places):
            place = places[former]
            if place is None or not place.is_elsewhere(key):
                same.add(former)
        if len(same) > 1:
            what = f"by the files, the log-in or the state, {' and '.join(sorted(same))} are one"
            what += f" tenancy, {key}: each would take over the other's subscriptions"
            fix = "declare it once; or declare `server` and `tenant` of each"
            refused[name] = item.refused(what, fix)
    return {**fetched, **refused}


def _refuse_shared_ids(fetched: Fetched) -> Fetched:
    """Refuse tenancies whose lists share an id: a limit would count their removals in parts."""
    names = defaultdict[str, list[str]](list)
    for name, item in fetched.items():
        for live in item.live or ():
            names[live.id].append(name)
    refused = {}
    for several in names.values():
        if len(several) > 1:
            both = " and ".join(several)
            what = f"the lists of {both} contain the same id: they may be one tenancy"
            refused.update(
                {name: fetched[name].refused(what, "declare it once") for name in several}
            )
    return {**fetched, **refused}


def challenge_receivers(plans: TenancyPlans, run: Run, *, is_check: bool = False) -> TenancyPlans:
    """Challenge the receivers of new and adopted subscriptions, each once, and judge the plans.

    `is_check`: challenge all others, too, unless `probe` is `never`.

    A receiver is left out if its secret cannot be used, or if the run was interrupted before.
    """
    asked = []
    for plan in plans:
        for step in plan.steps:
            is_other = is_check and plan.probe != "never" and step.action in NEEDS_DECLARED
            if _is_challenged(plan, step) or is_other:
                asked.append(step.declared_side)
    secrets, _ = run.secrets.look_up(declared.secret for declared in asked)
    targets: dict[str, ProbeTarget] = {}
    for declared in asked:
        if declared.secret in secrets:
            targets[declared.address] = (declared.url, secrets[declared.secret])
    with run.context.terminal.progress(
        "challenging receivers", len(set(targets.values()))
    ) as advance:
        answers = probe_all(targets.values(), run.pool, run.caller, advance)
    answered = {
        address: answers[target] for address, target in targets.items() if target in answers
    }
    return [_judged_by_answers(plan, answered) for plan in plans]


def _is_challenged(plan: TenancyPlan, step: Step) -> bool:
    """Whether the receiver of a step is challenged."""
    is_usual = step.creates and plan.probe != "never"
    return plan.is_ready and step.is_due and (is_usual or _is_risky(plan, step))


def _is_risky(plan: TenancyPlan, step: Step) -> bool:
    """Whether the receiver must be ready.

    It must be if a step removes a live subscription before its replacement exists, or adopts one.
    """
    if step.action == "adopt":
        return plan.probe != "never"
    return step.action == "resubscribe" and plan.replacement == "remove-first"


def _must_be_ready(plan: TenancyPlan, step: Step, answer: ReceiverResult) -> bool:
    """Whether a receiver that is not ready holds its address."""
    is_strict = plan.probe == "require" or _is_risky(plan, step)
    return is_strict or answer.state == "wrong-secret"


def _not_ready(several: Sequence[DeclaredSubscription], detail: str, fix: str) -> Problem:
    """Name the receivers with the same fault."""
    first = several[0]
    names = list(dict.fromkeys(f"{declared.tenancy}/{declared.name}" for declared in several))
    what = f"{names[0]}: the receiver at {first.url.shown} is not ready: {detail}"
    if len(names) > 1:
        what = f"the receivers of {shortened(names)} are not ready: {detail}"
    return Problem(what, fix, first.location)


def _judged_by_answers(plan: TenancyPlan, answers: Mapping[str, ReceiverResult]) -> TenancyPlan:
    """Hold an address if its receiver has a different secret, or must be ready and is not.

    Warn of other receivers that are not ready. `answers`: by declared address.
    """
    refusals: dict[str, Problem] = {}
    warnings = [*plan.warnings]
    steps = []
    # by whether it holds the address, and what is wrong: each is one problem of the tenancy
    not_ready = defaultdict[tuple[bool, str, str], list[DeclaredSubscription]](list)
    for step in plan.steps:
        answer = answers.get(step.address or "")
        # a duplicate has the address of a different step
        if answer and step.action in NEEDS_DECLARED:
            step = replace(step, receiver=answer)
            if answer.state != "ready":
                is_refused = _is_challenged(plan, step) and _must_be_ready(plan, step, answer)
                fix = answer.fix
                if answer.state == "unreachable":
                    fix += "; if only Preservica can reach it, declare `probe: never`"
                not_ready[is_refused, answer.detail, fix].append(step.declared_side)
        steps.append(step)
    for (is_refused, detail, fix), several in not_ready.items():
        problem = _not_ready(several, detail, fix)
        if is_refused:
            refusals |= {declared.address: problem for declared in several}
        else:
            warnings.append(problem)
    plan = replace(plan, steps=tuple(steps), warnings=tuple(warnings))
    return with_held(plan, refusals)
