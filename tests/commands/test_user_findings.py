"""Results that were not true and outputs that did harm, as users met them."""

from __future__ import annotations

import json
import shlex

import pytest

from hooksync.sandbox.tenancies import Account, SandboxOptions
from tests.command_line import PASSWORD, USERNAME
from tests.conftest import HOOKS, URL_KEY, Place, unprobed
from tests.terminals import Terminal

REMOVE_FIRST = HOOKS.replace("tenant: DEMO", "tenant: DEMO\n    replacement: remove-first")
MOVED = "prod/catalogue/MOVED"


def live_url(place: Place) -> str:
    return f"{place.environ['RECEIVER']}?code={URL_KEY}"


@pytest.fixture
def made(place: Place) -> Place:
    """A place in which both subscriptions are live, and replaced by removing the old one first."""
    place.write(REMOVE_FIRST)
    assert place.run("apply", "--yes").code == 0
    return place


def test_what_others_made_in_the_place_of_a_lost_subscription_is_not_verified(made: Place) -> None:
    made.box.seed("DEMO", live_url(made), "MOVED", "a-foreign-secret-0123456789")
    made.box.faults.add("status-422@subscribe")
    run = made.run("apply", "--yes", "--replace", MOVED)
    assert run.code == 4
    assert "Verified" not in run.out
    assert "Not as declared: 1 subscription: resubscribe prod/catalogue/MOVED.\n" in run.out


def test_a_lost_response_after_the_removal_of_the_old_subscription_reports_the_gap(
    made: Place,
) -> None:
    made.environ["HOOKSYNC_LIST_WAIT"] = "0"
    made.box.faults.add("status-500@subscribe")
    run = made.run("apply", "--yes", "--replace", MOVED)
    assert run.code == 4
    assert "the old one is removed, and the list does not show what was made" in run.err


def test_probe_never_still_challenges_the_receiver_that_remove_first_needs(made: Place) -> None:
    made.receiver.set_secret("catalogue", "a-different-secret-0123456789")
    before = made.box.subscriptions("DEMO")
    made.write(unprobed(REMOVE_FIRST))
    run = made.run("apply", "--yes", "--replace", MOVED)
    assert (run.code, made.box.subscriptions("DEMO")) == (3, before)
    made.write(unprobed(HOOKS))
    assert made.run("apply", "--yes", "--replace", MOVED).code == 1


@pytest.mark.parametrize("path", ["hooks.yaml", "other.yml", "hooks.state.json"])
@pytest.mark.parametrize(
    "command",
    [("plan", "--out"), ("plan", "--metrics"), ("apply", "--yes", "--report")],
    ids=" ".join,
)
def test_no_output_replaces_a_hooks_file_or_the_state(
    made: Place, command: tuple[str, ...], path: str
) -> None:
    before = {each.name: each.read_bytes() for each in made.folder.iterdir()}
    calls = len(made.box.calls)
    run = made.run(*command, path)
    assert (run.code, len(made.box.calls)) == (64, calls)
    assert f"{path} would replace a hooks file or the state" in run.err
    assert {each.name: each.read_bytes() for each in made.folder.iterdir()} == before


def test_an_error_of_the_command_line_is_not_written_over_a_hooks_file(place: Place) -> None:
    assert place.run("apply", "--unknown", "--report", "hooks.yaml").code == 64
    assert (place.folder / "hooks.yaml").read_text() == HOOKS


def test_an_address_to_replace_that_no_target_selects_is_a_usage_error(place: Place) -> None:
    run = place.run("plan", "--target", "*/INDEXED", "--replace", MOVED)
    assert run.code == 64
    assert f'--replace "{MOVED}" matches no address' in run.err


@pytest.mark.parametrize(
    "options",
    [SandboxOptions(accounts=(Account(USERNAME, PASSWORD, ("DEMO", "TEST")),))],
    indirect=True,
)
def test_the_printed_forget_keeps_the_entries_of_a_different_tenant(place: Place) -> None:
    place.write(HOOKS.replace("DEMO", "TEST"))
    assert place.run("apply", "--yes").code == 0
    place.write(HOOKS)
    assert place.run("apply", "--yes").code == 0
    planned = place.run("plan")
    fix = planned.err.partition("to stop managing it, `")[2].partition("`")[0]
    words = shlex.split(fix)
    assert words[:3] == ["hooksync", "state", "forget"]
    assert "--tenant test" in shlex.join(words)
    assert place.run(*words[1:], "--yes").code == 0
    state = json.loads((place.folder / "hooks.state.json").read_text())
    assert {one["tenant"] for one in state["tenancies"] if one["entries"]} == {"demo"}
    assert place.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.usefixtures("real_scrypt")
def test_a_run_whose_lock_file_was_deleted_during_its_prompt_subscribes_nothing_again(
    place: Place,
) -> None:
    terminal = Terminal(place, "apply")
    terminal.read_until("Type yes to apply: ")
    refused = place.run("apply", "--yes")
    assert f"(process {terminal.process.pid})" in refused.err
    assert "its process, which may be waiting at a prompt" in refused.err
    (place.folder / "hooks.state.json.lock").unlink()
    assert place.run("apply", "--yes").code == 0
    state = place.state
    terminal.type("yes\n")
    assert terminal.finish() == 1
    assert "the run lock of hooks.state.json is lost: somebody deleted" in terminal.seen
    assert (len(place.box.subscriptions("DEMO")), place.state) == (2, state)


def test_a_plan_without_a_secret_warns_that_apply_would_stop(place: Place) -> None:
    del place.environ["CATALOGUE_SECRET"]
    what = "hooks.yaml:10:9: not set: secret env:CATALOGUE_SECRET"
    planned = place.run("plan")
    assert (planned.code, f"warning: {what}: apply would stop\n" in planned.err) == (0, True)
    applied = place.run("apply", "--yes")
    assert (applied.code, f"error: prod: {what}\n" in applied.err) == (1, True)
    assert ("would stop" in applied.err, place.changing_calls) == (False, [])
