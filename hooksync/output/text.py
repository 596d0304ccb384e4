"""A view as text for people: lines, each with its style. Pure: it prints nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

from hooksync.core.errors import Problem, counted, some_of
from hooksync.core.redaction import printable
from hooksync.output.view import RunView, StepView, TenancyView
from hooksync.reconcile.plan import NOT_MADE, Action, Adoption, Result

Style = Literal["", "green", "yellow", "red", "dim"]
Line: TypeAlias = tuple[Style, str]

_SYMBOLS: dict[Action, str] = {
    "subscribe": "+",
    "resubscribe": "+/-",
    "unsubscribe": "-",
    "keep": "=",
    "leave": ".",
}
_ORDERS = {
    "create-first": ("+/-", "new one first"),
    "remove-first": ("-/+", "old one removed first"),
}
_STYLES: dict[Action, Style] = {
    "subscribe": "green",
    "resubscribe": "yellow",
    "unsubscribe": "red",
    "keep": "dim",
    "leave": "dim",
}
_LABEL = 21  # columns that a field's name takes
_NARROWEST_NAME = 20  # columns
_WIDEST_NAME = 1_000  # likewise


def plain(lines: Iterable[Line]) -> str:
    """Join lines without their styles."""
    return "".join(f"{text}\n" for _, text in lines)


def table_lines(rows: Sequence[Sequence[str]]) -> list[Line]:
    """Write a table, the head first."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in shown)
    return [("" if number else "dim", line) for number, line in enumerate(lines)]


def plan_lines(view: RunView, *, shows_kept: bool = False) -> list[Line]:
    """Write a plan: each tenancy with its steps, a summary, and what the summary does not cover."""
    lines: list[Line] = []
    for one in view.tenancies:
        if items := tenancy_items(one, shows_kept=shows_kept):
            head = printable(f"{one.tenancy.name}   {one.tenancy.where}   {counts_of(one)}")
            lines += [("", head), ("", ""), *(line for item in items for line in item), ("", "")]
    return [
        *lines,
        ("", plan_summary(view)),
        *state_lines(view),
        *(("yellow", f"{each.what[0].upper()}{each.what[1:]}.") for each in view.undeclared),
    ]


def question(view: RunView) -> str:
    """Ask whether to carry a plan out, and say where."""
    chosen = [one.tenancy for one in view.tenancies if one.is_ready]
    if len(chosen) == 1:
        return printable(f"Carry this out on {chosen[0].where}?")
    servers = list(dict.fromkeys(tenancy.server.shown for tenancy in chosen))
    return printable(f"Carry this out in {len(chosen)} tenancies on {some_of(servers)}?")


def report_lines(view: RunView) -> list[Line]:
    """Write the result of a plan: what went wrong, a summary, and the verification."""
    failed = [
        line
        for each in failures(view)
        for line in (each.what, *([f"  fix: {each.fix}"] if each.fix else []))
    ]
    return [*(("", line) for line in failed), ("", applied_summary(view)), *verification(view)]


def applied_summary(view: RunView) -> str:
    """Sum up the result of a plan."""
    counts = view.results()
    parts = [
        f"{counts['done']} done",
        f"{counts['failed']} failed",
        f"{counts['not-attempted']} not tried",
    ]
    if counts["half-done"]:
        parts.insert(1, f"{counts['half-done']} half done")
    was_begun = counts["done"] or counts["half-done"] or counts["failed"]
    what = ", ".join(parts) if was_begun else f"nothing, {counts['not-attempted']} not tried"
    return f"Applied: {what}; {_untouched(view)}."


def state_lines(view: RunView) -> list[Line]:
    """Say that there is no state, where something is live that it might know."""
    if not (view.is_state_missing and any(tenancy.live for tenancy in view.tenancies)):
        return []
    line = f"There is no state at {view.state}: rotated secrets and moved receivers go unnoticed."
    return [("yellow", printable(line))]


def adopted_line(adopted: Adoption, state: str | None) -> str:
    """Tell how many were adopted of those that were to be."""
    if not adopted.asked:
        return "adopted: 0 of 0: no secret is unknown"
    unasked = (
        f", {adopted.unchallenged} of them without asking the receiver"
        if adopted.unchallenged
        else ""
    )
    line = f"adopted: {len(adopted.adopted)} of {adopted.asked} with an unknown secret"
    return line + (
        f", now recorded with the declared one in {state}{unasked}" if adopted.adopted else ""
    )


def _untouched(view: RunView) -> str:
    """Count what is kept, with what is unknown of it, and what is left alone."""
    counts = view.counts()
    doubts = [f"{view.secret_unknown} with an unknown secret"] if view.secret_unknown else []
    doubts += [f"{view.unlisted} not listed yet"] if view.unlisted else []
    kept = f"{counts['keep']} unchanged" + (f" ({', '.join(doubts)})" if doubts else "")
    return kept + (f", {counts['leave']} left alone" if counts["leave"] else "")


def tenancy_items(view: TenancyView, *, shows_kept: bool) -> list[list[Line]]:
    """Give what is shown of a tenancy: the lines of each step, then what is only counted."""
    steps, left_alone = _shown_steps(view, shows_kept=shows_kept)
    width = name_width(steps)
    items = [
        *([*step_lines(step, view, width)] for step in steps),
        *([line] for line in left_alone),
    ]
    return items or ([[("", "!   nothing planned, see the error")]] if view.error else [])


def _shown_steps(view: TenancyView, *, shows_kept: bool) -> tuple[list[StepView], list[Line]]:
    """Leave out the kept ones, and count those left alone, unless all are asked for."""
    if shows_kept:
        return list(view.steps), []
    shown = []
    reasons = Counter[str]()
    for step in view.steps:
        if step.is_drift:
            shown.append(step)
        elif step.action == "leave":
            reasons.update(step.reasons)
    lines: list[Line] = []
    for reason, number in sorted(reasons.items()):
        text = f".   {number} {reason}, left alone"
        if reason == NOT_MADE:
            text += f"; `owns: all` would remove {'it' if number == 1 else 'them'}"
        lines.append(("dim", printable(text)))
    return shown, lines


def name_width(steps: Iterable[StepView]) -> int:
    """Measure the column of names."""
    return max((_NARROWEST_NAME, *(min(_WIDEST_NAME, len(name_of(step)) + 2) for step in steps)))


def counts_of(view: TenancyView) -> str:
    """Count the live and the declared subscriptions."""
    live = "not read" if view.live is None else f"{len(view.live)} live"
    return f"{live}, {view.declared_count} declared"


def step_lines(step: StepView, view: TenancyView, width: int) -> Iterator[Line]:
    """Write a step: its symbol in the first column, then its fields and what became of it.

    `width`: of the name.
    """
    remark = _remark(step, view)
    if step.action == "resubscribe":
        remark = f"replaces {remark}, {_ORDERS[view.tenancy.replacement][1]}"
    first = (
        f"{_symbol(step, view):<4}{name_of(step):<{width}}{printable(step.trigger.shown):<14}"
        f" {remark}"
    )
    yield _STYLES[step.action], first.rstrip()
    for label, value in _fields(step):
        if value is not None:
            yield "", f"      {label:<{_LABEL}}{printable(value)}"
    if (
        step.outcome and step.outcome.result != "unchanged"
    ):  # marked where it is not done: that is no line of a plan
        text = ": ".join(filter(None, (result_words(step.outcome.result), step.outcome.detail)))
        yield (
            "",
            (
                f"{' ' if step.outcome.result == 'done' else '!'}    "
                f" {'outcome':<{_LABEL}}{printable(text)}"
            ),
        )


def _fields(step: StepView) -> Iterator[tuple[str, str | None]]:
    """Name the fields of a step that are shown, and their values; None: it has no such field."""
    yield "url", step.url
    yield "replaces_url", step.replaces_url
    if step.action == "subscribe":
        yield "include_identifiers", yes_no(step.include_identifiers)
    for change in step.changes:
        yield change.field, f"{yes_no(change.live)} -> {yes_no(change.declared)}"
    if step.action == "resubscribe" and (step.replaces_url is not None or not step.changes):
        yield "reason", ", ".join(step.reasons)
    if step.secret is not None:
        is_told = step.secret_state != "unknown" or step.action == "keep"
        yield (
            "secret",
            (
                f"{step.secret_state.replace('-', ' ')} ({step.secret})"
                if is_told
                else str(step.secret)
            ),
        )
    yield "description", step.description or None
    yield "owner", step.owner or None


def _symbol(step: StepView, view: TenancyView) -> str:
    return (
        _ORDERS[view.tenancy.replacement][0]
        if step.action == "resubscribe"
        else _SYMBOLS[step.action]
    )


def name_of(step: StepView) -> str:
    """Return the subscription's name, or the reason for the step where it has none."""
    return step.name or ", ".join(step.reasons)


def _remark(step: StepView, view: TenancyView) -> str:
    """Return the start of the id; for an undeclared subscription, also its origin and reason."""
    remark = printable((step.id or "")[: view.id_length])
    if step.origin and step.name:
        return f"{remark}   {', '.join(step.reasons)} ({step.origin})"
    return f"{remark}   {step.origin}" if step.action == "unsubscribe" else remark


def yes_no(value: bool | None) -> str:
    """Write a flag."""
    return {True: "true", False: "false", None: "not reported"}[value]


def plan_summary(view: RunView) -> str:
    """Sum up a plan."""
    counts = view.counts()
    if view.left_duplicates and not view.has_changes and not view.errors:
        return (
            "No changes to make; not as declared:"
            f" {counted(len(view.left_duplicates), 'duplicate')} left alone."
        )
    if not view.has_changes and not view.errors:
        number = len(view.tenancies)
        subject = f"{counted(number, 'tenancy')} {'matches' if number == 1 else 'match'}"
        if view.is_targeted:
            subject = f"The targeted subscriptions of {counted(number, 'tenancy')} match"
        kept = f"; {_untouched(view)}" if view.secret_unknown or view.unlisted else ""
        # else it would speak for what no file declares, too
        start = "" if view.undeclared else "No changes. "
        return f"{start}{subject} {view.sources}{kept}."
    unread = f"; {counted(len(view.errors), 'tenancy')} not planned" if view.errors else ""
    return (
        f"Plan: {counts['subscribe']} to subscribe, {counts['resubscribe']} to resubscribe, "
        f"{counts['unsubscribe']} to unsubscribe; {_untouched(view)}{unread}."
    )


def failures(view: RunView) -> Iterator[Problem]:
    """Name each step that is not done, with the reason and the fix."""
    for tenancy in view.tenancies:
        for step in tenancy.steps:
            outcome = step.outcome
            if outcome and outcome.result not in ("done", "unchanged") and outcome.detail:
                subject = step.address or f"{tenancy.tenancy.name}: {printable(step.id or '')}"
                what = f"{result_words(outcome.result)}: {step.action} {subject}: {outcome.detail}"
                yield Problem(what, outcome.fix)


def verification(view: RunView) -> Iterator[Line]:
    """Compare what was live at the end of an apply with what is declared."""
    looked = [
        (one, one.outcome.not_verified)
        for one in view.tenancies
        if one.outcome
        and one.has_changes
        and any(one.results()[each] for each in ("done", "failed", "half-done"))
    ]
    if right := [one for one, why in looked if not (why or one.differences)]:
        which = (
            "" if len(right) == len(looked) else f"{some_of([one.tenancy.name for one in right])}: "
        )
        yield "", f"Verified: {which}{_what_matches(view, right)}."
    for one, why in looked:
        if why:
            yield "", f"Not verified: {one.tenancy.name}: {why}"
        elif counts := Counter(step.action for step in one.differences):
            left = counts.pop("leave", 0)
            still = [f"{number} to {action}" for action, number in counts.items()]
            what = [f"{', '.join(still)} still to do"] if still else []
            what += [f"{counted(left, 'duplicate')} left alone"] if left else []
            yield "", f"Not as declared: {one.tenancy.name}: {'; '.join(what)}"
            for step in one.differences:
                rest = f"{name_of(step)}  {printable(step.trigger.shown)}  {_remark(step, one)}"
                yield _STYLES[step.action], f"{_symbol(step, one):<4}{rest}".rstrip()


def _what_matches(view: RunView, tenancies: Sequence[TenancyView]) -> str:
    """Say what the verification has shown, and no more."""
    unknown, unlisted = (
        sum(one.secret_unknown for one in tenancies),
        sum(one.unlisted for one in tenancies),
    )
    what = (
        "the targeted subscriptions match declared" if view.is_targeted else "live matches declared"
    )
    what += f", except the secrets of {unknown}" if unknown else ""
    duplicates = sum(len(one.left_duplicates) for one in tenancies)
    what += f", except {counted(duplicates, 'duplicate')}" if duplicates else ""
    return what + (f", except {unlisted} that the list does not show yet" if unlisted else "")


def result_words(result: Result) -> str:
    """Name a result in words."""
    return "not tried" if result == "not-attempted" else result.replace("-", " ")
