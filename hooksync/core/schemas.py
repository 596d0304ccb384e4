"""The JSON Schemas that hooksync ships: their text, their data, a check compiled from each. Reads the disk.

And what is wrong with an untrusted document: named by its place and the rule, never by its value. Only the first error
is looked for, and by compiled checks all the way down: jsonschema takes seconds for a large document, keeps every error
of a list of alternatives, and writes the whole value into its messages.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal, get_args

import msgspec.json

from hooksync.core.errors import FileError, InvalidDocument, Problem
from hooksync.core.schema import Check, Schema, compile_schema

SchemaKind = Literal["hooks", "plan", "report", "state"]
SCHEMA_KINDS: tuple[SchemaKind, ...] = get_args(SchemaKind)

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

_LONGEST_QUOTE = 80  # characters
_PLAIN_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]{0,40}")
_APART = {"$ref", "allOf", "if", "then", "properties", "additionalProperties", "items", "$defs", "format"}  # see _parts
_TYPES = {
    "object": "an object",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "null": "null",
}

Part = tuple[
    str | int | None, Schema, object
]  # where it is: a field, an item, or the same place; its schema; its value


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


class _Explainer:
    """Follows what does not fit down to its place."""

    def __init__(self, kind: SchemaKind) -> None:
        self._document = f"the {kind}"
        self._schema = read_schema(kind)
        self._checks: dict[int, Check] = {}  # by the identity of a part of the schema, which lives as long as this

    def explain(self, value: object) -> str:
        """Name the first thing that does not fit."""
        schema, holder, name = self._schema, "", ""
        while True:
            place = f"{holder or self._document}: {name}" if name else holder or self._document
            for keyword in schema:
                if keyword not in _APART and not self._compile({keyword: schema[keyword]})(value):
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
            yield None, self._schema["$defs"][schema["$ref"].removeprefix("#/$defs/")], value
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
        if id(schema) not in self._checks:
            self._checks[id(schema)] = self._compile(schema)
        return self._checks[id(schema)](value)

    def _compile(self, schema: Schema) -> Check:
        return compile_schema({"$defs": self._schema["$defs"], **schema})


def _joined(holder: str, name: str) -> str:
    return f"{holder}.{name}" if holder and name else holder or name


def _rule(keyword: str, schema: Schema) -> str:
    """Say what a value must be. A schema of a text says so in its title."""
    match keyword:
        case "type":
            types = schema["type"]
            return f"must be {' or '.join(_TYPES[each] for each in ([types] if isinstance(types, str) else types))}"
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
