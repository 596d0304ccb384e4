"""Does plain data fit a JSON Schema? The schemas of `schemas/` are compiled to functions, a microsecond a field. Pure.

Only the keywords that those schemas use are supported; any other one is an error when the schema is compiled. Two
differences from jsonschema are wanted: 1.0 is not an integer, and true is not 1. Where something does not fit,
`find_errors` asks jsonschema what it is; its messages are never used: they quote the data, which may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from operator import ge, le
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

Schema = Mapping[str, Any]
Check = Callable[[Any], bool]


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
_TYPES: dict[str, Check] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: value is True or value is False,
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float),
    "null": lambda value: value is None,
}


def compile_schema(schema: Schema) -> Check:
    """Make a function that tells whether data fits. Raises KeyError for a keyword that is not supported."""
    return _Compiler(schema).compile(schema)


def find_errors(schema: Schema, data: object) -> Iterator[Violation]:
    """Ask jsonschema where data does not fit."""
    import jsonschema  # only here: it takes longer to import than all the rest of reading a small file

    base = jsonschema.Draft202012Validator
    compiler = _Compiler(schema)
    checks: dict[int, Check] = {}  # by the identity of a part of the schema

    def only_unfit(validator: Any, argument: Any, instance: Any, holder: Any) -> Any:
        """Look for errors only in what the compiled check refuses: that is fast, jsonschema is not."""
        if isinstance(argument, dict) and isinstance(instance, dict):
            check = checks.get(id(argument)) or checks.setdefault(id(argument), compiler.compile(argument))
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
    """Compiles one document; what `$ref` names is compiled once."""

    def __init__(self, document: Schema) -> None:
        self._document = document
        self._named: dict[str, Check] = {}

    def compile(self, schema: Schema) -> Check:
        """Make the check of one schema, of the checks of its keywords."""
        checks = [self._keyword(keyword, schema) for keyword in schema if keyword not in _SAYS_NOTHING]
        if _FIELDS.intersection(schema):
            checks.append(self._fields(schema))
        return _all_of(checks)

    def _keyword(self, keyword: str, schema: Schema) -> Check:
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
        if not patterns and others is _anything:
            return _known_fields(known)

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
            named[name] = self.compile(self._document["$defs"][name.removeprefix("#/$defs/")])
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


def _known_fields(checks: Mapping[str, Check]) -> Check:
    """Check the fields that are known; the others may hold anything."""
    pairs = tuple(checks.items())

    def fits(value: Any) -> bool:
        if isinstance(value, dict):
            for name, check in pairs:
                if name in value and not check(value[name]):
                    return False
        return True

    return fits


def _each(kind: type[Any], check: Check) -> Check:
    """Check every item of a list, or every name of an object."""

    def fits(value: Any) -> bool:
        if isinstance(value, kind):
            for item in value:
                if not check(item):
                    return False
        return True

    return fits


def _type(names: str | list[str]) -> Check:
    return _TYPES[names] if isinstance(names, str) else _any_of([_TYPES[name] for name in names])


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
    def fits(value: Any) -> bool:
        if isinstance(value, dict):
            for name in names:
                if name not in value:
                    return False
        return True

    return fits


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
