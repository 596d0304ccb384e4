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
from hooksync.reconcile.plan import Plan, Step, TenancyPlan
from hooksync.render.sentences import (
    by_fix,
    headline,
    selection_sentences,
    summaries,
)
from hooksync.render.text import head_of, step_columns, step_fields

# what a reviewer must not miss comes first
_ORDER = ("unsubscribe", "resubscribe", "adopt", "forget", "subscribe", "keep", "leave")


def html(plan: Plan, *, shows_kept: bool = True) -> str:
    """Write a plan: summary, problems, and all steps of each tenancy."""
    made = f"Plan {plan.id}, made at {plan.created_at} from {plan.sources}"
    commit = f" at the commit {plan.commit}" if plan.commit else ""
    problems = ""
    for fix, heads in by_fix(plan):
        problems += _each("p", [*heads, fix])
    with open(os.path.join(os.path.dirname(__file__), "page.html"), encoding="utf-8") as page:
        template = Template(page.read())
    return template.substitute(
        title=_text(headline(plan)),
        made=_text(f"{made}{commit}."),
        summary=_each("p", [*selection_sentences(plan), *summaries(plan)]),
        problems=problems,
        tenancies=_each("option", [tenancy.name for tenancy in plan.tenancies]),
        actions=_each("option", plan.counts()),
        sections="\n".join(map(_section, plan.tenancies)),
    )


def _text(text: str) -> str:
    """Write a text so that it cannot become markup."""
    return escape(printable(text))


def _each(tag: str, texts: Iterable[str]) -> str:
    """Write each text as an element."""
    return "".join(f"<{tag}>{_text(text)}</{tag}>" for text in texts)


def _section(tenancy: TenancyPlan) -> str:
    """Write a tenancy, removals first. Steps that are no drift are folded."""
    steps = sorted(tenancy.steps, key=lambda step: _ORDER.index(step.action))
    shown = [_step(step, tenancy) for step in steps if step.is_drift]
    folded = [_step(step, tenancy) for step in steps if not step.is_drift]
    title = _text(head_of(tenancy))
    lines = [f'<section data-tenancy="{_text(tenancy.name)}"><h2>{title}</h2>', *shown]
    if folded:
        lines.append("<details class=rest><summary>unchanged, or left alone</summary>")
        lines += [*folded, "</details>"]
    return "\n".join([*lines, "</section>"])


def _step(step: Step, tenancy: TenancyPlan) -> str:
    """Write the columns of a step's first line as texts that wrap on a phone, then its fields."""
    columns = " ".join(f"<span>{_text(text)}</span>" for text in step_columns(step, tenancy))
    fields = ""
    for label, value in step_fields(step):
        fields += f"<dt>{_text(label)}<dd>{_text(value)}"
    return (
        f"<details class=step data-action={step.action}><summary>{columns}</summary>"
        f"<dl>{fields}</dl></details>"
    )
