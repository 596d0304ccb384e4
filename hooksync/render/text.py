"""Make text for people from a plan: lines, each with its style. Pure: prints nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

from hooksync.core.errors import Problem, pluralised, shortened
from hooksync.core.model import Notes
from hooksync.core.record import fields_of, replace
from hooksync.core.redaction import printable
from hooksync.reconcile.plan import (
    PAUSED,
    REPLACED_OUTSIDE,
    URL_CHANGED,
    Action,
    Plan,
    Result,
    Step,
    TenancyPlan,
    origin_words,
)

Style = Literal["", "green", "yellow", "red", "dim"]
Line: TypeAlias = tuple[Style, str]

_SYMBOLS: dict[Action, str] = {
    "subscribe": "+",
    "resubscribe": "+/-",
    "unsubscribe": "-",
    "adopt": "a",
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
    "adopt": "yellow",
    "keep": "dim",
    "leave": "dim",
}
_ASKED: dict[Action, str] = {"unsubscribe": "REMOVE", "adopt": "ADOPT"}  # the prompt names each
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


def text_lines(plan: Plan, *, shows_kept: bool = False) -> list[Line]:
    """Write a plan; after an apply that had something to do, its result."""
    if plan.is_report and plan.has_changes:
        return report_lines(plan)
    return plan_lines(plan, shows_kept=shows_kept)


def plan_lines(plan: Plan, *, shows_kept: bool = False) -> list[Line]:
    """Write a plan: each tenancy with its steps, then a summary, then whether the state exists."""
    lines: list[Line] = []
    for text in selection_texts(plan):
        lines += [("", text), ("", "")]
    for item in plan_items(plan, shows_kept=shows_kept):
        lines += item
    lines += [*tenancy_table(plan), ("", summary(plan)), *state_lines(plan)]
    return lines


def selection_texts(plan: Plan) -> list[str]:
    """Name the globs of --tenancy and --target, if there are any: the plan is only a part."""
    globs = (*plan.selection.tenancy, *plan.selection.target)
    return [printable(f"Only {', '.join(globs)}")] if globs else []


def plan_items(plan: Plan, *, shows_kept: bool) -> list[list[Line]]:
    """Return the lines of each step. The heading of a tenancy comes before its first step."""
    items: list[list[Line]] = []
    for tenancy in plan.tenancies:
        found = _tenancy_items(tenancy, shows_kept=shows_kept)
        if found:
            head = printable(f"{tenancy.name}   {tenancy.where}   {counts_of(tenancy)}")
            found[0] = [("", head), ("", ""), *found[0]]
            found[-1].append(("", ""))
        items += found
    return items


def tenancy_table(plan: Plan) -> list[Line]:
    """Write a line for each tenancy that differs or failed, if there are many tenancies."""
    if len(plan.tenancies) <= _FEW_TENANCIES:
        return []
    rows = [("tenancy", "outcome", "")]
    for tenancy in plan.tenancies:
        if tenancy.outcome not in ("as-declared", "applied"):
            rows.append((tenancy.name, outcome_words(tenancy), change_words(tenancy)))
    return [*table_lines(rows), ("", "")] if len(rows) > 1 else []


def question(plan: Plan) -> str:
    """Ask whether to apply a plan: what is removed, and what changes where."""
    lines = []
    for tenancy in plan.tenancies:
        if not tenancy.is_ready:
            continue
        for step in tenancy.steps:
            if step.action in _ASKED:
                columns = " ".join(step_columns(step, tenancy)[2:])
                lines.append(f"{_ASKED[step.action]} {columns}   {step.url}")
        lines.append(f"{tenancy.name} ({tenancy.where}): {change_words(tenancy)}.")
    answer = expected_answer(plan)
    if answer != "yes":
        lines[-1] += f" That is above the limit. Type {answer}, the number of removals, to apply: "
    else:
        lines[-1] += " Type yes to apply: "
    return "\n".join(map(printable, lines))


def expected_answer(plan: Plan) -> str:
    """Return the answer to the question that applies a plan.

    It is the number of removals if they exceed the limit of a tenancy.
    """
    ready = plan.ready_tenancies
    removals = sum(tenancy.counts()["unsubscribe"] for tenancy in ready)
    return str(removals) if any(tenancy.over_limit for tenancy in ready) else "yes"


def change_words(tenancy: TenancyPlan) -> str:
    """Count the steps of a tenancy that change something."""
    counts = tenancy.counts()
    words = []
    for action in ("subscribe", "resubscribe"):
        if counts[action]:
            words.append(f"{counts[action]} to {action}")
    if counts["unsubscribe"]:
        words.append(f"{counts['unsubscribe']} to REMOVE")
    if counts["adopt"]:
        words.append(f"{counts['adopt']} to adopt")
    return ", ".join(words)


def outcome_words(tenancy: TenancyPlan) -> str:
    """Name the outcome of a tenancy in words."""
    return (tenancy.outcome or "").replace("-", " ")


def report_lines(plan: Plan) -> list[Line]:
    """Write the result of a plan: what went wrong, a summary, and the verification."""
    lines: list[Line] = []
    for problem in failures(plan):
        lines.append(("", problem.what))
        if problem.fix:
            lines.append(("", f"  fix: {problem.fix}"))
    lines += tenancy_table(plan)
    return [*lines, ("", summary(plan)), *verification(plan)]


def summary(plan: Plan) -> str:
    """Sum up a plan, or its result if something was to be done."""
    counts = plan.results()
    if not (counts and plan.has_changes):
        return _plan_summary(plan)
    parts = []
    for result in ("done", "half-done", "unsettled", "failed", "not-attempted"):
        number = counts[result]
        if number or result in ("done", "failed"):
            parts.append(f"{number} {result_words(result)}")
    return f"Applied: {', '.join(parts)}; {_summary_tail(plan)}."


def state_lines(plan: Plan) -> list[Line]:
    """Report that there is no state yet, unless nothing could be read."""
    if not plan.state_missing or plan.unread == len(plan.tenancies):
        return []
    return [("", printable(f"No state yet ({plan.state}): the first apply creates it."))]


def _summary_tail(plan: Plan) -> str:
    """Count doubts, kept and left subscriptions, and tenancies that could not be planned."""
    counts = plan.counts()
    paused = sum(step.action == "keep" and PAUSED in step.reasons for step in plan.steps)
    unchanged = counts["keep"] - plan.secret_unknown - paused
    parts = [*_uncertain_parts(plan), f"{unchanged} unchanged"]
    if paused:
        parts[-1] += f", {paused} paused"
    if counts["leave"]:
        parts[-1] += f", {counts['leave']} left alone"
    if plan.unread:
        parts.append(f"{pluralised(plan.unread, 'tenancy')} not planned")
    return "; ".join(parts)


def _tenancy_items(tenancy: TenancyPlan, *, shows_kept: bool) -> list[list[Line]]:
    """Return the lines of each shown step, then the counts of those that are left alone."""
    steps, left_alone = _shown_steps(tenancy, shows_kept=shows_kept)
    widths = [len(step.name or step.reason) + 2 for step in steps]
    width = max([_NARROWEST_NAME, *widths])
    items = [[*_step_lines(step, tenancy, min(width, _WIDEST_NAME))] for step in steps]
    items += [[line] for line in left_alone]
    if tenancy.live_count is None and not items:
        return [[("", "!   nothing planned, see the error")]]
    return items


def _shown_steps(tenancy: TenancyPlan, *, shows_kept: bool) -> tuple[list[Step], list[Line]]:
    """Choose the steps to show, and count the others that leave a subscription alone.

    A kept subscription is not shown, unless it was replaced outside this state. `shows_kept`:
    show all steps.
    """
    if shows_kept:
        return list(tenancy.steps), []
    shown = []
    left: dict[str, list[Step]] = {}
    for step in tenancy.steps:
        if step.is_drift or REPLACED_OUTSIDE in step.reasons:
            shown.append(step)
        elif step.action == "leave":
            left.setdefault(step.reason, []).append(step)
    lines: list[Line] = []
    for reason, steps in sorted(left.items()):
        urls = [step.url for step in steps if step.is_new]
        news = f" ({len(urls)} new: {shortened(urls)})" if urls else ""
        lines.append(("dim", printable(f".   {len(steps)} {reason}{news}, left alone")))
    return shown, lines


def counts_of(tenancy: TenancyPlan) -> str:
    """Count the live and the declared subscriptions."""
    live = "not read" if tenancy.live_count is None else f"{tenancy.live_count} live"
    return f"{live}, {tenancy.declared_count} declared"


def step_columns(step: Step, tenancy: TenancyPlan) -> tuple[str, str, str, str]:
    """Return the parts of a step's first line: symbol, name, trigger and remark."""
    symbol = "?" if step.has_unknown_secret else _SYMBOLS[step.action]
    remark = _remark(step)
    if step.action == "resubscribe":
        symbol, order = _ORDERS[tenancy.replacement]
        remark = f"replaces {remark}, {order}"
    return symbol, step.name or step.reason, printable(step.trigger.shown), remark


def _step_lines(step: Step, tenancy: TenancyPlan, width: int) -> Iterator[Line]:
    """Write a step, its fields and its outcome. `width`: columns for the name."""
    symbol, name, trigger, remark = step_columns(step, tenancy)
    yield _STYLES[step.action], f"{symbol:<4}{name:<{width}}{trigger:<14} {remark}".rstrip()
    for label, value in step_fields(step):
        yield "", f"      {label:<{_LABEL}}{printable(value)}"
    outcome = step.outcome
    if outcome and outcome.result != "unchanged":
        # `!` marks a step that is not done: it stands out from the lines of a plan
        mark = " " if outcome.result == "done" else "!"
        text = result_words(outcome.result)
        if outcome.problem:
            text += f": {outcome.problem.what}"
        yield "", f"{mark}     {'outcome':<{_LABEL}}{printable(text)}"


def step_fields(step: Step) -> Iterator[tuple[str, str]]:
    """Name the fields of a step that are shown, and their values."""
    yield "url", step.url
    if URL_CHANGED in step.reasons:
        yield "replaces_url", step.old.url.shown
    if step.action == "subscribe":
        for name, value in step.new.content.items():
            yield name, value_words(value)
    for change in step.changes:
        yield change.field, f"{value_words(change.live)} -> {value_words(change.declared)}"
    others = []
    for reason in step.reasons:
        if reason.code not in ("new", "flag-changed"):
            others.append(reason.text)
    if step.action in ("subscribe", "resubscribe", "keep") and others:
        yield "reason", ", ".join(others)
    if step.secret is not None:
        yield "secret", _secret_words(step)
        for name, text in fields_of(Notes, step.new).items():
            if text:
                yield name, text


def _secret_words(step: Step) -> str:
    """Write the reference of the secret, and what is known of the live one."""
    reference = str(step.new.secret)
    if step.secret is None or (step.secret == "unknown" and step.action != "keep"):
        return reference
    return f"{secret_state(step)} ({reference})"


def secret_state(step: Step) -> str:
    """Report what is known of a live secret, and what vouches for it if that is no response."""
    words = (step.secret or "").replace("-", " ")
    return f"{words}, as adopted" if step.evidence == "adopted" else words


def _remark(step: Step) -> str:
    """Return the start of the id; for an undeclared subscription, also its reason and origin."""
    remark = printable(step.id[:_SHOWN_ID])
    if step.action == "adopt":
        meaning = "hooksync owns it from now on; secret taken as"
        return f"{remark}   adopts it: {meaning} {step.new.secret}, which only an event can prove"
    if step.action not in ("unsubscribe", "leave"):
        return remark
    review = ", removed only after a review" if step.needs_review else ""
    if step.name:
        why = ", ".join(filter(None, (step.reason, origin_words(step))))
        return f"{remark}   {why}{review}"
    return f"{remark}   {origin_words(step)}{review}" if step.action == "unsubscribe" else remark


def value_words(value: object) -> str:
    """Write the value of a compared field as in YAML; None is `not reported`."""
    if isinstance(value, bool):
        return str(value).lower()
    return "not reported" if value is None else str(value)


def _plan_summary(plan: Plan) -> str:
    if not plan.tenancies and plan.selection.since:
        ref = printable(plan.selection.since)
        return f"Nothing to plan: no tenancy differs from the merge base with {ref}."
    if not plan.tenancies:
        return "Nothing to apply: the saved plan has no steps."
    counts = plan.counts()
    if plan.has_changes or plan.unread:
        adopted = f", {counts['adopt']} to adopt" if counts["adopt"] else ""
        return (
            f"Plan: {counts['subscribe']} to subscribe, {counts['resubscribe']} to resubscribe,"
            f" {counts['unsubscribe']} to REMOVE{adopted}; {_summary_tail(plan)}."
        )
    if _uncertain_parts(plan):
        return f"No changes to make; {_summary_tail(plan)}."
    number = len(plan.tenancies)
    subject = f"{pluralised(number, 'tenancy')} {'matches' if number == 1 else 'match'}"
    if plan.selection.target:
        subject = f"The targeted subscriptions of {pluralised(number, 'tenancy')} match"
    # "No changes" would be wrong if the state has tenancies that no file declares
    start = "" if plan.undeclared else "No changes. "
    return f"{start}{subject} {plan.sources}; {_summary_tail(plan)}."


def _uncertain_parts(plan: Plan) -> list[str]:
    """Count unknown secrets, open attempts, and duplicates that are left."""
    doubts = []
    if plan.secret_unknown:
        doubts.append(f"not compared: {pluralised(plan.secret_unknown, 'secret')}")
    if plan.open_attempts:
        number = pluralised(len(plan.open_attempts), "attempt")
        doubts.append(f"not known: {number} of earlier runs")
    if plan.left_duplicates:
        number = pluralised(len(plan.left_duplicates), "duplicate")
        doubts.append(f"not as declared: {number} left alone")
    paused = len(plan.left_drift) - len(plan.left_duplicates)
    if paused:
        doubts.append(f"not as declared: {paused} paused left alone")
    return doubts


def failures(plan: Plan) -> Iterator[Problem]:
    """Name each step that is not done, with the reason and the fix."""
    for tenancy in plan.tenancies:
        for step in tenancy.steps:
            outcome = step.outcome
            if outcome and outcome.problem:
                subject = step.address or f"{tenancy.name}: {printable(step.id)}"
                start = f"{result_words(outcome.result)}: {step.action} {subject}"
                yield Problem(f"{start}: {outcome.problem.what}", outcome.problem.fix)


def verification(plan: Plan) -> Iterator[Line]:
    """Report the result of the verification, for each tenancy in which a call was tried."""
    tried = []
    for tenancy in plan.tenancies:
        if tenancy.results().keys() - {"unchanged", "not-attempted"}:
            tried.append(tenancy)
    right = [tenancy for tenancy in tried if not (tenancy.not_verified or tenancy.differences)]
    if right:
        which = ""
        if len(right) < len(tried) or plan.not_planned or plan.all_refusals:
            which = shortened([tenancy.name for tenancy in right]) + ": "
        verified = replace(plan, tenancies=tuple(right))
        yield "", f"Verified: {which}{_what_matches(verified)}."
    for tenancy in tried:
        if tenancy.not_verified:
            yield "", f"Not verified: {tenancy.name}: {tenancy.not_verified}"
        elif tenancy.differences:
            yield from _difference_lines(tenancy)


def _difference_lines(tenancy: TenancyPlan) -> Iterator[Line]:
    yield (
        "",
        f"Not as declared: {tenancy.name}: {pluralised(len(tenancy.differences), 'subscription')}",
    )
    for step in tenancy.differences:
        symbol, name, trigger, remark = step_columns(step, tenancy)
        if step.action == "keep":
            remark += f"   {step.reason}"
        yield _STYLES[step.action], f"{symbol:<4}{name}  {trigger}  {remark}".rstrip()


def _what_matches(plan: Plan) -> str:
    """Word what the verification has confirmed, with its exceptions."""
    duplicates = len(plan.left_duplicates)
    unsettled = plan.results()["unsettled"]
    what = "live matches declared"
    if plan.selection.target:
        what = "the targeted subscriptions match declared"
    if plan.secret_unknown:
        what += f", except the secrets of {plan.secret_unknown}"
    if duplicates:
        what += f", except {pluralised(duplicates, 'duplicate')}"
    if unsettled:
        what += f", except {unsettled} unsettled"
    return what


def result_words(result: Result) -> str:
    """Name a result in words."""
    return "not tried" if result == "not-attempted" else result.replace("-", " ")
