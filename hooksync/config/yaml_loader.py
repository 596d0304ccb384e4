"""Turn YAML bytes into plain data, with the line and column of each key. Pure.

Only this module uses PyYAML. `yaml.safe_load` loses positions, and keeps the last of two equal
keys. Therefore this module reads the parser's events itself. It limits the depth and the number of
nodes while it reads, which `yaml.compose` cannot. No message quotes a value, because it may be a
secret.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from functools import lru_cache
from sys import intern
from typing import Any, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from hooksync.core.errors import MOST_PROBLEMS, FileError, Problem
from hooksync.core.model import Location

# one of yaml.events; all events of the parser have a mark, but the type stubs say otherwise
YamlEvent = Any

# unknown keys that messages may quote, because they look like names of fields; a key such as
# `secret:abc`, where a space is missing, may contain a secret
QUOTABLE_KEY = re.compile("[A-Za-z_-]{1,32}")
QUOTABLE_NAME = re.compile("[A-Za-z0-9_-]{1,128}")  # a name that is not valid may be a secret
PRIVATE = ("secret", "credentials")  # what is written below one of these keys may be a secret
# the types that YAML 1.1 may give to scalars without quotes, in words for messages
KINDS = {bool: "true or false", int: "a number", float: "a number or a date"}

# a PyYAML that was built without libyaml has only the slow ones
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_NO_FOLDING = 2**31 - 1  # columns
_resolver: Any = yaml.resolver.Resolver()
# first characters of plain scalars that YAML 1.1 may read as a different type than text
_FIRST_LETTERS = frozenset(_resolver.yaml_implicit_resolvers)
_WHOLE_NUMBER = re.compile("-?(?:0|[1-9][0-9]{0,17})")
_MOST_NODES = 1_500_000  # names and values in one file; 10,000 subscriptions take 120,000
# nodes, with one more for each character of the file; nodes that aliases repeat count, too
_BASE_NODE_LIMIT = 200_000
_DEEPEST = 100  # levels of nesting
_CONFLICT = re.compile("^(<{7} |={7}$|>{7} |[|]{7} )", re.MULTILINE)  # markers of Git
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_DIRECTIVE = re.compile("(?:\\A|[\n\r\x85\u2028\u2029])\ufeff?%")
# what YAML does not allow; bytes that are not UTF-8 are decoded to surrogates
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BITS = 32  # of the column, in the number of a place


class YamlMap(dict[str, Any]):
    """A mapping. To jsonschema it is a dict like any other."""

    __slots__ = ("_joined", "file", "places")

    def __init__(self, *mappings: YamlMap, file: str = "") -> None:
        """Join mappings. If several have a key, the earliest wins. `file`: of its own keys."""
        super().__init__()
        self.file = file
        self.places: dict[str, int] = {}  # line and column of its own keys, each in one number
        self._joined = mappings
        for mapping in reversed(mappings):
            self.update(mapping)

    def place(self, key: str) -> Location:
        """Return where a key is written; of a merged key, where it came from."""
        for mapping in self._joined:
            if key in mapping:
                return mapping.place(key)
        line, column = divmod(self.places[key], 1 << _BITS)
        return Location(self.file, line, column)

    def __repr__(self) -> str:
        """Return a short text: jsonschema puts it into messages, and aliases can make data huge."""
        return "YamlMap(...)"


def read_yaml(file: str, data: bytes) -> tuple[YamlMap, list[Problem]]:
    """Read one file. Returns its top level, and the problems that did not stop the reader.

    Raises FileError, with all problems so far, if the reader cannot go on.
    """
    text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    if forbidden := _FORBIDDEN.search(text):
        raise FileError(
            "this is not UTF-8, or is a character that YAML does not allow",
            'save the file as UTF-8; write the character as an escape, as in "\\x07"',
            _location(file, text, forbidden.start()),
        )
    # before parsing: libyaml compares each %TAG with all earlier ones, which may take long
    if "%" in text and (directive := _DIRECTIVE.search(text)):  # the search takes 20 ms
        raise FileError(
            "directives (lines that begin with %) are not supported",
            "remove the line; in a text of several lines, indent it",
            _location(file, text, directive.end() - 1),
        )
    loader = _LOADER(text)
    reader = _Reader(loader.get_event, file, len(text))
    try:
        return reader.read_document(), reader.problems
    except yaml.MarkedYAMLError as error:
        problem = _syntax_problem(file, text, error)
        raise FileError.of([*reader.problems, problem]) from None  # the error may quote the text
    finally:
        loader.dispose()


@lru_cache(maxsize=1024)
def read_plain(text: str) -> object:
    """Read a scalar without quotes by its type in YAML 1.1: None, bool, int, float, or text.

    E.g. `off` is false. Only a plain whole number is an int. Any other number, such as `0123` or
    `12:30:45`, is infinite, and so is a date, because no field takes it.
    """
    kind = _resolver.resolve(yaml.ScalarNode, text, (True, False)).rpartition(":")[2]
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in ("yes", "true", "on")
    if kind not in ("int", "float", "timestamp"):  # also `<<` and `=`
        return text
    return int(text) if _WHOLE_NUMBER.fullmatch(text) else float("inf")


def _location(file: str, text: str, position: int) -> Location:
    """Return the line and column after so many characters."""
    lines = _LINE_BREAK.split(text[:position])
    return Location(file, len(lines), len(lines[-1]) + 1)


def _syntax_problem(file: str, text: str, error: Any) -> Problem:
    """Put an error of the parser into our own words, because its text may quote the file."""
    mark = error.problem_mark
    if error.context_mark and not text[mark.index :].strip():  # it read to the end
        mark = error.context_mark
    where = _location(file, text, mark.index)
    what = "not valid YAML"
    fix = "look here and at the line above: indentation, quotes, brackets, a space after each colon"
    line = _LINE_BREAK.split(text)[where.line - 1]
    if "\t" in line[: len(line) - len(line.lstrip("\t -?"))]:
        what = "the indentation contains a tab"
        fix = "indent with spaces only"
    elif marker := _CONFLICT.search(text):
        what = f"not valid YAML: Git left the conflict marker {marker[0][:7]} here"
        fix = "choose one of the two versions, and delete the lines with the markers"
        where = _location(file, text, marker.start())
    return Problem(what, fix, where)


class _Reader:
    """Reads the one document of a file, event by event."""

    def __init__(self, next_event: Callable[[], YamlEvent], file: str, length: int) -> None:
        """`length`: the characters in the file."""
        self.problems: list[Problem] = []
        self._file = file
        self._next = next_event
        self._anchors: dict[str, tuple[object, int]] = {}  # a node, and the number of those in it
        self._nodes = 0  # nodes read so far; each alias counts the nodes that it repeats
        self._most_nodes = min(_MOST_NODES, _BASE_NODE_LIMIT + length)

    def read_document(self) -> YamlMap:
        """Read the file to its end. Raises FileError if it is not one mapping."""
        self._next()  # the start of the stream
        fix = "begin with `version: 1`"
        event = self._next()
        if not isinstance(event, DocumentStartEvent):
            self._fail(event, "the file is empty", fix)
        top_event = self._next()
        top = self._read(top_event, 0, is_private=False)
        self._next()  # the end of the document
        event = self._next()
        if not isinstance(event, StreamEndEvent):
            self._fail(
                event,
                "a second document (`---`) in one file",
                "give each document a file of its own",
            )
        if not isinstance(top, YamlMap):
            self._fail(top_event, "the top level is not a mapping", fix)
        return top

    def _read(self, event: YamlEvent, depth: int, *, is_private: bool) -> object:
        """Read the node that begins with an event.

        `depth`: the number of nodes around it; `is_private`: whether it may contain a secret.
        """
        self._nodes += 1
        before = self._nodes
        if before > self._most_nodes:
            self._fail(
                event,
                f"more than {self._most_nodes:,} names and values, counted again for each alias",
                "write fewer aliases of aliases, or spread the tenancies over several files",
            )
        if depth > _DEEPEST:
            self._fail(
                event,
                f"nested deeper than {_DEEPEST} levels",
                "look for a stray `[` or `{`; seven are enough",
            )
        if isinstance(event, AliasEvent):
            return self._resolve_alias(event)
        if event.tag is not None:
            self._add_problem(
                event,
                "tags (`!...`) are not supported",
                "remove it; between quotes a leading ! is text",
            )
        node: object
        if isinstance(event, ScalarEvent):
            node = event.value
            if event.implicit[0] and event.value[:1] in _FIRST_LETTERS:  # without quotes
                node = read_plain(event.value)
        elif isinstance(event, SequenceStartEvent):
            node = items = []
            item = self._next()
            while not isinstance(item, SequenceEndEvent):
                # hooks files have no names in lists: a key may be a secret
                items.append(self._read(item, depth + 1, is_private=True))
                item = self._next()
        else:
            node = self._read_map(depth + 1, is_private=is_private)
        if event.anchor is not None:  # not before: within the node, no alias may refer to it
            self._anchors[event.anchor] = node, self._nodes - before
        return node

    def _read_map(self, depth: int, *, is_private: bool) -> YamlMap:
        """Read a mapping that has begun, and merge what `<<` names."""
        node = YamlMap(file=self._file)
        event = self._next()
        while not isinstance(event, MappingEndEvent):
            key = self._read(event, depth, is_private=True)
            start = event.start_mark
            if not isinstance(key, str):
                kind = KINDS.get(type(key), "none")
                self._add_problem(
                    event,
                    f"a key must be text, but YAML reads this one as {kind}",
                    'write a name before the colon, and put quotes around it, as in "on":',
                )
            elif key in node:
                first = node.place(key)
                name = f' "{key}"' if QUOTABLE_NAME.fullmatch(key) and not is_private else ""
                self._add_problem(
                    event,
                    f"duplicate key{name}, first at {first.line}:{first.column}",
                    "keep one of the two",
                )
            event = self._next()
            value = self._read(event, depth, is_private=is_private or key in PRIVATE)
            if isinstance(key, str) and key not in node:
                node[intern(key)] = value
                node.places[key] = start.line + 1 << _BITS | start.column + 1
            event = self._next()
        return self._merged(node) if "<<" in node else node

    def _merged(self, node: YamlMap) -> YamlMap:
        """Add the keys of the mappings that `<<` names. If it names none, it is an unknown key.

        The node's own keys win. Between two mappings, the keys of the earlier one win.
        """
        merged = node["<<"]
        sources = merged if isinstance(merged, list) else [merged]
        if not all(isinstance(source, YamlMap) for source in sources):
            return node
        del node["<<"]
        joined = YamlMap(node, *sources)
        self._nodes += len(joined) - len(node)
        return joined

    def _resolve_alias(self, event: YamlEvent) -> object:
        """Return the node of an anchor; all its nodes count again, against bombs."""
        if event.anchor not in self._anchors:
            self._add_problem(
                event,
                "this alias (`*name`) refers to no anchor of a node that ends above it",
                "define the anchor above it (`&name`), or put the text in quotation marks",
            )
        node, size = self._anchors.get(event.anchor, (None, 0))
        self._nodes += size
        return node

    def _add_problem(self, event: YamlEvent, what: str, fix: str) -> None:
        """Note a problem. Raises FileError if there are too many."""
        start = event.start_mark
        where = Location(self._file, start.line + 1, start.column + 1)
        self.problems.append(Problem(what, fix, where))
        if len(self.problems) >= MOST_PROBLEMS:
            raise FileError.of(self.problems)

    def _fail(self, event: YamlEvent, what: str, fix: str) -> NoReturn:
        self._add_problem(event, what, fix)
        raise FileError.of(self.problems)


def write_yaml(document: object, *, is_flow: bool | None = None) -> str:
    """Return data as YAML in ASCII. Texts that `read_plain` would convert are quoted.

    `is_flow`: whether to write it on one line, in braces.
    """
    text: str = yaml.dump(
        document,
        Dumper=_DUMPER,
        sort_keys=False,
        default_flow_style=is_flow,
        width=_NO_FOLDING,
    )
    return text
