"""The process that fuzzes one target. An input may crash it, hang it or use up its memory, and the
command still continues. POSIX only.

Usage: `python -m tests.fuzz.child TARGET SEED SECONDS FOLDER`. The folder gets a file with the last
input.
"""

from __future__ import annotations

import resource
import signal
import sys
import time
from pathlib import Path

from tests.fuzz.trial import Fuzzer

HUNG = 30.0  # seconds of processor time after which the system ends the process
MOST_MEMORY = 1024**3  # bytes of address space
LATEST = "latest"  # the file with the latest input


def main(target: str, seed: str, seconds: float, folder: Path) -> None:
    """Fuzz one target until the time is over, and print how many inputs were tried."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    end = time.monotonic() + seconds
    with (folder / LATEST).open("wb", buffering=0) as latest:

        def show(data: bytes) -> None:
            latest.seek(0)
            latest.truncate()
            latest.write(data)
            # the signal of this timer ends the process, even inside C code
            signal.setitimer(signal.ITIMER_PROF, HUNG)

        fuzzer = Fuzzer(target, seed, show)
        while time.monotonic() < end:
            fuzzer.step()
    for find in fuzzer.finds.values():
        write(folder / find.name, find.data, f"{find.what}: {find.example}")
    sys.stdout.write(f"{target:10}{fuzzer.inputs:>10} inputs\n")


def write(path: Path, data: bytes, what: str) -> None:
    """Write an input, and a text file beside it that describes the find."""
    path.write_bytes(data)
    path.with_name(f"{path.name}.txt").write_text(f"{what}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), Path(sys.argv[4]))
