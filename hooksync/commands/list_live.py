"""The command `list`: show what is live. It changes nothing."""

from __future__ import annotations

from typing import Literal

from hooksync.api.inputs import prepare
from hooksync.api.options import FORMAT, RunOptions
from hooksync.api.run import plan
from hooksync.commands.problems import show_plan
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode
from hooksync.reconcile.plan import completed
from hooksync.render.listing import list_lines, live_only


class ListOptions(RunOptions):
    """The flags of `list`."""

    format: Literal["text", "json"] = FORMAT


def list_live(options: ListOptions, context: Context) -> ExitCode:
    """Show what is live. Returns DONE only if every tenancy was read."""
    made = plan(prepare(options, context))
    if not made.is_interrupted:
        made = completed(made, ExitCode.ERROR if made.unread else ExitCode.DONE)
    shown = live_only(made)
    show_plan(shown, list_lines(shown), options.format, context)
    return ExitCode(shown.exit_code)
