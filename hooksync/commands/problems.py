"""How commands show the warnings, refusals and errors of a view."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hooksync.core.errors import Problem
    from hooksync.output.view import RunView
    from hooksync.reconcile.context import World


def show_problems(
    result: RunView, world: World, *, refused: str, told: set[Problem] | None = None
) -> None:
    """Show problems, each with its fix. `told`: what was shown before; is added to."""
    known = set() if told is None else told
    found = [("", each) for each in result.all_warnings]
    found += [(refused, each) for each in result.refusals]
    found += [("error", each) for each in result.error_problems]
    for what, problem in found:
        if problem in known:
            continue
        if what:
            world.terminal.message(f"{what}: {problem}")
        else:
            world.terminal.warn(problem)
    known.update(problem for _, problem in found)
