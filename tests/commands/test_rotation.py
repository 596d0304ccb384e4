"""Rotated secrets as a user sees them: state, probe, replacement without a gap, killed runs."""

from __future__ import annotations

import os
import signal

import pytest

from tests.conftest import HOOKS, NEW_SECRET, URL_KEY, Place
from tests.state_makers import written

ONE = HOOKS.replace("triggers: [INDEXED, MOVED]", "trigger: MOVED")


@pytest.fixture
def made(place: Place) -> Place:
    """A place with one subscription that is live and in the state."""
    place.write(ONE)
    run = place.run("apply", "--yes")
    assert run.code == 0, run.err
    return place


def calls_since(place: Place, before: int) -> list[str]:
    return [f"{call.method} {call.name}" for call in place.box.calls[before:]]


def test_a_rotated_secret_makes_a_new_subscription_before_the_old_one_is_removed(
    made: Place,
) -> None:
    made.rotate()
    plan = made.run("plan")
    assert "+/- catalogue" in plan.out
    assert "changed (env:CATALOGUE_SECRET)" in plan.out
    before, [old] = len(made.box.calls), made.box.subscriptions("DEMO")
    run = made.run("apply", "--yes")
    assert run.code == 0, run.err
    assert calls_since(made, before) == [
        "POST login",
        "GET list",
        "POST subscribe",
        "GET list",  # this list shows the new subscription
        "DELETE unsubscribe",
        "GET list",
    ]
    [new] = made.box.subscriptions("DEMO")
    assert (new.id != old.id, new.secret) == (True, NEW_SECRET)
    assert made.run("plan").out.splitlines()[2].startswith("No changes.")


def test_the_state_flag_overrides_the_state_that_the_environment_names(made: Place) -> None:
    (made.folder / "hooks.state.json").rename(made.folder / "other.state.json")
    made.environ["HOOKSYNC_STATE"] = "other.state.json"
    assert made.run("plan", "--format", "json").json["state"] == "other.state.json"
    assert made.run("plan", "--format", "json", "--state", "flag.json").json["state"] == "flag.json"
    assert made.run("plan", "--format", "json", "--no-state").json["state"] is None
    made.environ["HOOKSYNC_STATE"] = ""
    assert made.run("plan", "--format", "json").json["state"] == "hooks.state.json"


def test_plan_challenges_receivers_only_with_probe(made: Place) -> None:
    made.rotate(receiver=False)
    challenges = made.receiver.answers["catalogue", "challenge"]
    assert made.run("plan").err == ""
    assert made.receiver.answers["catalogue", "challenge"] == challenges
    probed = made.run("plan", "--probe")
    assert probed.code == 3
    assert "refused: " in probed.err


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": "hooksync.state/2"}', '{"format": "terraform"}', "<<<<<<< HEAD"],
)
def test_an_unreadable_state_is_an_error_before_any_call(made: Place, text: str) -> None:
    (made.folder / "hooks.state.json").write_text(text)
    before = len(made.box.calls)
    for command in (("plan",), ("apply", "--yes")):
        run = made.run(*command)
        assert (run.code, run.out) == (1, "")
        assert "hooks.state.json" in run.err
        assert "fix: " in run.err
    assert len(made.box.calls) == before
    assert (made.folder / "hooks.state.json").read_text() == text


@pytest.mark.slow
@pytest.mark.usefixtures("real_scrypt")
def test_a_targeted_run_after_a_killed_run_settles_only_its_own_target(place: Place) -> None:
    place.box.faults.add("stall-30@list:1:1")  # the verification
    with place.popen("apply", "--yes") as process:
        while len(place.box.calls) < 5:
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
    targeted = place.run("apply", "--yes", "--target", "*/INDEXED", "--format", "json")
    assert targeted.code == 0
    [step] = [
        each
        for each in targeted.json["tenancies"][0]["steps"]
        if each["outcome"]["result"] == "done"
    ]
    assert (step["address"], step["reasons"][0]["code"]) == (
        "prod/catalogue/INDEXED",
        "unconfirmed",
    )
    assert place.run("apply", "--yes").code == 0
    assert written(place.state, "attempts") == []
    assert place.run("plan", "--detailed-exitcode").code == 0


REQUIRE = ONE.replace("    tenant: DEMO\n", "    tenant: DEMO\n    probe: require\n")
NEVER = ONE.replace("    tenant: DEMO\n", "    tenant: DEMO\n    probe: never\n")


@pytest.mark.parametrize(("text", "code"), [(ONE, 1), (REQUIRE, 3), (NEVER, 1)])
def test_the_probe_setting_decides_how_apply_handles_an_unreachable_receiver(
    place: Place, text: str, code: int
) -> None:
    place.environ["RECEIVER"] = "http://127.0.0.1:1/hook"
    place.write(text)
    run = place.run("apply", "--yes")
    assert run.code == code
    assert ("\nwarning: " in f"\n{run.err}") == (text == ONE)
    assert ("\nrefused: " in f"\n{run.err}") == (text == REQUIRE)
    assert URL_KEY not in run.err


def test_a_receiver_with_the_old_secret_makes_apply_refuse_before_any_change(made: Place) -> None:
    made.rotate(receiver=False)
    before = len(made.box.calls)
    run = made.run("apply", "--yes", "--format", "json")
    assert run.code == 3
    assert calls_since(made, before) == ["POST login", "GET list"]
    [step] = run.json["tenancies"][0]["steps"]
    assert (step["outcome"]["result"], step["receiver"]["state"]) == (
        "not-attempted",
        "wrong-secret",
    )
    assert "a different secret" in run.err
    assert "fix: give the receiver the declared secret" in run.err
