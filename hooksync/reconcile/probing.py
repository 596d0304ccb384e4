"""Challenge the receivers of what is to be made, and judge plans by their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hooksync.core.errors import Problem
from hooksync.core.model import DeclaredSubscription
from hooksync.core.record import replace
from hooksync.reconcile.context import Terminal
from hooksync.reconcile.plan import Making, Planned, Resubscribe, Step, TenancyPlan
from hooksync.reconcile.session import Run
from hooksync.service.receivers import ProbeResult, ProbeTarget, probe_all


def ask_receivers(planned: Sequence[Planned], run: Run, terminal: Terminal) -> tuple[Planned, ...]:
    """Challenge the receivers of what is to be made, once each, and judge the plans.

    A step that removes the old one first needs a right answer, whatever `probe` says.
    """
    plans = [one for one in planned if isinstance(one, TenancyPlan) and one.is_ready]
    asked = []
    for plan in plans:
        for step in plan.steps:
            is_asked = plan.tenancy.probe != "never" or _is_risky(plan, step)
            if isinstance(step, Making) and is_asked:
                asked.append(step.declared)
    answers = challenge(asked, run, terminal)
    judged = {plan.tenancy.name: judge(plan, answers) for plan in plans}
    return tuple(judged.get(one.tenancy.name, one) for one in planned)


def _is_risky(plan: TenancyPlan, step: Step) -> bool:
    """Whether a step removes what works before its replacement exists."""
    return isinstance(step, Resubscribe) and plan.tenancy.replacement == "remove-first"


def challenge(
    asked: Sequence[DeclaredSubscription], run: Run, terminal: Terminal
) -> dict[str, ProbeResult]:
    """Challenge receivers; returns what each answered, by address. Without its secret, none."""
    secrets, _ = run.secrets.look_up(declared.secret for declared in asked)
    targets: dict[str, ProbeTarget] = {}
    for declared in asked:
        if declared.secret in secrets:
            targets[declared.address] = (declared.url, secrets[declared.secret])
    with terminal.progress("asking receivers", len(set(targets.values()))) as advance:
        answers = probe_all(targets.values(), run.pool, run.context, advance)
    return {address: answers[each] for address, each in targets.items() if each in answers}


def judge(plan: TenancyPlan, answers: Mapping[str, ProbeResult]) -> TenancyPlan:
    """Refuse a plan if a receiver has a different secret, or must be ready and is not."""
    tenancy = plan.tenancy
    own: dict[str, ProbeResult] = {}
    refusals: dict[str, Problem] = {}
    warnings: dict[str, Problem] = {}
    for step in plan.steps:
        if not isinstance(step, Making) or step.declared.address not in answers:
            continue
        declared = step.declared
        answer = answers[declared.address]
        own[declared.address] = answer
        if answer.state == "ready":
            continue
        what = f"{tenancy.name}/{declared.name}: the receiver at {declared.url.shown} is not ready"
        problem = Problem(f"{what}: {answer.detail}", answer.fix, declared.location)
        is_needed = tenancy.probe == "require" or _is_risky(plan, step)
        if answer.state == "wrong-secret" or is_needed:
            refusals[declared.name] = problem
        else:
            warnings[declared.name] = problem
    return replace(
        plan, answers=own, refusals=tuple(refusals.values()), warnings=tuple(warnings.values())
    )
