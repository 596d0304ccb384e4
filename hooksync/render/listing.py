"""What is live, as a list. Pure.

It is made from a plan. Nothing is compared here: the steps of the plan tell what is declared, and
whether its secret is the same.
"""

from __future__ import annotations

from hooksync.core.errors import pluralised
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.reconcile.plan import NEEDS_DECLARED, Plan, Step, origin_words
from hooksync.render.sentences import state_sentences
from hooksync.render.text import Lines, head_of, secret_state, unstyled


def live_only(plan: Plan) -> Plan:
    """Keep the steps of live subscriptions.

    Nothing is to be carried out, so the refusals of a tenancy that was read are left out. With
    --target, which selects by address, what has no address is left out, too. The summaries remain
    those of the plan: they also count what is declared and not live.
    """
    tenancies = []
    for tenancy in plan.tenancies:
        steps = [step for step in tenancy.steps if step.live]
        if plan.selection.target:
            steps = [step for step in steps if step.address]
        if tenancy.live_count is not None:
            tenancy = replace(tenancy, steps=tuple(steps), refusals=(), live_count=len(steps))
        tenancies.append(tenancy)
    return replace(plan, format="hooksync.list/1", tenancies=tuple(tenancies))


def list_lines(plan: Plan) -> Lines:
    """Write the list, and count what is live and what of it is declared."""
    lines: list[str] = []
    for tenancy in plan.tenancies:
        lines.append(head_of(tenancy))
        for step in tenancy.steps:
            lines += _lines_of(step)
        lines.append("")
    declared = sum(step.action in NEEDS_DECLARED for step in plan.steps)
    places = pluralised(len(plan.tenancies) - plan.unread, "tenancy")
    summary = f"List: {len(plan.steps)} live in {places}, {declared} of them declared."
    return unstyled([*lines, summary, *state_sentences(plan)])


def _lines_of(step: Step) -> list[str]:
    """Write a live subscription: as what it is declared, its URL, and what is known of it."""
    declared = step.address or ""
    if step.name and not step.address:
        declared = f"was {step.name}"
    live = step.live_side
    facts = [step.reason] if step.address else []
    facts.append(f"{origin_words(step)} {(step.made_at or '')[:10]}".strip())
    if step.is_new:
        facts.append("new")
    if step.secret:
        facts.append(f"secret {secret_state(step)}")
    first = f"{printable(live.id):<33} {printable(live.trigger.shown):<15} {declared}"
    lines = [first.rstrip(), f"    {live.url.shown}"]
    known = ", ".join(filter(None, facts))
    return [*lines, f"    {known}"] if known else lines
