"""The door: argv in, exit code out. The only room that prints, colours, asks and listens to signals."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hooksync import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from hooksync.core.errors import ExitCode, HooksyncError
    from hooksync.reconcile.context import World


def main(argv: Sequence[str] | None = None) -> int:
    """Run hooksync and give its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    _open_missing_streams()
    if arguments in (["--version"], ["-V"]):  # answered before anything is imported
        return _print_version()
    import gc

    gc.disable()  # a short-lived process: collecting while a large file is read costs more than the reading
    from hooksync.core.errors import ExitCode, HooksyncError

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # whatever the terminal's encoding, nothing is lost
    try:
        code = _run(arguments)
    except HooksyncError as error:
        _tell(error)
        code = error.exit_code
    except KeyboardInterrupt as interrupt:
        code = ExitCode.TERMINATED if type(interrupt).__name__ == "Terminated" else ExitCode.INTERRUPTED
    gc.freeze()  # else all of it is searched at exit for what could be freed
    return int(code)


def _open_missing_streams() -> None:
    """Open on nothing what is closed of the standard streams, lest a connection takes the number of one."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            import os

            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor > number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))


def _print_version() -> int:
    try:
        print(f"hooksync {__version__}", flush=True)
    except OSError as error:
        sys.stdout = None  # it would be tried again at exit
        print(f"error: standard output cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _tell(error: HooksyncError) -> None:
    """Start a problem of the file with its place, as compilers do, and any other with what it is."""
    from hooksync.cli.terminal import annotation_lines, write_aside

    for problem in error.problems:
        write_aside(str(problem) if problem.where else f"error: {problem}")
    for line in annotation_lines(error.problems):
        write_aside(line)


def _run(argv: Sequence[str]) -> ExitCode:
    import os

    from hooksync.cli.arguments import Help, read_arguments
    from hooksync.core.errors import ExitCode

    try:
        arguments = read_arguments(argv, os.environ)
    except Help as text:
        _show(str(text))
        return ExitCode.DONE
    match arguments.command:
        case "sandbox":
            return _run_sandbox(arguments)
        case "secret":
            from hooksync.config.secret_maker import generate_secret

            _show(f"{generate_secret()}\n")  # the one place where a secret is shown, by request
            return ExitCode.DONE
        case "completion":
            return _print_completion(arguments)
        case "demo":
            from hooksync.cli.terminal import catch_signals, wants_colour
            from hooksync.sandbox.demo import run_demo

            return ExitCode(run_demo(_announce, catch_signals, is_coloured=wants_colour()))
        case _:
            return _run_command(arguments)


def _run_sandbox(arguments: argparse.Namespace) -> ExitCode:
    import gc

    from hooksync.cli.terminal import catch_signals
    from hooksync.core.errors import ExitCode
    from hooksync.sandbox.command import run

    gc.enable()  # it is to run for long
    return ExitCode(run(arguments, _announce, catch_signals))


def _print_completion(arguments: argparse.Namespace) -> ExitCode:
    from hooksync.cli.arguments import make_parser
    from hooksync.cli.completion import completion_script
    from hooksync.core.errors import ExitCode

    _show(completion_script(make_parser(), arguments.shell))
    return ExitCode.DONE


def _run_command(arguments: argparse.Namespace) -> ExitCode:
    import os
    from threading import Event

    from hooksync.cli.terminal import ConsoleTerminal, Interrupts, catch_signals
    from hooksync.core.errors import ExitCode
    from hooksync.reconcile.context import World

    stop = Event()
    interrupts = Interrupts(stop)
    colour, is_verbose = getattr(arguments, "color", "never"), getattr(arguments, "verbose", False)
    terminal = ConsoleTerminal(interrupts, colour, is_verbose=is_verbose)
    world = World(os.environ, sys.stdin.buffer, terminal, stop)
    if arguments.command in ("validate", "schema"):
        return _without_network(arguments, world)
    run = _look if arguments.command in ("check", "export", "init") else _reconcile
    with catch_signals(interrupts.handle):
        code = run(arguments, world)
    return interrupts.exit_code if code == ExitCode.INTERRUPTED else code


def _without_network(arguments: argparse.Namespace, world: World) -> ExitCode:
    from hooksync.commands.options import file_options
    from hooksync.commands.validate import schema, validate

    if arguments.command == "schema":
        return schema(arguments.kind, world)
    return validate(file_options(arguments), world)


def _look(arguments: argparse.Namespace, world: World) -> ExitCode:
    """Carry out what only looks at tenancies."""
    from hooksync.commands.options import check_options, export_options

    if arguments.command == "check":
        from hooksync.commands.check import check

        return check(check_options(arguments), world)
    live = export_options(arguments)
    if arguments.command == "export":
        from hooksync.commands.export import export

        return export(live, world)
    from hooksync.commands.init import InitOptions, init

    return init(InitOptions(arguments.path, arguments.from_live, live), world)


def _reconcile(arguments: argparse.Namespace, world: World) -> ExitCode:
    """Carry out `plan` or `apply`."""
    # The largest import comes first, at the top of the stack. CPython keeps frames in chunks of 16 KiB; where it is
    # needed, beneath sixty frames of imports, calls that `re` makes by the thousand crossed from one chunk into the
    # next, which was asked of the system and given back each time: 10 to 20 of the 160 ms that a small plan took.
    import hooksync.service.http  # noqa: F401
    from hooksync.commands import plan_apply
    from hooksync.commands.options import plan_options

    verb = plan_apply.plan if arguments.command == "plan" else plan_apply.apply
    return verb(plan_options(arguments), world)


def _announce(text: str) -> None:
    _show(f"{text}\n")


def _show(text: str) -> None:
    from hooksync.cli.terminal import write_result

    write_result(text)
