"""Tests of the text of a state: it loses nothing, and Git can show its changes.

A text with any fault is refused with a fix.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.errors import StateError
from hooksync.core.model import Secret
from hooksync.core.schema import read_schema
from hooksync.state.fingerprints import derive_key
from hooksync.state.format import read_state, state_text
from hooksync.state.model import State
from tests.state_makers import SALT, attempt, elsewhere, entry, state, states

PATH = "hooks.state.json"
WHOLE = state(
    entry(),
    entry(identifier="2" * 32),
    elsewhere("test", "1" * 32),
    attempt(),
    serial=3,
)
ENTRIES = ("tenancies", 0, "entries")
ATTEMPTS = ("tenancies", 0, "attempts")
SCHEMA = jsonschema.Draft202012Validator(read_schema("state"))


def problem_of(text: str) -> str:
    """Assert that a text is refused as a state, and return the whole message."""
    with pytest.raises(StateError) as caught:
        read_state(text, PATH)
    assert len(caught.value.problems) == 1
    said = str(caught.value)
    assert said.startswith(PATH)
    assert "\n  fix: " in said
    return said


def changed(change: Callable[[Any], object], one: State = WHOLE) -> str:
    """Return the text of a state after a change to its document."""
    document = json.loads(state_text(one))
    change(document)
    return json.dumps(document)


# --- round trip


@given(states())
def test_a_state_can_be_read_back_from_its_text(one: State) -> None:
    text = state_text(one)
    assert read_state(text, PATH) == one
    assert state_text(read_state(text, PATH)) == text


@given(states())
def test_a_written_state_fits_the_schema(one: State) -> None:
    SCHEMA.validate(json.loads(state_text(one)))


@given(states(), st.randoms(use_true_random=False))
def test_the_order_and_the_layout_of_the_text_do_not_matter(one: State, random: Any) -> None:
    document = json.loads(state_text(one))
    for part in (document["salts"], document["tenancies"]):
        random.shuffle(part)
    for tenancy in document["tenancies"]:
        random.shuffle(tenancy["entries"])
        random.shuffle(tenancy["attempts"])
    shuffled = dict(random.sample(list(document.items()), len(document)))
    for text in (json.dumps(shuffled), json.dumps(shuffled, indent=4).replace("\n", "\r\n")):
        assert read_state(text, PATH) == one


def test_each_field_has_a_line_of_its_own_and_keys_are_sorted() -> None:
    text = state_text(WHOLE)
    assert text.isascii()
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True) + "\n"


def test_no_secret_and_no_url_is_in_the_text() -> None:
    secret = Secret("a-shared-secret-nobody-may-see")
    key = derive_key((secret, SALT))
    text = state_text(state(entry(key=key), attempt()))
    for hidden in (
        secret.reveal(),
        secret.reveal().encode().hex(),
        key.value.hex(),
        "example.org",
    ):
        assert hidden not in text


# --- text that is not a state


@given(st.integers(0, len(state_text(WHOLE)) - 3))
def test_a_truncated_state_is_refused(length: int) -> None:
    problem_of(state_text(WHOLE)[:length])


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_arbitrary_text_and_json_are_refused(text: str) -> None:
    problem_of(text)


NOT_VALID = "a field is not valid in hooksync.state/1, or not known"
UNKNOWN = 'its format is "hooksync.state/0", and this hooksync reads hooksync.state/1'
WAY_OUT = (
    "if a newer hooksync wrote it, upgrade; otherwise restore an earlier one, from its history or a"
    " backup; or delete it: then apply with `--adopt` if the receivers work, otherwise with"
    " `--replace`; a moved URL is not recognised"
)


def put(*path: Any) -> Callable[[Any], None]:
    """Return a change that puts the last argument at the path of the other arguments."""
    *steps, name, value = path

    def change(document: Any) -> None:
        for step in steps:
            document = document[step]
        document[name] = value

    return change


def drop(*path: Any) -> Callable[[Any], None]:
    *steps, name = path

    def change(document: Any) -> None:
        for step in steps:
            document = document[step]
        del document[name]

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("format", "hooksync.state/0"), UNKNOWN),
        (put("format", "hooksync.lock/1"), UNKNOWN.replace("state/0", "lock/1")),
        (put("format", ["hooksync.state/1"]), "its format is"),
        (drop("format"), UNKNOWN.replace('"hooksync.state/0"', "null")),
        (put("format", "hooksync.state/2"), UNKNOWN.replace("state/0", "state/2")),
        *((put(*path, "added_later", {}), NOT_VALID) for path in ((), ("tenancies", 0), (*ENTRIES, 0), (*ATTEMPTS, 0), ("salts", 0))),
        (drop("tenancies"), NOT_VALID),
        (put(*ENTRIES, {}), NOT_VALID),
        (put(*ENTRIES, 0, "run_number", True), NOT_VALID),
        (put("serial", 2**53), NOT_VALID),
        (put(*ATTEMPTS, 0, "identity", "٣" * 64), NOT_VALID),
        (put(*ENTRIES, 0, "salt", "env:NOBODY"), 'the salt of "prod/catalogue/MOVED" is missing: "env:NOBODY"'),
        (lambda document: document["salts"].append(document["salts"][0]), 'two records for "salt env:HOOK_SECRET#73737373"'),
        (lambda document: document["tenancies"][0]["entries"].append(document["tenancies"][0]["entries"][0]), 'two records for "entry 1111'),
        (lambda document: document["tenancies"].append(document["tenancies"][0]), 'two records for "tenancy eu.preservica.com / brama"'),
        (lambda document: document["tenancies"][0]["attempts"].append(document["tenancies"][0]["attempts"][0]), 'two records for "attempt'),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_with_a_fix(change: Callable[[Any], object], said: str) -> None:
    problem = problem_of(changed(change))
    assert problem.startswith(f"{PATH}: {said}")
    assert problem.endswith(f"\n  fix: {WAY_OUT}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "hooks.state.json: not JSON at line 1, column 1"),
        ("[]", "hooks.state.json: its format is null, and this hooksync reads hooksync.state/1"),
        ("null", "hooks.state.json: its format is null, and this hooksync reads hooksync.state/1"),
        (
            "version: 1\ntenancies: {}\n",
            "hooks.state.json: not JSON at line 1, column 1",
        ),
        ('{"format": "hooksync.state/1"\n,1}', "hooks.state.json: not JSON at line 2, column 2"),
        (
            '{"format": "hooksync.state/1"} x',
            "hooks.state.json: not JSON at line 1, column 32",
        ),
        ("[" * 200_000, "hooks.state.json: nested too deeply"),
        (
            '{"serial": ' + "9" * 5000 + "}",
            "hooks.state.json: contains a number that is too long to read",
        ),
        (
            '{"format": "hooksync.state/1", "format": "x"}',
            "hooks.state.json: contains a duplicate key in one object",
        ),
    ],
)
def test_text_that_is_not_a_state_is_refused_with_a_reason_and_a_fix(text: str, said: str) -> None:
    problem = problem_of(text)
    assert problem.startswith(said)
    assert problem.endswith(f"\n  fix: {WAY_OUT}")


def test_a_message_shows_foreign_text_only_cut_and_escaped() -> None:
    problem = problem_of(changed(put(*ENTRIES, 0, "salt", "\x1b[2J\n" + "x" * 500)))
    assert "\x1b" not in problem
    assert len(problem) < 500
    for form in ("hooksync.state/2\x1b[2J", "hooksync.\x1b/1", "x" * 10_000):
        problem = problem_of(changed(put("format", form)))
        assert "\x1b" not in problem
        assert len(problem) < 500
