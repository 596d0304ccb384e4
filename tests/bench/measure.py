"""Functions that run whole processes in turn, and compare their time and memory."""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.workload import SECRET
from tests.command_line import LOG_IN, ROOT
from tests.measured import Measured, finish, start

KEPT = ("PATH", "TMPDIR", "LANG")  # variables of ours that a process needs to start


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


def run(arguments: Sequence[str], folder: Path, environ: Mapping[str, str]) -> Measured:
    """Run a process to its end and measure it. End the benchmark if its exit code is not 0."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    given = {**kept, **LOG_IN, "HOOK_SECRET": SECRET, "PYTHONPATH": str(ROOT), **environ}
    done = finish(start(arguments, given, folder, stdout=subprocess.DEVNULL), folder)
    if done.code != 0:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.code}: {done.err}")
    return done


def interleave(
    subjects: Mapping[str, Callable[[], Measured]], rounds: int
) -> dict[str, list[Measured]]:
    """Run all subjects in each round, every other round backwards, so that noise affects all alike.

    If there are several rounds, a round that does not count comes first and fills the caches.
    """
    samples: dict[str, list[Measured]] = {name: [] for name in subjects}
    if rounds > 1:
        for subject in subjects.values():
            subject()
    for number in range(rounds):
        for name in list(subjects)[:: -1 if number % 2 else 1]:
            samples[name].append(subjects[name]())
    return samples


def median_cpu(samples: Sequence[Measured]) -> float:
    """Return the median of the CPU seconds."""
    return median(sample.cpu for sample in samples)


def compare_cpu(
    name: str,
    measured: Sequence[Measured],
    base: Sequence[Measured],
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
