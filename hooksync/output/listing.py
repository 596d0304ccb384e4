"""What is live, as a list. Pure.

The list is made from a plan. Nothing is compared here: the steps of the plan tell what is declared,
and whether its secret is the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from hooksync.core.clock import rfc3339
from hooksync.core.errors import counted
from hooksync.core.model import LiveSubscription
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.output.text import yes_no
from hooksync.output.view import RunView, StepView, TenancyView

_HEAD = (
    "tenancy",
    "id",
    "trigger",
    "identifiers",
    "secret",
    "declared as",
    "made",
    "url",
    "description",
)

Row = tuple[str, ...]


def targeted(view: TenancyView) -> TenancyView:
    """Leave out the subscriptions without an address, because --target selects by address."""
    steps = tuple(step for step in view.steps if step.address)
    ids = {step.id for step in steps}
    return replace(
        view, steps=steps, live=view.live and tuple(one for one in view.live if one.id in ids)
    )


def listed(view: TenancyView) -> list[tuple[LiveSubscription, StepView]]:
    """Pair each live subscription with its step, sorted by address, then by URL."""
    steps = {step.id: step for step in view.steps}
    pairs = [(one, steps[one.id]) for one in view.live or ()]
    return sorted(
        pairs,
        key=lambda pair: (not pair[1].address, pair[1].address or "", pair[0].key, pair[0].id),
    )


def list_counts(view: RunView) -> dict[str, int]:
    """Return the counts of a list. `declared`: the live subscriptions that a file declares."""
    counts = view.counts()
    return {
        "live": sum(len(one.live or ()) for one in view.tenancies),
        "declared": counts["keep"] + counts["resubscribe"],
        "not_live": counts["subscribe"],
        "secret_unknown": view.secret_unknown,
    }


def list_table(view: RunView) -> tuple[Sequence[Row], str]:
    """Return the rows of the list, without empty columns, and its summary."""
    rows: list[Row] = [_HEAD]
    for one in view.tenancies:
        rows += _rows(one)
    columns = []
    for column in zip(*rows, strict=True):
        if any(column[1:]) or len(rows) == 1:
            columns.append(column)
    counts = list_counts(view)
    states = Counter(step.secret_state for step in view.steps if step.secret and step.id)
    parts = []
    if counts["not_live"]:
        parts.append(f"{counts['not_live']} declared and not live")
    if states:
        known = [f"{number} {state.replace('-', ' ')}" for state, number in sorted(states.items())]
        parts.append(f"secrets: {', '.join(known)}")
    more = f", {counts['declared']} of them declared"
    return list(zip(*columns, strict=True)), _summary(view, more, *parts)


def _rows(view: TenancyView) -> Iterator[Row]:
    for one, step in listed(view):
        yield (
            view.name,
            one.id,
            one.trigger.shown,
            yes_no(one.include_identifiers),
            step.secret_state.replace("-", " ") if step.secret else "",
            _declared_as(step),
            _made(step),
            one.url.shown,
            step.description or "",
        )


def _declared_as(step: StepView) -> str:
    """Return the address, with the reasons for its step; if undeclared, the former name."""
    if step.address is None:
        return f"was {step.name}" if step.name else ""
    return f"{step.address} ({step.reason})" if step.reasons else step.address


def _made(step: StepView) -> str:
    """Report who made a live subscription, and when hooksync did."""
    when = rfc3339(step.made_at)[:10] if step.made_at else ""
    return f"{step.origin or ''} {when}".strip()


def _summary(view: RunView, more: str, *parts: str) -> str:
    unread = len(view.errors)
    live = list_counts(view)["live"]
    tenancies = counted(len(view.tenancies) - unread, "tenancy")
    texts = [f"List: {live} live in {tenancies}{more}", *parts]
    if unread:
        texts.append(f"{counted(unread, 'tenancy')} not read")
    return printable("; ".join(texts)) + "."
