"""Saved plans that an attacker has written or changed, mostly without the key that signs plans."""

from __future__ import annotations

import json
import os
import re
from itertools import product
from pathlib import Path

import pytest

from hooksync.core.signing import PlanKey
from hooksync.output.plan_json import signature_of
from tests.conftest import Place
from tests.documents.test_saved_plan import KEY, alter, refused_without_a_call, save
from tests.lanes import covering

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


@pytest.mark.parametrize(
    "selection",
    [
        {"tenancy": ["*"]},
        {"replace": ["*"]},
        {"target": ["*/MOVED"]},
        {"shard": "2/2"},  # a field of an older version
    ],
)
def test_an_altered_selection_changes_nothing_beyond_the_steps_of_the_plan(
    place: Place, selection: dict[str, object]
) -> None:
    alter(save(place), lambda it: it["selection"].update(selection))
    before = len(place.box.subscriptions("DEMO"))
    run = place.run("apply", "plan.json")
    assert run.code in (0, 3), run.err
    made = len(place.box.subscriptions("DEMO")) - before
    assert made == (2 if run.code == 0 else 0)


def test_files_that_a_plan_names_as_places_are_never_opened(place: Place) -> None:
    os.mkfifo(place.folder / "pipe")  # a program that opens the pipe waits for ever
    alter(
        save(place),
        lambda it: [step.update(place="pipe:1:1") for step in it["tenancies"][0]["steps"]],
    )
    assert place.run("apply", "plan.json").code == 0


COMMANDS = (
    "::set-output name=a::b",
    "x::error::y",
    "a%0A::stop-commands::b",
    "##vso[task.setvariable variable=a]b",
    "a,line=1::b",
)


@pytest.mark.parametrize("verb", ["show", "apply"])
@pytest.mark.parametrize(
    ("name", "runner"), covering(product(COMMANDS, ("GITHUB_ACTIONS", "TF_BUILD", "CI")))
)
def test_no_text_of_a_saved_plan_becomes_a_command_to_a_ci_runner(
    place: Place, name: str, runner: str, verb: str
) -> None:
    wrong = {"address": f"{name}\n{name}", "name": f"{name}\n{name}", "url": f"\n{name}"}
    alter(save(place), lambda it: it["tenancies"][0]["steps"][0].update(wrong))
    place.environ[runner] = "true"
    run = place.run(verb, "plan.json")
    assert run.code == (3 if verb == "apply" else 0), run.err
    for line in (run.out + run.err).splitlines():
        assert "##vso[" not in line
        assert not line.lstrip().startswith("::")


@pytest.mark.parametrize(
    ("field", "signs"),
    covering(product(("url", "server", "id", "state", "selection"), (True, False))),
)
def test_a_saved_plan_with_a_duplicate_key_is_refused_with_or_without_a_signature(
    place: Place, field: str, signs: bool
) -> None:
    if signs:
        place.environ["HOOKSYNC_PLAN_KEY"] = KEY
    path = save(place)
    text, number = re.subn(
        f'"{field}":',
        f'"{field}": "as the reviewer sees it", "{field}":',
        path.read_text(),
        count=1,
    )
    assert number == 1
    path.write_text(text)
    before = len(place.box.calls)
    run = place.run("apply", "plan.json")
    assert (run.code, len(place.box.calls)) == (1, before)
    assert run.err.startswith(f'error: plan.json: "{field}" is a duplicate key in one object\n')


FORGED = {
    "no signature": None,
    "empty": "",
    "of no algorithm": "none:" + "0" * 64,
    "of another algorithm": "hmac-md5:" + "0" * 32,
    "a plain digest": "{digest}",
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
            "digest": document["digest"],
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


@pytest.mark.parametrize(
    "form", ["hooksync.plan/0", "hooksync.plan/2", "hooksync.state/1", "hooksync.report/1"]
)
def test_a_plan_of_a_different_format_is_refused_even_if_its_signature_is_valid(
    signed: Place, form: str
) -> None:
    def change(document: dict[str, object]) -> None:
        document["format"] = form
        document["signature"] = signature_of(document, PlanKey(KEY.encode()))

    alter(signed.folder / "plan.json", change)
    before = len(signed.box.calls)
    assert signed.run("apply", "plan.json").code == 1
    assert len(signed.box.calls) == before
