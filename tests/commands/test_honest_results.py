"""A plan fails if apply would refuse, and all warnings come before the confirmation."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from hooksync.sandbox.tenancies import Account, SandboxOptions
from tests.conftest import HOOKS, Place, owning
from tests.terminals import Terminal

NOT_SAVED = "not saved: plan.json was not written: none of this can be applied\n"


def over_the_limit(place: Place) -> None:
    """Seed three live subscriptions that are owned and not declared."""
    place.write(owning(HOOKS))
    for index in range(3):
        place.box.seed("DEMO", f"https://old.example.org/{index}", "MOVED", "old-secret-0123456789")


def saved(place: Place) -> Path:
    return place.folder / "plan.json"


@pytest.mark.parametrize(
    "flags", [(), ("--detailed-exitcode",), ("--format", "json"), ("--format", "markdown")]
)
def test_plan_exits_with_3_and_saves_nothing_if_apply_would_refuse(
    place: Place, flags: tuple[str, ...]
) -> None:
    over_the_limit(place)
    plan = place.run("plan", "--out", "plan.json", *flags)
    assert plan.code == 3
    assert "limits.unsubscribe" in plan.err
    assert plan.err.endswith(NOT_SAVED)
    assert not saved(place).exists()
    assert place.run("apply", "--yes").code == 3
    place.write(owning(HOOKS).replace("owns: all", "owns: all\n    limits: {unsubscribe: 100%}"))
    allowed = place.run("plan", "--out", "plan.json", *flags)
    assert allowed.code == (2 if "--detailed-exitcode" in flags else 0)
    assert saved(place).exists()


def test_warnings_about_receivers_come_before_the_question_and_only_once(place: Place) -> None:
    place.environ["RECEIVER"] = "http://127.0.0.1:1/catalogue"
    terminal = Terminal(place, "apply")
    terminal.read_until("Type yes to apply: ")
    before, warning = terminal.seen, "warning: hooks.yaml:7:7: prod/catalogue: the receiver is "
    assert (
        before.index("Plan: 2 to subscribe")
        < before.index(warning)
        < before.index(" / DEMO): 2 to subscribe. Type yes to apply: ")
    )
    terminal.type("no\n")
    assert terminal.finish() == 3
    assert terminal.seen.count(warning) == 1
    assert "refused: not confirmed" in terminal.seen
    assert place.box.subscriptions("DEMO") == ()


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


def gone(place: Place) -> str:
    """Return the warning of a plan about the tenancy that no file declares any more."""
    host = place.box.url
    return f"no file of this run declares {host} / museum, where the state has 2 subscriptions"


@pytest.fixture
def deserted(place: Place) -> Place:
    """A place where two hooks files were applied, and one of them was then deleted."""
    museum = place.write(MUSEUM, "museum.yaml")
    assert place.run("apply", "--yes", "-f", "hooks.yaml", "-f", "museum.yaml").code == 0
    museum.unlink()
    return place


@pytest.mark.parametrize("options", [TWO_TENANTS], indirect=True)
def test_a_tenancy_that_no_file_declares_any_more_is_drift_until_it_is_forgotten(
    deserted: Place,
) -> None:
    folder = ("-f", ".", "--state", "hooks.state.json")
    for command in (("plan", "--detailed-exitcode", *folder), ("apply", *folder)):
        run = deserted.run(*command)
        assert run.code == (2 if command[0] == "plan" else 0)
        assert run.out.endswith("\nNo longer declared: museum; 2 unchanged.\n")
        assert run.err.startswith(f"warning: {gone(deserted)} of museum\n  fix: declare it again")
        assert "no file of this run declares" in deserted.run(*command, "--format", "markdown").out
        warnings = deserted.run(*command, "--format", "json").json["warnings"]
        assert any(gone(deserted) in warning["what"] for warning in warnings)
    [forget] = re.findall("`hooksync ([^`]*)`", deserted.run("plan", *folder).err)
    assert deserted.run(*shlex.split(forget), "--yes").code == 0
    after = deserted.run("plan", "--detailed-exitcode", *folder)
    assert (after.code, after.err) == (0, "")
    assert len(deserted.box.subscriptions("MUSEUM")) == 2


@pytest.mark.parametrize("options", [TWO_TENANTS], indirect=True)
def test_what_a_single_file_does_not_declare_is_no_drift_because_a_different_file_may_declare_it(
    deserted: Place,
) -> None:
    plan = deserted.run("plan", "--detailed-exitcode")
    assert (plan.code, "\nNo changes. " in plan.out) == (0, True)
    assert gone(deserted) in plan.err
