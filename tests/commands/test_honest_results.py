"""Results say no more than is known: a plan fails where apply would refuse; what is found is read before the yes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import HOOKS, Place
from tests.terminals import Terminal

OTHER_SECRET = "another-secret-0123456789"
NOT_SAVED = "not saved: plan.json was not written, because "


def over_the_limit(place: Place) -> None:
    """Let three be live that are not declared."""
    for index in range(3):
        place.box.seed("DEMO", f"https://old.example.org/{index}", "MOVED", "old-secret-0123456789")


def saved(place: Place) -> Path:
    return place.folder / "plan.json"


@pytest.mark.parametrize("flags", [(), ("--detailed-exitcode",), ("--format", "json"), ("--format", "markdown")])
def test_plan_exits_with_3_and_saves_nothing_where_apply_would_refuse(place: Place, flags: tuple[str, ...]) -> None:
    over_the_limit(place)
    plan = place.run("plan", "--out", "plan.json", *flags)
    assert plan.code == 3
    assert "limits.unsubscribe" in plan.err
    assert plan.err.endswith(NOT_SAVED + "apply would refuse it\n")
    assert not saved(place).exists()
    assert place.run("apply", "--yes").code == 3
    allowed = place.run("plan", "--out", "plan.json", "--allow-mass-unsubscribe", *flags)
    assert allowed.code == (2 if "--detailed-exitcode" in flags else 0)
    assert saved(place).exists()


def test_plan_with_probe_exits_with_3_where_a_receiver_holds_another_secret(place: Place) -> None:
    place.receiver.set_secret("catalogue", OTHER_SECRET)
    assert place.run("plan", "--detailed-exitcode").code == 2
    plan = place.run("plan", "--probe", "--out", "plan.json")
    assert plan.code == 3
    assert plan.err.endswith(NOT_SAVED + "apply would refuse it\n")
    assert not saved(place).exists()


def test_plan_with_probe_warns_of_a_receiver_that_cannot_be_reached(place: Place) -> None:
    place.environ["RECEIVER"] = "http://127.0.0.1:1/catalogue"
    plan = place.run("plan", "--probe", "--format", "json")
    assert plan.code == 0
    assert (
        "warning: hooks.yaml:7:7: prod/catalogue: the receiver at ${RECEIVER}?code=${FN_KEY} is not ready" in plan.err
    )
    assert len(plan.json["warnings"]) == 1


def test_a_tenancy_that_cannot_be_read_counts_for_more_than_one_that_is_refused(place: Place) -> None:
    over_the_limit(place)
    place.write(HOOKS + "  staging: {server: '${DOWN}', tenant: TEST, subscriptions: {}}\n")
    place.environ["DOWN"] = "http://127.0.0.1:1"
    plan = place.run("plan", "--out", "plan.json", "--detailed-exitcode")
    assert plan.code == 1
    assert plan.err.endswith(NOT_SAVED + "not every tenancy could be planned\n")
    assert not saved(place).exists()


def test_apply_asks_receivers_before_it_asks_the_user_and_only_once(place: Place) -> None:
    place.environ["RECEIVER"] = place.receiver.url("catalogue")
    terminal = Terminal(place, "apply")
    terminal.read_until("for an answer: ")
    assert place.receiver.inbox("catalogue").challenges == 1  # of two subscriptions, one receiver
    terminal.type("yes\n")
    assert terminal.finish() == 0
    assert place.receiver.inbox("catalogue").challenges == 3  # the service asked for each


def test_what_receivers_answer_is_read_before_the_question_and_said_once(place: Place) -> None:
    place.environ["RECEIVER"] = "http://127.0.0.1:1/catalogue"
    terminal = Terminal(place, "apply")
    terminal.read_until("for an answer: ")
    before, warning = terminal.seen, "warning: hooks.yaml:7:7: prod/catalogue: the receiver at "
    assert before.index("Plan: 2 to subscribe") < before.index(warning) < before.index("Carry this out")
    terminal.type("no\n")
    assert terminal.finish() == 3
    assert terminal.seen.count(warning) == 1
    assert "refused: not confirmed" in terminal.seen
    assert place.box.subscriptions("DEMO") == ()


@pytest.mark.parametrize("flags", [(), ("--format", "json")])
def test_where_all_is_refused_by_receivers_nothing_is_asked(place: Place, flags: tuple[str, ...]) -> None:
    place.receiver.set_secret("catalogue", OTHER_SECRET)
    terminal = Terminal(place, "apply", *flags)
    assert terminal.finish() == 3
    assert "Carry this out" not in terminal.seen
    assert terminal.seen.count("refused: hooks.yaml:7:7: prod/catalogue: the receiver at ") == 1
    assert place.box.subscriptions("DEMO") == ()


def test_a_missing_secret_is_said_with_its_line_instead_of_a_question(place: Place) -> None:
    del place.environ["CATALOGUE_SECRET"]
    terminal = Terminal(place, "apply")
    assert terminal.finish() == 1
    assert "Carry this out" not in terminal.seen
    assert terminal.seen.count("error: prod: hooks.yaml:10:17: secret env:CATALOGUE_SECRET is not set") == 1


def test_without_a_terminal_and_a_yes_no_receiver_is_asked(place: Place) -> None:
    run = place.run("apply")
    assert run.code == 3
    assert "refused: not confirmed: there is no terminal to ask on" in run.err
    assert place.receiver.inbox("catalogue").challenges == 0


def test_with_yes_a_warning_is_said_once(place: Place) -> None:
    place.environ["RECEIVER"] = "http://127.0.0.1:1/catalogue"
    run = place.run("apply", "--yes")
    assert run.err.count("warning: hooks.yaml:7:7: prod/catalogue: the receiver at ") == 1


def test_a_saved_plan_is_not_asked_about_and_its_receivers_are_asked_before_the_first_change(place: Place) -> None:
    assert place.run("plan", "--out", "plan.json").code == 0
    place.receiver.set_secret("catalogue", OTHER_SECRET)
    terminal = Terminal(place, "apply", "plan.json")
    assert terminal.finish() == 3
    assert "Carry this out" not in terminal.seen
    assert [call.name for call in place.box.calls] == ["login", "list"] * 2
