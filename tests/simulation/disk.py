"""The places of states: a disk and a remote backend.

On a disk, the system releases the run lock of a dead process. In a backend, that lock stays until
it expires.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hooksync.core.output import Output
from hooksync.state.contract import BackendData, Busy, Changed, Holder
from tests.simulation.world import Process


@dataclass(slots=True)
class Disk:
    """All states by name, and their run locks."""

    texts: dict[str, str] = field(default_factory=dict)
    held: dict[str, Holder] = field(default_factory=dict)
    locks: dict[str, str] = field(default_factory=dict)  # run locks in backends
    writes: int = 0

    def put(self, name: str, text: str | None) -> None:
        """Write a state, or delete it if the text is None."""
        self.writes += 1
        if text is None:
            self.texts.pop(name, None)
        else:
            self.texts[name] = text

    def put_content(self, name: str, content: BackendData) -> None:
        """Write the state and the run lock of a backend."""
        self.put(name, content.state)
        if content.lock is None:
            self.locks.pop(name, None)
        else:
            self.locks[name] = content.lock


@dataclass(frozen=True, slots=True)
class FarBackend:
    """A remote state and its run lock for one process. It implements hooksync's `Backend`."""

    disk: Disk
    process: Process
    where: str

    def get(self) -> tuple[BackendData, str | None]:
        self.process.reach()
        content = BackendData(self.disk.texts.get(self.where), self.disk.locks.get(self.where))
        return content, None if content == BackendData() else str(self.disk.writes)

    def put(self, content: BackendData, version: str | None, message: str) -> str:
        if version != self.get()[1]:
            raise Changed(self.where)
        self.process.write(lambda: self.disk.put_content(self.where, content))
        return str(self.disk.writes)


@dataclass(slots=True)
class Store:
    """A state on disk for one process. It implements hooksync's `StateStore`."""

    disk: Disk
    process: Process
    where: str
    policy: str | None = None
    was_used = False

    key = None
    output = Output()

    def read(self) -> str | None:
        self.process.live()
        return self.disk.texts.get(self.where)

    def write(self, text: str, before: str | None, message: str) -> None:
        self.process.live()
        if self.disk.texts.get(self.where) != before:
            raise Changed(self.where)
        self.process.write(lambda: self.disk.put(self.where, text))

    @contextmanager
    def hold(self, holder: Holder) -> Iterator[None]:
        self.process.live()
        if self.where in self.disk.held:
            raise Busy(self.where, self.disk.held[self.where], "nobody else is left")
        self.disk.held[self.where] = holder
        try:
            yield
        finally:  # also if the process dies: the system releases its lock
            del self.disk.held[self.where]

    def holder(self) -> Holder | None:
        return None

    def check(self) -> None:
        """Do nothing: a lock of the system is never lost."""

    def unlock(self, identifier: str) -> None:
        raise AssertionError(identifier)
