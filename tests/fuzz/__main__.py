"""The command: gives each target its share of the time, in a process of its own, and tells what was found."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.child import Job, Window, work, work_guided, write

SHARES = {"yaml": 5, "answers": 1, "receiver": 1, "state": 1, "plan": 1, "header": 1}
MOST_DEATHS = 20  # of children over one target; each is a find

_LEAST = 1.0  # seconds that are worth another child


def main() -> int:
    options = _options()
    folder = Path(options.finds or tempfile.mkdtemp(prefix="hooksync-finds-"))
    folder.mkdir(parents=True, exist_ok=True)
    targets = options.targets or list(SHARES)
    for target in targets:
        seconds = options.minutes * 60 * SHARES[target] / sum(SHARES[each] for each in targets)
        start = time.monotonic()
        inputs = _fuzz(Job(target, str(options.seed), seconds, folder), is_guided=options.atheris)
        _say(f"{target:10}{inputs:>10} inputs in {(time.monotonic() - start) / 60:.1f} minutes")
    finds = sorted(folder.glob("*.txt"))
    for find in finds:
        _say(f"{find.with_suffix('')}: {find.read_text(encoding='utf-8').strip()}")
    _say(f"{len(finds)} finds in {folder}")
    return 1 if finds else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(SHARES)}; all, if none is named")
    parser.add_argument("--minutes", type=float, default=1.0, metavar="N", help="for all of them together (default 1)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the dice (default 1)")
    parser.add_argument("--finds", metavar="FOLDER", help="where finds are kept (default: a new temporary folder)")
    parser.add_argument("--atheris", action="store_true", help="guided by coverage; needs `pip install atheris`")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(SHARES):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    return options


def _fuzz(job: Job, *, is_guided: bool) -> int:
    """Run children over one target until its time is over; one that dies leaves a find. Returns the inputs tried."""
    context = multiprocessing.get_context("spawn")
    window = Window()
    end = time.monotonic() + job.seconds
    deaths = 0
    while (left := end - time.monotonic()) >= _LEAST and deaths < MOST_DEATHS:
        part = Job(job.target, f"{job.seed}/{job.target}/{deaths}", left, job.folder)
        child = context.Process(target=work_guided if is_guided else work, args=(part, window))
        child.start()
        child.join()
        if child.exitcode == 1:
            raise SystemExit("the fuzzer itself failed: see above")
        if child.exitcode:
            deaths += 1
            what = f"the process ended with {child.exitcode} (negative: the signal)"
            write(job.folder / f"{job.target}-death-{deaths}", window.data, what)
    return window.inputs


if __name__ == "__main__":
    sys.exit(main())
