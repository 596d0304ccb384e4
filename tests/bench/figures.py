"""Figures and the arithmetic behind them. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process took."""

    cpu: float  # seconds, user and system, its own children included
    wall: float  # seconds
    peak: float | None  # MiB; None: less than the harness itself takes, which hides it


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the result."""

    name: str
    value: float
    unit: str = "x"  # a ratio; or what is counted: "MiB", "s", "calls"
    limit: float | None = None  # of the budget, in the same unit; None: it sets none
    detail: str = ""  # what the figure was made from

    @property
    def is_over(self) -> bool:
        """Whether the budget is exceeded."""
        return self.limit is not None and self.value > self.limit


@dataclass(frozen=True, slots=True)
class Found:
    """What a benchmark found, and the samples that it rests on."""

    title: str
    figures: Sequence[Figure]
    samples: Mapping[str, Sequence[Sample]] = field(default_factory=dict)  # by what was run
    facts: Mapping[str, object] = field(default_factory=dict)  # whatever else was counted


def ratio(values: Sequence[float], base: Sequence[float]) -> float:
    """Divide the medians."""
    return median(values) / median(base)


def median_cpu(samples: Sequence[Sample]) -> float:
    """Give the median of the CPU seconds."""
    return median([sample.cpu for sample in samples])


def median_wall(samples: Sequence[Sample]) -> float:
    """Give the median of the seconds by the clock."""
    return median([sample.wall for sample in samples])


def highest_peak(samples: Sequence[Sample]) -> float:
    """Give the highest peak, in MiB. Raises ValueError where the harness hid them all."""
    return max(sample.peak for sample in samples if sample.peak is not None)


def compare_cpu(name: str, measured: Sequence[Sample], base: Sequence[Sample], limit: float | None = None) -> Figure:
    """Compare the CPU of two kinds of process."""
    return _compare(name, median_cpu(measured), median_cpu(base), limit)


def compare_wall(name: str, measured: Sequence[Sample], base: Sequence[Sample]) -> Figure:
    """Compare how long two kinds of process took by the clock."""
    return _compare(name, median_wall(measured), median_wall(base), None)


def growth(costs: Sequence[tuple[int, float]]) -> list[float]:
    """Give the exponents by which the cost of one more entry grows, from step to step between sizes.

    1 is linear, 2 quadratic. Steps are compared, not sizes, so that what every run pays alike falls out. NaN where
    noise hides a step.
    """
    steps = [(b[0], (b[1] - a[1]) / (b[0] - a[0])) for a, b in pairwise(costs)]
    return [_exponent(former, latter) for former, latter in pairwise(steps)]


def _exponent(former: tuple[int, float], latter: tuple[int, float]) -> float:
    if former[1] <= 0 or latter[1] <= 0:
        return math.nan
    return 1 + math.log(latter[1] / former[1]) / math.log(latter[0] / former[0])


def _compare(name: str, measured: float, base: float, limit: float | None) -> Figure:
    return Figure(name, measured / base, "x", limit, f"{_time(measured)} over {_time(base)}")


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
