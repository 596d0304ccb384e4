"""The JSON Schemas that hooksync ships: their text, their data, and a check compiled from each. Reads the disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, get_args

from msgspec import json

from hooksync.core.errors import FileError, Problem
from hooksync.core.schema import Check, compile_schema

SchemaKind = Literal["hooks", "plan", "report", "state"]
SCHEMA_KINDS: tuple[SchemaKind, ...] = get_args(SchemaKind)

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


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
    schema: Mapping[str, Any] = json.decode(schema_text(kind))
    return schema


@cache
def schema_check(kind: SchemaKind) -> Check:
    """Return the function that tells whether data fits a packaged schema. Raises FileError where there is none."""
    return compile_schema(read_schema(kind))
