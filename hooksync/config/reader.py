"""What reading one hooks file takes at every step: its name, its folder, and a list of what is wrong. Pure."""

from __future__ import annotations

from typing import Literal, cast

from msgspec import Struct

from hooksync.config.declarations import Written
from hooksync.config.yaml_nodes import Mark, YamlMap
from hooksync.core.errors import Problem
from hooksync.core.model import Location, SecretRef
from hooksync.core.record import field
from hooksync.core.template import parse_template


class FileReader(Struct):
    """One hooks file that is being read."""

    file: str  # as the user named it
    folder: str  # that relative paths in it start at
    problems: list[Problem] = field(default_factory=list)

    def at(self, mark: Mark) -> Location:
        """Turn a mark into a place in this file."""
        line, column = mark
        return Location(self.file, line, column)

    def note(self, what: str, fix: str, where: Location) -> None:
        """Add a problem."""
        self.problems.append(Problem(what, fix, where))

    def add(self, problem: Problem | None) -> None:
        """Add a problem, if it is one."""
        if problem:
            self.problems.append(problem)

    def text(self, fields: YamlMap, key: str) -> Written | None:
        """Read a text that may hold `${NAME}`. None: it is not there, or it is malformed, which is noted."""
        if key not in fields:
            return None
        where = self.at(fields.value_mark(key))
        try:
            return Written(parse_template(cast(str, fields[key])), where)
        except ValueError as error:
            self.note(f"{key} has {error}", "write ${NAME}, ${NAME:-default}, or $$ for a dollar", where)
            return None

    def reference(self, fields: YamlMap, key: str) -> SecretRef | None:
        """Read `{env: NAME}` or `{file: PATH}`. None: it is not there."""
        if key not in fields:
            return None
        ((kind, name),) = cast(dict[Literal["env", "file"], str], fields[key]).items()
        base = self.folder if kind == "file" else ""
        return SecretRef(kind, name, self.at(fields.value_mark(key)), base)
