"""What is live, as a list. Pure.

It is made from a plan. Nothing is compared here: the steps of the plan tell what is declared, and
whether its secret is the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from hooksync.core.errors import pluralised
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.core.run_flags import RunFlags
from hooksync.reconcile.plan import Plan, Step, TenancyPlan, origin_words
from hooksync.reconcile.refusals import step_warnings
from hooksync.render.text import secret_state

_HEAD = ("tenancy", "id", "trigger", "secret", "declared as", "made", "url")

_DECLARED = ("keep", "resubscribe", "adopt")

Row = tuple[str, ...]


def live_only(plan: Plan, flags: RunFlags, *, is_targeted: bool) -> Plan:
    """Keep the steps of live subscriptions, sorted by address, then by URL.

    Nothing is to be carried out, so refusals are left out. `is_targeted`: leave out what has no
    address, because --target selects by address.
    """
    tenancies = []
    for tenancy in plan.tenancies:
        steps = [step for step in tenancy.steps if step.live]
        if is_targeted:
            steps = [step for step in steps if step.address]
        steps.sort(key=lambda step: (not step.address, step.address or "", step.old.key, step.id))
        shown = replace(tenancy, steps=tuple(steps), refusals=())
        if tenancy.live_count is None:
            shown = replace(shown, errors=(*tenancy.errors, *tenancy.refusals))
        else:
            shown = replace(shown, live_count=len(steps))
        tenancies.append(shown)
    listed = replace(plan, format="hooksync.list/1", tenancies=tuple(tenancies))
    # a plan that is refused has no warnings of what its refusals name
    warnings = dict.fromkeys((*plan.warnings, *step_warnings(listed, flags)))
    return replace(listed, warnings=tuple(warnings), summary=list_counts(listed, plan))


def list_counts(listed: Plan, plan: Plan) -> dict[str, int]:
    """Return the counts of a list. `declared`: the live subscriptions that a file declares."""
    counts = plan.counts()
    return {
        "live": len(listed.steps),
        "declared": sum(step.action in _DECLARED for step in listed.steps),
        "not_live": counts["subscribe"],
        "secret_unknown": plan.secret_unknown,
    }


def list_table(plan: Plan) -> tuple[Sequence[Row], str]:
    """Return the rows of the list, and its summary."""
    rows: list[Row] = [_HEAD]
    for tenancy in plan.tenancies:
        rows += _rows(tenancy)
    counts = plan.summary
    live = f"{counts['live']} live in {pluralised(len(plan.tenancies) - plan.unread, 'tenancy')}"
    parts = [f"List: {live}, {counts['declared']} of them declared"]
    if counts["not_live"]:
        parts.append(f"{counts['not_live']} declared and not live")
    states = Counter(step.secret for step in plan.steps if step.secret)
    if states:
        known = [f"{number} {state.replace('-', ' ')}" for state, number in sorted(states.items())]
        parts.append(f"secrets: {', '.join(known)}")
    if plan.unread:
        parts.append(f"{pluralised(plan.unread, 'tenancy')} not read")
    return rows, printable("; ".join(parts)) + "."


def _rows(tenancy: TenancyPlan) -> Iterator[Row]:
    for step in tenancy.steps:
        live = step.old
        yield (
            tenancy.name,
            live.id,
            live.trigger.shown,
            secret_state(step),
            _declared_as(step),
            _made(step),
            live.url.shown,
        )


def _declared_as(step: Step) -> str:
    """Return the address, with the reasons for its step; if undeclared, the former name."""
    if step.address is None:
        return f"was {step.name}" if step.name else ""
    return f"{step.address} ({step.reason})" if step.reasons else step.address


def _made(step: Step) -> str:
    """Report who made a live subscription, and when hooksync did."""
    return f"{origin_words(step)} {(step.made_at or '')[:10]}".strip()
