"""The command `adopt`: records declared secrets as those of live subscriptions."""

from __future__ import annotations

from hooksync.api.adopt import adopt as record
from hooksync.api.inputs import prepare
from hooksync.api.opening import OpenRun, open_run
from hooksync.api.options import RunOptions
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode
from hooksync.core.model import Globs
from hooksync.core.redaction import printable

_CAVEAT = (
    "A challenge proves what the receivers have, not what Preservica has. During a rotation, use"
    " `hooksync apply --replace ADDRESS`."
)


class AdoptOptions(RunOptions, frozen=True):
    """The flags of `adopt`."""

    globs: Globs = ()  # of addresses


def adopt(options: AdoptOptions, context: Context, open_run: OpenRun = open_run) -> ExitCode:
    """Adopt subscriptions whose secret is unknown, and report how many were adopted."""
    done = record(prepare(options, context), options.globs, open_run=open_run)
    for warning in done.warnings:
        context.terminal.warn(warning)
    for problem in done.problems:
        context.terminal.message(f"not adopted: {problem}")
    for error in done.errors:
        context.terminal.message(f"error: {error}")
    number = len(done.adopted)
    text = "".join(f"adopted {address}\n" for address in done.adopted)
    text += f"{number} of {number + len(done.problems)} adopted"
    if done.adopted:
        text += f", recorded in {printable(str(done.state))}. {_CAVEAT}"
    context.terminal.result(f"{text}\n")
    return done.exit_code
