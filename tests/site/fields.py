"""Describes fields of a JSON Schema in words: their types, with everything that references add."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).parents[2] / "schemas"
Schema = dict[str, Any]


def whole(field: Schema, schema: Schema) -> Schema:
    """Return a field with the contents of its reference. Keys beside the reference take precedence."""
    if "$ref" not in field:
        return field
    found: Any = schema
    for part in field["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    beside = {name: value for name, value in field.items() if name != "$ref"}
    return {**whole(found, schema), **beside}


def either(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def written(value: object) -> str:
    """Return a value as JSON, which is YAML as well."""
    return f"`{json.dumps(value)}`"


def type_of(field: Schema, schema: Schema) -> str:
    """Return in words which values a field takes."""
    field = whole(field, schema)
    if "const" in field:
        return written(field["const"])
    if "enum" in field:
        return either([written(each) for each in field["enum"]])
    if "anyOf" in field and "type" not in field:
        return either([type_of(each, schema) for each in field["anyOf"]])
    if "type" not in field:
        return "any"
    types = field["type"] if isinstance(field["type"], list) else [field["type"]]
    return either([_one_type(each, field, schema) for each in types])


def _one_type(name: str, field: Schema, schema: Schema) -> str:
    if name == "array":
        items = type_of(field["items"], schema)
        return f"array of {items}s" if items.isalpha() else f"array of: {items}"
    if (
        name == "object"
        and isinstance(more := field.get("additionalProperties"), dict)
        and "properties" not in field
    ):
        return f"object, each value: {type_of(more, schema)}"
    if name in ("integer", "number"):
        least, most = field.get("minimum"), field.get("maximum")
        bounds = (
            f", {least} to {most}"
            if most and most < 2**32
            else f", {least} or more"
            if least
            else ""
        )
        return name + bounds
    if name == "string" and field.get("format") == "date-time":
        return "date and time"
    return name
