"""Plays histories from the command line: one by its seed, or as many as make up a number of steps.

python -m tests.simulation --seed 123                      # one, with a trace
python -m tests.simulation --steps 1000000 --jobs 2        # a nightly run, with figures
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.history import STEPS, make_history
from tests.simulation.play import Broken, play

BATCH = 50  # histories that a job plays before it returns
MOST_FAILURES = 20  # a run ends after so many failing histories

Batch = tuple[Counter[str], list[tuple[int, list[Broken]]]]  # figures, and what is broken by seed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, help="play this one, and show what happens in it")
    parser.add_argument("--from", type=int, default=0, dest="begin", help="the first seed of many")
    parser.add_argument("--first", action="store_true", help="end at the first broken law")
    parser.add_argument("--steps", type=int, default=10_000, help="play histories with so many")
    parser.add_argument("--jobs", type=int, default=1, help="processes that play")
    options = parser.parse_args()
    if options.seed is not None:
        return _replay(options.seed)
    return _play_many(options)


def play_batch(seeds: range) -> Batch:
    """Play a range of seeds."""
    start, figures = time.process_time(), Counter[str]()
    broken = []
    gc.collect()
    gc.disable()  # as the command line does; a history leaves little garbage
    for seed in seeds:
        played = play(make_history(seed))
        figures += played.figures
        if played.broken:
            broken.append((seed, played.broken))
    gc.enable()
    figures["ms of CPU"] = round(1000 * (time.process_time() - start))
    return figures, broken


def _replay(seed: int) -> int:
    """Play one history and print its trace."""
    history = make_history(seed)
    played = play(history, traces=True)
    sys.stdout.write("\n".join((repr(history), *played.trace, *map(str, played.broken))) + "\n")
    return int(bool(played.broken))


def _play_many(options: argparse.Namespace) -> int:
    """Play histories with so many steps, and print the figures of all."""
    figures, failing = Counter[str](), list[tuple[int, list[Broken]]]()
    most = 1 if options.first else MOST_FAILURES
    end = options.begin + options.steps // STEPS
    starts = range(options.begin, end, BATCH)
    with ProcessPoolExecutor(options.jobs) as pool:
        for counted, broken in pool.map(
            play_batch, (range(n, min(n + BATCH, end)) for n in starts)
        ):
            figures += counted
            failing += broken
            if len(failing) >= most:
                pool.shutdown(cancel_futures=True)
                break
    for name, number in figures.items():
        sys.stdout.write(f"{name:12} {number:>12,}\n")
    for seed, laws in failing[:most]:
        sys.stdout.write(
            f"\nseed {seed} breaks {laws[0].law}: {laws[0].how}\n{make_history(seed)!r}\n"
        )
    return int(bool(failing))


if __name__ == "__main__":
    sys.exit(main())
