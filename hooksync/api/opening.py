"""Open a run: its lock, state, connections, threads, secrets and planner, in this one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from threading import Event

from hooksync.api.inputs import Declared
from hooksync.config import declarations
from hooksync.config.secret_sources import SecretSources, sources_of
from hooksync.core.clock import Pauses, read_seconds
from hooksync.core.context import Context
from hooksync.core.errors import Problem, UsageError
from hooksync.core.model import KEY_VARIABLE, SecretRef, process_environ
from hooksync.reconcile.plan import Selection
from hooksync.reconcile.planner import Planner
from hooksync.reconcile.run import Run
from hooksync.service.client import Preservica
from hooksync.service.http import PAUSES, Caller, Transport, proxy_credentials
from hooksync.service.worker_pool import WorkerPool
from hooksync.state.contract import LockLost
from hooksync.state.fingerprints import Key, KeyRing, SecretWithSalt, derive_key
from hooksync.state.model import State
from hooksync.state.store import OpenStore, StateStore, load_state, open_store, run_lock

LIST_WAIT_VARIABLE = "HOOKSYNC_LIST_WAIT"

Derive = Callable[[SecretWithSalt], Key]
# opens connections; the function is called before each call that changes something
Connect = Callable[[Declared, Callable[[], None]], AbstractContextManager[Caller]]
# `open_run`, or a function that calls it with other arguments
OpenRun = Callable[..., AbstractContextManager[Run]]


@contextmanager
def connect(
    declared: Declared,
    before_change: Callable[[], None],
    *,
    pauses: Pauses = PAUSES,
    make_transport: Callable[[float, int, Mapping[str, str]], Transport] = Transport,
) -> Iterator[Caller]:
    """Open the connections of a run. `before_change`: called before each call that changes."""
    context = declared.context
    options = declared.options
    environ = process_environ(context.environ)
    transport = make_transport(options.timeout, options.parallelism, environ)
    try:
        yield Caller(transport, context, pauses, declared.private_receivers, before_change)
    finally:
        transport.close()


@contextmanager
def open_run(
    declared: Declared,
    *,
    is_apply: bool = False,
    find_store: OpenStore = open_store,
    connect: Connect = connect,
    make_pool: type[WorkerPool] = WorkerPool,
    derive: Derive = derive_key,
) -> Iterator[Run]:
    """Read the state, and open the connections and threads of a run. All are closed at its end.

    Raises FileError if the state cannot be read: no plan is made without it. An apply holds the run
    lock of the state until the end. Raises Refused if a different run holds the lock.

    The arguments after `is_apply` are for tests.
    """
    context = declared.context
    options = declared.options
    list_wait = _read_list_wait(context)
    failures: list[Exception] = []
    with ExitStack() as held:
        store = held.enter_context(_open_state(declared, find_store, is_apply=is_apply))
        secrets = sources_of(context)
        state = load_state(store, writes=is_apply) if store else None
        planner = _make_planner(declared, secrets, state, store, derive)
        _mask_what_a_service_may_quote(declared, secrets)
        check_lock = partial(_check_lock, store, context.stop, failures)
        caller = held.enter_context(connect(declared, check_lock))
        pool = held.enter_context(make_pool(options.parallelism, context.stop))
        if not is_apply:
            list_wait = 0.0
        yield Run(
            context,
            declared.tenancies,
            _make_clients(declared, caller, secrets),
            secrets,
            pool,
            caller,
            planner,
            store,
            list_wait,
            failures,
            None if is_apply else _other_run(store),
        )


def _read_list_wait(context: Context) -> float:
    return read_seconds(context.environ, LIST_WAIT_VARIABLE, default=30, minimum=0, maximum=900)


@contextmanager
def _open_state(
    declared: Declared, find_store: OpenStore, *, is_apply: bool
) -> Iterator[StateStore | None]:
    """Find the store of the state, if the run has one. An apply holds its run lock."""
    place = declared.state
    options = declared.options
    context = declared.context
    store = find_store(place, options.files[0], context) if place else None
    if not is_apply:
        yield store
    elif store is None:
        raise UsageError(Problem("the run has no state", "name one with --state"))
    else:
        with run_lock(store, options.lock_timeout, context):
            yield store


def _make_clients(
    declared: Declared, caller: Caller, secrets: SecretSources
) -> dict[str, Preservica]:
    clients = {}
    for tenancy in declared.tenancies:
        clients[tenancy.name] = Preservica(tenancy, caller, secrets.find_all)
    return clients


def _mask_what_a_service_may_quote(declared: Declared, secrets: SecretSources) -> None:
    """Let the redactor learn the secrets of a run, even those that the run will not use.

    It learns a password when the log-in reads it.
    """
    environ = declared.context.environ
    redactor = declared.context.output.redactor
    redactor.learn([environ.get(KEY_VARIABLE, ""), *proxy_credentials(process_environ(environ))])
    refs: list[SecretRef] = []
    for tenancy in declared.tenancies:
        refs += [tenancy.credentials.username, tenancy.credentials.totp]
        refs += [subscription.secret for subscription in tenancy.subscriptions]
    secrets.look_up(refs)


def _check_lock(store: StateStore | None, stop: Event, failures: list[Exception]) -> None:
    """Let a lost run lock end the run as an interrupt does. Raises LockLost."""
    try:
        if store:
            store.check()
    except LockLost as error:
        stop.set()
        failures.append(error)
        raise


def _other_run(store: StateStore | None) -> Problem | None:
    """Report a different run that holds the run lock of a state; None if nobody does."""
    holder = store.holder() if store else None
    if holder is None:
        return None
    what = f"another run holds the run lock: {holder}: what follows may be half done"
    return Problem(what, "run this again when that run has ended")


def _make_planner(
    declared: Declared,
    secrets: SecretSources,
    state: State | None,
    store: StateStore | None,
    derive: Derive,
) -> Planner:
    """Return the planner of a run. Raises UsageError for targets that match no known address."""
    options = declared.options
    if options.targets and not declared.receipt:  # a saved plan is compared tenancy by tenancy
        known = []
        for tenancy in declared.tenancies:
            known += [*tenancy.subscriptions, *tenancy.not_selected]
        addresses = [subscription.address for subscription in known]
        addresses += state.addresses if state else ()
        declarations.refuse_unmatched("--target", options.targets, addresses, "address")
    return Planner(
        Selection(
            options.tenancies,
            options.targets,
            options.replace,
            options.adopt,
            options.since or "",
            options.remove,
        ),
        state,
        secrets,
        KeyRing(options.parallelism, derive),
        declared.state,
        is_trusted=not options.policy or bool(store and store.key),
        flags=options.flags,
    )
