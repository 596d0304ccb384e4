"""The fields of each JSON format, made from its schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.site.fields import Schema, read_schema, type_of, whole
from tests.site.parts import page_with

Rows = dict[str, str]  # what is said of a field, by its path
KINDS = ("plan", "report", "list", "state", "notice", "receiver")
# the formats of the receiver's side, by their names in the schema
RECEIVER = (
    "verify",
    "fire",
    "event",
)
REFERENCE = "[a reference](hooks-file.md#a-reference)"
HEADINGS = {"event": "listen"}  # where a format has another name than the command


def as_text(text: str) -> str:
    """Write a description as Markdown: what means something there outside of code is escaped."""
    parts = text.split("`")
    parts[::2] = [part.replace("***", "`***`").replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def is_reference(field: Schema) -> bool:
    return "env" in field.get("properties", {})


def rows_of(level: Schema, schema: Schema, before: str = "") -> Iterator[tuple[str, str]]:
    """Describe the fields of an object, with those of objects within it, but not those of arrays."""
    for name, field in level["properties"].items():
        found = whole(field, schema)
        kind = REFERENCE if is_reference(found) else type_of(field, schema)
        yield before + name, f"(*{kind}*): {as_text(found['description'])}"
        if "properties" in found and not is_reference(found):
            yield from rows_of(found, schema, f"{before}{name}.")


def levels_of(level: Schema, schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Give an object, and the objects that its arrays hold, each with its path."""
    yield path, level
    for name, field in level["properties"].items():
        found = whole(field, schema)
        items = whole(found.get("items", {}), schema)
        if "properties" in items and not is_reference(items):
            yield from levels_of(items, schema, f"{path}.{name}[]")
        elif "properties" in found and not is_reference(found):
            inner = levels_of(found, schema, f"{path}.{name}")
            next(inner)  # its own fields are among those of what it is in
            yield from inner


def listed(rows: Rows, known: Rows) -> str:
    """Write fields as a list; those that another format has as well are only named."""
    own = {path: told for path, told in rows.items() if known.get(path) != told}
    written = ["\n".join(f"- `{path}` {told}" for path, told in own.items()) + "\n"] if own else []
    if same := [path for path in rows if path not in own]:
        written.append(
            f"{'And as' if own else 'As'} in [a plan](#a-plan):"
            f" {', '.join(f'`{path}`' for path in same)}.\n"
        )
    return "\n".join(written)


def fields_of(kind: str, top: Schema, schema: Schema, known: dict[str, Rows]) -> Iterator[str]:
    for path, level in levels_of(top, schema):
        if path:
            yield f"**`{path}`** of {kind}: {as_text(level['description'])}\n"
        yield listed(
            dict(rows_of(level, schema)), known.get(path.replace("differences", "steps"), {})
        )


def reference(kind: str) -> str:
    """Describe a format; a report by what it has besides a plan."""
    schema = read_schema(kind)
    if kind == "receiver":
        parts: list[str] = []
        for name in RECEIVER:
            top = schema["$defs"][name]
            parts += [
                f"### {HEADINGS.get(name, name)}\n",
                top["description"],
                "",
                *fields_of(name, top, schema, {}),
            ]
        return "\n".join(parts)
    plan = read_schema("plan")
    known = (
        {path: dict(rows_of(level, plan)) for path, level in levels_of(plan, plan)}
        if kind == "report"
        else {}
    )
    head = [f"### Fields of a {kind}\n", schema["description"], ""]
    return "\n".join([*head, *fields_of(f"a {kind}", schema, schema, known)])


def pages() -> dict[Path, str]:
    return page_with("json.md", **{kind: reference(kind) for kind in KINDS})
