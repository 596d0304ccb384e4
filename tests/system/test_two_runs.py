"""Two runs of hooksync at once on one tenancy. With one state, the run lock lets one work, and tells the other why not.

With a state each, or none, nothing keeps them apart. One run is held after a number of its calls, by the terminal that
hears of them, while the other goes from its beginning to its end; or both are let go at the same moment; or both are
processes. Whatever comes of it, the one that looks last says what it sees; and once both have run again, one after the
other, each subscription is there once, with the right secret wherever it is called the same.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from subprocess import PIPE, Popen
from sys import executable
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from hooksync.core.errors import ExitCode
from tests.boxes import Sandbox
from tests.clocks import JumpingClock
from tests.conftest import make_environ
from tests.lanes import sampled
from tests.laws import (
    LAWS,
    Law,
    broken_by,
    broken_when_settled,
    no_secret_is_shown,
    nothing_outside_owns_changes,
    same_means_same,
)
from tests.system.stage import (
    BRIDGED,
    NAMED,
    OURS,
    TENANT,
    Came,
    Recorder,
    Stage,
    environ,
    options_of,
    ours,
    prepare_both,
    wanted,
)

if TYPE_CHECKING:
    from hooksync.service.http import CallRecord

AT_ONCE = (nothing_outside_owns_changes, same_means_same, no_secret_is_shown)  # laws that need not know who did what
LATENCY = 0.02  # seconds, of each call, so that two processes are at work at the same time
PATIENCE = 60.0  # seconds that one run may wait for the other
LISTED = 2  # calls after which a run knows what is live: log-in and list
ONE, EACH, NONE = "one state", "a state each", "no state"
ORDERS = [  # how the runs are made, what they share, and after how many of its 13 calls the first one is held
    *(("create-first", states, calls) for states in (EACH, NONE) for calls in (1, LISTED, 4, 6, 7, 9, 12)),
    *(("remove-first", states, calls) for states in (EACH, NONE) for calls in (LISTED, 3, 6, 7, 8)),
    *(("refuse-duplicates", EACH, calls) for calls in (LISTED, 4, 6, 8)),
    *(("answer-without-id", EACH, calls) for calls in (LISTED, 4, 7, 8, 10)),
    *(("minimal-list", EACH, calls) for calls in (LISTED, 6, 9)),
    *(("create-first, the list lags", EACH, calls) for calls in (LISTED, 4, 6, 9)),
]


@dataclass(slots=True)
class Held(Recorder):
    """A terminal that holds its run after so many calls, until it is let go."""

    is_held: Event = field(default_factory=Event)
    let_go: Event = field(default_factory=Event)

    def watch(self, record: CallRecord) -> None:
        self.calls += 1
        if self.calls == self.moment:
            self.is_held.set()
            assert self.let_go.wait(PATIENCE)


@contextmanager
def staged(folder: Path, name: str, states: str, latency: float = 0.0) -> Iterator[Stage]:
    way, clock = NAMED[name if states != NONE else f"{name}, no state"], JumpingClock()
    folders = prepare_both(way, states, folder)
    with Sandbox(replace(options_of(way, folders[0] / "held.json", clock), latency=latency)) as box:
        yield Stage(way, box, clock, folders)


def assert_next_runs_leave_what_is_declared(stage: Stage) -> None:
    assert isinstance(stage.clock, JumpingClock)
    stage.clock.advance(BRIDGED)  # what the one made and the other one removed counts as live no more
    for number, is_second in ((0, False), (1, False), (0, True), (1, True)):
        came = stage.apply(number)
        assert broken_when_settled(came.run, is_second=is_second) == []
        assert ours(came.live) == wanted(stage.way)


def report(came: Came, laws: Sequence[Law] = LAWS) -> Any:
    """Hold a run to what any run is held to; give what it tells of its tenancy."""
    assert broken_by(came.run, laws) == []
    assert came.code in (ExitCode.DONE, ExitCode.ERROR, ExitCode.PARTLY_APPLIED)
    [told] = came.run.told
    return told


def assert_tells_what_it_sees(came: Came) -> None:
    """Hold a run that looked when nobody else did anything any more, or yet, to what there is."""
    told = report(came)
    assert told["not_verified"] is None
    if told["differences"]:
        assert came.code == ExitCode.PARTLY_APPLIED


def assert_nothing_is_missing(stage: Stage, came: Came) -> None:
    places = {(one.url, one.trigger) for one in came.live}
    assert {(url, trigger) for url, trigger, *_ in wanted(stage.way)} <= places


@pytest.mark.parametrize(("name", "states", "calls"), sampled(ORDERS, 8))
def test_of_two_runs_the_one_that_looks_last_tells_of_what_the_other_did(
    tmp_path: Path, name: str, states: str, calls: int
) -> None:
    with staged(tmp_path, name, states) as stage, ThreadPoolExecutor(1) as threads:
        terminal = Held(moment=calls)
        first = threads.submit(stage.apply, 0, terminal, parallelism=1)
        try:
            assert terminal.is_held.wait(PATIENCE)
            between = stage.apply(1)
        finally:
            terminal.let_go.set()
        came = first.result()
        assert_tells_what_it_sees(between)
        assert_tells_what_it_sees(came)
        assert_nothing_is_missing(stage, came)
        assert_next_runs_leave_what_is_declared(stage)


@pytest.mark.parametrize("states", sampled([EACH, NONE], 2))
def test_two_runs_that_planned_the_same_make_duplicates_and_say_so(tmp_path: Path, states: str) -> None:
    with staged(tmp_path, "create-first", states) as stage, ThreadPoolExecutor(2) as threads:
        terminals = [Held(moment=LISTED), Held(moment=LISTED)]
        runs = [threads.submit(stage.apply, number, terminal) for number, terminal in enumerate(terminals)]
        try:
            assert all(terminal.is_held.wait(PATIENCE) for terminal in terminals)
        finally:
            for terminal in terminals:
                terminal.let_go.set()
        told = [report(run.result(), AT_ONCE) for run in runs]
        came = max((run.result() for run in runs), key=lambda each: len(each.calls))
        there = Counter(one.url for one in stage.box.subscriptions(TENANT))
        assert there[f"{OURS}/fresh"] == 4
        doubled = [each for each in told if each["differences"]]
        assert doubled
        for each in doubled:
            assert {difference["action"] for difference in each["differences"]} <= {"unsubscribe", "resubscribe"}
        assert ExitCode.PARTLY_APPLIED in [run.result().code for run in runs]
        assert_nothing_is_missing(stage, came)
        assert_next_runs_leave_what_is_declared(stage)


@pytest.mark.parametrize("calls", sampled([1, LISTED, 6, 13], 4))
def test_of_two_runs_with_one_state_the_second_is_refused_and_nothing_is_doubled(tmp_path: Path, calls: int) -> None:
    with staged(tmp_path, "create-first", ONE) as stage:
        others: list[Came] = []
        came = stage.apply(
            0, Recorder(moment=calls, at_the_moment=lambda: others.append(stage.apply(1))), parallelism=1
        )
        [other] = others
        assert (other.code, other.calls, other.out) == (ExitCode.REFUSED, (), "")
        assert "another run of hooksync works with " in other.err
        assert (came.code, ours(came.live)) == (ExitCode.DONE, wanted(stage.way))
        assert broken_by(came.run) == []
        assert_next_runs_leave_what_is_declared(stage)


@pytest.mark.slow
@pytest.mark.parametrize("states", [ONE, EACH])
@pytest.mark.parametrize("seen", [LISTED, 0, 5])
def test_two_processes_at_once_are_told_apart_or_put_right_by_the_next_run(
    tmp_path: Path, seen: int, states: str
) -> None:
    with staged(tmp_path, "create-first", states, LATENCY) as stage:

        def start(number: int) -> Popen[str]:
            command = [executable, "-m", "hooksync", "apply", "--yes", "--format", "json", "--no-probe"]
            settings = {**make_environ(), **environ(stage.box.url)}
            return Popen(command, cwd=stage.folders[number], env=settings, stdout=PIPE, stderr=PIPE, text=True)

        with start(0) as first:
            while len(stage.box.calls) < seen and first.poll() is None:
                time.sleep(0.001)
            with start(1) as second:
                said = [process.communicate(timeout=PATIENCE) for process in (first, second)]
        assert not [err for _, err in said if "Traceback" in err]
        codes = [first.returncode, second.returncode]
        is_as_declared = ours(stage.box.subscriptions(TENANT)) == wanted(stage.way)
        if states == ONE:
            assert sorted(codes) in ([ExitCode.DONE, ExitCode.REFUSED], [ExitCode.DONE, ExitCode.DONE])
            assert is_as_declared
        else:
            assert set(codes) <= {ExitCode.DONE, ExitCode.ERROR, ExitCode.PARTLY_APPLIED}
            assert is_as_declared or ExitCode.PARTLY_APPLIED in codes
        assert_next_runs_leave_what_is_declared(stage)
