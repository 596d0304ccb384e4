"""To give up a tenancy: disable it, and then delete it; or hand it over."""

from __future__ import annotations

from typing import Any

import pytest

from hooksync.sandbox.tenancies import SandboxOptions
from tests.command_line import Run
from tests.conftest import SECRET, Place
from tests.schemas import assert_fits

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


@pytest.mark.parametrize("has_policy", [False, True], ids=["lost", "unsigned, under a policy"])
def test_a_tenancy_is_refused_if_no_trusted_state_has_all_of_it(
    place: Place, has_policy: bool
) -> None:
    place.write(DEFAULTS, "defaults.yaml")
    place.write(HOOKS)
    assert place.run("apply", "--yes").code == 0
    settle(place, enabled="false", **ALL)
    flags = ["--policy", place.policy(receivers=["hooks.example.net"])] if has_policy else []
    if not has_policy:
        (place.folder / "hooks.state.json").unlink()
    for command in (["apply", "--yes"], ["plan"]):
        refused = place.run(*command, *flags)
        assert (refused.code, live(place)) == (3, 3)
        assert "prod: live although paused, and left alone: " in refused.err


def hand_over(place: Place, way: str) -> Run:
    settle(place, enabled="false", owns="none")
    planned = place.run("plan", "--detailed-exitcode")
    assert (planned.code, "to forget" in planned.out) == (2, True)
    assert "f   own                 MOVED" in planned.out
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
    after = applied.run("plan", "--detailed-exitcode", "--format", "json")
    assert (after.code, [step["action"] for step in after.steps]) == (
        0,
        ["keep"] * 3 + ["leave"] * 4,
    )
    assert_fits(after.json, "plan")


def test_a_handover_forgets_attempts_too(applied: Place) -> None:
    applied.environ["CATALOGUE_SECRET"] = "a-new-secret-of-all-0123456789"
    applied.box.faults.add("cut@subscribe:1")
    assert applied.run("apply", "--yes").code == 4
    assert any("seen" in record for record in records(applied))
    done = hand_over(applied, "unattended")
    assert (done.code, records(applied)) == (0, [])
    assert applied.run("plan", "--detailed-exitcode").code == 0
