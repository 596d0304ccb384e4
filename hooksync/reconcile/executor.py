"""Carrying plans out, with all that has to be seen to before and after: secrets, receivers, the state.

Whatever stops one tenancy stops it before its first change, and leaves the others alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hooksync.core.errors import FileError, Problem, SecretError
from hooksync.core.model import SecretRef
from hooksync.core.record import Record, field, replace
from hooksync.reconcile.context import Terminal
from hooksync.reconcile.journal import Journal
from hooksync.reconcile.outcomes import Outcome, TenancyOutcome
from hooksync.reconcile.plan import Keep, Resubscribe, is_idle
from hooksync.reconcile.planner import Planned, PlannedTenancy, needed_secrets
from hooksync.reconcile.preflight import Verdict, asked, judge
from hooksync.reconcile.session import Run, Work
from hooksync.service.receivers import probe_all


class ExecutionResult(Record, frozen=True):
    """What came of it all, by the tenancy's name."""

    outcomes: Mapping[str, TenancyOutcome] = field(default_factory=dict)
    errors: Mapping[str, SecretError] = field(default_factory=dict)  # what kept a tenancy from being begun
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
    state_error: FileError | None = None
    adopted: int = 0  # subscriptions whose declared secret the state now takes for the live one


class Executor(Record, frozen=True):
    """What plans are carried out with."""

    run: Run
    journal: Journal | None  # None: this run keeps no state
    terminal: Terminal
    probes: bool | None  # None: as each tenancy says

    def carry_out(self, planned: Sequence[Planned]) -> ExecutionResult:
        """Do what is ready to be done. Nothing is changed before every secret, receiver and intent is in order."""
        works, errors = self._works(planned)
        doubts = self.run.book.doubts(self._wanted_secrets(works, planned))
        verdicts = (
            {} if self.probes is False else ask_receivers([w.planned for w in works.values()], self.run, self.terminal)
        )
        works = {name: work for name, work in works.items() if not (name in verdicts and verdicts[name].refusals)}
        warnings = (*doubts, *(warning for verdict in verdicts.values() for warning in verdict.warnings))
        carried = ExecutionResult(errors=errors, verdicts=verdicts, warnings=warnings)
        if self.run.pool.stop.is_set():
            return carried
        try:
            if self.journal and works:
                self.journal.begin(works)
        except FileError as error:
            return replace(carried, state_error=error)
        total = sum(not is_idle(step) for work in works.values() for step in work.planned.plan.steps)
        with self.terminal.progress("applying", total) as advance:
            outcomes = self.run.apply(works, advance)
        hinted = {name: _hinted(outcome, verdicts.get(name)) for name, outcome in outcomes.items()}
        return self._settled(planned, replace(carried, outcomes=hinted))

    def _works(self, planned: Sequence[Planned]) -> tuple[dict[str, Work], dict[str, SecretError]]:
        """Look up the secrets of every plan that is ready; a plan that lacks one is not begun."""
        works: dict[str, Work] = {}
        errors: dict[str, SecretError] = {}
        for one in planned:
            if isinstance(one, PlannedTenancy) and one.is_ready:
                try:
                    works[one.tenancy.name] = Work(one, self.run.book.find_all(needed_secrets(one.plan)))
                except SecretError as error:
                    errors[one.tenancy.name] = error
        return works, errors

    def _wanted_secrets(self, works: Mapping[str, Work], planned: Sequence[Planned]) -> list[SecretRef]:
        """Name the secrets that this run has a use for: those of what is made, and of what may be adopted."""
        wanted = [ref for work in works.values() for ref in work.secrets]
        if self.journal and self.journal.adopts:
            plans = (one.plan for one in planned if isinstance(one, PlannedTenancy))
            wanted += (step.declared.secret for plan in plans for step in plan.steps if isinstance(step, Keep))
        return wanted

    def _settled(self, planned: Sequence[Planned], carried: ExecutionResult) -> ExecutionResult:
        """Write the end of the run into the state, for what was carried out and for what is as it should be."""
        if self.journal is None:
            return carried
        outcomes = carried.outcomes
        settled = [
            one
            for one in planned
            if isinstance(one, PlannedTenancy) and not one.refusals
            if one.plan.is_empty or one.tenancy.name in outcomes
        ]
        try:
            return replace(carried, adopted=self.journal.settle(settled, outcomes))
        except FileError as error:
            return replace(carried, state_error=error)


def ask_receivers(planned: Sequence[Planned], run: Run, terminal: Terminal) -> dict[str, Verdict]:
    """Challenge the receivers of what is to be made, each once, and judge each plan by their answers."""
    plans = {
        one.tenancy.name: one.plan
        for one in planned
        if isinstance(one, PlannedTenancy) and one.tenancy.probe != "never" and one.is_ready
    }
    secrets = {name: run.book.known(needed_secrets(plan)) for name, plan in plans.items()}
    wanted = [
        (declared.url, secrets[name][declared.secret])
        for name, plan in plans.items()
        for declared in asked(plan)
        if declared.secret in secrets[name]
    ]
    with terminal.progress("asking receivers", len(set(wanted))) as advance:
        readings = probe_all(wanted, run.pool, run.line, advance)
    return {name: judge(plan, secrets[name], readings) for name, plan in plans.items()}


def _hinted(outcome: TenancyOutcome, verdict: Verdict | None) -> TenancyOutcome:
    """Where a replacement was refused though its receiver is ready, say what else it may be."""

    def hinted(one: Outcome) -> Outcome:
        if not (verdict and one.result == "failed" and isinstance(one.step, Resubscribe)):
            return one
        reading = verdict.readings.get(one.step.declared.address)
        if reading is None or reading.state != "ready":
            return one
        return replace(
            one, fix="the receiver is ready: if the service takes one at a time, say `replacement: remove-first`"
        )

    return replace(outcome, outcomes=tuple(map(hinted, outcome.outcomes)))
