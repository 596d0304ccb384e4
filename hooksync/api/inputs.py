"""How commands that reach the service begin: read files and environment, open a session."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from hooksync.api.options import FileOptions, RunOptions
from hooksync.config import declarations
from hooksync.config.document import read_document
from hooksync.config.files import read_plan, read_sources
from hooksync.config.references import command_problems
from hooksync.config.resolve import resolve, url_environment_values
from hooksync.core.clock import read_seconds
from hooksync.core.errors import Problem, Refused, UsageError, counted
from hooksync.core.model import (
    DeclaredSubscription,
    Tenancy,
    TenancyKey,
    found_credentials,
    matches_any,
)
from hooksync.core.record import Record, replace
from hooksync.core.redaction import printable
from hooksync.core.run_flags import RunFlags
from hooksync.reconcile.context import World, find_store, hold_run_lock
from hooksync.reconcile.diff import DiffOptions
from hooksync.reconcile.plan import Planned, UnreadTenancy
from hooksync.reconcile.planner import Planner
from hooksync.reconcile.session import Run, open_run, refuse_shared_ids
from hooksync.state.contract import StateStore
from hooksync.state.fingerprints import KeyRing, derive_key
from hooksync.state.history import FetchedTenancy
from hooksync.state.model import State
from hooksync.state.store import inspect, state_place

if TYPE_CHECKING:  # `plan` starts without the modules that only `apply` needs
    from hooksync.api.promise import Promise
    from hooksync.config.policy import Policy
    from hooksync.reconcile.journal import Journal

LIST_WAIT_VARIABLE = "HOOKSYNC_LIST_WAIT"
# the options that select, each with its name in a saved plan
SELECTING = {"tenancies": "tenancy", "targets": "target", "replace": "replace"}

_UNDECLARED_FIX = (
    "look with `{look}`; declare the tenancy again, or, if hooksync is not to look after it any"
    " more, `{forget}`"
)


class Declared(Record, frozen=True):
    """What hooks files and the environment declare, and the options of the run."""

    HIDDEN = ("world", "promise")

    tenancies: tuple[Tenancy, ...]
    warnings: tuple[Problem, ...]
    options: RunOptions
    world: World
    private_receivers: bool = True  # whether receivers at private addresses may be called
    promise: Promise | None = None  # the saved or shown plan that the new one must equal

    @property
    def state(self) -> str | None:
        """The place of the state; None if the run has no state."""
        options = self.options
        return state_place(options.files[0], options.state) if options.uses_state else None

    @property
    def is_confirmed(self) -> bool:
        """Whether an apply needs no prompt: --yes was given, or a plan that must be the same."""
        return self.options.is_confirmed or self.promise is not None


class Session(Record, frozen=True):
    """A `plan` or an `apply` with its files, state and connections open."""

    run: Run
    planner: Planner
    declared: Declared
    store: StateStore | None
    running: Problem | None = None  # another run holds the run lock

    def plan(self) -> tuple[Planned, ...]:
        """Read the tenancies and plan them."""
        with self.declared.world.terminal.progress("reading", len(self.run.tenancies)) as advance:
            fetched = self.run.read(advance, self.planner.is_behind)
        if self.declared.options.policy:
            fetched = refuse_shared_ids(fetched)
        read = [one for one in fetched if isinstance(one, FetchedTenancy)]
        plans = {plan.tenancy.name: plan for plan in self.planner.plan(read)}
        planned: list[Planned] = []
        for one in fetched:
            planned.append(one if isinstance(one, UnreadTenancy) else plans[one.tenancy.name])
        return tuple(planned)

    def open_journal(self) -> Journal:
        """Return the journal that writes to the state. Raises UsageError without a state."""
        from hooksync.reconcile.journal import Journal  # only here: a plan writes nothing

        if self.store is None:
            raise UsageError(Problem("the run has no state", "name one with --state"))
        return Journal(self.store, self.planner)

    def undeclared(self, planned: Sequence[Planned]) -> tuple[Problem, ...]:
        """Report the tenancies that the state contains and no file declares."""
        state = self.planner.state
        options = self.declared.options
        if state is None or options.tenancies or options.targets:
            return ()
        keys = {one.tenancy.key for one in planned}
        # an unread tenancy may lack its tenant, which the log-in reports: only the server counts
        unread = {one.tenancy.server.shown for one in planned if isinstance(one, UnreadTenancy)}
        left: defaultdict[TenancyKey, list[str]] = defaultdict(list)
        for entry in state.entries:
            if entry.key not in keys and entry.server not in unread:
                left[entry.key].append(entry.address.partition("/")[0])
        return tuple(_undeclared(key, left[key], options.flags) for key in sorted(left))


def _undeclared(key: TenancyKey, names: Sequence[str], flags: RunFlags) -> Problem:
    """Report a tenancy that no file declares.

    `names`: the name of the tenancy in each of its entries in the state.
    """
    number = counted(len(names), "subscription")
    what = f"no file declares {number} of the state on {printable(str(key))} any more"
    tenant = ("--tenant", key.tenant) if key.tenant else ()
    globs = [f"{name}/*" for name in sorted(set(names))]
    look = flags.command("list --server", key.server, *tenant)
    forget = flags.command("state forget", *globs, "--server", key.server, *tenant)
    return Problem(what, _UNDECLARED_FIX.format(look=look, forget=forget))


@contextmanager
def open_session(declared: Declared, *, is_apply: bool) -> Iterator[Session]:
    """Read the state and open the run.

    Raises FileError if the state cannot be read: no plan is made without it.

    An apply holds the run lock of the state until the session ends. Raises Refused if a different
    run holds the lock.
    """
    options = declared.options
    world = declared.world
    store = find_store(declared.state, options.files[0], world)
    list_wait = read_seconds(world.environ, LIST_WAIT_VARIABLE, default=30, minimum=0, maximum=900)
    with ExitStack() as held:
        if store and is_apply:
            held.enter_context(hold_run_lock(store, options.lock_timeout, world))
        state = inspect(store).trusted(writes=is_apply) if store else None
        _refuse_unmatched_targets(declared, state)
        run = held.enter_context(
            open_run(
                declared.tenancies,
                world,
                timeout=options.timeout,
                parallelism=options.parallelism,
                store=store,
                private=declared.private_receivers,
                list_wait=list_wait if is_apply else 0.0,
            )
        )
        running = None if is_apply or store is None else _other_run(store)
        yield Session(run, _make_planner(declared, run, store, state), declared, store, running)


def _other_run(store: StateStore) -> Problem | None:
    """Report the run that holds the run lock of a state; None if nobody does."""
    holder = store.holder()
    if holder is None:
        return None
    what = f"another run holds the run lock: {holder}: what follows may be half done"
    return Problem(what, "run this again when that run has ended")


def _make_planner(
    declared: Declared, run: Run, store: StateStore | None, state: State | None
) -> Planner:
    options = declared.options
    world = declared.world
    return Planner(
        DiffOptions(options.replace, options.targets),
        state,
        run.secrets,
        KeyRing(options.parallelism, world.derive_key or derive_key),
        declared.state,
        world.clock,
        is_proof=not options.policy or bool(store and store.integrity.key),
        flags=options.flags,
    )


def _refuse_unmatched_targets(declared: Declared, state: State | None) -> None:
    """Raise UsageError for targets that match no declared address and none in the state."""
    if not declared.options.targets:
        return
    known = []
    for tenancy in declared.tenancies:
        known += [one.address for one in (*tenancy.subscriptions, *tenancy.not_selected)]
    if state:
        known += sorted(state.addresses())
    declarations.refuse_unmatched("--target", declared.options.targets, known, "address")


def prepare(options: RunOptions, world: World, *, needs_login: bool = True) -> Declared:
    """Read files and environment. Raises FileError or UsageError with every problem.

    `needs_login`: also raise if no tenancy can log in; the error names all missing variables.
    """
    document = read_files(options, world)
    entries = declarations.select(document, options.tenancies, options.targets)
    addresses = declarations.addresses(entries)
    if options.targets:
        addresses = [each for each in addresses if matches_any(each, options.targets)]
    declarations.refuse_unmatched("--replace", options.replace, addresses, "address")
    mask_url_variables(entries, world)
    policy = hold_to_policy(options, entries, world, probes=options.probes is not False)
    tenancies, more = resolve(entries, world.environ, needs_login=needs_login)
    if policy:
        tenancies = tuple(replace(each, ceiling=policy.max_unsubscribe) for each in tenancies)
    return Declared(
        tuple(_selected(tenancy, options.targets) for tenancy in tenancies),
        (*document.warnings, *more),
        options,
        world,
        private_receivers(policy),
    )


def _selected(tenancy: Tenancy, targets: Sequence[str]) -> Tenancy:
    """Separate the subscriptions that a target matches from the others of the tenancy."""
    if not targets:
        return tenancy
    selected: list[DeclaredSubscription] = []
    others: list[DeclaredSubscription] = []
    for one in tenancy.subscriptions:
        (selected if matches_any(one.address, targets) else others).append(one)
    return replace(tenancy, subscriptions=tuple(selected), not_selected=tuple(others))


def prepare_saved(
    path: str, max_age: timedelta | None, options: RunOptions, world: World
) -> Declared:
    """Read a saved plan, and the files and environment from which `apply` plans again.

    Raises Refused or FileError, before any call, if the saved plan cannot be trusted.
    """
    from hooksync.api.promise import PLAN_ANEW  # only here: most runs have no saved plan
    from hooksync.api.saved_plan import open_saved_plan

    saved, refusal = open_saved_plan(read_plan(path, "apply"), path, max_age, world)
    if refusal:
        raise Refused(refusal)
    selected = {name: tuple(saved.selection.get(flag, ())) for name, flag in SELECTING.items()}
    try:
        declared = prepare(replace(options, **selected), world)
    except UsageError as error:  # what the plan selects is no longer declared
        found = [Problem(f"{path} is stale: {each.what}", PLAN_ANEW) for each in error.problems]
        raise Refused(*found) from None
    return replace(declared, promise=saved.promise)


def read_files(options: FileOptions, world: World) -> declarations.Document:
    """Read hooks files. Their text is public, so it may appear in any output.

    Raises FileError with every problem.
    """
    sources = read_sources(options.files, world.stdin)
    world.output.public += [source.data for source in sources]
    return read_document(sources)


def mask_url_variables(entries: Sequence[declarations.TenancyDeclaration], world: World) -> None:
    """Let the redactor learn what the environment adds to URLs."""
    world.output.redactor.learn(url_environment_values(entries, world.environ))


def hold_to_policy(
    options: FileOptions,
    entries: Sequence[declarations.TenancyDeclaration],
    world: World,
    *,
    probes: bool | None = None,
) -> Policy | None:
    """Raise Refused if the files name something that is not allowed.

    The policy decides what is allowed; without a policy, the command line does.
    Returns the policy, if there is one. `probes`: whether receivers may be challenged. None: the
    command does not use the settings in the files, so they are not judged.
    """
    policy = None
    breaches = [] if options.allows_commands else [*command_problems(entries)]
    if options.policy:
        from hooksync.config.policy import read_policy  # only here: many runs have none

        policy = read_policy(options.policy)
        breaches = [*policy.breaches(entries, world.environ, found_credentials(world.environ))]
        if probes is not None:
            breaches += policy.limit_breaches(entries, probes=probes)
    if breaches:
        unique = dict.fromkeys(breaches)
        raise Refused(*sorted(unique, key=lambda problem: problem.where or ("", 0, 0)))
    return policy


def private_receivers(policy: Policy | None) -> bool:
    """Whether receivers at private addresses may be called."""
    return policy is None or policy.allow_private_receivers
