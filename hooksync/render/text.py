"""Make text for people from a plan: lines, each with what it reports. Pure: prints nothing.

The lines of a plan are made here, for Markdown and HTML too; `sentences` sums it up.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from hooksync.core.errors import shortened
from hooksync.core.model import Notes
from hooksync.core.record import fields_of
from hooksync.core.redaction import printable
from hooksync.reconcile.plan import ORIGIN_WORDS, URL_CHANGED, Action, Plan, Step, TenancyPlan
from hooksync.render.sentences import (
    CHANGES,
    counted,
    new_words,
    quiet_sentence,
    selection_sentences,
    summaries,
)

Field = tuple[str, str]  # the name of what is shown of a step, and its value

_COLUMNS = 80  # of a terminal
_SYMBOLS: dict[Action, str] = {
    "subscribe": "+",
    "resubscribe": "+/-",
    "unsubscribe": "-",
    "adopt": "a",
    "forget": "f",
    "keep": "=",
    "leave": ".",
}
_ORDERS = {
    "create-first": ("+/-", "new one first"),
    "remove-first": ("-/+", "old one removed first"),
}
_SHOWN_OTHERWISE = ("new", "flag-changed")  # reasons, by a symbol or by the field that differs
_CONFIRMED = ("unsubscribe", "adopt", "forget")  # actions that a prompt names
_REASON_FIRST = (*_CONFIRMED, "leave")  # actions whose first lines have the reason
_NARROWEST_NAME = 20  # columns
_NARROWEST_TRIGGER = 15  # columns
SHOWN_ID = 8  # characters of an id


def plain(lines: Iterable[str]) -> str:
    """Join lines without colours."""
    return "".join(f"{printable(text)}\n" for text in lines)


def plan_lines(plan: Plan, *, shows_kept: bool = False) -> Iterator[str]:
    """Write a plan; after an apply that had something to do, its result without the steps."""
    if not plan.is_result:
        for text in selection_sentences(plan):
            yield from (text, "")
        yield from tenancy_lines(plan, shows_kept=shows_kept)
    yield from summaries(plan)


def tenancy_lines(plan: Plan, *, shows_kept: bool) -> Iterator[str]:
    """Write the steps of each tenancy that needs a look, and one line about all others.

    What could not be read comes last. A run with one tenancy always shows its head.
    """
    quiet = []
    unread = []
    for tenancy in plan.tenancies:
        steps = [step for step in tenancy.steps if shows_kept or _needs_a_look(step)]
        is_held = tenancy.refusals or tenancy.held
        if tenancy.live_count is None:
            unread.append(head_of(tenancy))
        elif steps or is_held or new_words(tenancy.steps) or len(plan.tenancies) == 1:
            yield from _block(tenancy, steps, shows_kept=shows_kept)
        else:
            quiet.append(tenancy)
    if 0 < len(quiet) < len(plan.tenancies):
        yield from (quiet_sentence(quiet), "")
    if unread:
        yield from (*unread, "")


def head_of(tenancy: TenancyPlan) -> str:
    """Name a tenancy and its place, and count its live and its declared subscriptions."""
    live = "not read" if tenancy.live_count is None else f"{tenancy.live_count} live"
    return f"{tenancy.name}   {tenancy.where}   {live}, {tenancy.declared_count} declared"


def _needs_a_look(step: Step) -> bool:
    """Whether a step changes something, is left though it should change, or has a doubt."""
    return step.is_drift or bool(step.reasons and step.has_unknown_secret)


def _block(tenancy: TenancyPlan, steps: Sequence[Step], *, shows_kept: bool) -> Iterator[str]:
    """Write some steps of a tenancy, and count what it leaves alone."""
    yield from (head_of(tenancy), "")
    lines = [*written_steps(steps, tenancy)]
    left = defaultdict[str, list[Step]](list)
    for step in tenancy.steps:
        if step.action == "leave" and not (shows_kept or step.is_drift):
            left[step.reason].append(step)
    for reason, alike in sorted(left.items()):
        news = new_words(alike)
        remark = f" ({news})" if news else ""
        lines.append(f".   {len(alike)} {reason}{remark}, left alone")
    if shows_kept and tenancy.idle_attempts:
        addresses = shortened(tenancy.idle_attempts)
        lines.append(f"?   attempts of earlier runs that nobody needs: {addresses}")
    if lines:
        yield from (*lines, "")


def column_width(texts: Iterable[str], narrowest: int = _NARROWEST_NAME) -> int:
    """Return the width of a column, with the space after it."""
    return max([narrowest, *(len(text) + 2 for text in texts)])


def written_steps(steps: Sequence[Step], tenancy: TenancyPlan) -> Iterator[str]:
    """Write steps, each with its fields."""
    rows = [step_columns(step, tenancy) for step in steps]
    names = column_width(row[1] for row in rows)
    triggers = column_width((row[2] for row in rows), _NARROWEST_TRIGGER)
    for step, (symbol, name, trigger, identifier, note) in zip(steps, rows, strict=True):
        start = f"{symbol:<4}{name:<{names}}{trigger:<{triggers}}{identifier}"
        yield from _fitted(start, f"   {note}" if note else "")
        for label, value in step_fields(step):
            yield from _fitted(f"      {label:<21}", value)


def _fitted(start: str, text: str) -> Iterator[str]:
    """Write a text after the start of its line, or below it if a terminal is too narrow."""
    if len(start + text) <= _COLUMNS:
        yield f"{start}{text}".rstrip()
    else:
        yield start.rstrip()
        yield f"        {text.strip()}"


def step_columns(step: Step, tenancy: TenancyPlan) -> tuple[str, str, str, str, str]:
    """Return the parts of a step's first line: symbol, name, trigger, id, and a note."""
    symbol = "?" if step.has_unknown_secret else _SYMBOLS[step.action]
    identifier = printable(step.id[:SHOWN_ID])
    note = _reason_words(step) if step.action in _REASON_FIRST else ""
    if step.action == "resubscribe":
        symbol, order = _ORDERS[tenancy.replacement]
        identifier = f"replaces {identifier}, {order}"
    elif step.action == "adopt" and tenancy.probe != "never":
        note += ", after a challenge"
    trigger = printable(step.shown.trigger.shown)
    return symbol, step.name or "(no name)", trigger, identifier, note


def _reason_words(step: Step) -> str:
    """Write the reasons of a step, and what the state has about what it removes or leaves."""
    facts = [reason.text for reason in step.reasons if reason.code not in _SHOWN_OTHERWISE]
    if step.action in ("unsubscribe", "forget", "leave"):
        facts += [ORIGIN_WORDS.get(step.origin, ""), "new" if step.is_new else ""]
    if step.needs_review:
        facts.append("removed only after a review")
    return ", ".join(dict.fromkeys(filter(None, facts)))


def step_fields(step: Step) -> Iterator[Field]:
    """Name the fields of a step that are shown, and their values."""
    yield "url", step.url
    if URL_CHANGED in step.reasons:
        yield "replaces_url", step.live_side.url.shown
    yield from _compared_fields(step)
    reasons = _reason_words(step)
    if reasons and step.action not in _REASON_FIRST:
        yield "reason", reasons
    if step.secret:
        yield "secret", _secret_words(step)
    if step.declared:
        for name, note in fields_of(Notes, step.declared).items():
            if note:
                yield name, note
    if step.is_held:
        yield "refused", "held"


def _compared_fields(step: Step) -> Iterator[Field]:
    """Name the compared fields that a step sets or changes, and their values as in YAML."""
    if not (step.creates or step.action == "adopt"):
        return
    for name, value in step.declared_side.content.items():
        words = json.dumps(value)
        if step.live is None:
            yield name, words
            continue
        live = step.live.content[name]
        change = f"{'not reported' if live is None else json.dumps(live)} -> {words}"
        if step.creates and live != value:
            yield name, change
        elif live not in (None, value):
            yield "then", f"the next apply resubscribes it: {name} {change}"


def _secret_words(step: Step) -> str:
    """Write the reference of the secret, and what is known of the live one."""
    reference = step.declared_side.secret
    if step.action == "adopt":
        return f"taken as {reference}"
    if step.secret == "unknown" and step.action != "keep":
        return str(reference)
    return f"{secret_state(step)} ({reference})"


def secret_state(step: Step) -> str:
    """Report what is known of a live secret, and what vouches for it if that is no response."""
    words = (step.secret or "").replace("-", " ")
    return f"{words}, as adopted" if step.evidence == "adopted" else words


def question(plan: Plan) -> tuple[str, str]:
    """Ask whether to apply a plan: what is removed or adopted, and what changes where.

    Also returns the expected answer: yes, or the number of removals if they exceed a limit.
    """
    lines = []
    ready = plan.ready_tenancies
    for tenancy in ready:
        named = [step for step in tenancy.steps if step.action in _CONFIRMED]
        if named:
            lines.append("To confirm:")
        lines += written_steps(named, tenancy)
        lines.append(f"{tenancy.name} ({tenancy.where}): {counted(tenancy.counts(), CHANGES)}.")
    answer = "yes"
    if any(tenancy.over_limit for tenancy in ready):
        answer = str(sum(tenancy.counts()["unsubscribe"] for tenancy in ready))
        lines[-1] += " That is above the limit: type the number of removals."
    lines[-1] += f" Type {answer} to apply: "
    return "\n".join(map(printable, lines)), answer
