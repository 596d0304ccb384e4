"""What the state contains about one tenancy, as the comparison needs it. Pure.

A run that did not learn the result of a call leaves an intent. If a later list shows a subscription
for this intent, the subscription belongs to hooksync. It is unconfirmed: no response proves with
which secret it was made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from hooksync.core.model import (
    NO_URL,
    Content,
    DeclaredSubscription,
    LiveSubscription,
    LiveSubscriptions,
    SecretRef,
    SecretState,
    Tenancy,
    TenancyKey,
    Trigger,
)
from hooksync.core.record import Record, field, replace
from hooksync.state.fingerprints import declared_digest
from hooksync.state.model import Intent, State, StateEntry, TenancyRecords

MOST_UNSETTLED = 2  # so many applies in succession may leave an address unsettled


class History(Record, frozen=True):
    """What the state contains about a tenancy, and what that means in this run."""

    HIDDEN = ("url_salt",)

    entries: Mapping[str, StateEntry] = field(default_factory=dict)  # by live id
    url_salt: str = ""  # hex
    # how the secrets of confirmed entries compare with the declared ones, for all tenancies
    states: Mapping[StateEntry, SecretState] = field(default_factory=dict)
    # why references have no value in this run
    no_value: Mapping[SecretRef, SecretState] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()  # addresses that too many applies left unsettled
    is_proof: bool = True  # False: anybody could have written the state, so it proves no ownership
    is_kept: bool = True  # False: the run has no state, so no secret is compared

    def is_unconfirmed(self, live: LiveSubscription) -> bool:
        """Whether hooksync made a subscription, but only a list has shown it, and no response."""
        entry = self.entries.get(live.id)
        return entry is not None and not entry.is_confirmed

    def content_of(self, live: LiveSubscription) -> Content:
        """Return the compared fields of a live subscription.

        If the list does not report the flag, the value in the state is returned.
        """
        content = live.content
        entry = self.entries.get(live.id)
        if live.include_identifiers is None and entry:
            content["include_identifiers"] = entry.include_identifiers
        return content

    def state_of(
        self, declared: DeclaredSubscription, live: LiveSubscription | None
    ) -> SecretState:
        """Return what is known of a declared subscription's secret."""
        if state := self.no_value.get(declared.secret):
            return state
        entry = self.entries.get(live.id) if live else None
        return self.states.get(entry, "unknown") if entry else "unknown"

    def lost_names(self, live: Iterable[LiveSubscription]) -> frozenset[str]:
        """Return the local names of entries whose ids are no longer live."""
        ids = {one.id for one in live}
        lost = (entry for entry in self.entries.values() if entry.id not in ids)
        return frozenset(entry.local_name for entry in lost)


NOTHING = History()


class FetchedTenancy(Record, frozen=True):
    """A tenancy and its live subscriptions."""

    tenancy: Tenancy
    live: LiveSubscriptions


def local_name(declared: DeclaredSubscription) -> str:
    """Return the address of a declared subscription without the tenancy's name."""
    return declared.address.partition("/")[2]


def history_of(state: State, tenancy: Tenancy) -> History:
    """Gather what a state contains about a tenancy. The planner fills in the other fields."""
    records = state.of(tenancy.key)
    refused = set()
    for each in records.unsettled:
        if each.applies >= MOST_UNSETTLED:
            refused.add(f"{tenancy.name}/{each.local_name}")
    return History(
        {entry.id: entry for entry in records.entries},
        state.url_salt,
        refused=frozenset(refused),
    )


def with_unlisted(
    state: State, tenancy: Tenancy, listed: Sequence[LiveSubscription]
) -> LiveSubscriptions:
    """Add the subscriptions that a response confirmed, but no list has shown yet.

    They count as live.
    """
    shown = {one.id for one in listed}
    entries = [each for each in state.of(tenancy.key).entries if not each.is_listed]
    unlisted = [entry for entry in entries if entry.id not in shown]
    if not unlisted:
        return tuple(listed)
    made_for = {declared_digest(state.url_salt, one.key): one for one in tenancy.subscriptions}
    added = [_live_from_entry(entry, made_for.get(entry.declared)) for entry in unlisted]
    return (*listed, *added)


def _live_from_entry(entry: StateEntry, declared: DeclaredSubscription | None) -> LiveSubscription:
    """Return the live subscription of an entry that no list has shown.

    Its URL comes from the declaration, because the state does not contain it.
    """
    url = declared.url if declared else NO_URL
    trigger = declared.trigger if declared else Trigger.named(entry.address.rpartition("/")[2])
    return LiveSubscription(entry.id, url, trigger, entry.include_identifiers, is_listed=False)


def found_for(
    records: TenancyRecords, listed: Iterable[LiveSubscription], url_salt: str
) -> list[tuple[Intent, str]]:
    """Pair each intent with the ids that a list shows for it.

    Ids that have an entry, or were listed before the intent was written, are left out.
    """
    if not records.intents:
        return []
    known = {entry.id for entry in records.entries}
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for one in listed:
        if one.id not in known:
            ids[declared_digest(url_salt, one.key)].append(one.id)
    found = []
    for intent in records.intents:
        found += [(intent, id_) for id_ in ids[intent.declared] if id_ not in intent.seen]
    return found


def is_behind(records: TenancyRecords, listed: Sequence[LiveSubscription], url_salt: str) -> bool:
    """Whether a list lacks what an earlier run may have made: a later list may still show it."""
    found = found_for(records, listed, url_salt)
    shown = {one.id for one in listed}
    is_missing = any(not each.is_listed and each.id not in shown for each in records.entries)
    return is_missing or len({intent for intent, _ in found}) < len(records.intents)


def recovered(
    state: State, key: TenancyKey, listed: Sequence[LiveSubscription], this_run: int = 0
) -> State:
    """Close the intents of earlier runs, and record the subscriptions that a list shows for them.

    `this_run`: the number of the run whose own intents stay.
    """
    records = state.of(key)
    own = tuple(intent for intent in records.intents if intent.run == this_run)
    if len(own) == len(records.intents):
        return state
    made = {}
    for intent, identifier in found_for(records, listed, state.url_salt):
        if intent.run != this_run:
            made[identifier] = intent.entry(identifier)
    entries = (*records.entries, *made.values())
    return state.with_records({key: replace(records, entries=entries, intents=own)})
