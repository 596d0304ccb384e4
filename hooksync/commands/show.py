"""The command `show`: shows a saved plan as `plan` did, from its file alone.

It needs no network and no hooks file. Of the environment, it reads only the plan key. It loads no
module for the network and none that applies a plan.
"""

from __future__ import annotations

from datetime import timedelta

from hooksync.api.saved_plan import open_saved_plan
from hooksync.commands.options import Format
from hooksync.commands.problems import show_plan, show_problems
from hooksync.config.files import read_plan
from hooksync.core.clock import rfc3339
from hooksync.core.errors import ExitCode
from hooksync.core.record import Record
from hooksync.core.redaction import printable
from hooksync.output.view import plan_exit_code
from hooksync.reconcile.context import World


class ShowOptions(Record, frozen=True):
    """The flags of `show`."""

    path: str
    format: Format = "text"
    shows_kept: bool = False
    has_detailed_exit_code: bool = False
    max_age: timedelta | None = None


def show(options: ShowOptions, world: World) -> ExitCode:
    """Show a saved plan, and report whether `apply` would accept it."""
    data = read_plan(options.path, "plan")
    saved, refusal = open_saved_plan(data, options.path, options.max_age, world)
    view = saved.view
    document = data.decode("utf-8-sig")
    kept = options.shows_kept
    show_plan(view, document, saved.html, options.format, world, shows_kept=kept)
    show_problems(view, world, refused="apply would refuse")
    end = saved.expires_at
    if options.max_age is not None:
        end = saved.created_at + options.max_age
    until = f" until {rfc3339(end.timestamp())}" if end else ", however old it is"
    verdict = f"apply accepts it{until}, if nothing has changed since"
    if refusal:
        verdict = f"apply refuses it: {refusal}"
    made = f"{printable(options.path)} was made at {view.created_at}"
    world.terminal.message(f"{made}; {verdict}")
    return plan_exit_code(view, is_detailed=options.has_detailed_exit_code)
