"""Run one command, and report how it ended.

Only the package `cli` handles signals and connects commands to the terminal.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby
from operator import attrgetter

from hooksync.api.options import CallOptions, EnvironmentOptions, LogInOptions
from hooksync.cli.parser import Given, HelpText, read_arguments
from hooksync.cli.terminal import ConsoleTerminal, catch_signals
from hooksync.config.files import MOST_BYTES, YAML_ENDINGS, gather
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
from hooksync.core.flags import CommandOptions
from hooksync.core.model import Variables
from hooksync.core.output import Output
from hooksync.core.reading import read_file
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.render.json_text import ERROR_FORMAT, result_json


def run(argv: Sequence[str], clock: Clock = SYSTEM_CLOCK) -> int:
    """Run a command to its end, report any error, and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # escape characters that the terminal's encoding lacks
            stream.reconfigure(errors="backslashreplace")
    output = Output()
    terminal = ConsoleTerminal(output)
    context = Context(os.environ, sys.stdin.buffer, terminal, terminal.stop, clock, output)
    given = Given()
    problems: Problems = ()
    try:
        with catch_signals(terminal.handle):
            code = _run_command(argv, given, terminal, context)
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
            _write_failure(given, output, code, problems)
    output.message("", end="")  # removes the progress
    gc.freeze()  # or else Python searches all objects at exit for garbage
    return int(code)


def _report(error: Exception, output: Output) -> None:
    """Show an error. An unexpected one is a bug, or this machine lacks memory or open files."""
    if not isinstance(error, HooksyncError):
        output.message(internal_error_text(error))
        return
    kind = "refused" if error.exit_code == ExitCode.REFUSED else "error"
    for fix, alike in groupby(error.problems, attrgetter("fix")):  # a fix is shown once
        for problem in alike:  # one in a file begins with its place there
            output.message(problem.headline if problem.where else f"{kind}: {problem.headline}")
        output.message(f"  fix: {printable(fix)}")


def _run_command(
    argv: Sequence[str], given: Given, terminal: ConsoleTerminal, context: Context
) -> ExitCode:
    """Run the command that a command line names. `given`: gets what it gives for each flag."""
    try:
        run_command, options = read_arguments(argv, os.environ, given)
    except HelpText as text:
        show = terminal.message if text.code else terminal.result
        show(str(text))
        return text.code
    if isinstance(options, CallOptions):
        terminal.is_verbose = options.is_verbose
    return run_command(options, replace(context, environ=_environ(options, context)))


def _environ(options: CommandOptions, context: Context) -> Variables:
    """Add variables from --env-file, and from pyPreservica's file if the command logs in."""
    if not isinstance(options, EnvironmentOptions):
        return context.environ
    credentials = None
    if isinstance(options, LogInOptions):
        credentials = options.credentials or ""
    environ, warnings = gather(options.env_files, credentials, context.environ)
    context.terminal.warn(*warnings)
    return environ


def _write_failure(given: Given, output: Output, code: ExitCode, problems: Problems) -> None:
    """Write an error as JSON if the command should have written JSON and did not."""
    wants_json = getattr(given, "format", None) == "json" and "-" not in output.written
    errors = problems or (Problem("interrupted", "run it again"),)
    document = result_json(ERROR_FORMAT, code, errors=errors)
    if wants_json:
        output.result(document, "json")
    path = getattr(given, "report", None)
    if path and path not in output.written and _may_be_written(path):
        output.write_file(path, document)


def _may_be_written(path: str) -> bool:
    """Whether an error may be written to a file: it may be a hooks file or the state."""
    with suppress(
        OSError, ValueError
    ):  # no file: or else the error of writing it is the better one
        data = read_file(path, MOST_BYTES)
        return not data or b'"hooksync.report/' in data or b'"hooksync.error/' in data
    return not path.endswith(YAML_ENDINGS)
