"""Ordinary edits of the hooks file: receivers move to new URLs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import HOOKS, Place

ONE = HOOKS.replace("triggers: [INDEXED, MOVED]", "trigger: MOVED")
OLD_URL = "${RECEIVER}?code=${FN_KEY}"
NEW_URL = "${RECEIVER}?to=new"


@pytest.fixture
def made_one(place: Place) -> Place:
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
    [step] = made_one.run("plan", "--format", "json").json["tenancies"][0]["steps"]
    assert (step["declared"]["url"], step["live"]["url"]) == (NEW_URL, old_url)


def test_a_refused_second_subscription_loses_nothing_and_the_fix_names_remove_first(
    made_one: Place,
) -> None:
    [old] = made_one.box.subscriptions("DEMO")
    made_one.write(moved(ONE))
    made_one.box.faults.add("status-409@subscribe")
    before = len(made_one.changing_calls)
    run = made_one.run("apply", "--yes")
    assert run.code == 1
    assert "declare `replacement: remove-first`, which leaves a gap" in run.err
    assert made_one.changing_calls[before:] == ["subscribe"]
    assert made_one.box.subscriptions("DEMO") == (old,)
    declared = moved(ONE).replace("tenant: DEMO", "tenant: DEMO\n    replacement: remove-first")
    before = len(made_one.changing_calls)
    applied(made_one, declared)
    assert made_one.changing_calls[before:] == ["unsubscribe", "subscribe"]
    assert made_one.run("plan", "--detailed-exitcode").code == 0
