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
    Location,
    Tenancy,
    TenancyKey,
    found_credentials,
    matches_any,
)
from hooksync.core.output import Format, escaped
from hooksync.core.record import Record, replace
from hooksync.core.redaction import printable
from hooksync.core.run_flags import RunFlags
from hooksync.core.signing import KEY_VARIABLE, plan_key
from hooksync.reconcile.context import World, find_store, hold_run_lock
from hooksync.reconcile.diff import DiffOptions
from hooksync.reconcile.plan import Plan, TenancyPlan
from hooksync.reconcile.planner import Planner
from hooksync.reconcile.session import Run, open_run, refuse_shared_ids
from hooksync.state.contract import StateStore
from hooksync.state.fingerprints import KeyRing, derive_key
from hooksync.state.history import FetchedTenancy
from hooksync.state.model import State
from hooksync.state.store import inspect, state_place

if TYPE_CHECKING:  # `plan` starts without the modules that only `apply` needs
    from hooksync.config.policy import Policy
    from hooksync.reconcile.journal import Journal

LIST_WAIT_VARIABLE = "HOOKSYNC_LIST_WAIT"

_UNDECLARED_FIX = (
    "look with `{look}`; declare the tenancy again, or, if hooksync is not to look after it any"
    " more, `{forget}`"
)


class Declared(Record, frozen=True):
    """What hooks files and the environment declare, and the options of the run."""

    HIDDEN = ("world", "receipt")

    tenancies: tuple[Tenancy, ...]
    warnings: tuple[Problem, ...]
    options: RunOptions
    world: World
    private_receivers: bool = True  # whether receivers at private addresses may be called
    receipt: Plan | None = None  # the saved or shown plan that the new one must equal

    @property
    def state(self) -> str | None:
        """The place of the state; None if the run has no state."""
        options = self.options
        return state_place(options.files[0], options.state) if options.uses_state else None

    @property
    def is_confirmed(self) -> bool:
        """Whether an apply needs no prompt: --yes was given, or a plan that must be the same."""
        return self.options.is_confirmed or self.receipt is not None

    def sealed(self, plan: Plan, *, is_signed: bool = True) -> Plan:
        """Add to a plan its commit, its digests and, if a key is set, its signature."""
        from hooksync.api.receipt import sealed  # only here: a plan as text has none of it
        from hooksync.core.git import find_commit

        key = plan_key(self.world.environ.get(KEY_VARIABLE)) if is_signed else None
        commit = find_commit(self.options.files[0], self.world.environ)
        return sealed(replace(plan, commit=commit), key)

    def render(self, plan: Plan, form: Format, *, shows_kept: bool = False) -> str:
        """Write a plan or a report in one of the formats of the commands, without secrets.

        Raises FileError if the JSON of a plan would contain a secret.
        """
        from hooksync.render.renderers import RENDERERS  # only here: the commands write it

        output = self.world.output
        text = RENDERERS[form](plan, shows_kept=shows_kept)
        if form != "json":
            return output.safe(text)
        if plan.is_report:
            return output.safe(text, "json")
        return escaped(output.checked(text, "the plan"), "json")


class Session(Record, frozen=True):
    """A `plan` or an `apply` with its files, state and connections open."""

    run: Run
    planner: Planner
    declared: Declared
    store: StateStore | None
    running: Problem | None = None  # another run holds the run lock

    def plan(self) -> list[TenancyPlan]:
        """Read the tenancies and plan them."""
        with self.declared.world.terminal.progress("reading", len(self.run.tenancies)) as advance:
            fetched = self.run.read(advance, self.planner.is_behind)
        if self.declared.options.policy:
            fetched = refuse_shared_ids(fetched)
        read = [one for one in fetched if isinstance(one, FetchedTenancy)]
        planned = {plan.name: plan for plan in self.planner.plan(read)}
        plans = []
        for one in fetched:
            plans.append(one if isinstance(one, TenancyPlan) else planned[one.tenancy.name])
        return plans

    def open_journal(self) -> Journal:
        """Return the journal that writes to the state, once the tenancies are planned."""
        from hooksync.reconcile.journal import Journal  # only here: a plan writes nothing

        assert self.store is not None  # noqa: S101, `open_session` refuses an apply without one
        located = {tenancy.name: self.run.located(tenancy) for tenancy in self.run.tenancies}
        return Journal(self.store, self.planner, located)

    def undeclared(self, plans: Sequence[TenancyPlan]) -> tuple[Problem, ...]:
        """Report the tenancies that the state contains and no file declares."""
        state = self.planner.state
        options = self.declared.options
        is_part = options.tenancies or options.targets or self.declared.receipt
        if state is None or is_part:
            return ()
        keys = {plan.key for plan in plans}
        # an unread tenancy may lack its tenant, which the log-in reports: only the server counts
        unread = {plan.server for plan in plans if plan.live_count is None}
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
    if store is None and is_apply:
        raise UsageError(Problem("the run has no state", "name one with --state"))
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
    if not declared.options.targets or declared.receipt:
        return  # a saved plan is compared tenancy by tenancy
    known = []
    for tenancy in declared.tenancies:
        known += [one.address for one in (*tenancy.subscriptions, *tenancy.not_selected)]
    if state:
        known += sorted(state.addresses())
    declarations.refuse_unmatched("--target", declared.options.targets, known, "address")


def prepare(
    options: RunOptions, world: World, *, needs_login: bool = True, receipt: Plan | None = None
) -> Declared:
    """Read files and environment. Raises FileError or UsageError with every problem.

    `needs_login`: also raise if no tenancy can log in; the error names all missing variables.
    `receipt`: a saved plan, which chooses the tenancies.
    """
    document = read_files(options, world)
    if receipt:
        names = {tenancy.name for tenancy in receipt.ready_tenancies}
        entries = tuple(entry for entry in document.tenancies if entry.name in names)
    else:
        entries = _selected_entries(document, options)
    mask_url_variables(entries, world)
    policy = hold_to_policy(options, entries, world, probes=options.probes is not False)
    tenancies, more = resolve(entries, world.environ, needs_login=needs_login and bool(entries))
    if policy:
        tenancies = tuple(replace(each, ceiling=policy.max_unsubscribe) for each in tenancies)
    return Declared(
        tuple(_selected(tenancy, options.targets) for tenancy in tenancies),
        (*document.warnings, *more),
        options,
        world,
        private_receivers(policy),
        receipt,
    )


def _selected_entries(
    document: declarations.Document, options: RunOptions
) -> tuple[declarations.TenancyDeclaration, ...]:
    """Choose the tenancies by the flags. Raises UsageError for a glob that matches nothing."""
    entries = declarations.select(document, options.tenancies, options.targets)
    addresses = declarations.addresses(entries)
    if options.targets:
        addresses = [each for each in addresses if matches_any(each, options.targets)]
    declarations.refuse_unmatched("--replace", options.replace, addresses, "address")
    return entries


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
    from hooksync.api.receipt import open_saved_plan  # only here: most runs have no saved plan

    receipt, refusal = open_saved_plan(read_plan(path, "apply"), path, max_age, world)
    if refusal:
        raise Refused(refusal)
    selection = receipt.selection
    options = replace(
        options,
        tenancies=selection.tenancy,
        targets=selection.target,
        replace=selection.replace,
    )
    return prepare(options, world, receipt=receipt)


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
        raise Refused(*sorted(unique, key=lambda problem: problem.where or Location("", 0, 0)))
    return policy


def private_receivers(policy: Policy | None) -> bool:
    """Whether receivers at private addresses may be called."""
    return policy is None or policy.allow_private_receivers
