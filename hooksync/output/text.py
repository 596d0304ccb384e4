"""Make text for people from a view: lines, each with its style. Pure: prints nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

from hooksync.core.errors import Problem, counted, some_of
from hooksync.core.model import Notes
from hooksync.core.record import fields_of, replace
from hooksync.core.redaction import printable
from hooksync.output.view import RunView, StepView, TenancyView
from hooksync.reconcile.plan import Action, Result

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
_FEW_TENANCIES = 5  # with more tenancies, a table sums them up
_SHOWN_ID = 8  # characters of an id
_NARROWEST_NAME = 20  # columns
_WIDEST_NAME = 1_000  # columns


def plain(lines: Iterable[Line]) -> str:
    """Join lines without their styles."""
    return "".join(f"{text}\n" for _, text in lines)


def table_lines(rows: Sequence[Sequence[str]]) -> list[Line]:
    """Write a table. Its first row is the head."""
    shown = []
    for row in rows:
        shown.append([printable(cell) for cell in row])
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines: list[Line] = []
    for row in shown:
        text = "  ".join(map(str.ljust, row, widths)).rstrip()
        lines.append(("" if lines else "dim", text))
    return lines


def plan_lines(view: RunView, *, shows_kept: bool = False) -> list[Line]:
    """Write a plan: each tenancy with its steps, then a summary, then whether the state exists."""
    lines: list[Line] = []
    for text in selection_texts(view):
        lines += [("", text), ("", "")]
    for item in plan_items(view, shows_kept=shows_kept):
        lines += item
    lines += [*tenancy_table(view), ("", summary(view)), *state_lines(view)]
    return lines


def selection_texts(view: RunView) -> list[str]:
    """Name the globs of --tenancy and --target, if there are any: the plan is only a part."""
    return [printable(f"Only {', '.join(view.selection)}")] if view.selection else []


def plan_items(view: RunView, *, shows_kept: bool) -> list[list[Line]]:
    """Return the lines of each step. The heading of a tenancy comes before its first step."""
    items: list[list[Line]] = []
    for one in view.tenancies:
        found = _tenancy_items(one, shows_kept=shows_kept)
        if found:
            head = printable(f"{one.name}   {one.tenancy.where}   {counts_of(one)}")
            found[0] = [("", head), ("", ""), *found[0]]
            found[-1].append(("", ""))
        items += found
    return items


def tenancy_table(view: RunView) -> list[Line]:
    """Write a line for each tenancy that differs or failed, if there are many tenancies."""
    if len(view.tenancies) <= _FEW_TENANCIES:
        return []
    rows = [("tenancy", "outcome", "")]
    for one in view.tenancies:
        if one.summary not in ("as declared", "applied"):
            rows.append((one.name, one.summary, change_words(one)))
    return [*table_lines(rows), ("", "")] if len(rows) > 1 else []


def question(view: RunView) -> str:
    """Ask whether to apply a plan: what is removed, and what changes where."""
    lines = []
    for tenancy in view.tenancies:
        if not tenancy.is_ready:
            continue
        for step in tenancy.steps:
            if step.action == "unsubscribe":
                lines.append(f"REMOVE {' '.join(step_columns(step, tenancy)[2:])}   {step.url}")
        lines.append(f"{tenancy.name} ({tenancy.tenancy.where}): {change_words(tenancy)}.")
    return "\n".join(map(printable, lines)) + " Type yes to apply: "


def change_words(view: TenancyView) -> str:
    """Count the steps of a tenancy that change something."""
    counts = view.counts()
    words = []
    for action in ("subscribe", "resubscribe"):
        if counts[action]:
            words.append(f"{counts[action]} to {action}")
    if counts["unsubscribe"]:
        words.append(f"{counts['unsubscribe']} to REMOVE")
    return ", ".join(words)


def report_lines(view: RunView) -> list[Line]:
    """Write the result of a plan: what went wrong, a summary, and the verification."""
    lines: list[Line] = []
    for each in failures(view):
        lines.append(("", each.what))
        if each.fix:
            lines.append(("", f"  fix: {each.fix}"))
    lines += tenancy_table(view)
    return [*lines, ("", summary(view)), *verification(view)]


def summary(view: RunView) -> str:
    """Sum up a plan, or its result if something was to be done."""
    counts = view.results()
    if not (counts and view.has_changes):
        return _plan_summary(view)
    parts = []
    for result in ("done", "half-done", "unsettled", "failed", "not-attempted"):
        number = counts[result]
        if number or result in ("done", "failed"):
            parts.append(f"{number} {result_words(result)}")
    return f"Applied: {', '.join(parts)}; {_summary_tail(view)}."


def state_lines(view: RunView) -> list[Line]:
    """Report that there is no state yet, unless nothing could be read."""
    if not view.is_state_missing or all(one.live is None for one in view.tenancies):
        return []
    return [("", printable(f"No state yet ({view.state}): the first apply creates it."))]


def _summary_tail(view: RunView) -> str:
    """Count doubts, kept and left subscriptions, and tenancies that could not be planned."""
    counts = view.counts()
    unchanged = counts["keep"] - view.secret_unknown
    parts = [*_uncertain_parts(view), f"{unchanged} unchanged"]
    if counts["leave"]:
        parts[-1] += f", {counts['leave']} left alone"
    unread = sum(tenancy.live is None for tenancy in view.tenancies)
    if unread:
        parts.append(f"{counted(unread, 'tenancy')} not planned")
    return "; ".join(parts)


def _tenancy_items(view: TenancyView, *, shows_kept: bool) -> list[list[Line]]:
    """Return the lines of each shown step, then the counts of those that are left alone."""
    steps, left_alone = _shown_steps(view, shows_kept=shows_kept)
    widths = [len(step.name or step.reason) + 2 for step in steps]
    width = max([_NARROWEST_NAME, *widths])
    items = [[*_step_lines(step, view, min(width, _WIDEST_NAME))] for step in steps]
    items += [[line] for line in left_alone]
    if view.error and not items:
        return [[("", "!   nothing planned, see the error")]]
    return items


def _shown_steps(view: TenancyView, *, shows_kept: bool) -> tuple[list[StepView], list[Line]]:
    """Choose the steps to show, and count the others that leave a subscription alone.

    A kept subscription is not shown, unless it was replaced outside this state. `shows_kept`:
    show all steps.
    """
    if shows_kept:
        return list(view.steps), []
    shown = []
    reasons = Counter[str]()
    for step in view.steps:
        if step.is_drift or any(each.code == "replaced-outside" for each in step.reasons):
            shown.append(step)
        elif step.action == "leave":
            reasons[step.reason] += 1
    lines: list[Line] = []
    for reason, number in sorted(reasons.items()):
        lines.append(("dim", printable(f".   {number} {reason}, left alone")))
    return shown, lines


def counts_of(view: TenancyView) -> str:
    """Count the live and the declared subscriptions."""
    live = "not read" if view.live is None else f"{len(view.live)} live"
    return f"{live}, {view.declared_count} declared"


def step_columns(step: StepView, view: TenancyView) -> tuple[str, str, str, str]:
    """Return the parts of a step's first line: symbol, name, trigger and remark."""
    symbol = "?" if step.has_unknown_secret else _SYMBOLS[step.action]
    remark = _remark(step)
    if step.action == "resubscribe":
        symbol, order = _ORDERS[view.tenancy.replacement]
        remark = f"replaces {remark}, {order}"
    return symbol, step.name or step.reason, printable(step.trigger.shown), remark


def _step_lines(step: StepView, view: TenancyView, width: int) -> Iterator[Line]:
    """Write a step, its fields and its outcome. `width`: columns for the name."""
    symbol, name, trigger, remark = step_columns(step, view)
    yield _STYLES[step.action], f"{symbol:<4}{name:<{width}}{trigger:<14} {remark}".rstrip()
    for label, value in step_fields(step):
        yield "", f"      {label:<{_LABEL}}{printable(value)}"
    outcome = step.outcome
    if outcome and outcome.result != "unchanged":
        # `!` marks a step that is not done: it stands out from the lines of a plan
        mark = " " if outcome.result == "done" else "!"
        text = ": ".join(filter(None, (result_words(outcome.result), outcome.detail)))
        yield "", f"{mark}     {'outcome':<{_LABEL}}{printable(text)}"


def step_fields(step: StepView) -> Iterator[tuple[str, str]]:
    """Name the fields of a step that are shown, and their values."""
    yield "url", step.url
    if step.replaces_url is not None:
        yield "replaces_url", step.replaces_url
    if step.action == "subscribe":
        yield "include_identifiers", yes_no(step.include_identifiers)
    for change in step.changes:
        yield change.field, f"{yes_no(change.live)} -> {yes_no(change.declared)}"
    others = [each.text for each in step.reasons if each.code not in ("new", "flag-changed")]
    if step.action in ("subscribe", "resubscribe", "keep") and others:
        yield "reason", ", ".join(others)
    if step.secret is not None:
        is_known = step.secret_state != "unknown" or step.action == "keep"
        state = step.secret_state.replace("-", " ")
        yield "secret", f"{state} ({step.secret})" if is_known else str(step.secret)
    for name, text in fields_of(Notes, step).items():
        if text:
            yield name, text


def _remark(step: StepView) -> str:
    """Return the start of the id; for an undeclared subscription, also its reason and origin."""
    remark = printable((step.id or "")[:_SHOWN_ID])
    if step.action not in ("unsubscribe", "leave"):
        return remark
    if step.name:
        why = ", ".join(filter(None, (step.reason, step.origin)))
        return f"{remark}   {why}"
    return f"{remark}   {step.origin or ''}" if step.action == "unsubscribe" else remark


def yes_no(value: bool | None) -> str:
    """Write a flag as in YAML; None is `not reported`."""
    return {True: "true", False: "false", None: "not reported"}[value]


def _plan_summary(view: RunView) -> str:
    counts = view.counts()
    if view.has_changes or view.errors:
        return (
            f"Plan: {counts['subscribe']} to subscribe, {counts['resubscribe']} to resubscribe,"
            f" {counts['unsubscribe']} to REMOVE; {_summary_tail(view)}."
        )
    if _uncertain_parts(view):
        return f"No changes to make; {_summary_tail(view)}."
    number = len(view.tenancies)
    subject = f"{counted(number, 'tenancy')} {'matches' if number == 1 else 'match'}"
    if view.is_targeted:
        subject = f"The targeted subscriptions of {counted(number, 'tenancy')} match"
    # "No changes" would be wrong if the state has tenancies that no file declares
    start = "" if view.undeclared else "No changes. "
    return f"{start}{subject} {view.sources}; {_summary_tail(view)}."


def _uncertain_parts(view: RunView) -> list[str]:
    """Count unknown secrets, subscriptions not listed yet, and duplicates that are left."""
    doubts = []
    if view.secret_unknown:
        doubts.append(f"not compared: {counted(view.secret_unknown, 'secret')}")
    if view.unlisted:
        doubts.append(f"not listed yet: {len(view.unlisted)}")
    if view.left_duplicates:
        number = counted(len(view.left_duplicates), "duplicate")
        doubts.append(f"not as declared: {number} left alone")
    return doubts


def failures(view: RunView) -> Iterator[Problem]:
    """Name each step that is not done, with the reason and the fix."""
    for tenancy in view.tenancies:
        for step in tenancy.steps:
            outcome = step.outcome
            if outcome and outcome.result not in ("done", "unchanged") and outcome.detail:
                subject = step.address or f"{tenancy.name}: {printable(step.id or '')}"
                what = f"{result_words(outcome.result)}: {step.action} {subject}: {outcome.detail}"
                yield Problem(what, outcome.fix)


def verification(view: RunView) -> Iterator[Line]:
    """Report the result of the verification, for each tenancy in which a call was tried."""
    looked = []
    for one in view.tenancies:
        was_tried = one.results().keys() - {"unchanged", "not-attempted"}
        if one.outcome and was_tried:
            looked.append((one, one.outcome))
    right = [one for one, outcome in looked if not (outcome.not_verified or one.differences)]
    if right:
        which = ""
        if len(right) < len(looked) or view.errors or view.refusals:
            which = some_of([one.name for one in right]) + ": "
        verified = replace(view, tenancies=tuple(right))
        yield "", f"Verified: {which}{_what_matches(verified)}."
    for one, outcome in looked:
        if outcome.not_verified:
            yield "", f"Not verified: {one.name}: {outcome.not_verified}"
        elif one.differences:
            yield from _difference_lines(one)


def _difference_lines(view: TenancyView) -> Iterator[Line]:
    yield "", f"Not as declared: {view.name}: {counted(len(view.differences), 'subscription')}"
    for step in view.differences:
        symbol, name, trigger, remark = step_columns(step, view)
        if step.action == "keep":
            remark += f"   {step.reason}"
        yield _STYLES[step.action], f"{symbol:<4}{name}  {trigger}  {remark}".rstrip()


def _what_matches(view: RunView) -> str:
    """Word what the verification has confirmed, with its exceptions."""
    duplicates = len(view.left_duplicates)
    unsettled = view.results()["unsettled"]
    what = "live matches declared"
    if view.is_targeted:
        what = "the targeted subscriptions match declared"
    if view.secret_unknown:
        what += f", except the secrets of {view.secret_unknown}"
    if duplicates:
        what += f", except {counted(duplicates, 'duplicate')}"
    if unsettled:
        what += f", except {unsettled} unsettled"
    return what


def result_words(result: Result) -> str:
    """Name a result in words."""
    return "not tried" if result == "not-attempted" else result.replace("-", " ")
