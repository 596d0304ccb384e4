"""Mappings and lists while they are being filled: keys that must be text, double keys, and `<<` merges.

Pure. A part of the YAML reader of its own because these are the rules, and `yaml_source` is the traffic.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from hooksync.config.yaml_nodes import YamlList, YamlMap


class EventMark(Protocol):
    """A mark as PyYAML makes it: where a node begins, 0-based."""

    @property
    def line(self) -> int: ...  # noqa: D102

    @property
    def column(self) -> int: ...  # noqa: D102


Report = Callable[[EventMark, str, str], None]  # where, what, fix

_PRIVATE = re.compile("sec|cred|pass|tok|totp", re.IGNORECASE)  # what hangs under such a key is quoted nowhere
_QUOTABLE = re.compile("[A-Za-z0-9_.-]{1,64}")  # `{secret:abc}`, a space forgotten, is one key: not quoted


class _Role(Enum):
    """What becomes of the next value when the key before it was none of its own."""

    MERGE = "merge"
    DROP = "drop"


class OpenList:
    """A list that is being filled."""

    __slots__ = ("node", "outer")

    def __init__(self, node: YamlList, outer: OpenMap | OpenList | None) -> None:
        self.node = node
        self.outer = outer

    def take(self, value: object, mark: EventMark) -> None:
        """Append the next item."""
        self.node.append(value)
        self.node.places.extend((mark.line, mark.column))

    def close(self) -> int:
        """Nothing is left to do."""
        return 0

    def is_private(self) -> bool:
        """Whether what stands in it may be a secret."""
        return self.outer is not None and self.outer.is_private()


class OpenMap:
    """A mapping that is being filled: a key, its value, a key, its value."""

    __slots__ = ("_column", "_is_value_next", "_key", "_line", "_merges", "_report", "node", "outer")

    def __init__(self, node: YamlMap, outer: OpenMap | OpenList, report: Report) -> None:
        self.node = node
        self.outer = outer
        self._report = report
        self._is_value_next = False
        self._key: str | _Role = _Role.DROP  # the latest
        self._line = self._column = 0  # of the latest key
        self._merges: list[tuple[object, EventMark]] | None = None

    def take(self, value: object, mark: EventMark) -> None:
        """Take the next key or value."""
        if not self._is_value_next:
            self._is_value_next = True
            self._line = mark.line
            self._column = mark.column
            if type(value) is str and value not in self.node and value != "<<":
                self._key = sys.intern(value)
            else:
                self._key = self._role_of_key(value, mark)
            return
        self._is_value_next = False
        key = self._key
        if isinstance(key, str):
            self.node[key] = value
            self.node.places.extend((self._line, self._column, mark.line, mark.column))
        elif key is _Role.MERGE and self._merges is not None:
            self._merges.append((value, mark))

    def is_private(self) -> bool:
        """Whether what stands under its latest key may be a secret."""
        return (isinstance(self._key, str) and bool(_PRIVATE.search(self._key))) or self.outer.is_private()

    def close(self) -> int:
        """Merge what `<<` names: own keys win, then the earlier of a list. Returns the number of keys brought in."""
        before = len(self.node)
        for value, mark in self._merges or ():
            sources = value if isinstance(value, YamlList) else [value]
            for source in sources:
                if isinstance(source, YamlMap):
                    self._merge(source)
            if not all(isinstance(source, YamlMap) for source in sources):
                self._report(mark, "`<<` takes a mapping or a list of mappings", "merge an alias, as in `<<: *common`")
        return len(self.node) - before

    def _merge(self, source: YamlMap) -> None:
        for key, value in source.items():
            if key not in self.node:
                self.node.add(key, value, source.place(key))

    def _role_of_key(self, value: object, mark: EventMark) -> str | _Role:
        """Sort out a key that is not plainly a new text."""
        if not isinstance(value, str):
            self._report(mark, *_untextual_key(value))
            return _Role.DROP
        if value == "<<" and self._merges is None:
            self._merges = []
            return _Role.MERGE
        if value == "<<":
            self._report(mark, "duplicate key <<", "merge several with a list: `<<: [*one, *two]`")
            return _Role.DROP
        line, column = self.node.key_mark(value)
        name = f' "{value}"' if _QUOTABLE.fullmatch(value) and not self.outer.is_private() else ""
        self._report(mark, f"duplicate key{name}, first at {line}:{column}", "keep one of the two")
        return _Role.DROP


def _untextual_key(value: object) -> tuple[str, str]:
    if isinstance(value, YamlMap | YamlList):
        return "a mapping or list cannot be a key", "write a name; between quotes [ and { are text"
    if value is None:
        return "a key is missing", "write a name before the colon"
    kind = "true or false" if isinstance(value, bool) else "a number" if isinstance(value, int | float) else "a date"
    return f"a key must be text, but YAML reads this one as {kind}", 'put quotes around it, as in "on":'
