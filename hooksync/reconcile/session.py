"""A run against tenancies: read them and carry out their plans, side by side; a failure of one stops no other.

Reaches the network through the clients that it makes. Prints nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from hooksync.config.secret_sources import SecretSources
from hooksync.core.clock import Backoff
from hooksync.core.errors import AnswerLost, HooksyncError, Problem, Refused, ServiceError, unforeseen
from hooksync.core.model import DeclaredSubscription, LiveSubscription, Secret, Tenancy
from hooksync.core.record import Record, field, replace
from hooksync.core.signing import KEY_VARIABLE
from hooksync.reconcile.context import World
from hooksync.reconcile.diff import DiffOptions
from hooksync.reconcile.plan import TenancyOutcome, TenancyPlan, UnreadTenancy
from hooksync.reconcile.planner import Fetched
from hooksync.service.auth import UsedCodes
from hooksync.service.client import Preservica
from hooksync.service.http import CallContext, PrivateReceivers, RetryPolicy, Timeouts, Transport, proxy_credentials
from hooksync.service.worker_pool import WorkerPool
from hooksync.state.history import FetchedTenancy
from hooksync.state.store import LockLost

if TYPE_CHECKING:
    from hooksync.reconcile.apply import Execution
    from hooksync.reconcile.step_runner import Service

T = TypeVar("T")
Advance = Callable[[], None]
Settled = Callable[[TenancyOutcome], None]  # is told of each tenancy that is done with, on any thread
IsBehind = Callable[[str, Sequence[LiveSubscription]], bool]  # by a tenancy's name and what it lists


@contextmanager
def open_run(
    tenancies: Sequence[Tenancy],
    world: World,
    *,
    timeout: float,
    parallelism: int,
    check_lock: Callable[[], None] = lambda: None,
    private: PrivateReceivers = "challenged",
) -> Iterator[Run]:
    """Open the connections and threads of a run; all are closed at its end.

    `timeout`: seconds that a call may take; `parallelism`: calls in flight over the whole run; `check_lock`: raises
    LockLost.
    """
    timeouts, clock, redactor = Timeouts(call=timeout), world.clock, world.output.redactor
    make_network = world.network or partial(Transport, environ=world.environ)
    transport = make_network(timeouts, parallelism)
    policy, watch = world.patience or RetryPolicy(), world.terminal.watch
    context = CallContext(transport, redactor, world.stop, watch, policy, clock, private)
    secrets = SecretSources(world.environ, world.stop)
    refs = [one.secret for tenancy in tenancies for one in tenancy.subscriptions]
    refs += [tenancy.credentials.totp for tenancy in tenancies]
    redactor.learn([world.environ.get(KEY_VARIABLE, ""), *proxy_credentials(world.environ)])
    redactor.learn_later(lambda: secrets.values(refs))  # a service may quote any of them, needed now or not
    used = UsedCodes()
    clients = {each.name: Preservica(each, context, secrets.credential, used) for each in tenancies}
    try:
        with (world.pool or WorkerPool)(parallelism, world.stop) as pool:
            yield Run(
                tuple(tenancies), parallelism, clients, secrets, pool, context, world.begun, check_lock=check_lock
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
    begun: Event = field(default_factory=Event)  # set before the first change
    unforeseen: list[Exception] = field(default_factory=list)  # what ended it: no code is made for that, or LockLost
    check_lock: Callable[[], None] = lambda: None  # raises LockLost; asked before each change

    def read(self, advance: Advance, is_behind: IsBehind = lambda *_: False) -> tuple[Fetched, ...]:
        """Fetch what is live in each tenancy; again for a while where the list is known to lag behind."""
        found = self.pool.run("", [partial(self._read_one, one, advance, is_behind) for one in self.tenancies])
        interrupted = ServiceError(Problem("interrupted before it was read", "run it again"))
        fetched = [
            one or UnreadTenancy(tenancy, interrupted) for tenancy, one in zip(self.tenancies, found, strict=True)
        ]
        return self._without_same_tenancies(fetched)

    def located(self, tenancy: Tenancy) -> Tenancy:
        """Add the tenant that the log-in led to, where none is declared."""
        told = self.clients[tenancy.name].tenant
        if tenancy.tenant or not told:
            return tenancy
        return replace(tenancy, tenant=told)

    def apply(
        self, plans: Sequence[TenancyPlan], options: DiffOptions, advance: Advance, settled: Settled
    ) -> dict[str, TenancyOutcome]:
        """Carry out plans, tenancies side by side; returns the outcomes by the tenancy's name.

        `options`: those that the plans were made with. Every secret that they need was looked up before.
        """
        from hooksync.reconcile.apply import Execution  # here, for `plan` does without

        def execution(plan: TenancyPlan) -> Execution:
            secrets = self.secrets.find_all(declared.secret for declared in plan.to_be_made)
            client, clock = _Guarded(self.clients[plan.tenancy.name], self), self.context.clock
            return Execution(plan, client, secrets, self.pool, options=options, clock=clock, advance=advance)

        # these threads only wait for calls; they have a stop of their own, so that every plan gets its outcome
        with type(self.pool)(self.parallelism, Event()) as coordinators:
            outcomes = coordinators.run("", [partial(self._carry_out, execution(plan), settled) for plan in plans])
        return {outcome.plan.tenancy.name: outcome for outcome in outcomes if outcome is not None}

    def give_up(self, error: Exception) -> Problem:
        """Let an error end the run as an interrupt does: nothing new starts."""
        self.pool.stop.set()
        self.unforeseen.append(error)
        return error.problems[0] if isinstance(error, HooksyncError) else unforeseen(error)

    def _carry_out(self, execution: Execution, settled: Settled) -> TenancyOutcome:
        try:
            outcome = execution.run()
            settled(outcome)
            return outcome
        except Exception as error:
            return execution.abandoned(self.give_up(error).what)

    def _read_one(self, tenancy: Tenancy, advance: Advance, is_behind: IsBehind) -> Fetched:
        client = self.clients[tenancy.name]
        try:
            live = client.list_subscriptions()
            backoff = Backoff(tenancy.consistency_wait, self.context.clock, self.context.stop)
            while is_behind(tenancy.name, live) and backoff.wait():
                live = client.list_subscriptions()
            return FetchedTenancy(self.located(tenancy), live)
        except HooksyncError as error:
            return UnreadTenancy(self.located(tenancy), error)
        finally:
            advance()

    def _without_same_tenancies(self, fetched: Sequence[Fetched]) -> tuple[Fetched, ...]:
        """Refuse names that turn out, after the log-in, to be the same tenancy: they would undo each other."""
        names: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for one in fetched:
            if tenant := self.clients[one.tenancy.name].tenant:
                names[one.tenancy.server.base_url, tenant.casefold()].append(one.tenancy.name)
        shared = {name: several for several in names.values() if len(several) > 1 for name in several}
        return tuple(
            _same_tenancy(one, shared[one.tenancy.name]) if one.tenancy.name in shared else one for one in fetched
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
        except LockLost as error:
            self.run.give_up(error)
            raise
        except HooksyncError:
            raise
        except Exception as error:
            failure = AnswerLost(self.run.give_up(error))
        raise failure  # out here, so that nothing is chained to it


def _same_tenancy(one: Fetched, names: Sequence[str]) -> UnreadTenancy:
    what = f"{' and '.join(names)} are the same tenancy on the service: they would undo each other's changes"
    return UnreadTenancy(one.tenancy, Refused(Problem(what, "declare it once", one.tenancy.location)))
