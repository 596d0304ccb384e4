"""Before a plan is carried out: which receivers are challenged, and what their answers mean for it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from hooksync.core.errors import Problem
from hooksync.core.model import DeclaredSubscription, Secret, SecretRef
from hooksync.core.record import Record
from hooksync.reconcile.context import Terminal
from hooksync.reconcile.plan import Keep, Planned, Resubscribe, Subscribe, TenancyPlan, has_unknown_secret
from hooksync.reconcile.session import Run
from hooksync.service.receivers import ProbeResult, ProbeTarget, probe_all


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


def ask_receivers(
    planned: Sequence[Planned], run: Run, terminal: Terminal, *, adopts: bool = False
) -> dict[str, Verdict]:
    """Challenge the receivers of what is to be made, each once, and judge each plan by their answers.

    `adopts`: those of kept subscriptions with an unknown secret, too.
    """
    plans = [
        one
        for one in planned
        if isinstance(one, TenancyPlan)
        and (one.is_ready or (adopts and not one.refusals))
        and one.tenancy.probe != "never"
    ]
    asked = [each for plan in plans for each in (*to_be_made(plan), *(to_be_adopted(plan) if adopts else ()))]
    secrets = run.secrets.known(declared.secret for declared in asked)
    targets = [(declared.url, secrets[declared.secret]) for declared in asked if declared.secret in secrets]
    with terminal.progress("asking receivers", len(set(targets))) as advance:
        answers = probe_all(targets, run.pool, run.context, advance)
    return {plan.tenancy.name: judge(plan, secrets, answers) for plan in plans}


def to_be_adopted(plan: TenancyPlan) -> Iterator[DeclaredSubscription]:
    """List what is kept although its secret may not be the declared one."""
    return (step.declared for step in plan.steps if isinstance(step, Keep) and has_unknown_secret(step))


def judge_adoption(
    planned: Sequence[Planned], verdicts: Mapping[str, Verdict], not_set: Collection[SecretRef]
) -> Adoption:
    """Let only those be adopted whose receivers are ready under the declared secret, as far as they are asked."""
    addresses: set[str] = set()
    problems: list[Problem] = []
    stopped: set[str] = set()
    asked = unchallenged = 0
    for plan in planned:
        for declared in to_be_adopted(plan) if isinstance(plan, TenancyPlan) else ():
            asked += 1
            verdict = verdicts.get(declared.tenancy)
            answer = verdict.answers.get(declared.address) if verdict else None
            if declared.secret in not_set:
                why = f"secret {declared.secret} is not set or cannot be used"
                problems.append(_not_adopted(declared, why, "set the secret that the receiver holds"))
            elif answer and answer.state != "ready":
                why = f"the receiver at {declared.url.shown} is not ready: {answer.detail}"
                problems.append(_not_adopted(declared, why, answer.fix))
            elif answer or not verdict:
                addresses.add(declared.address)
                unchallenged += not verdict
                continue
            if plan.tenancy.unknown_secret == "refuse":
                stopped.add(declared.tenancy)
    return Adoption(asked, unchallenged, frozenset(addresses), tuple(problems), frozenset(stopped))


def _not_adopted(declared: DeclaredSubscription, why: str, fix: str) -> Problem:
    return Problem(f"not adopted: {declared.address}: {why}", fix, declared.location)


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
    for declared in (*to_be_made(plan), *to_be_adopted(plan)):
        secret = secrets.get(declared.secret)
        if secret and (answer := answers.get((declared.url, secret))):
            found[declared.address] = answer
    for declared in to_be_made(plan):
        answer = found.get(declared.address)
        if answer and answer.state != "ready":
            is_refused = answer.state == "wrong-secret" or plan.tenancy.probe == "require"
            (refusals if is_refused else warnings)[declared.name] = _problem(declared, answer)
    return Verdict(found, tuple(refusals.values()), tuple(warnings.values()))


def _problem(declared: DeclaredSubscription, answer: ProbeResult) -> Problem:
    what = f"{declared.tenancy}/{declared.name}: the receiver at {declared.url.shown} is not ready: {answer.detail}"
    return Problem(what, answer.fix, declared.location)
