"""The quick check of the schemas accepts nothing that jsonschema refuses."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hooksync.config.checked_yaml import find_schema_errors
from hooksync.config.yaml_loader import YamlMap
from hooksync.core.errors import Problem
from hooksync.core.model import (
    SECRET_KINDS,
    DeclaredSubscription,
    LiveSubscription,
    Location,
    ReceiverResult,
)
from hooksync.core.record import Record
from hooksync.core.schema import (
    SCHEMA_KINDS,
    SchemaKind,
    is_certain_to_fit,
    read_schema,
    schema_text,
)
from hooksync.core.starter import Starter
from hooksync.reconcile.plan import Outcome, Plan, Reason, Step, TenancyPlan
from hooksync.state.fingerprints import Salt
from hooksync.state.model import Attempt, StateEntry, TenancyRecords

SCHEMA = read_schema("hooks")


CHECKED: tuple[SchemaKind, ...] = ("hooks", "policy", "state")  # msgspec checks these first


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(0.5),
    st.text(),
    st.just(date.min),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)
    ),
)
FULL: dict[str, Any] = yaml.safe_load("""
version: 1
defaults: {secret: {env: "${TENANCY}_SECRET"}, trigger: MOVED, description: a line}
extra_triggers: [ENTITY_DELETED]
tenancies:
  prod:
    server: eu.preservica.com
    tenant: BRAMA
    allow_http: true
    credentials: {username: {env: A}, password: {file: b}, totp: {command: [op, read]}}
    owns: [https://h/api]
    protect: [https://vendor.example]
    limits: {unsubscribe: 12.5%}
    replacement: remove-first
    probe: require
    subscriptions:
      one: {url: https://h/1, triggers: [INDEXED], secret: {env: A}, include_identifiers: true}
      two: {url: https://h/2, enabled: false, adopt: [9a]}
  test: {owns: all, limits: {unsubscribe: 3}, subscriptions: {}}
""")


def places_in(node: Any) -> Iterator[Callable[[Any], None]]:
    """Return functions that each change the document in one place."""
    if isinstance(node, dict):
        for key in node:
            yield lambda value, key=key: node.__setitem__(key, value)
            yield lambda value, key=key: node.__setitem__(f"{key}\n", node.pop(key))
            yield lambda value, key=key: node.pop(key)
            yield from places_in(node[key])
        yield lambda value: node.__setitem__("trigger", value)
        yield lambda value: node.__setitem__("new", value)
    elif isinstance(node, list):
        for index in range(len(node)):
            yield lambda value, index=index: node.__setitem__(index, value)
            yield from places_in(node[index])
        yield lambda value: node.clear()


mishaps = st.one_of(
    scalars,
    st.sampled_from(
        [
            [],
            {},
            0,
            1.5,
            -1,
            True,
            "",
            "\n",
            "MOVED\n",
            "all\n",
            "50%\n",
            "101%",
            "100.1%",
            "create-first\n",
        ]
    ),
)


@pytest.mark.parametrize("kind", SCHEMA_KINDS)
def test_schema_is_a_valid_schema(kind: SchemaKind) -> None:
    jsonschema.Draft202012Validator.check_schema(read_schema(kind))


def test_a_hooks_file_without_notes_inside_its_tenancies_needs_no_second_check() -> None:
    assert is_certain_to_fit("hooks", {**FULL, "x-note": 1})
    noted = {"version": 1, "tenancies": {"a": {"x-note": 1, "subscriptions": {}}}}
    for document in (FULL, noted):
        assert is_valid("hooks", document)


def is_valid(kind: SchemaKind, data: object) -> bool:
    return jsonschema.Draft202012Validator(read_schema(kind)).is_valid(data)


def assert_agreement(kind: SchemaKind, data: Any) -> bool:
    """Assert that data which certainly fits has no error. Returns whether it has none."""
    fits = is_valid(kind, data)
    if is_certain_to_fit(kind, data):
        assert fits
    return fits


def with_places(node: Any) -> Any:
    """Return a copy of plain data in the types of the YAML reader."""
    if isinstance(node, dict):
        mapping = YamlMap(file="hooks.yaml")
        for key, value in node.items():
            mapping[key] = with_places(value)
            mapping.places[key] = 0
        return mapping
    if isinstance(node, list):
        return [with_places(value) for value in node]
    return node


@given(mishaps, st.data())
def test_all_checks_agree_on_a_hooks_file_changed_in_one_place(
    mishap: object, data: st.DataObject
) -> None:
    changed = copy.deepcopy(FULL)
    data.draw(st.sampled_from(list(places_in(changed))))(mishap)
    if not assert_agreement("hooks", changed):
        assert [*find_schema_errors("hooks", with_places(changed), "hooks.yaml")]


@pytest.mark.parametrize("kind", CHECKED)
@given(st.dictionaries(st.text(), anything, max_size=3))
def test_all_checks_agree_on_arbitrary_data(kind: SchemaKind, data: object) -> None:
    assert_agreement(kind, data)


@pytest.mark.parametrize(
    ("written", "fits"),
    [
        ({"env": "A"}, True),
        ({"command": ["op", "read"]}, True),
        ({"env": "$A"}, False),
        ({"file": ""}, False),
        ({"env": "A", "file": "b"}, False),
        ({}, False),
        ("A", False),
    ],
)
def test_a_reference_names_exactly_one_valid_source(written: object, fits: bool) -> None:
    document = {"version": 1, "defaults": {"secret": written}}
    assert is_certain_to_fit("hooks", document) is fits


def every_schema(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            if key != "examples":
                yield from every_schema(value, f"{path}/{key}")


def test_examples_and_defaults_of_the_schema_are_valid() -> None:
    for path, schema in every_schema(SCHEMA):
        if not path.endswith(("properties", "$defs")):
            validator = jsonschema.Draft202012Validator({**schema, "$defs": SCHEMA["$defs"]})
            examples = [
                *schema.get("examples", []),
                *([schema["default"]] if "default" in schema else []),
            ]
            assert all(validator.is_valid(example) for example in examples), path


def explained(schema: dict[str, Any], whole: Mapping[str, Any] = SCHEMA) -> set[str]:
    """Return the keywords of a schema and of the schemas it refers to, as an editor shows them."""
    target = schema.get("$ref", "").removeprefix("#/$defs/")
    return {*schema, *(explained(whole["$defs"][target], whole) if target else ())}


def test_every_field_has_examples_a_default_or_fields_of_its_own() -> None:
    for path, schema in every_schema(SCHEMA):
        for name, field in schema.get("properties", {}).items():
            assert {"examples", "default", "properties", "additionalProperties"} & explained(
                field
            ), f"{path}/properties/{name}"


def test_defaults_may_hold_every_field_that_is_not_specific_to_a_tenancy_or_receiver() -> None:
    tenancy = SCHEMA["properties"]["tenancies"]["additionalProperties"]["properties"]
    fields = {**tenancy, **SCHEMA["$defs"]["subscription"]["properties"]}
    for name in ("server", "tenant", "url", "adopt", "enabled"):
        del fields[name]
    defaults = SCHEMA["properties"]["defaults"]["properties"]
    assert defaults == {**fields, "subscriptions": defaults["subscriptions"]}
    assert defaults["subscriptions"]["$ref"] == fields["subscriptions"]["$ref"]


def test_every_kind_of_secret_is_in_the_schemas() -> None:
    for kind in ("hooks", "plan"):
        assert [*read_schema(kind)["$defs"]["reference"]["properties"]] == [*SECRET_KINDS]
    assert read_schema("policy")["$defs"]["secret_kinds"]["items"]["enum"] == list(SECRET_KINDS)


def test_a_printed_schema_refers_to_nothing_outside_of_itself() -> None:
    for kind in SCHEMA_KINDS:
        for _, schema in every_schema(json.loads(schema_text(kind))):
            reference = schema.get("$ref", "#/")
            assert not isinstance(reference, str) or reference.startswith("#/")


ANNOTATIONS = {"$schema", "$id", "$defs", "title", "description", "default", "examples", "format"}
ANNOTATIONS |= {"errorMessage", "patternErrorMessage"}
CHECKED_KEYWORDS = {"$ref", "const", "enum", "type", "properties", "required", "items"}
CHECKED_KEYWORDS |= {"additionalProperties", "patternProperties", "propertyNames"}
LIMITS = {"pattern", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"}
LIMITS |= {"minProperties", "maxProperties"}


@pytest.mark.parametrize("kind", CHECKED)
def test_the_schemas_of_files_have_only_keywords_that_the_quick_check_knows(
    kind: SchemaKind,
) -> None:
    for path, schema in every_schema(read_schema(kind)):
        if path.endswith(("roperties", "$defs")) and "type" not in schema:
            continue  # names, not keywords
        assert schema.keys() <= ANNOTATIONS | CHECKED_KEYWORDS | LIMITS, path
        assert "type" in schema or LIMITS.isdisjoint(schema), path
        if "properties" in schema:  # the number of its fields is limited to one number, or not
            assert schema.get("minProperties") == schema.get("maxProperties"), path
        if "$ref" in schema:
            assert schema.keys() <= ANNOTATIONS | {"$ref"}, path


JSON_TYPES = {
    str: "string",
    int: "integer",
    bool: "boolean",
    float: "number",
    tuple: "array",
    dict: "object",
}


@pytest.mark.parametrize(
    ("kind", "name", "record"),
    [
        ("plan", "", Plan),
        ("plan", "tenancy", TenancyPlan),
        ("plan", "step", Step),
        ("plan", "declared", DeclaredSubscription),
        ("plan", "live", LiveSubscription),
        ("plan", "reason", Reason),
        ("plan", "receiver", ReceiverResult),
        ("plan", "outcome", Outcome),
        ("plan", "problem", Problem),
        ("plan", "optional_problem", Problem),
        ("plan", "location", Location),
        ("plan", "started_by", Starter),
        ("state", "tenancy", TenancyRecords),
        ("state", "entry", StateEntry),
        ("state", "attempt", Attempt),
        ("state", "salt", Salt),
    ],
)
def test_a_schema_has_the_fields_types_and_words_that_json_has(
    kind: SchemaKind, name: str, record: type[Record]
) -> None:
    whole = read_schema(kind)
    fields = (whole["$defs"][name] if name else whole)["properties"]
    assert set(record.__struct_encode_fields__) == fields.keys()
    hints = get_type_hints(record)
    for field, written in zip(
        record.__struct_fields__, record.__struct_encode_fields__, strict=True
    ):
        schema = fields[written]
        if "$ref" in schema:
            schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
        hint = hints[field]
        for option in get_args(hint) if get_origin(hint) in (Union, UnionType) else [hint]:
            base = get_origin(option) or option
            if base is Literal:
                assert {*get_args(option)} == {*schema["enum"]} - {None}
            elif base in JSON_TYPES and "type" in schema:
                assert JSON_TYPES[base] in schema["type"]
