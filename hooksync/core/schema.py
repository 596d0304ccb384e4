"""The JSON Schemas that hooksync ships, and quick checks made from them.

The schemas are the source of truth of every format: no code repeats what a schema can express.

`is_certain_to_fit` makes a type of a schema, and msgspec checks data against the type. This takes
less than a microsecond a field. For a state, this decides. If it refuses a file that people write,
jsonschema decides, in `config/checked_yaml.py`. No message of theirs is used, because it quotes the
data, which may be secret.

The checks are strict: 1.0 is not an integer, and true is not 1.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Literal, get_args

import msgspec
import msgspec.json
from msgspec import UNSET, Meta, Struct, defstruct

from hooksync.core.redaction import cut

Schema = Mapping[str, Any]
SchemaKind = Literal["hooks", "plan", "state", "policy", "notice", "error"]
SCHEMA_KINDS: tuple[SchemaKind, ...] = get_args(SchemaKind)

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

_LONGEST_QUOTE = 80  # characters of a quoted text


@cache
def schema_text(kind: SchemaKind) -> str:
    """Return a packaged JSON Schema as text."""
    folder = os.path.join(_PACKAGE, "schemas")  # in a wheel
    if not os.path.isdir(folder):
        folder = os.path.join(_PACKAGE, os.pardir, "schemas")  # in a checkout
    with open(os.path.join(folder, f"{kind}.schema.json"), encoding="utf-8") as file:
        return file.read()


@cache
def read_schema(kind: SchemaKind) -> Schema:
    """Return a packaged JSON Schema as data."""
    schema: Schema = msgspec.json.decode(schema_text(kind))
    return schema


def is_certain_to_fit(kind: SchemaKind, data: Mapping[str, object]) -> bool:
    """Whether data certainly fits a packaged schema. False: only jsonschema can tell why not."""
    if kind == "hooks":  # no type has names such as `x-common`
        data = {name: value for name, value in data.items() if not name.startswith("x-")}
    try:
        msgspec.convert(data, _packaged_type(kind))
    except msgspec.ValidationError:
        return False
    return True


def quoted(text: object) -> str:
    """Show untrusted text in a message: escaped, so that it cannot control a terminal, and cut."""
    return cut(json.dumps(text), _LONGEST_QUOTE)


@cache
def _packaged_type(kind: SchemaKind) -> Any:
    schema = read_schema(kind)
    return _type_of(schema, schema)


_PLAIN_TYPES = {"string": str, "integer": int, "boolean": bool, "null": None}
_LIMITS = {  # for each kind of data, the keywords that limit it, and msgspec's names for them
    "string": {"pattern": "pattern", "minLength": "min_length", "maxLength": "max_length"},
    "array": {"minItems": "min_length", "maxItems": "max_length"},
    "object": {"minProperties": "min_length", "maxProperties": "max_length"},
    "integer": {"minimum": "ge", "maximum": "le"},
}


def _type_of(schema: Schema, document: Schema) -> Any:
    """Make a type of a schema: data that fits the type fits the schema.

    `document`: the whole schema, for its references. The type has no keys that begin with `x-`.
    """
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return _type_of(document["$defs"][name], document)
    if "const" in schema:
        return Literal[schema["const"]]
    if "enum" in schema:
        return Literal[tuple(schema["enum"])]
    names = schema["type"]
    kinds = [names] if isinstance(names, str) else names
    return reduce(or_, (_type_of_kind(kind, schema, document) for kind in kinds))


def _type_of_kind(kind: str, schema: Schema, document: Schema) -> Any:
    """Make the type of one of the kinds of data that a schema allows."""
    if kind == "object" and "properties" in schema:
        return _struct_of(schema, document)
    if kind == "array":
        made: Any = list[_type_of(schema["items"], document)]  # type: ignore[misc]
    elif kind == "object":
        names = _type_of(schema["propertyNames"], document)
        made = dict[names, _type_of(schema["additionalProperties"], document)]  # type: ignore
    else:
        made = _PLAIN_TYPES[kind]
    keywords = _LIMITS.get(kind, {})
    limits = {ours: schema[word] for word, ours in keywords.items() if word in schema}
    return Annotated[made, Meta(**limits)]


def _struct_of(schema: Schema, document: Schema) -> type[Struct]:
    """Make the type of an object with known fields."""
    fields: list[Any] = []
    for name, value in schema["properties"].items():
        default = () if name in schema.get("required", ()) else (UNSET,)
        fields.append((name, _type_of(value, document), *default))

    def check_number(self: Struct) -> None:
        if len(msgspec.to_builtins(self)) != schema["maxProperties"]:
            raise ValueError

    return defstruct(
        "Fields",
        fields,
        namespace={"__post_init__": check_number} if "maxProperties" in schema else {},
        kw_only=True,
        forbid_unknown_fields="additionalProperties" in schema,
    )
