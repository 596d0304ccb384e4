"""The commands `sandbox` and `demo`. Only the command line starts the sandbox."""

from __future__ import annotations

import gc
from functools import partial

from hooksync.cli.terminal import catch_signals
from hooksync.core.errors import ExitCode
from hooksync.core.record import Record
from hooksync.core.urls import masked_url
from hooksync.reconcile.context import World
from hooksync.sandbox import command
from hooksync.sandbox import demo as tour
from hooksync.sandbox.command import SandboxFlags


class NoOptions(Record, frozen=True):
    """`demo` has no flags."""


def sandbox(options: SandboxFlags, world: World) -> ExitCode:
    """Run a sandbox until a signal."""
    gc.enable()  # it runs for long
    write = partial(world.output.create_file, mode=0o600)
    say = partial(_say, world)
    return ExitCode(command.run(options, say, partial(_log, world), write, catch_signals))


def demo(options: NoOptions, world: World) -> ExitCode:
    """Show what hooksync does, on a sandbox."""

    def announce(line: str) -> None:
        world.terminal.result(f"{line}\n")

    return ExitCode(tour.run_demo(announce, catch_signals))


def _say(world: World, text: str) -> None:
    world.terminal.result(f"{text}\n")


def _log(world: World, entry: dict[str, object]) -> None:
    shown = dict(entry)
    if "url" in shown:
        shown["url"] = masked_url(str(shown["url"]))
    world.output.message(command.log_line(shown))
