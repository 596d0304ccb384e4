"""Read files that must fit a schema, and word the violations as problems with a fix.

Messages are made from the schema, the path and the type of the value. They never quote a value,
because it may be a secret. They quote names and unknown keys that look like names, but no unknown
key under `secret` and `credentials`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import islice
from operator import getitem
from typing import Any

from hooksync.config.yaml_loader import (
    KINDS,
    PRIVATE,
    QUOTABLE_KEY,
    QUOTABLE_NAME,
    YamlMap,
    read_yaml,
    write_yaml,
)
from hooksync.core.errors import MOST_PROBLEMS, FileError, Problem, suggestion
from hooksync.core.model import Location
from hooksync.core.schema import SchemaKind, is_certain_to_fit, read_schema

# an error of jsonschema; its message quotes the data, and is never used
Violation = Any

Path = tuple[Any, ...]  # the keys that lead to a place in a file

_RULES = {  # by keyword of a schema; {}: its argument
    "minLength": "is empty",
    "minItems": "is empty",
    "minProperties": "is empty",
    "required": "has no {[0]}",
    "minimum": "must be at least {}",
    "maxLength": "must not have more than {:,} characters",
    "maxItems": "must not have more than {:,} items",
}
_LONGEST_EXAMPLE = 160  # characters
_TYPE_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
}


def read_checked(kind: SchemaKind, name: str, content: bytes) -> YamlMap:
    """Read a YAML file. Raises FileError with everything that breaks YAML or its schema.

    The caller checks other rules only in a file that breaks neither: to check them in what is left
    of a broken file would report what is not wrong.
    """
    data, problems = read_yaml(name, content)
    if problems or not is_certain_to_fit(kind, data):
        problems += islice(find_schema_errors(kind, data, name), MOST_PROBLEMS)
    if problems:
        raise FileError.of(problems)
    return data


def find_schema_errors(kind: SchemaKind, data: YamlMap, file: str) -> Iterator[Problem]:
    """Word everything that does not fit a schema."""
    import jsonschema  # 70 ms, more than all the rest of `validate`; what fits needs none

    for violation in jsonschema.Draft202012Validator(read_schema(kind)).iter_errors(data):
        path = tuple(violation.absolute_path)
        if violation.validator == "additionalProperties":
            yield from _unknown_keys(violation, is_private=not set(PRIVATE).isdisjoint(path))
        elif "propertyNames" in violation.relative_schema_path:
            where = reduce(getitem, path, data).place(violation.instance)
            most = violation.schema["maxLength"]
            yield Problem(
                "this is not a valid name",
                f"use letters, digits, - and _ only, and at most {most} of them",
                where,
            )
        else:
            named = [key for key in path if isinstance(key, str)]  # an item has no place
            where = Location(file, 1, 1)
            if named:
                where = reduce(getitem, named[:-1], data).place(named[-1])
            yield _problem(kind, violation, path, where)


def _unknown_keys(violation: Violation, *, is_private: bool) -> Iterator[Problem]:
    """Yield a problem for each key that the schema does not know."""
    mapping = violation.instance
    known = [*violation.schema["properties"]]
    ignored = "x-" if "patternProperties" in violation.schema else ()
    listed = f"known: {', '.join([*known, 'x-...'] if ignored else known)}"
    for key in mapping:
        if key in known or key.startswith(ignored):
            continue
        is_quoted = QUOTABLE_KEY.fullmatch(key) and not is_private
        what = f'unknown key "{key}"' if is_quoted else "unknown key"
        advice = f"{listed}; write a space after the colon" if ":" in key else listed
        yield Problem(what, suggestion(key, known, advice), mapping.place(key))


def _problem(kind: SchemaKind, violation: Violation, path: Path, where: Location) -> Problem:
    """Put a violation into words: what is wrong, and how to fix it, as an example shows."""
    schema = violation.schema
    name = _name(path)
    what = f"{name} {_rule(violation)}"
    value_type = type(violation.instance)
    if value_type in KINDS and "string" in schema.get("type", ()):
        what = f"{what}, but YAML reads this as {KINDS[value_type]}"
        return Problem(what, 'put quotes around it, as in "..."', where)
    fix = f"`hooksync schema --kind {kind}` describes it"
    if "examples" in schema and name in path:
        example = write_yaml({name: schema["examples"][0]}, is_flow=True)
        if len(example) <= _LONGEST_EXAMPLE:
            fix = f"write {example[1:-2]}"
    return Problem(what, fix, where)


def _name(path: Path) -> str:
    """Return the name of the refused part: its key, if that looks like a name."""
    if not path:
        return "the top level"
    if isinstance(path[-1], int):
        return f"item {path[-1] + 1} of {path[-2]}"
    return str(path[-1]) if QUOTABLE_NAME.fullmatch(path[-1]) else "this"


def _rule(violation: Violation) -> str:
    """Return what a value must be, if possible in the words of the schema: editors show them."""
    schema = violation.schema
    keyword = violation.validator
    argument = violation.validator_value
    if "errorMessage" in schema:
        return str(schema["errorMessage"])
    if keyword == "pattern":
        return str(schema["patternErrorMessage"])
    if keyword == "enum":
        return f"must be one of {', '.join(argument)}"
    if keyword == "type" and violation.instance is None:
        return "is empty"
    if keyword == "type":
        kinds = [argument] if isinstance(argument, str) else argument
        return f"must be {' or '.join(map(_TYPE_NAMES.__getitem__, kinds))}"
    return _RULES[keyword].format(argument)
