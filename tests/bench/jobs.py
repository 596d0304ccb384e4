"""Runs of `apply` against a sandbox with latency: a fresh one for each, and what it saw of the run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.box import Box, Traffic
from tests.bench.figures import Sample
from tests.bench.measure import HOOKSYNC, run_child
from tests.bench.workload import TENANT, hooks_file, like_live
from tests.command_line import ROOT


@dataclass(frozen=True, slots=True)
class Job:
    """So many subscribes in an empty tenancy, under these conditions."""

    count: int
    latency: float  # seconds that each call takes
    width: int  # in flight

    def __str__(self) -> str:
        return f"{self.count:,} at {self.latency * 1000:.0f} ms, {self.width} in flight"

    @property
    def least(self) -> float:
        """The seconds that the subscribes take at least."""
        return self.count * self.latency / self.width


@dataclass(frozen=True, slots=True)
class Done:
    """What one run took, and what the sandbox saw of it."""

    sample: Sample
    traffic: Traffic

    @property
    def outside(self) -> float:
        """The seconds of the process in which no subscribe was under way."""
        return self.sample.wall - self.traffic.span


def write_hooks(folder: Path, count: int) -> None:
    """Declare so many subscriptions of one tenancy in `hooks.yaml`."""
    with (folder / "hooks.yaml").open("w", encoding="utf-8") as file:
        file.writelines(hooks_file([(TENANT, like_live(count))]))


def apply(job: Job, folder: Path) -> Done:
    """Carry a job out with hooksync, its state included; the hooks file is in the folder."""
    (folder / "hooks.state.json").unlink(missing_ok=True)
    with Box(job.latency) as box:
        arguments = [*HOOKSYNC, "apply", "--yes", "--parallelism", str(job.width)]
        return Done(run_child(arguments, folder, box.environ), box.traffic())


def subscribe_by_bare_sockets(job: Job) -> Done:
    """Carry a job out with as little as possible."""
    with Box(job.latency) as box:
        arguments = [sys.executable, "-m", "tests.bench.raw_client", box.url, str(job.count), str(job.width)]
        return Done(run_child(arguments, ROOT), box.traffic())


def median_of(what: Callable[[Done], float], runs: Sequence[Done]) -> float:
    """Give the median of something of runs."""
    return median([what(run) for run in runs])
