"""A plan as one HTML page, for a reviewer without a terminal: page.html, filled in.

This module reads only that file. The page loads nothing.

A content security policy, such as that of Jenkins, may forbid the style and the script of the page.
The page then lacks colours and the filter, but the plan can still be read and unfolded. Every text
is escaped, so it cannot become markup.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from html import escape
from string import Template

from hooksync.core.redaction import printable
from hooksync.output.markdown import problems_of
from hooksync.output.text import (
    counts_of,
    selection_texts,
    state_lines,
    step_columns,
    step_fields,
    summary,
)
from hooksync.output.view import RunView, StepView, TenancyView

_ORDER = ("unsubscribe", "resubscribe", "subscribe")  # what a reviewer must not miss comes first


def plan_html(view: RunView, plan_id: str, commit: str | None) -> str:
    """Write a plan: summary, problems, and the steps of each tenancy.

    `commit`: of the hooks file's repository; None: it is not known.
    """
    made = f"Plan {plan_id}, made at {view.created_at} from {view.sources}"
    if commit:
        made = f"{made} at the commit {commit}"
    texts = [*selection_texts(view), summary(view)]
    texts += [text for _, text in state_lines(view)]
    names = [one.name for one in view.tenancies]
    with open(os.path.join(os.path.dirname(__file__), "page.html"), encoding="utf-8") as page:
        template = Template(page.read())
    return template.substitute(
        made=_text(f"{made}."),
        summary=_each("p", texts),
        problems=_problems(view),
        tenancies=_each("option", names),
        actions=_each("option", view.counts()),
        sections="\n".join(map(_section, view.tenancies)),
    )


def _problems(view: RunView) -> str:
    """Write a list under each title that has problems."""
    lists = ""
    for title, found in problems_of(view, "apply would refuse"):
        items = [f"<li>{_text(each.headline)}<br>fix: {_text(each.fix)}" for each in found]
        if items:
            lists += f"<h2>{_text(title)}</h2><ul>{''.join(items)}</ul>\n"
    return lists


def _text(text: str) -> str:
    return escape(printable(text))


def _each(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{_text(text)}</{tag}>" for text in texts)


def _section(view: TenancyView) -> str:
    """Write a tenancy, removals first. Steps without a change are folded, except duplicates."""
    changes = [step for step in view.steps if step.is_change]
    changes.sort(key=lambda step: _ORDER.index(step.action))
    idle = [_step(step, view) for step in view.steps if not step.is_drift]
    title = f"{view.name}, {view.tenancy.where}: {counts_of(view)}"
    lines = [f'<section data-tenancy="{_text(view.name)}"><h2>{_text(title)}</h2>']
    lines += [_step(step, view) for step in [*changes, *view.left_duplicates]]
    if idle:
        lines.append("<details class=rest><summary>unchanged, or left alone</summary>")
        lines += [*idle, "</details>"]
    return "\n".join([*lines, "</section>"])


def _step(step: StepView, view: TenancyView) -> str:
    """Write the columns of a step's first line as texts that wrap on a phone, then its fields."""
    columns = " ".join(f"<span>{_text(text)}</span>" for text in step_columns(step, view))
    fields = ""
    for label, value in step_fields(step):
        fields += f"<dt>{_text(label)}<dd>{_text(value)}"
    return (
        f"<details class=step data-action={step.action}><summary>{columns}</summary>"
        f"<dl>{fields}</dl></details>"
    )
