"""Challenge the receivers of new subscriptions, and judge plans by their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hooksync.core.errors import Problem
from hooksync.core.model import DeclaredSubscription
from hooksync.core.record import replace
from hooksync.receivers.challenges import ProbeResult, ProbeTarget, probe_all
from hooksync.reconcile.plan import Planned, Resubscribe, Step, TenancyPlan
from hooksync.reconcile.session import Run


def ask_receivers(
    planned: Sequence[Planned], run: Run, *, only_risky: bool = False
) -> tuple[Planned, ...]:
    """Challenge the receivers of new subscriptions, each once, and judge the plans.

    If a step removes the old subscription first, its receiver must be ready, whatever `probe` says.
    `only_risky`: challenge no other receiver.
    """
    plans = [one for one in planned if isinstance(one, TenancyPlan) and one.is_ready]
    asked = []
    for plan in plans:
        for step in plan.makings:
            is_allowed = plan.tenancy.probe != "never" and not only_risky
            if is_allowed or _is_risky(plan, step):
                asked.append(step.declared)
    answers = challenge(asked, run)
    judged = {plan.tenancy.name: judge(plan, answers) for plan in plans}
    return tuple(judged.get(one.tenancy.name, one) for one in planned)


def _is_risky(plan: TenancyPlan, step: Step) -> bool:
    """Whether a step removes a live subscription before its replacement exists."""
    return isinstance(step, Resubscribe) and plan.tenancy.replacement == "remove-first"


def challenge(asked: Sequence[DeclaredSubscription], run: Run) -> dict[str, ProbeResult]:
    """Challenge receivers, and return their answers by declared address.

    An address is left out if its secret cannot be used, or if the run was interrupted before.
    """
    secrets, _ = run.secrets.look_up(declared.secret for declared in asked)
    targets: dict[str, ProbeTarget] = {}
    for declared in asked:
        if declared.secret in secrets:
            targets[declared.address] = (declared.url, secrets[declared.secret])
    with run.terminal.progress("asking receivers", len(set(targets.values()))) as advance:
        answers = probe_all(targets.values(), run.pool, run.context, advance)
    return {address: answers[each] for address, each in targets.items() if each in answers}


def judge(plan: TenancyPlan, answers: Mapping[str, ProbeResult]) -> TenancyPlan:
    """Refuse a plan if a receiver has a different secret, or must be ready and is not.

    Warn of other receivers that are not ready.
    """
    refusals: dict[str, Problem] = {}
    warnings: dict[str, Problem] = {}
    for step in plan.makings:
        answer = answers.get(step.declared.address)
        if answer is None or answer.state == "ready":
            continue
        is_needed = plan.tenancy.probe == "require" or _is_risky(plan, step)
        is_refused = is_needed or answer.state == "wrong-secret"
        kind = refusals if is_refused else warnings
        kind[step.declared.name] = _not_ready(step.declared, answer)
    return replace(
        plan,
        answers=answers,
        refusals=tuple(refusals.values()),
        warnings=(*plan.warnings, *warnings.values()),
    )


def _not_ready(declared: DeclaredSubscription, answer: ProbeResult) -> Problem:
    name = f"{declared.tenancy}/{declared.name}"
    what = f"{name}: the receiver at {declared.url.shown} is not ready: {answer.detail}"
    return Problem(what, answer.fix, declared.location)
