"""The errors of a command that has no result, as JSON text: `hooksync.error/1`. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from hooksync import __version__
from hooksync.core.errors import ExitCode, Problem
from hooksync.output.json_text import to_text

ERROR_FORMAT = "hooksync.error/1"


def error_json(problems: Iterable[Problem], exit_code: ExitCode) -> str:
    """Write the problems of a command that has no other result."""
    errors = []
    for problem in problems:
        where = str(problem.where) if problem.where else None
        errors.append({"what": problem.what, "where": where, "fix": problem.fix})
    document = {
        "format": ERROR_FORMAT,
        "exit_code": int(exit_code),
        "hooksync_version": __version__,
        "errors": errors,
    }
    return to_text(document)
