"""Subscriptions with unknown secrets, because hooksync did not make them."""

from __future__ import annotations

import pytest

from tests.conftest import SECRET, Place

NAMES = ("search", "viewer", "website")  # hooksync did not make the first two
TRIGGERS = {"search": "FULL_TEXT_INDEXED", "viewer": "MOVED", "website": "INGEST_FAILED"}
SAID = "secret unknown: prod/search/INDEXED, prod/viewer/MOVED"


def hooks(*names: str) -> str:
    head = (
        "version: 1\ndefaults: {secret: {env: CATALOGUE_SECRET}}\ntenancies:\n  prod:\n    server:"
        " ${BOX}\n    tenant: DEMO\n    subscriptions:\n"
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


def test_unknown_secrets_are_refused_and_nothing_is_changed(mixed: Place) -> None:
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
