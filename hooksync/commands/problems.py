"""How commands show a plan, and its warnings, refusals and errors; and how they prompt."""

from __future__ import annotations

from collections.abc import Collection

from hooksync.core.context import Context
from hooksync.core.errors import Interrupted, Problem, Refused, by_fix
from hooksync.core.output import Format
from hooksync.core.redaction import printable
from hooksync.reconcile.plan import Plan
from hooksync.render.renderers import RENDERERS
from hooksync.render.text import plan_lines


def show_plan(plan: Plan, form: Format, context: Context, *, shows_kept: bool) -> None:
    """Show a plan or a report on standard output. First, report a run that holds the run lock."""
    if plan.running:
        context.terminal.warn(plan.running)
    if form == "text":
        context.terminal.show(plan_lines(plan, shows_kept=shows_kept))
        return
    context.terminal.result(RENDERERS[form](plan, shows_kept=shows_kept), form)


def show_problems(
    plan: Plan, context: Context, *, refused: str, told: Collection[Problem] = ()
) -> None:
    """Show problems, each with its fix. Those in `told` are skipped."""
    known = {plan.running, *told}  # the run beside this one was reported before the plan
    found = {"warning": plan.warnings, refused: plan.all_refusals, "error": plan.all_errors}
    for what, problems in found.items():
        new = [problem for problem in problems if problem not in known]
        for fix, alike in by_fix(new).items():
            heads = [f"{what}: {problem.headline}" for problem in alike]
            context.terminal.message("\n".join([*heads, f"  fix: {printable(fix)}"]))
        known.update(problems)


def confirm(question: str, context: Context, *, is_confirmed: bool) -> None:
    """Ask, unless --yes is given.

    Raises Refused if nobody can be asked, or the answer is no. Raises Interrupted if a signal came.
    """
    if is_confirmed:
        return
    terminal = context.terminal
    if not terminal.can_ask():
        terminal.message(question)
        raise Refused(Problem("not confirmed: cannot prompt without a terminal", "give --yes"))
    if not terminal.ask(f"{question} Type yes to go on: "):
        if context.stop.is_set():
            raise Interrupted(Problem("interrupted, nothing was changed", "run it again"))
        raise Refused(Problem("not confirmed", 'answer "yes", or give --yes'))
