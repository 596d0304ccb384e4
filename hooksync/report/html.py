"""A plan as one HTML page, for a reviewer without a terminal. Pure.

It loads nothing. Where a content policy forbids its own style and script, as that of Jenkins does, it can still be read
and unfolded: only colours and the filter are missing. Whatever a text holds, it stays a text.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from hooksync.core.redaction import printable
from hooksync.report.listing import coverage_table
from hooksync.report.markdown import problems_of
from hooksync.report.text import counts_of, name_width, plan_summary, state_lines, step_lines
from hooksync.report.view import RunView, StepView, TenancyView

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
main { max-width: 75rem; margin: auto }
pre, td, .step > summary { font-family: ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere }
pre { margin: 0 0 0.5rem }
td { vertical-align: top; padding-right: 1rem }
.step { content-visibility: auto; contain-intrinsic-height: auto 1.5rem }
[data-action=subscribe] > summary { color: light-dark(#116329, #56d364) }
[data-action=resubscribe] > summary { color: light-dark(#7d4e00, #e3b341) }
[data-action=unsubscribe] > summary { color: light-dark(#a40e26, #ff7b72) }
"""
_SCRIPT = """
const form = document.forms[0], [tenancy, action, words] = form.querySelectorAll("select, input")
form.hidden = false
form.onsubmit = () => false
form.oninput = () => {
  const sought = words.value.toLowerCase()
  for (const one of document.querySelectorAll("section")) {
    one.hidden = tenancy.value && one.dataset.tenancy !== tenancy.value
    for (const step of one.querySelectorAll(".step"))
      step.hidden = !step.dataset.action.startsWith(action.value) || !step.textContent.toLowerCase().includes(sought)
    for (const rest of one.querySelectorAll(".rest")) rest.open = action.value || sought
  }
}
"""


def plan_html(view: RunView) -> str:
    """Write a plan: its summary, its problems, the steps of each tenancy, and who subscribes to which trigger."""
    table, summary = coverage_table(view)
    unknown = [_text(step.address or "") for step in view.steps if step.has_unknown_secret]
    problems = [
        (title, [f"{_text(each.headline)}<br>fix: {_text(each.fix)}" for each in found])
        for title, found in problems_of(view, "apply would refuse")
    ]
    parts = (
        f"<!doctype html>\n<html lang=en><meta charset=utf-8><title>hooksync plan</title><style>{_STYLE}</style>",
        '<meta name=viewport content="width=device-width"><main><h1>hooksync plan</h1>',
        _each("p", (plan_summary(view), *(text for _, text in state_lines(view)))),
        *(_list(title, found, " open") for title, found in problems),
        _list("unknown secrets", unknown),
        _form(view),
        *map(_section, view.tenancies),
        "<h2>coverage</h2><table>",
        *(f"<tr>{_each('td', row)}" for row in table),
        f"</table>{_each('p', [summary])}</main><script>{_SCRIPT}</script></html>\n",
    )
    return "\n".join(parts)


def _text(text: str) -> str:
    return escape(printable(text))


def _each(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{_text(text)}</{tag}>" for text in texts)


def _list(title: str, items: Iterable[str], is_open: str = "") -> str:
    written = "".join(f"<li>{item}</li>" for item in items)
    return f"<details{is_open}><summary>{_text(title)}</summary><ul>{written}</ul></details>" if written else ""


def _form(view: RunView) -> str:
    """Write the filter, which is shown where its script may run."""
    choices = {"tenancy": [one.tenancy.name for one in view.tenancies], "action": [*view.counts()]}
    selects = "".join(
        f"<label>{name} <select id={name}><option value=''>all</option>{_each('option', each)}</select></label> "
        for name, each in choices.items()
    )
    return f"<form hidden>{selects}<label>words <input type=search id=words></label></form>"


def _section(view: TenancyView) -> str:
    """Write a tenancy; what nothing is done about is folded."""
    width = name_width(view.steps)
    steps = [(step.action in ("keep", "leave"), _step(step, view, width)) for step in view.steps]
    idle = "\n".join(text for is_idle, text in steps if is_idle)
    rest = f"<details class=rest><summary>unchanged, or left alone</summary>{idle}</details>" if idle else ""
    title = _text(f"{view.tenancy.name}, {view.tenancy.where}: {counts_of(view)}")
    todo = "\n".join(text for is_idle, text in steps if not is_idle)
    return f'<section data-tenancy="{_text(view.tenancy.name)}"><h2>{title}</h2>\n{todo}{rest}</section>'


def _step(step: StepView, view: TenancyView, width: int) -> str:
    first, *rest = (text for _, text in step_lines(step, view, width))
    fields = "\n".join(map(_text, rest))
    return (
        f"<details class=step data-action={step.action}><summary>{_text(first)}</summary><pre>{fields}</pre></details>"
    )
