"""Saved plans that an attacker has written or changed, mostly without the key that signs plans."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hooksync.core.signing import PlanKey
from tests.conftest import Place
from tests.documents.test_saved_plan import KEY, alter, refused_without_a_call, save, signature_of

SIGNATURE = "hmac-sha256:" + "0" * 64


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


FORGED = {
    "no signature": None,
    "empty": "",
    "of no algorithm": "none:" + "0" * 64,
    "of another algorithm": "hmac-md5:" + "0" * 32,
    "cut": "{signature:.20}",
    "without its last digit": "{short}",
    "in capitals": "{capitals}",
    "a list of it": ["{signature}"],
    "zeros": SIGNATURE,
    "over another text": "{other}",
    "as a state's": "{state}",
    "under an empty key": "{empty}",
    "with white space": "{signature}\n",
}


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_signature_is_refused_before_any_call(signed: Place, how: str) -> None:
    key = PlanKey(KEY.encode())

    def forge(document: dict[str, object]) -> None:
        right = str(document["signature"])
        parts = [json.dumps(document, sort_keys=True).encode()]
        values = {
            "signature": right,
            "short": right[:-1],
            "capitals": right[:12] + right[12:].upper(),
            "other": signature_of({**document, "commit": "0" * 40}, key),
            "state": key.sign(b"hooksync.state/1 signature\n", parts),
            "empty": signature_of(document, PlanKey(b"")),
        }
        wanted = FORGED[how]
        made = (
            [wanted[0].format(**values)]
            if isinstance(wanted, list)
            else wanted and wanted.format(**values)
        )
        document.pop("signature")
        if made is not None:
            document["signature"] = made

    alter(signed.folder / "plan.json", forge)
    assert "sign" in refused_without_a_call(signed).err
