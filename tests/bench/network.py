"""How near `apply` comes to what latency allows, n x latency / in flight; and a client that does the least beside it.

The sandbox runs on the same machine and takes its share of the cores: what the least client reaches is what can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from tests.bench.figures import Figure, Found, Sample, median_cpu
from tests.bench.jobs import Done, Job, apply, median_of, subscribe_by_bare_sockets, write_hooks
from tests.bench.measure import Ground, interleave

WIDTHS = (1, 8, 16, 32)
LATENCIES = (0.02, 0.05)  # seconds
COUNT = 1_000
COUNT_OF_ONE = 200  # where one is in flight, for 1,000 would take a minute; the ratio is the same
MOST_BARE = 20  # calls that the least client makes on each connection

BUDGET = Job(600, 0.05, 16)
MOST_SPAN = 1.2  # x n x latency / in flight
MOST_CONNECTIONS = 20
MOST_OUTSIDE = 1.5  # seconds
OTHER_CALLS = 3  # log in, list, and the verification


def measure(ground: Ground) -> Found:
    """Measure `apply` under each condition."""
    figures = [_capacity(Job(ground.choose(8_000, 800), 0.0, 8), ground.choose(3, 1))]
    samples: dict[str, Sequence[Sample]] = {}
    budget = replace(BUDGET, count=ground.choose(BUDGET.count, 160))
    for job in (*_jobs(ground), budget):
        ground.say(f"network: {job}")
        runs, bare = _in_turn(job, ground)
        samples[str(job)] = [run.sample for run in runs]
        limit = MOST_SPAN if job == budget else None
        figures.append(Figure(f"apply of {job}", _span_ratio(job, runs), "x", limit, _details(runs, bare)))
        if job == budget:
            figures += _counts(job, runs)
    return Found("apply over a network: span of the subscribes / (n x latency / in flight)", figures, samples)


def _jobs(ground: Ground) -> list[Job]:
    if ground.is_quick:
        return [Job(20, 0.02, 1), Job(160, 0.02, 8)]
    return [Job(COUNT_OF_ONE if width == 1 else COUNT, latency, width) for latency in LATENCIES for width in WIDTHS]


def _capacity(job: Job, rounds: int) -> Figure:
    """Measure what the sandbox can do when it does not wait."""
    runs = interleave({"": partial(subscribe_by_bare_sockets, job)}, rounds, warms_up=False)[""]
    rate = job.count / median_of(lambda run: run.traffic.span, runs)
    return Figure("what the sandbox can do, for bare sockets", rate, "calls/s", None, f"{job.width} in flight")


def _in_turn(job: Job, ground: Ground) -> tuple[list[Done], float]:
    """Run hooksync and the least client in turn; gives hooksync's runs, and the least client's ratio."""
    write_hooks(ground.folder, job.count)
    less = replace(job, count=min(job.count, MOST_BARE * job.width))
    runs = interleave(
        {"hooksync": partial(apply, job, ground.folder), "bare": partial(subscribe_by_bare_sockets, less)},
        ground.choose(3, 1),
        warms_up=False,  # what counts here are the calls
    )
    return runs["hooksync"], _span_ratio(less, runs["bare"])


def _span_ratio(job: Job, runs: Sequence[Done]) -> float:
    return median_of(lambda run: run.traffic.span, runs) / job.least


def _details(runs: Sequence[Done], bare: float) -> str:
    span = median_of(lambda run: run.traffic.span, runs)
    cpu = median_cpu([run.sample for run in runs])
    return f"bare sockets {bare:.2f} x; {span:.2f} s, the whole process {cpu:.2f} s CPU"


def _counts(job: Job, runs: Sequence[Done]) -> list[Figure]:
    most_calls = job.count + OTHER_CALLS
    return [
        Figure("  outside that span", median_of(lambda run: run.outside, runs), "s", MOST_OUTSIDE, "by the clock"),
        Figure("  calls", max(run.traffic.calls for run in runs), "calls", most_calls, f"n + {OTHER_CALLS}"),
        Figure("  connections", max(run.traffic.connections for run in runs), "connections", MOST_CONNECTIONS),
    ]
