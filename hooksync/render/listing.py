"""What is live, as a list. Pure.

It is made from a plan. Nothing is compared here: the steps of the plan tell what is declared, and
whether its secret is the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.reconcile.plan import ORIGIN_WORDS, Plan, Step
from hooksync.render.sentences import state_sentences
from hooksync.render.text import head_of, secret_state


def live_only(plan: Plan) -> Plan:
    """Keep the steps of live subscriptions.

    Nothing is to be carried out, so the refusals of tenancies are left out. With --target, which
    selects by address, what has no address is left out, too. The numbers remain those of the plan:
    they also count what is declared and not live.
    """
    tenancies = []
    for tenancy in plan.tenancies:
        steps = []
        for step in tenancy.steps:
            if step.live and (step.address or not plan.selection.target):
                steps.append(step)
        tenancies.append(replace(tenancy, steps=tuple(steps), refusals=()))
    return replace(plan, format="hooksync.list/1", tenancies=tuple(tenancies))


def list_lines(plan: Plan) -> Iterator[str]:
    """Write the list."""
    for number, tenancy in enumerate(plan.tenancies):
        if number:
            yield ""
        yield head_of(tenancy)
        for step in tenancy.steps:
            live = step.live_side
            name = step.address or (f"was {step.name}" if step.name else "")
            first = f"{printable(live.id):<33} {printable(live.trigger.shown):<15} {name}"
            yield from (first.rstrip(), f"    {live.url.shown}", f"    {_known(step)}")
    yield from state_sentences(plan)


def _known(step: Step) -> str:
    """Say what is known of a live subscription."""
    origin = ORIGIN_WORDS.get(step.origin, "")
    facts = [step.reason, f"{origin} {(step.made_at or '')[:10]}".strip()]
    if step.is_new:
        facts.append("new")
    if step.secret:
        facts.append(f"secret {secret_state(step)}")
    return ", ".join(dict.fromkeys(filter(None, facts))) or "as declared"
