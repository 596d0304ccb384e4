"""The JSON Schemas that hooksync ships, a check compiled from each, and the errors of a document.

The schemas are the source of truth of every format: no code repeats what a schema can express.
References to secrets are defined once, in the schema of hooks files; other schemas refer to it.

A schema is compiled to a function that tells whether data fits, in about a microsecond a field.
Only the keywords that the schemas use are supported; a different one is an error at compilation.
The checks are strict: 1.0 is not an integer, and true is not 1.

If data does not fit, `find_errors` asks jsonschema. Its messages are never used, because they quote
the data, which may be secret. For a state or a saved plan, only one error is reported, with its
place and the rule.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Sized
from contextlib import suppress
from functools import cache, partial
from itertools import islice
from operator import ge, le
from types import NoneType
from typing import Any, Literal, NamedTuple, cast, get_args

import msgspec.json

from hooksync.core.errors import FileError, InvalidDocument, NewerDocument, Problem

Schema = Mapping[str, Any]
Check = Callable[[Any], bool]  # returns whether data fits
SchemaKind = Literal["hooks", "plan", "report", "list", "state", "policy", "notice", "error"]
SCHEMA_KINDS: tuple[SchemaKind, ...] = get_args(SchemaKind)
DataPath = tuple[str | int, ...]  # names and indexes that lead from the top to a part of the data

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

_OTHER_SCHEMAS = re.compile(
    '"\\$ref": "urn:hooksync:schema:([a-z]+):'
)  # references to other schemas
_LONGEST_QUOTE = 80  # characters of a quoted text
_MOST_ERRORS = 100  # errors of a document among which one is chosen


@cache
def schema_text(kind: SchemaKind) -> str:
    """Return a packaged JSON Schema as text that contains the schemas to which it refers.

    Raises FileError if the installation lacks it.
    """
    text = _packaged_text(kind)
    others = sorted(set(_OTHER_SCHEMAS.findall(text)))
    if not others:
        return text
    schema = msgspec.json.decode(text)
    for other in others:
        schema["$defs"][other] = msgspec.json.decode(schema_text(other))
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"


def _packaged_text(kind: SchemaKind) -> str:
    name = f"{kind}.schema.json"
    for folder in (_PACKAGE, os.path.dirname(_PACKAGE)):  # in a wheel, and in a checkout
        path = os.path.join(folder, "schemas", name)
        with suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
            return file.read()
    raise FileError(Problem(f"{name} is not part of this installation", "install hooksync again"))


@cache
def read_schema(kind: SchemaKind) -> Mapping[str, Any]:
    """Return a packaged JSON Schema as data. Raises FileError if the installation lacks it."""
    schema: Mapping[str, Any] = msgspec.json.decode(schema_text(kind))
    return schema


@cache
def schema_check(kind: SchemaKind) -> Check:
    """Return the function that tells whether data fits a packaged schema.

    Raises FileError if the installation lacks it.
    """
    return compile_schema(read_schema(kind))


def is_reference(written: object) -> bool:
    """Whether data is a valid reference to a secret, as in hooks files."""
    return compile_schema(read_schema("hooks")["$defs"]["reference"])(written)


def check_document(kind: SchemaKind, document: object) -> Mapping[str, Any]:
    """Return a document unchanged if it fits its schema.

    Otherwise raises InvalidDocument, which names the outermost error.
    """
    if not schema_check(kind)(document):
        errors = islice(find_errors(read_schema(kind), document), _MOST_ERRORS)
        found = min(errors, key=lambda each: len(each.path))
        what = _explained(found, f"the {kind}")
        if found.keyword == "additionalProperties":
            raise NewerDocument(f"a newer hooksync wrote it: {what}")
        raise InvalidDocument(what)
    return cast(Mapping[str, Any], document)


def quoted(text: object) -> str:
    """Show untrusted text in a message: escaped, so that it cannot control a terminal, and cut."""
    import json  # only here: reading a small hooks file does not need it

    shown = json.dumps(text)
    return shown if len(shown) <= _LONGEST_QUOTE else f'{shown[: _LONGEST_QUOTE - 4]}..."'


class Violation(NamedTuple):
    """One place where data does not fit its schema."""

    keyword: str  # of the schema; "propertyNames" if a rule about names is violated
    schema: Schema  # the part that holds the keyword
    path: DataPath  # for "propertyNames", it ends with the name
    instance: object  # the data at that place; for "propertyNames", the name

    def __repr__(self) -> str:
        return f"Violation({self.keyword!r}, path={self.path!r})"


_WITHOUT_OWN_CHECK = {
    "$schema",
    "$id",
    "$defs",
    "title",
    "description",
    "default",
    "examples",
    "format",
    "properties",  # `_fields` checks these three together
    "patternProperties",
    "additionalProperties",
    "errorMessage",
    "patternErrorMessage",
}
_TYPES: dict[str, tuple[str, type]] = {  # for messages, and as a Python type
    "object": ("an object", dict),
    "array": ("a list", list),
    "string": ("text", str),
    "boolean": ("true or false", bool),
    "integer": ("a whole number", int),
    "number": ("a number", float),
    "null": ("null", NoneType),
}


def compile_schema(schema: Schema) -> Check:
    """Return a function that tells whether data fits. Raises KeyError for an unknown keyword."""
    return _compile(schema, schema)


def find_errors(schema: Schema, data: object) -> Iterator[Violation]:
    """Find with jsonschema where data does not fit."""
    # only here: its import takes longer than everything else in reading a small file
    import jsonschema

    base = jsonschema.Draft202012Validator
    checker = base.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    validator: Any = jsonschema.validators.extend(base, type_checker=checker)  # type: ignore[no-untyped-call]
    for error in validator(schema).iter_errors(data):
        keyword = error.validator
        path = tuple(error.absolute_path)
        if "propertyNames" in error.relative_schema_path:
            keyword = "propertyNames"
            path = (*path, error.instance)
        yield Violation(keyword, error.schema, path, error.instance)


def _compile(schema: Schema | bool, document: Schema) -> Check:
    """Join the checks of all keywords. `document`: the whole schema, for its references."""
    if isinstance(schema, bool):  # true: everything fits; false: nothing
        return lambda value: schema
    keywords = [keyword for keyword in schema if keyword not in _WITHOUT_OWN_CHECK]
    checks = [_keyword(keyword, schema[keyword], document) for keyword in keywords]
    if "properties" in schema or "additionalProperties" in schema:
        checks.append(_fields(schema, document))
    return _all_of(checks)


def _keyword(keyword: str, argument: Any, document: Schema) -> Check:
    match keyword:
        case "$ref":
            return _referred(argument, document)
        case "propertyNames":
            return _each(dict, _compile(argument, document))
        case "items":
            return _each(list, _compile(argument, document))
        case "not":
            check = _compile(argument, document)
            return lambda value: not check(value)
        case "anyOf":
            choices = [_compile(each, document) for each in argument]
            return lambda value: any(check(value) for check in choices)
    return _RULES[keyword](argument)


def _referred(reference: str, document: Schema) -> Check:
    """Return the check of the schema to which a reference points, in this or a different one."""
    urn, _, path = reference.partition("#/")
    if urn:
        document = read_schema(urn.split(":")[3])
    found = document
    for name in path.split("/"):
        found = found[name]
    return _compile(found, document)


def _fields(schema: Schema, document: Schema) -> Check:
    """Check each value of an object with the schema for its name."""
    properties = schema.get("properties", {})
    known = {name: _compile(each, document) for name, each in properties.items()}
    notes = "x-" if "patternProperties" in schema else ()
    others = _compile(schema.get("additionalProperties", True), document)

    def check_fields(value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        for name, held in value.items():
            check = known.get(name)
            if check is None and not name.startswith(notes):
                check = others
            if check is not None and not check(held):
                return False
        return True

    return check_fields


def _all_of(checks: Sequence[Check]) -> Check:
    """Join checks in nested pairs: a loop would cost more than the checks."""
    if not checks:
        return lambda value: True
    if len(checks) == 1:
        return checks[0]
    first = checks[0]
    rest = _all_of(checks[1:])
    return lambda value: first(value) and rest(value)


def _each(kind: type[Collection[Any]], check: Check) -> Check:
    """Check all items of a list, or all names in an object."""
    return lambda value: not isinstance(value, kind) or all(map(check, value))


def _type_names(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def _type(names: str | list[str]) -> Check:
    """Check the type of a value; true and false are not numbers."""
    kinds = tuple(_TYPES[name][1] for name in _type_names(names))
    if float in kinds:
        kinds += (int,)
    if int in kinds:
        return lambda value: type(value) in kinds
    return lambda value: isinstance(value, kinds)


def _enum(choices: list[object]) -> Check:
    kinds = {type(choice) for choice in choices}  # True is not 1
    wanted = set(choices)
    return lambda value: type(value) in kinds and value in wanted


def _pattern(pattern: str) -> Check:
    search = re.compile(pattern).search
    return lambda value: not isinstance(value, str) or search(value) is not None


def _required(names: list[str]) -> Check:
    wanted = frozenset(names)
    return lambda value: not isinstance(value, dict) or wanted <= value.keys()


def _size(kind: type[Sized], is_enough: Callable[[int, int], bool], limit: int) -> Check:
    return lambda value: not isinstance(value, kind) or is_enough(len(value), limit)


def _bound(is_within: Callable[[float, float], bool], limit: float) -> Check:
    return lambda value: type(value) not in (int, float) or is_within(value, limit)


_RULES: dict[str, Callable[[Any], Check]] = {
    "type": _type,
    "const": lambda value: _enum([value]),
    "enum": _enum,
    "pattern": _pattern,
    "required": _required,
    "minLength": partial(_size, str, ge),
    "maxLength": partial(_size, str, le),
    "minItems": partial(_size, list, ge),
    "maxItems": partial(_size, list, le),
    "minProperties": partial(_size, dict, ge),
    "maxProperties": partial(_size, dict, le),
    "minimum": partial(_bound, ge),
    "maximum": partial(_bound, le),
}


def _place(path: DataPath) -> str:
    """Write a path, e.g. `entries[1].id`."""
    place = ""
    for step in path:
        place += f".{step}" if isinstance(step, str) else f"[{step}]"
    return place.removeprefix(".")


def _explained(found: Violation, document: str) -> str:
    """Describe a violation. `document`: the name of the whole document, e.g. "the plan"."""
    place = _place(found.path) or document
    instance: Any = found.instance
    if found.keyword == "required":
        missing = next(each for each in found.schema["required"] if each not in instance)
        return f"{place}: {missing} is missing"
    if found.keyword == "additionalProperties":
        unknown = next(each for each in instance if each not in found.schema["properties"])
        return f"{place} has a field {quoted(unknown)} that this one does not know"
    return f"{place} {rule(found.keyword, found.schema)}"


def rule(keyword: str, schema: Schema) -> str:
    """Return what a value must be, if possible in the words of the schema: editors show them."""
    own = "patternErrorMessage" if keyword == "pattern" else "errorMessage"
    words = schema.get("errorMessage") or schema.get(own)
    if words:
        return str(words)
    argument = schema[keyword]
    match keyword:
        case "type":
            return _either([_TYPES[each][0] for each in _type_names(argument)])
        case "const":
            return _either([argument])
        case "enum":
            return _either(argument)
        case "minimum" | "maximum":
            least = schema["minimum"]
            most = schema.get("maximum")
            if most is None:
                return f"must be at least {least}"
            return f"must be from {least} to {most}"
        case "minLength" | "minItems":
            return "must not be empty"
        case "pattern" if "title" in schema:
            return f"must be {schema['title']}"
        case "maxLength":
            return f"must not have more than {argument:,} characters"
        case "maxItems":
            return f"must not have more than {argument:,} items"
    return f"is not as it must be ({schema.get('description', keyword)})"


def _either(choices: Sequence[object]) -> str:
    *others, last = map(str, choices)
    return f"must be {', '.join(others)} or {last}" if others else f"must be {last}"
