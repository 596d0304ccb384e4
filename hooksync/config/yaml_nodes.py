"""Plain data that remembers where it was written: the mappings and lists of a YAML file.

Nothing here reads, parses or judges. Marks are (line, column), 1-based. They are kept in arrays, because a file with
10,000 subscriptions has 200,000 of them and almost none is ever asked for.
"""

from __future__ import annotations

from array import array

from hooksync.core.record import Record

Mark = tuple[int, int]

_MARK = 2  # numbers that a mark takes up: 0-based line and column
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

    def add(self, value: object, line: int, column: int) -> None:
        """Append an item, written at this 0-based line and column."""
        self.append(value)
        self.places.append(line)
        self.places.append(column)

    def item_mark(self, index: int) -> Mark:
        """Where an item is written."""
        line, column = self.places[index * _MARK : (index + 1) * _MARK]
        return line + 1, column + 1

    def __repr__(self) -> str:
        """Keep it short, for the same reason as in YamlMap."""
        return "YamlList(...)"
