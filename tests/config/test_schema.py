"""The checks by hand and jsonschema, held together."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hooksync.config.files import read_schema
from hooksync.config.misfits import find_misfits
from hooksync.config.schema import certainly_fits
from hooksync.config.yaml_nodes import Timestamp, YamlList, YamlMap

SCHEMA = read_schema("hooks")
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

names = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)
triggers = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
lines = st.text(st.characters(exclude_characters="\x7f", min_codepoint=0x20, exclude_categories=["Cs"]), min_size=1)
texts = st.text(min_size=1)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just(Timestamp("2024-01-01")))
anything = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3))
)
notes = st.dictionaries(st.from_regex(r"x-[a-z]{0,4}", fullmatch=True), anything, max_size=2)
references = st.one_of(
    st.fixed_dictionaries({"env": st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)}),
    st.fixed_dictionaries({"file": lines}),
)


def mapping(required: dict[str, Any], optional: dict[str, Any], *, with_notes: bool = True) -> st.SearchStrategy[Any]:
    fields = st.fixed_dictionaries(required, optional=optional)
    return st.builds(lambda a, b: {**a, **b}, fields, notes) if with_notes else fields


def with_triggers(required: dict[str, Any]) -> st.SearchStrategy[Any]:
    shared = {"secret": references, "include_identifiers": st.booleans()}
    return st.one_of(
        mapping(required, {**shared, "trigger": triggers}),
        mapping(required, {**shared, "triggers": st.lists(triggers, min_size=1, max_size=3)}),
    )


shares = st.one_of(st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,3})?%", fullmatch=True), st.sampled_from(["100%", "100.00%"]))
tenancies = mapping(
    {},
    {
        "server": texts,
        "tenant": lines,
        "allow_http": st.booleans(),
        "credentials": mapping(
            {},
            {
                "username": references,
                "password": references,
                "totp": references,
                "method": st.sampled_from(["password", "external"]),
            },
            with_notes=False,
        ),
        "owns": st.one_of(st.just("all"), st.lists(texts, min_size=1, max_size=3)),
        "limits": mapping({}, {"unsubscribe": st.one_of(shares, st.integers(min_value=0))}, with_notes=False),
        "replacement": st.sampled_from(["create-first", "remove-first"]),
        "probe": st.sampled_from(["auto", "require", "never"]),
        "subscriptions": st.dictionaries(names, with_triggers({"url": texts}), max_size=3),
    },
)
documents = st.one_of(
    mapping(
        {"version": st.just(1), "tenancies": st.dictionaries(names, tenancies, min_size=1, max_size=2)},
        {"defaults": with_triggers({}), "extra_triggers": st.lists(triggers, max_size=3)},
    ),
    mapping({"version": st.just(1), "extra_triggers": st.lists(triggers, max_size=3)}, {"defaults": with_triggers({})}),
)


def places_in(node: Any) -> Iterator[Callable[[Any], None]]:
    """Give ways to change a document in one place each."""
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
        [[], {}, 0, 1.0, -1, True, "", "\n", "MOVED\n", "all\n", "50%\n", "101%", "100.1%", "create-first\n"]
    ),
)


@given(documents)
def test_what_the_schema_describes_certainly_fits(document: dict[str, Any]) -> None:
    assert certainly_fits(document)


@given(documents, mishaps, st.data())
@settings(max_examples=400)
def test_what_certainly_fits_the_schema_accepts(document: dict[str, Any], mishap: object, data: st.DataObject) -> None:
    changed = copy.deepcopy(document)
    data.draw(st.sampled_from(list(places_in(changed))))(mishap)
    if certainly_fits(changed):
        assert VALIDATOR.is_valid(changed)
    else:
        assert find_misfits(with_places(changed), "hooks.yaml", SCHEMA)


@given(anything)
def test_arbitrary_data_that_certainly_fits_the_schema_accepts(data: object) -> None:
    if certainly_fits(data):
        assert VALIDATOR.is_valid(data)


def with_places(node: Any) -> Any:
    """Copy plain data as the YAML reader would make it."""
    if isinstance(node, dict):
        mapping = YamlMap()
        for key, value in node.items():
            mapping.add(key, with_places(value), (0, 0, 0, 0))
        return mapping
    if isinstance(node, list):
        items = YamlList()
        for value in node:
            items.append(with_places(value))
            items.places.extend((0, 0))
        return items
    return node


def test_schema_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def every_schema(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            if key != "examples":
                yield from every_schema(value, f"{path}/{key}")


def test_examples_and_defaults_of_the_schema_are_valid() -> None:
    for path, schema in every_schema(SCHEMA):
        if not path.endswith("properties"):
            validator = jsonschema.Draft202012Validator(schema)
            examples = [*schema.get("examples", []), *([schema["default"]] if "default" in schema else [])]
            assert all(validator.is_valid(example) for example in examples), path


def test_every_field_has_a_title_and_a_description() -> None:
    for path, schema in every_schema(SCHEMA):
        for name, field in schema.get("properties", {}).items():
            assert {"title", "description"} <= field.keys(), f"{path}/properties/{name}"


@pytest.mark.parametrize("name", ["uniqueItems", "$ref"])
def test_schema_holds_nothing_that_is_slow(name: str) -> None:
    assert all(name not in schema for _, schema in every_schema(SCHEMA))
