"""The command `show`: shows a saved plan as `plan` did, from its file alone.

It needs no network and no hooks file. Of the environment, it reads only the plan key. It loads no
module for the network and none that applies a plan.
"""

from __future__ import annotations

from datetime import timedelta

from hooksync.api.options import ALL, FORMAT, MAX_AGE
from hooksync.api.receipt import open_saved_plan
from hooksync.commands.problems import show_plan, show_problems
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode
from hooksync.core.flags import OUTPUT, READ, CommandOptions, flag
from hooksync.core.output import Format
from hooksync.core.redaction import printable
from hooksync.render.renderers import RENDERERS
from hooksync.render.text import plan_lines


class ShowOptions(CommandOptions):
    """The flags of `show`."""

    path: str = flag("PLAN", "a file of `plan --out`", READ)
    format: Format = FORMAT
    out: str | None = flag("--out FILE", "write it into a file instead", OUTPUT, default=None)
    shows_kept: bool = ALL
    max_age: timedelta | None = MAX_AGE


def show(options: ShowOptions, context: Context) -> ExitCode:
    """Show or write a saved plan, and report whether `apply` would accept it."""
    plan, refusal = open_saved_plan(options.path, options.max_age, context)
    keeps = options.shows_kept
    if options.out:
        text = RENDERERS[options.format](plan, shows_kept=keeps)
        context.output.write_file(options.out, text, form=options.format)
        show_problems(plan, context)
    else:
        lines = plan_lines(plan, shows_kept=keeps)
        show_plan(plan, lines, options.format, context, shows_kept=keeps)
    verdict = f"; apply refuses it: {refusal}" if refusal else ""
    made = f"{printable(options.path)} was made at {plan.created_at}"
    context.terminal.message(f"{made}{verdict}")
    return ExitCode(plan.exit_code)
