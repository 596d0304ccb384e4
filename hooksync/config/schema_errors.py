"""Read files that must fit a schema, and word the violations as problems with a fix.

Messages are made from the schema, the path and the type of the value. They never quote a value,
because it may be a secret. They quote the names of tenancies and subscriptions, and unknown keys
that look like names. Unknown keys under `secret` and `credentials` are not quoted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

from hooksync.config.yaml_loader import (
    KINDS,
    PRIVATE,
    QUOTABLE_KEY,
    QUOTABLE_NAME,
    YamlList,
    YamlMap,
    read_yaml,
)
from hooksync.core.errors import FileError, Problem, suggestion
from hooksync.core.model import SECRET_KINDS, Location
from hooksync.core.schema import Schema, SchemaKind, is_certain_to_fit, read_schema

MOST_ERRORS = 1000  # in one file; nobody would read more

DataPath = tuple[str | int, ...]  # names and indexes that lead from the top to a part of the data
Words = tuple[str, str]  # what, fix

_KINDS = list(SECRET_KINDS.values())
_REFERENCE = f"{', '.join(_KINDS[:-1])} or {_KINDS[-1]}"
# the fields that hold entries by name, with an example of a name
_NAMED_ENTRIES: dict[DataPath, str] = {
    ("tenancies",): "archive-prod",
    ("subscriptions",): "catalogue",
}
_TYPE_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
}
_NO_DEFAULTS = ("url", "adopt", "enabled", "server", "tenant")


def read_checked(kind: SchemaKind, name: str, content: bytes) -> YamlMap:
    """Read a YAML file. Raises FileError with everything that breaks YAML or its schema.

    The caller checks other rules only in a file that breaks neither: to check them in what is left
    of a broken file would report what is not wrong.
    """
    data, problems = read_yaml(name, content)
    if problems or not is_certain_to_fit(kind, data):
        places = {problem.where for problem in problems}
        errors = find_schema_errors(data, name, read_schema(kind))
        problems += tuple(problem for problem in errors if problem.where not in places)
    if problems:
        raise FileError(*problems)
    return data


def find_schema_errors(data: YamlMap, file: str, schema: Schema) -> tuple[Problem, ...]:
    """Find the first MOST_ERRORS errors in a file. If there are that many, there may be more."""
    return tuple(islice(_schema_errors(data, file, schema), MOST_ERRORS))


def _schema_errors(data: YamlMap, file: str, schema: Schema) -> Iterator[Problem]:
    for violation in find_violations(schema, data):
        if violation.keyword == "additionalProperties":
            for key in violation.unknown_keys:
                where = _place_of(data, file, (*violation.path, key), of_key=True)
                yield Problem(*_word_unknown_key(violation, key), where)
        else:
            of_key = violation.keyword in ("propertyNames", "required")
            where = _place_of(data, file, violation.path, of_key=of_key)
            yield Problem(*_word_violation(violation), where)


def _place_of(data: YamlMap, file: str, path: DataPath, *, of_key: bool = False) -> Location:
    """Return where the value at the end of a path is written, or with `of_key` its key."""
    node: object = data
    place = Location(file, 1, 1)
    for step in path:
        if isinstance(node, YamlMap) and isinstance(step, str):
            place = node.key_place(step) if of_key else node.value_place(step)
            node = node[step]
        elif isinstance(node, YamlList) and isinstance(step, int):
            place = node.places[step]
            node = node[step]
    return place


class Violation(NamedTuple):
    """One place where data does not fit its schema."""

    keyword: str  # of the schema; "propertyNames" if a rule about names is violated
    schema: Schema  # the part that holds the keyword
    path: DataPath  # for "propertyNames", it ends with the name
    instance: object  # the data at that place; for "propertyNames", the name

    def __repr__(self) -> str:
        return f"Violation({self.keyword!r}, path={self.path!r})"

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the path below the top level, the defaults, a tenancy or a subscription.

        The indexes of lists are left out: for ("tenancies", "prod", "limits", "unsubscribe"), these
        are ("limits", "unsubscribe").
        """
        first = self.path[0] if self.path else ""
        depth = {"defaults": 1, "tenancies": 2}.get(str(first), 0)
        if len(self.path) < depth:
            depth = 0
        elif self.path[depth : depth + 1] == ("subscriptions",) and len(self.path) > depth + 1:
            depth += 2
        return tuple(step for step in self.path[depth:] if isinstance(step, str))

    @property
    def field(self) -> str:
        """The last of `fields`; "" if there are none."""
        return self.fields[-1] if self.fields else ""

    @property
    def label(self) -> str:
        """The name of the refused part or field, as the first words of a message."""
        if self.fields:
            of_list = "an item of " if isinstance(self.path[-1], int) else ""
            return of_list + ".".join(self.fields)
        kinds = ("the top level", "defaults", "tenancy", "subscription", "subscription")
        kind = kinds[len(self.path)]
        is_named = len(self.path) > 1 and QUOTABLE_NAME.fullmatch(str(self.path[-1]))
        return f'{kind} "{self.path[-1]}"' if is_named else kind

    @property
    def is_private(self) -> bool:
        """Whether it is in `secret` or `credentials`, where a user may have written a secret."""
        return bool(self.fields) and self.fields[0] in PRIVATE

    @property
    def known_keys(self) -> list[str]:
        """The keys that the schema allows in this place."""
        notes = ["x-..."] if "patternProperties" in self.schema else []
        return [*self.schema["properties"], *notes]

    @property
    def unknown_keys(self) -> list[str]:
        """The written keys that the schema does not allow in this place."""
        ignored = "x-" if "patternProperties" in self.schema else ()
        keys: Any = self.instance
        return [key for key in keys if key not in self.known_keys and not key.startswith(ignored)]


def find_violations(schema: Schema, data: object) -> Iterator[Violation]:
    """Find with jsonschema where data does not fit. Its messages quote the data: none is used."""
    import jsonschema  # 70 ms, more than all the rest of `validate`; a file that fits needs none

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


def _word_unknown_key(violation: Violation, key: str) -> Words:
    known_keys = violation.known_keys
    listed = f"known: {', '.join(known_keys)}"
    if violation.is_private:
        return f"unknown key under {violation.field}", listed
    if violation.path == ("defaults",) and key in _NO_DEFAULTS:
        return f"{key} cannot be a default", "write it where it applies"
    fix = suggestion(key, known_keys, listed)
    return (f'unknown key "{key}"' if QUOTABLE_KEY.fullmatch(key) else "unknown key"), fix


def _word_violation(violation: Violation) -> Words:
    """Put a violation into words: what is wrong, and how to fix it."""
    value = violation.instance
    if violation.keyword == "propertyNames":
        most = violation.schema["maxLength"]
        fix = f"use letters, digits, - and _ only, and at most {most} of them"
        return "this is not a valid name", fix
    fix = _fix(violation)
    is_value = not isinstance(value, dict | list | None)
    if is_value and violation.is_private and violation.schema.get("type") == "object":
        kind = "a secret" if violation.fields[0] == "secret" else "a credential"
        return f"{kind} is never written into the file", f"{fix}, and keep the value there"
    what = f"{violation.label} {_rule(violation)}"
    is_text_missing = violation.keyword == "type" and "string" in violation.schema["type"]
    if "errorMessage" in violation.schema or type(value) not in KINDS:
        return what, fix
    if is_text_missing:
        fix = f'put quotes around it, as in {violation.field}: "..."'
    if is_text_missing or violation.keyword == "enum":
        what = f"{what}, but YAML reads this as {KINDS[type(value)]}"
    return what, fix


def _rule(violation: Violation) -> str:
    """Return what a value must be, if possible in the words of the schema: editors show them."""
    schema = violation.schema
    argument = schema[violation.keyword]
    if "errorMessage" in schema:
        return str(schema["errorMessage"])
    match violation.keyword:
        case "pattern":
            return str(schema["patternErrorMessage"])
        case "required":
            return f"has no {argument[0]}"
        case "maxProperties":
            return "names more than one place"
        case "minLength" | "minItems" | "minProperties":
            return "is empty"
        case "type":
            if violation.instance is None:
                return "is empty"
            kinds = [argument] if isinstance(argument, str) else argument
            return f"must be {' or '.join(map(_TYPE_NAMES.__getitem__, kinds))}"
        case "enum":
            return f"must be {', '.join(argument[:-1])} or {argument[-1]}"
        case "minimum":
            return f"must be at least {argument}"
    unit = "characters" if violation.keyword == "maxLength" else "items"
    return f"must not have more than {argument:,} {unit}"


def _fix(violation: Violation) -> str:
    if name := _NAMED_ENTRIES.get(violation.path[-1:]):
        if isinstance(violation.instance, list):
            return f"write `{name}:` instead of `-`, and indent its fields"
        return f"write a name such as `{name}:` below it, indented, and below that its fields"
    if violation.is_private and violation.field != "credentials":
        name = "secret" if violation.fields[0] == "secret" else violation.fields[1]
        return f"write {name}: {_REFERENCE}"
    if not violation.fields and len(violation.path) > 1:
        return "write its fields under it, indented"
    name = violation.field or "".join(map(str, violation.path)) or "version"
    example = _examples().get(name)
    return f"write {example}" if example else "see `hooksync schema`"


@cache
def _examples() -> dict[str, str]:
    """Read an example of each field from examples.txt."""
    with open(os.path.join(os.path.dirname(__file__), "examples.txt"), encoding="utf-8") as file:
        return {line.partition(":")[0]: line.rstrip("\n") for line in file}
