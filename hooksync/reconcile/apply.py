"""Carry a tenancy's plan out through the service it is given; one outcome for each step.

Touches nothing but its arguments. First what is new, then answers that were lost, then removals, then verification.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from hooksync.core.errors import HooksyncError, Problem, ServiceError
from hooksync.core.model import LiveSubscription, Secret, SecretRef, SubscriptionKey, Trigger
from hooksync.core.record import replace
from hooksync.reconcile.diff import DiffOptions, make_plan
from hooksync.reconcile.plan import Keep, Leave, Outcome, Step, TenancyOutcome, TenancyPlan, Unsubscribe, is_idle
from hooksync.reconcile.step_runner import NEXT_RUN, UNLISTED, Creation, Service, StepRunner
from hooksync.service.worker_pool import WorkerPool


class Execution:
    """One plan on its way. What the service does wrong is in the outcomes, not raised."""

    def __init__(
        self,
        plan: TenancyPlan,
        service: Service,
        secrets: Mapping[SecretRef, Secret],
        pool: WorkerPool,
        *,
        options: DiffOptions,
        advance: Callable[[], None] = lambda: None,
    ) -> None:
        """`secrets`: of all that is to be made; `options`: the plan's; `advance`: called after each POST or DELETE."""
        self.plan = plan
        self.service = service
        self.secrets = secrets
        self.pool = pool
        self.options = options
        self.advance = advance
        self.runners = [StepRunner(step) for step in plan.steps if not isinstance(step, Keep | Leave)]

    def run(self) -> TenancyOutcome:
        """Make, settle, remove, verify; a plan that asks for nothing makes no call."""
        if not self.runners:
            return TenancyOutcome(self.plan, self._outcomes())
        self._create(self._makers())
        self._settle()
        self._confirm()
        self._remove()
        return self._verify()

    def abandoned(self, why: str) -> TenancyOutcome:
        """Return what is known so far, where an error that nobody foresaw has ended it."""
        return TenancyOutcome(self.plan, self._outcomes(), not_verified=why)

    def _create(self, runners: Sequence[StepRunner]) -> None:
        """Make new subscriptions, side by side."""
        known, removes_first = self._known_ids(), self.plan.tenancy.replacement == "remove-first"

        def create(runner: StepRunner) -> None:
            secret = self.secrets[runner.declared.secret]
            runner.create(self.service, secret, known, removes_first=removes_first)

        self._side_by_side(create, runners)

    def _settle(self) -> None:
        """Find out from the list what became of calls without a clear answer; make once more what is not there."""
        unsettled = self._find()
        again = [runner for runner in unsettled if runner.needs_another_try]
        tries = "two tries"
        if self.pool.stop.is_set():
            tries = "one try: interrupted"
        elif again:
            self._create(again)
            unsettled = self._find()
        for runner in unsettled:
            if runner.creation is Creation.ACCEPTED:
                runner.give_up(UNLISTED)
            elif runner.needs_another_try:
                runner.give_up(f"it is not there after {tries}")

    def _find(self) -> list[StepRunner]:
        """Judge what only the list can tell; give what is not there. Where it cannot be read, nothing is given."""
        unsettled = [runner for runner in self._makers() if runner.needs_list]
        if not unsettled:
            return []
        try:
            live = self._list()
        except HooksyncError as error:
            for runner in unsettled:
                runner.cannot_list(error)
            return []
        self._learn(self._makers(), live)
        return [runner for runner in unsettled if runner.creation is not Creation.MADE]

    def _confirm(self) -> None:
        """Let the list show what replaces an old one before that goes: an answer alone may be wrong."""
        runners = [runner for runner in self._makers() if runner.needs_confirmation]
        if not runners or self.pool.stop.is_set():
            return
        try:
            self._learn(runners, self._list())
        except HooksyncError as error:
            for runner in runners:
                runner.not_confirmed(error)

    def _learn(self, runners: Iterable[StepRunner], live: Iterable[LiveSubscription]) -> None:
        """Let runners learn what is live, and match what may have been made with what is new and nobody else's."""
        ids = frozenset(subscription.id for subscription in live)
        for runner in runners:
            runner.learn(ids)
        known = self._known_ids()
        newcomers: defaultdict[SubscriptionKey, list[LiveSubscription]] = defaultdict(list)
        for subscription in live:
            if subscription.id not in known:
                newcomers[subscription.key].append(subscription)
        for runner in runners:
            if runner.creation.is_open and (candidates := newcomers[runner.declared.key]):
                runner.found(candidates.pop(0).id)
                runner.is_listed = True

    def _remove(self) -> None:
        """Remove what is not wanted, and what has its replacement."""
        if not self.pool.stop.is_set():
            self._hold_back()
        runners = [runner for runner in self.runners if runner.needs_removal]
        self._side_by_side(lambda runner: runner.remove(self.service), runners)
        for runner in runners:
            runner.explain_half("interrupted: the new one is made")

    def _hold_back(self) -> None:
        """Let no removal run ahead of what might replace it.

        What stood in the place of a declared one stays while that one is missing. What is not declared stays while one
        of its trigger is missing, unless the state says that it was another one's.
        """
        missing = [runner.declared for runner in self._makers() if runner.leaves_a_gap]
        addresses = {one.address for one in missing}
        of_trigger: defaultdict[Trigger, list[str]] = defaultdict(list)
        for one in missing:
            of_trigger[one.trigger].append(one.address)
        for runner in self.runners if missing else ():
            if not isinstance(runner.step, Unsubscribe):
                continue
            live, place = runner.step.live, runner.step.duplicate_of
            made = self.plan.history.made.get(live.id)
            if place:
                awaited = [place.address] if place.address in addresses else []
            else:
                awaited = [] if made and made.address not in addresses else of_trigger[live.trigger]
            if awaited:
                runner.hold_back(awaited)

    def _verify(self) -> TenancyOutcome:
        """List once more and compare: what became of each step, and which steps would still be needed."""
        try:
            live = self._list()
        except HooksyncError as error:
            return TenancyOutcome(self.plan, self._outcomes(), not_verified=error.summary)
        self._learn(self.runners, live)
        for runner in self.runners:
            if runner.creation is Creation.ACCEPTED:
                runner.give_up(UNLISTED)
            runner.explain_half("only the verification found the new one")
        made = {runner.new_id: runner.declared for runner in self.runners if runner.new_id}
        options = replace(self.options, replace=())
        left = make_plan(self.plan.tenancy, live, options, self.plan.history.after(made))
        held = {
            runner.step.live.id for runner in self.runners if isinstance(runner.step, Unsubscribe) and runner.is_held
        }
        differences = tuple(_said_held(step, held) for step in left.steps if not is_idle(step))
        return TenancyOutcome(self.plan, self._outcomes(), differences, last_live=live)

    def _side_by_side(self, do: Callable[[StepRunner], object], runners: Iterable[StepRunner]) -> None:
        def task(runner: StepRunner) -> Callable[[], None]:
            def execute() -> None:
                do(runner)
                self.advance()

            return execute

        self.pool.run(self.plan.tenancy.name, [task(runner) for runner in runners])

    def _list(self) -> tuple[LiveSubscription, ...]:
        """List what is live, as one call among the run's. Raises ServiceError, after an interrupt too."""
        [live] = self.pool.run(self.plan.tenancy.name, [self.service.list_subscriptions])
        if live is None:
            raise ServiceError(Problem("interrupted", NEXT_RUN))
        return live

    def _makers(self) -> list[StepRunner]:
        return [runner for runner in self.runners if not isinstance(runner.step, Unsubscribe)]

    def _known_ids(self) -> frozenset[str]:
        """Name what was live before, and what this run knows that it made."""
        new = (runner.new_id for runner in self.runners if runner.new_id)
        return frozenset((*(subscription.id for subscription in self.plan.live), *new))

    def _outcomes(self) -> tuple[Outcome, ...]:
        """Give the outcomes in the order of the plan's steps."""
        runners = iter(self.runners)
        return tuple(
            Outcome(step, "unchanged") if is_idle(step) else next(runners).outcome() for step in self.plan.steps
        )


def _said_held(step: Step, held: Collection[str]) -> Step:
    """Say of a difference that this run left it on purpose. `held`: live ids."""
    if isinstance(step, Unsubscribe) and step.live.id in held:
        return replace(step, reason=f"{step.reason}, held back")
    return step
