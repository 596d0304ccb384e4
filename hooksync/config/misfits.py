"""What does not fit the schema of hooks files, one problem for each place. Pure.

jsonschema finds it and our words say it: an error's `message` quotes what stands in the file, and that may be a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, cast

from hooksync.config.places import Path, mark_at
from hooksync.config.schema_messages import Refusal, word_refusal, word_unknown_key
from hooksync.config.yaml_nodes import YamlMap
from hooksync.core.errors import Problem
from hooksync.core.model import Location
from hooksync.core.record import Record
from hooksync.core.schema import find_errors

if TYPE_CHECKING:
    from jsonschema import ValidationError

MOST_MISFITS = 1000  # in one file; more would not be read


class Misfit(Record, frozen=True):
    """A place in a file that the schema refuses."""

    path: Path
    problem: Problem
    is_apart: bool = False  # whether the rest can be judged as if this key were not there


def find_misfits(data: YamlMap, file: str, schema: Mapping[str, object]) -> tuple[Misfit, ...]:
    """Ask jsonschema what is wrong with a file, and say it in our own words. With MOST_MISFITS, there may be more."""
    errors = find_errors(schema, data)
    return tuple(islice((misfit for error in errors for misfit in _misfits(error, data, file)), MOST_MISFITS))


def _misfits(error: ValidationError, data: YamlMap, file: str) -> Iterator[Misfit]:
    path = tuple(error.absolute_path)
    keyword = str(error.validator)
    if keyword == "not" and not isinstance(error.instance, dict):
        return  # a mapping without the two fields passes, and so, to its cost, what is no mapping
    if keyword == "additionalProperties":
        yield from _unknown_keys(error, path, data, file)
        return
    if "propertyNames" in error.relative_schema_path:
        keyword = "propertyNames"
        path = (*path, str(error.instance))
    is_about_key = keyword in ("propertyNames", "required", "anyOf")
    where = Location(file, *mark_at(data, path, of_key=is_about_key))
    refusal = Refusal(keyword, error.validator_value, error.instance, path)
    yield Misfit(path, Problem(*word_refusal(refusal), where))


def _unknown_keys(error: ValidationError, path: Path, data: YamlMap, file: str) -> Iterator[Misfit]:
    schema = cast(dict[str, dict[str, object]], error.schema)
    allows_x = "patternProperties" in schema
    known = (*schema["properties"], *(["x-..."] if allows_x else []))
    for key in cast(YamlMap, error.instance):
        if key not in known and not (allows_x and key.startswith("x-")):
            wording = word_unknown_key(path, key, known)
            where = Location(file, *mark_at(data, (*path, key), of_key=True))
            yield Misfit((*path, key), Problem(wording.what, wording.fix, where), is_apart=not wording.is_slip)
