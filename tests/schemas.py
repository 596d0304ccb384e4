"""Functions that validate documents by the schemas that hooksync ships, as any validator does."""

from __future__ import annotations

import json
from functools import cache

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
