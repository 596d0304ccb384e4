"""Two runs of hooksync at once on one tenancy. With one state, the run lock lets one work, and
tells the other why not.

With a state each, nothing keeps two processes apart. Whatever comes of it, once both have run
again, one after the other, each subscription is there once, with the right secret wherever it is
called the same. The simulation plays a run between any two calls of a different one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, Popen
from sys import executable

import pytest

from hooksync.core.errors import ExitCode
from tests.boxes import Sandbox
from tests.clocks import JumpingClock
from tests.conftest import make_environ
from tests.lanes import sampled
from tests.laws import (
    broken_by,
    broken_when_settled,
)
from tests.system.stage import (
    BRIDGED,
    NAMED,
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

LATENCY = 0.02  # seconds, of each call, so that two processes are at work at the same time
PATIENCE = 60.0  # seconds that one run may wait for the other
LISTED = 2  # calls after which a run knows what is live: log-in and list
ONE, EACH = "one state", "a state each"


@contextmanager
def staged(folder: Path, states: str, latency: float = 0.0) -> Iterator[Stage]:
    way, clock = NAMED["create-first"], JumpingClock()
    folders = prepare_both(way, states, folder)
    with Sandbox(replace(options_of(way, folders[0] / "held.json", clock), latency=latency)) as box:
        yield Stage(way, box, clock, folders)


def assert_next_runs_leave_what_is_declared(stage: Stage) -> None:
    assert isinstance(stage.clock, JumpingClock)
    # what the one made and the other one removed counts as live no more
    stage.clock.advance(BRIDGED)
    for number, is_second in ((0, False), (1, False), (0, True), (1, True)):
        came = stage.apply(number)
        assert broken_when_settled(came.run, is_second=is_second) == []
        assert ours(came.live) == wanted(stage.way)


@pytest.mark.parametrize("calls", sampled([1, LISTED, 6, 13], 4))
def test_of_two_runs_with_one_state_the_second_is_refused_and_nothing_is_doubled(
    tmp_path: Path, calls: int
) -> None:
    with staged(tmp_path, ONE) as stage:
        others: list[Came] = []
        came = stage.apply(
            0,
            Recorder(moment=calls, at_the_moment=lambda: others.append(stage.apply(1))),
            parallelism=1,
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
    with staged(tmp_path, states, LATENCY) as stage:

        def start(number: int) -> Popen[str]:
            command = [
                executable,
                "-m",
                "hooksync",
                "apply",
                "--yes",
                "--format",
                "json",
                "--no-probe",
            ]
            settings = {**make_environ(), **environ(stage.box.url)}
            return Popen(
                command,
                cwd=stage.folders[number],
                env=settings,
                stdout=PIPE,
                stderr=PIPE,
                text=True,
            )

        with start(0) as first:
            while len(stage.box.calls) < seen and first.poll() is None:
                time.sleep(0.001)
            with start(1) as second:
                said = [process.communicate(timeout=PATIENCE) for process in (first, second)]
        assert not [err for _, err in said if "Traceback" in err]
        codes = [first.returncode, second.returncode]
        is_as_declared = ours(stage.box.subscriptions(TENANT)) == wanted(stage.way)
        if states == ONE:
            assert sorted(codes) in (
                [ExitCode.DONE, ExitCode.REFUSED],
                [ExitCode.DONE, ExitCode.DONE],
            )
            assert is_as_declared
        else:
            assert set(codes) <= {ExitCode.DONE, ExitCode.ERROR, ExitCode.PARTLY_APPLIED}
            assert is_as_declared or ExitCode.PARTLY_APPLIED in codes
        assert_next_runs_leave_what_is_declared(stage)
