"""A run against tenancies: read them, find what forbids their plans, apply these in parallel.

What stops a tenancy stops it before its first change, and leaves the others alone. Reaches the
network through the clients that it makes. Prints nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from hooksync.config.secret_sources import SecretSources
from hooksync.core.clock import Backoff
from hooksync.core.errors import (
    AnswerLost,
    FileError,
    HooksyncError,
    Problem,
    Refused,
    SecretError,
    unforeseen,
)
from hooksync.core.model import DeclaredSubscription, LiveSubscription, Secret, SecretRef, Tenancy
from hooksync.core.record import Record, field, replace
from hooksync.core.signing import KEY_VARIABLE
from hooksync.reconcile.context import Terminal, World
from hooksync.reconcile.diff import DiffOptions
from hooksync.reconcile.plan import (
    Adoption,
    Keep,
    Planned,
    Resubscribe,
    TenancyOutcome,
    TenancyPlan,
    UnreadTenancy,
    is_idle,
)
from hooksync.reconcile.planner import Fetched
from hooksync.service.client import Preservica
from hooksync.service.http import (
    CallContext,
    PrivateReceivers,
    RetryPolicy,
    Transport,
    proxy_credentials,
)
from hooksync.service.receivers import ProbeResult, ProbeTarget, probe_all
from hooksync.service.worker_pool import WorkerPool
from hooksync.state.contract import LockLost
from hooksync.state.history import FetchedTenancy

if TYPE_CHECKING:  # `plan` challenges receivers and carries nothing out
    from hooksync.reconcile.journal import Journal
    from hooksync.reconcile.step_runner import Service

T = TypeVar("T")
Advance = Callable[[], None]
# is told of each tenancy that is done with, on any thread
Settled = Callable[[TenancyOutcome], None]
# by a tenancy's name and what it lists
IsBehind = Callable[[str, Sequence[LiveSubscription]], bool]


@contextmanager
def open_run(
    tenancies: Sequence[Tenancy],
    world: World,
    *,
    timeout: float,
    parallelism: int,
    check_lock: Callable[[], None] = lambda: None,
    private: PrivateReceivers = "challenged",
    list_wait: float = 0.0,
) -> Iterator[Run]:
    """Open the connections and threads of a run; all are closed at its end.

    `timeout`: seconds a call may take; `parallelism`: calls in flight in the whole run;
    `check_lock`: raises LockLost; `list_wait`: seconds, as `Run` has it.
    """
    clock, redactor = world.clock, world.output.redactor
    make_network = world.network or partial(Transport, environ=world.environ)
    transport = make_network(timeout, parallelism)
    policy, watch = world.patience or RetryPolicy(), world.terminal.watch
    context = CallContext(transport, redactor, world.stop, watch, policy, clock, private)
    secrets = world.secrets
    refs = [one.secret for tenancy in tenancies for one in tenancy.subscriptions]
    for tenancy in tenancies:
        refs += (tenancy.credentials.username, tenancy.credentials.totp)
    redactor.learn([world.environ.get(KEY_VARIABLE, ""), *proxy_credentials(world.environ)])
    # a service may quote any of them, needed now or not
    redactor.learn_later(lambda: secrets.values(refs))
    clients = {each.name: Preservica(each, context, secrets.find) for each in tenancies}
    try:
        with (world.pool or WorkerPool)(parallelism, world.stop) as pool:
            yield Run(
                tuple(tenancies),
                parallelism,
                clients,
                secrets,
                pool,
                context,
                world.begun,
                check_lock,
                list_wait,
            )
    finally:
        transport.close()


class Run(Record, frozen=True):
    """The tenancies of a run with their clients."""

    tenancies: tuple[Tenancy, ...]
    parallelism: int
    clients: Mapping[str, Preservica]  # by the tenancy's name
    secrets: SecretSources
    pool: WorkerPool
    context: CallContext  # for calls that no client makes: to receivers
    begun: Event  # set before the first change
    check_lock: Callable[[], None]  # raises LockLost; asked before each change
    list_wait: float  # seconds that a list may lag behind the answers before it is believed
    # what ended it: no code is made for that, or LockLost
    unforeseen: list[Exception] = field(default_factory=list)

    def read(self, advance: Advance, is_behind: IsBehind = lambda *_: False) -> tuple[Fetched, ...]:
        """Fetch what is live in each tenancy; again for a while if the list is known to lag."""
        found = self.pool.run(
            [partial(self._read_one, one, advance, is_behind) for one in self.tenancies]
        )
        interrupted = HooksyncError(Problem("interrupted before it was read", "run it again"))
        fetched = [
            got or UnreadTenancy(one, interrupted)
            for one, got in zip(self.tenancies, found, strict=True)
        ]
        return self._without_same_tenancies(fetched)

    def located(self, tenancy: Tenancy) -> Tenancy:
        """Add the tenant that the log-in led to, where none is declared."""
        told = self.clients[tenancy.name].tenant
        if tenancy.tenant or not told:
            return tenancy
        return replace(tenancy, tenant=told)

    def give_up(self, error: Exception) -> Problem:
        """Let an error end the run as an interrupt does: nothing new starts."""
        self.pool.stop.set()
        self.unforeseen.append(error)
        return error.problems[0] if isinstance(error, HooksyncError) else unforeseen(error)

    def _read_one(self, tenancy: Tenancy, advance: Advance, is_behind: IsBehind) -> Fetched:
        client = self.clients[tenancy.name]
        try:
            live = client.list_subscriptions()
            backoff = Backoff(self.list_wait, self.context.clock, self.context.stop)
            while is_behind(tenancy.name, live) and backoff.wait():
                live = client.list_subscriptions()
            return FetchedTenancy(self.located(tenancy), live)
        except HooksyncError as error:
            return UnreadTenancy(self.located(tenancy), error)
        finally:
            advance()

    def _without_same_tenancies(self, fetched: Sequence[Fetched]) -> tuple[Fetched, ...]:
        """Refuse names that the log-in shows to be the same tenancy: they would undo each other."""
        names: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for one in fetched:
            if tenant := self.clients[one.tenancy.name].tenant:
                names[one.tenancy.server.base_url, tenant.casefold()].append(one.tenancy.name)
        shared = {
            name: several for several in names.values() if len(several) > 1 for name in several
        }
        return tuple(
            _same_tenancy(one, shared[one.tenancy.name]) if one.tenancy.name in shared else one
            for one in fetched
        )


class _Guarded(Record, frozen=True):
    """A service that changes nothing once the run lock is lost.

    Calls that fail in a way that no code is made for are calls whose answers were lost.
    """

    service: Service
    run: Run

    def list_subscriptions(self) -> tuple[LiveSubscription, ...]:
        return self._call(self.service.list_subscriptions)

    def subscribe(self, declared: DeclaredSubscription, secret: Secret) -> str | None:
        return self._call(partial(self.service.subscribe, declared, secret), changes=True)

    def unsubscribe(self, identifier: str) -> None:
        return self._call(partial(self.service.unsubscribe, identifier), changes=True)

    def _call(self, call: Callable[[], T], *, changes: bool = False) -> T:
        try:
            if changes:
                self.run.check_lock()
            return call()
        except HooksyncError as error:
            if isinstance(error, LockLost):
                self.run.give_up(error)
            raise
        except Exception as error:
            failure = AnswerLost(self.run.give_up(error))
        raise failure  # out here, so that nothing is chained to it


def _same_tenancy(one: Fetched, names: Sequence[str]) -> UnreadTenancy:
    what = (
        f"{' and '.join(names)} are the same tenancy on the service: they would undo each other's"
        " changes"
    )
    return UnreadTenancy(
        one.tenancy, Refused(Problem(what, "declare it once", one.tenancy.location))
    )


class ExecutionResult(Record, frozen=True):
    """What stands against plans, and what became of them."""

    planned: tuple[Planned, ...]
    warnings: tuple[Problem, ...] = ()  # of secrets
    adoption: Adoption = Adoption()
    against_all: tuple[Problem, ...] = ()  # why nothing is carried out
    outcomes: Mapping[str, TenancyOutcome] = field(default_factory=dict)  # by the tenancy's name
    state_error: FileError | None = None
    unforeseen: tuple[Exception, ...] = ()  # what ended the run as an interrupt does


class Executor(Record, frozen=True):
    """What plans are carried out with."""

    run: Run
    options: DiffOptions  # those that the plans were made with
    journal: Journal
    terminal: Terminal
    probes: bool | None  # None: as each tenancy says
    adopts: bool  # what is kept with an unknown secret

    def prepare(self, planned: Sequence[Planned]) -> ExecutionResult:
        """Look up the secrets and challenge the receivers of what is ready to be done.

        Changes nothing.
        """
        found, secrets = tuple(map(self._with_secrets, planned)), self.run.secrets
        used = [
            each.secret for plan in _accepted(found) if not plan.error for each in plan.to_be_made
        ]
        if self.adopts:
            kept = (
                step for plan in _accepted(found) for step in plan.steps if isinstance(step, Keep)
            )
            used += (step.declared.secret for step in kept)
        if self.probes is not False:
            found = ask_receivers(found, self.run, self.terminal, adopts=self.adopts)
        result = ExecutionResult(found, tuple(secrets.doubts(used)))
        if not self.adopts:
            return result
        read = [one for one in found if isinstance(one, TenancyPlan)]
        _, not_set = secrets.look_up(each.secret for plan in read for each in plan.to_be_adopted)
        return replace(result, adoption=judge_adoption(read, not_set))

    def _with_secrets(self, one: Planned) -> Planned:
        """Look up what a plan needs; one that lacks a secret is not begun."""
        if isinstance(one, TenancyPlan) and not one.refusals:
            try:
                self.run.secrets.find_all(declared.secret for declared in one.to_be_made)
            except SecretError as error:
                return replace(one, error=error)
        return one

    def execute(
        self, prepared: ExecutionResult, settled: Settled = lambda outcome: None
    ) -> ExecutionResult:
        """Apply what is ready and what `prepare` did not refuse; intents are written first."""
        if self.run.pool.stop.is_set():
            return prepared
        plans, result = _accepted(prepared.planned), prepared
        ready = [
            plan
            for plan in plans
            if plan.is_ready and plan.tenancy.name not in prepared.adoption.stopped
        ]
        try:
            if ready:
                self.journal.begin(ready)
                self.run.begun.set()
            calls = sum(
                (not is_idle(step)) + isinstance(step, Resubscribe)
                for plan in ready
                for step in plan.steps
            )
            with self.terminal.progress("applying", calls) as advance:
                made = self._apply(ready, advance, settled)
            outcomes = {name: _hinted(outcome) for name, outcome in made.items()}
            result = replace(prepared, outcomes=outcomes, unforeseen=tuple(self.run.unforeseen))
            done = [*outcomes.values()]
            for plan in plans:
                if plan.is_empty:  # what was listed when it was made counts
                    done.append(
                        TenancyOutcome(
                            plan, (), last_live=tuple(one for one in plan.live if one.is_listed)
                        )
                    )
            adopted = self.journal.settle(done, result.adoption.addresses)
            return replace(result, adoption=replace(result.adoption, adopted=adopted))
        except FileError as error:
            return replace(result, state_error=error)
        except Exception as error:
            if not result.outcomes:  # what was done is not known
                raise
            return replace(result, unforeseen=(*result.unforeseen, error))

    def _apply(
        self, plans: Sequence[TenancyPlan], advance: Advance, settled: Settled
    ) -> dict[str, TenancyOutcome]:
        """Apply plans whose secrets were looked up, tenancies in parallel; by tenancy name."""
        from hooksync.reconcile.apply import Execution  # here, for `plan` does without

        run = self.run

        def carry_out(plan: TenancyPlan) -> TenancyOutcome:
            secrets = run.secrets.find_all(declared.secret for declared in plan.to_be_made)
            client, clock = _Guarded(run.clients[plan.tenancy.name], run), run.context.clock
            execution = Execution(
                plan, client, secrets, run.pool, self.options, clock, advance, run.list_wait
            )
            try:
                outcome = execution.run()
                settled(outcome)
                return outcome
            except Exception as error:
                return execution.abandoned(run.give_up(error).what)

        # these threads only wait for calls; they have a stop of their own, so that every plan gets
        # its outcome
        with type(run.pool)(run.parallelism, Event()) as coordinators:
            outcomes = coordinators.run([partial(carry_out, plan) for plan in plans])
        return {outcome.plan.tenancy.name: outcome for outcome in outcomes if outcome is not None}


def _accepted(planned: Sequence[Planned]) -> list[TenancyPlan]:
    """Leave out the tenancies that could not be read or are refused."""
    return [one for one in planned if isinstance(one, TenancyPlan) and not one.refusals]


def _hinted(outcome: TenancyOutcome) -> TenancyOutcome:
    """If a replacement was refused although its receiver is ready, name a likelier cause."""
    fix = (
        "the receiver is ready; if the service refuses a second subscription, set `replacement:"
        " remove-first`"
    )
    ready = {
        address
        for address, answer in (outcome.plan.answers or {}).items()
        if answer.state == "ready"
    }
    outcomes = (
        (
            replace(one, fix=fix)
            if one.result == "failed"
            and isinstance(one.step, Resubscribe)
            and one.step.declared.address in ready
            else one
        )
        for one in outcome.outcomes
    )
    return replace(outcome, outcomes=tuple(outcomes))


def ask_receivers(
    planned: Sequence[Planned], run: Run, terminal: Terminal, *, adopts: bool
) -> tuple[Planned, ...]:
    """Challenge the receivers of what is to be made or adopted, once each, and judge the plans."""
    ready = (one for one in _accepted(planned) if adopts or one.is_ready)
    plans = [one for one in ready if not one.error and one.tenancy.probe != "never"]
    asked = [
        each
        for plan in plans
        for each in (*plan.to_be_made, *(plan.to_be_adopted if adopts else ()))
    ]
    secrets, _ = run.secrets.look_up(declared.secret for declared in asked)
    targets = [
        (declared.url, secrets[declared.secret]) for declared in asked if declared.secret in secrets
    ]
    with terminal.progress("asking receivers", len(set(targets))) as advance:
        answers = probe_all(targets, run.pool, run.context, advance)
    judged = {plan.tenancy.name: judge(plan, secrets, answers) for plan in plans}
    return tuple(judged.get(one.tenancy.name, one) for one in planned)


def judge_adoption(plans: Sequence[TenancyPlan], not_set: Collection[SecretRef]) -> Adoption:
    """Allow adoption only for receivers that are ready with the declared secret."""
    addresses: set[str] = set()
    problems: list[Problem] = []
    stopped: set[str] = set()
    asked = unchallenged = 0
    for plan in plans:
        for declared in plan.to_be_adopted:
            asked += 1
            answer = plan.answers.get(declared.address) if plan.answers else None
            why = fix = ""
            if declared.secret in not_set:
                why = f"secret {declared.secret} is not set or cannot be used"
                fix = "set the secret that the receiver holds"
            elif answer and answer.state != "ready":
                why, fix = (
                    f"the receiver at {declared.url.shown} is not ready: {answer.detail}",
                    answer.fix,
                )
            elif answer or plan.answers is None:
                addresses.add(declared.address)
                unchallenged += not answer
                continue
            if why:
                problems.append(
                    Problem(f"not adopted: {declared.address}: {why}", fix, declared.location)
                )
            if plan.tenancy.unknown_secret == "refuse":
                stopped.add(declared.tenancy)
    return Adoption(asked, unchallenged, frozenset(addresses), tuple(problems), frozenset(stopped))


def judge(
    plan: TenancyPlan,
    secrets: Mapping[SecretRef, Secret],
    answers: Mapping[ProbeTarget, ProbeResult],
) -> TenancyPlan:
    """Refuse a plan if a receiver has a different secret, or must be ready and is not."""
    targets = {
        each.address: (each.url, secrets.get(each.secret))
        for each in (*plan.to_be_made, *plan.to_be_adopted)
    }
    found = {
        address: answers[url, key]
        for address, (url, key) in targets.items()
        if key and (url, key) in answers
    }
    refusals: dict[str, Problem] = {}
    warnings: dict[str, Problem] = {}
    for declared in plan.to_be_made:
        answer = found.get(declared.address)
        if answer and answer.state != "ready":
            is_refused = answer.state == "wrong-secret" or plan.tenancy.probe == "require"
            what = (
                f"{declared.tenancy}/{declared.name}: the receiver at {declared.url.shown} is not"
                " ready"
            )
            problem = Problem(f"{what}: {answer.detail}", answer.fix, declared.location)
            (refusals if is_refused else warnings)[declared.name] = problem
    return replace(
        plan, answers=found, refusals=tuple(refusals.values()), warnings=tuple(warnings.values())
    )
