"""A run against tenancies: its clients and threads, and the reading of live subscriptions.

An error in one tenancy does not stop the others. This module reaches the network through the
clients that it makes. It prints nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Event

from hooksync.config.secret_sources import SecretSources
from hooksync.core.clock import Backoff
from hooksync.core.errors import HooksyncError, Problem, unforeseen
from hooksync.core.model import (
    LiveSubscription,
    SecretRef,
    Tenancy,
    TenancyKey,
    process_environ,
)
from hooksync.core.record import Record, replace
from hooksync.core.signing import KEY_VARIABLE
from hooksync.reconcile.context import Terminal, World
from hooksync.reconcile.diff import unread
from hooksync.reconcile.plan import TenancyPlan
from hooksync.service.client import Preservica
from hooksync.service.http import (
    CallContext,
    RetryPolicy,
    Transport,
    proxy_credentials,
)
from hooksync.service.worker_pool import WorkerPool
from hooksync.state.contract import LockLost, StateStore
from hooksync.state.history import FetchedTenancy

Fetched = FetchedTenancy | TenancyPlan  # the plan of an unread tenancy has its error
Advance = Callable[[], None]
# takes a tenancy and its list; tells whether the list lags behind earlier changes
IsBehind = Callable[[TenancyKey, Sequence[LiveSubscription]], bool]


@contextmanager
def open_run(
    tenancies: Sequence[Tenancy],
    world: World,
    *,
    timeout: float,
    parallelism: int,
    store: StateStore | None = None,
    private: bool = True,
    list_wait: float = 0.0,
) -> Iterator[Run]:
    """Open the connections and threads of a run; all are closed at its end.

    `timeout`: seconds for a call; `parallelism`: maximum of parallel calls in the whole run;
    `store`: of the state, to check its run lock before changes; `private`: whether receivers at
    private addresses may be called; `list_wait`: as in `Run`.
    """
    failures: list[Exception] = []
    make_network = world.network or partial(Transport, environ=process_environ(world.environ))
    transport = make_network(timeout, parallelism)
    context = CallContext(
        transport,
        world.output.redactor,
        world.stop,
        world.terminal.watch,
        world.retries or RetryPolicy(),
        world.clock,
        private,
        partial(_check_lock, store, world.stop, failures),
        world.terminal.message,
    )
    secrets = world.secrets
    _mask_what_a_service_may_quote(tenancies, world)
    clients = {each.name: Preservica(each, context, secrets.find_all) for each in tenancies}
    try:
        with (world.pool or WorkerPool)(parallelism, world.stop) as pool:
            yield Run(
                tuple(tenancies),
                parallelism,
                clients,
                secrets,
                pool,
                context,
                world.terminal,
                world.begun,
                list_wait,
                failures,
            )
    finally:
        transport.close()


def _mask_what_a_service_may_quote(tenancies: Sequence[Tenancy], world: World) -> None:
    """Let the redactor learn the secrets of a run, even those that the run will not use.

    It learns a password when the log-in reads it.
    """
    redactor = world.output.redactor
    proxies = proxy_credentials(process_environ(world.environ))
    redactor.learn([world.environ.get(KEY_VARIABLE, ""), *proxies])
    refs: list[SecretRef] = []
    for tenancy in tenancies:
        refs += [tenancy.credentials.username, tenancy.credentials.totp]
        refs += [one.secret for one in tenancy.subscriptions]
    world.secrets.look_up(refs)


def _check_lock(store: StateStore | None, stop: Event, failures: list[Exception]) -> None:
    """Let a lost run lock end the run as an interrupt does. Raises LockLost."""
    try:
        if store:
            store.check()
    except LockLost as error:
        stop.set()
        failures.append(error)
        raise


class Run(Record, frozen=True):
    """The tenancies of a run with their clients."""

    tenancies: tuple[Tenancy, ...]
    parallelism: int
    clients: Mapping[str, Preservica]  # by the tenancy's name
    secrets: SecretSources
    pool: WorkerPool
    context: CallContext  # for calls to receivers, which no client makes
    terminal: Terminal
    begun: Event  # set before the first change
    list_wait: float  # seconds to wait for a list that lags behind the responses
    # errors that ended the run early: LockLost, StateError, or unforeseen ones
    failures: list[Exception]

    def read(self, advance: Advance, is_behind: IsBehind) -> tuple[Fetched, ...]:
        """Fetch the live subscriptions of each tenancy.

        A list that is known to lag is read again, until it is complete or `list_wait` is over.
        """
        found = self.pool.run(
            [partial(self._read_one, one, advance, is_behind) for one in self.tenancies]
        )
        interrupted = (Problem("interrupted before it was read", "run it again"),)
        fetched = [
            got or unread(one, interrupted) for one, got in zip(self.tenancies, found, strict=True)
        ]
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
        self.pool.stop.set()
        self.failures.append(error)
        return error.problems[0] if isinstance(error, HooksyncError) else unforeseen(error)

    def tell_wait(self, tenancy: str, why: str) -> None:
        """Report why the run reads the list of a tenancy again, unless it does not wait."""
        if self.list_wait:
            most = f"watching the list, at most {self.list_wait:g} s"
            self.terminal.message(f"{tenancy}: {why}: {most}")

    def _read_one(self, tenancy: Tenancy, advance: Advance, is_behind: IsBehind) -> Fetched:
        client = self.clients[tenancy.name]
        try:
            live = client.list_subscriptions()
            if is_behind(self.located(tenancy).key, live):
                self.tell_wait(tenancy.name, "the list lacks what an earlier run may have made")
            backoff = Backoff(self.list_wait, self.context.clock, self.context.stop)
            while is_behind(self.located(tenancy).key, live) and backoff.wait():
                live = client.list_subscriptions()
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
        for one in fetched:
            tenancy = one.tenancy if isinstance(one, FetchedTenancy) else one
            if tenancy.tenant:
                names[tenancy.key].append(tenancy.name)
        kept: list[Fetched] = []
        for one in fetched:
            if isinstance(one, FetchedTenancy) and len(names[one.tenancy.key]) > 1:
                kept.append(_same_tenancy(one.tenancy, names[one.tenancy.key]))
            else:
                kept.append(one)
        return tuple(kept)


def refuse_shared_ids(fetched: Sequence[Fetched]) -> tuple[Fetched, ...]:
    """Refuse tenancies whose lists share an id: they may be one tenancy under two names.

    A limit for each tenancy would then count its removals in parts.
    """
    names: defaultdict[str, list[str]] = defaultdict(list)
    for one in fetched:
        if isinstance(one, FetchedTenancy):
            for live in one.live:
                names[live.id].append(one.tenancy.name)
    sharing: dict[str, list[str]] = {}
    for several in names.values():
        if len(several) > 1:
            sharing |= dict.fromkeys(several, several)
    kept: list[Fetched] = []
    for one in fetched:
        if isinstance(one, FetchedTenancy) and one.tenancy.name in sharing:
            both = " and ".join(sharing[one.tenancy.name])
            what = f"the lists of {both} contain the same id: they may be one tenancy"
            kept.append(_refused(one.tenancy, what))
        else:
            kept.append(one)
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
