"""Runs whole processes and measures them, in turn: A B C, C B A, A B C."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from tests.bench.figures import Sample
from tests.command_line import LOG_IN

if TYPE_CHECKING:
    import resource

T = TypeVar("T")

SECRET = "a-shared-secret-of-the-benchmarks"
HOOKSYNC = (sys.executable, "-m", "hooksync")

_LONGEST = 300.0  # seconds that a process may take
_KEPT = ("PATH", "TMPDIR", "LANG", "SYSTEMROOT")  # of our environment: what a process needs to start
_TO_BYTES = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss


@dataclass(frozen=True, slots=True)
class Ground:
    """What a benchmark stands on."""

    folder: Path  # for its files; empty at first
    is_quick: bool  # small sizes and few repeats
    say: Callable[[str], None]  # for progress

    def choose(self, full: int, quick: int) -> int:
        """Choose a size, or a number of repeats."""
        return quick if self.is_quick else full


class Failed(Exception):
    """A process did not end as it should, so what it took means nothing."""


def run_child(arguments: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None) -> Sample:
    """Run a process to its end and measure it. Raises Failed unless it exits with 0."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environ = {**kept, **LOG_IN, "HOOK_SECRET": SECRET, **(environ or {})}
    with tempfile.TemporaryFile() as out:
        start = time.monotonic()
        process = subprocess.Popen(arguments, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        usage = _wait(process)
        wall = time.monotonic() - start
        if process.returncode != 0:
            raise Failed(f"{' '.join(arguments)} ended with {process.returncode}: {_last_words(out)}")
    return Sample(usage.ru_utime + usage.ru_stime, wall, _peak(usage))


def interleave(subjects: Mapping[str, Callable[[], T]], rounds: int, *, warms_up: bool = True) -> dict[str, list[T]]:
    """Run all subjects in each round, every other round backwards, so that what disturbs one disturbs all alike.

    Before several rounds comes one that is not counted: it compiles what is not compiled, and fills the caches.
    """
    if rounds > 1 and warms_up:
        for run in subjects.values():
            run()
    samples: dict[str, list[T]] = {name: [] for name in subjects}
    for number in range(rounds):
        for name in list(subjects)[:: -1 if number % 2 else 1]:
            samples[name].append(subjects[name]())
    return samples


def own_peak() -> float:
    """Give the peak memory of this process, in MiB."""
    import resource  # POSIX alone has it

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _TO_BYTES / 1024**2


def _wait(process: subprocess.Popen[bytes]) -> resource.struct_rusage:
    """Wait for the end of a process, and give what it used. One that does not end is killed."""
    watchdog = threading.Timer(_LONGEST, process.kill)
    watchdog.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        raise
    finally:
        watchdog.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage


def _peak(usage: resource.struct_rusage) -> float | None:
    """Give the peak memory of a process, in MiB; None where it may be ours: a new process begins as a copy of us."""
    peak = usage.ru_maxrss * _TO_BYTES / 1024**2
    return peak if peak > own_peak() else None


def _last_words(out: BinaryIO) -> str:
    out.seek(0)
    return out.read().decode("utf-8", "replace")[-500:].strip()
