"""Signed states as a user sees them: without the key, and after somebody changed them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Place

KEY = "a-key-that-signs-plans-and-states"


@pytest.fixture
def made(place: Place) -> Place:
    """A place with live subscriptions and a signed state."""
    place.environ |= {"HOOKSYNC_PLAN_KEY": KEY}
    assert place.run("apply", "--yes").code == 0
    return place


def state(place: Place) -> Path:
    return place.folder / "hooks.state.json"


def change(place: Place, **fields: Any) -> None:
    document = json.loads(state(place).read_text())
    kept = {name: value for name, value in (document | fields).items() if value is not None}
    state(place).write_text(json.dumps(kept))


def refused(place: Place, *commands: tuple[str, ...]) -> str:
    """Assert that all commands end with the same error before any call, and return the error."""
    before, runs = len(place.box.calls), [place.run(*command) for command in commands]
    assert [run.code for run in runs] == [1] * len(runs)
    assert len(place.box.calls) == before
    [said] = {run.err for run in runs}
    return said


def test_a_saved_plan_is_stale_without_the_state_that_its_steps_come_from(made: Place) -> None:
    made.environ["CATALOGUE_SECRET"] = "n3w-secret-of-the-catalogue-0123456"
    made.receiver.set_secret("catalogue", made.environ["CATALOGUE_SECRET"])
    plan = made.run("plan", "--out", "plan.json")
    assert "2 to resubscribe" in plan.out, plan.err
    kept = state(made).read_text()
    state(made).unlink()
    run = made.run("apply", "plan.json")
    assert run.code == 3
    assert "it would no longer resubscribe prod/catalogue/INDEXED, " in run.err
    state(made).write_text(kept)
    assert made.run("apply", "plan.json").code == 0


def test_a_plan_without_a_state_needs_no_signature(made: Place) -> None:
    change(made, serial=7)
    assert made.run("plan", "--no-state").code == 0


# --- hooksync state


@pytest.mark.slow
def test_show_and_pull_report_a_wrong_signature_and_a_push_repairs_it(made: Place) -> None:
    for wrong in ("does not fit HOOKSYNC_PLAN_KEY", "is not signed, and HOOKSYNC_PLAN_KEY is set"):
        if "fit" in wrong:
            change(made, serial=9)
        elif "signed" in wrong:
            change(made, signature=None)
        shown, pulled = made.run("state", "show"), made.run("state", "pull")
        assert (shown.code, pulled.code) == (0, 0)
        assert wrong in shown.err
        assert f"signed    {'no' if 'signed' in wrong else 'yes'}\n" in shown.out
        assert pulled.err == ""
        said = refused(
            made, ("plan",), ("state", "move", "prod/catalogue/MOVED", "prod/other/MOVED")
        )
        assert wrong in said
        (made.folder / "kept.json").write_text(pulled.out)
        assert made.run("state", "push", "kept.json").code == 0
        assert made.run("plan").code == 0


def test_without_the_key_a_signed_state_can_be_pulled_but_replaced_only_with_force(
    made: Place,
) -> None:
    pulled = made.run("state", "pull")
    del made.environ["HOOKSYNC_PLAN_KEY"]
    assert made.run("state", "pull") == made.run("state", "pull") == pulled
    document = json.loads(pulled.out)
    (made.folder / "kept.json").write_text(json.dumps({**document, "tenancies": []}))
    commands = [
        ("push", "kept.json"),
        ("forget", "prod/*", "--yes"),
        ("move", "prod/catalogue/MOVED", "prod/b/MOVED"),
    ]
    assert "is signed, and HOOKSYNC_PLAN_KEY is not set" in refused(
        made, *(("state", *command) for command in commands)
    )
    assert state(made).read_text() == pulled.out
    assert made.run("state", "push", "--force", "kept.json").code == 0
    assert "signature" not in json.loads(state(made).read_text())
