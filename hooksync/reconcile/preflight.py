"""Before a plan is carried out: which receivers are challenged, and what their answers mean for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hooksync.core.errors import Problem
from hooksync.core.model import DeclaredSubscription, Secret, SecretRef
from hooksync.core.record import Record
from hooksync.reconcile.context import Terminal
from hooksync.reconcile.plan import Planned, Resubscribe, Subscribe, TenancyPlan
from hooksync.reconcile.planner import needed_secrets
from hooksync.reconcile.session import Run
from hooksync.service.challenge import ProbeResult
from hooksync.service.receivers import ProbeTarget, probe_all


class Verdict(Record, frozen=True):
    """What the receivers of a plan answered, and what follows from it."""

    answers: Mapping[str, ProbeResult]  # by the declared subscription's address
    refusals: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


NOT_ASKED = Verdict({})


def ask_receivers(planned: Sequence[Planned], run: Run, terminal: Terminal) -> dict[str, Verdict]:
    """Challenge the receivers of what is to be made, each once, and judge each plan by their answers."""
    plans = [one for one in planned if isinstance(one, TenancyPlan) and one.is_ready and one.tenancy.probe != "never"]
    secrets = run.secrets.known(ref for plan in plans for ref in needed_secrets(plan))
    targets = [
        (declared.url, secrets[declared.secret])
        for plan in plans
        for declared in to_be_made(plan)
        if declared.secret in secrets
    ]
    with terminal.progress("asking receivers", len(set(targets))) as advance:
        answers = probe_all(targets, run.pool, run.context, advance)
    return {plan.tenancy.name: judge(plan, secrets, answers) for plan in plans}


def to_be_made(plan: TenancyPlan) -> Iterator[DeclaredSubscription]:
    """List the subscriptions that are to be made: Preservica will challenge their receivers."""
    return (step.declared for step in plan.steps if isinstance(step, Subscribe | Resubscribe))


def judge(
    plan: TenancyPlan, secrets: Mapping[SecretRef, Secret], answers: Mapping[ProbeTarget, ProbeResult]
) -> Verdict:
    """Refuse a plan when a receiver holds another secret, or, under `probe: require`, is not ready; else warn."""
    found: dict[str, ProbeResult] = {}
    refusals: dict[str, Problem] = {}
    warnings: dict[str, Problem] = {}
    for declared in to_be_made(plan):
        secret = secrets.get(declared.secret)
        answer = answers.get((declared.url, secret)) if secret else None
        if answer is None:
            continue
        found[declared.address] = answer
        if answer.state != "ready":
            is_refused = answer.state == "wrong-secret" or plan.tenancy.probe == "require"
            (refusals if is_refused else warnings)[declared.name] = _problem(declared, answer)
    return Verdict(found, tuple(refusals.values()), tuple(warnings.values()))


def _problem(declared: DeclaredSubscription, answer: ProbeResult) -> Problem:
    what = f"{declared.tenancy}/{declared.name}: the receiver at {declared.url.shown} is not ready: {answer.detail}"
    return Problem(what, answer.fix, declared.location)
