"""What the state remembers of one tenancy's live subscriptions, as the comparison needs it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Protocol

from hooksync.core.model import DeclaredSubscription, LiveSubscription, SecretRef, SecretState, SubscriptionKey
from hooksync.core.record import Record, field, replace
from hooksync.state.model import Intent, State, declared_digest


class Made(Protocol):
    """What is known of how a live subscription came about: an entry of the state, or an intent of a killed run."""

    @property
    def run(self) -> int:
        """The number of the run; a higher one is newer."""

    @property
    def declared(self) -> bytes:
        """The digest of the URL and trigger that it was made for."""


class _Fresh(Record, frozen=True):
    """Made by this run."""

    run: int
    declared: bytes


class History(Record, frozen=True):
    """Which run made which live subscription, for what, and whether its secret is still the declared one."""

    made: Mapping[str, Made] = field(default_factory=dict)  # by live id
    url_salt: bytes = b""
    states: Mapping[str, SecretState] = field(default_factory=dict)  # by live id
    not_set: frozenset[SecretRef] = frozenset()  # references that lead to nothing in this run

    def run_of(self, live: LiveSubscription) -> int:
        """Give the number of the run that made a subscription; 0 where that is not known."""
        made = self.made.get(live.id)
        return made.run if made else 0

    def digest_of(self, key: SubscriptionKey) -> bytes:
        """Give the digest under which the state keeps a URL and a trigger."""
        return declared_digest(self.url_salt, key.url, key.trigger.wire)

    def state_of(self, declared: DeclaredSubscription, live: LiveSubscription | None) -> SecretState:
        """Say what is known of a declared subscription's secret."""
        if declared.secret in self.not_set:
            return "not-set"
        return self.states.get(live.id, "unknown") if live else "unknown"

    def after(self, made: Mapping[str, DeclaredSubscription]) -> History:
        """Add what this run has made, by the new ids: it is the newest, and its secret is the declared one."""
        this_run = 1 + max((each.run for each in self.made.values()), default=0)
        fresh = {identifier: _Fresh(this_run, self.digest_of(declared.key)) for identifier, declared in made.items()}
        same: dict[str, SecretState] = dict.fromkeys(made, "same")
        return replace(self, made={**self.made, **fresh}, states={**self.states, **same})


NOTHING = History()


def recall(state: State | None, tenancy: str, live: Iterable[LiveSubscription]) -> History:
    """Gather what a state says of live subscriptions.

    A live one that has no entry, was not seen by a run that was cut, and is what that run meant to make, is its work.
    """
    if state is None:
        return NOTHING
    entries, intents = state.entries_of(tenancy), state.intents_of(tenancy)
    memory = History(url_salt=state.url_salt)
    meant: defaultdict[bytes, list[Intent]] = defaultdict(list)
    for intent in intents:
        meant[intent.declared].append(intent)
    made: dict[str, Made] = {}
    for subscription in live:
        if entry := entries.get(subscription.id):
            made[subscription.id] = entry
        elif meant:
            for intent in meant.get(memory.digest_of(subscription.key), ()):  # the newest last
                if subscription.id not in intent.seen:
                    made[subscription.id] = intent
    return replace(memory, made=made)
