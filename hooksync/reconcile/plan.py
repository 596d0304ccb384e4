"""What a plan is: one step for every declared and every live subscription, and the limits it must keep.

Pure: no I/O, no clock. `diff` makes plans, `apply` carries them out.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal, TypeAlias

from hooksync.core.errors import HooksyncError, Problem
from hooksync.core.model import DeclaredSubscription, LiveSubscription, SecretState, SubscriptionKey, Tenancy
from hooksync.core.record import Record

Action = Literal["subscribe", "resubscribe", "unsubscribe", "keep", "leave"]
ACTIONS: tuple[Action, ...] = ("subscribe", "resubscribe", "unsubscribe", "keep", "leave")


class Change(Record, frozen=True):
    """One field of a pair that differs."""

    field: str
    live: bool
    declared: bool


class Subscribe(Record, frozen=True):
    """Declared, not live: it is made."""

    declared: DeclaredSubscription
    secret_state: SecretState = "unknown"


class Resubscribe(Record, frozen=True):
    """Declared and live with other content. The API has no update: a new one comes and the old one goes."""

    declared: DeclaredSubscription
    live: LiveSubscription
    reasons: tuple[str, ...]  # never empty
    changes: tuple[Change, ...] = ()
    secret_state: SecretState = "unknown"


class Unsubscribe(Record, frozen=True):
    """Live, ours and not wanted: it is removed."""

    live: LiveSubscription
    reason: str
    duplicate_of: DeclaredSubscription | None = None  # set where another live one fills this declared one's place


class Keep(Record, frozen=True):
    """Declared and live alike: nothing to do."""

    declared: DeclaredSubscription
    live: LiveSubscription
    secret_state: SecretState = "unknown"


class Leave(Record, frozen=True):
    """Live and not ours to touch."""

    live: LiveSubscription
    reason: str


Step: TypeAlias = Subscribe | Resubscribe | Unsubscribe | Keep | Leave

_ACTION_OF: dict[type[Step], Action] = {
    Subscribe: "subscribe",
    Resubscribe: "resubscribe",
    Unsubscribe: "unsubscribe",
    Keep: "keep",
    Leave: "leave",
}


class TenancyPlan(Record, frozen=True):
    """What has to happen in one tenancy."""

    tenancy: Tenancy
    live: tuple[LiveSubscription, ...]
    steps: tuple[Step, ...]  # in the order of `step_order`

    @property
    def is_empty(self) -> bool:
        """Whether nothing has to be done."""
        return all(map(is_idle, self.steps))

    def counts(self) -> Counter[Action]:
        """Count the steps of each action."""
        return Counter(map(action_of, self.steps))


class UnreadTenancy(Record, frozen=True):
    """A tenancy whose live subscriptions could not be had; it has no plan, and the others go on."""

    tenancy: Tenancy
    error: HooksyncError


def is_idle(step: Step) -> bool:
    """Tell whether a step asks for no call."""
    return isinstance(step, Keep | Leave)


def action_of(step: Step) -> Action:
    """Name a step's action as reports do."""
    return _ACTION_OF[type(step)]


def step_order(step: Step) -> tuple[int, SubscriptionKey, str]:
    """Sort steps by action, then by identity, then by id, whatever order the input came in."""
    action = ACTIONS.index(action_of(step))
    match step:
        case Subscribe(declared):
            return action, declared.key, ""
        case Resubscribe(declared, live) | Keep(declared, live):
            return action, declared.key, live.id
        case Unsubscribe(live) | Leave(live):
            return action, live.key, live.id


def unsafe_reasons(plan: TenancyPlan, owned: int) -> tuple[Problem, ...]:
    """Say why a plan removes too much to be carried out unasked.

    `owned`: how many live subscriptions are the tenancy's own. Duplicates and replaced ones do not count as removed.
    """
    tenancy = plan.tenancy
    removed = sum(isinstance(step, Unsubscribe) and step.duplicate_of is None for step in plan.steps)
    fix = "check the file; if this is meant, give --allow-mass-unsubscribe"
    problems = []
    if _is_over_limit(plan, removed, owned):
        what = (
            f"{tenancy.name}: would unsubscribe {removed} of the {owned} it owns, more than limits.unsubscribe allows"
        )
        problems.append(Problem(f"{what} ({tenancy.limit})", fix, tenancy.location))
    if removed and not tenancy.subscriptions and removed == owned:
        what = f"{tenancy.name}: would unsubscribe all it owns ({removed}), for none is declared"
        problems.append(Problem(what, fix, tenancy.location))
    return tuple(problems)


def _is_over_limit(plan: TenancyPlan, removed: int, owned: int) -> bool:
    """Compare with the limit. One removal breaks no share: it would be all of one, or half of two; zero means zero."""
    limit = plan.tenancy.limit
    if limit.number is not None:
        return removed > limit.number
    percent = limit.percent if limit.percent is not None else 0.0
    return removed * 100 > owned * percent and (removed >= 2 or percent == 0)
