"""Tests of a state on real backends, with jobs that start in a new folder each time.

The tests kill, pause or cut off jobs, or start two at the same time.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends import BACKENDS, Backend
from tests.lanes import sampled
from tests.system.remote import (
    APPLY,
    CALLS,
    PATIENT,
    TRIGGERS,
    Runners,
    kill_one,
    race,
    reach,
    runners,
)

pytestmark = pytest.mark.slow
EVERYWHERE = pytest.mark.parametrize("backend", BACKENDS, indirect=True)
# the other backends only at night: they differ only below the lock, and other tests cover that
BY_DAY = pytest.mark.parametrize("backend", sampled(BACKENDS, 1, 2), indirect=True)
OBJECTS = pytest.mark.parametrize("backend", ["s3", "azure"], indirect=True)


@pytest.fixture
def jobs(tmp_path: Path, backend: Backend) -> Iterator[Runners]:
    with runners(tmp_path, backend) as jobs:
        yield jobs


def applied(jobs: Runners, *flags: str) -> None:
    done = jobs.run(*PATIENT, *flags)
    assert (done.code, jobs.differences()) == (0, []), done.err


def unlock(jobs: Runners) -> None:
    """Take away the run lock that a job has not released."""
    shown = jobs.run("state", "show").out
    held = re.search(r"^run lock +([0-9a-f]+): ", shown, re.MULTILINE)
    assert held, shown
    assert jobs.run("state", "unlock", held[1], "--yes").code == 0


def assert_settled(jobs: Runners) -> None:
    """Assert that no step is left to apply, and that every secret is known."""
    plan = jobs.run("plan", "--detailed-exitcode", "--format", "json")
    assert plan.code == 0, plan.out
    assert plan.json["summary"]["keep"] == len(TRIGGERS)
    shown = jobs.run("plan", "--all")
    assert "unknown" not in shown.out + shown.err


@BY_DAY
def test_a_secret_can_be_rotated_repeatedly_even_if_a_job_is_killed(jobs: Runners) -> None:
    applied(jobs)
    for _ in range(2):
        jobs.rotate()
        assert jobs.run("plan", "--detailed-exitcode").code == 2
        applied(jobs)
        assert_settled(jobs)
    assert kill_one(jobs, CALLS // 2) == []
    jobs.run(*PATIENT)
    assert jobs.run("plan", "--detailed-exitcode").code == 0


@EVERYWHERE
def test_two_jobs_at_once_create_each_subscription_only_once(jobs: Runners) -> None:
    assert race(jobs) == []
    assert race(jobs, "--lock-timeout", "60") == []
    assert_settled(jobs)


@BY_DAY
def test_a_job_that_is_paused_until_a_different_job_has_its_lock_changes_nothing_more(
    jobs: Runners,
) -> None:
    with jobs.fresh().popen(*APPLY, "--parallelism", "1") as paused:
        assert reach(jobs.box, paused, 3)
        paused.send_signal(signal.SIGSTOP)
        try:
            other = jobs.run(*PATIENT)
        finally:
            paused.send_signal(signal.SIGCONT)
        _, said = paused.communicate()
    assert "taken over" in other.err
    assert paused.returncode == 4, said
    assert re.search(r"error: the run lock of \S+ is lost, it was taken (over by|away)", said)
    made = [call for call in jobs.box.calls if call.name == "subscribe"]
    # 2: the subscription made before the pause, and the call in flight
    assert len(made) <= len(TRIGGERS) + 2
    applied(jobs)


@OBJECTS
def test_a_plan_makes_at_most_two_calls_to_the_backend_and_an_apply_six(jobs: Runners) -> None:
    assert jobs.backend.network
    requests = jobs.backend.network.requests
    jobs.environ = {"HOOKSYNC_LOCK_EXPIRY": "600"}
    for _ in range(2):
        jobs.rotate()
        start = len(requests)
        assert jobs.run("plan").code == 0
        assert len(requests) - start <= 2, requests[start:]
        start = len(requests)
        applied(jobs)
        assert len(requests) - start <= 6, requests[start:]


@OBJECTS
@pytest.mark.parametrize(("nth", "what"), sampled([(3, "cut-after"), (3, "cut"), (4, "cut")], 1, 3))
def test_the_next_apply_finds_changes_that_the_state_could_not_record(
    jobs: Runners, what: str, nth: int
) -> None:
    assert jobs.backend.network
    jobs.environ = {"HOOKSYNC_LOCK_EXPIRY": "600"}
    applied(jobs)
    jobs.rotate()
    jobs.backend.network.add(what, "^(PUT|POST .*git-receive-pack)", nth)  # type: ignore[arg-type]
    job = jobs.fresh()
    done = job.run_process(*PATIENT)
    jobs.backend.network.restore()
    unlock(jobs)
    if nth == 4:  # only the release of the lock failed
        assert done.code == 0
        assert "it expires after 600 seconds" in done.err
    else:
        assert done.code == 4, done.err
        applied(jobs)
    assert_settled(jobs)
    applied(jobs)
