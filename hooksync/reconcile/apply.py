"""Carry a tenancy's plan out through the service it is given; one outcome for each step.

Touches nothing but its arguments. One pass: create, list, remove, verify. No step is tried twice.

After a POST whose response is lost, the step is unsettled: it may have been made. The list is asked
until it shows a new subscription of that identity, or the wait is over. What it shows is recorded
as unconfirmed, for only a success response vouches for a secret; if it shows none, or several, the
intent stays in the state, and the next run looks again. Nothing that the step was to replace is
removed, and no undeclared subscription of the tenancy either. The next apply starts from what is
live then, and replaces what is unconfirmed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from hooksync.core.clock import SYSTEM_CLOCK, Backoff, Clock
from hooksync.core.errors import HooksyncError, Problem, ServiceError, some_of, unforeseen
from hooksync.core.model import LiveSubscription, Secret, SecretRef, SubscriptionKey
from hooksync.core.record import Record, field, replace
from hooksync.reconcile.diff import DiffOptions, make_plan
from hooksync.reconcile.plan import (
    NEXT_RUN,
    Keep,
    Leave,
    Making,
    Outcome,
    Resubscribe,
    Step,
    Subscribe,
    TenancyOutcome,
    TenancyPlan,
    Unsubscribe,
    is_idle,
    outcome_of_idle,
)
from hooksync.reconcile.step_runner import Creation, Removal, Service, StepRunner
from hooksync.service.worker_pool import WorkerPool
from hooksync.state.model import StateEntry, entry_for

Live = tuple[LiveSubscription, ...]


class Execution(Record, frozen=True):
    """One plan on its way. What the service does wrong is in the outcomes, not raised."""

    plan: TenancyPlan
    service: Service
    secrets: Mapping[SecretRef, Secret]  # of all that is to be made
    pool: WorkerPool
    options: DiffOptions  # those that the plan was made with
    clock: Clock = SYSTEM_CLOCK
    advance: Callable[[], None] = lambda: None  # called after each POST or DELETE
    list_wait: float = 0.0  # seconds that the list may lag behind the responses
    give_up: Callable[[Exception], Problem] = unforeseen  # called with what no code is made for
    # of the steps that need a call; made here
    runners: list[StepRunner] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make a runner of each step that needs a call."""
        for step in self.plan.steps:
            if not isinstance(step, Keep | Leave):
                self.runners.append(StepRunner(step))

    def run(self) -> TenancyOutcome:
        """Create, list, remove, verify."""
        self._create()
        self._find()
        self._remove()
        return self._verify()

    def abandoned(self, why: str) -> TenancyOutcome:
        """Return what is known so far, if an error ended it that no code is made for."""
        return TenancyOutcome(self.plan, self._outcomes(()), not_verified=why)

    def _create(self) -> None:
        """Make new subscriptions, in parallel.

        With remove-first, the old one of a step goes right before its new one comes.
        """
        known = frozenset(each.id for each in self.plan.live)
        removes_first = self.plan.tenancy.replacement == "remove-first"

        def create(runner: StepRunner) -> None:
            if removes_first and isinstance(runner.step, Resubscribe):
                runner.remove(self.service)
                if runner.removal is not Removal.GONE:
                    return
                self.advance()
            runner.create(self.service, self.secrets[runner.declared.secret], known)

        self._side_by_side(create, self._makers())

    def _find(self) -> None:
        """List what was created, if an old one waits for it or a response was unclear."""
        if self.pool.stop.is_set() or not self._awaited():
            return
        try:
            self._look(lambda: not self._awaited())
        except HooksyncError as error:
            for runner in self._awaited():
                runner.hold(f"the list could not be read: {error.summary}")

    def _awaited(self) -> list[StepRunner]:
        """Name what a list has to show before anything is removed."""
        places = set()
        for runner in self.runners:
            step = runner.step
            if isinstance(step, Resubscribe) and runner.removal is Removal.UNTRIED:
                places.add(step.declared.address)
            elif isinstance(step, Unsubscribe) and step.duplicate_of:
                places.add(step.duplicate_of.address)
        awaited = []
        for runner in self._makers():
            if runner.is_open or (runner.is_unlisted and runner.declared.address in places):
                awaited.append(runner)
        return awaited

    def _remove(self) -> None:
        """Remove what has its replacement, then duplicates and what is not declared."""
        missing = self._missing()
        filled = self._filled()
        free = []
        for runner in self.runners:
            if runner.removal is not Removal.UNTRIED or isinstance(runner.step, Subscribe):
                continue
            why = _why_kept(runner, missing, filled)
            if why is None:
                free.append(runner)
            elif why and not runner.detail and not self.pool.stop.is_set():
                runner.hold(why)
        self._side_by_side(lambda runner: runner.remove(self.service), free)

    def _missing(self) -> list[str]:
        """Name what is declared and may not exist: not made, or kept although never listed."""
        makers = self._makers()
        missing = [one.declared.address for one in makers if one.creation is not Creation.MADE]
        for step in self.plan.steps:
            if isinstance(step, Keep) and not step.live.is_listed:
                missing.append(step.declared.address)
        return missing

    def _filled(self) -> set[str]:
        """Name what a list has shown: its duplicates may go."""
        filled = {runner.declared.address for runner in self._makers() if runner.is_replaced}
        for step in self.plan.steps:
            if isinstance(step, Keep) and step.live.is_listed:
                filled.add(step.declared.address)
        return filled

    def _verify(self) -> TenancyOutcome:
        """List once more and compare: the outcome of each step, and the steps still needed."""
        try:
            live = self._look(lambda: not any(runner.is_behind for runner in self.runners))
        except HooksyncError as error:
            return self.abandoned(error.summary)
        left = self._left(live)
        ids = frozenset(each.id for each in live)
        return TenancyOutcome(self.plan, self._outcomes(ids), left, last_ids=ids)

    def _left(self, live: Live) -> tuple[Step, ...]:
        """Plan once more, and return the steps that are needed and what others have changed."""
        shown = {each.id for each in live}
        made = []
        unlisted = [each for each in self.plan.live if not each.is_listed]
        for runner in self._makers():
            if runner.new_id:
                made.append(self._entry(runner))
            if runner.is_unlisted:
                unlisted.append(_as_made(runner))
        gone = {one.live_id for one in self.runners if one.removal is Removal.GONE}
        there = [one for one in unlisted if one.id not in shown | gone]
        history = self.plan.history.with_made(made)
        options = replace(self.options, replace=())
        plan = make_plan(self.plan.tenancy, (*live, *there), options, history)
        known = {each.id for each in self.plan.live}
        return tuple(step for step in plan.steps if _is_news(step, known))

    def _entry(self, runner: StepRunner) -> StateEntry:
        """Return what the state will contain of a new subscription, as far as a plan needs it."""
        history = self.plan.history
        made = entry_for(runner.declared, self.plan.tenancy.key, history.url_salt)
        return replace(
            made,
            id=runner.new_id or "",
            run=1 + max((each.run for each in history.entries.values()), default=0),
            fingerprint="made in this run" if runner.is_confirmed else "",
            replaces=runner.live_id or "",
        )

    def _look(self, is_settled: Callable[[], bool]) -> Live:
        """List, and let runners learn from it, until everything is settled or the wait is over.

        Raises ServiceError if it cannot be listed even once.
        """
        live = self._list()
        self._learn(live)
        backoff = Backoff(self.list_wait, self.clock, self.pool.stop)
        while not is_settled() and backoff.wait():
            try:
                live = self._list()
            except HooksyncError:
                break  # what was listed before stands
            self._learn(live)
        return live

    def _learn(self, live: Live) -> None:
        """Let runners learn what is live; match what may have been made with what is new."""
        listed = {each.id: each for each in live}
        known = {each.id for each in self.plan.live}
        known.update(runner.new_id for runner in self._makers() if runner.new_id)
        new_ids: defaultdict[SubscriptionKey, list[str]] = defaultdict(list)
        for each in live:
            if each.id not in known:
                new_ids[each.key].append(each.id)
        for runner in self.runners:
            is_maker = isinstance(runner.step, Making)
            runner.learn(listed, new_ids[runner.declared.key] if is_maker else [])

    def _list(self) -> Live:
        """List what is live, as one call among the run's.

        Raises ServiceError, after an interrupt too.
        """
        [live] = self.pool.run([self.service.list_subscriptions])
        if live is None:
            raise ServiceError(Problem("interrupted", NEXT_RUN))
        return live

    def _side_by_side(
        self, do: Callable[[StepRunner], None], runners: Iterable[StepRunner]
    ) -> None:
        def execute(runner: StepRunner) -> None:
            try:
                do(runner)
            except Exception as error:  # the call that it ended may have been carried out
                runner.break_off(self.give_up(error))
            self.advance()

        self.pool.run([partial(execute, runner) for runner in runners])

    def _makers(self) -> list[StepRunner]:
        return [runner for runner in self.runners if isinstance(runner.step, Making)]

    def _outcomes(self, last_ids: Iterable[str]) -> tuple[Outcome, ...]:
        """Give the outcomes in the order of the plan's steps."""
        ids = frozenset(last_ids)
        runners = iter(self.runners)
        outcomes = []
        for step in self.plan.steps:
            is_left = is_idle(step)
            outcomes.append(outcome_of_idle(step, ids) if is_left else next(runners).outcome())
        return tuple(outcomes)


def _why_kept(runner: StepRunner, missing: Sequence[str], filled: Collection[str]) -> str | None:
    """Say why a live subscription is not removed in this run; None: it is to be removed.

    `missing`: addresses of what does not exist; `filled`: of what a list has shown.
    """
    if isinstance(runner.step, Resubscribe):
        if runner.creation is not Creation.MADE:
            return ""  # the step itself says why
        return None if runner.is_replaced else "the old one stays until a list shows the new one"
    place = runner.step.duplicate_of if isinstance(runner.step, Unsubscribe) else None
    if place:
        return None if place.address in filled else "it stays until a list shows the one that stays"
    return f"{some_of(missing)} may not exist" if missing else None


def _is_news(step: Step, known: Iterable[str]) -> bool:
    """Whether a step of the second plan is needed, or shows what others have done meanwhile."""
    match step:
        case Keep(live=live, reasons=reasons):
            return bool(reasons) and live.id not in known
        case Leave(live=live, duplicate_of=place):
            return place is not None and live.id not in known
        case _:
            return True


def _as_made(runner: StepRunner) -> LiveSubscription:
    """Return what was made as the list will show it."""
    declared = runner.declared
    return LiveSubscription(
        runner.new_id or "",
        declared.url,
        declared.trigger,
        declared.include_identifiers,
        is_listed=False,
    )
