"""Functions that run whole processes in turn, and compare their time and memory."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.workload import SECRET
from tests.command_line import LOG_IN, ROOT

HOOKSYNC = (sys.executable, "-m", "hooksync")
LAUNCH = str(Path(__file__).with_name("launch.py"))
KEPT = ("PATH", "TMPDIR", "LANG")  # variables of ours that a process needs to start


@dataclass(frozen=True, slots=True)
class Sample:
    """The time and memory that one process took."""

    cpu: float  # seconds, user and system, its own children included
    wall: float  # seconds
    peak: float  # MiB


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the result."""

    name: str
    value: float
    unit: str  # "x" for a ratio; or what is counted
    limit: float | None = None  # in the same unit
    detail: str = ""  # what the figure was made from

    def __str__(self) -> str:
        measured = self._number(self.value)
        limit = ""
        if self.limit is not None:
            limit = self._number(self.limit)
            if self.value > self.limit:
                measured = f"**{measured}**"
        return f"| {self.name} | {measured} | {limit} | {self.detail} |"

    def _number(self, value: float) -> str:
        digits = f"{value:,.0f}" if self.unit in ("MiB", "calls", "connections") else f"{value:.2f}"
        return f"{digits} {self.unit}".rstrip()


def run(arguments: Sequence[str], folder: Path, environ: Mapping[str, str]) -> Sample:
    """Run a process to its end and measure it. End the benchmark if its exit code is not 0."""
    command = [sys.executable, LAUNCH, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=_environ(environ), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    return Sample(**json.loads(done.stdout))


def first_line(arguments: Sequence[str], folder: Path, environ: Mapping[str, str]) -> float:
    """Measure the seconds until a process writes its first line, to either stream."""
    begun = time.monotonic()
    with subprocess.Popen(
        arguments,
        cwd=folder,
        env=_environ(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        seconds = time.monotonic() - begun
        process.stdout.read()
    return seconds


def _environ(more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, **LOG_IN, "HOOK_SECRET": SECRET, "PYTHONPATH": str(ROOT), **more}


def interleave(
    subjects: Mapping[str, Callable[[], Sample]], rounds: int
) -> dict[str, list[Sample]]:
    """Run all subjects in each round, every other round backwards, so that noise affects all alike.

    If there are several rounds, a round that does not count comes first and fills the caches.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in subjects}
    if rounds > 1:
        for subject in subjects.values():
            subject()
    for number in range(rounds):
        for name in list(subjects)[:: -1 if number % 2 else 1]:
            samples[name].append(subjects[name]())
    return samples


def median_cpu(samples: Sequence[Sample]) -> float:
    """Return the median of the CPU seconds."""
    return median(sample.cpu for sample in samples)


def compare_cpu(
    name: str,
    measured: Sequence[Sample],
    base: Sequence[Sample],
    limit: float | None,
    base_name: str,
) -> Figure:
    """Return the ratio of the median CPU seconds of two kinds of process."""
    dividend = median_cpu(measured)
    divisor = median_cpu(base)
    detail = f"{dividend * 1000:.0f} ms over {divisor * 1000:.0f} ms, {base_name}"
    return Figure(name, dividend / divisor, "x", limit, detail)


def growth(costs: Mapping[int, float]) -> float:
    """Return the exponent by which the cost of one more entry grows, from the costs of three sizes.

    1 is linear, 2 quadratic. Steps are compared, not sizes, so that what every run pays alike does
    not count. The result is NaN if noise hides a step.
    """
    small, middle, large = costs
    former = (costs[middle] - costs[small]) / (middle - small)
    latter = (costs[large] - costs[middle]) / (large - middle)
    if former <= 0 or latter <= 0:
        return math.nan
    return 1 + math.log(latter / former) / math.log(large / middle)
