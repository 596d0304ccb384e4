"""Documents of each edition stay readable forever. The files here are of the first edition, and no
change of hooksync may require a change of these files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hooksync.api.receipt import age_problem, read_saved_plan
from hooksync.core.errors import StateError
from hooksync.core.model import KEY_VARIABLE
from hooksync.core.record import convert, read_shown
from hooksync.core.schema import SchemaKind, read_schema
from hooksync.core.signing import plan_key
from hooksync.reconcile.plan import Plan
from hooksync.render.renderers import plan_json
from hooksync.state.format import read_state, reason_against, state_text
from hooksync.state.local import LocalStore
from tests.conftest import Place
from tests.documents.test_saved_plan import signature_of
from tests.schemas import assert_fits, validator

KEY = plan_key({KEY_VARIABLE: "a-key-that-signs-plans-0123456789"})
FOLDER = Path(__file__).parent
PLANS = sorted(FOLDER.glob("*.plan.json"))
STATES = sorted(FOLDER.glob("*.state.json"))
FULL = sorted((FOLDER / "every-field").iterdir())
REQUIRED = {  # required fields of plans; a new field is never required
    "document": {"format", "created_at", "id", "tenancies"},
    "tenancy": {
        "name",
        "server",
        "tenant",
        "location",
        "replacement",
        "probe",
        "declared_count",
        "steps",
    },
    "step": {"action", "declared", "live"},
}


def named(path: Path) -> str:
    return path.name


def fields_of(data: Any, place: str = "") -> Iterator[str]:
    """Yield the path of each field of a document. The items of a list have the same paths."""
    for name, value in data.items() if isinstance(data, dict) else ():
        yield f"{place}.{name}"
        yield from fields_of(value, f"{place}.{name}")
    for item in data if isinstance(data, list) else ():
        yield from fields_of(item, place)


def fields_of_schema(schema: Any, node: Any, place: str = "") -> Iterator[str]:
    """Yield the path of each field that a part of a schema describes."""
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    for name, part in node.get("properties", {}).items():
        yield f"{place}.{name}"
        yield from fields_of_schema(schema, part, f"{place}.{name}")
    yield from fields_of_schema(schema, node["items"], place) if "items" in node else ()


def signed_again(document: dict[str, Any]) -> bytes:
    """Return a plan that is signed again if it was signed."""
    if "signature" in document:
        assert KEY
        document["signature"] = signature_of(document, KEY)
    return json.dumps(document).encode()


def parts_of(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the document, its tenancies and their steps, each with its kind."""
    yield "document", document
    for tenancy in document["tenancies"]:
        yield "tenancy", tenancy
        for step in tenancy["steps"]:
            yield "step", step


@pytest.mark.parametrize("path", PLANS, ids=named)
@pytest.mark.parametrize("form", ["text", "markdown", "html", "json"])
def test_a_saved_plan_of_the_first_edition_can_still_be_shown(
    place: Place, path: Path, form: str
) -> None:
    place.environ.clear()
    run = place.run("show", str(path), "--all", "--format", form)
    assert run.code == 0, run.err
    for word in ("prod", "catalogue", "vendor.example", "gone.example"):
        assert word in run.out


@pytest.mark.parametrize("path", PLANS, ids=named)
def test_a_plan_with_unknown_fields_and_without_optional_fields_is_read(path: Path) -> None:
    key = KEY if path.name.startswith("signed") else None
    document = json.loads(path.read_bytes())
    for kind, part in parts_of(document):
        for name in part.keys() - REQUIRED[kind] - {"signature"}:
            del part[name]
        part["news"] = {"a": [1, None, 0.5]}
    saved = read_saved_plan(signed_again(document), path.name, key)
    assert [step.action for step in saved.steps] == [
        "subscribe", "subscribe", "resubscribe", "unsubscribe", "leave",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "minutes", "limit", "is_too_old"),  # the limit is in minutes, too
    [
        ("signed", 1439, None, False),
        ("signed", 1441, None, True),
        ("signed", 1441, 9999, False),
        ("signed", 120, 60, True),
        ("unsigned", 999_999, None, False),
        ("unsigned", 29, 30, False),
        ("unsigned", 31, 30, True),
        ("unsigned", -4, 60, False),  # the clocks of two machines differ
    ],
)
def test_a_plan_is_too_old_by_the_flag_or_by_its_own_expiry(
    name: str, minutes: int, limit: int | None, is_too_old: bool
) -> None:
    path = FOLDER / f"{name}.plan.json"
    saved = read_saved_plan(path.read_bytes(), path.name, KEY if name == "signed" else None)
    most = None if limit is None else timedelta(minutes=limit)
    now = datetime.fromisoformat(saved.created_at) + timedelta(minutes=minutes)
    assert (age_problem(saved, path.name, most, now.timestamp()) is not None) == is_too_old


def test_a_plan_that_is_too_old_is_refused_before_any_call(place: Place) -> None:
    path = str(FOLDER / "unsigned.plan.json")
    run = place.run("apply", path, "--max-age", "1m")
    assert (run.code, place.box.calls) == (3, ()), run.err


def test_a_new_field_is_never_required_and_never_refused() -> None:
    schema = read_schema("plan")
    assert "unevaluatedProperties" not in json.dumps(schema)
    assert set(schema["required"]) == REQUIRED["document"]
    assert set(schema["$defs"]["tenancy"]["required"]) == REQUIRED["tenancy"]
    assert set(schema["$defs"]["step"]["required"]) == REQUIRED["step"]


@pytest.mark.parametrize("path", FULL, ids=named)
def test_a_document_with_every_field_is_valid_and_no_field_of_it_is_lost(path: Path) -> None:
    document = json.loads(path.read_bytes())
    if path.stem in ("notice", "error"):
        assert_fits(document, path.stem)
    else:
        assert_fits(document, "plan")
        read = convert(document, Plan, dec_hook=read_shown)
        assert json.loads(plan_json(read)) == document


@pytest.mark.parametrize("kind", ["plan", "state", "notice", "error"])
def test_the_kept_documents_have_every_field_of_their_schema(kind: SchemaKind) -> None:
    schema = read_schema(kind)
    kept: set[str] = set()
    for path in [*FULL, *STATES]:
        document = json.loads(path.read_bytes())
        if validator(kind).is_valid(document):
            kept.update(fields_of(document))
    assert {*fields_of_schema(schema, schema)} <= kept


@pytest.mark.parametrize("path", STATES, ids=named)
def test_a_state_of_the_first_edition_can_still_be_read_and_is_written_unchanged(
    path: Path,
) -> None:
    text = path.read_text(encoding="utf-8")
    key = KEY if path.name.startswith("signed") else None
    state = read_state(text, path.name)
    assert reason_against(state, LocalStore(path.name, key), writes=True) is None
    assert state_text(state, key) == text
    assert [(len(one.entries), len(one.attempts)) for one in state.tenancies] == [(2, 2)]


@pytest.mark.parametrize("name", ["entries", "attempts", "tenancies", "salts", ""])
def test_a_state_with_an_unknown_field_is_refused_so_that_the_field_is_not_lost(name: str) -> None:
    document = json.loads(STATES[-1].read_bytes())
    part = document if name in ("", "tenancies", "salts") else document["tenancies"][0]
    part = part[name][0] if name else part
    part["news"] = 1
    with pytest.raises(StateError, match="a newer hooksync wrote it, upgrade"):
        read_state(json.dumps(document), "hooks.state.json")
