"""The entry point: it takes argv and returns an exit code.

Only the package `cli` handles signals and connects commands to the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hooksync import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from threading import Event

    from hooksync.core.errors import ExitCode, Problem
    from hooksync.core.output import Output
    from hooksync.reconcile.context import World


def main(argv: Sequence[str] | None = None) -> int:
    """Run hooksync and return its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    _open_missing_streams()
    if arguments in (["--version"], ["version"]):  # answered before anything is imported
        return _print_version()
    try:
        return _run_to_end(arguments)
    except KeyboardInterrupt:  # before signals are handled
        return 130
    except Exception as error:  # so early that the usual error handling is not loaded
        sys.stderr.write(f"error: unforeseen: {type(error).__name__}\n")
        return 1


def _run_to_end(arguments: Sequence[str]) -> int:
    """Run a command, report any error, and return the exit code."""
    import gc
    from contextlib import suppress

    # the process is short: to collect garbage while it reads a large file takes longer than reading
    gc.disable()
    _load_records()
    from hooksync.core.errors import ExitCode
    from hooksync.core.output import Output

    # escape characters that the terminal's encoding lacks, and write the same bytes everywhere
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
            if sys.platform == "win32" and not stream.isatty():
                stream.reconfigure(encoding="utf-8", newline="\n")
    output = Output()
    code, problems = _outcome(arguments, output)
    if problems or code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        with suppress(Exception):  # standard output may be closed, or there may be no memory
            _write_failure(arguments, output, code, problems)
    gc.freeze()  # or else Python searches all objects at exit for garbage
    return int(code)


def _load_records() -> None:
    """Load msgspec without typing_extensions, whose import takes a tenth of a run of `validate`.

    Without typing_extensions, msgspec uses typing, which is enough for our types. No other code
    runs yet, so none sees the changed `sys.modules`.
    """
    name = "typing_extensions"
    if name not in sys.modules:
        sys.modules[name] = None  # type: ignore[assignment]  # its import now fails
        import msgspec  # noqa: F401

        del sys.modules[name]


def _outcome(arguments: Sequence[str], output: Output) -> tuple[ExitCode, Sequence[Problem]]:
    """Run a command and write its errors. Returns the exit code and the errors."""
    from contextlib import suppress
    from threading import Event

    from hooksync.core.errors import ExitCode, HooksyncError, unforeseen_text, what_ended

    begun = Event()  # set before the first change
    try:
        return _run(arguments, begun, output), ()
    except HooksyncError as error:
        for problem in error.problems:  # a problem in a file begins with its place there
            kind = "refused" if error.exit_code == ExitCode.REFUSED else "error"
            output.message(str(problem) if problem.where else f"{kind}: {problem}")
        return what_ended(error, has_begun=begun.is_set())
    except KeyboardInterrupt:  # before or after signals are handled
        return ExitCode.INTERRUPTED, ()
    except Exception as error:  # a bug, or this machine has no more memory, threads or handles
        with suppress(Exception):  # there may be no memory for the message
            output.message(unforeseen_text(error))
        return what_ended(error, has_begun=begun.is_set())


def _write_failure(
    arguments: Sequence[str], output: Output, code: ExitCode, problems: Sequence[Problem]
) -> None:
    """Write an error as JSON if the command should have written JSON and did not.

    The command line may be invalid, so only --format and --report are read from it.
    """
    import argparse

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--format", nargs="?")
    parser.add_argument("--report", nargs="?")
    given, _ = parser.parse_known_args(arguments)
    wants_json = given.format == "json" and "-" not in output.written
    needs_report = given.report and given.report not in output.written
    if not (wants_json or needs_report):
        return
    from hooksync.config.files import YAML_ENDINGS
    from hooksync.core.errors import Problem
    from hooksync.output.error_json import error_json  # only here: most runs have a result

    document = error_json(problems or [Problem("interrupted", "run it again")], code)
    if wants_json:
        output.result(document, "json")
    if needs_report and not given.report.endswith(YAML_ENDINGS):  # it may be the hooks file
        output.write_file(given.report, document)


def _open_missing_streams() -> None:
    """Open closed standard streams on the null device: no connection may get their numbers."""
    import os

    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # the system gives the lowest free number, which is that of the closed stream
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    if sys.platform != "win32":
        # a parent process may leave stdin non-blocking: a read would end in the middle
        os.set_blocking(0, True)


def _print_version() -> int:
    try:
        print(f"hooksync {__version__}", flush=True)
    except OSError as error:
        sys.stdout = None  # or else Python tries again at exit
        print(f"error: standard output cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _run(argv: Sequence[str], begun: Event, output: Output) -> ExitCode:
    """Make the terminal, handle signals and run one command."""
    import os
    from threading import Event

    from hooksync.cli.arguments import Help, NoCommand, read_arguments
    from hooksync.cli.terminal import ConsoleTerminal, Interrupts, catch_signals
    from hooksync.core.errors import ExitCode, Interrupted

    try:
        arguments = read_arguments(argv, os.environ)
    except Help as text:
        output.result(str(text))
        return ExitCode.DONE
    except NoCommand as text:
        output.message(str(text).rstrip("\n"))
        return ExitCode.USAGE
    from hooksync.reconcile.context import World

    stop = Event()
    interrupts = Interrupts(stop)
    terminal = ConsoleTerminal(output, interrupts, arguments.color, is_verbose=arguments.verbose)
    world = World(
        os.environ,
        sys.stdin.buffer,
        terminal,
        stop,
        interrupt_code=lambda: interrupts.exit_code,
        begun=begun,
        output=output,
    )
    with catch_signals(interrupts.handle):
        try:
            return _run_command(arguments, world)
        except KeyboardInterrupt:
            return interrupts.exit_code
        except Interrupted as error:
            error.exit_code = interrupts.exit_code
            raise


def _run_command(arguments: argparse.Namespace, world: World) -> ExitCode:
    """Load the module of a command and run it.

    No other command's module is loaded, so that the start is fast.
    """
    from importlib import import_module

    place, _, function = arguments.entry.run.partition(":")
    module = import_module(place)
    kind = getattr(module, arguments.entry.options)
    fields = {}
    for name, value in vars(arguments).items():  # those that are fields of the command's options
        if name in kind.__match_args__:
            fields[name] = tuple(value) if isinstance(value, list) else value
    if getattr(arguments, "env_files", ()) or "credentials" in arguments:
        world = _with_files(arguments, world)
    code: ExitCode = getattr(module, function)(kind(**fields), world)
    return code


def _with_files(arguments: argparse.Namespace, world: World) -> World:
    """Add variables from --env-file, and from pyPreservica's file if the command logs in."""
    from hooksync.config.secret_sources import gather
    from hooksync.core.record import replace

    logs_in = "credentials" in arguments and getattr(arguments, "is_from_live", True)
    credentials = (arguments.credentials or "") if logs_in else None
    environ, warnings = gather(tuple(arguments.env_files), credentials, world.environ)
    for warning in warnings:
        world.terminal.warn(warning)
    for name in ("PRESERVICA_PASSWORD", "PRESERVICA_2FA_TOKEN"):
        if name in environ.origins and name in environ:
            world.output.redactor.learn([environ[name]])
    return replace(world, environ=environ)
