"""What commands that reach the service begin with: read files and environment, open a session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from hooksync.commands.options import Options
from hooksync.config.declarations import Document, TenancyDeclaration, check_replaced, nothing_in, select, share_of
from hooksync.config.document import read_document
from hooksync.config.files import read_sources
from hooksync.config.resolve import resolve, url_environment_values
from hooksync.core.errors import Problem, Refused
from hooksync.core.model import Tenancy
from hooksync.core.output import is_there
from hooksync.core.record import Record
from hooksync.core.redaction import printable
from hooksync.reconcile.context import World, find_store, hold_run_lock
from hooksync.reconcile.diff import DiffOptions
from hooksync.reconcile.plan import Planned
from hooksync.reconcile.planner import Fetched, Planner
from hooksync.reconcile.session import Run, open_run
from hooksync.service.retry import PrivateReceivers
from hooksync.state.fingerprints import KeyRing, stretch
from hooksync.state.integrity import Inspected, Mark
from hooksync.state.model import State
from hooksync.state.store import StateStore, inspect

if TYPE_CHECKING:  # `plan` starts without the modules that only `apply` needs
    from hooksync.reconcile.executor import Executor

_MOST_UNDECLARED = 5  # tenancies that are named
_UNSAVED_FIX = "push it with `hooksync state push`, which refuses it if it is too old; then delete it"
_UNDECLARED_FIX = (
    "name its file with --file as well; or, to remove them, declare it with `subscriptions: {}` and apply; "
    "or, if it was renamed or is not looked after any more, `hooksync state forget 'TENANCY/*'`"
)


class Prepared(Record, frozen=True):
    """What files and environment say."""

    tenancies: tuple[Tenancy, ...]
    warnings: tuple[Problem, ...]
    declared: frozenset[str] | None = None  # names of all tenancies of the files, chosen or not; None: not known
    private_receivers: PrivateReceivers = "challenged"


class Session(Record, frozen=True):
    """A `plan` or an `apply` with its files, state and connections open."""

    run: Run
    planner: Planner
    options: Options
    world: World
    warnings: tuple[Problem, ...]  # of the files, and of a state that went back
    store: StateStore | None
    undeclared: tuple[Problem, ...] = ()  # tenancies that the state knows and no file declares

    def fetch(self, *, waits: bool) -> tuple[Fetched, ...]:
        """Read the tenancies. `waits`: for a list that lags behind what the state knows; what it lacks is added."""
        with self.world.terminal.progress("reading", len(self.run.tenancies)) as advance:
            fetched = self.run.read(advance, self.planner.is_behind) if waits else self.run.read(advance)
        return self.planner.bridge(fetched)

    def plan(self, *, waits: bool = False) -> tuple[Planned, ...]:
        """Read the tenancies and plan them."""
        return self.planner.plan(self.fetch(waits=waits))

    def executor(self) -> Executor:
        """Make the executor of its plans."""
        from hooksync.reconcile.executor import Executor
        from hooksync.reconcile.journal import Journal

        journal = Journal(self.store, self.planner) if self.store else None
        return Executor(self.run, self.planner.options, journal, self.world.terminal, self.options.probes)


@contextmanager
def open_session(
    prepared: Prepared,
    diff: DiffOptions,
    options: Options,
    world: World,
    *,
    state: str | None,
    allows_mass_unsubscribe: bool,
    is_apply: bool,
    planned: Mark | None = None,
) -> Iterator[Session]:
    """Read the state and open the run. Raises FileError for a state that cannot be read: no plan is made without it.

    `state`: where it is; None: without a state; `planned`: the one that a saved plan was made with. An apply holds its
    run lock all the while. Raises Refused where another run holds it.
    """
    store = find_store(state, options.files[0], world)
    with hold_run_lock(store, options.lock_timeout, world) if store and is_apply else nullcontext():
        found = read_state(store, planned, writes=is_apply)
        warnings = (*prepared.warnings, *_unsaved(store), *found.warnings)
        with open_run(
            prepared.tenancies,
            world,
            timeout=options.timeout,
            parallelism=options.parallelism,
            check_lock=store.check if store else lambda: None,
            private=prepared.private_receivers,
        ) as run:
            planner = Planner(
                diff,
                allows_mass_unsubscribe,
                found.state,
                run.secrets,
                KeyRing(options.parallelism, world.stretch or stretch),
                adopts=options.adopts,
                place=state,
                clock=world.clock,
                trusts_state=bool(store and store.integrity.key),
            )
            yield Session(run, planner, options, world, warnings, store, _undeclared(found.state, prepared))


def _unsaved(store: StateStore | None) -> Iterator[Problem]:
    """Warn of a file that the last write of an earlier run went to."""
    if store and store.aside and is_there(store.aside):
        yield Problem(f"{store.aside} holds what an earlier run could not write", _UNSAVED_FIX)


def _undeclared(state: State | None, prepared: Prepared) -> tuple[Problem, ...]:
    """Warn of tenancies that the state knows and no file declares: what is live there goes on, and nobody looks.

    All files count, so that what only this run leaves out is not warned of.
    """
    declared = prepared.declared
    if state is None or declared is None:
        return ()
    left = {name: len(found) for name, found in state.addresses_by_tenancy().items() if name not in declared}
    names = sorted(left)
    problems = [_undeclared_problem(left[name], f'tenancy "{printable(name)}"') for name in names[:_MOST_UNDECLARED]]
    if others := names[_MOST_UNDECLARED:]:
        problems.append(_undeclared_problem(sum(map(left.__getitem__, others)), f"{len(others)} more tenancies"))
    return tuple(problems)


def _undeclared_problem(number: int, where: str) -> Problem:
    subscriptions = "1 subscription" if number == 1 else f"{number} subscriptions"
    return Problem(f"the state knows {subscriptions} of {where}, which no file declares", _UNDECLARED_FIX)


def read_state(store: StateStore | None, planned: Mark | None = None, *, writes: bool = False) -> Inspected:
    """Read the state. Raises FileError.

    `planned`: of the state that a saved plan was made with; `writes`: whether the run is to write it.
    """
    if store is None:
        return Inspected(None)
    found = inspect(store, planned)
    if state := found.trusted(writes=writes):
        store.integrity.remember(state)
    return found


def prepare(options: Options, world: World, *, replaced: Sequence[str] = ()) -> Prepared:
    """Read files and environment. Raises FileError or UsageError with every problem.

    A shard is a part of a whole: globs, and whether two names are one tenancy, are judged over all shards together.
    `replaced`: globs of addresses, each of which must match something.
    """
    document = read_files(options, world)
    chosen = select(document, options.tenancies, options.targets)
    check_replaced(chosen, replaced)
    entries = share_of(chosen, options.shard)
    private = hold_to_policy(options.policy, entries, world)
    world.output.redactor.learn(url_environment_values(entries, world.environ))
    whole = chosen if options.shard and options.shard.total > 1 else ()
    tenancies, warnings = resolve(entries, world.environ, whole)
    if options.shard and not entries:
        world.terminal.message(nothing_in(options.shard))
    declared = frozenset(entry.name for entry in document.tenancies)
    return Prepared(tenancies, (*document.warnings, *warnings), declared, private)


def read_files(options: Options, world: World) -> Document:
    """Read hooks files; what they say in clear is no secret to the exit. Raises FileError with every problem."""
    sources = read_sources(options.files, world.stdin)
    world.output.public += [source.data for source in sources]
    return read_document(sources)


def hold_to_policy(policy: str | None, entries: Sequence[TenancyDeclaration], world: World) -> PrivateReceivers:
    """Raise Refused where files name what the policy does not allow. Returns what becomes of private receivers."""
    if policy is None:
        return "challenged"
    from hooksync.config.policy import read_policy  # only here: many runs have none

    allowed = read_policy(policy)
    if breaches := tuple(dict.fromkeys(allowed.breaches(entries, world.environ))):
        raise Refused(*breaches)
    return "quoted" if allowed.allow_private_receivers else "refused"
