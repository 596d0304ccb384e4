"""Apply plans: write the intents, carry out each plan in one pass, and record the results.

A pass has four phases: create, list, remove, verify. No step is tried twice. Each step has exactly
one outcome.

If the response to a POST is lost, the step is unsettled: the subscription may have been made. A
response also counts as lost if it does not say whether the subscription was made.

The list is then read until it shows exactly one new subscription with the declared identity, or
the wait is over (see `StepRunner.learn`). That one is recorded as unconfirmed, because only a
success response proves its secret. If the list shows none or several, or cannot be read, the intent
stays in the state. The next run then looks again (see `state.history.recovered`).

The old subscription of such a step stays, unless `remove-first` has already removed it. All
undeclared subscriptions of the tenancy stay, too. The next apply starts from what is live then, and
replaces unconfirmed subscriptions. If two applies in succession left an address unsettled, the next
plan that would create it is refused, unless `--replace` names the address.

Below, "unclear" means that a call may have been carried out: its response was lost, or contained no
new id. "Unconfirmed" means that only a list showed the new subscription.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from hooksync.core.clock import Backoff
from hooksync.core.errors import HooksyncError, Problem, ServiceError, StateError, shortened
from hooksync.core.model import LiveSubscriptions, SubscriptionKey
from hooksync.core.record import Record, field, replace
from hooksync.reconcile.journal import AppliedTenancy, Journal
from hooksync.reconcile.plan import (
    NEXT_RUN,
    Outcome,
    Step,
    TenancyPlan,
    idle_outcome,
    not_begun,
    step_order,
)
from hooksync.reconcile.run import Run
from hooksync.reconcile.step_runner import Call, Service, StepRunner

_PROVED_FIX = (
    "read the service's answer above; the receiver has just answered hooksync's challenge with the"
    " declared secret"
)


def apply_plans(plans: Sequence[TenancyPlan], run: Run, journal: Journal) -> list[TenancyPlan]:
    """Apply all ready plans in parallel, and record the results.

    Returns the plans with their outcomes. The intents are written first. Errors that end the run
    are added to `run.failures`. An error is raised only if it is no StateError and no outcome is
    known.
    """
    ready = [plan for plan in plans if plan.is_ready]
    applied: list[AppliedTenancy] = []
    settled: Sequence[TenancyPlan] = ()
    try:
        if ready:
            journal.begin(ready)
            run.context.begun.set()
            applied = _carry_out(ready, run)
        applied += [without_calls(plan) for plan in plans if plan.is_settled]
        settled = journal.settle(applied)
    except Exception as error:
        if not applied and not isinstance(error, StateError):
            raise  # what was done is not known
        run.failures.append(error)
        why = "the state could not be settled"
        settled = [replace(one.plan, not_verified=why) for one in applied]
    ended = {plan.name: plan for plan in settled}
    return [ended.get(plan.name) or not_begun(plan) for plan in plans]


def without_calls(plan: TenancyPlan) -> AppliedTenancy:
    """Apply a plan with nothing to do, from the list that it was made from."""
    listed = tuple(live for live in plan.live if live.is_listed)
    return AppliedTenancy(_finished(plan, (), listed), listed)


def _finished(
    plan: TenancyPlan, runners: Iterable[StepRunner], listed: LiveSubscriptions
) -> TenancyPlan:
    """Fill in the outcomes. `listed`: the last list."""
    ids = {live.id for live in listed}
    steps = [runner.finished() for runner in runners]  # in the order of the plan
    for step in plan.steps:
        if step.action == "adopt":  # the journal records it
            steps.append(replace(step, outcome=Outcome("done")))
        elif not step.is_change:
            steps.append(replace(step, outcome=idle_outcome(step, ids)))
    return replace(plan, steps=tuple(sorted(steps, key=step_order)))


def _carry_out(plans: Sequence[TenancyPlan], run: Run) -> list[AppliedTenancy]:
    calls = sum(step.creates + step.removes for plan in plans for step in plan.steps)
    with run.context.terminal.progress("applying", calls) as advance:

        def carry_out(plan: TenancyPlan) -> AppliedTenancy:
            execution = Execution(plan, run.clients[plan.name], run, advance)
            try:
                return execution.carry_out()
            except Exception as error:
                return execution.unverified(run.give_up(error).what)

        # These threads only wait for calls. They have a stop event of their own, so that every plan
        # gets an outcome even after an interrupt.
        with run.pool.coordinators() as coordinators:
            found = coordinators.run([partial(carry_out, plan) for plan in plans])
    return [applied for applied in found if applied is not None]


class Execution(Record, frozen=True):
    """The execution of one plan. Errors of the service are put into the outcomes, not raised."""

    plan: TenancyPlan
    service: Service
    run: Run
    advance: Callable[[], None]  # called after each POST or DELETE
    # one for each step that needs a call; filled by __post_init__
    runners: list[StepRunner] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make a runner for each step that needs a call."""
        for step in self.plan.steps:
            if step.creates or step.removes:
                self.runners.append(StepRunner(step))

    def carry_out(self) -> AppliedTenancy:
        """Create, list, remove, verify."""
        self._create()
        self._remove(self._await_created())
        return self._verify()

    def unverified(self, why: str) -> AppliedTenancy:
        """Return what is known so far. `why`: the reason why no list could verify it."""
        return AppliedTenancy(replace(_finished(self.plan, self.runners, ()), not_verified=why))

    def _create(self) -> None:
        """Make new subscriptions, in parallel.

        With remove-first, each old subscription is removed immediately before the new one is made.
        """
        known = frozenset(each.id for each in self.plan.live)
        removes_first = self.plan.replacement == "remove-first"

        def create(runner: StepRunner) -> None:
            if removes_first and runner.step.removes:
                runner.remove(self.service)
                if runner.removal is not Call.DONE:
                    return
                self.advance()
            secret = self.run.secrets.find(runner.step.new.secret)
            runner.create(self.service, secret, known)
            answer = runner.step.receiver
            if runner.is_invalid and answer and answer.state == "ready":
                runner.explain(runner.detail, _PROVED_FIX)

        self._side_by_side(create, self._makers())

    def _await_created(self) -> LiveSubscriptions:
        """Read the list if a new subscription is unclear, or a removal may depend on one.

        Returns the last list.
        """
        if not self.run.context.stop.is_set() and self._awaited():
            try:
                return self._poll_list(lambda: not self._awaited(), self._why_awaited())
            except HooksyncError as error:
                for runner in self._awaited():
                    runner.explain(f"the list could not be read: {error.summary}")
        return self.plan.live

    def _awaited(self) -> list[StepRunner]:
        """Return the steps whose new subscription must still appear in a list."""
        is_any_to_go = any(runner.must_remove for runner in self.runners)
        awaited = []
        for runner in self._makers():
            if runner.creation is Call.UNCLEAR or (is_any_to_go and runner.is_unlisted):
                awaited.append(runner)
        return awaited

    def _why_awaited(self) -> str:
        """Word why a list must show a new subscription before anything is removed."""
        if any(runner.creation is Call.UNCLEAR for runner in self._makers()):
            return "a response was unclear"
        return "the list does not show a new subscription yet"

    def _remove(self, live: LiveSubscriptions) -> None:
        """Remove replaced, duplicate and undeclared subscriptions. `live`: the last list.

        Each stays until the declared subscriptions that it waits for are certain to exist.
        """
        absent = dict.fromkeys(self._absent(live))  # a dict: fast to search, and keeps the order
        free = []
        for runner in self.runners:
            if not runner.must_remove:
                continue
            awaited = _awaited_before(runner.step, absent)
            if not awaited:
                free.append(runner)
            elif not runner.step.creates and not self.run.context.stop.is_set():
                runner.explain(f"it stays until these certainly exist: {shortened([*awaited])}")
        self._side_by_side(lambda runner: runner.remove(self.service), free)

    def _absent(self, live: LiveSubscriptions) -> list[str]:
        """Return the addresses of declared subscriptions that may not exist.

        No success response has confirmed them, or no list has shown them. A kept one must be in the
        last list: somebody may have removed it since the plan was made.
        """
        absent = [runner.step.new.address for runner in self._makers() if not runner.is_certain]
        listed = {each.id for each in live if each.is_listed}
        for step in self.plan.steps:
            if step.action in ("keep", "adopt") and step.id not in listed:
                absent.append(step.new.address)
        return absent

    def _verify(self) -> AppliedTenancy:
        """Read the list again, until it matches the responses or the wait is over."""

        def matches() -> bool:
            return not any(runner.awaits_list for runner in self.runners)

        try:
            live = self._poll_list(matches, "the list does not match the responses yet")
        except HooksyncError as error:
            return self.unverified(error.summary)
        return AppliedTenancy(_finished(self.plan, self.runners, live), live)

    def _poll_list(self, is_settled: Callable[[], bool], why: str) -> LiveSubscriptions:
        """Read the list and update the runners, until `is_settled` or the wait is over.

        `why`: the reason to wait, for people. Returns the last list. Raises ServiceError if even
        the first list cannot be read.
        """
        live = self._list()
        self._update_runners(live)
        if not is_settled():
            self.run.tell_wait(self.plan.name, why)
        backoff = Backoff(self.run.list_wait, self.run.context.clock, self.run.context.stop)
        while not is_settled() and backoff.wait():
            try:
                live = self._list()
            except HooksyncError:
                break  # the list before this one counts
            self._update_runners(live)
        return live

    def _update_runners(self, live: LiveSubscriptions) -> None:
        """Update each runner from a list, with the ids that are new under its declared identity."""
        listed = {each.id: each for each in live}
        known = {each.id for each in self.plan.live}
        known.update(runner.new_id for runner in self._makers() if runner.new_id)
        new_ids: defaultdict[SubscriptionKey, list[str]] = defaultdict(list)
        for each in live:
            if each.id not in known:
                new_ids[each.key].append(each.id)
        for runner in self.runners:
            runner.learn(listed, new_ids[runner.step.new.key] if runner.step.creates else [])

    def _list(self) -> LiveSubscriptions:
        """List the live subscriptions, in the pool that limits the run's parallel calls.

        Raises ServiceError, also after an interrupt.
        """
        [live] = self.run.pool.run([self.service.list_subscriptions])
        if live is None:
            raise ServiceError(Problem("interrupted", NEXT_RUN))
        return live

    def _side_by_side(
        self, do: Callable[[StepRunner], None], runners: Iterable[StepRunner]
    ) -> None:
        def execute(runner: StepRunner) -> None:
            try:
                do(runner)
            except Exception as error:  # the call may have been carried out
                problem = self.run.give_up(error)
                runner.explain(problem.what, problem.fix)
            self.advance()

        self.run.pool.run([partial(execute, runner) for runner in runners])

    def _makers(self) -> list[StepRunner]:
        return [runner for runner in self.runners if runner.step.creates]


def _awaited_before(step: Step, absent: Collection[str]) -> Collection[str]:
    """Return the addresses of `absent` that a step waits for before it removes a subscription.

    `absent`: the addresses of declared subscriptions that may not exist.
    """
    if step.removes and step.address:
        return [step.address] if step.address in absent else []
    return absent
