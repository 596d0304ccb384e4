"""Carry out plans, with all that has to be done before and after: secrets, receivers, the state.

`prepare` comes before the question whether to carry them out, so that its warnings are read before the answer: which
receivers are challenged, and what their answers mean. What stops a tenancy stops it before its first change, and leaves
the others alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from hooksync.core.errors import FileError, Problem, SecretError
from hooksync.core.model import Secret, SecretRef
from hooksync.core.record import Record, field, replace
from hooksync.reconcile.context import Terminal
from hooksync.reconcile.diff import DiffOptions
from hooksync.reconcile.plan import Keep, Outcome, Planned, Resubscribe, TenancyOutcome, TenancyPlan, is_idle
from hooksync.reconcile.session import Run, Settled
from hooksync.service.receivers import ProbeResult, ProbeTarget, probe_all

if TYPE_CHECKING:  # `plan` challenges receivers and carries nothing out
    from hooksync.reconcile.journal import Journal


class Verdict(Record, frozen=True):
    """What the receivers of a plan answered, and what follows from it."""

    answers: Mapping[str, ProbeResult]  # by the declared subscription's address
    refusals: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


NOT_ASKED = Verdict({})


class Adoption(Record, frozen=True):
    """Which kept subscriptions may be recorded with the declared secret, although the state does not know theirs."""

    asked: int = 0  # how many there are
    unchallenged: int = 0  # of those that may be adopted
    addresses: frozenset[str] = frozenset()  # that may be adopted
    problems: tuple[Problem, ...] = ()  # why the others may not
    stopped: frozenset[str] = frozenset()  # tenancies that are refused where a secret stays unknown


NOTHING_ADOPTED = Adoption()


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
        errors: dict[str, SecretError] = {}
        ready = [plan for plan in plans if plan.is_ready]
        for plan in ready:
            try:
                self.run.secrets.find_all(declared.secret for declared in plan.to_be_made)
            except SecretError as error:  # a plan that lacks one is not begun
                errors[plan.tenancy.name] = error
        adopts = bool(self.journal and self.journal.adopts)
        begun = (plan for plan in ready if plan.tenancy.name not in errors)
        used = [declared.secret for plan in begun for declared in plan.to_be_made]
        if adopts:
            used += [step.declared.secret for plan in plans for step in plan.steps if isinstance(step, Keep)]
        warnings = list(self.run.secrets.doubts(used))
        asked = [plan for plan in plans if plan.tenancy.name not in errors]
        verdicts = {} if self.probes is False else ask_receivers(asked, self.run, self.terminal, adopts=adopts)
        warnings += [warning for verdict in verdicts.values() for warning in verdict.warnings]
        result = ExecutionResult(errors=errors, verdicts=verdicts, warnings=tuple(warnings))
        if not adopts:
            return result
        read = [one for one in planned if isinstance(one, TenancyPlan)]
        _, not_set = self.run.secrets.look_up(each.secret for plan in read for each in plan.to_be_adopted)
        return replace(result, adoption=judge_adoption(read, verdicts, not_set))

    def execute(
        self, planned: Sequence[Planned], prepared: ExecutionResult, settled: Settled = lambda outcome: None
    ) -> ExecutionResult:
        """Do what is ready to be done and what `prepare` found nothing against; intents are written first."""
        if self.run.pool.stop.is_set():
            return prepared
        plans, result = _accepted(planned), prepared
        ready = [plan for plan in plans if plan.is_ready and not prepared.stops(plan.tenancy.name)]
        try:
            if self.journal and ready:
                self.journal.begin(ready)
            if ready:
                self.run.begun.set()
            calls = sum((not is_idle(step)) + isinstance(step, Resubscribe) for plan in ready for step in plan.steps)
            with self.terminal.progress("applying", calls) as advance:
                made = self.run.apply(ready, self.options, advance, settled)
            outcomes = {name: _hinted(outcome, prepared.verdicts.get(name)) for name, outcome in made.items()}
            result = replace(prepared, outcomes=outcomes, unforeseen=tuple(self.run.unforeseen))
            if self.journal is None:
                return result
            as_declared = {plan.tenancy.name: _as_listed(plan) for plan in plans if plan.is_empty}
            known = list({**as_declared, **outcomes}.values())
            return replace(result, adopted=self.journal.settle(known, result.adoption.addresses))
        except FileError as error:
            return replace(result, state_error=error)
        except Exception as error:
            if not result.outcomes:  # what was done is not known
                raise
            return replace(result, unforeseen=(*result.unforeseen, error))


def _accepted(planned: Sequence[Planned]) -> list[TenancyPlan]:
    """Leave out the tenancies that could not be read or are refused."""
    return [one for one in planned if isinstance(one, TenancyPlan) and not one.refusals]


def _as_listed(plan: TenancyPlan) -> TenancyOutcome:
    """Return the outcome of a plan that asks for nothing: what was listed when it was made counts."""
    return TenancyOutcome(plan, (), last_live=tuple(each for each in plan.live if each.is_listed))


def _hinted(outcome: TenancyOutcome, verdict: Verdict | None) -> TenancyOutcome:
    """Where a replacement was refused although its receiver is ready, tell another cause and its fix."""
    fix = "the receiver is ready; if the service refuses a second subscription, set `replacement: remove-first`"

    def hinted(one: Outcome) -> Outcome:
        if not (verdict and one.result == "failed" and isinstance(one.step, Resubscribe)):
            return one
        answer = verdict.answers.get(one.step.declared.address)
        return replace(one, fix=fix) if answer and answer.state == "ready" else one

    return replace(outcome, outcomes=tuple(map(hinted, outcome.outcomes)))


def ask_receivers(
    planned: Sequence[Planned], run: Run, terminal: Terminal, *, adopts: bool = False
) -> dict[str, Verdict]:
    """Challenge the receivers of what is to be made, each once, and judge each plan by their answers.

    `adopts`: those of kept subscriptions with an unknown secret, too.
    """
    plans = [one for one in _accepted(planned) if (adopts or one.is_ready) and one.tenancy.probe != "never"]
    asked = [each for plan in plans for each in (*plan.to_be_made, *(plan.to_be_adopted if adopts else ()))]
    secrets, _ = run.secrets.look_up(declared.secret for declared in asked)
    targets = [(declared.url, secrets[declared.secret]) for declared in asked if declared.secret in secrets]
    with terminal.progress("asking receivers", len(set(targets))) as advance:
        answers = probe_all(targets, run.pool, run.context, advance)
    return {plan.tenancy.name: judge(plan, secrets, answers) for plan in plans}


def judge_adoption(
    plans: Sequence[TenancyPlan], verdicts: Mapping[str, Verdict], not_set: Collection[SecretRef]
) -> Adoption:
    """Let only those be adopted whose receivers are ready under the declared secret, as far as they are asked."""
    addresses: set[str] = set()
    problems: list[Problem] = []
    stopped: set[str] = set()
    asked = unchallenged = 0
    for plan in plans:
        for declared in plan.to_be_adopted:
            asked += 1
            verdict = verdicts.get(declared.tenancy)
            answer = verdict.answers.get(declared.address) if verdict else None
            why = fix = ""
            if declared.secret in not_set:
                why = f"secret {declared.secret} is not set or cannot be used"
                fix = "set the secret that the receiver holds"
            elif answer and answer.state != "ready":
                why, fix = f"the receiver at {declared.url.shown} is not ready: {answer.detail}", answer.fix
            elif answer or not verdict:
                addresses.add(declared.address)
                unchallenged += not verdict
                continue
            if why:
                problems.append(Problem(f"not adopted: {declared.address}: {why}", fix, declared.location))
            if plan.tenancy.unknown_secret == "refuse":
                stopped.add(declared.tenancy)
    return Adoption(asked, unchallenged, frozenset(addresses), tuple(problems), frozenset(stopped))


def judge(
    plan: TenancyPlan, secrets: Mapping[SecretRef, Secret], answers: Mapping[ProbeTarget, ProbeResult]
) -> Verdict:
    """Refuse a plan when a receiver holds another secret, or, under `probe: require`, is not ready; else warn."""
    targets = {each.address: (each.url, secrets.get(each.secret)) for each in (*plan.to_be_made, *plan.to_be_adopted)}
    found = {address: answers[url, key] for address, (url, key) in targets.items() if key and (url, key) in answers}
    refusals: dict[str, Problem] = {}
    warnings: dict[str, Problem] = {}
    for declared in plan.to_be_made:
        answer = found.get(declared.address)
        if answer and answer.state != "ready":
            is_refused = answer.state == "wrong-secret" or plan.tenancy.probe == "require"
            what = f"{declared.tenancy}/{declared.name}: the receiver at {declared.url.shown} is not ready"
            problem = Problem(f"{what}: {answer.detail}", answer.fix, declared.location)
            (refusals if is_refused else warnings)[declared.name] = problem
    return Verdict(found, tuple(refusals.values()), tuple(warnings.values()))
