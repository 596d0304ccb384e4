"""Carry a tenancy's plan out through the service it is given; one outcome for each step.

Touches nothing but its arguments. First what is new, then answers that were lost, then removals, then a last look.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hooksync.attempt import Attempt, Service
from hooksync.calls import CallPool
from hooksync.diff import DiffOptions, make_plan
from hooksync.errors import HooksyncError, Problem, ServiceError
from hooksync.memory import Memory
from hooksync.model import DeclaredSubscription, LiveSubscription, Secret, SecretRef, SubscriptionKey
from hooksync.outcomes import Outcome, TenancyOutcome
from hooksync.plan import Resubscribe, Subscribe, TenancyPlan, is_idle

_NEXT_RUN = "run apply again: it looks afresh at what is there"


@dataclass(frozen=True, slots=True)
class Means:
    """What a plan is carried out with."""

    service: Service
    secrets: Mapping[SecretRef, Secret]  # of every subscription that is to be made
    pool: CallPool
    options: DiffOptions  # those that the plan was made with
    memory: Memory  # that the plan was made with
    advance: Callable[[], None]  # called after each call that brought a step forward


def apply_plan(plan: TenancyPlan, means: Means) -> TenancyOutcome:
    """Carry a plan out. What the service does wrong is in the outcomes, not raised."""
    attempts = [Attempt(step) for step in plan.steps if not is_idle(step)]
    if not attempts:
        return TenancyOutcome(plan, tuple(Outcome(step, "unchanged") for step in plan.steps))
    makers = [attempt for attempt in attempts if isinstance(attempt.step, Subscribe | Resubscribe)]
    known = frozenset(subscription.id for subscription in plan.live)
    _make(makers, plan, means, known)
    _settle(makers, plan, means, known)
    _remove([attempt for attempt in attempts if attempt.needs_removal], plan, means)
    made = {attempt.new_id: _declared(attempt) for attempt in makers if attempt.new_id}
    return _look_again(TenancyOutcome(plan, _outcomes(plan, attempts)), means, means.memory.after(made))


def _make(attempts: Sequence[Attempt], plan: TenancyPlan, means: Means, known: frozenset[str]) -> None:
    """Make the new subscriptions, side by side."""
    removes_first = plan.tenancy.replacement == "remove-first"

    def make(attempt: Attempt) -> None:
        secret = means.secrets[_declared(attempt).secret]
        attempt.make(means.service, secret, known, removes_first=removes_first)

    _side_by_side(make, attempts, plan, means)


def _settle(attempts: Sequence[Attempt], plan: TenancyPlan, means: Means, known: frozenset[str]) -> None:
    """Find in the list what came of lost answers and of those without an id; try once more what is not there."""
    unsettled = _find(attempts, plan, means, known)
    again = [attempt for attempt in unsettled if attempt.state == "lost"]
    if again and not means.pool.stop.is_set():
        _make(again, plan, means, known | _new_ids(attempts))
        unsettled = _find(attempts, plan, means, known)
    for attempt in unsettled:
        if attempt.state == "lost":
            attempt.give_up("it is not there after two tries", _NEXT_RUN)
        else:
            attempt.give_up("the service said yes, and does not list it", _NEXT_RUN)


def _find(attempts: Sequence[Attempt], plan: TenancyPlan, means: Means, known: frozenset[str]) -> list[Attempt]:
    """Match unsettled attempts with subscriptions that were not there before; give those that have no match."""
    unsettled = [attempt for attempt in attempts if attempt.state in ("lost", "accepted")]
    if not unsettled:
        return []
    try:
        live = _fetch(plan, means)
    except HooksyncError as error:
        for attempt in unsettled:
            _leave_open(attempt, error)
        return []
    accounted = known | _new_ids(attempts)
    fresh: defaultdict[SubscriptionKey, list[LiveSubscription]] = defaultdict(list)
    for subscription in live:
        if subscription.id not in accounted:
            fresh[subscription.key].append(subscription)
    for attempt in unsettled:
        if candidates := fresh[_declared(attempt).key]:
            attempt.found(candidates.pop(0).id)
    return [attempt for attempt in unsettled if attempt.state != "made"]


def _leave_open(attempt: Attempt, error: HooksyncError) -> None:
    """Say that the list could not tell what came of an attempt. What was accepted stays accepted."""
    why = f"the list could not be read to find out: {error.summary}"
    if attempt.state == "lost":
        attempt.give_up(f"it may have been made, and {why}", _NEXT_RUN)
    else:
        attempt.is_open = True
        attempt.detail, attempt.fix = f"the service said yes and told no id, and {why}", _NEXT_RUN


def _remove(attempts: Sequence[Attempt], plan: TenancyPlan, means: Means) -> None:
    """Remove what is not wanted, and the old halves of what was made anew."""
    _side_by_side(lambda attempt: attempt.remove(means.service), attempts, plan, means)
    for attempt in attempts:
        if attempt.needs_removal and isinstance(attempt.step, Resubscribe) and not attempt.detail:
            attempt.detail, attempt.fix = "interrupted: the new one is made, the old one is still there", _NEXT_RUN


def _look_again(outcome: TenancyOutcome, means: Means, memory: Memory) -> TenancyOutcome:
    """Fetch once more and compare: add the steps that would still be needed, or why there was no look."""
    try:
        live = _fetch(outcome.plan, means)
    except HooksyncError as error:
        return replace(outcome, not_verified=error.summary)
    found = make_plan(outcome.plan.tenancy, live, replace(means.options, replace=()), memory)
    differences = tuple(step for step in found.steps if not is_idle(step))
    return replace(outcome, differences=differences, last_live=live)


def _side_by_side(do: Callable[[Attempt], None], attempts: Sequence[Attempt], plan: TenancyPlan, means: Means) -> None:
    def task(attempt: Attempt) -> Callable[[], None]:
        def carry_out() -> None:
            do(attempt)
            means.advance()

        return carry_out

    means.pool.run(plan.tenancy.name, [task(attempt) for attempt in attempts])


def _outcomes(plan: TenancyPlan, attempts: Sequence[Attempt]) -> tuple[Outcome, ...]:
    """Bring the outcomes into the order of the plan's steps."""
    waiting = iter(attempts)
    return tuple(Outcome(step, "unchanged") if is_idle(step) else next(waiting).outcome() for step in plan.steps)


def _new_ids(attempts: Iterable[Attempt]) -> frozenset[str]:
    return frozenset(attempt.new_id for attempt in attempts if attempt.new_id)


def _declared(attempt: Attempt) -> DeclaredSubscription:
    assert isinstance(attempt.step, Subscribe | Resubscribe)  # noqa: S101, only these are made
    return attempt.step.declared


def _fetch(plan: TenancyPlan, means: Means) -> tuple[LiveSubscription, ...]:
    """List once more, as one call among the run's. Raises ServiceError, after an interrupt too."""
    [live] = means.pool.run(plan.tenancy.name, [means.service.list_subscriptions])
    if live is None:
        raise ServiceError(Problem("interrupted", _NEXT_RUN))
    return live
