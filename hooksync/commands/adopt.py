"""The command `adopt`: records declared secrets as those of live subscriptions."""

from __future__ import annotations

from hooksync.api.adopt import adopt as record
from hooksync.api.inputs import prepare
from hooksync.api.options import RunOptions
from hooksync.core.errors import ExitCode
from hooksync.core.model import Globs
from hooksync.core.redaction import printable
from hooksync.reconcile.context import World

_CAVEAT = (
    "A challenge proves what the receivers have, not what Preservica has. During a rotation, use"
    " `hooksync apply --replace ADDRESS`."
)


class AdoptOptions(RunOptions, frozen=True):
    """The flags of `adopt`."""

    globs: Globs = ()  # of addresses


def adopt(options: AdoptOptions, world: World) -> ExitCode:
    """Adopt subscriptions whose secret is unknown, and report how many were adopted."""
    done = record(prepare(options, world), options.globs)
    for warning in done.warnings:
        world.terminal.warn(warning)
    for problem in done.problems:
        world.terminal.message(f"not adopted: {problem}")
    for error in done.errors:
        world.terminal.message(f"error: {error}")
    number = len(done.adopted)
    text = "".join(f"adopted {address}\n" for address in done.adopted)
    text += f"{number} of {number + len(done.problems)} adopted"
    if done.adopted:
        text += f", recorded in {printable(str(done.state))}. {_CAVEAT}"
    world.terminal.result(f"{text}\n")
    return done.exit_code
