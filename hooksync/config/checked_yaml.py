"""Read files that must fit a schema, and word the violations as problems with a fix.

Messages are made from the schema, the path and the type of the value. They never quote a value,
because it may be a secret. They quote the names of tenancies and subscriptions, and unknown keys
that look like names. Unknown keys under `secret` and `credentials` are not quoted.
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
from hooksync.core.schema import (
    SchemaKind,
    Violation,
    find_violations,
    is_certain_to_fit,
    read_schema,
)

Words = tuple[str, str]  # what, fix
Keys = tuple[Any, ...]  # that lead to a place in a file

_NAMED = {"tenancies": "tenancy", "subscriptions": "subscription"}  # fields that hold names
_RULES = {  # by keyword of a schema; {}: its argument
    "type": "is empty",
    "minLength": "is empty",
    "minItems": "is empty",
    "minProperties": "is empty",
    "maxProperties": "names more than one place",
    "required": "has no {[0]}",
    "minimum": "must be at least {}",
    "maxLength": "must not have more than {:,} characters",
    "maxItems": "must not have more than {:,} items",
}
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
        places = {problem.where for problem in problems}
        for problem in islice(find_schema_errors(kind, data, name), MOST_PROBLEMS):
            if problem.where not in places:
                problems.append(problem)
    if problems:
        raise FileError(*problems)
    return data


def find_schema_errors(kind: SchemaKind, data: YamlMap, file: str) -> Iterator[Problem]:
    """Word everything that does not fit a schema."""
    for violation in find_violations(read_schema(kind), data):
        path = tuple(violation.absolute_path)
        where = Location(file, 1, 1)
        if path:
            where = reduce(getitem, path[:-1], data).place(path[-1])
        if violation.validator == "additionalProperties":
            yield from _unknown_keys(violation, path)
        elif "propertyNames" in violation.relative_schema_path:
            where = reduce(getitem, path, data).key_place(violation.instance)
            most = violation.schema["maxLength"]
            fix = f"use letters, digits, - and _ only, and at most {most} of them"
            yield Problem("this is not a valid name", fix, where)
        else:
            yield Problem(*_word_violation(kind, violation, path), where)


def _unknown_keys(violation: Violation, path: Keys) -> Iterator[Problem]:
    """Yield a problem for each key that the schema does not know."""
    mapping = violation.instance
    known = [*violation.schema["properties"]]
    ignored = "x-" if "patternProperties" in violation.schema else ()
    listed = f"known: {', '.join([*known, 'x-...'] if ignored else known)}"
    for key in mapping:
        if key in known or key.startswith(ignored):
            continue
        what = "unknown key"
        fix = suggestion(key, known, listed)
        if not set(PRIVATE).isdisjoint(path):
            what = f"unknown key under {path[-1]}"
            fix = f"{listed}; write a colon and a space after it"
        elif QUOTABLE_KEY.fullmatch(key):
            what = f'unknown key "{key}"'
        yield Problem(what, fix, mapping.key_place(key))


def _word_violation(kind: SchemaKind, violation: Violation, path: Keys) -> Words:
    """Put a violation into words: what is wrong, and how to fix it."""
    value = violation.instance
    schema = violation.schema
    types = schema.get("type", ())
    is_private = not set(PRIVATE).isdisjoint(path)
    fix = _fix(kind, violation, path, is_private=is_private)
    if is_private and types == "object" and not isinstance(value, dict | list | None):
        noun = "a secret" if "secret" in path else "a credential"
        return f"{noun} is never written into the file", f"{fix}, and keep the value there"
    what = f"{_label(path)} {_rule(violation)}"
    if "errorMessage" in schema or type(value) not in KINDS:
        return what, fix
    if "string" in types:
        fix = 'put quotes around it, as in "..."'
    if "string" in types or violation.validator == "enum":
        what = f"{what}, but YAML reads this as {KINDS[type(value)]}"
    return what, fix


def _label(path: Keys) -> str:
    """Return the name of the refused part, as the first words of a message."""
    if not path:
        return "the top level"
    *_, parent, last = ("", *path)
    if isinstance(last, int):
        return f"an item of {parent}"
    if parent not in _NAMED:
        return str(last)
    return f'{_NAMED[parent]} "{last}"' if QUOTABLE_NAME.fullmatch(last) else _NAMED[parent]


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
        return f"must be {', '.join(argument[:-1])} or {argument[-1]}"
    if keyword == "type" and violation.instance is not None:
        kinds = [argument] if isinstance(argument, str) else argument
        return f"must be {' or '.join(map(_TYPE_NAMES.__getitem__, kinds))}"
    return _RULES[keyword].format(argument)


_LONGEST_EXAMPLE = 160  # characters


def _fix(kind: SchemaKind, violation: Violation, path: Keys, *, is_private: bool) -> str:
    """Return a fix, if possible with an example from the schema."""
    if is_private and path[-1] != "credentials":
        return (
            "name its source instead: {env: NAME}, {file: PATH} or {command: [PROGRAM, ARGUMENT]}"
        )
    if not path:
        return "write version: 1"
    if len(path) > 1 and path[-2] in _NAMED:
        return "write its fields under it, indented"
    examples = violation.schema.get("examples", [violation.schema.get("default")])
    if isinstance(path[-1], int) or examples[0] is None:
        return f"`hooksync schema --kind {kind}` describes it"
    if violation.schema.get("type") == "boolean":
        return f"write {path[-1]}: true, or {path[-1]}: false"
    example = write_yaml({path[-1]: examples[0]}, is_flow=True)[1:-2]
    return (
        f"write {example}"
        if len(example) <= _LONGEST_EXAMPLE
        else "see what `hooksync init --file -` prints"
    )
