"""Two runs of hooksync at once on one tenancy, which nothing but the run lock of a state that they share keeps apart.

With one state the second is refused, and the first works as if it were alone. Else one run is held after a number of
its calls, by the terminal that hears of them, while the other goes from its beginning to its end; or both are let go at
the same moment; or both are processes. Whatever comes of it, the one that looks last says what it sees, and the next
run leaves what is declared.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from subprocess import PIPE, Popen
from sys import executable
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from hooksync.commands import plan_apply
from hooksync.core.errors import ExitCode
from hooksync.sandbox.server import Sandbox
from tests.conftest import make_environ
from tests.faults.judge import schema_errors, tenancies
from tests.faults.run import Came, Recorder, carry_out, options_for
from tests.faults.scene import OURS, TENANT, environ, options_of, ours, prepare, theirs, wanted
from tests.faults.table import WAYS, Way
from tests.lanes import sampled

if TYPE_CHECKING:
    from hooksync.service.retry import CallRecord

LATENCY = 0.02  # seconds, of each call, so that two processes are at work at the same time
PATIENCE = 60.0  # seconds that one run may wait for the other
NAMED = {way.name: way for way in WAYS}
LISTED = 2  # calls after which a run knows what is live: log-in and list
STATES = ("one state", "a state each", "no state")
ORDERS = [  # how the runs are made, what they share, and after how many of its 13 calls the first one is held
    *(("create-first", states, calls) for states in STATES for calls in (1, LISTED, 4, 6, 7, 9, 12)),
    *(("remove-first", states, calls) for states in STATES for calls in (LISTED, 3, 6, 7, 8)),
    *(("refuse-duplicates", "one state", calls) for calls in (LISTED, 4, 6, 8)),
    *(("answer-without-id", "one state", calls) for calls in (LISTED, 4, 7, 8, 10)),
    *(("minimal-list", "a state each", calls) for calls in (LISTED, 6, 9)),
]


@dataclass(slots=True)
class Held(Recorder):
    """A terminal that holds its run after so many calls, until it is let go."""

    after: int = LISTED
    made: int = 0
    is_held: Event = field(default_factory=Event)
    let_go: Event = field(default_factory=Event)

    def watch(self, record: CallRecord) -> None:
        self.made += 1
        if self.made == self.after:
            self.is_held.set()
            assert self.let_go.wait(PATIENCE)


@dataclass(slots=True)
class Stage:
    """A tenancy, and the folders of two runs: one folder, or one on each machine."""

    way: Way
    box: Sandbox
    folders: tuple[Path, Path]

    def apply(self, number: int, terminal: Recorder, parallelism: int = 1) -> Came:
        files = (str(self.folders[number] / "hooks.yaml"),)
        return carry_out(
            plan_apply.apply, options_for(self.way, files=files, parallelism=parallelism), terminal, self.box
        )

    def assert_next_runs_leave_what_is_declared(self) -> None:
        for number in (0, 1):
            came = self.apply(number, Recorder())
            assert (came.code, came.crash) == (ExitCode.DONE, ""), came.err + came.crash
            assert ours(came.live) == wanted(self.way)
        assert came.before == came.live

    def is_as_declared(self, came: Came) -> bool:
        return ours(came.live) == wanted(self.way)


@contextmanager
def staged(folder: Path, name: str, states: str, latency: float = 0.0) -> Iterator[Stage]:
    way = NAMED[name if states != "no state" else f"{name}, no state"]
    first, second = folder / "first", folder / "second"
    first.mkdir()
    prepare(way, first)
    if states == "a state each":
        shutil.copytree(first, second)
    else:
        second = first
    with Sandbox(replace(options_of(way, first / "held.json"), latency=latency)) as box:
        yield Stage(way, box, (first, second))


def report(came: Came) -> Any:
    """Hold a run to what any run is held to; give what it tells of its tenancy."""
    assert came.crash == ""
    assert schema_errors(came, "report") == []
    assert came.code in (ExitCode.DONE, ExitCode.ERROR, ExitCode.PARTLY_APPLIED)
    [told] = tenancies(came)
    return told


def assert_tells_what_it_sees(stage: Stage, came: Came) -> None:
    """Hold a run that looked when nobody else did anything any more, or yet, to what there is."""
    told = report(came)
    assert told["not_verified"] is None
    assert bool(told["differences"]) == (not stage.is_as_declared(came)), came.err
    if told["differences"]:
        assert came.code == ExitCode.PARTLY_APPLIED


def assert_is_refused(came: Came) -> None:
    """Hold a run to what becomes of it where another one holds the run lock of its state."""
    assert (came.code, came.crash, came.out) == (ExitCode.REFUSED, "", "")
    assert "another run of hooksync works with " in came.err


def assert_nothing_is_lost(stage: Stage, came: Came) -> None:
    assert theirs(came.live) == theirs(came.before)
    places = {(one.url, one.trigger) for one in came.live}
    assert {(url, trigger) for url, trigger, *_ in wanted(stage.way)} <= places


@pytest.mark.parametrize(("name", "states", "calls"), sampled(ORDERS, 8))
def test_of_two_runs_the_one_that_looks_last_tells_of_what_the_other_did(
    tmp_path: Path, name: str, states: str, calls: int
) -> None:
    with staged(tmp_path, name, states) as stage, ThreadPoolExecutor(1) as threads:
        terminal = Held(after=calls)
        first = threads.submit(stage.apply, 0, terminal)
        try:
            assert terminal.is_held.wait(PATIENCE)
            between = stage.apply(1, Recorder())
        finally:
            terminal.let_go.set()
        came = first.result()
        if states == "one state":
            assert_is_refused(between)
        else:
            assert_tells_what_it_sees(stage, between)
        assert_tells_what_it_sees(stage, came)
        assert_nothing_is_lost(stage, came)
        stage.assert_next_runs_leave_what_is_declared()


@pytest.mark.parametrize("states", sampled(STATES[1:], 2))
def test_two_runs_that_planned_the_same_make_duplicates_and_say_so(tmp_path: Path, states: str) -> None:
    with staged(tmp_path, "create-first", states) as stage, ThreadPoolExecutor(2) as threads:
        terminals = [Held(), Held()]
        runs = [threads.submit(stage.apply, number, terminal, 8) for number, terminal in enumerate(terminals)]
        try:
            assert all(terminal.is_held.wait(PATIENCE) for terminal in terminals)
        finally:
            for terminal in terminals:
                terminal.let_go.set()
        told = [report(run.result()) for run in runs]
        came = max((run.result() for run in runs), key=lambda each: len(each.calls))
        there = Counter(one.url for one in stage.box.subscriptions(TENANT))
        assert there[f"{OURS}/fresh"] == 4
        doubled = [each for each in told if each["differences"]]
        assert doubled
        for each in doubled:
            assert {difference["action"] for difference in each["differences"]} <= {"unsubscribe", "resubscribe"}
        assert ExitCode.PARTLY_APPLIED in [run.result().code for run in runs]
        assert_nothing_is_lost(stage, came)
        stage.assert_next_runs_leave_what_is_declared()


@pytest.mark.parametrize("seen", sampled([LISTED, 0, 5], 3))
@pytest.mark.slow
def test_of_two_processes_at_once_one_is_refused_or_finds_nothing_to_do(tmp_path: Path, seen: int) -> None:
    with staged(tmp_path, "create-first", "one state", LATENCY) as stage:

        def start() -> Popen[str]:
            command = [executable, "-m", "hooksync", "apply", "--yes", "--format", "json", "--no-probe"]
            settings = {**make_environ(), **environ(stage.box.url)}
            return Popen(command, cwd=stage.folders[0], env=settings, stdout=PIPE, stderr=PIPE, text=True)

        with start() as first:
            while len(stage.box.calls) < seen and first.poll() is None:
                time.sleep(0.001)
            with start() as second:
                said = [process.communicate(timeout=PATIENCE) for process in (first, second)]
        live = stage.box.subscriptions(TENANT)
        assert ours(live) == wanted(stage.way)
        for process, (out, err) in zip((first, second), said, strict=True):
            assert "Traceback" not in err
            came = Came(process.returncode, out, err, "", (), live, live, "")
            if came.code == ExitCode.REFUSED:
                assert_is_refused(came)
            else:
                assert not report(came)["differences"]
        assert {first.returncode, second.returncode} <= {ExitCode.DONE, ExitCode.REFUSED}
        assert ExitCode.DONE in (first.returncode, second.returncode)
        stage.assert_next_runs_leave_what_is_declared()
