"""Run one command, and report how it ended.

Only the package `cli` handles signals and connects commands to the terminal.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from hooksync.cli.commands import read_arguments
from hooksync.cli.parser import Given, Help, NoCommand
from hooksync.cli.terminal import ConsoleTerminal, catch_signals
from hooksync.config.files import YAML_ENDINGS, gather
from hooksync.core.clock import SYSTEM_CLOCK, Clock
from hooksync.core.context import Context
from hooksync.core.errors import (
    ExitCode,
    HooksyncError,
    Problem,
    Problems,
    exit_of,
    internal_error_text,
)
from hooksync.core.model import Variables
from hooksync.core.output import Output
from hooksync.core.record import replace
from hooksync.render.json_text import ERROR_FORMAT, result_json


def run(argv: Sequence[str], clock: Clock = SYSTEM_CLOCK) -> int:
    """Run a command to its end, report any error, and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # escape characters that the terminal's encoding lacks
            stream.reconfigure(errors="backslashreplace")
    output = Output()
    terminal = ConsoleTerminal(output)
    context = Context(os.environ, sys.stdin.buffer, terminal, terminal.stop, clock, output)
    problems: Problems = ()
    try:
        with catch_signals(terminal.handle):
            code = _run_command(argv, terminal, context)
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except Exception as error:
        with suppress(Exception):  # there may be no memory for the message
            _report(error, output)
        code, problems = exit_of(error, has_begun=context.begun.is_set())
    if code == ExitCode.INTERRUPTED:
        code = terminal.interrupt_code
    if problems or code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        with suppress(Exception):  # standard output may be closed, or there may be no memory
            _write_failure(argv, output, code, problems)
    gc.freeze()  # or else Python searches all objects at exit for garbage
    return int(code)


def _report(error: Exception, output: Output) -> None:
    """Show an error. An unexpected one is a bug, or this machine lacks memory or open files."""
    if not isinstance(error, HooksyncError):
        output.message(internal_error_text(error))
        return
    kind = "refused" if error.exit_code == ExitCode.REFUSED else "error"
    for problem in error.problems:  # a problem in a file begins with its place there
        output.message(str(problem) if problem.where else f"{kind}: {problem}")


def _run_command(argv: Sequence[str], terminal: ConsoleTerminal, context: Context) -> ExitCode:
    """Run the command that a command line names."""
    try:
        load, given = read_arguments(argv, os.environ)
    except Help as text:
        terminal.result(str(text))
        return ExitCode.DONE
    except NoCommand as text:
        terminal.message(str(text).rstrip("\n"))
        return ExitCode.USAGE
    terminal.is_verbose = given["verbose"]
    terminal.is_quiet = given["is_quiet"]
    return load()(given, replace(context, environ=_environ(given, context)))


def _environ(given: Given, context: Context) -> Variables:
    """Add variables from --env-file, and from pyPreservica's file if the command logs in."""
    logs_in = "credentials" in given and given.get("from_live", True) is not None
    env_files = given.get("env_files") or ()
    if not (logs_in or env_files):
        return os.environ
    credentials = (given["credentials"] or "") if logs_in else None
    environ, warnings = gather(env_files, credentials, os.environ)
    context.terminal.warn(*warnings)
    return environ


def _write_failure(argv: Sequence[str], output: Output, code: ExitCode, problems: Problems) -> None:
    """Write an error as JSON if the command should have written JSON and did not.

    The command line may be invalid, so only --format and --report are read from it.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--format", nargs="?")
    parser.add_argument("--report", nargs="?")
    given, _ = parser.parse_known_args(argv)
    wants_json = given.format == "json" and "-" not in output.written
    needs_report = given.report and given.report not in output.written
    if not (wants_json or needs_report):
        return
    errors = problems or (Problem("interrupted", "run it again"),)
    document = result_json(ERROR_FORMAT, code, errors=errors)
    if wants_json:
        output.result(document, "json")
    if needs_report and not given.report.endswith(YAML_ENDINGS):  # it may be the hooks file
        output.write_file(given.report, document)
