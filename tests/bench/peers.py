"""hooksync beside a script on pyPreservica that does the same job: how many times as much the script takes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from tests.bench.box import Box
from tests.bench.figures import Figure, Found, compare_cpu, compare_wall, highest_peak
from tests.bench.jobs import Done, write_hooks
from tests.bench.measure import HOOKSYNC, Failed, Ground, interleave, run_child

SCRIPT = (sys.executable, str(Path(__file__).with_name("peer.py")), "hooks.yaml")
APPLY = (*HOOKSYNC, "apply", "--yes")
LATENCY = 0.02  # seconds, where there is something to do
SMALL = 10  # subscriptions, where there is nothing to do

PEER, OURS, OURS_ALONE = "pyPreservica", "hooksync", "hooksync --parallelism 1"
WAYS = {PEER: SCRIPT, OURS: APPLY, OURS_ALONE: (*APPLY, "--parallelism", "1")}


def measure(ground: Ground) -> Found:
    """Measure a run with nothing to do, and one that subscribes."""
    if find_spec("pyPreservica") is None:
        raise Failed("pyPreservica is not installed; it comes with the development tools")
    ground.say("peer: nothing to do")
    idle = _in_turn(ground.folder, SMALL, 0.0, ground.choose(11, 1))
    count = ground.choose(100, 20)
    ground.say(f"peer: {count} subscribes")
    busy = _in_turn(ground.folder, count, LATENCY, ground.choose(5, 1))
    figures = [*_idle_figures(idle), *_busy_figures(busy, f"{count} subscribes at {LATENCY * 1000:.0f} ms")]
    samples = {f"idle, {name}": [run.sample for run in runs] for name, runs in idle.items()}
    samples |= {f"busy, {name}": [run.sample for run in runs] for name, runs in busy.items()}
    return Found("a script on pyPreservica / hooksync: above 1, hooksync takes less", figures, samples)


def _in_turn(folder: Path, count: int, latency: float, rounds: int) -> dict[str, list[Done]]:
    """Run every way in turn; where there is no latency, everything is live already."""
    write_hooks(folder, count)
    subjects: dict[str, Callable[[], Done]] = {
        name: partial(_run, arguments, folder, latency, 0 if latency else count) for name, arguments in WAYS.items()
    }
    return interleave(subjects, rounds)


def _run(arguments: Sequence[str], folder: Path, latency: float, live: int) -> Done:
    (folder / "hooks.state.json").unlink(missing_ok=True)
    with Box(latency) as box:
        box.seed(live)
        return Done(run_child(arguments, folder, box.environ), box.traffic())


def _idle_figures(runs: Mapping[str, Sequence[Done]]) -> list[Figure]:
    peer, ours = ([run.sample for run in runs[name]] for name in (PEER, OURS))
    return [
        compare_cpu("nothing to do: CPU", peer, ours),
        _compare("nothing to do: peak memory", highest_peak(peer), highest_peak(ours), "MiB"),
        _compare("nothing to do: round trips", _calls(runs[PEER]), _calls(runs[OURS]), "calls"),
    ]


def _busy_figures(runs: Mapping[str, Sequence[Done]], what: str) -> list[Figure]:
    samples = {name: [run.sample for run in each] for name, each in runs.items()}
    return [
        compare_wall(f"{what}: by the clock, 8 in flight", samples[PEER], samples[OURS]),
        compare_wall(f"{what}: by the clock, 1 in flight", samples[PEER], samples[OURS_ALONE]),
        compare_cpu(f"{what}: CPU", samples[PEER], samples[OURS]),
        _compare(f"{what}: round trips", _calls(runs[PEER]), _calls(runs[OURS]), "calls"),
    ]


def _calls(runs: Sequence[Done]) -> int:
    return max(run.traffic.calls for run in runs)


def _compare(name: str, peer: float, ours: float, unit: str) -> Figure:
    return Figure(name, peer / ours, "x", None, f"{peer:.0f} over {ours:.0f} {unit}")
