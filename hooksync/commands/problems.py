"""How commands show a plan, and its warnings, refusals and errors; and how they prompt."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hooksync.core.context import Context
from hooksync.core.errors import Interrupted, Problem, Refused
from hooksync.core.output import Format
from hooksync.reconcile.plan import Plan
from hooksync.render.renderers import RENDERERS
from hooksync.render.sentences import by_fix


def show_plan(
    plan: Plan,
    lines: Iterable[str],
    form: Format,
    context: Context,
    *,
    shows_kept: bool = False,
    told: Collection[tuple[str, Problem]] = (),
) -> None:
    """Show a plan or a report on standard output, and then its problems.

    A run that holds the run lock is reported first. `lines`: the plan as text. `told`: problems
    that were shown before.
    """
    told = {*told}
    if plan.running:
        context.terminal.warn(plan.running)
        told.add(("warning", plan.running))
    if form == "text":
        context.terminal.show(lines)
    else:
        context.terminal.result(RENDERERS[form](plan, shows_kept=shows_kept), form)
    show_problems(plan, context, told)


def show_problems(plan: Plan, context: Context, told: Collection[tuple[str, Problem]] = ()) -> None:
    """Show the problems that are not in `told`, each with its fix."""
    for fix, heads in by_fix(plan, told):
        context.terminal.message("\n".join([*heads, f"  {fix}"]))


def confirm(question: str, context: Context, *, is_confirmed: bool) -> None:
    """Ask, unless --yes is given.

    Raises Refused if nobody can be asked, or the answer is no. Raises Interrupted if a signal came.
    """
    terminal = context.terminal
    if is_confirmed or (terminal.can_ask() and terminal.ask(f"{question} Type yes to go on: ")):
        return
    if context.stop.is_set():
        raise Interrupted("interrupted, nothing was changed", "run it again")
    raise Refused(f"{question} Not confirmed", 'answer "yes" at a terminal, or give --yes')
