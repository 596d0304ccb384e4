"""A backend in memory, whose calls fail as a test chooses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

from hooksync.core.errors import Problem, StateError
from hooksync.state.contract import Changed, Content
from hooksync.state.remote import RemoteStore

CUT = StateError(Problem("memory is unreachable", "check the network"))


class PassiveStore(RemoteStore):
    """A store without a thread that renews the run lock: a test decides when it is renewed."""

    def renew_until(self, done: Event) -> None:
        """Renew nothing."""


@dataclass(slots=True)
class MemoryBackend:
    """Holds one content. `faults`: what happens to the next writes, one each; "" for nothing."""

    where: str = "memory"
    found: tuple[Content, str] | None = None
    is_cut: bool = False  # no call gets through
    faults: list[str] = field(default_factory=list)  # of writes: before, after, doubled, stale
    calls: int = 0
    messages: list[str] = field(default_factory=list)
    before_put: Callable[[], None] = lambda: None  # what others do just before a write

    @property
    def content(self) -> Content:
        return self.found[0] if self.found else Content()

    def get(self) -> tuple[Content, str] | None:
        self.calls += 1
        if self.is_cut:
            raise CUT
        return self.found

    def put(self, content: Content, version: str | None, message: str) -> str:
        self.calls += 1
        fault = self.faults.pop(0) if self.faults else ""
        if self.is_cut or fault == "before":
            raise CUT
        if fault == "stale":
            raise Changed
        self.before_put()
        self._put(content, version)
        self.messages.append(message)
        if fault == "after":
            raise CUT
        if fault == "doubled":
            raise Changed  # the second write finds the content of the first
        assert self.found
        return self.found[1]

    def _put(self, content: Content, version: str | None) -> None:
        now = self.found[1] if self.found else None
        if version != now:
            raise Changed
        self.found = content, str(int(now or 0) + 1)
