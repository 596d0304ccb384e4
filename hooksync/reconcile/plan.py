"""Plans, with one step for each declared and each live subscription, their limits and outcomes.

Pure: no I/O, no clock. `diff` makes plans, `apply` carries them out and makes the outcomes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias, get_args

from hooksync.core.errors import HooksyncError, Problem, SecretError, counted, some_of
from hooksync.core.model import (
    DeclaredSubscription,
    LiveSubscription,
    LiveSubscriptions,
    SecretState,
    SubscriptionKey,
    Tenancy,
    UnsubscribeLimit,
)
from hooksync.core.record import Record
from hooksync.core.run_flags import NO_FLAGS, RunFlags
from hooksync.state.history import NOTHING, History

if TYPE_CHECKING:
    from hooksync.receivers.challenges import ProbeResult

Action = Literal["subscribe", "resubscribe", "unsubscribe", "keep", "leave"]
ACTIONS: tuple[Action, ...] = get_args(Action)

Result = Literal["done", "unsettled", "half-done", "failed", "not-attempted", "unchanged"]
RESULTS: tuple[Result, ...] = get_args(Result)

ReasonCode = Literal[
    "new",
    "url-changed",
    "flag-changed",
    "secret-changed",
    "secret-unknown",
    "unconfirmed",
    "replaced-outside",
    "removed-outside",
    "requested",
    "undeclared",
    "duplicate",
]

_LIMIT_FIX = (
    "check what `owns` covers, and the subscriptions of the file; if all of this is to be removed,"
    " set `limits: {{unsubscribe: {number}}}` under `{tenancy}` for one apply"
)
_CEILING_FIX = (
    "remove fewer in one run, or ask the owners of the policy to allow it, under max_unsubscribe"
)
NEXT_RUN = "run apply again: it starts from what is live then"
UNLISTED = "the service returned its id, but no list has shown it yet"
_UNLISTED_FIX = "run apply again later"
_MOST_ADDRESSES = 5  # that a fix names one by one if a glob can name all


class Reason(Record, frozen=True):
    """A reason why a step was chosen, or why a secret is unknown."""

    code: ReasonCode
    text: str


NEW = Reason("new", "new")
URL_CHANGED = Reason("url-changed", "url changed")
SECRET_CHANGED = Reason("secret-changed", "secret changed")
SECRET_UNKNOWN = Reason("secret-unknown", "secret unknown")
UNCONFIRMED = Reason("unconfirmed", "it is in the list, but no response confirmed it")
REPLACED_OUTSIDE = Reason("replaced-outside", "replaced outside this state, secret unknown")
REMOVED_OUTSIDE = Reason("removed-outside", "removed outside this state")
REQUESTED = Reason("requested", "requested by --replace")
DUPLICATE = Reason("duplicate", "duplicate")
NO_LONGER_DECLARED = Reason("undeclared", "no longer declared")
NOT_DECLARED = Reason("undeclared", "not declared")
NOT_TARGETED = Reason("undeclared", "not targeted")
NOT_IN_STATE = Reason("undeclared", "not in the state")


class Change(Record, frozen=True):
    """One field whose live value differs from the declared one."""

    field: str
    live: bool
    declared: bool


class Subscribe(Record, frozen=True):
    """Make a subscription that is declared and not live."""

    action: ClassVar[Action] = "subscribe"

    declared: DeclaredSubscription
    reasons: tuple[Reason, ...] = (NEW,)
    secret_state: SecretState = "unknown"


class Resubscribe(Record, frozen=True):
    """Replace a live subscription by a new one, for at least one reason.

    The API has no update, so a new one is made and the old one is removed.
    """

    action: ClassVar[Action] = "resubscribe"

    declared: DeclaredSubscription
    live: LiveSubscription
    reasons: tuple[Reason, ...]  # never empty
    changes: tuple[Change, ...] = ()
    secret_state: SecretState = "unknown"


class Unsubscribe(Record, frozen=True):
    """Remove a live subscription that is not declared, or that is a duplicate."""

    action: ClassVar[Action] = "unsubscribe"

    live: LiveSubscription
    reasons: tuple[Reason, ...]
    duplicate_of: DeclaredSubscription | None = None  # set if it is a duplicate


class Keep(Record, frozen=True):
    """Keep a live subscription that is declared: nothing has to be done."""

    action: ClassVar[Action] = "keep"

    declared: DeclaredSubscription
    live: LiveSubscription
    secret_state: SecretState = "unknown"
    reasons: tuple[Reason, ...] = ()  # why its secret is unknown


class Leave(Record, frozen=True):
    """Leave a live subscription alone, because hooksync does not own it or it is not targeted."""

    action: ClassVar[Action] = "leave"

    live: LiveSubscription
    reasons: tuple[Reason, ...]
    duplicate_of: DeclaredSubscription | None = None  # as in `Unsubscribe`; counts as drift


Making: TypeAlias = Subscribe | Resubscribe  # a step that makes a subscription
Step: TypeAlias = Subscribe | Resubscribe | Unsubscribe | Keep | Leave


class TenancyPlan(Record, frozen=True):
    """The plan of one tenancy."""

    tenancy: Tenancy
    live: LiveSubscriptions
    steps: tuple[Step, ...]  # in the order of `step_order`
    history: History = NOTHING  # what the state contained when the plan was made
    refusals: tuple[Problem, ...] = ()  # why the plan may not be carried out
    # about a file that may belong to a different tenancy, and receivers that are not ready
    warnings: tuple[Problem, ...] = ()
    # the answers of receivers, by the declared address; None: no receiver was challenged
    answers: Mapping[str, ProbeResult] | None = None
    error: SecretError | None = None  # secrets that cannot be used: the plan is not begun

    @property
    def is_empty(self) -> bool:
        """Whether nothing has to be done."""
        return all(map(is_idle, self.steps))

    @property
    def is_ready(self) -> bool:
        """Whether there is something to do, and nothing against it."""
        return not (self.is_empty or self.refusals or self.error)

    @property
    def makings(self) -> list[Making]:
        """The steps that make a subscription: Preservica will challenge the receivers."""
        return [step for step in self.steps if isinstance(step, Making)]


class UnreadTenancy(Record, frozen=True):
    """A tenancy whose live subscriptions could not be read; it has no plan."""

    tenancy: Tenancy
    error: HooksyncError


Planned: TypeAlias = TenancyPlan | UnreadTenancy


def is_idle(step: Step) -> bool:
    """Whether a step needs no call."""
    return isinstance(step, Keep | Leave)


def step_order(step: Step) -> tuple[int, SubscriptionKey, str]:
    """Return the sort key of a step: its action, then its identity, then its live id."""
    key = step.live.key if isinstance(step, Unsubscribe | Leave) else step.declared.key
    live_id = "" if isinstance(step, Subscribe) else step.live.id
    return ACTIONS.index(step.action), key, live_id


class Outcome(Record, frozen=True):
    """The outcome of one step."""

    step: Step
    result: Result
    detail: str = ""  # why it is not done
    fix: str = ""
    new_id: str | None = None
    is_confirmed: bool = True  # False: only a list has shown the new subscription
    is_listed: bool = True  # False: no list has shown the new subscription
    is_removed: bool = False  # the old one is removed, and the last list, if any, lacks it
    may_be_made: bool = False  # the new one may exist under an id that is not known


class TenancyOutcome(Record, frozen=True):
    """The outcome of a tenancy's plan."""

    plan: TenancyPlan
    outcomes: tuple[Outcome, ...]  # in the order of the plan's steps
    # steps that the verification found: still needed, or about what others made meanwhile
    differences: tuple[Step, ...] = ()
    # why there was no verification; empty if there was one, or nothing to verify
    not_verified: str = ""
    # the list that the verification read; None: there was no verification
    listed: LiveSubscriptions | None = None

    @property
    def has_changed(self) -> bool:
        """Whether anything in the tenancy was changed, or may have been."""
        changed = ("done", "half-done", "unsettled")
        return any(outcome.result in changed for outcome in self.outcomes)

    @property
    def is_as_declared(self) -> bool:
        """Whether every step was done and the verification found no difference."""
        is_done = all(outcome.result in ("done", "unchanged") for outcome in self.outcomes)
        return is_done and not (self.differences or self.not_verified)


def idle_outcomes(plan: TenancyPlan, listed: Iterable[LiveSubscription]) -> list[Outcome]:
    """Make the outcomes of the steps that need no call. `listed`: the last list."""
    ids = {live.id for live in listed}
    outcomes = []
    for step in plan.steps:
        if isinstance(step, Keep) and not step.live.is_listed and step.live.id not in ids:
            outcomes.append(Outcome(step, "unsettled", UNLISTED, _UNLISTED_FIX))
        elif is_idle(step):
            outcomes.append(Outcome(step, "unchanged"))
    return outcomes


def outcome_of_empty(plan: TenancyPlan) -> TenancyOutcome:
    """Make the outcome of a plan with nothing to do, from the list that it was made from."""
    listed = tuple(live for live in plan.live if live.is_listed)
    return TenancyOutcome(plan, tuple(idle_outcomes(plan, listed)), listed=listed)


def not_begun(plan: TenancyPlan) -> TenancyOutcome:
    """Make the outcome of a plan that was not begun: nothing was changed."""
    outcomes = []
    for step in plan.steps:
        outcomes.append(Outcome(step, "unchanged" if is_idle(step) else "not-attempted"))
    return TenancyOutcome(plan, tuple(outcomes))


def warnings_of(plan: TenancyPlan) -> Iterator[Problem]:
    """Warn if the state has none of the declared addresses, and the plan moves or removes.

    Then the file may belong to a different tenancy.
    """
    tenancy = plan.tenancy
    changed = sum(isinstance(step, Unsubscribe) or _moves_url(step) for step in plan.steps)
    recorded = {entry.address for entry in plan.history.entries.values()}
    declared = {one.address for one in (*tenancy.subscriptions, *tenancy.not_selected)}
    if changed and recorded and declared and recorded.isdisjoint(declared):
        what = (
            f"{tenancy.name}: the state has none of this file's addresses for {tenancy.where},"
            f" and the plan moves or removes {counted(changed, 'subscription')}"
        )
        fix = "check that `server` and `tenant` are those that this file is meant for"
        yield Problem(what, fix, tenancy.location)


def reasons_against(
    plan: TenancyPlan, owned: int, flags: RunFlags = NO_FLAGS, *, is_missing: bool = False
) -> tuple[Problem, ...]:
    """List why a plan may not be carried out.

    `owned`: the number of live subscriptions that hooksync owns; `is_missing`: whether no state
    exists at its place.
    """
    return (*_limit_reasons(plan, owned), *_unproven_reasons(plan, flags, is_missing=is_missing))


def _limit_reasons(plan: TenancyPlan, owned: int) -> list[Problem]:
    """List the limits that a plan violates.

    Duplicate and replaced subscriptions do not count; for a policy, they do if their URL ends.
    """
    tenancy = plan.tenancy
    removals = [step for step in plan.steps if isinstance(step, Unsubscribe)]
    removed = sum(step.duplicate_of is None for step in removals)
    is_emptied = removed == owned and not (tenancy.subscriptions or tenancy.not_selected)
    problems = []
    counts = [(tenancy.limit, removed)]
    if tenancy.ceiling:
        counts.append((tenancy.ceiling, removed + sum(map(_moves_url, plan.steps))))
    for limit, number in counts:
        excess = _excess(limit, number, owned, is_emptied=is_emptied)
        if not excess:
            continue
        fix = _CEILING_FIX
        if not limit.policy:
            needed = "100%" if is_emptied else number
            fix = _LIMIT_FIX.format(number=needed, tenancy=tenancy.name)
        problems.append(Problem(f"{tenancy.name}: would {excess}", fix, tenancy.location))
    return problems


def _moves_url(step: Step) -> bool:
    """Whether a step removes a live URL, and the declared subscription has a different one."""
    match step:
        case Resubscribe():
            return URL_CHANGED in step.reasons
        case Unsubscribe(live=live, duplicate_of=declared) if declared:
            return live.url.identity != declared.url.identity
    return False


def _excess(limit: UnsubscribeLimit, removed: int, owned: int, *, is_emptied: bool) -> str:
    """Describe how a plan violates a limit; empty if it does not.

    `is_emptied`: whether none is declared, and the plan removes all that hooksync owns.
    """
    if limit.percent == 100 or not removed:
        return ""
    if limit.number is not None:
        is_over = removed > limit.number
    else:
        percent = limit.percent or 0
        is_over = removed * 100 >= owned * percent and (removed >= 2 or percent == 0)
    does = "unsubscribe"
    setting = f": limits.unsubscribe is {limit}" if is_over else ""
    if limit.policy:
        does = "remove or move"
        setting = f": the policy has max_unsubscribe: {limit} ({limit.policy})"
    if is_emptied:
        return f"{does} all it owns ({removed}), since none is declared{setting}"
    return f"{does} {removed} of the {owned} it owns{setting}" if is_over else ""


def _unproven_reasons(plan: TenancyPlan, flags: RunFlags, *, is_missing: bool) -> list[Problem]:
    """List unknown secrets, and what two applies left unsettled.

    One command replaces all of them: hooksync would refuse a part of them because of the others.
    """
    tenancy = plan.tenancy
    outside, unknown = _unknown_secrets(plan)
    unsettled = _unsettled_twice(plan)
    again = flags.replacing(_globs(tenancy, [*outside, *unknown, *unsettled]))
    found = []
    if outside:
        fix = f"`{again}` replaces it, with the declared secret"
        by_whom = "somebody else made it, or hooksync with a different state"
        found.append((f"{some_of(outside)}: {REPLACED_OUTSIDE.text} ({by_whom})", fix))
    if unknown:
        fix = unknown_fix(flags.command("adopt"), again, is_missing=is_missing)
        found.append((f"{tenancy.name}: {SECRET_UNKNOWN.text}: {some_of(unknown)}", fix))
    if unsettled:
        fix = f"look at what is live with `{flags.command('list')}`, then `{again}`"
        what = f"{some_of(unsettled)}: two applies left it unsettled, so it is not created again"
        found.append((what, fix))
    return [Problem(what, fix, tenancy.location) for what, fix in found]


def _unknown_secrets(plan: TenancyPlan) -> tuple[list[str], list[str]]:
    """List what was replaced outside this state, and the other addresses with unknown secrets."""
    unknown: list[str] = []
    outside: list[str] = []
    for step in plan.steps:
        if isinstance(step, Keep) and step.reasons and plan.tenancy.unknown_secret == "refuse":
            addresses = outside if REPLACED_OUTSIDE in step.reasons else unknown
            addresses.append(step.declared.address)
    return outside, unknown


def _unsettled_twice(plan: TenancyPlan) -> list[str]:
    """List the addresses that the plan would create again, although two applies left them open."""
    addresses = []
    for step in plan.makings:
        address = step.declared.address
        if address in plan.history.refused and REQUESTED not in step.reasons:
            addresses.append(address)
    return addresses


def unknown_fix(adopting: str, replacing: str, *, is_missing: bool) -> str:
    """Word the choice of a person who has unknown secrets.

    `adopting`, `replacing`: commands; `is_missing`: whether no state exists at its place.
    """
    elsewhere = "if a state exists elsewhere, name it with --state; " if is_missing else ""
    return elsewhere + (
        f"`{adopting}` if the receivers accept events with these secrets;"
        f" otherwise `{replacing}`, which sets the declared secrets"
    )


def _globs(tenancy: Tenancy, addresses: Sequence[str]) -> Sequence[str]:
    """Return the addresses, or one glob if they are many and all that the tenancy has."""
    selected = {declared.address for declared in tenancy.subscriptions}
    is_all = len(addresses) > _MOST_ADDRESSES and selected == set(addresses)
    return [f"{tenancy.name}/*"] if is_all else addresses
