"""The JSON that `plan` and `apply` print is valid by its schemas, whatever their result."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hooksync.render.json_text import canonical, to_text
from hooksync.sandbox.tenancies import SandboxOptions
from tests.boxes import Sandbox
from tests.command_line import LOG_IN, Run, hooksync
from tests.schemas import assert_fits

SECRET = "a-shared-secret-nobody-may-see"
URL_KEY = "url-key-nobody-may-see"
HIDDEN = (SECRET, URL_KEY, LOG_IN["PRESERVICA_PASSWORD"])

FILE = """\
version: 1
defaults: {secret: {env: HOOK_SECRET}}
tenancies:
  archive:
    server: ${SANDBOX}
    tenant: DEMO
    owns: ["https://fn.example.net"]
    limits: {unsubscribe: 100%}
    probe: never
    subscriptions:
      new: {url: "https://fn.example.net/new?code=${FN_KEY}", trigger: INDEXED}
      other: {url: "https://fn.example.net/other", trigger: MOVED, include_identifiers: false}
      same: {url: "https://fn.example.net/same?code=${FN_KEY}", trigger: MOVED}
"""

Command = Callable[..., tuple[Run, dict[str, Any]]]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(SandboxOptions(traits=frozenset({"no-challenge"}))) as box:
        yield box


@pytest.fixture
def command(box: Sandbox, tmp_path: Path) -> Command:
    """Return a function that runs a command on FILE, with JSON as its result."""
    (tmp_path / "hooks.yaml").write_text(FILE)
    environ = {**LOG_IN, "SANDBOX": box.url, "HOOK_SECRET": SECRET, "FN_KEY": URL_KEY}

    def command(*arguments: str, **changed: str) -> tuple[Run, dict[str, Any]]:
        done = hooksync([*arguments, "--format", "json"], {**environ, **changed}, tmp_path)
        return done, json.loads(done.out)

    return command


def assert_fit_to_be_kept(done: Run, kind: str) -> None:
    """Assert that a result is valid, sealed, in a fixed order, and free of secrets."""
    document = json.loads(done.out)
    assert_fits(document, kind)
    assert done.out == json.dumps(document, sort_keys=True, indent=2) + "\n"
    assert not [hidden for hidden in HIDDEN if hidden in done.out + done.err]


@pytest.mark.parametrize("verb", [("plan",), ("apply",), ("apply", "--yes")])
@pytest.mark.parametrize(
    ("environ", "is_refused", "codes", "said"),
    [
        ({"PRESERVICA_PASSWORD": "wrong-password"}, False, (1, 1, 1), "401"),
        ({}, True, (3, 3, 3), "limits.unsubscribe"),
        ({"HOOK_SECRET": ""}, False, (0, 1, 1), "env:HOOK_SECRET"),
        ({}, False, (0, 3, 0), ""),
    ],
    ids=["unreadable", "refused", "no secret", "fine"],
)
def test_every_result_of_plan_and_apply_is_valid_and_contains_its_reason(
    box: Sandbox,
    command: Command,
    tmp_path: Path,
    verb: tuple[str, ...],
    environ: dict[str, str],
    is_refused: bool,
    codes: tuple[int, ...],
    said: str,
) -> None:
    if is_refused:
        refuse(box, tmp_path)
    done, document = command(*verb, **environ)
    assert done.code == document["exit_code"] == codes[len(verb) + (verb[0] == "apply") - 1]
    assert_fit_to_be_kept(done, "plan")
    assert said in done.out


def refuse(box: Sandbox, folder: Path) -> None:
    """Write a hooks file and seed subscriptions of which a plan removes more than its limit."""
    (folder / "hooks.yaml").write_text(FILE.replace("100%", "1"))
    for path in ("a", "b", "c"):
        box.seed("DEMO", f"https://fn.example.net/{path}", "MOVED", SECRET)


PLAIN = st.none() | st.booleans() | st.integers() | st.text()
FIELDS = st.dictionaries(
    st.text(),
    st.recursive(PLAIN, lambda some: st.lists(some) | st.dictionaries(st.text(), some)),
    max_size=4,
)


@given(FIELDS)
@example({"url": 'https://h/"x"\\ é \x7f \ud800 \n', "number": 10**40})
@example({"b": 1, "a": "/<>&'"})
def test_canonical_json_equals_the_sorted_json_of_python_for_any_content(
    fields: dict[str, object],
) -> None:
    canonical_text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    assert canonical(fields).decode() == canonical_text
    assert json.loads(to_text(fields)) == fields
