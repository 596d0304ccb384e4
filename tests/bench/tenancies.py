"""Many tenancies side by side, a few changes in each, against what latency allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.box import Box
from tests.bench.figures import Figure, Found, median_cpu, median_wall
from tests.bench.jobs import Done, median_of
from tests.bench.measure import HOOKSYNC, Ground, interleave, run_child
from tests.bench.workload import Entry, hooks_file

LATENCY = 0.02  # seconds
LIVE = 10  # subscriptions in each tenancy: the numbers from 0 on
DECLARED = range(1, LIVE + 2)
CHANGES = 3  # one that is live is not declared, two are declared and not live, below


@dataclass(frozen=True, slots=True)
class Command:
    """A command over all tenancies, and the calls that it makes for each."""

    verb: str
    arguments: tuple[str, ...]
    calls: int
    width: int  # in flight

    def __str__(self) -> str:
        return f"{self.verb}, {self.width} in flight"


def measure(ground: Ground) -> Found:
    """Measure `plan` and `apply` over all tenancies at once."""
    tenants = tuple(f"T{number:03d}" for number in range(ground.choose(200, 20)))
    ground.say(f"tenancies: {len(tenants)}")
    _write(ground.folder, tenants)
    commands = [command for width in (8, 32) for command in _commands(width)]
    subjects = {str(command): partial(_run, command, ground.folder, tenants) for command in commands}
    runs = interleave(subjects, ground.choose(3, 1))
    return Found(
        f"{len(tenants)} tenancies, {CHANGES} changes in each, {LATENCY * 1000:.0f} ms a call: "
        "the whole process / (calls x latency / in flight)",
        [_figure_of(command, len(tenants), runs[str(command)]) for command in commands],
        {name: [run.sample for run in each] for name, each in runs.items()},
    )


def _commands(width: int) -> tuple[Command, Command]:
    return (
        Command("plan", ("plan", "--no-state"), 2, width),
        Command("apply", ("apply", "--yes"), 2 + CHANGES + 1, width),
    )


def _write(folder: Path, tenants: Sequence[str]) -> None:
    with (folder / "hooks.yaml").open("w", encoding="utf-8") as file:
        file.writelines(hooks_file((tenant, map(Entry, DECLARED)) for tenant in tenants))


def _run(command: Command, folder: Path, tenants: tuple[str, ...]) -> Done:
    (folder / "hooks.state.json").unlink(missing_ok=True)
    with Box(LATENCY, tenants) as box:
        for tenant in tenants:
            box.seed(LIVE, tenant)
        arguments = [*HOOKSYNC, *command.arguments, "--parallelism", str(command.width)]
        return Done(run_child(arguments, folder, box.environ), box.traffic())


def _figure_of(command: Command, tenancies: int, runs: Sequence[Done]) -> Figure:
    samples = [run.sample for run in runs]
    calls = max(run.traffic.calls for run in runs)
    connections = max(run.traffic.connections for run in runs)
    least = tenancies * command.calls * LATENCY / command.width
    span = median_of(lambda run: run.traffic.all_span, runs)
    detail = (
        f"{median_wall(samples):.2f} s over {least:.2f} s; {span:.2f} s from the first call to the last; "
        f"{median_cpu(samples):.2f} s CPU; {calls:,} calls on {connections} connections"
    )
    return Figure(str(command), median_wall(samples) / least, "x", None, detail)
