"""Symptoms of wrong results and of missed limits, as users and attackers met them."""

from __future__ import annotations

import re
import shlex
from threading import Lock

import pytest

from hooksync.commands.plan_apply import ApplyOptions, apply
from hooksync.sandbox.tenancies import Account, SandboxOptions
from hooksync.state.contract import Holder
from hooksync.state.local import LocalStore
from tests.command_line import Run
from tests.conftest import HOOKS, SECRET, Place, owning, unprobed
from tests.memory_terminal import MemoryTerminal, make_context
from tests.schemas import assert_fits
from tests.state_makers import written
from tests.wire import Wire, answer, saying

EMPTY_ANSWERS = SandboxOptions(traits=("answer-empty",))
MANY_TENANTS = SandboxOptions(accounts=(Account(tenants=("Weißbach", "DEMO")),))


def urls(place: Place) -> set[str]:
    return {one.url for one in place.box.subscriptions("DEMO")}


@pytest.mark.parametrize("owns", ["none", "made", "all"])
def test_a_plain_apply_never_replaces_what_somebody_else_made_because_of_a_flag(
    place: Place, owns: str
) -> None:
    url = place.environ["RECEIVER"] + "?code=" + place.environ["FN_KEY"]
    place.write(owning(HOOKS, owns))
    theirs = place.box.seed("DEMO", url, "MOVED", SECRET, include_identifiers=False)
    run = place.run("apply", "--yes", "--target", "*/MOVED")
    assert (run.code, place.changing_calls) == (3, [])
    assert "secret unknown: prod/catalogue/MOVED" in run.err
    assert [one.id for one in place.box.subscriptions("DEMO")] == [theirs]


@pytest.mark.parametrize("options", [EMPTY_ANSWERS], indirect=True)
def test_a_success_with_an_empty_body_is_done_and_nothing_is_made_twice(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0
    assert place.run("apply", "--yes", "--replace", "*").code == 0
    assert place.run("plan", "--detailed-exitcode").code == 0
    assert len(place.box.subscriptions("DEMO")) == 2


@pytest.mark.parametrize("options", [SandboxOptions(traits=("no-challenge",))], indirect=True)
def test_two_files_with_prefixes_one_state_and_one_name_do_not_move_each_others_subscriptions(
    place: Place,
) -> None:
    place.environ["HOOKSYNC_STATE"] = "shared.state.json"
    for name in "ab":
        url = f"{place.environ['RECEIVER']}/{name}"
        text = owning(HOOKS, f'["{url}"]').replace("${RECEIVER}?code=${FN_KEY}", url)
        place.write(unprobed(text), f"{name}.yaml")
    for name in "abab":
        assert place.run("apply", "--yes", "-f", f"{name}.yaml").code == 0
    assert {url.rpartition("/")[2] for url in urls(place)} == {"a", "b"}
    assert len(place.changing_calls) == 4


@pytest.mark.parametrize("options", [MANY_TENANTS], indirect=True)
@pytest.mark.parametrize("tenant", ["Weißbach", "WEISSBACH", "weissbach"])
def test_forget_finds_a_tenant_however_its_letters_are_written(place: Place, tenant: str) -> None:
    place.write(HOOKS.replace("DEMO", "Weißbach"))
    assert place.run("apply", "--yes").code == 0
    assert place.run("state", "forget", "*", "--tenant", tenant, "--yes").code == 0
    assert written(place.state, "entries") == []


@pytest.mark.parametrize("status", [400, 422])
def test_after_a_passed_challenge_a_refusal_does_not_blame_the_secret(
    place: Place, status: int
) -> None:
    place.box.faults.add(f"status-{status}@subscribe:*")
    run = place.run("apply", "--yes")
    assert "the receiver has just answered hooksync's challenge" in run.err + run.out
    assert "holds the same secret" not in run.err + run.out
    place.write(unprobed(HOOKS))
    assert "holds the same secret" in place.run("apply", "--yes").err


def test_a_refused_challenge_names_what_hooksync_itself_found_and_does_not_blame_the_secret(
    place: Place,
) -> None:
    place.environ["RECEIVER"] = place.receiver.url("none")
    run = place.run("apply", "--yes")
    assert run.code == 1
    assert "holds the same secret" not in run.text
    assert place.run("apply", "--yes").text.count("accept a POST at this path") == 2


# --- another run


def test_while_another_run_applies_plan_and_list_report_it_first(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0
    said = "another run holds the run lock: ada on desk since "
    with LocalStore(str(place.folder / "hooks.state.json")).hold(Holder("ada on desk")):
        for command in ("plan", "list"):
            run = place.run(command)
            assert run.err.startswith(f"warning: {said}")
            assert run.err.count(said) == 1
            document = place.run(command, "--format", "json").json
            assert_fits(document, "plan")
            assert document["running"]["what"].startswith(said)
            assert document["warnings"][0]["what"].startswith(said)
    assert place.run("plan", "--format", "json").json["running"] is None


@pytest.mark.usefixtures("real_scrypt")
def test_the_half_done_steps_of_a_running_apply_are_no_drift(place: Place) -> None:
    place.write(unprobed(HOOKS.replace("[INDEXED, MOVED]", "[INDEXED, MOVED, INGEST_FAILED]")))
    assert place.run("apply", "--yes").code == 0
    place.write(unprobed(HOOKS))
    place.rotate()
    runs: list[Run] = []
    first = Lock()  # both creations run at once

    def look(call: str) -> None:
        if ": POST /api/webhook" in call and first.acquire(blocking=False):
            runs.append(place.run_process("plan", "--detailed-exitcode", "--notify", "env:HOOK"))
            runs.append(place.run_process("plan", "--quiet"))

    with Wire(saying(answer(b"ok"))) as wire:
        place.environ["HOOK"] = f"{wire.url}/notices"
        options = ApplyOptions(files=(str(place.folder / "hooks.yaml"),), is_confirmed=True)
        context = make_context(place.environ, terminal=MemoryTerminal(after_call=look))
        assert apply(options, context) == 0
    planned, quiet = runs
    assert planned.code == 2
    assert planned.out.endswith("not compared: 5 unfinished steps; 0 unchanged.\n")
    assert planned.err.count("another run holds the run lock") == 1
    assert (quiet.code, quiet.out, quiet.err.count("warning: ")) == (0, "", 1)
    [told] = wire.documents
    assert_fits(told, "notice")
    assert (told["event"], told["tenancies"][0]["conclusion"]) == ("in-progress", "in-progress")
    assert "another run holds the run lock" in told["problems"][0]["what"]


# --- limits


def test_a_lost_state_and_a_moved_url_are_not_planned_without_a_word(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0
    (place.folder / "hooks.state.json").unlink()
    place.write(HOOKS.replace("${RECEIVER}", "${RECEIVER}/new"))
    assert "No state yet (hooks.state.json)" in place.run("plan").out


def test_under_a_policy_two_names_of_one_server_are_refused_if_their_lists_share_an_id(
    place: Place,
) -> None:
    place.box.seed("DEMO", "https://vendor.example/", "MOVED", SECRET)
    place.environ["ALIAS"] = place.box.url.replace("127.0.0.1", "localhost")
    alias = HOOKS.partition("tenancies:\n")[2].replace("prod", "twin").replace("BOX", "ALIAS")
    place.write(HOOKS + alias)
    servers = [place.environ[name].split("/")[2] for name in ("BOX", "ALIAS")]
    policy = place.policy(servers=servers, place_variables=["BOX", "ALIAS", "RECEIVER"])
    run = place.run("apply", "--yes", "--policy", policy)
    assert (run.code, place.changing_calls) == (3, [])
    assert "prod and twin may be one tenancy" in run.err
    assert place.run("plan").code == 0  # without a policy, nothing is counted for each tenancy


# --- a missing state, and a run without the policy


def test_a_lost_state_beside_live_subscriptions_is_not_taken_for_a_new_one(place: Place) -> None:
    assert "No state yet (hooks.state.json)" in place.run("plan").out
    assert place.run("apply", "--yes").code == 0
    (place.folder / "hooks.state.json").rename(place.folder / "old.json")
    run = place.run("plan")
    assert "No state yet" not in run.text
    assert "There is no state at hooks.state.json.\n" in run.out
    assert run.text.count("`hooksync state push FILE") == 1
    [push, *_] = re.findall("`(hooksync [^`]*)`", run.err)
    words = [word.replace("FILE", "old.json") for word in shlex.split(push)]
    assert words == ["hooksync", "state", "push", "old.json"]
    assert place.run(*words[1:]).code == 0
    assert place.run("plan", "--detailed-exitcode").code == 0


def test_an_apply_without_the_policy_of_the_last_apply_warns_and_names_it(place: Place) -> None:
    place.environ["HOOKSYNC_PLAN_KEY"] = "key-of-the-plans-0123456789"
    policy = place.policy()
    said = f"the state was last written under the policy {policy}, and this run has none"
    assert said not in place.run("apply", "--yes", "--policy", policy).err
    assert said in place.run("apply", "--yes").err
    assert place.run("state", "move", "prod/catalogue/MOVED", "prod/search/MOVED").code == 0
    place.write(HOOKS.replace("INDEXED, ", ""))
    assert said in place.run("apply", "--yes").err  # nothing else has written the state
    assert said not in place.run("apply", "--yes").err
