"""Tests of a state on real backends, with jobs that start as a CI does: each has a new folder, and all
share one state.

The tests pause a job, start two at the same time, or count calls. The simulation kills jobs, and cuts
them off from their state.
"""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.backends import BACKENDS, Backend
from tests.boxes import Receiver, Sandbox
from tests.command_line import ROOT, Run
from tests.conftest import Place, make_environ
from tests.lanes import sampled

pytestmark = pytest.mark.slow
EVERYWHERE = pytest.mark.parametrize("backend", BACKENDS, indirect=True)
# by day on one backend: it waits a minute, and backends differ only below the lock
ONE_BY_DAY = pytest.mark.parametrize("backend", sampled(BACKENDS, 1, len(BACKENDS)), indirect=True)
OBJECTS = pytest.mark.parametrize("backend", ["s3", "azure"], indirect=True)


TRIGGERS = ("INDEXED", "MOVED", "INGEST_FAILED", "SECURITY_CHANGED")
HOOKS = f"""\
version: 1
tenancies:
  prod:
    server: ${{BOX}}
    tenant: DEMO
    probe: never
    subscriptions:
      catalogue:
        url: ${{RECEIVER}}?code=${{FN_KEY}}
        triggers: [{", ".join(TRIGGERS)}]
        secret: {{env: CATALOGUE_SECRET}}
"""
APPLY = ("apply", "--yes", "--parallelism", "2")
PATIENT = (*APPLY, "--lock-timeout", "100")  # longer than a run lock without a renewal lasts
FIRST = "first-secret-of-the-catalogue-0001"
LATENCY = 0.03  # seconds that each call to the service takes


@dataclass
class Runners:
    """Makes a folder for each job, which has only the hooks file and the place of the state."""

    folder: Path
    backend: Backend
    box: Sandbox
    receiver: Receiver
    secret: str = FIRST
    number: int = 0
    environ: dict[str, str] = field(default_factory=dict)

    def fresh(self) -> Place:
        self.number += 1
        folder = self.folder / f"runner-{self.number}"
        folder.mkdir()
        self.backend.prepare(folder)
        environ = make_environ(
            BOX=self.box.url,
            RECEIVER=self.receiver.url("catalogue"),
            HOOKSYNC_STATE=self.backend.where,
            HOOKSYNC_LIST_WAIT="5",
            CI="true",
            PYTHONPATH=str(ROOT),
            XDG_CACHE_HOME=str(folder / "cache"),
        )
        place = Place(
            folder, self.box, self.receiver, {**environ, **self.backend.environ, **self.environ}
        )
        place.environ["CATALOGUE_SECRET"] = self.secret
        place.write(HOOKS)
        return place

    def rotate(self) -> str:
        """Choose a new secret for all later runs, and return it."""
        self.secret = f"another-secret-of-the-catalogue-{self.number:04}"
        self.receiver.set_secret("catalogue", self.secret)
        return self.secret

    def run(self, *arguments: str) -> Run:
        return self.fresh().run_process(*arguments)

    def assert_whole(self) -> None:
        """Assert that there is one subscription per trigger, and that each has the new secret."""
        held = self.box.subscriptions("DEMO")
        assert len(held) == len({one.trigger for one in held}) == len(TRIGGERS)
        assert {one.secret for one in held} == {self.secret}


def reach(box: Sandbox, process: subprocess.Popen[Any], calls: int) -> bool:
    """Wait until the sandbox has seen so many calls; return False if the process ends before."""
    while len(box.calls) < calls:
        if process.poll() is not None:
            return False
        time.sleep(0.001)
    return True


def race(jobs: Runners, *flags: str) -> None:
    """Start two rotations at the same time, and assert that one of them did all."""
    jobs.rotate()
    before = jobs.box.call_names.count("subscribe")
    processes = [place.popen(*APPLY, *flags) for place in (jobs.fresh(), jobs.fresh())]
    ends = [(process.communicate()[1], process.returncode) for process in processes]
    assert sorted(code for _, code in ends) in ([0, 0], [0, 3]), ends
    made = jobs.box.call_names.count("subscribe") - before
    assert made == len(TRIGGERS)
    jobs.assert_whole()


@pytest.fixture
def jobs(tmp_path: Path, backend: Backend) -> Iterator[Runners]:
    with Receiver({"catalogue": [FIRST]}) as receiver, Sandbox() as box:
        box.latency = LATENCY
        yield Runners(tmp_path, backend, box, receiver)


def applied(jobs: Runners, *flags: str) -> None:
    done = jobs.run(*PATIENT, *flags)
    assert done.code == 0, done.err
    jobs.assert_whole()


def assert_settled(jobs: Runners) -> None:
    """Assert that no step is left to apply, and that every secret is known."""
    plan = jobs.run("plan", "--detailed-exitcode", "--format", "json")
    assert plan.code == 0, plan.out
    assert plan.json["summary"]["keep"] == len(TRIGGERS)
    shown = jobs.run("plan", "--all")
    assert "unknown" not in shown.out + shown.err


@EVERYWHERE
def test_two_jobs_at_once_create_each_subscription_only_once(jobs: Runners) -> None:
    race(jobs)
    race(jobs, "--lock-timeout", "60")
    assert_settled(jobs)


@ONE_BY_DAY
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
    for _ in range(2):
        jobs.rotate()
        start = len(requests)
        assert jobs.run("plan").code == 0
        assert len(requests) - start <= 2, requests[start:]
        start = len(requests)
        applied(jobs)
        assert len(requests) - start <= 6, requests[start:]
