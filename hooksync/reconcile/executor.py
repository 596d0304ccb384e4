"""Carry out plans, with all that has to be done before and after: secrets, receivers, the state.

`prepare` comes before the question whether to carry them out, so that its warnings are read before the answer.

What stops a tenancy stops it before its first change, and leaves the others alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hooksync.core.errors import FileError, Problem, SecretError
from hooksync.core.model import SecretRef
from hooksync.core.record import Record, field, replace
from hooksync.reconcile.context import Terminal
from hooksync.reconcile.diff import DiffOptions
from hooksync.reconcile.journal import Journal
from hooksync.reconcile.plan import Keep, Outcome, Planned, Resubscribe, TenancyOutcome, TenancyPlan, is_idle
from hooksync.reconcile.planner import needed_secrets
from hooksync.reconcile.preflight import (
    NOT_ASKED,
    NOTHING_ADOPTED,
    Adoption,
    Verdict,
    ask_receivers,
    judge_adoption,
    to_be_adopted,
)
from hooksync.reconcile.session import Run


class ExecutionResult(Record, frozen=True):
    """What became of plans, by the tenancy's name."""

    outcomes: Mapping[str, TenancyOutcome] = field(default_factory=dict)
    errors: Mapping[str, SecretError] = field(default_factory=dict)  # why a tenancy was not begun
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
    unconfirmed: Problem | None = None  # why it was not confirmed
    state_error: FileError | None = None
    unforeseen: tuple[Exception, ...] = ()  # what ended the run as an interrupt does
    adoption: Adoption = NOTHING_ADOPTED  # what may be adopted
    adopted: frozenset[str] = frozenset()  # addresses whose declared secret the state now holds as the live one

    def stops(self, tenancy: str) -> bool:
        """Whether something was found that forbids to begin with a tenancy."""
        is_refused = self.verdicts.get(tenancy, NOT_ASKED).refusals or tenancy in self.adoption.stopped
        return tenancy in self.errors or bool(is_refused)


class Executor(Record, frozen=True):
    """What plans are carried out with."""

    run: Run
    options: DiffOptions  # those that the plans were made with
    journal: Journal | None  # None: this run keeps no state
    terminal: Terminal
    probes: bool | None  # None: as each tenancy says

    def prepare(self, planned: Sequence[Planned]) -> ExecutionResult:
        """Look up the secrets and challenge the receivers of what is ready to be done. Changes nothing."""
        plans = _accepted(planned)
        ready, errors = self._with_secrets([plan for plan in plans if plan.is_ready])
        warnings = list(self.run.secrets.doubts(self._used_secrets(ready, plans)))
        adopts = bool(self.journal and self.journal.adopts)
        asked = [plan for plan in plans if plan.tenancy.name not in errors]
        verdicts = {} if self.probes is False else ask_receivers(asked, self.run, self.terminal, adopts=adopts)
        warnings += [warning for verdict in verdicts.values() for warning in verdict.warnings]
        result = ExecutionResult(errors=errors, verdicts=verdicts, warnings=tuple(warnings))
        return replace(result, adoption=self._adoption(planned, verdicts)) if adopts else result

    def _adoption(self, planned: Sequence[Planned], verdicts: Mapping[str, Verdict]) -> Adoption:
        plans = [one for one in planned if isinstance(one, TenancyPlan)]
        not_set = self.run.secrets.not_set(declared.secret for plan in plans for declared in to_be_adopted(plan))
        return judge_adoption(plans, verdicts, not_set)

    def execute(self, planned: Sequence[Planned], prepared: ExecutionResult) -> ExecutionResult:
        """Do what is ready to be done and what `prepare` found nothing against; intents are written first."""
        if self.run.pool.stop.is_set():
            return prepared
        plans, result = _accepted(planned), prepared
        ready = [plan for plan in plans if plan.is_ready and not prepared.stops(plan.tenancy.name)]
        try:
            if self.journal and ready:
                self.journal.begin(ready)
            result = self._begun(ready, prepared)
            return replace(result, adopted=self._settle(plans, result))
        except FileError as error:
            return replace(result, state_error=error)
        except Exception as error:
            if not result.outcomes:  # what was done is not known
                raise
            return replace(result, unforeseen=(*result.unforeseen, error))

    def _begun(self, ready: Sequence[TenancyPlan], prepared: ExecutionResult) -> ExecutionResult:
        if ready:
            self.run.begun.set()
        outcomes = self._apply(ready, prepared.verdicts)
        return replace(prepared, outcomes=outcomes, unforeseen=tuple(self.run.unforeseen))

    def _with_secrets(self, plans: Sequence[TenancyPlan]) -> tuple[list[TenancyPlan], dict[str, SecretError]]:
        """Look up the secrets of every plan; a plan that lacks one is not begun."""
        ready: list[TenancyPlan] = []
        errors: dict[str, SecretError] = {}
        for plan in plans:
            try:
                self.run.secrets.find_all(needed_secrets(plan))
                ready.append(plan)
            except SecretError as error:
                errors[plan.tenancy.name] = error
        return ready, errors

    def _used_secrets(self, ready: Sequence[TenancyPlan], plans: Sequence[TenancyPlan]) -> list[SecretRef]:
        """List the secrets that this run uses: of what is made, and of what may be adopted."""
        wanted = [ref for plan in ready for ref in needed_secrets(plan)]
        if self.journal and self.journal.adopts:
            wanted += [step.declared.secret for plan in plans for step in plan.steps if isinstance(step, Keep)]
        return wanted

    def _apply(self, plans: Sequence[TenancyPlan], verdicts: Mapping[str, Verdict]) -> dict[str, TenancyOutcome]:
        """Make the calls."""
        total = sum(not is_idle(step) for plan in plans for step in plan.steps)
        with self.terminal.progress("applying", total) as advance:
            outcomes = self.run.apply(plans, self.options, advance)
        return {name: _hinted(outcome, verdicts.get(name)) for name, outcome in outcomes.items()}

    def _settle(self, plans: Sequence[TenancyPlan], result: ExecutionResult) -> frozenset[str]:
        """Write into the state what was carried out and what is as declared; return the addresses that were adopted."""
        if self.journal is None:
            return frozenset()
        settled = [plan for plan in plans if plan.is_empty or plan.tenancy.name in result.outcomes]
        return self.journal.settle(settled, result.outcomes, result.adoption.addresses)


def _accepted(planned: Sequence[Planned]) -> list[TenancyPlan]:
    """Leave out the tenancies that could not be read or are refused."""
    return [one for one in planned if isinstance(one, TenancyPlan) and not one.refusals]


def _hinted(outcome: TenancyOutcome, verdict: Verdict | None) -> TenancyOutcome:
    """Where a replacement was refused although its receiver is ready, tell another cause and its fix."""
    fix = "the receiver is ready; if the service refuses a second subscription, set `replacement: remove-first`"

    def hinted(one: Outcome) -> Outcome:
        if not (verdict and one.result == "failed" and isinstance(one.step, Resubscribe)):
            return one
        answer = verdict.answers.get(one.step.declared.address)
        return replace(one, fix=fix) if answer and answer.state == "ready" else one

    return replace(outcome, outcomes=tuple(map(hinted, outcome.outcomes)))
