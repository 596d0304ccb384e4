"""Results say no more than is known: a plan fails where apply would refuse; what is found is read
before the yes.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hooksync.sandbox.accounts import Account
from hooksync.sandbox.tenancies import SandboxOptions
from tests.conftest import HOOKS, Place, owning
from tests.terminals import Terminal

OTHER_SECRET = "another-secret-0123456789"
NOT_SAVED = "not saved: plan.json was not written, because "


def over_the_limit(place: Place) -> None:
    """Let three be live that are not declared."""
    place.write(owning(HOOKS))
    for index in range(3):
        place.box.seed("DEMO", f"https://old.example.org/{index}", "MOVED", "old-secret-0123456789")


def saved(place: Place) -> Path:
    return place.folder / "plan.json"


@pytest.mark.parametrize(
    "flags", [(), ("--detailed-exitcode",), ("--format", "json"), ("--format", "markdown")]
)
def test_plan_exits_with_3_and_saves_nothing_where_apply_would_refuse(
    place: Place, flags: tuple[str, ...]
) -> None:
    over_the_limit(place)
    plan = place.run("plan", "--out", "plan.json", *flags)
    assert plan.code == 3
    assert "limits.unsubscribe" in plan.err
    assert plan.err.endswith(NOT_SAVED + "apply would refuse it\n")
    assert not saved(place).exists()
    assert place.run("apply", "--yes").code == 3
    place.write(owning(HOOKS).replace("owns: all", "owns: all\n    limits: {unsubscribe: 100%}"))
    allowed = place.run("plan", "--out", "plan.json", *flags)
    assert allowed.code == (2 if "--detailed-exitcode" in flags else 0)
    assert saved(place).exists()


def test_plan_exits_with_3_where_unknown_secrets_are_refused(place: Place) -> None:
    place.write(
        HOOKS.replace("    subscriptions:", "    unknown_secret: refuse\n    subscriptions:")
    )
    assert place.run("apply", "--yes").code == 0
    (place.folder / "hooks.state.json").unlink()
    plan = place.run("plan", "--detailed-exitcode", "--out", "plan.json")
    assert plan.code == 3
    assert plan.err.endswith(NOT_SAVED + "apply would refuse it\n")
    assert not saved(place).exists()


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
        "warning: hooks.yaml:7:7: prod/catalogue: the receiver at ${RECEIVER}?code=${FN_KEY} is not"
        " ready" in plan.err
    )
    assert len(plan.json["warnings"]) == 1


def test_a_tenancy_that_cannot_be_read_counts_for_more_than_one_that_is_refused(
    place: Place,
) -> None:
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
    # of two subscriptions, one receiver
    assert place.receiver.answers["catalogue", "challenge"] == 1
    terminal.type("yes\n")
    assert terminal.finish() == 0
    assert place.receiver.answers["catalogue", "challenge"] == 3  # the service asked for each


def test_what_receivers_answer_is_read_before_the_question_and_said_once(place: Place) -> None:
    place.environ["RECEIVER"] = "http://127.0.0.1:1/catalogue"
    terminal = Terminal(place, "apply")
    terminal.read_until("for an answer: ")
    before, warning = terminal.seen, "warning: hooks.yaml:7:7: prod/catalogue: the receiver at "
    assert (
        before.index("Plan: 2 to subscribe")
        < before.index(warning)
        < before.index("Carry this out")
    )
    terminal.type("no\n")
    assert terminal.finish() == 3
    assert terminal.seen.count(warning) == 1
    assert "refused: not confirmed" in terminal.seen
    assert place.box.subscriptions("DEMO") == ()


@pytest.mark.parametrize("flags", [(), ("--format", "json")])
def test_where_all_is_refused_by_receivers_nothing_is_asked(
    place: Place, flags: tuple[str, ...]
) -> None:
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
    assert (
        terminal.seen.count("error: prod: hooks.yaml:10:17: secret env:CATALOGUE_SECRET is not set")
        == 1
    )


def test_without_a_terminal_and_a_yes_no_receiver_is_asked(place: Place) -> None:
    run = place.run("apply")
    assert run.code == 3
    assert "refused: not confirmed: there is no terminal to ask on" in run.err
    assert place.receiver.answers["catalogue", "challenge"] == 0


def test_with_yes_a_warning_is_said_once(place: Place) -> None:
    place.environ["RECEIVER"] = "http://127.0.0.1:1/catalogue"
    run = place.run("apply", "--yes")
    assert run.err.count("warning: hooks.yaml:7:7: prod/catalogue: the receiver at ") == 1


def test_a_saved_plan_is_not_asked_about_and_its_receivers_are_asked_before_the_first_change(
    place: Place,
) -> None:
    assert place.run("plan", "--out", "plan.json").code == 0
    place.receiver.set_secret("catalogue", OTHER_SECRET)
    terminal = Terminal(place, "apply", "plan.json")
    assert terminal.finish() == 3
    assert "Carry this out" not in terminal.seen
    assert [call.name for call in place.box.calls] == ["login", "list"] * 2


MUSEUM = """\
version: 1
tenancies:
  museum:
    server: ${BOX}
    tenant: MUSEUM
    subscriptions:
      mirror: {url: "${RECEIVER}", triggers: [INDEXED, MOVED], secret: {env: CATALOGUE_SECRET}}
"""
TWO_TENANTS = SandboxOptions(accounts=(Account(tenants=("DEMO", "MUSEUM")),))
UNDECLARED = 'the state knows 2 subscriptions of tenancy "museum", which no file declares'


@pytest.fixture
def deserted(place: Place) -> Place:
    """A place of which two files were applied, and one was deleted since."""
    museum = place.write(MUSEUM, "museum.yaml")
    assert place.run("apply", "--yes", "-f", "hooks.yaml", "-f", "museum.yaml").code == 0
    museum.unlink()
    return place


@pytest.mark.parametrize("options", [TWO_TENANTS], indirect=True)
def test_no_changes_is_not_the_last_word_where_the_file_of_a_tenancy_was_deleted(
    deserted: Place,
) -> None:
    plan = deserted.run("plan", "--detailed-exitcode")
    said = f"1 tenancy matches hooks.yaml.\nT{UNDECLARED[1:]}.\n"
    assert (plan.code, plan.out) == (0, said)
    assert (
        f"warning: {UNDECLARED}\n  fix: name its file with --file as well; or, to remove them"
        in plan.err
    )
    assert deserted.run("apply").out == said
    assert any(
        UNDECLARED in line for line in deserted.run("plan", "--format", "json").json["warnings"]
    )
    assert any(
        UNDECLARED in line for line in deserted.run("apply", "--format", "json").json["warnings"]
    )
    for command in ("plan", "apply"):
        assert "which no file declares" in deserted.run(command, "--format", "markdown").out
    assert len(deserted.box.subscriptions("MUSEUM")) == 2


@pytest.mark.parametrize("options", [TWO_TENANTS], indirect=True)
def test_an_apply_with_changes_tells_of_undeclared_tenancies_once(deserted: Place) -> None:
    deserted.write(HOOKS.replace("[INDEXED, MOVED]", "[INDEXED]"))
    run = deserted.run("apply", "--yes")
    assert run.code == 0
    assert (run.out.count(UNDECLARED[1:]), run.err.count(UNDECLARED)) == (1, 1)


@pytest.mark.parametrize("options", [TWO_TENANTS], indirect=True)
def test_the_advice_removes_what_an_undeclared_tenancy_left(deserted: Place) -> None:
    deserted.write(
        MUSEUM.partition("      mirror")[0].replace(
            "subscriptions:", "limits: {unsubscribe: 100%}\n    subscriptions: {}"
        ),
        "museum.yaml",
    )
    files = ("-f", "hooks.yaml", "-f", "museum.yaml")
    assert UNDECLARED not in deserted.run("plan", *files).err
    assert deserted.run("apply", "--yes", *files).code == 0
    assert deserted.box.subscriptions("MUSEUM") == ()
    assert "which no file declares" not in deserted.run("plan").err


@pytest.mark.parametrize("options", [TWO_TENANTS], indirect=True)
def test_the_advice_ends_the_warning_for_a_tenancy_that_was_renamed(place: Place) -> None:
    place.write(HOOKS)
    assert place.run("apply", "--yes").code == 0
    place.write(HOOKS.replace("  prod:", "  production:"))
    plan = place.run("plan")
    assert 'the state knows 2 subscriptions of tenancy "prod", which no file declares' in plan.err
    assert place.run("apply", "--adopt").code == 0
    assert "`hooksync state forget 'TENANCY/*'`" in plan.err
    assert place.run("state", "forget", "prod/*", "--yes").code == 0
    again = place.run("plan")
    assert (again.code, again.err) == (0, "")


@pytest.mark.parametrize("options", [TWO_TENANTS], indirect=True)
@pytest.mark.parametrize(
    "flags",
    [
        ("--tenancy", "prod"),
        ("--target", "prod/*"),
        ("--shard", "1/2"),
        ("--shard", "2/2"),
        ("--no-state",),
    ],
)
def test_what_another_selection_would_show_is_not_warned_of(
    place: Place, flags: tuple[str, ...]
) -> None:
    place.write(MUSEUM, "museum.yaml")
    files = ("-f", "hooks.yaml", "-f", "museum.yaml")
    assert place.run("apply", "--yes", *files).code == 0
    plan = place.run("plan", *files, *flags)
    assert "which no file declares" not in plan.out + plan.err


def test_of_very_many_undeclared_tenancies_five_are_named(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0
    path = place.folder / "hooks.state.json"
    state = json.loads(path.read_text())
    entry = next(one for one in state["entries"] if one["address"] == "prod/catalogue/MOVED")
    state["entries"] += [
        {**entry, "tenancy": f"gone{index}", "address": f"gone{index}/catalogue/MOVED"}
        for index in range(9)
    ]
    path.write_text(json.dumps(state))
    plan = place.run("plan")
    assert plan.code == 0
    named = '"gone0", "gone1", "gone2", "gone3", "gone4" and 4 more'
    assert plan.out.endswith(
        f"\nThe state knows 9 subscriptions of 9 tenancies: {named}, which no file declares.\n"
    )
