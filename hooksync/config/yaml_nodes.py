"""Mappings and lists that remember where they were written, and the rules by which the loader fills them. Pure.

The rules: keys are text, a key stands once, `<<` merges. Marks are (line, column), 1-based; they are kept in arrays,
because a file with 10,000 subscriptions has 200,000 of them, and few are ever asked for.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from sys import intern
from typing import cast

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

    __slots__ = ("_positions", "places", "size")

    def __init__(self) -> None:
        super().__init__()
        self.places = array("I")  # of every key, in order, _PAIR numbers
        self.size = 0  # in nodes, those that aliases bring in counted too; 0 while it is read
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

    __slots__ = ("places", "size")

    def __init__(self) -> None:
        super().__init__()
        self.places = array("I")  # of every item, in order, _MARK numbers
        self.size = 0  # as that of a mapping

    def item_mark(self, index: int) -> Mark:
        """Where an item is written."""
        line, column = self.places[index * _MARK : (index + 1) * _MARK]
        return line + 1, column + 1

    def __repr__(self) -> str:
        """Keep it short, for the same reason as in YamlMap."""
        return "YamlList(...)"


Report = Callable[[Mark, str, str], None]  # where, what, fix
_QUOTABLE = re.compile("[A-Za-z0-9_.-]{1,64}")  # `{secret:abc}`, a space forgotten, is one key: not quoted


def fill(node: YamlMap, items: Sequence[object], report: Report, is_private: Callable[[], bool]) -> int:
    """Give a mapping, which has their marks already, its keys and values, in turn. Returns how many `<<` brought in.

    Own keys win, then the earlier of a list. `is_private`: whether no key may be quoted.
    """
    keys, values = items[::2], items[1::2]
    try:
        node.update(zip(map(intern, cast(list[str], keys)), values))  # noqa: B905  for speed
        if len(node) == len(values) and "<<" not in node:
            return 0
    except TypeError:
        pass  # a key is no text
    node.clear()
    places, node.places = node.places, array("I")
    merges: list[tuple[object, Mark]] = []
    for start, (key, value) in enumerate(zip(keys, values, strict=False)):
        line, column, value_line, value_column = places[start * _PAIR : (start + 1) * _PAIR]
        if key == "<<" and not merges:
            merges.append((value, (value_line + 1, value_column + 1)))
        elif isinstance(key, str) and key != "<<" and key not in node:
            node.add(key, value, (line, column, value_line, value_column))
        else:
            report((line + 1, column + 1), *_key_problem(node, key, is_private))
    own = len(node)
    for merged, mark in merges:
        sources = merged if isinstance(merged, YamlList) else [merged]
        mappings = [source for source in sources if isinstance(source, YamlMap)]
        for source in mappings:
            for name in [name for name in source if name not in node]:
                node.add(name, source[name], source.place(name))
        if len(mappings) < len(sources):
            report(mark, "`<<` takes a mapping or a list of mappings", "merge an alias, as in `<<: *common`")
    return len(node) - own


def _key_problem(node: YamlMap, key: object, is_private: Callable[[], bool]) -> tuple[str, str]:
    if isinstance(key, YamlMap | YamlList):
        return "a mapping or list cannot be a key", "write a name; between quotes [ and { are text"
    if key is None:
        return "a key is missing", "write a name before the colon"
    if key == "<<":
        return "duplicate key <<", "merge several with a list: `<<: [*one, *two]`"
    if isinstance(key, str):
        line, column = node.key_mark(key)
        name = f' "{key}"' if _QUOTABLE.fullmatch(key) and not is_private() else ""
        return f"duplicate key{name}, first at {line}:{column}", "keep one of the two"
    kind = "true or false" if isinstance(key, bool) else "a number" if isinstance(key, int | float) else "a date"
    return f"a key must be text, but YAML reads this one as {kind}", 'put quotes around it, as in "on":'
