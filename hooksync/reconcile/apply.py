"""Carry a tenancy's plan out through the service it is given; one outcome for each step.

Touches nothing but its arguments. First what is new, then answers that were lost, then removals, then a last look.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from hooksync.core.errors import HooksyncError, Problem, ServiceError
from hooksync.core.model import DeclaredSubscription, LiveSubscription, Secret, SecretRef, SubscriptionKey
from hooksync.core.record import Record, replace
from hooksync.reconcile.diff import DiffOptions, make_plan
from hooksync.reconcile.plan import Outcome, Resubscribe, Subscribe, TenancyOutcome, TenancyPlan, is_idle
from hooksync.reconcile.step_runner import NEXT_RUN, Attempt, Service
from hooksync.service.worker_pool import WorkerPool
from hooksync.state.history import History


class ExecutionContext(Record, frozen=True):
    """What a plan is carried out with."""

    service: Service
    secrets: Mapping[SecretRef, Secret]  # of every subscription that is to be made
    pool: WorkerPool
    options: DiffOptions  # those that the plan was made with
    history: History  # that the plan was made with
    advance: Callable[[], None]  # called after each call that brought a step forward


def apply_plan(plan: TenancyPlan, means: ExecutionContext) -> TenancyOutcome:
    """Carry a plan out. What the service does wrong is in the outcomes, not raised."""
    attempts = [Attempt(step) for step in plan.steps if not is_idle(step)]
    if not attempts:
        return TenancyOutcome(plan, tuple(Outcome(step, "unchanged") for step in plan.steps))
    makers = [attempt for attempt in attempts if isinstance(attempt.step, Subscribe | Resubscribe)]
    known = frozenset(subscription.id for subscription in plan.live)
    _make(makers, plan, means, known)
    _settle(makers, plan, means, known)
    _remove([attempt for attempt in attempts if attempt.needs_removal], plan, means)
    return _look_again(plan, attempts, means)


def _make(attempts: Sequence[Attempt], plan: TenancyPlan, means: ExecutionContext, known: frozenset[str]) -> None:
    """Make the new subscriptions, side by side."""
    removes_first = plan.tenancy.replacement == "remove-first"

    def make(attempt: Attempt) -> None:
        secret = means.secrets[_declared(attempt).secret]
        attempt.make(means.service, secret, known, removes_first=removes_first)

    _side_by_side(make, attempts, plan, means)


def _settle(attempts: Sequence[Attempt], plan: TenancyPlan, means: ExecutionContext, known: frozenset[str]) -> None:
    """Find out from the list what came of calls without a telling answer; make once more what is not there."""
    unsettled = _find(attempts, plan, means, known)
    again = [attempt for attempt in unsettled if attempt.state in ("lost", "waiting")]
    tries = "two tries"
    if means.pool.stop.is_set():
        tries = "one try: interrupted"
    elif again:
        _make(again, plan, means, known | _new_ids(attempts))
        unsettled = _find(attempts, plan, means, known)
    _give_up_accepted(unsettled)
    for attempt in unsettled:
        if attempt.state != "failed":
            attempt.give_up(f"it is not there after {tries}", NEXT_RUN)


def _give_up_accepted(attempts: Iterable[Attempt]) -> None:
    for attempt in attempts:
        if attempt.state == "accepted":
            attempt.give_up("the service said yes, and does not list it", NEXT_RUN)


def _find(
    attempts: Sequence[Attempt], plan: TenancyPlan, means: ExecutionContext, known: frozenset[str]
) -> list[Attempt]:
    """Judge unsettled attempts by what is live; give those that are not there."""
    unsettled = [attempt for attempt in attempts if attempt.state in ("lost", "accepted", "stuck")]
    if not unsettled:
        return []
    try:
        live = _fetch(plan, means)
    except HooksyncError as error:
        for attempt in unsettled:
            _leave_open(attempt, error)
        return []
    _learn(unsettled, live)
    _match(unsettled, live, known | _new_ids(attempts))
    return [attempt for attempt in unsettled if attempt.state != "made"]


def _learn(attempts: Iterable[Attempt], live: Iterable[LiveSubscription]) -> None:
    ids = frozenset(subscription.id for subscription in live)
    for attempt in attempts:
        attempt.learn(ids)


def _match(attempts: Iterable[Attempt], live: Iterable[LiveSubscription], accounted: frozenset[str]) -> None:
    """Match attempts that may have made something with what was not there before and is nobody else's."""
    fresh: defaultdict[SubscriptionKey, list[LiveSubscription]] = defaultdict(list)
    for subscription in live:
        if subscription.id not in accounted:
            fresh[subscription.key].append(subscription)
    for attempt in attempts:
        if (attempt.may_be_made or attempt.state == "accepted") and (candidates := fresh[_declared(attempt).key]):
            attempt.found(candidates.pop(0).id)


def _leave_open(attempt: Attempt, error: HooksyncError) -> None:
    """Say that the list could not tell what came of an attempt. What was accepted stays accepted."""
    why = f"the list could not be read to find out: {error.summary}"
    match attempt.state:
        case "accepted":
            attempt.may_be_made = True
            attempt.detail, attempt.fix = f"the service said yes and told no id, and {why}", NEXT_RUN
        case "stuck":
            attempt.give_up(f"the old one may have been removed, and {why}", NEXT_RUN)
        case _:
            attempt.give_up(f"it may have been made, and {why}", NEXT_RUN)


def _remove(attempts: Sequence[Attempt], plan: TenancyPlan, means: ExecutionContext) -> None:
    """Remove what is not wanted, and the old halves of what was made anew."""
    _side_by_side(lambda attempt: attempt.remove(means.service), attempts, plan, means)
    _explain_halves(attempts, "interrupted: the new one is made")


def _explain_halves(attempts: Iterable[Attempt], why: str) -> None:
    for attempt in attempts:
        if attempt.needs_removal and isinstance(attempt.step, Resubscribe) and not attempt.detail:
            attempt.detail, attempt.fix = f"{why}, the old one is still there", NEXT_RUN


def _look_again(plan: TenancyPlan, attempts: Sequence[Attempt], means: ExecutionContext) -> TenancyOutcome:
    """Fetch once more and compare: what came of each step, and the steps that would still be needed.

    The list has the last word on every call, whatever the service answered.
    """
    try:
        live = _fetch(plan, means)
    except HooksyncError as error:
        return TenancyOutcome(plan, _outcomes(plan, attempts), not_verified=error.summary)
    makers = [attempt for attempt in attempts if isinstance(attempt.step, Subscribe | Resubscribe)]
    _learn(attempts, live)
    _match(makers, live, frozenset(one.id for one in plan.live) | _new_ids(makers))
    _give_up_accepted(makers)
    _explain_halves(attempts, "only the last look found the new one")
    made = {attempt.new_id: _declared(attempt) for attempt in makers if attempt.new_id}
    found = make_plan(plan.tenancy, live, replace(means.options, replace=()), means.history.after(made))
    differences = tuple(step for step in found.steps if not is_idle(step))
    return TenancyOutcome(plan, _outcomes(plan, attempts), differences, last_live=live)


def _side_by_side(
    do: Callable[[Attempt], None], attempts: Sequence[Attempt], plan: TenancyPlan, means: ExecutionContext
) -> None:
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


def _fetch(plan: TenancyPlan, means: ExecutionContext) -> tuple[LiveSubscription, ...]:
    """List once more, as one call among the run's. Raises ServiceError, after an interrupt too."""
    [live] = means.pool.run(plan.tenancy.name, [means.service.list_subscriptions])
    if live is None:
        raise ServiceError(Problem("interrupted", NEXT_RUN))
    return live
