"""Mappings and lists that remember where they were written, and the rules by which the loader fills them. Pure.

The rules: keys are text, a key stands once, `<<` merges. Marks are (line, column), 1-based; they are kept in arrays,
because a file with 10,000 subscriptions has 200,000 of them, and few are ever asked for.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Callable
from typing import Any

from hooksync.core.record import Record

Mark = tuple[int, int]

_MARK = 2  # numbers that a mark takes up: 0-based line and column
_FEW = 16  # keys that are searched faster than a dictionary of them is made
_PAIR = 2 * _MARK  # the mark of a key, then that of its value


class Timestamp(Record, frozen=True):
    """What YAML 1.1 reads as a date, or as a date with a time."""

    text: str


class YamlMap(dict[str, object]):
    """A mapping. To jsonschema it is a dict like any other."""

    __slots__ = ("_positions", "places")

    def __init__(self) -> None:
        super().__init__()
        self.places = array("I")  # of every key, in order, _PAIR numbers
        self._positions: dict[str, int] | None = None  # of every key; made when first asked for

    def add(self, key: str, value: object, place: tuple[int, int, int, int]) -> None:
        """Take a new key. The place: 0-based line and column of the key, then of its value."""
        self[key] = value
        self.places.extend(place)

    def place(self, key: str) -> tuple[int, int, int, int]:
        """Where a key and its value are written, as `add` took it."""
        if len(self) <= _FEW:
            start = list(self).index(key) * _PAIR
        else:
            if self._positions is None or len(self._positions) != len(self):
                self._positions = {name: position for position, name in enumerate(self)}
            start = self._positions[key] * _PAIR
        line, column, value_line, value_column = self.places[start : start + _PAIR]
        return line, column, value_line, value_column

    def key_mark(self, key: str) -> Mark:
        """Where a key is written; for a merged one, in the mapping that it came from."""
        line, column, _, _ = self.place(key)
        return line + 1, column + 1

    def value_mark(self, key: str) -> Mark:
        """Where the value of a key is written; for an alias, where the alias is."""
        _, _, line, column = self.place(key)
        return line + 1, column + 1

    def __repr__(self) -> str:
        """Keep it short: jsonschema puts it into every message, and aliases can make a small file huge."""
        return "YamlMap(...)"


class YamlList(list[object]):
    """A list. To jsonschema it is a list like any other."""

    __slots__ = ("places",)

    def __init__(self) -> None:
        super().__init__()
        self.places = array("I")  # of every item, in order, _MARK numbers

    def item_mark(self, index: int) -> Mark:
        """Where an item is written."""
        line, column = self.places[index * _MARK : (index + 1) * _MARK]
        return line + 1, column + 1

    def __repr__(self) -> str:
        """Keep it short, for the same reason as in YamlMap."""
        return "YamlList(...)"


EventMark = Any  # as PyYAML makes it: where a node begins, by its `line` and `column`, 0-based
Report = Callable[[EventMark, str, str], None]  # where, what, fix

_PRIVATE = re.compile("sec|cred|pass|tok|totp", re.IGNORECASE)  # what hangs under such a key is quoted nowhere
_QUOTABLE = re.compile("[A-Za-z0-9_.-]{1,64}")  # `{secret:abc}`, a space forgotten, is one key: not quoted


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
        self._key: str | None = None  # the latest; `<<` for a merge, None: what stands under it is dropped
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
                self._key = self._merge_key(value, mark)
            return
        self._is_value_next = False
        key = self._key
        if key is not None and key != "<<":
            self.node[key] = value
            self.node.places.extend((self._line, self._column, mark.line, mark.column))
        elif key and self._merges is not None:
            self._merges.append((value, mark))

    def is_private(self) -> bool:
        """Whether what stands under its latest key may be a secret."""
        return bool(_PRIVATE.search(self._key or "")) or self.outer.is_private()

    def close(self) -> int:
        """Merge what `<<` names: own keys win, then the earlier of a list. Returns the number of keys brought in."""
        before = len(self.node)
        for value, mark in self._merges or ():
            sources = value if isinstance(value, YamlList) else [value]
            mappings = [source for source in sources if isinstance(source, YamlMap)]
            for source in mappings:
                for key in [key for key in source if key not in self.node]:
                    self.node.add(key, source[key], source.place(key))
            if len(mappings) < len(sources):
                self._report(mark, "`<<` takes a mapping or a list of mappings", "merge an alias, as in `<<: *common`")
        return len(self.node) - before

    def _merge_key(self, value: object, mark: EventMark) -> str | None:
        """Sort out a key that is not plainly a new text: the first `<<`, or a problem."""
        if value == "<<" and self._merges is None:
            self._merges = []
            return "<<"
        if not isinstance(value, str):
            self._report(mark, *_untextual_key(value))
        elif value == "<<":
            self._report(mark, "duplicate key <<", "merge several with a list: `<<: [*one, *two]`")
        else:
            line, column = self.node.key_mark(value)
            name = f' "{value}"' if _QUOTABLE.fullmatch(value) and not self.outer.is_private() else ""
            self._report(mark, f"duplicate key{name}, first at {line}:{column}", "keep one of the two")
        return None


def _untextual_key(value: object) -> tuple[str, str]:
    if isinstance(value, YamlMap | YamlList):
        return "a mapping or list cannot be a key", "write a name; between quotes [ and { are text"
    if value is None:
        return "a key is missing", "write a name before the colon"
    kind = "true or false" if isinstance(value, bool) else "a number" if isinstance(value, int | float) else "a date"
    return f"a key must be text, but YAML reads this one as {kind}", 'put quotes around it, as in "on":'
