"""Tries and times inputs, and keeps an input that has a new result or breaks something."""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.fuzz.checks import Broken
from tests.fuzz.mutation import Mutator
from tests.fuzz.seeds import seeds, words
from tests.fuzz.targets import TARGETS

SLOWEST = 5.0  # seconds of processor time that an input of up to 64 KiB may take

_LARGEST_POOL = 3000


@dataclass(frozen=True)
class Find:
    """An input that breaks something."""

    target: str
    data: bytes
    what: str  # the error and its origin, or the broken condition; equal for finds of one kind
    example: str = ""

    @property
    def name(self) -> str:
        """Return a name that is equal for finds of one kind."""
        return f"{self.target}-{hashlib.sha256(self.what.encode()).hexdigest()[:8]}"


@dataclass
class Fuzzer:
    """Fuzzes one target. An equal seed and number of inputs give equal results."""

    target: str
    seed: str
    before: Callable[[bytes], None] = lambda _: None  # is called with each input before the trial
    finds: dict[str, Find] = field(default_factory=dict)  # by name
    said: set[str] = field(default_factory=set)
    inputs: int = 0

    def __post_init__(self) -> None:
        self._mutator = Mutator(Random(self.seed), words(self.target))
        self._pool = seeds(self.target)
        for data in self._pool:
            self.take(data)

    def step(self) -> Find | None:
        """Make an input and try it. Return its find if the find is of a new kind."""
        return self.take(self._mutator.mutate(self._pool))

    def take(self, data: bytes) -> Find | None:
        """Try an input, and add it to the pool if its result is new.

        Return its find if the find is of a new kind.
        """
        self.inputs += 1
        self.before(data)
        found, said = try_input(self.target, data)
        if said - self.said and len(self._pool) < _LARGEST_POOL:
            self.said |= said
            self._pool.append(data)
        if found is None or found.name in self.finds:
            return None
        self.finds[found.name] = found
        return found


def try_input(target: str, data: bytes) -> tuple[Find | None, frozenset[str]]:
    """Try an input. Return its find, if any, and the outlines of its results."""
    start = time.process_time()
    try:
        said = TARGETS[target](data)
    except Exception as error:
        return Find(target, data, *_told(error)), frozenset()
    seconds = time.process_time() - start
    return (Find(target, data, "too slow", f"{seconds:.1f} s") if seconds > SLOWEST else None), said


def _told(error: Exception) -> tuple[str, str]:
    if isinstance(error, Broken):
        return error.what, repr(error.example)[:300]
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "hooksync" in Path(frame.filename).parts] or frames
    return (
        f"{type(error).__name__} in {Path(ours[-1].filename).name}, {ours[-1].name}",
        str(error)[:300],
    )
