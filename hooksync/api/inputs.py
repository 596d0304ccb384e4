"""What hooks files and the environment declare. Each command that calls the service begins here."""

from __future__ import annotations

from collections.abc import Sequence

from hooksync.api.options import FileOptions, RunOptions
from hooksync.api.receipt import sealed
from hooksync.config import declarations
from hooksync.config.declarations import Declarations
from hooksync.config.document import read_tenancies
from hooksync.config.files import read_sources
from hooksync.config.policy import Policy, key_warnings, read_policy
from hooksync.config.resolve import places_of, resolve, url_environment_values
from hooksync.config.since import BranchChanges, changes_since
from hooksync.core.context import Context
from hooksync.core.errors import Problems, Refused
from hooksync.core.git import find_commit
from hooksync.core.model import (
    DeclaredSubscription,
    Tenancy,
    TenancyPlaces,
    matches_any,
)
from hooksync.core.output import Format
from hooksync.core.record import Record, field, replace
from hooksync.core.signing import plan_key
from hooksync.reconcile.plan import Plan, Selection
from hooksync.render.renderers import RENDERERS
from hooksync.state.store import state_place


class Inputs(Record):
    """What hooks files and the environment declare, and the options of the run."""

    tenancies: tuple[Tenancy, ...]
    warnings: Problems
    options: RunOptions
    selection: Selection
    context: Context
    policy: Policy | None = None
    receipt: Plan | None = None  # the saved or shown plan that the new one must equal
    others: TenancyPlaces = field(default_factory=dict)  # declared, and not selected
    former: Declarations = ()  # with --since: declared by the merge base alone

    @property
    def state(self) -> str | None:
        """The place of the state; None if the run has no state."""
        options = self.options
        return state_place(options.files[0], options.state) if options.uses_state else None

    def sealed(self, plan: Plan) -> Plan:
        """Add the commit, the digest of each tenancy and, if a key is set, the signature."""
        key = plan_key(self.context.environ)
        commit = find_commit(self.options.files[0], self.context.environ)
        return sealed(replace(plan, commit=commit), key)

    def render(self, plan: Plan, form: Format, *, shows_kept: bool = False) -> str:
        """Write a plan or a report in one of the formats of the commands, without secrets."""
        text = RENDERERS[form](plan, shows_kept=shows_kept)
        return self.context.output.safe(text, form)


def prepare(
    options: RunOptions,
    context: Context,
    *,
    receipt: Plan | None = None,
    entries: Declarations = (),
) -> Inputs:
    """Read files and environment. Raises FileError or UsageError with every problem.

    `receipt`: a saved plan, which chooses the tenancies. `entries`: of the files, if read. A run
    without a tenancy that differs needs no state.
    """
    selection = Selection(
        options.tenancies,
        options.targets,
        options.replace,
        options.adopt,
        options.since or "",
        options.selecting_variables,
        options.ids,
    )
    if receipt:
        selection = replace(receipt.selection, since="")
    declared = entries or read_files(options, context)
    entries, changes = _choose(declared, selection, options, context, receipt)
    if selection.since:
        selection = replace(selection, tenancy=tuple(entry.name for entry in entries))
        uses_state = options.uses_state and bool(entries or changes.former)
        options = options.changed(uses_state=uses_state)
    policy = hold_to_policy(options, entries, context)
    tenancies, warnings = resolve(entries, context.environ)
    selected = {entry.name for entry in entries}
    others = [entry for entry in declared if entry.name not in selected]
    return Inputs(
        tuple(_chosen(tenancy, selection.target, policy) for tenancy in tenancies),
        (*warnings, *changes.warnings, *key_warnings(options.policy, context.environ)),
        options,
        selection,
        context,
        policy,
        receipt,
        places_of(others, context.environ),
        changes.former,
    )


def _choose(
    declared: Declarations,
    selection: Selection,
    options: RunOptions,
    context: Context,
    receipt: Plan | None,
) -> tuple[Declarations, BranchChanges]:
    """Choose the tenancies of a saved plan, or else by the flags, and then by --since.

    With --since, they are, or were, declared. Raises UsageError for a glob that matches nothing.
    """
    if receipt:
        names = {tenancy.name for tenancy in receipt.ready_tenancies}
        return [entry for entry in declared if entry.name in names], BranchChanges()
    changes = BranchChanges(declared)
    if selection.since:
        changes = changes_since(
            declared, options.files, selection.since, context.environ, options.policy
        )
    found = declarations.select((*declared, *changes.former), selection.tenancy, selection.target)
    names = {entry.name for entry in found}
    former = [entry for entry in changes.former if entry.name in names]
    entries = [entry for entry in changes.changed if entry.name in names]
    return entries, replace(changes, former=former)


def _chosen(tenancy: Tenancy, targets: Sequence[str], policy: Policy | None) -> Tenancy:
    """Set aside the subscriptions that no target matches, and add the limits of a policy."""
    if policy:
        protect = tenancy.protect.union(policy.rules_for(tenancy.name).get("protect", ()))
        tenancy = replace(tenancy, ceilings=policy.limits(tenancy.name), protect=protect)
    selected: list[DeclaredSubscription] = []
    others: list[DeclaredSubscription] = []
    for subscription in tenancy.subscriptions:
        is_selected = not targets or matches_any(subscription.address, targets)
        (selected if is_selected else others).append(subscription)
    return replace(tenancy, subscriptions=tuple(selected), not_selected=tuple(others))


def read_files(options: FileOptions, context: Context) -> Declarations:
    """Read hooks files. Their text is public, so it may appear in any output.

    Raises FileError with every problem.
    """
    sources = read_sources(options.files, context.stdin)
    context.output.public += [source.data for source in sources]
    return read_tenancies(sources)


def hold_to_policy(
    options: FileOptions,
    entries: Declarations,
    context: Context,
) -> Policy | None:
    """Raise Refused if the files name something that is not allowed.

    The policy decides what is allowed; without a policy, the command line does. The redactor
    learns what the environment adds to URLs. Returns the policy, if there is one.
    """
    context.output.learn(url_environment_values(entries, context.environ))
    policy = None
    breaches = [] if options.allows_commands else [*declarations.command_problems(entries)]
    if options.policy:
        policy = read_policy(options.policy, context.environ)
        breaches = [*policy.breaches(entries, context.environ)]
    if breaches:
        raise Refused.of(breaches)
    return policy


def private_receivers(policy: Policy | None) -> bool:
    """Whether receivers at private addresses may be called."""
    return policy is None or bool(policy.data.get("allow_private_receivers"))
