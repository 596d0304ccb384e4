"""A service in memory with scripted faults, for tests of the logic of apply."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from hooksync.core.errors import AnswerLost, HooksyncError, Rejected, ServiceError
from hooksync.core.model import DeclaredSubscription, LiveSubscription, Secret, Tenancy
from tests.makers import tenancy

LIE = "a success answer, and nothing done"


def rejected(status: int) -> Rejected:
    return Rejected(f"-> {status}: no", "look", status=status)


def lost() -> AnswerLost:
    return AnswerLost("the connection was cut", "try again")


@dataclass
class FakeService:
    """Holds subscriptions.

    A script has one entry for each call. None: do it. An error: fail. ("after", error): do it, and
    then fail. LIE: do nothing, and answer with success.
    """

    live: dict[str, LiveSubscription] = field(default_factory=dict)
    refuses_duplicates: bool = False
    tells_ids: bool = True
    is_upsert: bool = False  # for a URL and trigger that it holds, it returns the existing id
    hidden: set[str] = field(default_factory=set)  # ids that no list shows
    on_subscribe: deque[object] = field(default_factory=deque)
    on_unsubscribe: deque[object] = field(default_factory=deque)
    on_list: deque[object] = field(default_factory=deque)
    calls: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    tenancy: Tenancy = field(default_factory=tenancy)
    tenant: str | None = "BRAMA"  # the declared one, or the one that the log-in reports

    @classmethod
    def holding(cls, live: Iterable[LiveSubscription], **settings: object) -> FakeService:
        return cls({subscription.id: subscription for subscription in live}, **settings)  # type: ignore[arg-type]

    @property
    def listed(self) -> list[LiveSubscription]:
        return [one for one in self.live.values() if one.id not in self.hidden]

    def list_subscriptions(self) -> tuple[LiveSubscription, ...]:
        with self.lock:
            self.calls.append("list")
            after = self._script(self.on_list)
            found = tuple(self.listed)
            self._raise(after)
            return found

    def subscribe(self, declared: DeclaredSubscription, secret: Secret) -> str | None:
        with self.lock:
            self.calls.append(f"subscribe {declared.url.shown}")
            if self._takes(LIE, self.on_subscribe):
                return f"lie-{len(self.calls)}" if self.tells_ids else None
            after = self._script(self.on_subscribe)
            same = [s for s in self.live.values() if s.key == declared.key]
            if same and self.refuses_duplicates:
                raise rejected(409)
            if same and self.is_upsert:
                return same[0].id
            identifier = f"new-{len(self.calls)}"
            self.live[identifier] = LiveSubscription(
                identifier, declared.url, declared.trigger, declared.include_identifiers
            )
            self._raise(after)
            return identifier if self.tells_ids else None

    def unsubscribe(self, identifier: str) -> None:
        with self.lock:
            self.calls.append(f"unsubscribe {identifier}")
            if self._takes(LIE, self.on_unsubscribe):
                return
            after = self._script(self.on_unsubscribe)
            self.live.pop(identifier, None)
            self._raise(after)

    @staticmethod
    def _takes(word: str, script: deque[object]) -> bool:
        """Take this word from a script if it is next; return whether it was taken."""
        return bool(script) and script[0] == word and bool(script.popleft())

    @staticmethod
    def _script(script: deque[object]) -> HooksyncError | None:
        entry = script.popleft() if script else None
        if isinstance(entry, HooksyncError):
            raise entry
        return entry[1] if isinstance(entry, tuple) else None

    @staticmethod
    def _raise(error: HooksyncError | None) -> None:
        if error is not None:
            raise error


def unreachable() -> ServiceError:
    return ServiceError("the server refuses connections", "check the network")
