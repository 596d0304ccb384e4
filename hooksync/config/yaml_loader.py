"""YAML bytes -> plain data and where each node was written.

Pure. Only this module knows PyYAML. It builds from the parser's events, in one pass and without recursion, because
`yaml.safe_load` forgets places, takes the last of two equal keys and is ten times slower. No message quotes the text
of a value: it may be a secret. Keys are text, a key stands once, `<<` merges. Marks are kept in arrays, because a file
with 10,000 subscriptions has 200,000 of them, and few are ever asked for.
"""

from __future__ import annotations

import codecs
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from sys import intern
from typing import Any, cast

import yaml
from yaml import events

from hooksync.core.errors import FileError, Problem
from hooksync.core.model import Location
from hooksync.core.record import Record

has_fast_parser: bool = yaml.__with_libyaml__  # without it, reading is ten times slower

Mark = tuple[int, int]  # line and column, 1-based
Event = Any  # one of yaml.events; by the stubs, some have no mark; those of the parsers have one

_RESOLVERS = yaml.SafeLoader.yaml_implicit_resolvers  # by the first character: tags, each with its pattern
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_constructor = yaml.constructor.SafeConstructor()
_CONVERTERS: dict[str, Callable[[yaml.ScalarNode], object]] = {
    "tag:yaml.org,2002:null": _constructor.construct_yaml_null,
    "tag:yaml.org,2002:bool": _constructor.construct_yaml_bool,
    "tag:yaml.org,2002:int": _constructor.construct_yaml_int,
    "tag:yaml.org,2002:float": _constructor.construct_yaml_float,
    _TIMESTAMP: lambda node: Timestamp(node.value),
}
_LONGEST_NUMBER = 1000  # characters; Python refuses to convert some that are longer, and is slow with others
_MOST_EVENTS = 2_000_000  # values, names and brackets in one file; 10,000 subscriptions take 200,000
_MOST_ALIASED = 200_000  # nodes that aliases and merges may bring into a small file, each as often as it appears
_DEEPEST = 100  # levels of nesting
_MOST_PROBLEMS = 1000  # in one file; more would not be read
_MARK, _PAIR = 2, 4  # numbers that a mark takes up, and those of a key and its value
_QUOTED = re.compile(r"(?:,? but (?:found|got))?\s*(['\"]).*\1")


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

    def add(self, key: str, value: object, place: Iterable[int]) -> None:
        """Take a new key. The place: line and column of the key, then of its value."""
        self[key] = value
        self.places.extend(place)

    def place(self, key: str) -> Sequence[int]:
        """Where a key and its value are written, as `add` took it."""
        if self._positions is None or len(self._positions) != len(self):
            self._positions = {name: position for position, name in enumerate(self)}
        start = self._positions[key] * _PAIR
        return self.places[start : start + _PAIR]

    def key_mark(self, key: str) -> Mark:
        """Where a key is written; for a merged one, in the mapping that it came from."""
        return cast(Mark, tuple(self.place(key)[:_MARK]))

    def value_mark(self, key: str) -> Mark:
        """Where the value of a key is written; for an alias, where the alias is."""
        return cast(Mark, tuple(self.place(key)[_MARK:]))

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
        return cast(Mark, tuple(self.places[index * _MARK : (index + 1) * _MARK]))

    def __repr__(self) -> str:
        return "YamlList(...)"


def parser_warning(*, is_fast: bool = has_fast_parser) -> tuple[Problem, ...]:
    """Warn where reading is slow."""
    if is_fast:
        return ()
    what = "PyYAML comes without libyaml here: large files are read ten times slower"
    return (Problem(what, "install a wheel of PyYAML for this platform, or build it with libyaml"),)


def read_yaml(file: str, data: bytes, *, fast: bool = has_fast_parser) -> tuple[YamlMap, tuple[Problem, ...]]:
    """Read one file: its top level, and the problems that did not stop the reading (double keys, tags and the like).

    Raises FileError, problems so far included, where reading on makes no sense.
    """
    text = read_text(file, data)
    if directive := _DIRECTIVE.search(text):  # first: libyaml compares each %TAG with all before it
        fix = "remove the line; in a text of several lines, indent it"
        what = "directives (lines that begin with %) are not supported"
        raise FileError(Problem(what, fix, place_after(file, text[: directive.end() - 1])))
    most_aliased = max(_MOST_ALIASED, min(len(text), _MOST_EVENTS))  # one for each character does no harm
    builder = _Builder(file, most_aliased)
    loader = yaml.CSafeLoader(text) if fast else yaml.SafeLoader(text)
    try:
        builder.take_all(loader.get_event)
    except yaml.YAMLError as error:
        builder.give_up()
        raise FileError(*builder.problems, _syntax_problem(file, text, error)) from None  # it may quote the text
    finally:
        loader.dispose()
    return builder.top_level(), tuple(sorted(builder.problems, key=attrgetter("where")))


@lru_cache(maxsize=1024)
def read_plain(text: str) -> object:
    """Read a scalar without quotes as YAML 1.1 does: None, bool, int, float, Timestamp, or else the text itself.

    E.g. `off` is false, `0123` is 83 and `12:30:45` is 45045. A number that is too long to convert is infinite.
    """
    tag = next((tag for tag, pattern in _RESOLVERS.get(text[:1], ()) if pattern.match(text)), "")
    convert = _CONVERTERS.get(tag)
    if convert is None:  # also `<<` and `=`
        return text
    if len(text) > _LONGEST_NUMBER and tag != _TIMESTAMP:
        return float("inf")
    try:
        return convert(yaml.ScalarNode(tag, text))
    except ValueError:  # `0b_` and `0x_`, numbers without a digit
        return 0
    except OverflowError:  # `1:1:1...:1.5`
        return float("inf")


def _syntax_problem(file: str, text: str, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    reasons = (getattr(error, "context", None), getattr(error, "problem", None))
    reason = _QUOTED.sub("", " ".join(filter(None, reasons))) or "it cannot be parsed"
    where = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file, 1, 1)
    where = min(where, place_after(file, text))  # libyaml ends the last line, where the file does not
    return Problem(f"not valid YAML: {reason}", "look at this line and the one above: indentation, quotes, `: `", where)


def _key_problem(node: YamlMap, key: object) -> tuple[str, str]:
    if isinstance(key, YamlMap | YamlList):
        return "a mapping or list cannot be a key", "write a name; between quotes [ and { are text"
    if key is None:
        return "a key is missing", "write a name before the colon"
    if key == "<<":
        return "duplicate key <<", "merge several with a list: `<<: [*one, *two]`"
    if isinstance(key, str):
        line, column = node.key_mark(key)
        return f"duplicate key, first at {line}:{column}", "keep one of the two"
    kind = "true or false" if isinstance(key, bool) else "a number" if isinstance(key, int | float) else "a date"
    return f"a key must be text, but YAML reads this one as {kind}", 'put quotes around it, as in "on":'


class _Builder:
    """Turns events into nodes. The open ones are on a stack; the lowest of them holds the top level."""

    def __init__(self, file: str, most_aliased: int) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._root = YamlList()
        # open nodes, the items of each (of a mapping keys and values in turn), and the number of nodes before it
        self._stack: list[tuple[YamlMap | YamlList, list[object], int]] = [(self._root, self._root, 0)]
        self._anchors: dict[str, object] = {}  # nodes that aliases can name
        self._nodes = 0  # inside of the containers closed so far, those that aliases bring in counted too
        self._aliased = 0
        self._most_aliased = most_aliased

    def take_all(self, next_event: Callable[[], Event]) -> None:
        """Take events to the end of the stream."""
        steps: dict[type, Callable[[Event], None]] = {  # not kept in self: no collector frees a cycle
            events.MappingStartEvent: lambda event: self._open(YamlMap(), [], event),
            events.SequenceStartEvent: lambda event: self._open(node := YamlList(), node, event),
            events.MappingEndEvent: self._close,
            events.SequenceEndEvent: self._close,
            events.AliasEvent: self._take_alias,
            events.DocumentStartEvent: self._start_document,
            events.DocumentEndEvent: lambda event: None,
            events.StreamStartEvent: lambda event: None,
        }
        scalar, [(node, items, _)] = events.ScalarEvent, self._stack
        places = node.places
        for _ in range(_MOST_EVENTS):
            event = next_event()
            kind = type(event)
            if kind is scalar:
                value = event.value
                if event.implicit[0] and value[:1] in _RESOLVERS:
                    value = read_plain(value)
                if event.anchor is not None or event.tag is not None:
                    self._adorn(value, event)
                mark = event.start_mark
                items.append(value)  # as `_take` does
                places.extend((mark.line + 1, mark.column + 1))
            elif kind is events.StreamEndEvent:
                return
            else:
                steps[kind](event)
                node, items, _ = self._stack[-1]
                places = node.places
        what = f"more than {_MOST_EVENTS:,} values, names and brackets in one file"
        self._stop(event, what, "spread the tenancies, or the subscriptions of one, over several files")

    def give_up(self) -> None:
        """Look for problems in what was not closed."""
        for node, items, *_ in self._stack:
            if isinstance(node, YamlMap):
                self._fill(node, items)

    def top_level(self) -> YamlMap:
        """Return what was built. Raises FileError if that is not a mapping."""
        node = self._root[0] if self._root else None
        if isinstance(node, YamlMap):
            return node
        fix = "begin with `version: 1`"
        if node is None:
            raise FileError(*self.problems, Problem("the file is empty", fix, Location(self.file, 1, 1)))
        kind = "a list" if isinstance(node, YamlList) else "a single value"
        where = Location(self.file, *self._root.item_mark(0))
        raise FileError(*self.problems, Problem(f"the top level is {kind}, not a mapping", fix, where))

    def _take(self, value: object, event: Event) -> None:
        node, items, _ = self._stack[-1]
        items.append(value)
        node.places.extend(_mark(event))

    def _open(self, node: YamlMap | YamlList, items: list[object], event: Event) -> None:
        if len(self._stack) > _DEEPEST:
            self._stop(event, f"nested deeper than {_DEEPEST} levels", "look for a stray `[` or `{`; seven are enough")
        if event.anchor is not None or event.tag is not None:
            self._adorn(node, event)
        self._take(node, event)
        self._stack.append((node, items, self._nodes))

    def _close(self, event: Event) -> None:
        node, items, nodes_before = self._stack.pop()
        if isinstance(node, YamlMap) and (merged := self._fill(node, items)):
            self._bring_in(merged, event)
        self._nodes += len(node)
        node.size = 1 + self._nodes - nodes_before

    def _fill(self, node: YamlMap, items: Sequence[object]) -> int:
        """Give a mapping, which has their marks already, keys and values, in turn; returns how many `<<` brought in.

        Own keys win, then the earlier of a list.
        """
        rest: Iterator[Any] = iter(items)
        try:
            node.update(zip(map(intern, rest), rest))  # noqa: B905  for speed
            if 2 * len(node) == len(items) and "<<" not in node:
                return 0
        except TypeError:
            pass  # a key is no text
        node.clear()
        places, node.places = node.places, array("I")
        merges: list[tuple[object, Mark]] = []
        for start, (key, value) in enumerate(zip(items[::2], items[1::2], strict=False)):
            place = places[start * _PAIR : (start + 1) * _PAIR]
            if key == "<<" and not merges:
                merges.append((value, cast(Mark, tuple(place[_MARK:]))))
            elif isinstance(key, str) and key != "<<" and key not in node:
                node.add(key, value, place)
            else:
                self._add_problem(cast(Mark, tuple(place[:_MARK])), *_key_problem(node, key))
        own = len(node)
        for merged, mark in merges:
            sources = merged if isinstance(merged, YamlList) else [merged]
            mappings = [source for source in sources if isinstance(source, YamlMap)]
            for source in mappings:
                for name in [name for name in source if name not in node]:
                    node.add(name, source[name], source.place(name))
            if len(mappings) < len(sources):
                fix = "merge an alias, as in `<<: *common`"
                self._add_problem(mark, "`<<` takes a mapping or a list of mappings", fix)
        return len(node) - own

    def _adorn(self, node: object, event: Event) -> None:
        """Note an anchor, refuse a tag."""
        if event.tag is not None:
            fix = "remove it; between quotes a leading ! is text"
            self._add_problem(_mark(event), "tags (`!...`) are not supported", fix)
        if event.anchor is not None:
            self._anchors[event.anchor] = node

    def _take_alias(self, event: Event) -> None:
        node = self._anchors.get(event.anchor, self)
        size = node.size if isinstance(node, YamlMap | YamlList) else 1
        if node is self:
            fix = "between quotes a leading * is text"
            self._add_problem(_mark(event), "no anchor (`&name`) of this name is defined above", fix)
            self._take(None, event)
        elif size == 0:
            self._stop(event, "an alias inside the node that it refers to", "move the anchor to another node")
        else:
            self._nodes += size - 1  # the alias itself is counted when what it stands in is closed
            self._bring_in(size, event)
            self._take(node, event)

    def _bring_in(self, size: int, event: Event) -> None:
        self._aliased += size
        if self._aliased > self._most_aliased:
            what = f"aliases expand to more than {self._most_aliased:,} nodes"
            self._stop(event, what, "write fewer aliases of aliases")

    def _start_document(self, event: Event) -> None:
        if self._root:
            self._stop(event, "a second document (`---`) in one file", "give each document a file of its own")

    def _add_problem(self, mark: Mark, what: str, fix: str) -> None:
        self.problems.append(Problem(what, fix, Location(self.file, *mark)))
        if len(self.problems) >= _MOST_PROBLEMS:
            raise FileError(*self.problems)

    def _stop(self, event: Event, what: str, fix: str) -> None:
        self._add_problem(_mark(event), what, fix)
        raise FileError(*self.problems)


def _mark(event: Event) -> Mark:
    return event.start_mark.line + 1, event.start_mark.column + 1


_DIRECTIVE = re.compile("(?:\\A|[\n\r\x85\u2028\u2029])\ufeff?%")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SAVE_AS_UTF8 = "save the file as UTF-8"


def read_text(file: str, data: bytes) -> str:
    """Decode a file as UTF-8, a byte order mark at its start dropped.

    Raises FileError, with the place, for other encodings and for characters that YAML does not allow.
    """
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    if data.startswith(marks) or (len(data) > 1 and 0 in data[:2]):  # without a mark, one byte of a character is zero
        raise FileError(Problem("the file is UTF-16, not UTF-8", _SAVE_AS_UTF8, Location(file, 1, 1)))
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        where = place_after(file, data[: error.start].decode("utf-8"))
        raise FileError(Problem("this byte is not UTF-8", _SAVE_AS_UTF8, where)) from None  # it would quote the bytes
    if forbidden := _FORBIDDEN.search(text):
        what = f"character U+{ord(forbidden[0]):04X} is not allowed in YAML"
        fix = 'remove it, or write it as an escape between double quotes, as in "\\x07"'
        raise FileError(Problem(what, fix, place_after(file, text[: forbidden.start()])))
    return text


def place_after(file: str, before: str) -> Location:
    """Return the place right after a text."""
    lines = _LINE_BREAK.split(before)
    return Location(file, len(lines), len(lines[-1]) + 1)
