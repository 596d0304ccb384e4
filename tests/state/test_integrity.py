"""Tests of the signature of a state: it reveals every change, and only the key can renew it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given

from hooksync.core.errors import StateError
from hooksync.core.output import Output
from hooksync.core.record import replace
from hooksync.core.signing import PlanKey
from hooksync.state.format import read_state, reason_against, state_text
from hooksync.state.local import LocalStore
from hooksync.state.model import State
from hooksync.state.store import open_store, update
from tests.memory_terminal import make_context
from tests.state_makers import SALT, adding, elsewhere, entry, load, state, states

KEY, OTHER_KEY = (
    PlanKey(b"a-key-that-signs-states-01234567"),
    PlanKey(b"another-key-that-signs-012345678"),
)
WHOLE = replace(state(entry(), elsewhere("test")), serial=7)
WHERE = "hooks.state.json"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / WHERE), KEY)


def write(store: LocalStore, one: State, key: PlanKey | None = KEY) -> None:
    Path(store.where).write_text(state_text(one, key), encoding="utf-8")


def said(text: str) -> list[str]:
    problem = reason_against(read_state(text, WHERE), LocalStore(WHERE, KEY))
    return [problem.what] if problem else []


# --- the signature


@given(states())
def test_a_signed_state_is_read_and_verified(one: State) -> None:
    text = state_text(one, KEY)
    assert replace(read_state(text, WHERE), signature=None) == one
    assert said(text) == []


def test_a_signature_stays_valid_whatever_the_layout_of_the_text() -> None:
    document = json.loads(state_text(WHOLE, KEY))
    text = json.dumps(dict(reversed(document.items())), indent=7).replace("\n", "\r\n")
    assert said(text) == []


@pytest.mark.parametrize("field", ["serial", "url_salt", "salts", "tenancies", "signature"])
def test_a_change_of_any_field_is_found(field: str) -> None:
    other = replace(
        state(entry(), salts=(SALT, replace(SALT, id="env:X#0"))),
        serial=9,
        url_salt="78" * 16,
    )
    document = {
        **json.loads(state_text(WHOLE, KEY)),
        field: json.loads(state_text(other, KEY))[field],
    }
    [what] = said(json.dumps(document))
    assert what.startswith(f"the signature of the state {WHERE} does not fit HOOKSYNC_PLAN_KEY: ")


def test_a_missing_or_wrong_signature_is_an_error_with_the_command_that_signs(
    store: LocalStore,
) -> None:
    for key, what in (
        (OTHER_KEY, "does not fit HOOKSYNC_PLAN_KEY"),
        (None, "is not signed, and HOOKSYNC_PLAN_KEY"),
    ):
        write(store, WHOLE, key)
        for use in (load, lambda store: update(store, adding(elsewhere("other")))):
            with pytest.raises(StateError, match=what) as caught:
                use(store)
            assert "`hooksync state push FILE --state " in str(caught.value)


def test_without_the_key_a_signed_state_is_read_and_never_written(store: LocalStore) -> None:
    write(store, WHOLE)
    store = LocalStore(store.where)
    assert load(store)
    before = Path(store.where).read_bytes()
    with pytest.raises(StateError, match="is signed, and HOOKSYNC_PLAN_KEY is not set"):
        update(store, adding(elsewhere("other")))
    assert Path(store.where).read_bytes() == before


@pytest.mark.parametrize(
    "where", ["hooks.state.json", "git:hooksync-state", "s3://museum-hooks/hooks.state.json"]
)
def test_every_store_verifies_its_state_with_the_key(where: str) -> None:
    environ = {"HOOKSYNC_PLAN_KEY": KEY.value.decode(), "HOME": "/h"}
    output = Output()
    store = open_store(where, "hooks.yaml", make_context(environ, output=output))
    assert (store.key, store.output) == (KEY, output)
