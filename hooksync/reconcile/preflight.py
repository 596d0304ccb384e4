"""Which receivers are asked before their subscriptions are made, and what their answers mean for a plan. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hooksync.core.errors import Problem
from hooksync.core.model import DeclaredSubscription, HookUrl, Secret, SecretRef
from hooksync.core.record import Record
from hooksync.reconcile.plan import Resubscribe, Subscribe, TenancyPlan
from hooksync.service.challenge import ProbeResult

Readings = Mapping[tuple[HookUrl, Secret], ProbeResult]


class Verdict(Record, frozen=True):
    """What the receivers of a plan said."""

    readings: Mapping[str, ProbeResult]  # by the declared subscription's address
    refusals: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


NOT_ASKED = Verdict({})


def asked(plan: TenancyPlan) -> Iterator[DeclaredSubscription]:
    """Name the subscriptions that are to be made: their receivers will be challenged by the service."""
    return (step.declared for step in plan.steps if isinstance(step, Subscribe | Resubscribe))


def judge(plan: TenancyPlan, secrets: Mapping[SecretRef, Secret], readings: Readings) -> Verdict:
    """Refuse a plan when a receiver holds another secret, or, under `probe: require`, is not ready; else warn."""
    found: dict[str, ProbeResult] = {}
    refusals: dict[str, Problem] = {}
    warnings: dict[str, Problem] = {}
    for declared in asked(plan):
        secret = secrets.get(declared.secret)
        reading = readings.get((declared.url, secret)) if secret else None
        if reading is None:
            continue
        found[declared.address] = reading
        if reading.state != "ready":
            is_refused = reading.state == "wrong-secret" or plan.tenancy.probe == "require"
            (refusals if is_refused else warnings)[declared.name] = _problem(declared, reading)
    return Verdict(found, tuple(refusals.values()), tuple(warnings.values()))


def _problem(declared: DeclaredSubscription, reading: ProbeResult) -> Problem:
    what = f"{declared.tenancy}/{declared.name}: the receiver at {declared.url.shown} is not ready: {reading.detail}"
    return Problem(what, reading.fix, declared.location)
