"""Errors against the schema of hooks files, in words with a fix; what else can be checked. Pure.

Fields that do not fit are left out, so that the rest is checked, too; the file is refused in the
end.

Words are made from the keyword and the path alone. What stands in the file is never quoted, because
it may be a secret. Exceptions: numbers and the like in fields that hold no secret, and unknown keys
that look like names, outside of `secret` and `credentials`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import cache
from itertools import islice
from typing import NamedTuple, cast

from hooksync.config.yaml_loader import QUOTABLE_KEY, Mark, Timestamp, YamlList, YamlMap
from hooksync.core.errors import Problem
from hooksync.core.model import SECRET_KINDS, Location, PlainFields
from hooksync.core.schema import Violation, find_errors, rule

MOST_ERRORS = 1000  # in one file; nobody would read more

# nothing else depends on these fields
_INDEPENDENT = {"version", "limits", "replacement", "probe", "unknown_secret"}
_INDEPENDENT |= set(PlainFields.__struct_fields__)
# the fields of paths that lead to mappings by name
_CONTAINERS = (
    (),
    ("tenancies",),
    ("subscriptions",),
)

Path = tuple[str | int, ...]
Words = tuple[str, str]  # what, fix

_NAME = re.compile("[A-Za-z0-9_-]{1,128}")  # what else stands where a name should may be anything
*_KINDS, _LAST_KIND = (kind.example for kind in SECRET_KINDS.values())
_REFERENCE = f"{', '.join(_KINDS)} or {_LAST_KIND}"

_EMPTY = ("{label} is empty", "")
# by keyword and field ("": any); the fix may be the name of an example
_WORDS: Mapping[tuple[str, str], Words] = {
    ("propertyNames", ""): (
        "a name has letters, digits, - and _ only, and at most {most} of them",
        "rename it",
    ),
    ("required", "the top level"): ("version is missing", "write `version: 1`"),
    ("required", ""): ("{label} has no url", "url"),
    ("anyOf", ""): ("tenancies is missing", "tenancies"),
    ("not", ""): ("{label} has both trigger and triggers", "keep one of the two"),
    ("maxProperties", ""): ("{label} names more than one place", "keep one of them"),
    ("type", "trigger"): (
        "trigger takes one name",
        "write `triggers: [INDEXED, MOVED]` for several",
    ),
    ("type", "triggers"): ("triggers takes a list", "write `trigger: INDEXED` for a single one"),
    **dict.fromkeys((("minLength", ""), ("minItems", ""), ("minProperties", "")), _EMPTY),
}  # fmt: skip


class SchemaError(NamedTuple):
    """A place in a file that does not fit the schema."""

    problem: Problem
    path: Path
    is_independent: bool  # whether the rest can be judged as if the field were not there


def find_schema_errors(
    data: YamlMap, file: str, schema: Mapping[str, object]
) -> tuple[SchemaError, ...]:
    """Find what does not fit. MOST_ERRORS of them: there may be more."""

    def error(words: Words, path: Path, *, of_key: bool, is_ignorable: bool = False) -> SchemaError:
        is_independent = is_ignorable or not _INDEPENDENT.isdisjoint(split_path(path)[1][:1])
        return SchemaError(
            Problem(*words, Location(file, *mark_at(data, path, of_key=of_key))),
            path,
            is_independent,
        )

    def errors() -> Iterator[SchemaError]:
        for found in (Refusal(*violation) for violation in find_errors(schema, data)):
            if found.keyword == "additionalProperties":
                for key, words, is_slip in unknown_keys(found):
                    yield error(words, (*found.path, key), of_key=True, is_ignorable=not is_slip)
            elif found.keyword != "not" or isinstance(
                found.instance, dict
            ):  # else `type` reports it
                of_key = found.keyword in ("propertyNames", "required", "anyOf")
                yield error(word_refusal(found), found.path, of_key=of_key)

    return tuple(islice(errors(), MOST_ERRORS))


def recover(data: YamlMap, errors: Sequence[SchemaError]) -> tuple[YamlMap, Set[Path]]:
    """Copy what fits.

    Returns, too, the paths of tenancies and the like of which something that matters is left out.
    """
    if len(errors) >= MOST_ERRORS:
        return YamlMap(), {()}
    places = [split_path(error.path) for error in errors]
    dropped = {(*holder, fields[0]) for holder, fields in places if fields}
    left = {
        holder
        for (holder, _), error in zip(places, errors, strict=True)
        if not error.is_independent
    }
    return _without(data, (), dropped), left


def _without(node: YamlMap, path: Path, dropped: Set[Path]) -> YamlMap:
    copy = YamlMap()
    for key, value in node.items():
        below = (*path, key)
        if below in dropped:
            continue
        if split_path(below)[1] not in _CONTAINERS:
            copy.add(key, value, node.places[key])
        elif isinstance(value, YamlMap):
            copy.add(key, _without(value, below, dropped), node.places[key])
    return copy


def split_path(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Cut a path into its part (defaults, tenancy, subscription) and the fields below it.

    E.g. ("tenancies", "prod", "limits", "unsubscribe") -> ("tenancies", "prod"), ("limits",
    "unsubscribe").
    """
    depth = 0
    if path[:1] == ("defaults",):
        depth = 1
    elif path[:1] == ("tenancies",) and len(path) > 1:
        depth = 4 if path[2:3] == ("subscriptions",) and len(path) > 3 else 2
    return path[:depth], tuple(step for step in path[depth:] if isinstance(step, str))


def mark_at(data: YamlMap, path: Path, *, of_key: bool = False) -> Mark:
    """Return where the value at the end of a path is written, or the key that it stands under."""
    node: object = data
    mark = (1, 1)
    for step in path:
        if isinstance(node, YamlMap) and isinstance(step, str):
            mark = node.key_mark(step) if of_key else node.value_mark(step)
            node = node[step]
        elif isinstance(node, YamlList) and isinstance(step, int):
            mark = node.item_mark(step)
            node = node[step]
    return mark


class Refusal(Violation):
    """A violation of the schema, to be put into words."""

    __slots__ = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that it is about, below those of a tenancy, a subscription or the like."""
        return split_path(self.path)[1]

    @property
    def field(self) -> str:
        """The last of its fields; "" for a tenancy, a subscription or the like itself."""
        return self.fields[-1] if self.fields else ""

    @property
    def label(self) -> str:
        """What it is about, to begin a sentence with."""
        if self.fields:
            return ("an item of " if isinstance(self.path[-1], int) else "") + ".".join(self.fields)
        kinds = {0: "the top level", 1: "defaults", 2: "tenancy", 4: "subscription"}
        name = str(self.path[-1]) if len(self.path) > 1 else ""
        return kinds[len(self.path)] + (f' "{name}"' if _NAME.fullmatch(name) else "")

    @property
    def is_private(self) -> bool:
        """Whether a secret may stand here."""
        return bool(self.fields) and self.fields[0] in ("secret", "credentials")


def unknown_keys(found: Refusal) -> Iterator[tuple[str, Words, bool]]:
    """Find and word keys that the format does not have.

    Tells, too, whether one that it has was probably meant.
    """
    allows_x = "patternProperties" in found.schema
    known = (*found.schema["properties"], *(["x-..."] if allows_x else []))
    for key in cast(YamlMap, found.instance):
        if key not in known and not (allows_x and key.startswith("x-")):
            yield key, *_word_unknown_key(found, key, known)


def _word_unknown_key(found: Refusal, key: str, known: Sequence[str]) -> tuple[Words, bool]:
    listed = ", ".join(known)
    if found.is_private:
        return (f"unknown key under {found.field}", f"known: {listed}"), True
    if key == "url" and found.path == ("defaults",):
        return ("url cannot be a default", "write it into each subscription"), False
    import difflib  # a large module, needed for mistakes alone

    guesses = difflib.get_close_matches(key, known, n=1)
    quoted = f' "{key}"' if QUOTABLE_KEY.fullmatch(key) else ""
    fix = f"did you mean {guesses[0]}? (known: {listed})" if guesses else f"known: {listed}"
    return (f"unknown key{quoted}", fix), bool(guesses) or not quoted


def word_refusal(refusal: Refusal) -> Words:
    """Word a violation: what is wrong, and how to fix it."""
    usual = f"{refusal.label} {rule(refusal.keyword, refusal.schema)}", _fix(refusal)
    if "errorMessage" in refusal.schema:
        return usual
    if refusal.keyword == "type":
        return _wrong_type(refusal)
    if refusal.keyword == "enum" and isinstance(refusal.instance, bool) and not refusal.is_private:
        return f"{usual[0]}, but YAML reads this as {_reading(refusal)}", usual[1]
    where = refusal.field if refusal.path else "the top level"
    words = _WORDS.get((refusal.keyword, where)) or _WORDS.get((refusal.keyword, ""))
    if refusal.is_private and refusal.keyword == "required":
        words = ("{label} needs " + " and ".join(refusal.schema["required"]), "")
    if words is None:
        return usual
    example = _examples().get(words[1])
    what = words[0].format(label=refusal.label, most=refusal.schema.get("maxLength"))
    return what, f"write {example}" if example else words[1] or usual[1]


def _wrong_type(refusal: Refusal) -> Words:
    if refusal.instance is None and refusal.field == "subscriptions":
        return "subscriptions is empty", "write `subscriptions: {}` if it has none"
    if refusal.instance is None:
        return f"{refusal.label} is empty", _fix(refusal)
    kind = "a secret" if refusal.fields[:1] == ("secret",) else "a credential"
    is_value = refusal.is_private and not isinstance(refusal.instance, dict | list)
    if is_value and len(refusal.fields) <= (1 if kind == "a secret" else 2):
        return (
            f"{kind} is never written into the file",
            f"{_fix(refusal)}, and keep the value there",
        )
    words = _WORDS.get(("type", refusal.field))
    if words and isinstance(refusal.instance, list if refusal.field == "trigger" else str):
        return words
    rest = rule("type", refusal.schema).replace("an object", "a mapping")
    if "string" in cast(str, refusal.argument) and not isinstance(refusal.instance, dict | list):
        fix = f'put quotes around it, as in {refusal.field}: "..."'
        return f"{refusal.label} {rest}, but YAML reads this as {_reading(refusal)}", fix
    return f"{refusal.label} {rest}", _fix(refusal)


def _reading(refusal: Refusal) -> str:
    """Describe what YAML 1.1 made of a word without quotes."""
    value = refusal.instance
    if refusal.is_private:
        return "something else"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Timestamp):
        return "a date"
    is_short = isinstance(value, int) and abs(value) < 10**12
    return f"the number {value}" if is_short else "a number"


def _fix(refusal: Refusal) -> str:
    if refusal.is_private and refusal.field != "credentials":
        return (
            f"write {refusal.fields[0] if refusal.fields[0] == 'secret' else refusal.fields[1]}:"
            f" {_REFERENCE}"
        )
    if not refusal.fields and len(refusal.path) > 1:
        return "write its fields under it, indented"
    example = _examples().get(refusal.field or str(refusal.path[-1] if refusal.path else "version"))
    return f"write {example}" if example else "see `hooksync schema`"


@cache
def _examples() -> dict[str, str]:
    """Read how each field may be written, from examples.txt."""
    with open(os.path.join(os.path.dirname(__file__), "examples.txt"), encoding="utf-8") as file:
        return {line.partition(":")[0]: line.rstrip("\n") for line in file}
