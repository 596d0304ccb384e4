"""Secrets that rotate, as a user runs it: the state, the probe, replacement without a gap, runs
that were killed.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from hooksync.sandbox.tenancies import SandboxOptions
from tests.conftest import HIDDEN, HOOKS, SECRET, URL_KEY, Place

NEW_SECRET = "n3w-secret-of-the-catalogue-0123456"
ONE = HOOKS.replace("triggers: [INDEXED, MOVED]", "trigger: MOVED")


@pytest.fixture
def made(place: Place) -> Place:
    """A place whose one subscription is made, and in the state."""
    place.write(ONE)
    run = place.run("apply", "--yes")
    assert run.code == 0, run.err
    return place


def state(place: Place) -> Any:
    return json.loads((place.folder / "hooks.state.json").read_text())


def rotate(place: Place, *, receiver: bool = True) -> None:
    place.environ["CATALOGUE_SECRET"] = NEW_SECRET
    if receiver:
        place.receiver.set_secret("catalogue", NEW_SECRET, SECRET)


def calls_since(place: Place, before: int) -> list[str]:
    return [f"{call.method} {call.name}" for call in place.box.calls[before:]]


def test_what_is_made_is_in_the_state_and_nothing_of_the_secret_is(made: Place) -> None:
    path = made.folder / "hooks.state.json"
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    for hidden in (*HIDDEN, SECRET.encode().hex()):
        assert hidden not in text
    [entry] = (
        state(made)["subscriptions"] if "subscriptions" in state(made) else state(made)["entries"]
    )
    assert entry["address"] == "prod/catalogue/MOVED"
    assert entry["id"] == made.box.subscriptions("DEMO")[0].id
    assert state(made)["intents"] == []


def test_an_unchanged_secret_is_the_same_and_needs_nothing(made: Place) -> None:
    plan = made.run("plan", "--format", "json")
    [step] = plan.json["tenancies"][0]["steps"]
    assert (step["action"], step["secret"]["state"]) == ("keep", "same")
    assert plan.json["state"] == "hooks.state.json"


def test_a_rotated_secret_is_seen_and_replaced_new_one_first(made: Place) -> None:
    rotate(made)
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
        "GET list",  # it shows the new one
        "DELETE unsubscribe",
        "GET list",
    ]
    [new] = made.box.subscriptions("DEMO")
    assert (new.id != old.id, new.secret) == (True, NEW_SECRET)
    assert made.run("plan").out.startswith("No changes.")


def test_the_environment_names_the_state_and_the_flag_wins(made: Place) -> None:
    (made.folder / "hooks.state.json").rename(made.folder / "other.state.json")
    made.environ["HOOKSYNC_STATE"] = "other.state.json"
    named = made.run("plan", "--format", "json", "--out", "plan.json")
    assert named.json["state"] == "other.state.json"
    assert named.json["tenancies"][0]["steps"][0]["secret"]["state"] == "same"
    assert made.run("plan", "--format", "json", "--state", "flag.json").json["state"] == "flag.json"
    assert made.run("plan", "--format", "json", "--no-state").json["state"] is None
    made.environ["HOOKSYNC_STATE"] = "third.state.json"
    rotate(made)
    assert made.run("apply", "plan.json").code == 0
    made.environ["HOOKSYNC_STATE"] = ""
    assert made.run("plan", "--format", "json").json["state"] == "hooks.state.json"


def test_a_receiver_that_holds_the_old_secret_refuses_the_tenancy_before_any_call(
    made: Place,
) -> None:
    rotate(made, receiver=False)
    before = len(made.box.calls)
    run = made.run("apply", "--yes", "--format", "json")
    assert run.code == 3
    assert calls_since(made, before) == ["POST login", "GET list"]
    [step] = run.json["tenancies"][0]["steps"]
    assert (step["outcome"], step["receiver"]["state"]) == ("not-attempted", "wrong-secret")
    assert "a different secret" in run.err
    assert "fix: give the receiver the declared secret" in run.err


def test_plan_asks_receivers_only_when_told_to(made: Place) -> None:
    rotate(made, receiver=False)
    challenges = made.receiver.answers["catalogue", "challenge"]
    assert made.run("plan").err == ""
    assert made.receiver.answers["catalogue", "challenge"] == challenges
    probed = made.run("plan", "--probe")
    assert probed.code == 3
    assert "apply would refuse: " in probed.err


def test_a_failing_removal_is_finished_by_the_next_run_which_keeps_the_newer(made: Place) -> None:
    rotate(made)
    [old] = made.box.subscriptions("DEMO")
    made.box.faults.add("status-500@unsubscribe")
    run = made.run("apply", "--yes")
    assert run.code == 4
    assert "half done: resubscribe prod/catalogue/MOVED" in run.out
    assert len(made.box.subscriptions("DEMO")) == 2
    before = len(made.box.calls)
    again = made.run("apply", "--yes")
    assert again.code == 0, again.err
    assert calls_since(made, before) == ["POST login", "GET list", "DELETE unsubscribe", "GET list"]
    [left] = made.box.subscriptions("DEMO")
    assert (left.id != old.id, left.secret) == (True, NEW_SECRET)


def test_without_a_state_nothing_is_changed_and_it_is_said(made: Place) -> None:
    (made.folder / "hooks.state.json").unlink()
    rotate(made)
    plan = made.run("plan", "--detailed-exitcode")
    assert (plan.code, plan.out) == (
        0,
        (
            "No changes. 1 tenancy matches hooks.yaml; 1 unchanged (1 with an unknown"
            " secret).\nThere is no state at hooks.state.json: rotated secrets and moved receivers"
            " go unnoticed.\n"
        ),
    )
    said = (
        "the secret of 1 kept subscription is unknown, so a rotation is not seen:"
        " prod/catalogue/MOVED"
    )
    assert said in plan.err
    stateless = made.run("plan", "--no-state")
    assert "1 unchanged (1 with an unknown secret)" in stateless.out
    assert said in stateless.err


def test_adopt_records_what_is_kept_without_a_call_that_changes(made: Place) -> None:
    (made.folder / "hooks.state.json").unlink()
    before = len(made.box.calls)
    adopted = made.run("apply", "--adopt")
    assert (adopted.code, adopted.err) == (
        0,
        (
            "adopted: 1 of 1 with an unknown secret, now recorded with the declared one in"
            " hooks.state.json\n"
        ),
    )
    assert calls_since(made, before) == ["POST login", "GET list"]
    rotate(made)
    assert made.run("plan", "--detailed-exitcode").code == 2


def test_adopt_warns_of_a_secret_that_is_not_set_and_adopts_nothing(made: Place) -> None:
    (made.folder / "hooks.state.json").unlink()
    del made.environ["CATALOGUE_SECRET"]
    run = made.run("apply", "--adopt")
    assert run.code == 3
    assert "warning: hooks.yaml:10:17: secret env:CATALOGUE_SECRET is not set" in run.err
    assert "adopted: 0 of 1 with an unknown secret\n" in run.err
    assert not (made.folder / "hooks.state.json").exists()


def test_what_is_kept_tells_the_state_of_its_secret_when_all_is_shown(made: Place) -> None:
    assert (
        "      secret               same (env:CATALOGUE_SECRET)\n" in made.run("plan", "--all").out
    )
    (made.folder / "hooks.state.json").unlink()
    assert (
        "      secret               unknown (env:CATALOGUE_SECRET)\n"
        in made.run("plan", "--all").out
    )


def test_an_apply_without_adopt_adopts_nothing(made: Place) -> None:
    (made.folder / "hooks.state.json").unlink()
    assert made.run("apply").code == 0
    assert sorted(path.name for path in made.folder.iterdir()) == [
        "hooks.state.json.lock",
        "hooks.yaml",
    ]


def test_a_secret_that_is_not_set_leaves_a_kept_one_alone_with_a_warning(made: Place) -> None:
    del made.environ["CATALOGUE_SECRET"]
    plan = made.run("plan", "--format", "json")
    assert plan.code == 0
    [step] = plan.json["tenancies"][0]["steps"]
    assert (step["action"], step["secret"]["state"]) == ("keep", "not-set")
    assert "secret env:CATALOGUE_SECRET is not set" in plan.err
    assert made.run("apply").code == 0


def test_replace_works_after_the_state_was_lost(made: Place) -> None:
    rotate(made)
    (made.folder / "hooks.state.json").unlink()
    assert made.run("apply", "--yes", "--replace", "*").code == 0
    assert [one.secret for one in made.box.subscriptions("DEMO")] == [NEW_SECRET]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": "hooksync.state/2"}', '{"format": "terraform"}', "<<<<<<< HEAD"],
)
def test_a_state_that_cannot_be_read_never_makes_a_plan(made: Place, text: str) -> None:
    (made.folder / "hooks.state.json").write_text(text)
    before = len(made.box.calls)
    for command in (("plan",), ("apply", "--yes")):
        run = made.run(*command)
        assert (run.code, run.out) == (1, "")
        assert "hooks.state.json" in run.err
        assert "fix: " in run.err
    assert len(made.box.calls) == before
    assert (made.folder / "hooks.state.json").read_text() == text


def test_a_state_that_cannot_be_written_stops_apply_before_any_change(place: Place) -> None:
    run = place.run("apply", "--yes", "--state", "nowhere/hooks.state.json")
    assert run.code == 1
    assert "nowhere/hooks.state.json" in run.err
    assert place.box.subscriptions("DEMO") == ()


def test_entries_of_what_is_gone_are_dropped_and_those_of_other_tenancies_stay(made: Place) -> None:
    path = made.folder / "hooks.state.json"
    other = ONE.replace("prod:", "other:").replace("DEMO", "OTHER")
    with type(made.box)(SandboxOptions(accounts=(account(tenants=("OTHER",)),))) as box:
        made.environ["BOX"], mine = box.url, made.environ["BOX"]
        made.write(other)
        assert made.run("apply", "--yes").code == 0
    assert {entry["tenancy"] for entry in entries(path)} == {"prod", "other"}
    made.environ["BOX"] = mine
    made.write(ONE)
    [one] = made.box.subscriptions("DEMO")
    made.box.remove("DEMO", one.id)
    assert made.run("apply", "--yes").code == 0
    assert sorted(entry["tenancy"] for entry in entries(path)) == ["other", "prod"]
    assert one.id not in path.read_text()


def account(**settings: Any) -> Any:
    from hooksync.sandbox.accounts import Account

    return Account(**settings)


def entries(path: Path) -> list[dict[str, Any]]:
    document = json.loads(path.read_text())
    return document["subscriptions"] if "subscriptions" in document else document["entries"]


def assert_known_once_adopted(place: Place, number: int) -> None:
    """What a killed run made has an unknown secret, as no answer told its id, until it is adopted."""
    for expected in ("unknown", "same"):
        plan = place.run("plan", "--format", "json")
        states = [step["secret"]["state"] for step in plan.json["tenancies"][0]["steps"]]
        assert states == [expected] * number
        assert place.run("apply", "--adopt", "--yes").code == 0


@pytest.mark.parametrize("fault", ["stall-30@unsubscribe", "slow-30@subscribe"])
@pytest.mark.slow
def test_a_run_killed_between_the_calls_is_finished_by_the_next_which_keeps_the_newer(
    made: Place, fault: str
) -> None:
    rotate(made)
    [old] = made.box.subscriptions("DEMO")
    made.box.faults.add(fault)
    with made.popen("apply", "--yes") as process:
        while not (
            len(made.box.subscriptions("DEMO")) == 2
            and made.box.calls[-1].name == fault.rpartition("@")[2]
        ):
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
    assert len(made.box.subscriptions("DEMO")) == 2
    run = made.run("apply", "--yes", "--timeout", "60")
    assert run.code == 0, run.err
    [left] = made.box.subscriptions("DEMO")
    assert left.id != old.id
    assert left.secret == NEW_SECRET
    assert state(made)["intents"] == []
    assert_known_once_adopted(made, 1)


@pytest.mark.slow
def test_a_run_killed_after_its_last_call_is_settled_by_the_next(place: Place) -> None:
    place.write(ONE)
    place.box.faults.add("stall-30@list:1:1")  # the verification
    with place.popen("apply", "--yes") as process:
        while len(place.box.calls) < 4:
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
    assert state(place)["intents"] != []
    assert place.run("apply").code == 0
    assert state(place)["intents"] == []
    assert_known_once_adopted(place, 1)


@pytest.mark.slow
def test_a_targeted_run_leaves_what_a_killed_run_left_of_others(place: Place) -> None:
    place.box.faults.add("stall-30@list:1:1")  # the verification
    with place.popen("apply", "--yes") as process:
        while len(place.box.calls) < 5:
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
    assert place.run("apply", "--yes", "--target", "*/INDEXED").code == 0
    assert [intent["address"] for intent in state(place)["intents"]] == ["prod/catalogue/MOVED"]
    assert place.run("apply", "--yes").code == 0
    assert state(place)["intents"] == []
    assert_known_once_adopted(place, 2)


REQUIRE = ONE.replace("    tenant: DEMO\n", "    tenant: DEMO\n    probe: require\n")
NEVER = ONE.replace("    tenant: DEMO\n", "    tenant: DEMO\n    probe: never\n")


@pytest.mark.parametrize(("text", "code"), [(ONE, 1), (REQUIRE, 3), (NEVER, 1)])
def test_a_receiver_that_is_not_there_warns_or_refuses_as_the_file_says(
    place: Place, text: str, code: int
) -> None:
    place.environ["RECEIVER"] = "http://127.0.0.1:1/hook"
    place.write(text)
    run = place.run("apply", "--yes")
    assert run.code == code
    assert ("\nwarning: " in f"\n{run.err}") == (text == ONE)
    assert ("\nrefused: " in f"\n{run.err}") == (text == REQUIRE)
    assert URL_KEY not in run.err


def test_a_refused_replacement_whose_receiver_is_ready_hints_at_remove_first(made: Place) -> None:
    rotate(made)
    made.box.faults.add("status-422@subscribe:*")
    run = made.run("apply", "--yes")
    assert run.code == 1
    assert "replacement: remove-first" in run.out


def test_many_subscriptions_of_one_secret_share_one_salt(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0
    assert len(state(place)["salts"]) == 1


@pytest.mark.slow
def test_an_interrupted_run_settles_the_state(place: Place) -> None:
    lines = "".join(
        f"      n{n}: {{url: '${{RECEIVER}}?n={n}', trigger: MOVED, secret: {{env:"
        " CATALOGUE_SECRET}}\n"
        for n in range(20)
    )
    place.write(HOOKS.split("      catalogue:")[0] + lines)
    place.box.faults.add("stall-0.3@subscribe:*")
    with place.popen("apply", "--yes", "-v", "--parallelism", "2") as process:
        assert process.stderr is not None
        while "POST /api/webhook/subscriptions -> 200" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    made = {one.id for one in place.box.subscriptions("DEMO")}
    assert {entry["id"] for entry in entries(place.folder / "hooks.state.json")} == made
    assert state(place)["intents"] == []
