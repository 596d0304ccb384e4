"""A backend in memory, whose calls fail as a test chooses."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event

from hooksync.core.errors import StateError
from hooksync.state.contract import BackendData, Changed
from hooksync.state.remote import RemoteStore

CUT = StateError("memory is unreachable", "check the network")


class PassiveStore(RemoteStore):
    """A store without a thread that renews the run lock: a test decides when it is renewed."""

    def renew_until(self, done: Event) -> None:
        """Renew nothing."""


@dataclass(slots=True)
class MemoryBackend:
    """Holds one content."""

    where: str = "memory"
    found: tuple[BackendData, str] | None = None
    is_cut: bool = False  # no call gets through
    is_stale: bool = False  # each write comes too late
    calls: int = 0
    messages: list[str] = field(default_factory=list)

    @property
    def content(self) -> BackendData:
        return self.found[0] if self.found else BackendData()

    def get(self) -> tuple[BackendData, str | None]:
        self.calls += 1
        if self.is_cut:
            raise CUT
        return self.found or (BackendData(), None)

    def put(self, content: BackendData, version: str | None, message: str) -> str:
        self.calls += 1
        if self.is_cut:
            raise CUT
        now = self.found[1] if self.found else None
        if self.is_stale or version != now:
            raise Changed(self.where)
        self.found = content, str(int(now or 0) + 1)
        self.messages.append(message)
        return self.found[1]
