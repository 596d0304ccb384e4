"""A plan: one step for every declared and every live subscription; its limits; its outcomes.

Pure: no I/O, no clock. `diff` makes plans, `apply` carries them out and makes the outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias, get_args

from hooksync.core.errors import HooksyncError, Problem, SecretError, some_of
from hooksync.core.model import (
    DeclaredSubscription,
    LiveSubscription,
    SecretState,
    SubscriptionKey,
    Tenancy,
)
from hooksync.core.record import Record
from hooksync.state.history import NOTHING, History

if TYPE_CHECKING:
    from hooksync.service.receivers import ProbeResult

Action = Literal["subscribe", "resubscribe", "unsubscribe", "keep", "leave"]
ACTIONS: tuple[Action, ...] = get_args(Action)

Result = Literal["done", "failed", "half-done", "not-attempted", "unchanged"]
RESULTS: tuple[Result, ...] = get_args(Result)

ADOPT_FIX = (
    "`hooksync apply --adopt` asks the receivers and records the declared secrets; "
    "`--replace ADDRESS` re-creates a subscription"
)
_LIMIT_FIX = (
    "check what `owns` covers, and the subscriptions of the file; if all of this is to be removed,"
    " write `limits: {unsubscribe: 100%}`"
)
AMBIGUOUS = "it is unclear which of several hooksync made"
Origin = Literal["made by hooksync", "not made by hooksync"]  # by the state
NOT_MADE: Origin = "not made by hooksync"
UNPROVEN = "made by hooksync according to an unsigned state, which proves nothing under a policy"
ASKED_FOR = "asked for by --replace"  # the reason for a resubscribe
SECRET_UNKNOWN = "secret unknown"  # likewise, under `unknown_secret: replace`


class Change(Record, frozen=True):
    """One field of a pair that differs."""

    field: str
    live: bool
    declared: bool


class Subscribe(Record, frozen=True):
    """Declared, not live: it is made."""

    action: ClassVar[Action] = "subscribe"

    declared: DeclaredSubscription
    secret_state: SecretState = "unknown"


class Resubscribe(Record, frozen=True):
    """Declared and live with another URL or content.

    The API has no update: a new one comes and the old one goes.
    """

    action: ClassVar[Action] = "resubscribe"

    declared: DeclaredSubscription
    live: LiveSubscription
    reasons: tuple[str, ...]  # never empty
    changes: tuple[Change, ...] = ()
    secret_state: SecretState = "unknown"
    is_move: bool = False  # the live one has the URL that was declared before


class Unsubscribe(Record, frozen=True):
    """Live, owned and not wanted: it is removed."""

    action: ClassVar[Action] = "unsubscribe"

    live: LiveSubscription
    reason: str
    duplicate_of: DeclaredSubscription | None = None  # set if a different live one fills its place
    was: str | None = None  # its address in the state; None: hooksync neither made nor adopted it


class Keep(Record, frozen=True):
    """Declared and live alike: nothing to do."""

    action: ClassVar[Action] = "keep"

    declared: DeclaredSubscription
    live: LiveSubscription
    secret_state: SecretState = "unknown"


class Leave(Record, frozen=True):
    """Live, and neither declared nor to be removed; or a duplicate that is not owned."""

    action: ClassVar[Action] = "leave"

    live: LiveSubscription
    reason: str
    duplicate_of: DeclaredSubscription | None = None  # as of `Unsubscribe`: then it is drift
    was: str | None = None  # likewise


Making: TypeAlias = Subscribe | Resubscribe  # what makes a subscription
Step: TypeAlias = Subscribe | Resubscribe | Unsubscribe | Keep | Leave


class TenancyPlan(Record, frozen=True):
    """What has to happen in one tenancy."""

    tenancy: Tenancy
    live: tuple[LiveSubscription, ...]
    steps: tuple[Step, ...]  # in the order of `step_order`
    history: History = NOTHING  # what the state remembered when the plan was made
    refusals: tuple[Problem, ...] = ()  # why it may not be carried out
    warnings: tuple[Problem, ...] = ()  # of receivers that are not ready
    # of receivers, by the declared address; None: not challenged
    answers: Mapping[str, ProbeResult] | None = None
    error: SecretError | None = None  # of the secrets that it needs: it is not begun

    @property
    def is_empty(self) -> bool:
        """Whether nothing has to be done."""
        return all(map(is_idle, self.steps))

    @property
    def is_ready(self) -> bool:
        """Whether there is something to do, and nothing against it."""
        return not (self.is_empty or self.refusals or self.error)

    @property
    def to_be_made(self) -> list[DeclaredSubscription]:
        """What is to be made: Preservica will challenge the receivers."""
        return [step.declared for step in self.steps if isinstance(step, Making)]

    @property
    def to_be_adopted(self) -> list[DeclaredSubscription]:
        """What is kept although its secret may not be the declared one."""
        kept = (step for step in self.steps if isinstance(step, Keep))
        return [step.declared for step in kept if step.secret_state in ("unknown", "not-set")]


class UnreadTenancy(Record, frozen=True):
    """A tenancy whose live subscriptions could not be read; it has no plan."""

    tenancy: Tenancy
    error: HooksyncError


Planned: TypeAlias = TenancyPlan | UnreadTenancy


def is_idle(step: Step) -> bool:
    """Whether a step needs no call."""
    return isinstance(step, Keep | Leave)


def step_order(step: Step) -> tuple[int, SubscriptionKey, str]:
    """Sort steps by action, then by identity, then by id, whatever order the input came in."""
    action = ACTIONS.index(step.action)
    match step:
        case Subscribe(declared):
            return action, declared.key, ""
        case Resubscribe(declared, live) | Keep(declared, live):
            return action, declared.key, live.id
        case Unsubscribe(live) | Leave(live):
            return action, live.key, live.id


class Outcome(Record, frozen=True):
    """What became of one step."""

    step: Step
    result: Result
    detail: str = ""  # why it is not done
    fix: str = ""
    warnings: tuple[Problem, ...] = ()  # what was done otherwise than planned, or is not listed yet
    new_id: str | None = None
    is_found: bool = False  # only the list told the new id: its secret is not known for sure
    is_unlisted: bool = False  # an answer told the new id, and no list has shown it
    is_removed: bool = False  # the old one is gone, by an answer or by the list
    # whatever the result is: the new one may exist under an id that is not known
    may_be_made: bool = False
    may_be_removed: bool = False  # likewise: the old one may be gone, or may go yet

    @property
    def is_open(self) -> bool:
        """Whether more of it may have been carried out than the result says."""
        return self.may_be_made or self.may_be_removed


class TenancyOutcome(Record, frozen=True):
    """What became of a tenancy's plan."""

    plan: TenancyPlan
    outcomes: tuple[Outcome, ...]  # in the order of the plan's steps
    differences: tuple[Step, ...] = ()  # the steps that the verification found still to be done
    # why there was no verification; empty where there was one, or nothing to verify
    not_verified: str = ""
    # what the verification listed; None: there was none
    last_live: tuple[LiveSubscription, ...] | None = None

    @property
    def has_changed(self) -> bool:
        """Whether anything in the tenancy was changed, or may have been."""
        if any(outcome.result in ("done", "half-done") for outcome in self.outcomes):
            return True
        if self.last_live is None:
            return any(outcome.is_open for outcome in self.outcomes)
        shown = {live.id for live in self.last_live} - self.plan.history.removed
        before = {live.id for live in self.plan.live}
        is_same = {live.id for live in self.plan.live if live.is_listed} <= shown <= before
        if not is_same and any(outcome.is_open for outcome in self.outcomes):
            return True
        failed = (one.step for one in self.outcomes if one.result == "failed")
        refused = {step.declared.key for step in failed if isinstance(step, Making)}
        # refused, and there
        return any(live.key in refused and live.id in shown - before for live in self.last_live)

    @property
    def is_as_declared(self) -> bool:
        """Whether every step was done and the verification found no difference."""
        is_done = all(outcome.result in ("done", "unchanged") for outcome in self.outcomes)
        return is_done and not (self.differences or self.not_verified)


class Adoption(Record, frozen=True):
    """Which kept subscriptions may be recorded with the declared secret."""

    asked: int = 0  # how many there are
    unchallenged: int = 0  # of those that may be adopted
    addresses: frozenset[str] = frozenset()  # that may be adopted
    problems: tuple[Problem, ...] = ()  # why the others may not
    stopped: frozenset[str] = frozenset()  # tenancies that are refused where a secret stays unknown
    # addresses whose declared secret the state now holds as the live one
    adopted: frozenset[str] = frozenset()


def not_attempted(plan: TenancyPlan) -> TenancyOutcome:
    """Make the outcome of a plan that was not begun: nothing was changed."""
    outcomes = tuple(
        Outcome(step, "unchanged" if is_idle(step) else "not-attempted") for step in plan.steps
    )
    return TenancyOutcome(plan, outcomes)


def unsafe_reasons(plan: TenancyPlan, owned: int) -> tuple[Problem, ...]:
    """List why a plan removes too much to be carried out.

    `owned`: how many live ones hooksync may remove.

    Only undeclared subscriptions count: neither duplicates nor replaced ones.
    """
    tenancy = plan.tenancy
    limit = tenancy.limit
    removed = sum(
        isinstance(step, Unsubscribe) and step.duplicate_of is None for step in plan.steps
    )
    if limit.percent == 100 or not removed:
        return ()
    if limit.number is not None:
        is_too_much = removed > limit.number
    else:
        percent = limit.percent or 0
        is_too_much = removed * 100 >= owned * percent and (removed >= 2 or percent == 0)
    whats = []
    if is_too_much:
        whats.append(f"unsubscribe {removed} of the {owned} it owns: limits.unsubscribe is {limit}")
    if removed == owned and not tenancy.subscriptions:
        whats.append(f"unsubscribe all it owns ({removed}), since none is declared")
    return tuple(
        Problem(f"{tenancy.name}: would {what}", _LIMIT_FIX, tenancy.location) for what in whats
    )


def secret_reasons(plan: TenancyPlan, *, adopts: bool = False) -> tuple[Problem, ...]:
    """List why a plan may not leave secrets unknown. `adopts`: judged later."""
    tenancy = plan.tenancy
    if tenancy.unknown_secret == "refuse" and not adopts and plan.to_be_adopted:
        found = some_of([declared.address for declared in plan.to_be_adopted])
        what = f"{tenancy.name}: the secrets of {found} are unknown, and unknown_secret is refuse"
        return (Problem(what, ADOPT_FIX, tenancy.location),)
    return ()
