"""What the state knows of one tenancy's live subscriptions, as the comparison needs it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Protocol

from hooksync.core.model import DeclaredSubscription, LiveSubscription, SecretRef, SecretState, SubscriptionKey
from hooksync.core.record import Record, field, replace
from hooksync.state.fingerprints import declared_digest
from hooksync.state.model import Intent, State


class Made(Protocol):
    """How a live subscription was made: an entry of the state, or an intent of a run that was killed."""

    @property
    def run(self) -> int:
        """The number of the run; a higher one is newer."""

    @property
    def address(self) -> str:
        """The address that it was made or last kept for."""

    @property
    def declared(self) -> bytes:
        """The digest of the URL and trigger that it was made for."""


class _MadeNow(Record, frozen=True):
    """Made by this run."""

    HIDDEN = ("declared",)

    run: int
    address: str
    declared: bytes


class History(Record, frozen=True):
    """Which run made which live subscription, for what, and whether its secret is still the declared one."""

    HIDDEN = ("url_salt",)

    made: Mapping[str, Made] = field(default_factory=dict)  # by live id
    url_salt: bytes = b""
    states: Mapping[str, SecretState] = field(default_factory=dict)  # by live id
    not_set: frozenset[SecretRef] = frozenset()  # references without a value in this run
    siblings: Mapping[str, str] = field(default_factory=dict)  # live id -> address that shows its reference has changed
    unfinished: frozenset[str] = frozenset()  # live ids that an earlier run was to replace, and did not

    def run_of(self, live: LiveSubscription) -> int:
        """Return the number of the run that made a subscription; 0 where that is not known."""
        made = self.made.get(live.id)
        return made.run if made else 0

    def digest_of(self, key: SubscriptionKey) -> bytes:
        """Return the digest under which the state keeps a URL and a trigger."""
        return declared_digest(self.url_salt, key.url, key.trigger.wire)

    def state_of(self, declared: DeclaredSubscription, live: LiveSubscription | None) -> SecretState:
        """Return what is known of a declared subscription's secret."""
        if declared.secret in self.not_set:
            return "not-set"
        return self.states.get(live.id, "unknown") if live else "unknown"

    def after(self, made: Mapping[str, DeclaredSubscription]) -> History:
        """Add what this run has made, by the new ids: it is the newest, and its secret is the declared one."""
        this_run = 1 + max((each.run for each in self.made.values()), default=0)
        new = {
            identifier: _MadeNow(this_run, declared.address, self.digest_of(declared.key))
            for identifier, declared in made.items()
        }
        same: dict[str, SecretState] = dict.fromkeys(made, "same")
        return replace(self, made={**self.made, **new}, states={**self.states, **same})


NOTHING = History()


def recall(
    state: State | None, tenancy: str, live: Iterable[LiveSubscription], not_set: frozenset[SecretRef] = frozenset()
) -> History:
    """Gather what a state knows of live subscriptions; how their secrets compare is added by the planner.

    A live one that has no entry, was not there before a run that was killed, and is what that run was about to make,
    counts as made by it. One that was there before, and has no entry, was to be replaced by it.
    """
    if state is None:
        return History(not_set=not_set)
    entries = state.entries_of(tenancy)
    intents: defaultdict[bytes, list[Intent]] = defaultdict(list)
    for intent in state.intents_of(tenancy):
        intents[intent.declared].append(intent)
    made: dict[str, Made] = {}
    unfinished = set[str]()
    for subscription in live:
        if entry := entries.get(subscription.id):
            made[subscription.id] = entry
        elif intents:
            digest = declared_digest(state.url_salt, subscription.key.url, subscription.trigger.wire)
            for intent in intents.get(digest, ()):  # the newest last
                if subscription.id in intent.seen:
                    unfinished.add(subscription.id)
                else:
                    made[subscription.id] = intent
    return History(made, state.url_salt, not_set=not_set, unfinished=frozenset(unfinished))
