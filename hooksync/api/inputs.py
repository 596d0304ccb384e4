"""What commands that reach the service begin with: read files and environment, open a session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from hooksync.api.options import FileOptions, RunOptions, with_selection
from hooksync.config import declarations
from hooksync.config.document import read_document
from hooksync.config.files import read_sources
from hooksync.config.references import command_problems
from hooksync.config.resolve import resolve, url_environment_values
from hooksync.config.secret_sources import CREDENTIALS_FILE
from hooksync.core.clock import seconds_set
from hooksync.core.errors import Problem, Refused, UsageError, counted, some_of
from hooksync.core.model import Tenancy
from hooksync.core.output import is_there
from hooksync.core.record import Record, replace
from hooksync.core.redaction import printable
from hooksync.reconcile.context import World, find_store, hold_run_lock
from hooksync.reconcile.diff import DiffOptions
from hooksync.reconcile.plan import Planned
from hooksync.reconcile.planner import Planner
from hooksync.reconcile.session import Run, open_run
from hooksync.service.http import PrivateReceivers
from hooksync.state.contract import StateStore
from hooksync.state.fingerprints import KeyRing, stretch
from hooksync.state.format import Inspected
from hooksync.state.model import State
from hooksync.state.store import inspect, state_place

if TYPE_CHECKING:  # `plan` starts without the modules that only `apply` needs
    from hooksync.api.promise import Promise

LIST_WAIT_VARIABLE = "HOOKSYNC_LIST_WAIT"

_UNSAVED_FIX = (
    "push it with `hooksync state push`, which refuses it if it is too old; then delete it"
)
_UNDECLARED_FIX = (
    "name its file with --file as well; or, to remove them, declare it with `subscriptions: {}` and"
    " `limits: {unsubscribe: 100%}`, and apply; or, if it was renamed or is no longer managed,"
    " `hooksync state forget 'TENANCY/*'`"
)


class Declared(Record, frozen=True):
    """What hooks files and the environment say; and how it is to be planned and applied."""

    HIDDEN = ("world", "promise")

    tenancies: tuple[Tenancy, ...]
    warnings: tuple[Problem, ...]
    options: RunOptions
    world: World
    # of all tenancies of the files, chosen or not; None: not known
    names: frozenset[str] | None = None
    private_receivers: PrivateReceivers = "challenged"
    promise: Promise | None = None  # what the plan must be the same as

    @property
    def is_targeted(self) -> bool:
        """Whether only some of what the files declare is looked at."""
        return bool(self.options.targets)

    @property
    def diff_options(self) -> DiffOptions:
        """What is said about the comparison."""
        return DiffOptions(self.options.replace, self.is_targeted)

    @property
    def state(self) -> str | None:
        """What names the place of the state; None: without one."""
        options = self.options
        return state_place(options.files, options.state) if options.uses_state else None


class Session(Record, frozen=True):
    """A `plan` or an `apply` with its files, state and connections open."""

    run: Run
    planner: Planner
    declared: Declared
    warnings: tuple[Problem, ...]  # of the files and the state
    store: StateStore | None
    undeclared: tuple[Problem, ...] = ()  # tenancies that the state knows and no file declares

    def plan(self, *, waits: bool = False) -> tuple[Planned, ...]:
        """Read the tenancies and plan them.

        `waits`: for a list that lags behind what the state knows.
        """
        with self.declared.world.terminal.progress("reading", len(self.run.tenancies)) as advance:
            fetched = (
                self.run.read(advance, self.planner.is_behind) if waits else self.run.read(advance)
            )
        return self.planner.plan(self.planner.bridge(fetched))


@contextmanager
def open_session(declared: Declared, *, is_apply: bool) -> Iterator[Session]:
    """Read the state and open the run.

    Raises FileError for a state that cannot be read: no plan is made without it.

    An apply holds the run lock of the state all the while. Raises Refused where another run holds
    it.
    """
    options, world = declared.options, declared.world
    list_wait = seconds_set(world.environ, LIST_WAIT_VARIABLE, 30, 0, 900)
    store = find_store(declared.state, options.files[0], world)
    with hold_run_lock(store, options.lock_timeout, world) if store and is_apply else nullcontext():
        found = inspect(store) if store else Inspected(None)
        found.trusted(writes=is_apply)
        aside = store.aside if store and store.aside and is_there(store.aside) else None
        warnings = declared.warnings
        if aside:
            what = f"{aside} holds the state that an earlier run could not write"
            warnings = (*warnings, Problem(what, _UNSAVED_FIX))
        with open_run(
            declared.tenancies,
            world,
            timeout=options.timeout,
            parallelism=options.parallelism,
            check_lock=store.check if store else lambda: None,
            private=declared.private_receivers,
            list_wait=list_wait,
        ) as run:
            planner = Planner(
                declared.diff_options,
                found.state,
                run.secrets,
                KeyRing(options.parallelism, world.stretch or stretch),
                adopts=options.adopts,
                place=declared.state,
                clock=world.clock,
                is_proof=not options.policy or bool(store and store.integrity.key),
            )
            yield Session(
                run, planner, declared, warnings, store, _undeclared(found.state, declared.names)
            )


def _undeclared(state: State | None, declared: Collection[str] | None) -> tuple[Problem, ...]:
    """Warn of tenancies in the state that no file declares: their subscriptions go on unwatched.

    `declared`: by all files, so that what only this run leaves out is not warned of.
    """
    if state is None or declared is None:
        return ()
    left = Counter(
        name
        for name in (each.partition("/")[0] for each in state.addresses())
        if name not in declared
    )
    if not left:
        return ()
    names = some_of([f'"{printable(name)}"' for name in sorted(left)])
    where = f"tenancy {names}" if len(left) == 1 else f"{len(left)} tenancies: {names}"
    what = (
        f"the state knows {counted(sum(left.values()), 'subscription')} of {where}, which no file"
        " declares"
    )
    return (Problem(what, _UNDECLARED_FIX),)


def prepare(options: RunOptions, world: World, *, needs_login: bool = True) -> Declared:
    """Read files and environment. Raises FileError or UsageError with every problem.

    A shard is a part of a whole: globs, and whether two names are one tenancy, are judged over all
    shards together. `needs_login`: a run without any log-in ends here, with all variables that are
    not set.
    """
    document = read_files(options, world)
    chosen = declarations.select(document, options.tenancies, options.targets)
    declarations.refuse_unmatched(
        "--replace", options.replace, declarations.addresses(chosen), "address"
    )
    entries = declarations.share_of(chosen, options.shard)
    whole = chosen if options.shard and options.shard.total > 1 else ()
    names = frozenset(entry.name for entry in document.tenancies)
    private = hold_to_policy(options, entries, world)
    tenancies, more = resolve(entries, world.environ, whole, needs_login=needs_login)
    if options.shard and not entries:
        world.terminal.message(declarations.nothing_in(options.shard))
    return Declared(tenancies, (*document.warnings, *more), options, world, names, private)


def prepare_saved(data: bytes, options: RunOptions, world: World) -> Declared:
    """Read a saved plan, and the files and environment that it is to be made of again.

    Raises Refused or FileError, before any call, if it cannot be trusted. `data`: as it was saved.
    """
    from hooksync.api.promise import PLAN_ANEW  # only here, as below: for what was saved
    from hooksync.api.saved_plan import open_saved_plan

    path = options.saved_plan or "the plan"
    saved, too_old = open_saved_plan(data, path, options.max_age, world)
    if too_old:
        raise Refused(too_old)
    try:
        options = with_selection(options, saved.selection)
        declared = prepare(replace(options, is_confirmed=True), world)
    except UsageError as error:  # what the plan selects is no longer declared
        found = [Problem(f"{path} is stale: {each.what}", PLAN_ANEW) for each in error.problems]
        raise Refused(*found) from None
    warnings = (*saved.warnings, *declared.warnings)
    return replace(declared, warnings=warnings, promise=saved.promise)


def read_files(options: FileOptions, world: World) -> declarations.Document:
    """Read hooks files; what they say in clear is no secret to the exit.

    Raises FileError with every problem.
    """
    sources = read_sources(options.files, world.stdin)
    world.output.public += [source.data for source in sources]
    return read_document(sources)


def hold_to_policy(
    options: FileOptions, entries: Sequence[declarations.TenancyDeclaration], world: World
) -> PrivateReceivers:
    """Raise Refused if files name what the policy, or without one the command line, does not allow.

    Returns what becomes of private receivers. What the environment adds to URLs is a secret from
    here on.
    """
    world.output.redactor.learn(url_environment_values(entries, world.environ))
    private: PrivateReceivers = "challenged"
    breaches = () if options.allows_commands else command_problems(entries)
    if options.policy:
        from hooksync.config.policy import read_policy  # only here: many runs have none

        policy = read_policy(options.policy)
        is_found = not options.credentials and CREDENTIALS_FILE in world.origins.values()
        breaches = policy.breaches(entries, world.environ, CREDENTIALS_FILE if is_found else "")
        private = "quoted" if policy.allow_private_receivers else "refused"
    if found := tuple(dict.fromkeys(breaches)):
        raise Refused(*found)
    return private
