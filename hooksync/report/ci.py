"""Problems as GitHub Actions shows them beside the line they are about. Pure: it makes strings and prints nothing.

The runner takes such commands from standard error as from standard output (actions/runner, ScriptHandler.cs), so the
result stays clean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from hooksync.core.errors import Problem
from hooksync.core.redaction import printable

Level = Literal["error", "warning"]
TITLE = "hooksync"

_IN_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTY = _IN_DATA | {":": "%3A", ",": "%2C"}


def annotation(level: Level, problem: Problem, path_of: Callable[[str], str] = str) -> str | None:
    """Write the command that shows a problem of a file; None for one that has no place there.

    `path_of`: from a file as the user named it to its path in the repository.
    """
    where = problem.where
    if where is None or where.file.startswith("<"):  # standard input is no file of the repository
        return None
    path = _escaped(path_of(where.file), _IN_PROPERTY)
    message = _escaped(f"{problem.what}\nfix: {problem.fix}", _IN_DATA)
    return f"::{level} file={path},line={where.line},col={where.column},title={TITLE}::{message}"


def _escaped(text: str, escapes: Mapping[str, str]) -> str:
    return "".join(escapes.get(c) or printable(c) for c in text)
