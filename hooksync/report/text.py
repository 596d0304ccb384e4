"""A view as text for people. Pure: it makes strings, colour included where it is asked for, and prints nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hooksync.core.model import Trigger
from hooksync.core.redaction import printable
from hooksync.reconcile.plan import Action
from hooksync.report.view import RunView, StepView, TenancyView

_SYMBOLS: dict[Action, str] = {"subscribe": "+", "resubscribe": "+/-", "unsubscribe": "-", "keep": "=", "leave": "."}
_REMOVE_FIRST_SYMBOL = "-/+"
_STYLES = {"+": "green", "+/-": "yellow", "-/+": "yellow", "-": "red", "=": "dim", ".": "dim"}
_STYLES |= {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "dim"}  # marks of a check
_SECRET_STATES = {"same": "same", "changed": "changed", "unknown": "", "not-set": "not set"}
_LABEL = 21  # columns that a field's name takes
_NARROWEST_NAME = 20  # columns
_ID_SHOWN = 8  # characters of an id


def plan_text(view: RunView, *, shows_kept: bool = False) -> str:
    """Write a plan: each tenancy with its steps, and a line that sums up."""
    blocks = [_tenancy_text(tenancy, shows_kept=shows_kept) for tenancy in view.tenancies]
    return "\n".join([*filter(None, blocks), plan_summary(view)]) + "\n"


def report_text(view: RunView) -> str:
    """Write what became of a plan: what did not go as planned, and a line that sums up."""
    lines = [*_unplanned(view), applied_summary(view), *verification(view)]
    return "\n".join(lines) + "\n"


def applied_summary(view: RunView) -> str:
    """Sum up what became of a plan."""
    counts = view.results()
    parts = [f"{counts['done']} done", f"{counts['failed']} failed", f"{counts['not-attempted']} not tried"]
    if counts["half-done"]:
        parts.insert(1, f"{counts['half-done']} half done")
    was_begun = counts["done"] or counts["half-done"] or counts["failed"]
    what = ", ".join(parts) if was_begun else f"nothing, {counts['not-attempted']} not tried"
    return f"Applied: {what}; {counts['unchanged']} unchanged."


def coloured(text: str) -> str:
    """Colour a plan's lines by the symbol in their first column, for a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(force_terminal=True, color_system="standard", highlight=False, markup=False, emoji=False)
    with console.capture() as capture:
        for line in text.splitlines():
            symbol = line.split(" ", 1)[0]
            console.print(Text(line, style=_STYLES.get(symbol, "")), soft_wrap=True)
    return capture.get()


def short_id(identifier: str | None) -> str:
    """Cut an id to where people can still tell it from others."""
    return printable(identifier or "")[:_ID_SHOWN]


def _tenancy_text(view: TenancyView, *, shows_kept: bool) -> str:
    shown = shown_steps(view, shows_kept=shows_kept)
    if not shown and view.error is None:
        return ""
    lines = [_heading(view)]
    if view.error is not None:
        lines += ["", "!   nothing planned, see the error"]
    if shown:
        width = name_width(shown)
        lines.append("")
        lines += [line for step in shown for line in step_lines(step, view, width)]
    return "\n".join(lines) + "\n"


def shown_steps(view: TenancyView, *, shows_kept: bool) -> list[StepView]:
    """Leave out what is kept, unless it is asked for."""
    return [step for step in view.steps if step.action != "keep" or shows_kept]


def name_width(steps: Iterable[StepView]) -> int:
    """Measure the column of names."""
    return max((_NARROWEST_NAME, *(len(name_of(step)) + 2 for step in steps)))


def _heading(view: TenancyView) -> str:
    tenancy = view.tenancy
    where = tenancy.server.shown + (f" / {tenancy.tenant_shown}" if tenancy.tenant_shown else "")
    live = "not read" if view.live is None else f"{len(view.live)} live"
    return printable(f"{tenancy.name}   {where}   {live}, {len(tenancy.subscriptions)} declared")


def step_lines(step: StepView, view: TenancyView, width: int) -> Iterator[str]:
    """Write a step: a line with its symbol in the first column, and a line for each field. `width`: of the name."""
    symbol = _symbol(step, view)
    yield f"{symbol:<4}{name_of(step):<{width}}{_short(step.trigger):<15}{_remark(step, view)}".rstrip()
    yield field_line("url", step.url)
    if step.action == "subscribe":
        yield field_line("include_identifiers", _yes_no(step.include_identifiers))
    for change in step.changes:
        yield field_line(change.field, f"{_yes_no(change.live)} -> {_yes_no(change.declared)}")
    if step.action == "resubscribe" and not step.changes:
        yield field_line("reason", ", ".join(step.reasons))
    if step.secret is not None:
        state = _SECRET_STATES[step.secret_state] or ("unknown" if step.action == "keep" else "")
        yield field_line("secret", f"{state} ({step.secret})" if state else str(step.secret))


def _symbol(step: StepView, view: TenancyView) -> str:
    if step.action == "resubscribe" and view.tenancy.replacement == "remove-first":
        return _REMOVE_FIRST_SYMBOL
    return _SYMBOLS[step.action]


def name_of(step: StepView) -> str:
    """Name a step, or say why there is one."""
    if step.name is not None:
        return f"{step.name} (duplicate)" if step.action == "unsubscribe" else step.name
    return ", ".join(step.reasons)


def _remark(step: StepView, view: TenancyView) -> str:
    if step.action == "resubscribe":
        order = "new one first" if view.tenancy.replacement == "create-first" else "old one removed first"
        return f"replaces {short_id(step.id)}, {order}"
    return short_id(step.id)


def field_line(label: str, value: str) -> str:
    """Write a line below a step."""
    return f"      {label:<{_LABEL}}{printable(value)}"


def _short(trigger: Trigger) -> str:
    return printable(trigger.short)


def _yes_no(value: bool | None) -> str:
    return {True: "true", False: "false", None: "not reported"}[value]


def plan_summary(view: RunView) -> str:
    """Sum up a plan."""
    counts = view.counts()
    left = f", {counts['leave']} left alone" if counts["leave"] else ""
    if not view.has_changes and not view.errors:
        number = len(view.tenancies)
        subject = "1 tenancy matches" if number == 1 else f"{number} tenancies match"
        return f"No changes. {subject} {view.sources}."
    unread = f"; {_tenancies(len(view.errors))} not planned" if view.errors else ""
    return (
        f"Plan: {counts['subscribe']} to subscribe, {counts['resubscribe']} to resubscribe, "
        f"{counts['unsubscribe']} to unsubscribe; {counts['keep']} unchanged{left}{unread}."
    )


def _unplanned(view: RunView) -> Iterator[str]:
    """Name each step that was to be done and is not, with its reason and its mend."""
    for tenancy in view.tenancies:
        for step in tenancy.steps:
            outcome = step.outcome
            if outcome is None or outcome.result not in ("failed", "half-done"):
                continue
            subject = step.address or f"{tenancy.tenancy.name}: {printable(step.id or '')}"
            yield f"{outcome.result.replace('-', ' ')}: {step.action} {subject}: {outcome.detail}"
            if outcome.fix:
                yield f"  fix: {outcome.fix}"


def verification(view: RunView) -> Iterator[str]:
    """Say what the last look at each tenancy found."""
    looked = [tenancy for tenancy in view.tenancies if tenancy.outcome and tenancy.has_changes and _was_tried(tenancy)]
    if looked and all(not t.differences and t.outcome and not t.outcome.not_verified for t in looked):
        yield "Verified: live matches declared."
        return
    for tenancy in looked:
        name = tenancy.tenancy.name
        if tenancy.outcome and tenancy.outcome.not_verified:
            yield f"Not verified: {name}: {tenancy.outcome.not_verified}"
        elif tenancy.differences:
            yield f"Not as declared: {name}: {_counted(step.action for step in tenancy.differences)} still to do"
            for step in tenancy.differences:
                line = f"{_symbol(step, tenancy):<4}{name_of(step)}  {_short(step.trigger)}  {short_id(step.id)}"
                yield line.rstrip()
        else:
            yield f"Verified: {name}: live matches declared."


def _was_tried(tenancy: TenancyView) -> bool:
    results = tenancy.results()
    return bool(results["done"] + results["failed"] + results["half-done"])


def _counted(actions: Iterable[str]) -> str:
    names = list(actions)
    return ", ".join(f"{names.count(action)} to {action}" for action in dict.fromkeys(names))


def _tenancies(number: int) -> str:
    return "1 tenancy" if number == 1 else f"{number} tenancies"
