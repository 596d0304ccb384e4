"""What does not fit the schema of hooks files, and what can still be checked in a file with such errors. Pure.

An error is worded by `schema_messages`. Fields that do not fit are left out, so that the rest is checked in the same
run; placeholders take their place, so that nothing is reported as missing. Such a file is always refused in the end:
no placeholder is ever used for anything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import cast

from hooksync.config.schema_messages import Path, Refusal, mark_at, split_path, word_refusal, word_unknown_key
from hooksync.config.yaml_nodes import YamlList, YamlMap
from hooksync.core.errors import Problem
from hooksync.core.model import Location, PlainFields
from hooksync.core.record import Record
from hooksync.core.schema import Violation, find_errors

MOST_ERRORS = 1000  # in one file; nobody would read more

# nothing else depends on these fields
_INDEPENDENT = frozenset(
    {
        "version",
        "limits",
        "replacement",
        "probe",
        "prune",
        "unknown_secret",
        "consistency_wait",
        *PlainFields.__struct_fields__,
    }
)
_CONTAINERS = ((), ("tenancies",), ("subscriptions",))  # the fields of paths that lead to mappings by name
_SUBSCRIPTION_DEPTH = len(("tenancies", "NAME", "subscriptions", "NAME"))
_NOWHERE = (0, 0, 0, 0)


class SchemaError(Record, frozen=True):
    """A place in a file that does not fit the schema."""

    path: Path
    problem: Problem
    is_independent: bool = False  # whether the rest can be judged as if this key were not there


def find_schema_errors(data: YamlMap, file: str, schema: Mapping[str, object]) -> tuple[SchemaError, ...]:
    """Find what does not fit. MOST_ERRORS of them: there may be more."""
    found = (error for violation in find_errors(schema, data) for error in _schema_errors(violation, data, file))
    return tuple(islice(found, MOST_ERRORS))


def _schema_errors(violation: Violation, data: YamlMap, file: str) -> Iterator[SchemaError]:
    keyword, argument, instance, path, _ = violation
    if keyword == "not" and not isinstance(instance, dict):
        return  # "not required" is also broken by what is not a mapping, and `type` reports that
    if keyword == "additionalProperties":
        yield from _unknown_keys(violation, data, file)
        return
    where = Location(file, *mark_at(data, path, of_key=keyword in ("propertyNames", "required", "anyOf")))
    yield SchemaError(path, Problem(*word_refusal(Refusal(keyword, argument, instance, path)), where))


def _unknown_keys(violation: Violation, data: YamlMap, file: str) -> Iterator[SchemaError]:
    path, schema = violation.path, violation.schema
    allows_x = "patternProperties" in schema
    known = (*schema["properties"], *(["x-..."] if allows_x else []))
    for key in cast(YamlMap, violation.instance):
        if key not in known and not (allows_x and key.startswith("x-")):
            wording = word_unknown_key(path, key, known)
            where = Location(file, *mark_at(data, (*path, key), of_key=True))
            problem = Problem(wording.what, wording.fix, where)
            yield SchemaError((*path, key), problem, is_independent=not wording.is_slip)


def recover(data: YamlMap, errors: Sequence[SchemaError]) -> YamlMap:
    """Copy what fits; an empty mapping where not all errors are known."""
    if len(errors) >= MOST_ERRORS:
        return YamlMap()
    cut = [(error, *split_path(error.path)) for error in errors]
    dropped = {(*holder, fields[0]) for _, holder, fields in cut if fields}
    incomplete = {holder for error, holder, fields in cut if not _is_independent(error, fields)}
    copy = _copy(data, (), dropped, incomplete)
    if () in incomplete and "defaults" not in copy:  # what is wrong at the top may have been meant for defaults
        copy.add("defaults", _with_placeholders(YamlMap()), _NOWHERE)
    return copy


def hides_triggers(errors: Sequence[SchemaError]) -> bool:
    """Whether `extra_triggers` may be among what does not fit."""
    cut = ((error, *split_path(error.path)) for error in errors)
    return len(errors) >= MOST_ERRORS or any(
        holder == () and not _is_independent(error, fields) for error, holder, fields in cut
    )


def _is_independent(error: SchemaError, fields: tuple[str, ...]) -> bool:
    """Whether the rest can be judged as if the field were not there."""
    return error.is_independent or (bool(fields) and fields[0] in _INDEPENDENT)


def _copy(node: YamlMap, path: Path, dropped: set[Path], incomplete: set[Path]) -> YamlMap:
    copy = YamlMap()
    for key, value in node.items():
        below = (*path, key)
        if below in dropped:
            continue
        if split_path(below)[1] not in _CONTAINERS:
            copy.add(key, value, node.place(key))
        elif isinstance(value, YamlMap):
            copy.add(key, _copy(value, below, dropped, incomplete), node.place(key))
    may_lack = path == ("defaults",) or len(path) == _SUBSCRIPTION_DEPTH
    return _with_placeholders(copy) if may_lack and path in incomplete else copy


def _with_placeholders(fields: YamlMap) -> YamlMap:
    """Fill in for the fields of a subscription, or of defaults, that may have been left out."""
    if "secret" not in fields:
        secret = YamlMap()
        secret.add("env", "", _NOWHERE)
        fields.add("secret", secret, _NOWHERE)
    if fields.keys().isdisjoint(("trigger", "triggers")):
        fields.add("triggers", YamlList(), _NOWHERE)
    return fields
