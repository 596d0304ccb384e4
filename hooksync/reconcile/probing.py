"""Challenge receivers, and judge plans by their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hooksync.core.errors import Problem
from hooksync.core.model import DeclaredSubscription, ProbeResult
from hooksync.core.record import replace
from hooksync.receivers.challenges import ProbeTarget, probe_all
from hooksync.reconcile.plan import Step, TenancyPlan
from hooksync.reconcile.run import Run


def ask_receivers(plans: Sequence[TenancyPlan], run: Run) -> tuple[TenancyPlan, ...]:
    """Challenge the receivers of new and adopted subscriptions, each once, and judge the plans."""
    asked = []
    for plan in plans:
        for step in plan.steps if plan.is_ready else ():
            is_usual = step.creates and plan.probe != "never"
            if is_usual or _is_risky(plan, step):
                asked.append(step.new)
    answers = challenge_all(asked, run)
    judged = []
    for plan in plans:
        judged.append(judge_plan(plan, answers) if plan.is_ready else plan)
    return tuple(judged)


def _is_risky(plan: TenancyPlan, step: Step) -> bool:
    """Whether the receiver must be ready.

    It must be if a step removes a live subscription before its replacement exists, or adopts one.
    """
    if step.action == "adopt":
        return plan.probe != "never"
    return step.action == "resubscribe" and plan.replacement == "remove-first"


def challenge_all(asked: Sequence[DeclaredSubscription], run: Run) -> dict[str, ProbeResult]:
    """Challenge receivers, and return their answers by declared address.

    An address is left out if its secret cannot be used, or if the run was interrupted before.
    """
    secrets, _ = run.secrets.look_up(declared.secret for declared in asked)
    targets: dict[str, ProbeTarget] = {}
    for declared in asked:
        if declared.secret in secrets:
            targets[declared.address] = (declared.url, secrets[declared.secret])
    with run.context.terminal.progress("asking receivers", len(set(targets.values()))) as advance:
        answers = probe_all(targets.values(), run.pool, run.caller, advance)
    return {address: answers[target] for address, target in targets.items() if target in answers}


def judge_plan(plan: TenancyPlan, answers: Mapping[str, ProbeResult]) -> TenancyPlan:
    """Refuse a plan if a receiver has a different secret, or must be ready and is not.

    Warn of other receivers that are not ready.
    """
    refusals: dict[str, Problem] = {}
    warnings: dict[str, Problem] = {}
    steps = []
    for step in plan.steps:
        answer = answers.get(step.address or "") if step.address else None
        steps.append(replace(step, receiver=answer) if answer else step)
        if answer is None or answer.state == "ready":
            continue
        is_needed = plan.probe == "require" or _is_risky(plan, step)
        is_refused = is_needed or answer.state == "wrong-secret"
        kind = refusals if is_refused else warnings
        kind[step.new.name] = _not_ready(step.new, answer)
    return replace(
        plan,
        steps=tuple(steps),
        refusals=tuple(refusals.values()),
        warnings=(*plan.warnings, *warnings.values()),
    )


def _not_ready(declared: DeclaredSubscription, answer: ProbeResult) -> Problem:
    name = f"{declared.tenancy}/{declared.name}"
    what = f"{name}: the receiver at {declared.url.shown} is not ready: {answer.detail}"
    return Problem(what, answer.fix, declared.location)
