"""A saved plan that somebody else has written or changed, without the key that plans are signed with."""

from __future__ import annotations

import json
import os
import re
from itertools import product
from pathlib import Path

import pytest

from hooksync.core.signing import PlanKey
from hooksync.output.json_text import digest
from hooksync.output.plan_json import signature_of
from tests.conftest import Place
from tests.documents.test_saved_plan import KEY, alter, refused_without_a_call, save
from tests.lanes import covering

SIGNATURE = "hmac-sha256:" + "0" * 64


@pytest.fixture
def signed(place: Place) -> Place:
    """A place with a plan that is signed, and the key."""
    place.environ["HOOKSYNC_PLAN_KEY"] = KEY
    save(place)
    return place


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize(
    "where",
    [
        "../hooks.state.json",
        "{outside}/hooks.state.json",
        "deep/../../hooks.state.json",
        "link/hooks.state.json",
        "hooks.yaml",
        "notes.json",
        ".git/config",
        "git:hooks.state.json",
        "s3://bucket/hooks.state.json",
        "az://container/hooks.state.json",
    ],
)
def test_a_plan_that_is_not_signed_creates_a_state_nowhere_else(place: Place, tmp_path: Path, where: str) -> None:
    outside = tmp_path / "outside"
    for folder in (outside, tmp_path / "work" / "deep"):
        folder.mkdir(parents=True)
    (tmp_path / "work" / "link").symlink_to(outside)
    place.folder = tmp_path / "work"
    place.write((tmp_path / "hooks.yaml").read_text())
    alter(save(place), lambda it: it.update(state=where.format(outside=outside)))
    before = files(tmp_path)
    said = refused_without_a_call(place).err
    assert "the plan is not signed, and its state is not a *.state.json file in this folder or below: " in said
    assert f"give --state {where.format(outside=outside)};" in said
    assert files(tmp_path) == before


def test_the_state_of_a_plan_that_is_not_signed_may_be_named_by_who_applies_it(place: Place) -> None:
    elsewhere = str(place.folder.parent / f"{place.folder.name}.state")
    alter(save(place), lambda it: it.update(state=elsewhere))
    assert place.run("apply", "plan.json", "--state", elsewhere).code == 0
    assert os.path.exists(elsewhere)


@pytest.mark.parametrize("where", ["deep/prod.state.json", "{folder}/hooks.state.json", "hooks.state.json"])
def test_a_plan_that_is_not_signed_keeps_its_state_in_this_folder_or_below(place: Place, where: str) -> None:
    (place.folder / "deep").mkdir()
    where = where.format(folder=place.folder)
    alter(save(place), lambda it: it.update(state=where))
    assert place.run("apply", "plan.json").code == 0
    assert (place.folder / where).exists()


def test_a_signed_plan_says_itself_where_its_state_is(place: Place) -> None:
    elsewhere = str(place.folder.parent / f"{place.folder.name}.state")
    place.environ["HOOKSYNC_PLAN_KEY"] = KEY
    save(place, "--state", elsewhere)
    assert place.run("apply", "plan.json").code == 0
    assert os.path.exists(elsewhere)


def test_files_that_a_plan_names_as_places_are_never_opened(place: Place) -> None:
    os.mkfifo(place.folder / "pipe")  # whoever opens it waits for ever
    alter(save(place), lambda it: [step.update(place="pipe:1:1") for step in it["tenancies"][0]["steps"]])
    assert place.run("apply", "plan.json").code == 0


COMMANDS = (
    "::set-output name=a::b",
    "x::error::y",
    "a%0A::stop-commands::b",
    "##vso[task.setvariable variable=a]b",
    "a,line=1::b",
)


@pytest.mark.parametrize(("name", "runner"), covering(product(COMMANDS, ("GITHUB_ACTIONS", "TF_BUILD", "CI"))))
def test_places_of_a_plan_are_no_commands_of_a_runner(place: Place, name: str, runner: str) -> None:
    wrong = {"place": f"{name}:1:1", "url": "https://fn.example.net/${NOT_SET}"}
    alter(save(place), lambda it: it["tenancies"][0]["steps"][0].update(wrong))
    place.environ[runner] = "true"
    run = place.run("apply", "plan.json")
    assert (run.code, "NOT_SET" in run.err) == (1, True), run.err
    assert ("\n::error file=" in f"\n{run.err}") == (runner == "GITHUB_ACTIONS"), run.err
    for line in (run.out + run.err).splitlines():
        assert "##vso[" not in line
        if line.lstrip().startswith("::"):
            assert line.startswith("::error file="), line
            assert line.count("::") == 2, line


@pytest.mark.parametrize(
    ("field", "signs"),
    covering(product(("url", "server_declared", "id", "state", "allow_mass_unsubscribe"), (True, False))),
)
def test_a_key_that_is_there_twice_is_refused_whichever_the_seal_covers(place: Place, field: str, signs: bool) -> None:
    if signs:
        place.environ["HOOKSYNC_PLAN_KEY"] = KEY
    path = save(place)
    text, number = re.subn(
        f'"{field}":', f'"{field}": "as the reviewer sees it", "{field}":', path.read_text(), count=1
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
        made = [wanted[0].format(**values)] if isinstance(wanted, list) else wanted and wanted.format(**values)
        document.pop("signature")
        if made is not None:
            document["signature"] = made

    alter(signed.folder / "plan.json", forge)
    assert "sign" in refused_without_a_call(signed).err


def test_the_signature_of_one_plan_fits_no_other(signed: Place) -> None:
    first = json.loads((signed.folder / "plan.json").read_text())["signature"]
    save(signed)
    alter(signed.folder / "plan.json", lambda it: it.update(signature=first))
    assert "the signature of plan.json does not fit" in refused_without_a_call(signed).err


@pytest.mark.parametrize("form", ["hooksync.plan/0", "hooksync.plan/2", "hooksync.state/1", "hooksync.report/1"])
def test_a_plan_of_another_format_is_refused_even_where_its_signature_fits(signed: Place, form: str) -> None:
    def change(document: dict[str, object]) -> None:
        document["format"] = form
        document["signature"] = signature_of(document, PlanKey(KEY.encode()))

    alter(signed.folder / "plan.json", change)
    before = len(signed.box.calls)
    assert signed.run("apply", "plan.json").code == 1
    assert len(signed.box.calls) == before


def test_what_an_altered_plan_is_sealed_with_does_not_count_as_a_signature(signed: Place) -> None:
    def change(document: dict[str, object]) -> None:
        document["state"] = "other.state.json"
        document["digest"] = digest({name: value for name, value in document.items() if name != "digest"})

    alter(signed.folder / "plan.json", change)
    assert "the signature of plan.json does not fit" in refused_without_a_call(signed).err
