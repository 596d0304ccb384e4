"""Make text for people from a plan: lines, each with what it reports. Pure: prints nothing.

The lines of a plan are made here, for Markdown and HTML too; `sentences` sums it up.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from hooksync.core.errors import by_fix, pluralised, shortened
from hooksync.core.model import Notes
from hooksync.core.record import fields_of
from hooksync.core.redaction import printable
from hooksync.reconcile.plan import (
    URL_CHANGED,
    Action,
    Plan,
    Step,
    TenancyPlan,
    origin_words,
)
from hooksync.render.sentences import (
    CHANGES,
    RESULT_WORDS,
    counted,
    expected_answer,
    failures,
    new_words,
    quiet_sentence,
    selection_sentences,
    summaries,
    verified_sentences,
)

Line: TypeAlias = tuple[str, str]  # what it reports, by which it is coloured, and its text
Lines: TypeAlias = list[Line]
Field: TypeAlias = tuple[str, str]  # the name of what is shown of a step, and its value

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
_LABEL = 21  # columns that a field's name takes
_SHOWN_ID = 8  # characters of an id


def plain(lines: Iterable[Line]) -> str:
    """Join lines without colours."""
    return "".join(f"{printable(text)}\n" for _, text in lines)


def unstyled(texts: Iterable[str]) -> Lines:
    """Return lines without a colour."""
    return [("", text) for text in texts]


def plan_lines(plan: Plan, *, shows_kept: bool = False) -> Lines:
    """Write a plan; after an apply that had something to do, its result without the steps."""
    lines: Lines = []
    if plan.is_report and plan.has_changes:
        for fix, alike in by_fix(failures(plan)).items():
            lines += unstyled([*(problem.what for problem in alike), f"  fix: {fix}"])
    else:
        for text in selection_sentences(plan):
            lines += unstyled([text, ""])
        lines += tenancy_lines(plan, shows_kept=shows_kept)
        lines += unread_lines(plan)
    return [*lines, *unstyled(summaries(plan)), *verification(plan)]


def unread_lines(plan: Plan) -> Lines:
    """Write a line for each tenancy that could not be read."""
    heads = [head_of(tenancy) for tenancy in plan.tenancies if tenancy.live_count is None]
    return unstyled([*heads, ""] if heads else [])


def tenancy_lines(plan: Plan, *, shows_kept: bool) -> Lines:
    """Write the steps of each tenancy that needs a look, and one line about all others.

    A run with one tenancy always shows its head.
    """
    lines: Lines = []
    quiet = []
    read = [tenancy for tenancy in plan.tenancies if tenancy.live_count is not None]
    for tenancy in read:
        steps = _shown_steps(tenancy, shows_kept=shows_kept)
        has_news = tenancy.refusals or tenancy.held or new_words(tenancy.steps)
        if not steps and not has_news and len(plan.tenancies) > 1:
            quiet.append(tenancy)
            continue
        shown = [*written_steps(steps, tenancy)]
        if not (shows_kept or plan.is_report):
            shown += _left_lines(tenancy)
        if shows_kept and tenancy.idle_attempts:
            addresses = shortened(tenancy.idle_attempts)
            shown += unstyled([f"?   attempts of earlier runs that nobody needs: {addresses}"])
        lines += unstyled([head_of(tenancy), ""])
        lines += [*shown, ("", "")] if shown else []
    if lines and quiet:
        lines += unstyled([quiet_sentence(quiet), ""])
    return lines


def head_of(tenancy: TenancyPlan) -> str:
    """Name a tenancy, its place, and its counts."""
    return f"{tenancy.name}   {tenancy.where}   {counts_of(tenancy)}"


def counts_of(tenancy: TenancyPlan) -> str:
    """Count the live and the declared subscriptions."""
    live = "not read" if tenancy.live_count is None else f"{tenancy.live_count} live"
    return f"{live}, {tenancy.declared_count} declared"


def _shown_steps(tenancy: TenancyPlan, *, shows_kept: bool) -> list[Step]:
    """Choose the steps to show; of a report, those that are not done.

    A kept subscription is not shown, unless apply refuses its unknown secret. `shows_kept`: show
    all steps.
    """
    shown = []
    for step in tenancy.steps:
        is_done = step.outcome and step.outcome.result in ("done", "unchanged")
        is_doubtful = step.reasons and step.has_unknown_secret
        if shows_kept or (not is_done and (step.is_drift or is_doubtful)):
            shown.append(step)
    return shown


def _left_lines(tenancy: TenancyPlan) -> Lines:
    """Count what is left alone, by the reason."""
    left = defaultdict[str, list[Step]](list)
    for step in tenancy.steps:
        if step.action == "leave" and not step.is_drift:
            left[step.reason].append(step)
    lines: Lines = []
    for reason, steps in sorted(left.items()):
        news = new_words(steps)
        remark = f" ({news})" if news else ""
        lines.append(("leave", f".   {len(steps)} {reason}{remark}, left alone"))
    return lines


def name_width(names: Iterable[str]) -> int:
    """Return the width of a column of names, and of the space after it."""
    return max([_NARROWEST_NAME, *(len(name) + 2 for name in names)])


def written_steps(steps: Sequence[Step], tenancy: TenancyPlan) -> Iterator[Line]:
    """Write steps, each with its fields and its outcome. Only their first lines have a kind."""
    columns = [step_columns(step, tenancy) for step in steps]
    names = name_width(column[1] for column in columns)
    triggers = max([_NARROWEST_TRIGGER, *(len(column[2]) + 1 for column in columns)])
    for step, (symbol, name, trigger, remark, note) in zip(steps, columns, strict=True):
        start = f"{symbol:<4}{name:<{names}}{trigger:<{triggers}}{remark}".rstrip()
        first, *rest = _fitted(start, f"   {note}" if note else "")
        yield step.action, first
        yield from unstyled(rest)
        for label, value in step_fields(step):
            # `!` marks a step that is not done: it differs from the lines of a plan
            mark = "!" if label == "outcome" and value != "done" else " "
            yield from unstyled(_fitted(f"{mark}     {label:<{_LABEL}}", value))


def _fitted(start: str, text: str) -> list[str]:
    """Write a text after the start of its line, or below it if a terminal is too narrow."""
    line = f"{start}{text}"
    return [line] if len(line) <= _COLUMNS else [start.rstrip(), f"        {text.strip()}"]


def step_columns(step: Step, tenancy: TenancyPlan) -> tuple[str, str, str, str, str]:
    """Return the parts of a step's first line: symbol, name, trigger, id, and a note."""
    symbol = "?" if step.has_unknown_secret else _SYMBOLS[step.action]
    name = step.name or step.reason
    identifier = printable(step.id[:_SHOWN_ID])
    note = ""
    if step.action == "resubscribe":
        symbol, order = _ORDERS[tenancy.replacement]
        identifier = f"replaces {identifier}, {order}"
    elif step.action == "adopt":
        challenge = "" if tenancy.probe == "never" else " after a challenge"
        note = f"adopts it{challenge}: hooksync owns it from now on"
    elif step.action in ("unsubscribe", "forget", "leave"):
        reasons = [reason.text for reason in step.reasons]
        facts = [fact for fact in (*reasons, origin_words(step)) if fact not in name.split(", ")]
        if step.is_new:
            facts.append("new")
        if step.needs_review:
            facts.append("removed only after a review")
        note = ", ".join(filter(None, facts))
    return symbol, name, printable(step.shown.trigger.shown), identifier, note


def step_fields(step: Step) -> Iterator[Field]:
    """Name the fields of a step that are shown, and their values."""
    yield "url", step.url
    if URL_CHANGED in step.reasons:
        yield "replaces_url", step.live_side.url.shown
    yield from _compared_fields(step)
    reasons = [reason.text for reason in step.reasons if reason.code not in _SHOWN_OTHERWISE]
    if reasons and step.action not in _REASON_FIRST:
        yield "reason", ", ".join(reasons)
    if step.secret:
        yield "secret", _secret_words(step)
    if step.declared:
        for name, note in fields_of(Notes, step.declared).items():
            if note:
                yield name, note
    if step.is_held:
        yield "refused", "held, for the reason below"
    if step.outcome and step.outcome.result != "unchanged":
        yield "outcome", RESULT_WORDS[step.outcome.result]


def _compared_fields(step: Step) -> Iterator[Field]:
    """Name the compared fields that a step sets or changes, and their values."""
    if step.creates:
        for name, value in step.declared_side.content.items():
            if step.live is None:
                yield name, _value_words(value)
            elif step.live.content[name] != value:
                yield name, f"{_value_words(step.live.content[name])} -> {_value_words(value)}"


def _value_words(value: object) -> str:
    """Write the value of a compared field as in YAML; None is `not reported`."""
    return "not reported" if value is None else json.dumps(value)


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


def question(plan: Plan) -> str:
    """Ask whether to apply a plan: what is removed or adopted, and what changes where."""
    lines = []
    for tenancy in plan.ready_tenancies:
        named = [step for step in tenancy.steps if step.action in _CONFIRMED]
        if named:
            lines.append("To confirm:")
        lines += [text for _, text in written_steps(named, tenancy)]
        lines.append(f"{tenancy.name} ({tenancy.where}): {counted(tenancy.counts(), CHANGES)}.")
    answer = expected_answer(plan)
    if answer == "yes":
        lines[-1] += " Type yes to apply: "
    else:
        lines[-1] += f" That is above the limit. Type {answer}, the number of removals, to apply: "
    return "\n".join(map(printable, lines))


def verification(plan: Plan) -> Lines:
    """Report what is not as declared, then what was verified.

    The steps that are not done have been named, with the reason.
    """
    lines: Lines = []
    for tenancy in plan.tenancies:
        if tenancy.differences and not tenancy.not_verified:
            number = pluralised(len(tenancy.differences), "subscription")
            lines += unstyled([f"Not as declared: {tenancy.name}: {number}"])
            named = [(step.action, step.shown.key) for step in tenancy.steps if step.has_failed]
            others = []
            for step in tenancy.differences:
                if (step.action, step.shown.key) not in named:
                    others.append(step)
            lines += written_steps(others, tenancy)
    return [*lines, *unstyled(verified_sentences(plan))]
