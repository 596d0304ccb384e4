"""The state: which live subscriptions hooksync made, and fingerprints of their secrets.

Nouns and rules, pure: no I/O, no clock, no randomness (random bytes are passed in). Each change
gives a new State.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from operator import attrgetter

from hooksync.core.model import DeclaredSubscription, SecretRef
from hooksync.core.record import Record, force_setattr, replace
from hooksync.state.fingerprints import (
    SALT_BYTES,
    Key,
    Salt,
    declared_digest,
    fingerprint,
    intent_fingerprint,
)

# readers of JSON disagree about larger numbers; the schema has the same limit
LARGEST_RUN = 2**53 - 1
# seconds for which a list may not yet show what was made, or still show what was removed
RECENT = 15 * 60


def is_recent(at: int, now: float) -> bool:
    """Whether a list may not yet show what happened then; times in the far future do not count.

    Both in seconds since 1970; `at`: 0: it is not known to have happened, or a list has shown it.
    """
    return at != 0 and abs(now - at) < RECENT


class _Made(Record, frozen=True):
    """What is kept of a subscription that a run makes."""

    HIDDEN = ("fingerprint", "declared")

    tenancy: str
    address: str
    run: int  # a higher one is newer
    salt: str  # id of the Salt
    fingerprint: str  # of the secret, bound to what is known of the subscription
    declared: str  # `declared_digest` of what is made
    # live ids before it was made: the one that it replaces, then others of its identity; of an
    # entry: if only a list told of it, or if what it replaces may still be there
    seen: tuple[str, ...] = ()
    include_identifiers: bool = True  # as it is sent


class StateEntry(_Made, frozen=True, kw_only=True, rename={"is_found": "found"}):
    """A live subscription that hooksync made or adopted; bound to tenancy and id."""

    id: str  # the live one's
    is_found: bool = False  # no answer told its id, only a list: somebody else may have made it
    unlisted_since: int = 0  # when it was made, seconds since 1970; 0: a list has shown it

    def is_made_with(self, key: Key) -> bool:
        """Whether the key, derived with this entry's salt, is that of its secret."""
        return hmac.compare_digest(
            self.fingerprint, fingerprint(key, self.tenancy, self.id, is_found=self.is_found)
        )

    def made_with(self, key: Key, salt: Salt) -> StateEntry:
        """Return this entry with the fingerprint of a secret.

        `key`: of the secret, derived under the salt.
        """
        mark = fingerprint(key, self.tenancy, self.id, is_found=self.is_found)
        return replace(self, salt=salt.id, fingerprint=mark)


def entry_for(
    one: DeclaredSubscription,
    identifier: str,
    run: int,
    url_salt: str,
    *,
    is_found: bool,
    seen: tuple[str, ...] = (),
) -> StateEntry:
    """Return an entry for a live subscription that is as declared, without a fingerprint."""
    digest, flag = declared_digest(url_salt, one.key), one.include_identifiers
    return StateEntry(
        one.tenancy, one.address, run, "", "", digest, seen, flag, id=identifier, is_found=is_found
    )


class Intent(_Made, frozen=True):
    """A subscription that a run is about to make; one that stays is of a killed run."""

    at: int = 0  # when the run began to make it, seconds since 1970; 0: not known, or not made

    @property
    def is_found(self) -> bool:
        """Whether only the list can show the result: always, because no response was recorded."""
        return True

    def is_made_with(self, key: Key) -> bool:
        """Whether the key, derived with this intent's salt, is that of its secret."""
        return hmac.compare_digest(
            self.fingerprint, intent_fingerprint(key, self.tenancy, self.address)
        )


class Removed(Record, frozen=True):
    """A live subscription that a run removed, and a list still showed."""

    tenancy: str
    id: str
    at: int  # when it was removed, seconds since 1970


class Settlement(Record, frozen=True):
    """What a run leaves behind in one tenancy."""

    tenancy: str
    run: int
    made: tuple[StateEntry, ...] = ()  # made or adopted; each replaces an entry with its id
    open_addresses: frozenset[str] = frozenset()  # of this run: they may have been made
    # of this run: they were not, and their intents stay as evidence
    not_made: frozenset[str] = frozenset()
    finished: tuple[Intent, ...] = ()  # of earlier runs, and settled by this one
    gone: frozenset[str] = frozenset()  # ids to forget; see State.gone
    removed: tuple[Removed, ...] = ()  # each replaces an earlier one of its id
    # the time of now, seconds since 1970; what was removed long before is dropped; 0: not known
    at: int = 0

    def left_of(self, intent: Intent) -> Intent | None:
        """Return an intent of the tenancy as it stays; None: its outcome is known, and it goes."""
        if intent.run != self.run or intent.address in self.open_addresses:
            return intent
        if intent.address in self.not_made:
            return replace(intent, at=0)  # no list is waited for
        return None

    def forgets(self, removed: Removed) -> bool:
        """Whether a removal is no longer needed: it is long past, or its id was made again."""
        if self.at and not is_recent(removed.at, self.at):
            return True
        return any(entry.id == removed.id for entry in self.made)


_live_key = attrgetter("tenancy", "id")
_intent_key = attrgetter("tenancy", "address", "run")
_ORDER = {
    "salts": attrgetter("id"),
    "entries": attrgetter("tenancy", "address", "id"),
    "intents": _intent_key,
    "removed": _live_key,
}


class State(Record, frozen=True, dict=True):
    """Everything that hooksync remembers, always in the same order."""

    HIDDEN = ("url_salt",)

    last_run: int  # 0: none yet
    # hex; of every `declared` in this state, and its lineage: all later versions of it have the
    # same
    url_salt: str
    salts: tuple[Salt, ...] = ()
    entries: tuple[StateEntry, ...] = ()
    intents: tuple[Intent, ...] = ()
    removed: tuple[Removed, ...] = ()
    serial: int = 0  # one higher with each write that changes anything

    def __post_init__(self) -> None:
        for name, key in _ORDER.items():
            records = tuple(sorted(getattr(self, name), key=key))
            force_setattr(self, name, records)  # the class is frozen otherwise

    @cached_property
    def _by_tenancy(self) -> Mapping[str, Mapping[str, StateEntry]]:
        index: dict[str, dict[str, StateEntry]] = {}
        for entry in self.entries:
            index.setdefault(entry.tenancy, {})[entry.id] = entry
        return index

    def entries_of(self, tenancy: str) -> Mapping[str, StateEntry]:
        """Return a tenancy's entries by live id."""
        return self._by_tenancy.get(tenancy, {})

    def intents_of(self, tenancy: str) -> tuple[Intent, ...]:
        """Return the intents that runs left in a tenancy, by address, the newest last."""
        return tuple(intent for intent in self.intents if intent.tenancy == tenancy)

    def addresses(self) -> set[str]:
        """Return the addresses of what was made or adopted, or is about to be made."""
        return {each.address for several in (self.entries, self.intents) for each in several}

    def salts_by_id(self) -> dict[str, Salt]:
        """Return the salts by the id under which entries and intents name them."""
        return {salt.id: salt for salt in self.salts}

    def salts_for(
        self, refs: Iterable[SecretRef], random: Callable[[int], bytes]
    ) -> dict[SecretRef, Salt]:
        """Return each reference's salt for new subscriptions, the existing one or a new one."""
        usable = {salt.id.rpartition("#")[0]: salt for salt in reversed(self.salts)}
        given: dict[SecretRef, Salt] = {}
        for ref in refs:
            if str(ref) not in usable:
                salt = random(SALT_BYTES)
                usable[str(ref)] = Salt(f"{ref}#{salt[:4].hex()}", salt.hex())
            given[ref] = usable[str(ref)]
        return given

    def gone(self, tenancy: str, live_ids: Iterable[str] | None, now: float) -> frozenset[str]:
        """Return the ids of entries that are not live any more; none if the list is not known.

        To be asked of the state as it was before the live ones were listed: what others make
        meanwhile is not gone. Nor is what was made so recently that the list may not show it yet.
        `now`: seconds since 1970.
        """
        if live_ids is None:
            return frozenset()
        entries = self.entries_of(tenancy).values()
        return frozenset(
            each.id for each in entries if not is_recent(each.unlisted_since, now)
        ).difference(live_ids)

    def with_intents(self, intents: Iterable[Intent], salts: Iterable[Salt]) -> State:
        """Begin a run: its number is the new `last_run`, and that of the intents.

        `salts`: those that these name.
        """
        run = self.last_run + 1
        meant = {(intent.tenancy, intent.address): replace(intent, run=run) for intent in intents}
        return replace(self, last_run=run)._with(
            self.entries, (*self.intents, *meant.values()), salts
        )

    def settled(self, settlements: Iterable[Settlement], salts: Iterable[Salt]) -> State:
        """End a run in its tenancies; what others and other runs left stays.

        `salts`: those that new entries name.
        """
        ends = {end.tenancy: end for end in settlements}
        entries = {_live_key(entry): entry for entry in self.entries}
        removed = {}
        for each in self.removed:
            own_end = ends.get(each.tenancy)
            if own_end is None or not own_end.forgets(each):
                removed[_live_key(each)] = each
        for end in ends.values():
            for identifier in end.gone:
                entries.pop((end.tenancy, identifier), None)
            for entry in end.made:
                entries[_live_key(entry)] = entry
            for each in end.removed:
                removed[_live_key(each)] = each
        state = replace(self, removed=tuple(removed.values()))
        return state._with(entries.values(), self._open_intents(ends), salts)

    def _open_intents(self, ends: Mapping[str, Settlement]) -> list[Intent]:
        """Return the intents that stay after runs ended so, by tenancy."""
        finished = {_intent_key(intent) for end in ends.values() for intent in end.finished}
        stay = []
        for intent in self.intents:
            end = ends.get(intent.tenancy)
            left = end.left_of(intent) if end else intent
            if left and _intent_key(intent) not in finished:
                stay.append(left)
        return stay

    def knowing(self, entry: StateEntry, salt: Salt) -> State:
        """Take in what has become known of one live subscription. `salt`: of its fingerprint."""
        others = (each for each in self.entries if _live_key(each) != _live_key(entry))
        return self._with((*others, entry), self.intents, (salt,))

    def moving(self, old: str, new: str) -> State:
        """Give the entries of an address a different address in the same tenancy and trigger."""
        moved = (
            replace(each, address=new) if each.address == old else each for each in self.entries
        )
        return replace(self, entries=tuple(moved))

    def forgetting(self, addresses: Collection[str]) -> State:
        """Drop the entries and the intents of these addresses."""
        entries = (each for each in self.entries if each.address not in addresses)
        return self._with(
            entries, (each for each in self.intents if each.address not in addresses), ()
        )

    def _with(
        self, entries: Iterable[StateEntry], intents: Iterable[Intent], salts: Iterable[Salt]
    ) -> State:
        """Change the contents, and drop the salts that nothing names any more.

        Raises KeyError for a missing salt.
        """
        entries = tuple(entries)
        intents = tuple(intents)
        known = {salt.id: salt for salt in (*salts, *self.salts)}
        used = set()
        last_run = self.last_run
        for each in (*entries, *intents):
            used.add(each.salt)
            last_run = max(last_run, each.run)  # it may be a new file
        kept = tuple(known[name] for name in used)
        return replace(self, last_run=last_run, salts=kept, entries=entries, intents=intents)


NO_STATE = State(0, "")  # what is remembered where there is none
