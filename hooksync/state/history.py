"""What the state knows of one tenancy's live subscriptions, as the comparison needs it. Pure.

The list of the service may lag behind its answers. For a quarter of an hour the state bridges that:
what an answer said to be made counts as live, and what it said to be removed as gone. Times are in
seconds since 1970.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from hooksync.core.model import (
    NO_URL,
    DeclaredSubscription,
    LiveSubscription,
    SecretRef,
    SecretState,
    Tenancy,
    Trigger,
)
from hooksync.core.record import Record, field, replace
from hooksync.state.fingerprints import declared_digest
from hooksync.state.model import Intent, State, StateEntry, entry_for, is_recent


class History(Record, frozen=True):
    """Which run made which live subscription, and whether its secret is still the declared one."""

    HIDDEN = ("url_salt",)

    made: Mapping[str, StateEntry | Intent] = field(default_factory=dict)  # by live id
    url_salt: str = ""  # hex
    # by live id; only of what the state knows
    states: Mapping[str, SecretState] = field(default_factory=dict)
    not_set: frozenset[SecretRef] = frozenset()  # references without a value in this run
    # live id -> address that shows its reference has changed
    siblings: Mapping[str, str] = field(default_factory=dict)
    # live ids that an earlier run was to replace, and did not
    unfinished: frozenset[str] = frozenset()
    # ids that were removed a short time ago, and may still be listed
    removed: frozenset[str] = frozenset()
    still_listed: tuple[str, ...] = ()  # those of them that the list showed for this plan
    is_proof: bool = True  # False: anybody could have written the state, so it proves no ownership

    def address_of(self, live: LiveSubscription) -> str | None:
        """Return the address under which hooksync made or adopted a subscription, if it did."""
        made = self.made.get(live.id)
        return made.address if made else None

    def run_of(self, live: LiveSubscription) -> int:
        """Return the number of the run that made a subscription; 0 where that is not known."""
        made = self.made.get(live.id)
        return made.run if made else 0

    def flag_of(self, live: LiveSubscription) -> bool | None:
        """Return a live one's include_identifiers: from the list, otherwise as it was sent."""
        made = self.made.get(live.id)
        if live.include_identifiers is None and made:
            return made.include_identifiers
        return live.include_identifiers

    def is_certain(self, live: LiveSubscription) -> bool:
        """Whether an answer told that hooksync made it, or somebody said so with --adopt."""
        made = self.made.get(live.id)
        return made is not None and not made.is_found

    def state_of(
        self, declared: DeclaredSubscription, live: LiveSubscription | None
    ) -> SecretState:
        """Return what is known of a declared subscription's secret."""
        if declared.secret in self.not_set:
            return "not-set"
        return self.states.get(live.id, "unknown") if live else "unknown"

    def after(
        self, made: Mapping[str, tuple[DeclaredSubscription, bool, tuple[str, ...]]]
    ) -> History:
        """Add what this run has made, by the new ids.

        `made`: with whether only the list told of it, so that its secret is unknown; and what was
        seen before.
        """
        this_run = 1 + max((each.run for each in self.made.values()), default=0)
        known = {**self.made}
        states = {**self.states}
        for identifier, (declared, is_found, seen) in made.items():
            # nobody derives a key of it: `states` tells of the secret
            entry = entry_for(
                declared, identifier, this_run, self.url_salt, is_found=is_found, seen=seen
            )
            known[identifier] = entry
            states[identifier] = "unknown" if is_found else "same"
        return replace(self, made=known, states=states)


NOTHING = History()


class FetchedTenancy(Record, frozen=True):
    """A tenancy and its live subscriptions."""

    tenancy: Tenancy
    live: tuple[LiveSubscription, ...]
    # ids that are listed and not in `live`: they were removed a short time ago
    still_listed: tuple[str, ...] = ()


def bridge(state: State, one: FetchedTenancy, now: float) -> FetchedTenancy:
    """Return what is live: the list, corrected by recent responses."""
    tenancy = one.tenancy
    gone = _removed_lately(state, tenancy.name, now)
    unlisted = _unlisted(state, tenancy.name, now)
    listed = {each.id for each in one.live}
    live = [each for each in one.live if each.id not in gone]
    made_for = {}
    if unlisted:
        made_for = {
            declared_digest(state.url_salt, each.key): each for each in tenancy.subscriptions
        }
    for entry in unlisted:
        if entry.id not in gone | listed:
            live.append(_as_made(entry, made_for.get(entry.declared)))
    return FetchedTenancy(tenancy, tuple(live), tuple(sorted(gone & listed)))


def is_behind(state: State, tenancy: str, listed: Iterable[LiveSubscription], now: float) -> bool:
    """Whether the list lacks what recent responses, or a recently killed run, may have made."""
    shown = {each.id: each for each in listed}
    if any(entry.id not in shown for entry in _unlisted(state, tenancy, now)):
        return True
    if not _removed_lately(state, tenancy, now).isdisjoint(shown):
        return True
    entries = state.entries_of(tenancy)
    made_by: dict[str, int] = {}  # the newest run that is known to have made it
    for entry in entries.values():
        made_by[entry.declared] = max(entry.run, made_by.get(entry.declared, 0))
    young = [
        intent
        for intent in state.intents_of(tenancy)
        if is_recent(intent.at, now) and made_by.get(intent.declared, 0) < intent.run
    ]
    if not young:
        return False
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for each in shown.values():
        ids[declared_digest(state.url_salt, each.key)].add(each.id)
    return any(not ids[intent.declared].difference(intent.seen, entries) for intent in young)


def _unlisted(state: State, tenancy: str, now: float) -> list[StateEntry]:
    """Return what an answer told to be made a short time ago, and no list has shown yet."""
    return [
        each for each in state.entries_of(tenancy).values() if is_recent(each.unlisted_since, now)
    ]


def _removed_lately(state: State, tenancy: str, now: float) -> frozenset[str]:
    return frozenset(
        each.id for each in state.removed if each.tenancy == tenancy and is_recent(each.at, now)
    )


def _as_made(entry: StateEntry, declared: DeclaredSubscription | None) -> LiveSubscription:
    """Return a live one that no list has shown yet.

    The state does not hold its URL, which may hold a key.
    """
    url = declared.url if declared else NO_URL
    trigger = declared.trigger if declared else Trigger.named(entry.address.rpartition("/")[2])
    return LiveSubscription(entry.id, url, trigger, entry.include_identifiers, is_listed=False)


def recall(state: State, one: FetchedTenancy, not_set: frozenset[SecretRef], now: float) -> History:
    """Gather what a state knows of live subscriptions; the planner adds how secrets compare.

    A live one that has no entry, was not there before a run that was killed, and is what that run
    was about to make, counts as made by it. One that was there before, and has no entry, was to be
    replaced by it.
    """
    tenancy = one.tenancy.name
    entries = state.entries_of(tenancy)
    intents: defaultdict[str, list[Intent]] = defaultdict(list)
    for intent in sorted(
        state.intents_of(tenancy), key=lambda each: each.run
    ):  # whatever the address was then
        intents[intent.declared].append(intent)
    made: dict[str, StateEntry | Intent] = {}
    unfinished = set[str]()
    for subscription in one.live:
        if entry := entries.get(subscription.id):
            made[subscription.id] = entry
        elif intents:
            for intent in intents.get(
                declared_digest(state.url_salt, subscription.key), ()
            ):  # the newest last
                if subscription.id in intent.seen:
                    unfinished.add(subscription.id)
                else:
                    made[subscription.id] = intent
    return History(
        made,
        state.url_salt,
        not_set=not_set,
        unfinished=frozenset(unfinished),
        removed=_removed_lately(state, tenancy, now),
        still_listed=one.still_listed,
    )
