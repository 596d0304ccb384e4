"""Saved plans that an attacker has written or changed, mostly without the key that signs plans."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hooksync.core.signing import PlanKey
from tests.conftest import HOOKS, SECRET, Place, owning
from tests.documents.test_saved_plan import KEY, alter, refused_without_a_call, save, signature_of


@pytest.fixture
def signed(place: Place) -> Place:
    """Return a place with a signed plan and its key."""
    place.environ["HOOKSYNC_PLAN_KEY"] = KEY
    save(place)
    return place


@pytest.mark.parametrize("signs", [True, False])
def test_the_state_that_a_plan_names_is_never_opened(
    place: Place, tmp_path: Path, signs: bool
) -> None:
    if signs:
        place.environ["HOOKSYNC_PLAN_KEY"] = KEY
    elsewhere = tmp_path / "elsewhere.state.json"
    save(place, "--state", str(elsewhere))
    assert place.run("apply", "plan.json").code == 0
    assert not elsewhere.exists()
    assert (place.folder / "hooks.state.json").exists()


def test_files_that_a_plan_names_as_places_are_never_opened(place: Place) -> None:
    os.mkfifo(place.folder / "pipe")  # a program that opens the pipe waits for ever
    alter(
        save(place),
        lambda it: [
            step["declared"].update(location={"file": "pipe", "line": 1, "column": 1})
            for step in it["tenancies"][0]["steps"]
        ],
    )
    assert place.run("apply", "plan.json").code == 0


PLAN_KEY = PlanKey(KEY.encode())
FORGED: dict[str, Callable[[str, dict[str, Any]], Any]] = {
    "empty": lambda right, plan: "",
    "of no algorithm": lambda right, plan: f"none:{'0' * 64}",
    "of another algorithm": lambda right, plan: f"hmac-md5:{'0' * 32}",
    "without its last digit": lambda right, plan: right[:-1],
    "in capitals": lambda right, plan: right[:12] + right[12:].upper(),
    "a list of it": lambda right, plan: [right],
    "over another text": lambda right, plan: signature_of({**plan, "commit": "0" * 40}, PLAN_KEY),
    "as a state's": lambda right, plan: PLAN_KEY.sign(
        b"hooksync.state/1 signature\n", json.dumps(plan, sort_keys=True).encode()
    ),
    "under an empty key": lambda right, plan: signature_of(plan, PlanKey(b"")),
    "with white space": lambda right, plan: f"{right}\n",
    "no signature": lambda right, plan: None,
}


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_signature_is_refused_before_any_call(signed: Place, how: str) -> None:
    def forge(document: dict[str, Any]) -> None:
        document["signature"] = FORGED[how](document.pop("signature"), document)
        if how == "no signature":
            del document["signature"]

    alter(signed.folder / "plan.json", forge)
    assert "sign" in refused_without_a_call(signed).err


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("origin", lambda step: step.update(origin="made")),
        ("live url", lambda step: step["live"].update(url="https://ours.example/test")),
    ],
)
def test_an_unsigned_plan_with_an_altered_removal_is_refused(
    place: Place, field: str, change: Callable[[dict[str, Any]], None]
) -> None:
    place.write(owning(HOOKS))
    vendor = place.box.seed("DEMO", "https://vendor.example/x", "MOVED", SECRET)

    def forge(document: dict[str, Any]) -> None:
        [step] = [it for it in document["tenancies"][0]["steps"] if it["action"] == "unsubscribe"]
        change(step)

    alter(save(place), forge)
    run = place.run("apply", "plan.json")
    assert (run.code, place.changing_calls) == (3, [])
    assert f"unsubscribe {vendor}: {field} was " in run.err
