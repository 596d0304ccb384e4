"""Apply plans: write the attempts, then plan, create, plan, remove, plan; and record the results.

`Comparison.plan` alone decides. The first plan, which was shown, defines which ids may go. The
second plan, made from a list after the creations, defines which addresses exist: hooksync removes
only what both plans remove, and nothing in whose place the second plan still creates. The third
plan is the report: what it still wants to change is not done.

No call is tried twice. If the response to a POST is lost or contains no id, the list is read until
it shows a new subscription, or the wait is over. `state.history.settled` decides what that proves:
an entry, a subscription that was found, or an attempt that stays open. The next apply starts from
what is live then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from hooksync.core.context import Advance
from hooksync.core.errors import (
    HooksyncError,
    ServiceError,
    shortened,
)
from hooksync.core.model import LiveSubscriptions
from hooksync.core.record import replace
from hooksync.reconcile.journal import Journal, Ledger
from hooksync.reconcile.plan import (
    NEXT_RUN,
    Step,
    TenancyPlan,
    TenancyPlans,
    not_begun,
)
from hooksync.reconcile.run import FetchedTenancy, Run
from hooksync.reconcile.step import StepRunner
from hooksync.state.model import Attempt, StateEntry

_LAGS = "the list does not match the responses yet"
_CHANGED = "what is live has changed since the plan, which does not remove it"


def apply_plans(
    plans: TenancyPlans, run: Run, commit: str | None, *, is_reviewed: bool
) -> TenancyPlans:
    """Apply all ready plans in parallel, and record the results.

    Returns the plans with their outcomes. The attempts are written first. Errors that end the run
    are added to `run.failures`. An error is raised only if it is an internal one and no outcome is
    known. `commit`: of the hooks files, if it is known. `is_reviewed`: somebody saw the plans.
    """
    journal = Journal(run, commit)
    ledgers: list[Ledger] = []
    try:
        ready = [plan for plan in plans if plan.is_ready]
        if ready:
            ledgers += _apply_side_by_side(ready, journal, is_reviewed=is_reviewed)
        for plan in plans:
            if not (plan.has_changes or plan.refusals or plan.errors):
                ledger = Ledger(journal, not_begun(plan))
                ledger.begin(journal.state)
                ledger.end(plan.live)
                ledgers.append(ledger)
        journal.write(ledgers)
    except Exception as error:
        if not ledgers and not isinstance(error, HooksyncError):
            raise  # what was done is not known
        run.failures.append(error)
        why = "the state could not be settled"
        for ledger in ledgers:
            ledger.plan = replace(ledger.plan, not_verified=why, differences=())
    ended = {ledger.plan.name: ledger.plan for ledger in ledgers}
    return [ended.get(plan.name) or not_begun(plan) for plan in plans]


def _apply_side_by_side(
    plans: TenancyPlans, journal: Journal, *, is_reviewed: bool
) -> list[Execution]:
    """Write the attempts, and apply the tenancies at the same time."""
    run = journal.run
    steps = [step for plan in plans for step in plan.steps if step.is_due]
    calls = sum(step.creates + step.removes for step in steps)
    advance = run.context.terminal.progress("applying", calls)
    executions = []
    for plan in plans:
        executions.append(Execution(journal, plan, advance, is_reviewed=is_reviewed))
    journal.begin(executions)
    run.context.begun.set()

    def execute(execution: Execution) -> None:
        try:
            execution.run_phases()
        except Exception as error:
            execution.finish(None, run.give_up(error).what)

    # These threads only wait for calls. They have a stop event of their own, so that every plan
    # gets an outcome even after an interrupt.
    with run.pool.coordinators() as coordinators:
        coordinators.run([partial(execute, execution) for execution in executions])
    return executions


class Execution(Ledger):
    """The execution of one plan. Errors of the service are put into the outcomes, not raised."""

    def __init__(
        self, journal: Journal, plan: TenancyPlan, advance: Advance, *, is_reviewed: bool
    ) -> None:
        """`advance`: called after each POST or DELETE."""
        super().__init__(journal, plan)
        self.run = journal.run
        self.advance = advance
        self.is_reviewed = is_reviewed
        self.service = self.run.clients[plan.name]
        self.runners = [StepRunner(step, self.service) for step in plan.steps]
        self.due = [runner for runner in self.runners if runner.step.is_due]
        self.given_up: list[StepRunner] = []  # a whole wait has shown nothing of them

    def run_phases(self) -> None:
        """Create, plan, remove, plan."""
        self._create()
        self._remove()
        try:
            live = self._poll_list()
            self.end(live)
            third = self._plan_again(live)
        except HooksyncError as error:
            self.finish(None, error.summary)
            return
        self.compared = third.steps
        self.finish(third)

    def finish(self, third: TenancyPlan | None, why: str = "") -> None:
        """Fill in the outcomes. `third`: the last plan; None: `why` no list could verify them."""
        listed = self.listed if third else None
        found = third.steps if third else ()
        fixes = {}  # by the addresses that the next apply will hold
        for step in found:
            for problem in step.refusals:
                fixes[step.address] = problem.fix
        steps = []
        for runner in self.runners:
            step = runner.step
            if step.is_due:
                fix = fixes.get(step.address, NEXT_RUN)
                step = replace(step, outcome=runner.outcome(self._record(runner), listed, fix))
            steps.append(step)
        self.plan = replace(
            not_begun(replace(self.plan, steps=tuple(steps))),
            live_count=(third or self.plan).live_count,
            not_verified=why,
            differences=tuple(_still_different(self.plan, found)),
        )

    def _record(self, runner: StepRunner) -> StateEntry | Attempt | None:
        """Return the record of what a step has made, or may have made; None: nothing."""
        own = self.own
        return own.get(f"{runner.step.address}") if runner.step.creates else None

    def _plan_again(self, live: LiveSubscriptions) -> TenancyPlan:
        """Plan the tenancy again, by a list that has settled the records."""
        going = {runner.step.id for runner in self.due if runner.step.removes}
        state = replace(self.journal.state, tenancies=(self.records,))
        planner = replace(
            self.run.planner, state=state, run_number=self.journal.number, going=going
        )
        [plan] = planner.plan([FetchedTenancy(self.run.located(self.plan.name), live)])
        return plan

    def _create(self) -> None:
        """Make new subscriptions, in parallel.

        With remove-first, each old subscription is removed immediately before the new one is made.
        """

        def create(runner: StepRunner) -> None:
            """Create the subscription of a step. With remove-first, remove the old one first."""
            if self.plan.replacement == "remove-first" and runner.step.removes:
                runner.remove()
                if runner.removal != "done":
                    return
                self.advance()
            runner.create(self.run.secrets.find(runner.step.declared_side.secret))

        makers = [runner for runner in self.due if runner.step.creates]
        self._side_by_side(create, makers)
        self._record_responses(makers)

    def _record_responses(self, makers: Iterable[StepRunner]) -> None:
        """Record what the responses to creations say.

        An id proves nothing if it cannot be that of a new subscription. Without an id, a success
        response proves the secret only if all attempts that may have made the subscription have the
        same.
        """
        ids = self.records.ids
        attempts = {attempt.key: attempt for attempt in self.records.attempts}
        number = self.journal.number
        others = [item for item in attempts.values() if item.run_number != number and not item.id]
        for runner in makers:
            declared = runner.step.declared_side
            attempt = attempts[number, self.own[declared.address].identity]
            identifier = runner.response_id
            if runner.creation in ("not-sent", "refused"):
                del attempts[attempt.key]
            elif runner.creation == "conflict":
                self.closing.add(attempt.key)
            elif runner.creation == "done":
                proof = self.journal.proofs[declared.secret]
                if identifier and identifier not in ids and identifier not in attempt.seen:
                    proven = attempt.proven(identifier, *proof, self.records.key)
                    attempts[attempt.key] = proven
                    ids.add(identifier)
                elif all(map(attempt.is_like, others)):
                    self.proofs[attempt.key] = proof
        self.take(replace(self.records, attempts=tuple(attempts.values())))

    def _remove(self) -> None:
        """Remove replaced, duplicate and undeclared subscriptions, where the second plan agrees."""
        removing = [runner for runner in self.due if runner.may_remove]
        if self.run.context.stop.is_set() or not removing:
            return
        try:
            second = self._plan_again(self._poll_list())
        except HooksyncError as error:
            for runner in removing:
                runner.explain(f"the list could not be read: {error.summary}")
            return
        absent = dict.fromkeys(step.address for step in second.steps if _is_missing(step))
        may_go = set()
        for step in second.steps:
            if step.action == "unsubscribe" and (self.is_reviewed or not step.needs_review):
                may_go.add(step.id)
        free = []
        for runner in removing:
            address = runner.step.address
            # what is undeclared waits for everything else
            awaited = absent.keys() & {address} if address else [*absent, *self.plan.held]
            if runner.step.id in may_go and not awaited:
                free.append(runner)
            elif not (runner.step.creates or self.run.context.stop.is_set()):
                names = shortened([f"{name}" for name in dict.fromkeys(awaited)])
                why = f"it stays until these certainly exist: {names}" if names else _CHANGED
                runner.explain(why)
        self._side_by_side(StepRunner.remove, free)

    def _awaited(self) -> list[StepRunner]:
        """Return the steps whose responses the list does not match yet."""
        shown = self.shown
        awaited = []
        for runner in self.due:
            record = self._record(runner)
            is_hidden = isinstance(record, Attempt) and record.id not in shown
            is_late = is_hidden and runner.creation != "conflict"
            is_back = runner.removal == "done" and runner.step.id in shown
            if (is_late or is_back) and runner not in self.given_up:
                awaited.append(runner)
        return awaited

    def _poll_list(self) -> LiveSubscriptions:
        """Read the list and settle the records, until no step is awaited or the wait is over.

        Returns the last list. Raises ServiceError if it cannot be read.
        """
        live = self._list()
        waiting = self._awaited()
        is_unclear = any("unclear" in (runner.creation, runner.removal) for runner in waiting)
        why = "a response was unclear" if is_unclear else _LAGS
        names = [runner.step.address or runner.step.id for runner in waiting]
        backoff = self.run.backoff(names, why)
        while self._awaited() and backoff.wait():
            live = self._list()
        self.given_up = self._awaited()
        return live

    def _list(self) -> LiveSubscriptions:
        """Read the list, in the pool that limits the run's parallel calls, and settle the records.

        Raises ServiceError, also after an interrupt.
        """
        # a list may still show what was removed
        self.records = self.marked(runner.step.id for runner in self.due if runner.is_removed)
        [live] = self.run.pool.run([self.service.list_subscriptions])
        if live is None:
            raise ServiceError("interrupted", NEXT_RUN)
        self.learn(live)
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


def _is_missing(step: Step) -> bool:
    """Whether the subscription of a declared address does not certainly exist."""
    return step.creates or step.action == "adopt"


def _still_different(first: TenancyPlan, third: Iterable[Step]) -> Iterator[Step]:
    """Yield the steps of the third plan that are still needed, or show what others did."""
    known = {step.id for step in first.steps if not step.is_change}
    for step in third:
        if step.is_change or (step.differs and step.id not in known):
            yield replace(step, refusals=(), errors=())
