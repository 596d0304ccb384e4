"""A run against tenancies: read them and carry their plans out, side by side; each may fail alone.

Reaches the network through the clients it makes. Prints nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

from hooksync.config.secret_book import SecretCache
from hooksync.config.secret_sources import SecretSources
from hooksync.core.errors import HooksyncError, Problem, ServiceError
from hooksync.core.model import Secret, SecretRef, Tenancy
from hooksync.core.record import Record
from hooksync.reconcile.apply import ExecutionContext, apply_plan
from hooksync.reconcile.diff import DiffOptions
from hooksync.reconcile.outcomes import TenancyOutcome
from hooksync.reconcile.plan import UnreadTenancy
from hooksync.reconcile.planner import Fetched, FetchedTenancy, PlannedTenancy
from hooksync.service.auth import LogInCalls
from hooksync.service.calling import CallContext
from hooksync.service.client import Preservica
from hooksync.service.http import Timeouts, Transport
from hooksync.service.retry import RetryPolicy
from hooksync.service.worker_pool import WorkerPool

if TYPE_CHECKING:
    from hooksync.core.redaction import Redactor
    from hooksync.service.calling import CallRecord

Advance = Callable[[], None]


class RunSettings(Record, frozen=True):
    """How a run behaves."""

    diff: DiffOptions
    timeout: float  # seconds that a call may take
    parallelism: int  # calls in flight over the whole run


class RunContext(Record, frozen=True):
    """What a run takes from outside."""

    HIDDEN = ("environ",)

    environ: Mapping[str, str]
    redactor: Redactor
    stop: Event  # set: nothing new starts
    watch: Callable[[CallRecord], None]
    patience: RetryPolicy | None = None  # None: the usual


class Work(Record, frozen=True):
    """A plan that is to be carried out, and every secret that it needs."""

    planned: PlannedTenancy
    secrets: Mapping[SecretRef, Secret]


@contextmanager
def open_run(tenancies: Sequence[Tenancy], settings: RunSettings, around: RunContext) -> Iterator[Run]:
    """Open the connections and threads of a run; all are closed at its end."""
    transport = Transport(Timeouts(call=settings.timeout), settings.parallelism, around.environ)
    line = CallContext(transport, around.redactor, around.stop, around.watch, around.patience or RetryPolicy())
    sources = SecretSources(around.environ)
    refs = [one.secret for tenancy in tenancies for one in tenancy.subscriptions]
    around.redactor.learn_later(lambda: sources.values(refs))  # a service may quote what it holds, needed here or not
    clients = {
        tenancy.name: Preservica(tenancy, LogInCalls(tenancy, sources.find, around.redactor), line)
        for tenancy in tenancies
    }
    try:
        with WorkerPool(settings.parallelism, around.stop) as pool:
            yield Run(tuple(tenancies), settings, clients, SecretCache(sources), pool, line)
    finally:
        transport.close()


class Run(Record, frozen=True):
    """The tenancies of a run with their clients."""

    tenancies: tuple[Tenancy, ...]
    settings: RunSettings
    clients: Mapping[str, Preservica]  # by the tenancy's name
    book: SecretCache
    pool: WorkerPool
    line: CallContext  # for calls that no client makes: to receivers

    def read(self, advance: Advance) -> tuple[Fetched, ...]:
        """Fetch what is live in each tenancy."""

        def task(tenancy: Tenancy) -> Callable[[], Fetched]:
            return lambda: self._read_one(tenancy, advance)

        found = self.pool.run("", [task(tenancy) for tenancy in self.tenancies])
        interrupted = ServiceError(Problem("interrupted before it was read", "run it again"))
        fetched = [
            one or UnreadTenancy(tenancy, interrupted) for tenancy, one in zip(self.tenancies, found, strict=True)
        ]
        return self._without_duplicate_keys(fetched)

    def apply(self, works: Mapping[str, Work], advance: Advance) -> dict[str, TenancyOutcome]:
        """Carry plans out, tenancies side by side; gives each one's outcome by name."""

        def task(name: str) -> Callable[[], TenancyOutcome]:
            work = works[name]
            means = ExecutionContext(
                self.clients[name], work.secrets, self.pool, self.settings.diff, work.planned.history, advance
            )
            return lambda: apply_plan(work.planned.plan, means)

        # these threads wait for calls and make none; a stop reaches the calls, so that every plan gets its outcome
        with WorkerPool(self.settings.parallelism, Event()) as coordinators:
            outcomes = coordinators.run("", [task(name) for name in works])
        return {name: outcome for name, outcome in zip(works, outcomes, strict=True) if outcome is not None}

    def _read_one(self, tenancy: Tenancy, advance: Advance) -> Fetched:
        try:
            return FetchedTenancy(tenancy, self.clients[tenancy.name].list_subscriptions())
        except HooksyncError as error:
            return UnreadTenancy(tenancy, error)
        finally:
            advance()

    def _without_duplicate_keys(self, fetched: Sequence[Fetched]) -> tuple[Fetched, ...]:
        """Refuse two names that turn out, after the log-in, to be one tenancy: they would undo each other."""
        names: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for one in fetched:
            if tenant := self.clients[one.tenancy.name].tenant:
                names[one.tenancy.server.base_url, tenant.casefold()].append(one.tenancy.name)
        twins = {name: several for several in names.values() if len(several) > 1 for name in several}
        return tuple(_twin(one, twins[one.tenancy.name]) if one.tenancy.name in twins else one for one in fetched)


def _twin(one: Fetched, names: Sequence[str]) -> UnreadTenancy:
    what = f"{' and '.join(names)} are one and the same tenancy on the service, and would undo each other"
    return UnreadTenancy(one.tenancy, ServiceError(Problem(what, "declare it once", one.tenancy.location)))
