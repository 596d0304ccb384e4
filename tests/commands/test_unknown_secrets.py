"""Subscriptions with unknown secrets, because hooksync did not make them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import SECRET, Place

NEW_SECRET = "n3w-secret-of-the-catalogue-0123456"
NAMES = ("search", "viewer", "website")  # hooksync did not make the first two
TRIGGERS = {"search": "FULL_TEXT_INDEXED", "viewer": "MOVED", "website": "INGEST_FAILED"}
WARN = "    unknown_secret: warn\n"
SAID = "secret unknown: prod/search/INDEXED, prod/viewer/MOVED"


def hooks(*names: str, settings: str = "") -> str:
    head = (
        "version: 1\ndefaults: {secret: {env: CATALOGUE_SECRET}}\ntenancies:\n  prod:\n    server:"
        f" ${{BOX}}\n    tenant: DEMO\n{settings}    subscriptions:\n"
    )
    lines = []
    for name in names:
        trigger = TRIGGERS[name]
        lines.append(f"      {name}: {{url: '${{RECEIVER}}?for={name}', trigger: {trigger}}}\n")
    return head + "".join(lines)


@pytest.fixture
def mixed(place: Place) -> Place:
    """A place with two subscriptions that hooksync did not make and one that it made."""
    place.write(hooks("website"))
    assert place.run("apply", "--yes").code == 0
    for name in NAMES[:2]:
        place.box.seed("DEMO", f"{place.environ['RECEIVER']}?for={name}", TRIGGERS[name], SECRET)
    place.write(hooks(*NAMES))
    return place


def steps(place: Place) -> dict[str, Any]:
    plan = place.run("plan", "--format", "json")
    return {step["name"]: step for step in plan.json["tenancies"][0]["steps"]}


def secret_states(place: Place) -> dict[str, str]:
    return {name: step["secret"] for name, step in steps(place).items()}


def test_unknown_secrets_are_refused_by_default_and_nothing_is_changed(mixed: Place) -> None:
    before = mixed.box.subscriptions("DEMO")
    plan = mixed.run("plan", "--detailed-exitcode", "--out", "plan.json")
    assert (plan.code, (mixed.folder / "plan.json").exists()) == (3, False)
    assert plan.out == ("No changes to make; not compared: 2 secrets; 1 unchanged.\n")
    assert f"apply would refuse: hooks.yaml:4:3: prod: {SAID}\n" in plan.err
    run = mixed.run("apply", "--yes", "--format", "json")
    assert (run.code, run.json["exit_code"], run.json["tenancies"][0]["outcome"]) == (
        3,
        3,
        "refused",
    )
    assert f"prod: {SAID}" in run.err
    assert mixed.box.subscriptions("DEMO") == before


def test_unknown_secrets_are_reported_and_counted_if_the_file_sets_warn(mixed: Place) -> None:
    mixed.write(hooks(*NAMES, settings=WARN))
    plan = mixed.run("plan", "--detailed-exitcode")
    assert (plan.code, f"warning: {SAID}\n" in plan.err) == (2, True)
    document = mixed.run("plan", "--format", "json").json
    assert document["summary"]["secret_unknown"] == 2
    comment = mixed.run("plan", "--format", "markdown").out
    assert "not compared: 2 secrets; 1 unchanged." in comment
    assert SAID.replace(":", "&#58;") in comment
    [made] = [one for one in mixed.box.subscriptions("DEMO") if one.url.endswith("website")]
    mixed.box.remove("DEMO", made.id)
    run = mixed.run("apply", "--yes", "--report", "report.json")
    assert run.code == 0
    assert run.out.splitlines()[-2:] == [
        "Applied: 1 done, 0 failed; not compared: 2 secrets; 0 unchanged.",
        "Verified: live matches declared, except the secrets of 2.",
    ]
    report = json.loads((mixed.folder / "report.json").read_text())
    assert report["tenancies"][0]["summary"]["secret_unknown"] == 2


# adopt


def test_adopt_challenges_receivers_and_records_entries_without_changing_preservica(
    mixed: Place,
) -> None:
    before = mixed.box.subscriptions("DEMO")
    challenges = mixed.receiver.answers["catalogue", "challenge"]
    run = mixed.run("adopt")
    assert (run.code, run.out.splitlines()) == (
        0,
        [
            "adopted prod/search/INDEXED",
            "adopted prod/viewer/MOVED",
            "2 of 2 adopted, recorded in hooks.state.json. A challenge proves what the receivers"
            " have, not what Preservica has. During a rotation, use `hooksync apply --replace ADDRESS`.",
        ],
    )
    assert mixed.receiver.answers["catalogue", "challenge"] == challenges + 2
    assert mixed.box.subscriptions("DEMO") == before
    assert mixed.run("plan").out == "No changes. 1 tenancy matches hooks.yaml; 3 unchanged.\n"
    assert mixed.run("adopt").out == "0 of 0 adopted\n"


def test_no_message_suggests_to_adopt_a_subscription_whose_receiver_cannot_be_reached(
    mixed: Place,
) -> None:
    mixed.receiver.close()
    run = mixed.run("adopt")
    assert (run.code, run.out) == (3, "0 of 2 adopted\n")
    assert "hooksync adopt" not in run.err
    assert mixed.run("adopt", "prod/viewer/MOVED").code == 3
    assert secret_states(mixed) == {"search": "unknown", "viewer": "unknown", "website": "same"}
