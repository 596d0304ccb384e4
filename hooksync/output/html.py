"""A plan as one HTML page, for a reviewer without a terminal: page.html, filled in.

Touches nothing but that file.

It loads nothing. Where a content policy forbids its own style and script, as that of Jenkins does,
it can still be read and unfolded: only colours and the filter are missing. Whatever a text holds,
it stays a text.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from html import escape
from string import Template

from hooksync.core.redaction import printable
from hooksync.output.listing import coverage_table
from hooksync.output.markdown import problems_of
from hooksync.output.text import counts_of, name_width, plan_summary, state_lines, step_lines
from hooksync.output.view import RunView, StepView, TenancyView


def plan_html(view: RunView) -> str:
    """Write a plan: summary, problems, the steps of each tenancy, and the coverage of triggers."""
    table, end = coverage_table(view)
    problems = [
        _list(
            title, (f"{_text(each.headline)}<br>fix: {_text(each.fix)}" for each in found), " open"
        )
        for title, found in problems_of(view, "apply would refuse")
    ]
    unknown = (_text(step.address or "") for step in view.steps if step.has_unknown_secret)
    with open(os.path.join(os.path.dirname(__file__), "page.html"), encoding="utf-8") as page:
        return Template(page.read()).substitute(
            summary=_each("p", (plan_summary(view), *(text for _, text in state_lines(view)))),
            problems="\n".join((*problems, _list("unknown secrets", unknown))),
            tenancies=_each("option", (one.tenancy.name for one in view.tenancies)),
            actions=_each("option", view.counts()),
            sections="\n".join(map(_section, view.tenancies)),
            coverage="\n".join(f"<tr>{_each('td', row)}" for row in table),
            end=_each("p", [end]),
        )


def _text(text: str) -> str:
    return escape(printable(text))


def _each(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{_text(text)}</{tag}>" for text in texts)


def _list(title: str, items: Iterable[str], is_open: str = "") -> str:
    written = "".join(f"<li>{item}</li>" for item in items)
    return (
        f"<details{is_open}><summary>{_text(title)}</summary><ul>{written}</ul></details>"
        if written
        else ""
    )


def _section(view: TenancyView) -> str:
    """Write a tenancy; what nothing is done about is folded."""
    width = name_width(view.steps)
    todo = (_step(step, view, width) for step in view.steps if step.is_drift)
    idle = "\n".join(_step(step, view, width) for step in view.steps if not step.is_drift)
    rest = (
        f"<details class=rest><summary>unchanged, or left alone</summary>{idle}</details>"
        if idle
        else ""
    )
    title = _text(f"{view.tenancy.name}, {view.tenancy.where}: {counts_of(view)}")
    return "\n".join(
        (
            f'<section data-tenancy="{_text(view.tenancy.name)}"><h2>{title}</h2>',
            *todo,
            rest,
            "</section>",
        )
    )


def _step(step: StepView, view: TenancyView, width: int) -> str:
    first, *rest = (_text(text) for _, text in step_lines(step, view, width))
    fields = "\n".join(rest)
    return (
        "<details class=step"
        f" data-action={step.action}><summary>{first}</summary><pre>{fields}</pre></details>"
    )
