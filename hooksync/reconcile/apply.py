"""Apply plans: write the attempts, carry out each plan in one pass, and record the results.

A pass has four phases: create, list, remove, verify. No step is tried twice. Each step has exactly
one outcome.

If the response to a POST is lost or contains no id, the step may have made a subscription. The list
is then read until it shows one, or the wait is over. `state.history.settled` decides what that
proves: an entry, a subscription that was found, or an attempt that stays open. The next apply
starts from what is live then, and replaces what was only found.

The old subscription of a step stays until the new one is an entry, unless `remove-first` has
already removed it. All undeclared subscriptions of the tenancy stay, too, until everything declared
is certain to exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from hooksync.core.clock import Backoff
from hooksync.core.context import Advance
from hooksync.core.errors import HooksyncError, Problem, ServiceError, shortened
from hooksync.core.model import LiveSubscriptions
from hooksync.core.record import replace
from hooksync.reconcile.journal import AppliedTenancy, Journal, Ledger
from hooksync.reconcile.plan import NEXT_RUN, TenancyPlan, TenancyPlans, not_begun
from hooksync.reconcile.run import Run
from hooksync.reconcile.step_runner import CallState, StepRunner

Runners = list[StepRunner]


def apply_plans(plans: TenancyPlans, run: Run, commit: str | None) -> TenancyPlans:
    """Apply all ready plans in parallel, and record the results.

    Returns the plans with their outcomes. The attempts are written first. Errors that end the run
    are added to `run.failures`. An error is raised only if it is an internal one and no outcome is
    known. `commit`: of the hooks files, if it is known.
    """
    journal = Journal(run, commit)
    ready = [plan for plan in plans if plan.is_ready]
    applied: list[AppliedTenancy] = []
    settled: TenancyPlans = ()
    try:
        if ready:
            journal.begin(ready)
            run.context.begun.set()
            applied = _apply_side_by_side(ready, run, journal)
        for plan in plans:
            if not (plan.has_changes or plan.refusals or plan.errors):
                applied.append(journal.without_calls(plan))
        settled = journal.write_and_verify(applied)
    except Exception as error:
        if not applied and not isinstance(error, HooksyncError):
            raise  # what was done is not known
        run.failures.append(error)
        why = "the state could not be settled"
        settled = [replace(tenancy.plan, not_verified=why) for tenancy in applied]
    ended = {plan.name: plan for plan in settled}
    return [ended.get(plan.name) or not_begun(plan) for plan in plans]


def _apply_side_by_side(plans: TenancyPlans, run: Run, journal: Journal) -> list[AppliedTenancy]:
    """Apply the tenancies at the same time."""
    steps = [step for plan in plans for step in plan.steps if step.outcome is None]
    calls = sum(step.creates + step.removes for step in steps)
    with run.context.terminal.progress("applying", calls) as advance:

        def apply_plan(plan: TenancyPlan) -> AppliedTenancy:
            execution = Execution(plan, run, journal.ledger(plan), advance)
            try:
                return execution.run_phases()
            except Exception as error:
                return execution.unverified(run.give_up(error).what)

        # These threads only wait for calls. They have a stop event of their own, so that every plan
        # gets an outcome even after an interrupt.
        with run.pool.coordinators() as coordinators:
            found = coordinators.run([partial(apply_plan, plan) for plan in plans])
    return [applied for applied in found if applied is not None]


class Execution:
    """The execution of one plan. Errors of the service are put into the outcomes, not raised."""

    def __init__(self, plan: TenancyPlan, run: Run, ledger: Ledger, advance: Advance) -> None:
        """`advance`: called after each POST or DELETE."""
        self.plan = plan
        self.run = run
        self.ledger = ledger
        self.advance = advance
        self.runners = [StepRunner(step, run.clients[plan.name], ledger) for step in plan.steps]

    def run_phases(self) -> AppliedTenancy:
        """Create, list, remove, verify."""
        self._create()
        self._remove(self._await_created())
        try:
            live = self._poll_list(self._mismatched)
        except HooksyncError as error:
            return self.unverified(error.summary)
        removed = []
        for runner in self.runners:
            if runner.removal is CallState.DONE:
                removed.append(runner.step.id)
        plan = replace(self._finish(), live_after=len(live))
        return AppliedTenancy(plan, self.ledger.records, live, frozenset(removed))

    def unverified(self, why: str) -> AppliedTenancy:
        """Return what is known so far. `why`: the reason why no list could verify it."""
        plan = replace(self._finish(), not_verified=why)
        return AppliedTenancy(plan, self.ledger.records)

    def _finish(self) -> TenancyPlan:
        """Fill in the outcomes."""
        return replace(self.plan, steps=tuple(runner.finish() for runner in self.runners))

    def _create(self) -> None:
        """Make new subscriptions, in parallel.

        With remove-first, each old subscription is removed immediately before the new one is made.
        """

        def create(runner: StepRunner) -> None:
            """Create the subscription of a step. With remove-first, remove the old one first."""
            if self.plan.replacement == "remove-first" and runner.step.removes:
                runner.remove()
                if runner.removal is not CallState.DONE:
                    return
                self.advance()
            runner.create(self.run.secrets.find(runner.step.declared_side.secret))

        self._side_by_side(create, self._makers())
        for runner in self._makers():
            runner.record_response()

    def _await_created(self) -> LiveSubscriptions:
        """Read the list if a new subscription is unclear, or anything is to be removed.

        Returns the last list. Without one, nothing is known to exist.
        """
        if self.run.context.stop.is_set() or not (self._awaited() or self._removing()):
            return self.plan.live
        try:
            return self._poll_list(self._awaited)
        except HooksyncError as error:
            for runner in (*self._awaited(), *self._removing()):
                runner.explain(f"the list could not be read: {error.summary}")
            return ()

    def _removing(self) -> Runners:
        """Return the steps that still have a live subscription to remove."""
        return [runner for runner in self.runners if runner.must_remove]

    def _awaited(self) -> Runners:
        """Return the steps whose new subscription must still appear in a list."""
        states = {CallState.UNCLEAR}
        if self._removing():
            states.add(CallState.UNLISTED)
        return [runner for runner in self._makers() if runner.creation in states]

    def _mismatched(self) -> Runners:
        """Return the steps whose responses the list does not match yet."""
        return [
            runner
            for runner in self.runners
            if runner.creation is CallState.UNLISTED or runner.removal is CallState.STILL_LISTED
        ]

    def _remove(self, live: LiveSubscriptions) -> None:
        """Remove replaced, duplicate and undeclared subscriptions. `live`: the last list.

        Each stays until what is declared for its address is certain to exist; an undeclared one,
        until everything declared is.
        """
        absent = dict.fromkeys(self._absent(live)).keys()  # fast to search, and in order
        free = []
        for runner in self._removing():
            address = runner.step.address
            awaited = absent if address is None else absent & {address}
            if not awaited:
                free.append(runner)
            elif not runner.step.creates and not self.run.context.stop.is_set():
                runner.explain(f"it stays until these certainly exist: {shortened([*awaited])}")
        self._side_by_side(StepRunner.remove, free)

    def _absent(self, live: LiveSubscriptions) -> list[str]:
        """Return the addresses of declared subscriptions that may not exist.

        No success response has confirmed them, or no list has shown them. A kept one must be in the
        last list: somebody may have removed it since the plan was made.
        """
        listed = {subscription.id for subscription in live}
        absent = []
        for runner in self.runners:
            step = runner.step
            is_kept = step.action in ("keep", "adopt") and step.live
            if step.creates:
                is_absent = runner.creation is not CallState.DONE
            else:
                is_absent = bool(is_kept) and step.id not in listed
            if is_absent:
                absent.append(step.declared_side.address)
        return absent

    def _poll_list(self, awaited: Callable[[], Runners]) -> LiveSubscriptions:
        """Read the list and update the runners, until none is awaited or the wait is over.

        Returns the last list. Raises ServiceError if even the first list cannot be read.
        """
        live = self._list()
        waiting = awaited()
        if any(runner.creation is CallState.UNCLEAR for runner in waiting):
            self.run.tell_wait(self.plan.name, "a response was unclear")
        elif waiting:
            self.run.tell_wait(self.plan.name, "the list does not match the responses yet")
        backoff = Backoff(self.run.list_wait, self.run.context.clock, self.run.context.stop)
        while awaited() and backoff.wait():
            try:
                live = self._list()
            except HooksyncError:
                break  # the list before this one counts
        return live

    def _list(self) -> LiveSubscriptions:
        """Read the list, in the pool that limits the run's parallel calls.

        Settles the attempts by it, and updates each runner. Raises ServiceError, also after an
        interrupt.
        """
        [live] = self.run.pool.run([self.run.clients[self.plan.name].list_subscriptions])
        if live is None:
            raise ServiceError(Problem("interrupted", NEXT_RUN))
        self.ledger.learn(live)
        listed = {subscription.id for subscription in live}
        for runner in self.runners:
            runner.learn(listed)
        return live

    def _side_by_side(
        self, do: Callable[[StepRunner], None], runners: Iterable[StepRunner]
    ) -> None:
        """Do the same with several steps at a time. An unexpected error ends the run."""

        def execute(runner: StepRunner) -> None:
            try:
                do(runner)
            except Exception as error:  # the call may have been carried out
                problem = self.run.give_up(error)
                runner.explain(problem.what, problem.fix)
            self.advance()

        self.run.pool.run([partial(execute, runner) for runner in runners])

    def _makers(self) -> Runners:
        makers = [runner for runner in self.runners if runner.step.creates]
        return [runner for runner in makers if runner.step.outcome is None]
