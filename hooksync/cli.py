"""The door: argv in, exit code out. The only room that prints, colours, asks and listens to signals."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hooksync import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from hooksync.checking import CheckOptions
    from hooksync.errors import ExitCode
    from hooksync.world import PlanOptions, World


def main(argv: Sequence[str] | None = None) -> int:
    """Run hooksync and give its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments in (["--version"], ["-V"]):  # answered before anything is imported
        print(f"hooksync {__version__}")
        return 0
    import gc

    gc.disable()  # a short-lived process: collecting while a large file is read costs more than the reading
    from hooksync.errors import ExitCode, HooksyncError

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # whatever the terminal's encoding, nothing is lost
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except HooksyncError as error:
        for problem in error.problems:
            print(_error_text(str(problem), has_place=problem.where is not None), file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt as interrupt:
        code = ExitCode.TERMINATED if type(interrupt).__name__ == "Terminated" else ExitCode.INTERRUPTED
    except BrokenPipeError:
        sys.stdout = None  # whoever read our result has left; do not complain again at exit
        code = ExitCode.ERROR
    return int(code)


def _error_text(text: str, *, has_place: bool) -> str:
    """Start a problem of the file with its place, as compilers do, and any other with what it is."""
    return text if has_place else f"error: {text}"


def _run(argv: Sequence[str]) -> ExitCode:
    import os

    from hooksync.arguments import Help, read_arguments
    from hooksync.errors import ExitCode

    try:
        arguments = read_arguments(argv, os.environ)
    except Help as text:
        print(text, end="")
        return ExitCode.DONE
    match arguments.command:
        case "sandbox":
            from hooksync.sandbox.run import run

            return ExitCode(run(arguments, _announce))
        case "secret":
            from hooksync.secret_maker import generate_secret

            print(generate_secret())  # the one place where a secret is shown, by request
            return ExitCode.DONE
        case "demo":
            from hooksync.sandbox.demo import run_demo
            from hooksync.terminal import wants_colour

            return ExitCode(run_demo(_announce, is_coloured=wants_colour()))
        case _:
            return _run_command(arguments)


def _run_command(arguments: argparse.Namespace) -> ExitCode:
    import os
    from threading import Event

    from hooksync.errors import ExitCode
    from hooksync.signals import Interrupts
    from hooksync.terminal import ConsoleTerminal
    from hooksync.world import World

    stop = Event()
    interrupts = Interrupts(stop)
    colour, is_verbose = getattr(arguments, "color", "never"), getattr(arguments, "verbose", False)
    terminal = ConsoleTerminal(interrupts, colour, is_verbose=is_verbose)
    world = World(os.environ, sys.stdin.buffer, terminal, stop)
    if arguments.command in ("validate", "schema"):
        return _without_network(arguments, world)
    if arguments.command == "check":
        from hooksync.checking import check

        with interrupts:
            code = check(_check_options(arguments), world)
        return interrupts.exit_code if code == ExitCode.INTERRUPTED else code
    from hooksync import commands

    verb = commands.plan if arguments.command == "plan" else commands.apply
    with interrupts:
        code = verb(_plan_options(arguments), world)
    return interrupts.exit_code if code == ExitCode.INTERRUPTED else code


def _without_network(arguments: argparse.Namespace, world: World) -> ExitCode:
    from hooksync.validation import schema, validate
    from hooksync.world import FileOptions

    if arguments.command == "schema":
        return schema(arguments.kind, world)
    options = FileOptions(tuple(arguments.file), arguments.format, tuple(arguments.tenancy), tuple(arguments.target))
    return validate(options, world)


def _check_options(arguments: argparse.Namespace) -> CheckOptions:
    from hooksync.checking import CheckOptions

    return CheckOptions(
        files=tuple(arguments.file),
        format=arguments.format,
        tenancies=tuple(arguments.tenancy),
        targets=tuple(arguments.target),
        timeout=arguments.timeout,
        parallelism=arguments.parallelism,
    )


def _plan_options(arguments: argparse.Namespace) -> PlanOptions:
    from hooksync.world import PlanOptions

    return PlanOptions(
        files=tuple(arguments.file),
        format=arguments.format,
        tenancies=tuple(arguments.tenancy),
        targets=tuple(arguments.target),
        replace=tuple(arguments.replace),
        prunes=not arguments.no_prune,
        allows_mass_unsubscribe=arguments.allow_mass_unsubscribe,
        timeout=arguments.timeout,
        parallelism=arguments.parallelism,
        shows_kept=arguments.all,
        has_detailed_exit_code=getattr(arguments, "detailed_exitcode", False),
        is_confirmed=getattr(arguments, "yes", False),
        lock=arguments.lock,
        uses_lock=not arguments.no_lock,
        adopts=getattr(arguments, "adopt", False),
        probes=arguments.probe,
    )


def _announce(text: str) -> None:
    print(text, flush=True)
