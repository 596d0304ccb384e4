"""Receivers that move, names that change, and removals that wait: what ordinary edits of the file
do.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import HOOKS, SECRET, Place

NEW_SECRET = "n3w-secret-of-the-catalogue-0123456"
BOTH = HOOKS
ONE = HOOKS.replace("triggers: [INDEXED, MOVED]", "trigger: MOVED")
OLD_URL, NEW_URL, GONE_URL = "${RECEIVER}?code=${FN_KEY}", "${RECEIVER}?to=new", "${BROKEN}?to=new"
TWO = f"""{HOOKS.partition("      catalogue:")[0]}\
      first: {{url: "${{RECEIVER}}?n=1", trigger: MOVED, secret: {{env: CATALOGUE_SECRET}}}}
      second: {{url: "${{RECEIVER}}?n=2", trigger: MOVED, secret: {{env: CATALOGUE_SECRET}}}}
"""


@pytest.fixture
def made(place: Place) -> Place:
    """A place whose two subscriptions are made, and in the state."""
    place.environ["BROKEN"] = "http://127.0.0.1:1/hook"
    applied(place, BOTH)
    return place


@pytest.fixture
def made_one(place: Place) -> Place:
    place.environ["BROKEN"] = "http://127.0.0.1:1/hook"
    applied(place, ONE)
    return place


def applied(place: Place, text: str, *flags: str) -> Any:
    """Write the hooks file and apply it; all must go well."""
    place.write(text)
    run = place.run("apply", "--yes", "--format", "json", *flags)
    assert run.code == 0, run.out + run.err
    return run.json


def moved(text: str, url: str = NEW_URL) -> str:
    return text.replace(OLD_URL, url)


def steps(document: Any) -> list[tuple[str, str | None, list[str]]]:
    [one] = document["tenancies"]
    found = []
    for step in one["steps"]:
        codes = [reason["code"] for reason in step["reasons"]]
        found.append((step["action"], step["address"], codes))
    return found


def held(place: Place) -> list[tuple[str, str]]:
    """The queries of what is live, with their secrets."""
    return sorted(
        (one.url.partition("?")[2], one.secret) for one in place.box.subscriptions("DEMO")
    )


def verbs(place: Place, before: int) -> list[str]:
    return [
        call.name for call in place.box.calls[before:] if call.name in ("subscribe", "unsubscribe")
    ]


def assert_settled(place: Place) -> None:
    """Hold that there is nothing left to do, and that the state knows exactly what is live."""
    plan = place.run("plan", "--detailed-exitcode")
    assert plan.code == 0, plan.out
    assert place.state["intents"] == []
    known = {entry["id"] for entry in place.state["entries"]}
    assert known == {one.id for one in place.box.subscriptions("DEMO")}


def test_a_moved_receiver_is_one_resubscribe_that_shows_both_urls(made_one: Place) -> None:
    made_one.write(moved(ONE))
    plan = made_one.run("plan")
    old_url = "***?code=***"  # no file declares it, and what came from a variable may be a key
    assert (
        f"""\
      url                  {NEW_URL}
      replaces_url         {old_url}
      reason               url changed
"""
        in plan.out
    )
    assert "Plan: 0 to subscribe, 1 to resubscribe, 0 to REMOVE; 0 unchanged." in plan.out
    markdown = made_one.run("plan", "--format", "markdown").out
    assert (
        f"      url                  {NEW_URL}\n      replaces_url         {old_url}\n" in markdown
    )
    [step] = made_one.run("plan", "--format", "json").json["tenancies"][0]["steps"]
    assert (step["url"], step["replaces_url"]) == (NEW_URL, old_url)


def test_a_move_with_a_rotation_and_another_flag_says_all_three(made_one: Place) -> None:
    made_one.environ["CATALOGUE_SECRET"] = NEW_SECRET
    made_one.receiver.set_secret("catalogue", NEW_SECRET, SECRET)
    report = applied(made_one, moved(ONE) + "        include_identifiers: false\n")
    reasons = ["url-changed", "flag-changed", "secret-changed"]
    assert steps(report) == [("resubscribe", "prod/catalogue/MOVED", reasons)]
    assert held(made_one) == [("to=new", NEW_SECRET)]
    assert_settled(made_one)


def test_both_triggers_move_at_once_and_are_no_mass_removal(made: Place) -> None:
    report = applied(made, moved(BOTH))
    assert [action for action, *_ in steps(report)] == ["resubscribe", "resubscribe"]
    assert held(made) == [("to=new", SECRET)] * 2
    assert_settled(made)


def test_a_service_that_refuses_a_second_one_loses_nothing_and_the_fix_names_remove_first(
    made_one: Place,
) -> None:
    [old] = made_one.box.subscriptions("DEMO")
    made_one.write(moved(ONE))
    made_one.box.faults.add("status-409@subscribe")
    before = len(made_one.box.calls)
    run = made_one.run("apply", "--yes")
    assert run.code == 1
    assert "declare `replacement: remove-first`, which leaves a gap" in run.out
    assert verbs(made_one, before) == ["subscribe"]
    assert made_one.box.subscriptions("DEMO") == (old,)
    declared = moved(ONE).replace("tenant: DEMO", "tenant: DEMO\n    replacement: remove-first")
    before = len(made_one.box.calls)
    applied(made_one, declared)
    assert verbs(made_one, before) == ["unsubscribe", "subscribe"]
    assert_settled(made_one)


def test_a_removal_waits_for_all_that_is_declared(place: Place) -> None:
    place.environ["BROKEN"] = "http://127.0.0.1:1/hook"
    applied(place, TWO)
    before = held(place)
    place.write(TWO.replace('second: {url: "${RECEIVER}', 'third: {url: "${BROKEN}'))
    run = place.run("apply", "--yes")
    assert run.code == 1, run.out
    assert "it stays until these certainly exist: prod/third/MOVED" in run.out
    assert held(place) == before
