"""How commands show a plan, and the warnings, refusals and errors of a view."""

from __future__ import annotations

from collections.abc import Callable

from hooksync.commands.options import Format
from hooksync.core.errors import Problem
from hooksync.output.text import plan_lines
from hooksync.output.view import RunView
from hooksync.reconcile.context import World


def show_plan(
    view: RunView,
    document: str,
    html: Callable[[], str],
    form: Format,
    world: World,
    *,
    shows_kept: bool,
) -> None:
    """Show a plan. `document`: the plan as JSON. `html`: a function that returns it as HTML."""
    show_running(view, world)
    match form:
        case "text":
            world.terminal.show(plan_lines(view, shows_kept=shows_kept))
        case "json":
            world.terminal.result(document, "json")
        case "html":
            world.terminal.result(html())
        case "markdown":
            from hooksync.output.markdown import markdown  # only here: most runs write none

            text = markdown(view, shows_kept=shows_kept)
            world.terminal.result(text)


def show_running(view: RunView, world: World) -> None:
    """Report first that another run holds the run lock."""
    if view.running:
        world.terminal.warn(view.running)


def show_problems(
    result: RunView, world: World, *, refused: str, told: set[Problem] | None = None
) -> None:
    """Show problems, each with its fix. Those in `told` are skipped; the others are added to it."""
    known = set() if told is None else told
    known.update(filter(None, [result.running]))  # reported before the plan
    found = [("warning", each) for each in result.all_warnings]
    found += [(refused, each) for each in result.refusals]
    found += [("error", each) for each in result.error_problems]
    for what, problem in found:
        if problem not in known:
            world.terminal.message(f"{what}: {problem}")
    known.update(problem for _, problem in found)
