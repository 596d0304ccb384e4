"""Challenge receivers, and judge plans by their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hooksync.core.errors import Problem
from hooksync.core.model import DeclaredSubscription, ProbeResult
from hooksync.core.record import replace
from hooksync.receivers.challenges import ProbeTarget, probe_all
from hooksync.reconcile.plan import Step, TenancyPlan
from hooksync.reconcile.run import Run


def ask_receivers(plans: Sequence[TenancyPlan], run: Run) -> list[TenancyPlan]:
    """Challenge the receivers of new and adopted subscriptions, each once, and judge the plans.

    A receiver is left out if its secret cannot be used, or if the run was interrupted before.
    """
    asked = [step.new for plan in plans for step in plan.steps if _asks(plan, step)]
    secrets, _ = run.secrets.look_up(declared.secret for declared in asked)
    targets: dict[str, ProbeTarget] = {}
    for declared in asked:
        if declared.secret in secrets:
            targets[declared.address] = (declared.url, secrets[declared.secret])
    with run.context.terminal.progress("asking receivers", len(set(targets.values()))) as advance:
        answers = probe_all(targets.values(), run.pool, run.caller, advance)
    answered = {
        address: answers[target] for address, target in targets.items() if target in answers
    }
    return [judge_plan(plan, answered) for plan in plans]


def _asks(plan: TenancyPlan, step: Step) -> bool:
    """Whether the receiver of a step is challenged."""
    is_usual = step.creates and plan.probe != "never"
    return plan.is_ready and (is_usual or _is_risky(plan, step))


def _is_risky(plan: TenancyPlan, step: Step) -> bool:
    """Whether the receiver must be ready.

    It must be if a step removes a live subscription before its replacement exists, or adopts one.
    """
    if step.action == "adopt":
        return plan.probe != "never"
    return step.action == "resubscribe" and plan.replacement == "remove-first"


def judge_plan(plan: TenancyPlan, answers: Mapping[str, ProbeResult]) -> TenancyPlan:
    """Refuse a plan if a receiver has a different secret, or must be ready and is not.

    Warn of other receivers that are not ready. `answers`: by declared address.
    """
    refusals: dict[str, Problem] = {}  # by name: its triggers have one receiver
    warnings: dict[str, Problem] = {}
    steps = []
    for step in plan.steps:
        answer = answers.get(step.address or "")
        # a duplicate has the address of a different step
        if answer and (step.creates or step.action == "adopt"):
            step = replace(step, receiver=answer)
            is_needed = plan.probe == "require" or _is_risky(plan, step)
            is_refused = is_needed or answer.state == "wrong-secret"
            kind = refusals if is_refused else warnings
            if answer.state != "ready":
                kind[step.new.name] = _not_ready(step.new, answer)
        steps.append(step)
    return replace(
        plan,
        steps=tuple(steps),
        refusals=(*plan.refusals, *refusals.values()),
        warnings=(*plan.warnings, *warnings.values()),
    )


def _not_ready(declared: DeclaredSubscription, answer: ProbeResult) -> Problem:
    name = f"{declared.tenancy}/{declared.name}"
    what = f"{name}: the receiver at {declared.url.shown} is not ready: {answer.detail}"
    return Problem(what, answer.fix, declared.location)
