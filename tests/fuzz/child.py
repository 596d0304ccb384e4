"""The process that fuzzes: its own, so that an input may crash it, hang it or eat its memory.

POSIX only. Its parent sees the latest input in shared memory, and so knows which one was the last.
"""

from __future__ import annotations

import resource
import signal
import sys
import time
from ctypes import addressof, c_char, c_uint32, c_uint64, memmove, string_at
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray, RawValue
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from tests.fuzz.mutation import LONGEST

if TYPE_CHECKING:
    from tests.fuzz.trial import Find

HUNG = 30.0  # seconds of processor time after which the system ends the process
MOST_MEMORY = 1024**3  # bytes of address space


class Window:
    """The latest input and the number of those before it, seen from both processes."""

    def __init__(self) -> None:
        self._data = RawArray(c_char, LONGEST)
        self._length = RawValue(c_uint32)
        self._inputs = RawValue(c_uint64)

    def show(self, data: bytes) -> None:
        """Show an input that is about to be tried, and start its time."""
        memmove(self._data, data, len(data))
        self._length.value = len(data)
        self._inputs.value += 1
        signal.setitimer(signal.ITIMER_PROF, HUNG)  # its signal ends the process, also inside of a library in C

    @property
    def data(self) -> bytes:
        """The latest input."""
        return string_at(addressof(self._data), self._length.value)

    @property
    def inputs(self) -> int:
        """How many there were."""
        return int(self._inputs.value)


@dataclass(frozen=True)
class Job:
    """What a child has to do."""

    target: str
    seed: str
    seconds: float
    folder: Path  # for finds


def work(job: Job, window: Window) -> None:
    """Fuzz one target with our own mutations until the time is over."""
    from tests.fuzz.trial import Fuzzer, smaller  # not before: a parent imports no reader

    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    end = time.monotonic() + job.seconds
    fuzzer = Fuzzer(job.target, job.seed, window.show)
    finds = list(fuzzer.finds.values())  # among the seeds
    while finds or time.monotonic() < end:
        for find in finds:
            keep(job.folder, find)  # in case that making it smaller ends badly
            keep(job.folder, smaller(find, window.show))
        found = fuzzer.step()
        finds = [found] if found else []


def work_guided(job: Job, window: Window) -> None:
    """Fuzz one target guided by coverage, with atheris; half of the mutations are ours."""
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

    with atheris.instrument_imports(include=["hooksync", "yaml", "json", "email"]):
        from tests.fuzz import seeds, trial
        from tests.fuzz.mutation import Mutator

    dice = Random(job.seed)
    mutator, beginnings = Mutator(dice, seeds.words(job.target)), seeds.seeds(job.target)
    known: set[str] = set()

    def one(data: bytes) -> None:
        window.show(data)
        find, _ = trial.try_input(job.target, data)
        if find and find.name not in known:
            known.add(find.name)
            keep(job.folder, find)
            keep(job.folder, trial.smaller(find, window.show))

    def mutate(data: bytes, longest: int, seed: int) -> Any:
        dice.seed(seed)
        if dice.random() < 0.5:
            return atheris.Mutate(data, longest)
        return mutator.mutate([data, data, dice.choice(beginnings)])[:longest]

    corpus = job.folder / f"corpus-{job.target}"
    corpus.mkdir(exist_ok=True)
    for number, data in enumerate(beginnings):
        (corpus / f"seed-{number}").write_bytes(data)
    limits = [f"-max_total_time={job.seconds:.0f}", f"-max_len={LONGEST}", f"-rss_limit_mb={MOST_MEMORY // 1024**2}"]
    quiet = ["-timeout=600", "-verbosity=0", f"-artifact_prefix={job.folder}/", f"-seed={dice.getrandbits(31)}"]
    atheris.Setup([sys.argv[0], *limits, *quiet, str(corpus)], one, custom_mutator=mutate)
    atheris.Fuzz()


def keep(folder: Path, find: Find) -> None:
    """Write a find down: its bytes, and beside them what they break."""
    write(folder / find.name, find.data, f"{find.what}: {find.example}")


def write(path: Path, data: bytes, what: str) -> None:
    """Write an input down, and beside it what is known of it."""
    path.write_bytes(data)
    path.with_name(f"{path.name}.txt").write_text(f"{what}\n", encoding="utf-8")
