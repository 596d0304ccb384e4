"""Fuzz each target for its share of the time, in a process of its own, and report the finds."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.command_line import ROOT
from tests.fuzz.child import LATEST, write

SHARES = {"yaml": 5, "answers": 1, "receiver": 1, "state": 1, "plan": 1, "header": 1}
MOST_DEATHS = 20  # children that may die for one target; each death is a find
LEAST = 1.0  # seconds; with less time left, no further child is started


def main() -> int:
    """Fuzz the targets that the command line names. Return 1 if there is a find, otherwise 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help=f"of {', '.join(SHARES)}; all, if none is named",
    )
    parser.add_argument(
        "--minutes", type=float, default=1.0, metavar="N", help="for all of them (default 1)"
    )
    parser.add_argument(
        "--seed", default="1", metavar="S", help="of the random numbers (default 1)"
    )
    parser.add_argument(
        "--finds", metavar="FOLDER", help="where finds are kept (default: a temporary folder)"
    )
    options = parser.parse_args()
    if unknown := set(options.targets) - set(SHARES):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    folder = Path(options.finds or tempfile.mkdtemp(prefix="hooksync-finds-")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    targets = options.targets or list(SHARES)
    for target in targets:
        share = SHARES[target] / sum(SHARES[each] for each in targets)
        _fuzz(target, options.seed, options.minutes * 60 * share, folder)
    finds = sorted(folder.glob("*.txt"))
    for find in finds:
        sys.stdout.write(f"{find.with_suffix('')}: {find.read_text(encoding='utf-8')}")
    sys.stdout.write(f"{len(finds)} finds in {folder}\n")
    return 1 if finds else 0


def _fuzz(target: str, seed: str, seconds: float, folder: Path) -> None:
    """Run children over one target until its time is over. A child that dies leaves a find."""
    end = time.monotonic() + seconds
    for number in range(MOST_DEATHS):
        left = end - time.monotonic()
        if number and left < LEAST:
            return
        command = [
            sys.executable,
            "-m",
            "tests.fuzz.child",
            target,
            f"{seed}/{number}",
            str(left),
            str(folder),
        ]
        code = subprocess.call(command, cwd=ROOT)
        if code == 0:
            return
        if code == 1:
            raise SystemExit("the fuzzer itself failed: see above")
        what = f"the process ended with {code} (negative: the signal)"
        write(folder / f"{target}-death-{number}", (folder / LATEST).read_bytes(), what)


if __name__ == "__main__":
    sys.exit(main())
