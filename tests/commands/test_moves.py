"""Ordinary edits of the hooks file: receivers move to new URLs, and removals wait."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import HOOKS, SECRET, Place

NEW_SECRET = "n3w-secret-of-the-catalogue-0123456"
BOTH = HOOKS
ONE = HOOKS.replace("triggers: [INDEXED, MOVED]", "trigger: MOVED")
OLD_URL = "${RECEIVER}?code=${FN_KEY}"
NEW_URL = "${RECEIVER}?to=new"
TWO = f"""{HOOKS.partition("      catalogue:")[0]}\
      first: {{url: "${{RECEIVER}}?n=1", trigger: MOVED, secret: {{env: CATALOGUE_SECRET}}}}
      second: {{url: "${{RECEIVER}}?n=2", trigger: MOVED, secret: {{env: CATALOGUE_SECRET}}}}
"""


@pytest.fixture
def made(place: Place) -> Place:
    """A place with two subscriptions that are live and in the state."""
    place.environ["BROKEN"] = "http://127.0.0.1:1/hook"
    applied(place, BOTH)
    return place


@pytest.fixture
def made_one(place: Place) -> Place:
    place.environ["BROKEN"] = "http://127.0.0.1:1/hook"
    applied(place, ONE)
    return place


def applied(place: Place, text: str, *flags: str) -> Any:
    """Write the hooks file, apply it, assert success, and return the report."""
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
    """Return the query of each live URL with its secret."""
    return sorted(
        (one.url.partition("?")[2], one.secret) for one in place.box.subscriptions("DEMO")
    )


def verbs(place: Place, before: int) -> list[str]:
    return [
        call.name for call in place.box.calls[before:] if call.name in ("subscribe", "unsubscribe")
    ]


def assert_settled(place: Place) -> None:
    """Assert that no changes are left, and that the state has exactly the live subscriptions."""
    plan = place.run("plan", "--detailed-exitcode")
    assert plan.code == 0, plan.out
    assert place.state["attempts"] == []
    known = {entry["id"] for entry in place.state["entries"]}
    assert known == {one.id for one in place.box.subscriptions("DEMO")}


def test_a_moved_receiver_is_one_resubscribe_that_shows_both_urls(made_one: Place) -> None:
    made_one.write(moved(ONE))
    plan = made_one.run("plan")
    old_url = "***?code=***"  # masked, because values of variables may be keys
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
    assert (step["declared"]["url"], step["live"]["url"]) == (NEW_URL, old_url)


def test_a_move_with_a_rotated_secret_and_a_changed_flag_shows_all_three_reasons(
    made_one: Place,
) -> None:
    made_one.environ["CATALOGUE_SECRET"] = NEW_SECRET
    made_one.receiver.set_secret("catalogue", NEW_SECRET, SECRET)
    report = applied(made_one, moved(ONE) + "        include_identifiers: false\n")
    reasons = ["url-changed", "flag-changed", "secret-changed"]
    assert steps(report) == [("resubscribe", "prod/catalogue/MOVED", reasons)]
    assert held(made_one) == [("to=new", NEW_SECRET)]
    assert_settled(made_one)


def test_moving_both_triggers_at_once_does_not_count_as_a_mass_removal(made: Place) -> None:
    report = applied(made, moved(BOTH))
    assert [action for action, *_ in steps(report)] == ["resubscribe", "resubscribe"]
    assert held(made) == [("to=new", SECRET)] * 2
    assert_settled(made)


def test_a_refused_second_subscription_loses_nothing_and_the_fix_names_remove_first(
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


def test_a_removal_waits_until_all_declared_subscriptions_exist(place: Place) -> None:
    place.environ["BROKEN"] = "http://127.0.0.1:1/hook"
    applied(place, TWO)
    before = held(place)
    place.write(TWO.replace('second: {url: "${RECEIVER}', 'third: {url: "${BROKEN}'))
    run = place.run("apply", "--yes")
    assert run.code == 1, run.out
    assert "it stays until these certainly exist: prod/third/MOVED" in run.out
    assert held(place) == before
