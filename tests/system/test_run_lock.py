"""Tests of two runs at once on one state: one works, and the other waits or is refused at once."""

from __future__ import annotations

import time
from subprocess import Popen
from typing import Any

import pytest

from hooksync.state.contract import Holder
from hooksync.state.local import LocalStore
from tests.conftest import Place
from tests.lanes import sampled

pytestmark = pytest.mark.usefixtures("real_scrypt")

LATENCY = 0.05  # seconds that each call takes
APPLY = ("apply", "--yes")
SINCE = 1_800_000_000
WHO = "archivist on host-7 (process 4711) since 2027-01-15T08:00:00Z"
HOLDER = Holder("archivist on host-7 (process 4711)", since=SINCE)


@pytest.fixture(autouse=True)
def slow(place: Place) -> None:
    place.box.latency = LATENCY


def state_of(place: Place) -> LocalStore:
    return LocalStore(str(place.folder / "hooks.state.json"))


def reach(place: Place, process: Popen[Any], calls: int) -> None:
    """Wait until the sandbox has seen so many calls."""
    while len(place.box.calls) < calls:
        assert process.poll() is None
        time.sleep(0.001)


def end(process: Popen[str]) -> tuple[int, str]:
    _, said = process.communicate()
    assert "Traceback" not in said
    return process.returncode, said


@pytest.mark.parametrize("pair", sampled(range(20), 20, 7))
def test_two_applies_at_once_create_each_subscription_only_once(place: Place, pair: int) -> None:
    with place.popen(*APPLY) as first, place.popen(*APPLY) as second:
        ends = [end(process) for process in (first, second)]
    codes = sorted(code for code, _ in ends)
    assert codes in ([0, 3], [0, 0]), ends  # 0 and 0: one apply began after the other had ended
    assert len(place.box.subscriptions("DEMO")) == 2
    refused = [said for code, said in ends if code == 3]
    assert all("another run of hooksync works with hooks.state.json" in said for said in refused)
    assert sum(call.name == "subscribe" for call in place.box.calls) == 2


def test_an_apply_during_an_apply_is_refused_before_any_call_and_names_the_apply(
    place: Place,
) -> None:
    place.environ |= {
        "GITHUB_RUN_ID": "7",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "a/hooks",
    }
    place.environ["GITHUB_ACTOR"] = "archivist"
    with place.popen(*APPLY) as first:
        reach(place, first, 1)
        calls = len([call for call in place.box.calls if call.name == "login"])
        run = place.run(*APPLY)
        assert (run.code, "waiting for" in run.err) == (3, False)
        assert (
            "works with hooks.state.json: https://github.com/a/hooks/actions/runs/7 since 20"
            in run.err
        )
        assert (
            "\n  fix: wait for it to end and run this again, or let this wait with --lock-timeout"
            " SECONDS; " in run.err
        )
        assert len([call for call in place.box.calls if call.name == "login"]) == calls
        assert end(first)[0] == 0


@pytest.mark.slow
def test_an_apply_with_a_lock_timeout_waits_and_then_finds_nothing_to_do(place: Place) -> None:
    assert place.run(*APPLY).code == 0
    with state_of(place).hold(HOLDER):
        second = place.popen(*APPLY, "--lock-timeout", "60")
        assert second.stderr is not None
        said = second.stderr.readline()
    with second:
        assert end(second) == (0, "")
    assert (
        said == "waiting for up to 60 seconds: another run of hooksync works with hooks.state.json:"
        f" {WHO}\n"
    )
    assert sum(call.name == "subscribe" for call in place.box.calls) == 2


def test_commands_that_change_nothing_take_no_lock(place: Place) -> None:
    with state_of(place).hold(HOLDER):
        assert place.run("plan").code == 0
        assert place.run("check").code == 0
        assert place.run("list").code == 0
    assert not (place.folder / "hooks.state.json").exists()


@pytest.mark.parametrize("seconds", ["-1", "nan", "86401", "soon"])
def test_an_invalid_lock_timeout_is_a_usage_error(place: Place, seconds: str) -> None:
    run = place.run(*APPLY, "--lock-timeout", seconds)
    assert run.code == 64
    assert "number from 0 to 86400" in run.err
