"""The formats of a plan, and the function that writes each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hooksync.core.output import Format
from hooksync.reconcile.plan import Plan
from hooksync.render.html import html
from hooksync.render.json_text import to_text
from hooksync.render.markdown import markdown
from hooksync.render.text import plain, plan_lines


def text(plan: Plan, *, shows_kept: bool = False) -> str:
    """Write a plan for people, without colours."""
    return plain(plan_lines(plan, shows_kept=shows_kept))


def plan_json(plan: Plan, *, shows_kept: bool = True) -> str:
    """Write a plan or a report with all its steps."""
    return to_text(plan)


# each takes a plan or a report, and `shows_kept`: whether all its steps are shown
RENDERERS: Mapping[Format, Callable[..., str]] = {
    "text": text,
    "json": plan_json,
    "markdown": markdown,
    "html": html,
}
