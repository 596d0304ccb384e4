"""Apply plans: write the attempts, carry out each plan in one pass, and record the results.

A pass has four phases: create, list, remove, verify. No step is tried twice. Each step has exactly
one outcome.

If the response to a POST is lost or contains no id, the step may have made a subscription. The list
is then read until it shows one, or the wait is over. `state.attempts.settled` decides what that
proves: an entry, a subscription that was found, or an attempt that stays open. The next apply
starts from what is live then, and replaces what was only found.

The old subscription of a step stays until the new one is an entry, unless `remove-first` has
already removed it. All undeclared subscriptions of the tenancy stay, too, until everything declared
is certain to exist.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from hooksync.core.clock import Backoff
from hooksync.core.errors import HooksyncError, Problem, ServiceError, StateError, shortened
from hooksync.core.model import LiveSubscriptions
from hooksync.core.record import Record, field, replace
from hooksync.reconcile.journal import AppliedTenancy, Journal, Ledger
from hooksync.reconcile.plan import NEXT_RUN, Outcome, Step, TenancyPlan, not_begun, step_order
from hooksync.reconcile.run import Run
from hooksync.reconcile.step_runner import Call, Service, StepRunner

_PROVED_FIX = (
    "read the service's answer above; the receiver has just answered hooksync's challenge with the"
    " declared secret"
)


def apply_plans(plans: Sequence[TenancyPlan], run: Run, journal: Journal) -> list[TenancyPlan]:
    """Apply all ready plans in parallel, and record the results.

    Returns the plans with their outcomes. The attempts are written first. Errors that end the run
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
            applied = _apply_side_by_side(ready, run, journal)
        applied += [without_calls(plan, journal) for plan in plans if plan.is_settled]
        settled = journal.settle(applied)
    except Exception as error:
        if not applied and not isinstance(error, StateError):
            raise  # what was done is not known
        run.failures.append(error)
        why = "the state could not be settled"
        settled = [replace(tenancy.plan, not_verified=why) for tenancy in applied]
    ended = {plan.name: plan for plan in settled}
    return [ended.get(plan.name) or not_begun(plan) for plan in plans]


def without_calls(plan: TenancyPlan, journal: Journal) -> AppliedTenancy:
    """Apply a plan with nothing to do, from the list that it was made from."""
    return AppliedTenancy(_finished(plan, ()), journal.ledger(plan).records, plan.live)


def _finished(plan: TenancyPlan, runners: Iterable[StepRunner]) -> TenancyPlan:
    """Fill in the outcomes."""
    steps = [runner.finished() for runner in runners]  # in the order of the plan
    for step in plan.steps:
        if step.action == "adopt":  # the journal records it
            steps.append(replace(step, outcome=Outcome("done")))
        elif step.outcome is not None:
            steps.append(step)
        elif not step.is_change:
            steps.append(replace(step, outcome=Outcome("unchanged")))
    return replace(plan, steps=tuple(sorted(steps, key=step_order)))


def _apply_side_by_side(
    plans: Sequence[TenancyPlan], run: Run, journal: Journal
) -> list[AppliedTenancy]:
    calls = 0
    for plan in plans:
        for step in plan.steps:
            if step.outcome is None:
                calls += step.creates + step.removes
    with run.context.terminal.progress("applying", calls) as advance:

        def apply_plan(plan: TenancyPlan) -> AppliedTenancy:
            client = run.clients[plan.name]
            execution = Execution(plan, client, run, advance, journal.ledger(plan))
            try:
                return execution.run_phases()
            except Exception as error:
                return execution.unverified(run.give_up(error).what)

        # These threads only wait for calls. They have a stop event of their own, so that every plan
        # gets an outcome even after an interrupt.
        with run.pool.coordinators() as coordinators:
            found = coordinators.run([partial(apply_plan, plan) for plan in plans])
    return [applied for applied in found if applied is not None]


class Execution(Record, frozen=True):
    """The execution of one plan. Errors of the service are put into the outcomes, not raised."""

    plan: TenancyPlan
    service: Service
    run: Run
    advance: Callable[[], None]  # called after each POST or DELETE
    ledger: Ledger
    # one for each step that needs a call; filled by __post_init__
    runners: list[StepRunner] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make a runner for each step that needs a call."""
        for step in self.plan.steps:
            if (step.creates or step.removes) and step.outcome is None:
                self.runners.append(StepRunner(step))

    def run_phases(self) -> AppliedTenancy:
        """Create, list, remove, verify."""
        self._create()
        self._remove(self._await_created())
        return self._verify()

    def unverified(self, why: str) -> AppliedTenancy:
        """Return what is known so far. `why`: the reason why no list could verify it."""
        self._close_attempts()
        plan = replace(_finished(self.plan, self.runners), not_verified=why)
        return AppliedTenancy(plan, self.ledger.records)

    def _create(self) -> None:
        """Make new subscriptions, in parallel.

        With remove-first, each old subscription is removed immediately before the new one is made.
        """
        removes_first = self.plan.replacement == "remove-first"

        def create(runner: StepRunner) -> None:
            if removes_first and runner.step.removes:
                runner.remove(self.service)
                if runner.removal is not Call.DONE:
                    return
                self.advance()
            secret = self.run.secrets.find(runner.step.new.secret)
            runner.create(self.service, secret)
            answer = runner.step.receiver
            if runner.is_invalid and answer and answer.state == "ready":
                runner.explain(runner.detail, _PROVED_FIX)

        self._side_by_side(create, self._makers())
        for runner in self._makers():
            runner.record_response(self.ledger)

    def _await_created(self) -> LiveSubscriptions:
        """Read the list if a new subscription is unclear, or anything is to be removed.

        Returns the last list. Without one, nothing is known to exist.
        """
        if self.run.context.stop.is_set() or not (self._awaited() or self._removing()):
            return self.plan.live
        try:
            return self._poll_list(lambda: not self._awaited(), self._why_awaited())
        except HooksyncError as error:
            for runner in (*self._awaited(), *self._removing()):
                runner.explain(f"the list could not be read: {error.summary}")
            return ()

    def _removing(self) -> list[StepRunner]:
        """Return the steps that still have a live subscription to remove."""
        return [runner for runner in self.runners if runner.must_remove and not runner.is_barred]

    def _awaited(self) -> list[StepRunner]:
        """Return the steps whose new subscription must still appear in a list."""
        is_any_to_go = bool(self._removing())
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
        for runner in self._removing():
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
        listed = {subscription.id for subscription in live}
        for step in self.plan.steps:
            if step.action in ("keep", "adopt") and step.live and step.id not in listed:
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
        self._close_attempts()
        removed = [runner.step.id for runner in self.runners if runner.removal is Call.DONE]
        plan = _finished(self.plan, self.runners)
        return AppliedTenancy(plan, self.ledger.records, live, frozenset(removed))

    def _close_attempts(self) -> None:
        """Close the attempts of the steps that certainly made nothing."""
        for runner in self._makers():
            if runner.creation in (Call.UNTRIED, Call.REFUSED):
                self.ledger.close(runner.step.new)

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
        """Settle the attempts by a list, and update each runner."""
        self.ledger.learn(live)
        listed = {subscription.id for subscription in live}
        for runner in self.runners:
            runner.learn(listed, self.ledger)

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
