"""To give up a tenancy: disable it, and then delete it; or hand it over."""

from __future__ import annotations

from typing import Any

import pytest

from hooksync.sandbox.tenancies import SandboxOptions
from tests.command_line import Run
from tests.conftest import SECRET, Place
from tests.schemas import assert_fits
from tests.terminals import Terminal

pytestmark = pytest.mark.parametrize(
    "options", [SandboxOptions(traits=("no-challenge",))], indirect=True
)

DEFAULTS = """\
version: 1
defaults:
  secret: {env: CATALOGUE_SECRET}
  subscriptions:
    alert: {url: "https://hooks.example.net/alert", triggers: [INDEXED, MOVED]}
"""
HOOKS = """\
version: 1
defaults: defaults.yaml
tenancies:
  prod:
    server: ${BOX}
    tenant: DEMO
    probe: never
    subscriptions: {own: {url: "https://hooks.example.net/own", trigger: MOVED}}
"""
KEY = "key-of-the-plans-0123456789"
ALL = {"limits": "{unsubscribe: 100%}"}


@pytest.fixture
def applied(place: Place) -> Place:
    """A tenancy with one subscription of its own and two of the defaults, and a stranger's."""
    place.environ["HOOKSYNC_PLAN_KEY"] = KEY
    place.write(DEFAULTS, "defaults.yaml")
    place.write(HOOKS)
    assert place.run("apply", "--yes").code == 0
    place.box.seed("DEMO", "https://vendor.example/", "MOVED", SECRET)
    return place


def settle(place: Place, **settings: str) -> None:
    """Add settings to the tenancy."""
    lines = "".join(f"    {name}: {value}\n" for name, value in settings.items())
    place.write(HOOKS.replace("    probe:", f"{lines}    probe:"))


def live(place: Place) -> int:
    return len(place.box.subscriptions("DEMO"))


def records(place: Place) -> list[Any]:
    """Return the entries and attempts of the state."""
    found = []
    for tenancy in place.state["tenancies"]:
        found += tenancy["entries"] + tenancy["attempts"]
    return found


def test_a_disabled_tenancy_loses_its_default_subscriptions_too_within_its_limit(
    applied: Place,
) -> None:
    settle(applied, enabled="false")
    refused = applied.run("apply", "--yes")
    assert (refused.code, live(applied)) == (3, 4)
    assert "would unsubscribe 3 of the 3 it owns: limits.unsubscribe is 50%" in refused.err
    settle(applied, enabled="false", **ALL)
    assert applied.run("plan", "--out", "plan.json").code == 0
    done = applied.run("apply", "plan.json")
    assert (done.code, live(applied), records(applied)) == (0, 1, [])
    assert applied.run("plan", "--detailed-exitcode").code == 0
    settle(applied)
    assert applied.run("apply", "--yes").code == 0
    assert live(applied) == 4


@pytest.mark.usefixtures("real_scrypt")
def test_at_a_terminal_a_person_types_the_number_of_the_subscriptions(applied: Place) -> None:
    settle(applied, enabled="false")
    terminal = Terminal(applied, "apply")
    terminal.read_until("Type 3, the number of removals, to apply: ")
    terminal.type("3\n")
    assert (terminal.finish(), live(applied)) == (0, 1)


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"max_unsubscribe": 1, "max_unsubscribe_run": 3}, 0),
        ({"max_unsubscribe": 1, "max_unsubscribe_run": 2}, 3),
    ],
)
def test_under_a_policy_only_the_limit_of_the_run_counts_a_disabled_tenancy(
    applied: Place, limits: dict[str, int], code: int
) -> None:
    policy = applied.policy(receivers=["hooks.example.net"], url_variables=[], **limits)
    settle(applied, enabled="false", **ALL)
    run = applied.run("apply", "--yes", "--policy", policy)
    assert (run.code, live(applied)) == (code, 1 if code == 0 else 4)


def test_a_tenancy_is_refused_if_hooksync_cannot_remove_all_of_it(applied: Place) -> None:
    settle(applied, enabled="false", **ALL)
    del applied.environ["HOOKSYNC_PLAN_KEY"]
    (applied.folder / "hooks.state.json").unlink()
    refused = applied.run("apply", "--yes")
    assert (refused.code, live(applied)) == (3, 4)
    assert (
        "prod cannot be disabled: the state does not have what is live: prod/alert/" in refused.err
    )
    assert applied.run("plan").code == 3


def test_under_a_policy_an_unsigned_state_disables_nothing(place: Place) -> None:
    place.write(DEFAULTS, "defaults.yaml")
    place.write(HOOKS)
    assert place.run("apply", "--yes").code == 0
    settle(place, enabled="false", **ALL)
    policy = place.policy(receivers=["hooks.example.net"], url_variables=[])
    refused = place.run("apply", "--yes", "--policy", policy)
    assert (refused.code, live(place)) == (3, 3)
    assert "prod cannot be disabled: only an unsigned state has what is live" in refused.err
    assert "sign the state" in refused.err


def hand_over(place: Place, way: str) -> Run:
    settle(place, enabled="false", owns="none")
    if way == "unattended":
        return place.run("apply", "--yes")
    assert place.run("plan", "--out", "plan.json").code == 0
    return place.run("apply", "plan.json")


@pytest.mark.parametrize("way", ["unattended", "by a saved plan"])
def test_handing_a_tenancy_over_removes_nothing_and_forgets_all(applied: Place, way: str) -> None:
    calls = applied.changing_calls
    done = hand_over(applied, way)
    assert (done.code, live(applied), records(applied)) == (0, 4, [])
    assert applied.changing_calls == calls
    assert "3 to forget" in applied.run("plan").out or "3 done" in done.out
    after = applied.run("plan", "--detailed-exitcode", "--format", "json")
    assert (after.code, [step["action"] for step in after.steps]) == (
        0,
        ["keep"] * 3 + ["leave"] * 4,
    )
    assert_fits(after.json, "plan")


def test_a_handover_is_drift_until_it_is_applied_and_says_what_it_forgets(applied: Place) -> None:
    settle(applied, enabled="false", owns="none")
    planned = applied.run("plan", "--detailed-exitcode")
    assert planned.code == 2
    assert "f   own                 MOVED" in planned.out
    assert "handed over, made by hooksync" in planned.out
    assert "0 to REMOVE, 3 to forget" in planned.out
    document = applied.run("plan", "--format", "json").json
    assert document["summary"]["forget"] == 3
    assert_fits(document, "plan")
    assert "to forget" in applied.run("plan", "--format", "markdown").out


def test_a_handover_forgets_attempts_too(applied: Place) -> None:
    applied.environ["CATALOGUE_SECRET"] = "a-new-secret-of-all-0123456789"
    applied.box.faults.add("cut@subscribe:1")
    assert applied.run("apply", "--yes").code == 4
    assert any("seen" in record for record in records(applied))
    done = hand_over(applied, "unattended")
    assert (done.code, records(applied)) == (0, [])
    assert applied.run("plan", "--detailed-exitcode").code == 0


def test_a_disabled_tenancy_with_a_setting_in_two_files_names_both_places(applied: Place) -> None:
    settle(applied, enabled="false")
    applied.write(HOOKS.replace("own:", "more:").replace("/own", "/more"), "more.yaml")
    run = applied.run("plan", "-f", "hooks.yaml", "-f", "more.yaml")
    assert (run.code, 'two files give tenancy "prod" settings' in run.err) == (1, True)
