"""Every field of every schema has a description. The page on the hooks file has a heading for each
field, and its example uses the fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from hooksync.core.schema import read_schema
from tests.command_line import ROOT
from tests.site.hooks_file import Schema, whole
from tests.site.parts import DOCS

SCHEMAS = ROOT / "schemas"
KINDS = sorted(path.name.partition(".")[0] for path in SCHEMAS.glob("*.schema.json"))
# these keywords restrict fields that have their descriptions elsewhere
CONDITIONS = (
    "if",
    "then",
    "allOf",
    "not",
    "anyOf",
)


def fields(level: Any, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield all fields below a part of a schema, each with its path."""
    if isinstance(level, dict):
        for name, field in level.get("properties", {}).items():
            yield f"{path}/{name}", field
        for name, each in level.items():
            if name not in CONDITIONS:
                yield from fields(each, f"{path}/{name}")


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_schema_has_a_description(kind: str) -> None:
    schema = json.loads((SCHEMAS / f"{kind}.schema.json").read_text(encoding="utf-8"))
    found = dict(fields(schema))
    assert found
    assert not [
        path for path, field in found.items() if not whole(field, schema).get("description")
    ]


def test_the_example_of_the_hooks_file_has_every_field() -> None:
    example = re.findall(
        r"```yaml\n(.*?)```", (DOCS / "hooks-file.md").read_text(encoding="utf-8"), re.DOTALL
    )[0]
    named = {path.rpartition("/")[2] for path, _ in fields(read_schema("hooks"))}
    assert not [name for name in named - {"command"} if not re.search(rf"\b{name}:", example)]
