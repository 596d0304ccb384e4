"""Plays histories from the command line: one by its seed, or as many as make up a number of steps.

python -m tests.simulation --seed 123                      # one, with a trace
python -m tests.simulation --steps 1000000 --jobs 2        # a nightly run, with figures
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from tests.simulation.history import STEPS, History, make_history
from tests.simulation.play import Broken, Figures, play

BATCH = 50  # histories that a job plays before it returns
MOST_FAILURES = 20  # a run ends after so many failing histories


class Batch(NamedTuple):
    """The result of one job."""

    figures: Figures
    broken: list[tuple[int, list[Broken]]]  # by seed
    seconds: float  # of CPU


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seed", type=int, help="play this one, and show what happens in it")
    parser.add_argument("--from", type=int, default=0, dest="begin", help="the first seed of many")
    parser.add_argument("--first", action="store_true", help="end at the first broken law")
    parser.add_argument(
        "--steps", type=int, default=10_000, help="play histories with so many steps"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes that play")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        return _replay(make_history(options.seed))
    return _play_many(options)


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def play_batch(seeds: range) -> Batch:
    """Play a range of seeds."""
    start, figures = time.process_time(), Figures()
    broken = []
    gc.collect()
    gc.disable()  # as the command line does; a history leaves little garbage
    for seed in seeds:
        played = play(make_history(seed))
        figures.add(played.figures)
        if played.broken:
            broken.append((seed, played.broken))
    gc.enable()
    return Batch(figures, broken, time.process_time() - start)


def _replay(history: History) -> int:
    """Play one history and print its trace."""
    played = play(history, traces=True)
    _write("\n".join((repr(history), *played.trace, *map(str, played.broken))))
    return 1 if played.broken else 0


def _play_many(options: argparse.Namespace) -> int:
    """Play histories with so many steps, and print the figures of all."""
    begin = time.monotonic()
    figures, seconds, failing = Figures(), 0.0, list[tuple[int, list[Broken]]]()
    most = 1 if options.first else MOST_FAILURES
    end = options.begin + options.steps // STEPS
    starts = range(options.begin, end, BATCH)
    with ProcessPoolExecutor(options.jobs) as pool:
        for batch in pool.map(play_batch, (range(n, min(n + BATCH, end)) for n in starts)):
            figures.add(batch.figures)
            seconds += batch.seconds
            failing += batch.broken
            if len(failing) >= most:
                pool.shutdown(cancel_futures=True)
                break
    _show(figures, seconds, time.monotonic() - begin, len(failing))
    for seed, broken in failing[:most]:
        history = make_history(seed)
        _write(f"\nseed {seed} breaks {broken[0].law}: {broken[0].how}\n{history!r}")
    return 1 if failing else 0


def _show(figures: Figures, cpu: float, wall: float, failing: int) -> None:
    """Print the figures of a run."""
    for name in ("histories", "steps", "commands", "calls", "faults", "kills"):
        _write(f"{name:12} {getattr(figures, name):>12,}")
    _write(f"{'failing':12} {failing:>12,}")
    _write(f"{'seconds':12} {wall:>12,.0f}  ({cpu:,.0f} of CPU)")
    _write(f"{'steps/s':12} {figures.steps / cpu:>12,.0f}  a core")
    _write(f"{'histories/s':12} {figures.histories / cpu:>12,.1f}  a core")
    _write("\nchecks of each law")
    for name, number in sorted(figures.checks.items()):
        _write(f"  {name:40} {number:>12,}")


if __name__ == "__main__":
    sys.exit(main())
