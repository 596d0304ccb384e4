"""The description of the fields of the hooks file, generated from its schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from hooksync.core.schema import read_schema
from tests.site.parts import page_with

SECTIONS = {  # the path of each section in the schema, by its heading; spaces separate the steps
    "The whole file": "",
    "A tenancy": "properties tenancies additionalProperties",
    "A subscription": "$defs subscription",
    "A reference": "$defs reference",
}
LINKS = {  # a link to the section of a field replaces its type
    "tenancies": "[tenancies](#a-tenancy) by their names",
    "subscriptions": "[subscriptions](#a-subscription) by their names",
    "defaults": (
        "fields of [a subscription](#a-subscription), settings of [a tenancy](#a-tenancy) and"
        " subscriptions; or the path of a hooks file"
    ),
}
MORE = {  # links to further pages, by the path of a field
    "credentials": "[secrets](secrets.md)",
    "limits": "[exit code 3](messages.md#3-refused)",
    "replacement": "[rotate a secret](rotating-secrets.md#the-old-one-first)",
    "probe": "[receivers](receivers.md)",
    "trigger": "[what each trigger means](what-preservica-sends.md#triggers)",
    "triggers": "[what each trigger means](what-preservica-sends.md#triggers)",
    "secret": "[secrets](secrets.md), [rotate a secret](rotating-secrets.md)",
    "command": "[a program](secrets.md#a-program), [a policy](policy.md)",
}
REFERENCE = "[a reference](#a-reference)"
TYPES = {"array": "list of strings", "object": "mapping"}  # words of YAML
Schema = dict[str, Any]


def as_yaml(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000)
    return text.removesuffix("...\n").strip()


def whole(field: Schema, schema: Schema) -> Schema:
    """Return a field with the contents of its reference. Keys beside the reference take precedence."""
    if "$ref" not in field:
        return field
    found: Any = schema
    for part in field["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return whole(found, schema) | field


def _kind(name: str, field: Schema) -> str:
    """Return in words which values a field takes."""
    if name in LINKS:
        return LINKS[name]
    if "env" in field.get("properties", {}):
        return REFERENCE
    if "type" not in field or "const" in field:
        *words, last = (f"`{as_yaml(each)}`" for each in field.get("enum") or [field["const"]])
        return f"{', '.join(words)} or {last}" if words else last
    kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
    return " or ".join(TYPES.get(kind, kind) for kind in kinds)


def field_lines(path: str, field: Schema, schema: Schema, *, is_required: bool) -> Iterator[str]:
    """Yield the description of a field, and then of the fields within it."""
    found, name = whole(field, schema), path.rpartition(".")[2]
    yield f"### `{path}`\n\n{found['description']}\n"
    kind = _kind(name, found)
    yield f"- Type: {kind}"
    if is_required:
        yield "- Required"
    elif "default" in found:
        yield f"- Default: `{as_yaml(found['default'])}`"
    examples = [f"`{name}: {as_yaml(each)}`" for each in found.get("examples", ())]
    if len(examples) > 1:  # the example at the top of the page has each field once
        yield f"- Examples: {', '.join(examples)}"
    if path in MORE:
        yield f"- More: {MORE[path]}"
    yield ""
    if name not in LINKS and kind != REFERENCE:
        yield from fields_of(found, schema, f"{path}.")


def fields_of(level: Schema, schema: Schema, before: str = "") -> Iterator[str]:
    for name, field in level.get("properties", {}).items():
        yield from field_lines(
            before + name, field, schema, is_required=name in level.get("required", ())
        )


def reference() -> str:
    schema = read_schema("hooks")
    lines = []
    for heading, place in SECTIONS.items():
        level = schema
        for step in place.split():
            level = level[step]
        lines += [f"## {heading}\n", level["description"], "", *fields_of(level, schema)]
        if "patternProperties" in level and not place:
            lines += ["### Keys that begin with `x-`\n", schema["$defs"]["note"]["description"], ""]
    return "\n".join(lines)


def pages() -> dict[Path, str]:
    return page_with("hooks-file.md", fields=reference())
