"""The JSON Schemas that hooksync ships, a check compiled from each, and what is wrong with what does not fit.

They are compiled to functions, a microsecond a field; only the keywords that they use are supported, any other one is
an error when one is compiled. Two differences from jsonschema are wanted: 1.0 is not an integer, and true is not 1.

Of a hooks file that does not fit, `find_errors` asks jsonschema for every error; its messages are never used, for they
quote the data, which may be a secret. Of an untrusted document only the first one is named, by its place and the rule,
by compiled checks all the way down: jsonschema takes seconds for a large one, and keeps every error of alternatives.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from operator import ge, le
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, get_args

import msgspec.json

from hooksync.core.errors import FileError, InvalidDocument, Problem

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

Schema = Mapping[str, Any]
Check = Callable[[Any], bool]
Part = tuple[str | int | None, Schema, object]  # a field, an item or None (the same place), its schema, its value
SchemaKind = Literal["hooks", "plan", "report", "state"]
SCHEMA_KINDS: tuple[SchemaKind, ...] = get_args(SchemaKind)

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

_LONGEST_QUOTE = 80  # characters
_PLAIN_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]{0,40}")


def schema_text(kind: SchemaKind) -> str:
    """Return a packaged JSON Schema as text. Raises FileError where the installation lacks it."""
    name = f"{kind}.schema.json"
    wheel, checkout = os.path.join(_PACKAGE, "schemas"), os.path.join(os.path.dirname(_PACKAGE), "schemas")
    for folder in (wheel, checkout):
        try:
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            continue
    raise FileError(Problem(f"{name} is not part of this installation", "install hooksync again"))


@cache
def read_schema(kind: SchemaKind) -> Mapping[str, Any]:
    """Return a packaged JSON Schema as data. Raises FileError where the installation lacks it."""
    schema: Mapping[str, Any] = msgspec.json.decode(schema_text(kind))
    return schema


@cache
def schema_check(kind: SchemaKind) -> Check:
    """Return the function that tells whether data fits a packaged schema. Raises FileError where there is none."""
    return compile_schema(read_schema(kind))


def check_document(kind: SchemaKind, document: object) -> Mapping[str, Any]:
    """Return a document that fits its schema. Raises InvalidDocument, which names the first thing that does not fit."""
    if schema_check(kind)(document) and isinstance(document, dict):
        return document
    raise InvalidDocument(_Explainer(kind).explain(document))


def quoted(text: object) -> str:
    """Show untrusted text in a message: escaped, so that it cannot control a terminal, and cut."""
    import json  # only here: reading a small hooks file needs none

    shown = json.dumps(text)
    return shown if len(shown) <= _LONGEST_QUOTE else f'{shown[:_LONGEST_QUOTE]}..."'


class Violation(NamedTuple):
    """One place where data does not fit its schema."""

    keyword: str  # of the schema; "propertyNames" for all that is about a name
    argument: object  # what the schema says under the keyword
    instance: object  # what stands there; for "propertyNames", the name
    path: tuple[str | int, ...]  # from the top; for "propertyNames", down to the name
    schema: Schema  # the part that holds the keyword

    def __repr__(self) -> str:
        return f"Violation({self.keyword!r}, path={self.path!r})"


_FIELDS = {"properties", "patternProperties", "additionalProperties"}
_SAYS_NOTHING = _FIELDS | {"$schema", "$id", "$defs", "title", "description", "default", "examples", "format", "then"}
_APART = _SAYS_NOTHING | {"$ref", "allOf", "if", "items"}  # see _parts
_TYPES: dict[str, tuple[str, Check]] = {  # in words, and the check
    "object": ("an object", lambda value: isinstance(value, dict)),
    "array": ("a list", lambda value: isinstance(value, list)),
    "string": ("text", lambda value: isinstance(value, str)),
    "boolean": ("true or false", lambda value: value is True or value is False),
    "integer": ("a whole number", lambda value: type(value) is int),
    "number": ("a number", lambda value: type(value) in (int, float)),
    "null": ("null", lambda value: value is None),
}


def compile_schema(schema: Schema) -> Check:
    """Make a function that tells whether data fits. Raises KeyError for a keyword that is not supported."""
    return _Compiler(schema).compile(schema)


def find_errors(schema: Schema, data: object) -> Iterator[Violation]:
    """Ask jsonschema where data does not fit."""
    import jsonschema  # only here: it takes longer to import than all the rest of reading a small file

    base = jsonschema.Draft202012Validator
    compiler = _Compiler(schema)

    def only_unfit(validator: Any, argument: Any, instance: Any, holder: Any) -> Any:
        """Look for errors only in what the compiled check refuses: that is fast, jsonschema is not."""
        if isinstance(argument, dict) and isinstance(instance, dict):
            check = compiler.compile(argument)
            instance = {name: value for name, value in instance.items() if not check(value)}
        yield from base.VALIDATORS["additionalProperties"](validator, argument, instance, holder)

    checker = base.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    keywords = {"additionalProperties": only_unfit}
    validator = jsonschema.validators.extend(base, keywords, type_checker=checker)  # type: ignore[no-untyped-call]
    for error in cast("Draft202012Validator", validator(schema)).iter_errors(data):
        keyword, path = str(error.validator), tuple(error.absolute_path)
        if "propertyNames" in error.relative_schema_path:
            keyword, path = "propertyNames", (*path, str(error.instance))
        yield Violation(keyword, error.validator_value, error.instance, path, cast(Schema, error.schema))


class _Compiler:
    """Compiles one document, each part of it once."""

    def __init__(self, document: Schema) -> None:
        self.document = document
        self._made: dict[int, Check] = {}  # by the identity of a part of the document
        self._named: dict[str, Check] = {}

    def compile(self, schema: Schema) -> Check:
        """Make the check of one schema, of the checks of its keywords."""
        if id(schema) not in self._made:
            checks = [self.compile_keyword(keyword, schema) for keyword in schema if keyword not in _SAYS_NOTHING]
            if _FIELDS.intersection(schema):
                checks.append(self._fields(schema))
            self._made[id(schema)] = _all_of(checks)
        return self._made[id(schema)]

    def resolve(self, reference: str) -> Schema:
        """Return the part of the document that a `$ref` names."""
        schema: Schema = self.document["$defs"][reference.removeprefix("#/$defs/")]
        return schema

    def compile_keyword(self, keyword: str, schema: Schema) -> Check:
        """Make the check of one keyword of a schema."""
        argument = schema[keyword]
        match keyword:
            case "propertyNames":
                return _each(dict, self.compile(argument))
            case "items":
                return _each(list, self.compile(argument))
            case "$ref":
                return self._reference(argument)
            case "not":
                unwanted = self.compile(argument)
                return lambda value: not unwanted(value)
            case "if":
                condition, then = self.compile(argument), self.compile(schema["then"])
                return lambda value: not condition(value) or then(value)
            case "allOf":
                return _all_of([self.compile(each) for each in argument])
            case "anyOf":
                return _any_of([self.compile(each) for each in argument])
            case "oneOf":
                checks = [self.compile(each) for each in argument]
                return lambda value: sum(check(value) for check in checks) == 1
            case _:
                return _RULES[keyword](argument)

    def _fields(self, schema: Schema) -> Check:
        """Check the values of an object by their names."""
        patterns = [
            (re.compile(key).search, self.compile(each)) for key, each in schema.get("patternProperties", {}).items()
        ]
        known = {
            name: _all_of([self.compile(each), *(check for search, check in patterns if search(name))])
            for name, each in schema.get("properties", {}).items()
        }
        find = known.get
        rest = schema.get("additionalProperties", True)
        others = {True: _anything, False: _nothing}[rest] if isinstance(rest, bool) else self.compile(rest)

        def fits(value: Any) -> bool:
            if not isinstance(value, dict):
                return True
            for name, held in value.items():
                check = find(name)
                if check is None:
                    matched = [each for search, each in patterns if search(name)]
                    check = _all_of(matched) if matched else others
                if not check(held):
                    return False
            return True

        return fits

    def _reference(self, name: str) -> Check:
        named = self._named
        if name not in named:

            def later(value: Any) -> bool:  # until it is compiled: it may name itself
                return named[name](value)

            named[name] = later
            named[name] = self.compile(self.resolve(name))
        return self._named[name]


def _anything(value: Any) -> bool:
    return True


def _nothing(value: Any) -> bool:
    return False


def _all_of(checks: Sequence[Check]) -> Check:
    """Join checks; loops and generators cost more than the checks, so that the usual numbers are written out."""
    match checks:
        case []:
            return _anything
        case [check]:
            return check
        case [first, second]:
            return lambda value: first(value) and second(value)
        case [first, second, third]:
            return lambda value: first(value) and second(value) and third(value)
        case [first, second, third, *more]:
            rest = _all_of(more)
            return lambda value: first(value) and second(value) and third(value) and rest(value)
    raise AssertionError(checks)


def _any_of(checks: Sequence[Check]) -> Check:
    def fits(value: Any) -> bool:
        for check in checks:  # noqa: SIM110, twice as fast as any()
            if check(value):
                return True
        return False

    return fits


def _each(kind: type[Any], check: Check) -> Check:
    """Check every item of a list, or every name of an object."""
    return lambda value: not isinstance(value, kind) or all(map(check, value))


def _type(names: str | list[str]) -> Check:
    checks = [_TYPES[name][1] for name in ([names] if isinstance(names, str) else names)]
    return checks[0] if len(checks) == 1 else _any_of(checks)


def _enum(choices: list[object]) -> Check:
    if all(isinstance(choice, str) for choice in choices):
        texts = frozenset(choices)
        return lambda value: isinstance(value, str) and value in texts
    return _any_of([_same(choice) for choice in choices])


def _same(wanted: object) -> Check:
    kind = type(wanted)
    return lambda value: type(value) is kind and value == wanted


def _pattern(pattern: str) -> Check:
    search = re.compile(pattern).search
    return lambda value: not isinstance(value, str) or search(value) is not None


def _required(names: list[str]) -> Check:
    wanted = frozenset(names)
    return lambda value: not isinstance(value, dict) or wanted <= value.keys()


def _least_size(kind: type[Any], least: int) -> Check:
    return lambda value: not isinstance(value, kind) or len(value) >= least


def _greatest_size(kind: type[Any], greatest: int) -> Check:
    return lambda value: not isinstance(value, kind) or len(value) <= greatest


def _bound(fits: Callable[[float, float], bool], limit: float) -> Check:
    return lambda value: type(value) not in (int, float) or fits(value, limit)


_RULES: dict[str, Callable[[Any], Check]] = {
    "type": _type,
    "const": _same,
    "enum": _enum,
    "pattern": _pattern,
    "required": _required,
    "minLength": partial(_least_size, str),
    "maxLength": partial(_greatest_size, str),
    "minItems": partial(_least_size, list),
    "maxItems": partial(_greatest_size, list),
    "minProperties": partial(_least_size, dict),
    "maxProperties": partial(_greatest_size, dict),
    "minimum": partial(_bound, ge),
    "maximum": partial(_bound, le),
}


class _Explainer:
    """Follows what does not fit down to its place."""

    def __init__(self, kind: SchemaKind) -> None:
        self._document = f"the {kind}"
        self._compiler = _Compiler(read_schema(kind))

    def explain(self, value: object) -> str:
        """Name the first thing that does not fit."""
        schema, holder, name = self._compiler.document, "", ""
        while True:
            place = f"{holder or self._document}: {name}" if name else holder or self._document
            for keyword in schema:
                if keyword not in _APART and not self._compiler.compile_keyword(keyword, schema)(value):
                    if keyword == "required" and isinstance(value, dict):
                        missing = next(each for each in schema["required"] if each not in value)
                        return f"{_joined(holder, name) or self._document}: {missing} is missing"
                    return f"{place} {_rule(keyword, schema)}"
            if schema.get("additionalProperties") is False and isinstance(value, dict):
                for unknown in value.keys() - schema["properties"].keys():
                    what = f"{place} has a field {quoted(unknown)} that this one does not know"
                    return f"a newer hooksync wrote it: {what}: install that"
            where, schema, value = next(part for part in self._parts(schema, value) if not self._fits(part))
            if where is not None:
                holder, name = _joined(holder, name), ""
                if isinstance(where, str) and _PLAIN_NAME.fullmatch(where):
                    name = where
                else:
                    holder += f"[{quoted(where)}]"

    def _parts(self, schema: Schema, value: object) -> Iterator[Part]:
        """Take a schema apart into what holds for the same value, and what holds for its fields and items."""
        if "$ref" in schema:
            yield None, self._compiler.resolve(schema["$ref"]), value
        yield from ((None, each, value) for each in schema.get("allOf", ()))
        if "if" in schema and self._fits((None, schema["if"], value)):
            yield None, schema["then"], value
        if isinstance(value, dict):
            fields, others = schema.get("properties", {}), schema.get("additionalProperties")
            known = ((name, fields.get(name, others), held) for name, held in value.items())
            yield from (part for part in known if part[1] is not None)
        if isinstance(value, list) and "items" in schema:
            yield from ((index, schema["items"], item) for index, item in enumerate(value))

    def _fits(self, part: Part) -> bool:
        _, schema, value = part
        return self._compiler.compile(schema)(value)


def _joined(holder: str, name: str) -> str:
    return f"{holder}.{name}" if holder and name else holder or name


def _rule(keyword: str, schema: Schema) -> str:
    """Say what a value must be. A schema of a text says so in its title."""
    match keyword:
        case "type":
            types = schema["type"]
            return f"must be {' or '.join(_TYPES[each][0] for each in ([types] if isinstance(types, str) else types))}"
        case "const":
            return f"must be {schema['const']}"
        case "enum":
            return f"must be one of {', '.join(map(str, schema['enum']))}"
        case "minimum" | "maximum" if "maximum" in schema:
            return f"must be from {schema['minimum']} to {schema['maximum']}"
        case "minimum":
            return f"must be at least {schema['minimum']}"
        case "propertyNames":
            return "has a key that is not allowed"
        case "minLength" | "minItems":
            return "must not be empty"
        case "pattern" | "not" | "maxLength" if "title" in schema:
            return f"must be {schema['title']}"
        case _:
            return f"is not as it must be ({schema.get('description', keyword)})"
