"""The formats of a plan, and the function that writes each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from hooksync.core.output import Format
from hooksync.reconcile.plan import Plan
from hooksync.render.html import html
from hooksync.render.json_text import to_text
from hooksync.render.markdown import markdown
from hooksync.render.text import plain, text_lines


class Renderer(Protocol):
    """Writes a plan or a report as text. `shows_kept`: with all its steps."""

    def __call__(self, plan: Plan, *, shows_kept: bool = False) -> str:
        """Return the text."""


def text(plan: Plan, *, shows_kept: bool = False) -> str:
    """Write a plan for people, without colours."""
    return plain(text_lines(plan, shows_kept=shows_kept))


def plan_json(plan: Plan, *, shows_kept: bool = True) -> str:
    """Write a plan or a report with all its steps."""
    return to_text(plan)


RENDERERS: Mapping[Format, Renderer] = {
    "text": text,
    "json": plan_json,
    "markdown": markdown,
    "html": html,
}
