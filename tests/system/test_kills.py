"""A process of hooksync that is killed, or asked to end, in the middle of an apply, against a sandbox by real HTTP.

The moment is chosen by the number of calls that the sandbox has seen, not by time. The moments are the same in every
run of these tests: `HOOKSYNC_KILL_SEED` chooses others.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hooksync.sandbox.receiver import Receiver
from hooksync.sandbox.server import Sandbox, SandboxOptions
from tests.conftest import SECRET, Place, make_environ
from tests.lanes import sampled
from tests.terminals import Terminal

NEW_SECRET = "n3w-secret-of-the-catalogue-0123456"
STEADY_SECRET = "steady-secret-of-the-archive-012345"
LATENCY = 0.02  # seconds

HEAD = """\
version: 1
tenancies:
  prod:
    server: ${BOX}
    tenant: DEMO
    replacement: create-first
    probe: never
    subscriptions:
"""
ROTATING, STEADY, GONE, ADDED, MOVING = ("r1", "r2", "r3"), ("k1", "k2"), ("g1", "g2"), ("a1", "a2"), ("m1", "m2")
CALLS = 18  # of a whole apply: log-in, list, 7 POST, 7 DELETE, list, and a bit

_CHANCE = random.Random(os.environ.get("HOOKSYNC_KILL_SEED", "hooksync"))
KILLS = [
    (replacement, moment)
    for replacement in ("create-first", "remove-first")
    for moment in sorted(_CHANCE.sample(range(2, CALLS), 6))
]


def hooks(*names: str, replacement: str = "create-first", has_moved: bool = False) -> str:
    """Write a hooks file with these subscriptions; the steady ones have a receiver and a secret of their own.

    `has_moved`: those that move have another URL than before.
    """

    def line(name: str) -> str:
        is_steady = name in (*STEADY, MOVING[0])  # the second one that moves rotates as well
        receiver, secret = ("STEADY", "STEADY_SECRET") if is_steady else ("RECEIVER", "CATALOGUE_SECRET")
        query = f"{name}-moved" if has_moved and name in MOVING else name
        return f"      {name}: {{url: '${{{receiver}}}?n={query}', trigger: MOVED, secret: {{env: {secret}}}}}\n"

    return HEAD.replace("create-first", replacement) + "".join(map(line, names))


def environ_for(box: Sandbox, receiver: Receiver, secret: str) -> dict[str, str]:
    return make_environ(
        BOX=box.url,
        RECEIVER=receiver.url("catalogue"),
        STEADY=receiver.url("steady"),
        STEADY_SECRET=STEADY_SECRET,
        CATALOGUE_SECRET=secret,
    )


@dataclass(frozen=True)
class Start:
    """What every test begins with: a tenancy's state and the state that goes with it."""

    folder: Path
    receiver: Receiver

    @contextmanager
    def place(self, folder: Path, replacement: str) -> Iterator[Place]:
        """Give a copy of it, where secrets rotated, receivers moved, two are new and two are not declared."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        with Sandbox(SandboxOptions(latency=LATENCY, data=folder / "data.json")) as box:
            place = Place(folder, box, self.receiver, environ_for(box, self.receiver, NEW_SECRET))
            place.write(hooks(*ROTATING, *STEADY, *ADDED, *MOVING, replacement=replacement, has_moved=True))
            yield place


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    folder = tmp_path_factory.mktemp("start")
    with Receiver({"catalogue": [SECRET], "steady": [STEADY_SECRET]}) as receiver:
        with Sandbox(SandboxOptions(data=folder / "data.json")) as box:
            place = Place(folder, box, receiver, environ_for(box, receiver, SECRET))
            place.write(hooks(*ROTATING, *STEADY, *GONE, *MOVING))
            made = place.run("apply", "--yes")
            assert made.code == 0, made.err
        receiver.set_secret("catalogue", NEW_SECRET, SECRET)
        yield Start(folder, receiver)


def wait_for_calls(place: Place, process: subprocess.Popen[Any], number: int) -> None:
    """Wait until the sandbox has seen so many calls, or the process has ended."""
    while len(place.box.calls) < number and process.poll() is None:
        time.sleep(0.0005)


def assert_next_run_puts_it_right(place: Place) -> None:
    run = place.run("apply", "--yes", "--format", "json")
    assert run.code == 0, run.out + run.err
    held = sorted((one.url.rpartition("=")[2], one.secret) for one in place.box.subscriptions("DEMO"))
    wanted = [(name, NEW_SECRET) for name in (*ROTATING, *ADDED, "m2-moved")]
    wanted += [(name, STEADY_SECRET) for name in (*STEADY, "m1-moved")]
    assert held == sorted(wanted)
    state = json.loads((place.folder / "hooks.state.json").read_text())
    assert state["intents"] == []
    plan = place.run("plan", "--format", "json", "--detailed-exitcode")
    assert plan.code == 0, plan.out
    assert states(plan.json) == [("keep", "same")] * len(wanted)


def states(plan: Any) -> list[tuple[str, str]]:
    return [(step["action"], step["secret"]["state"]) for step in plan["tenancies"][0]["steps"]]


@pytest.mark.parametrize(("replacement", "moment"), sampled(KILLS, 6))
def test_a_killed_run_is_put_right_by_the_next(start: Start, tmp_path: Path, replacement: str, moment: int) -> None:
    with start.place(tmp_path, replacement) as place:
        steady = {one.id for one in place.box.subscriptions("DEMO") if one.url.rpartition("=")[2] in STEADY}
        with place.popen("apply", "--yes", "--parallelism", "2") as process:
            wait_for_calls(place, process, moment)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate(timeout=30)
        assert process.returncode == -signal.SIGKILL
        time.sleep(5 * LATENCY)  # what was under way is still carried out
        assert steady <= {one.id for one in place.box.subscriptions("DEMO")}
        assert_next_run_puts_it_right(place)


@pytest.mark.parametrize("replacement", sampled(["create-first", "remove-first"], 2))
@pytest.mark.parametrize(
    ("number", "code"), sampled([(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)], 3)
)
def test_a_run_that_is_asked_to_end_reports_and_is_put_right_by_the_next(
    start: Start, tmp_path: Path, replacement: str, number: signal.Signals, code: int
) -> None:
    with start.place(tmp_path, replacement) as place:
        arguments = ("--parallelism", "2", "--format", "json", "--report", "report.json")
        before = {one.id for one in place.box.subscriptions("DEMO")}
        with place.popen("apply", "--yes", *arguments) as process:
            wait_for_calls(place, process, 5)
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
        assert process.returncode == code, err
        assert "Traceback" not in err
        assert "unforeseen: " not in err
        report = json.loads(out)
        assert json.loads((place.folder / "report.json").read_text()) == report
        [told] = report["tenancies"]
        outcomes = {step["outcome"] for step in told["steps"]}
        assert "not-attempted" in outcomes
        assert outcomes <= {"done", "half-done", "not-attempted", "unchanged"}
        made = {one.id for one in place.box.subscriptions("DEMO")} - before
        assert {step["new_id"] for step in told["steps"] if step.get("new_id")} == made
        state = json.loads((place.folder / "hooks.state.json").read_text())
        assert state["intents"] == []
        assert_next_run_puts_it_right(place)


def test_a_run_goes_on_without_a_terminal_that_it_was_told_to_outlive(start: Start, tmp_path: Path) -> None:
    """As under nohup."""
    with start.place(tmp_path, "create-first") as place:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a child inherits what is ignored
        try:
            process = place.popen("apply", "--yes", "--parallelism", "2")
        finally:
            signal.signal(signal.SIGHUP, before)
        with process:
            wait_for_calls(place, process, 5)
            process.send_signal(signal.SIGHUP)
            _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err


@pytest.mark.slow
def test_a_run_whose_terminal_goes_away_writes_its_report_and_is_put_right_by_the_next(
    start: Start, tmp_path: Path
) -> None:
    with start.place(tmp_path, "create-first") as place:
        terminal = Terminal(place, "apply", "--yes", "--parallelism", "2", "--report", "report.json")
        wait_for_calls(place, terminal.process, 5)
        terminal.hang_up()
        terminal.process.send_signal(signal.SIGHUP)
        assert terminal.process.wait(30) == 143
        report = json.loads((place.folder / "report.json").read_text())
        assert report["summary"]["not-attempted"] > 0
        assert json.loads((place.folder / "hooks.state.json").read_text())["intents"] == []
        assert_next_run_puts_it_right(place)
