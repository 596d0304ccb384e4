"""Functions that validate documents by the schemas that hooksync ships, as any validator does."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

import jsonschema
from referencing import Registry, Resource

from tests.command_line import ROOT


@cache
def validator(kind: str) -> jsonschema.Draft202012Validator:
    """Return the validator of one kind of document. A schema may refer to a different schema."""
    schemas = {}
    for path in (ROOT / "schemas").glob("*.schema.json"):
        schemas[path.name] = json.loads(path.read_text(encoding="utf-8"))
    resources = [(each["$id"], Resource.from_contents(each)) for each in schemas.values()]
    registry: Registry[object] = Registry().with_resources(resources)
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return jsonschema.Draft202012Validator(
        schemas[f"{kind}.schema.json"], registry=registry, format_checker=checker
    )


def assert_fits(document: object, kind: str) -> None:
    """Assert that a document is valid by its schema."""
    validator(kind).validate(document)


def assert_sealed(document: dict[str, Any], kind: str) -> None:
    """Assert that a document is valid by its schema, and that its digest is that of the rest."""
    assert_fits(document, kind)
    rest = {name: value for name, value in document.items() if name != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    assert document["digest"] == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
