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


class Adoption(Record, frozen=True):
    """Which kept subscriptions may be recorded with the declared secret, although the state does not know theirs."""

    asked: int = 0  # how many there are
    unchallenged: int = 0  # of those that may be adopted
    addresses: frozenset[str] = frozenset()  # that may be adopted
    problems: tuple[Problem, ...] = ()  # why the others may not
    stopped: frozenset[str] = frozenset()  # tenancies that are refused where a secret stays unknown
    adopted: frozenset[str] = frozenset()  # addresses whose declared secret the state now holds as the live one


class ExecutionResult(Record, frozen=True):
    """What stands against plans, and what became of them."""

    planned: tuple[Planned, ...]
    warnings: tuple[Problem, ...] = ()  # of secrets
    adoption: Adoption = Adoption()
    unconfirmed: Problem | None = None  # why it was not confirmed
    outcomes: Mapping[str, TenancyOutcome] = field(default_factory=dict)  # by the tenancy's name
    state_error: FileError | None = None
    unforeseen: tuple[Exception, ...] = ()  # what ended the run as an interrupt does


class Executor(Record, frozen=True):
    """What plans are carried out with."""

    run: Run
    options: DiffOptions  # those that the plans were made with
    journal: Journal | None  # None: this run keeps no state
    terminal: Terminal
    probes: bool | None  # None: as each tenancy says
    adopts: bool  # what is kept with an unknown secret; only with a journal

    def prepare(self, planned: Sequence[Planned]) -> ExecutionResult:
        """Look up the secrets and challenge the receivers of what is ready to be done. Changes nothing."""
        found, secrets = tuple(map(self._with_secrets, planned)), self.run.secrets
        used = [each.secret for plan in _accepted(found) if not plan.error for each in plan.to_be_made]
        if self.adopts:
            kept = (step for plan in _accepted(found) for step in plan.steps if isinstance(step, Keep))
            used += (step.declared.secret for step in kept)
        if self.probes is not False:
            found = ask_receivers(found, self.run, self.terminal, adopts=self.adopts)
        result = ExecutionResult(found, tuple(secrets.doubts(used)))
        if not self.adopts:
            return result
        read = [one for one in found if isinstance(one, TenancyPlan)]
        _, not_set = secrets.look_up(each.secret for plan in read for each in plan.to_be_adopted)
        return replace(result, adoption=judge_adoption(read, not_set))

    def _with_secrets(self, one: Planned) -> Planned:
        """Look up what a plan needs; one that lacks a secret is not begun."""
        if isinstance(one, TenancyPlan) and not one.refusals:
            try:
                self.run.secrets.find_all(declared.secret for declared in one.to_be_made)
            except SecretError as error:
                return replace(one, error=error)
        return one

    def execute(self, prepared: ExecutionResult, settled: Settled = lambda outcome: None) -> ExecutionResult:
        """Do what is ready to be done and what `prepare` found nothing against; intents are written first."""
        if self.run.pool.stop.is_set():
            return prepared
        plans, result = _accepted(prepared.planned), prepared
        ready = [plan for plan in plans if plan.is_ready and plan.tenancy.name not in prepared.adoption.stopped]
        try:
            if self.journal and ready:
                self.journal.begin(ready)
            if ready:
                self.run.begun.set()
            calls = sum((not is_idle(step)) + isinstance(step, Resubscribe) for plan in ready for step in plan.steps)
            with self.terminal.progress("applying", calls) as advance:
                made = self.run.apply(ready, self.options, advance, settled)
            outcomes = {name: _hinted(outcome) for name, outcome in made.items()}
            result = replace(prepared, outcomes=outcomes, unforeseen=tuple(self.run.unforeseen))
            if self.journal is None:
                return result
            listed = {  # of plans that ask for nothing, what was listed when they were made counts
                plan.tenancy.name: TenancyOutcome(
                    plan, (), last_live=tuple(each for each in plan.live if each.is_listed)
                )
                for plan in plans
                if plan.is_empty
            }
            adopted = self.journal.settle([*{**listed, **outcomes}.values()], result.adoption.addresses)
            return replace(result, adoption=replace(result.adoption, adopted=adopted))
        except FileError as error:
            return replace(result, state_error=error)
        except Exception as error:
            if not result.outcomes:  # what was done is not known
                raise
            return replace(result, unforeseen=(*result.unforeseen, error))


def _accepted(planned: Sequence[Planned]) -> list[TenancyPlan]:
    """Leave out the tenancies that could not be read or are refused."""
    return [one for one in planned if isinstance(one, TenancyPlan) and not one.refusals]


def _hinted(outcome: TenancyOutcome) -> TenancyOutcome:
    """Where a replacement was refused although its receiver is ready, tell another cause and its fix."""
    fix = "the receiver is ready; if the service refuses a second subscription, set `replacement: remove-first`"
    ready = {address for address, answer in (outcome.plan.answers or {}).items() if answer.state == "ready"}

    def hinted(one: Outcome) -> Outcome:
        is_refused = one.result == "failed" and isinstance(one.step, Resubscribe) and one.step.declared.address in ready
        return replace(one, fix=fix) if is_refused else one

    return replace(outcome, outcomes=tuple(map(hinted, outcome.outcomes)))


def ask_receivers(
    planned: Sequence[Planned], run: Run, terminal: Terminal, *, adopts: bool = False
) -> tuple[Planned, ...]:
    """Challenge the receivers of what is to be made, each once, and judge each plan by their answers.

    `adopts`: those of kept subscriptions with an unknown secret, too.
    """
    plans = [
        one for one in _accepted(planned) if (adopts or one.is_ready) and not one.error and one.tenancy.probe != "never"
    ]
    asked = [each for plan in plans for each in (*plan.to_be_made, *(plan.to_be_adopted if adopts else ()))]
    secrets, _ = run.secrets.look_up(declared.secret for declared in asked)
    targets = [(declared.url, secrets[declared.secret]) for declared in asked if declared.secret in secrets]
    with terminal.progress("asking receivers", len(set(targets))) as advance:
        answers = probe_all(targets, run.pool, run.context, advance)
    judged = {plan.tenancy.name: judge(plan, secrets, answers) for plan in plans}
    return tuple(judged.get(one.tenancy.name, one) for one in planned)


def judge_adoption(plans: Sequence[TenancyPlan], not_set: Collection[SecretRef]) -> Adoption:
    """Let only those be adopted whose receivers are ready under the declared secret, as far as they are asked."""
    addresses: set[str] = set()
    problems: list[Problem] = []
    stopped: set[str] = set()
    asked = unchallenged = 0
    for plan in plans:
        for declared in plan.to_be_adopted:
            asked += 1
            answer = plan.answers.get(declared.address) if plan.answers else None
            why = fix = ""
            if declared.secret in not_set:
                why = f"secret {declared.secret} is not set or cannot be used"
                fix = "set the secret that the receiver holds"
            elif answer and answer.state != "ready":
                why, fix = f"the receiver at {declared.url.shown} is not ready: {answer.detail}", answer.fix
            elif answer or plan.answers is None:
                addresses.add(declared.address)
                unchallenged += not answer
                continue
            if why:
                problems.append(Problem(f"not adopted: {declared.address}: {why}", fix, declared.location))
            if plan.tenancy.unknown_secret == "refuse":
                stopped.add(declared.tenancy)
    return Adoption(asked, unchallenged, frozenset(addresses), tuple(problems), frozenset(stopped))


def judge(
    plan: TenancyPlan, secrets: Mapping[SecretRef, Secret], answers: Mapping[ProbeTarget, ProbeResult]
) -> TenancyPlan:
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
    return replace(plan, answers=found, refusals=tuple(refusals.values()), warnings=tuple(warnings.values()))
