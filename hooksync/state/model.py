"""The state: which live subscriptions hooksync made, and a fingerprint of the secret that each was made with.

Nouns and rules, pure: no I/O, no clock, no chance (random bytes are passed in). Each change gives a new State.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn

from hooksync.core.model import SecretRef
from hooksync.core.record import Record, field, force_setattr, replace

SALT_BYTES = 16
DIGEST_BYTES = 32
COST_N, COST_R, COST_P = 2**15, 8, 1  # of scrypt, for what is made now: 32 MiB and about 0.1 s
_ENTRY, _INTENT, _DECLARED = "hooksync.lock/entry", "hooksync.lock/intent", "hooksync.lock/declared"


class Key:
    """A secret stretched under a salt. It never shows itself: it only signs."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def sign(self, *parts: str) -> bytes:
        """Give the HMAC-SHA256 of the parts, which cannot be cut otherwise to the same effect."""
        return hmac.digest(self._value, _joined(parts), "sha256")

    def __repr__(self) -> str:
        return "Key(***)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Key is neither pickled nor copied")


class Salt(Record, frozen=True):
    """What a secret is stretched with: one for each reference, however many subscriptions share the secret."""

    HIDDEN = ("salt",)

    id: str  # the reference and the first bytes: "env:HOOK_SECRET#1f2e3d4c"; two runs never call two salts the same
    salt: bytes
    n: int = COST_N
    r: int = COST_R
    p: int = COST_P

    def __hash__(self) -> int:
        return hash(self.id)  # hash enough, ten thousand times over


class StateEntry(Record, frozen=True):
    """A live subscription that hooksync made or adopted."""

    HIDDEN = ("fingerprint", "declared")

    tenancy: str
    id: str  # the live one's
    address: str
    run: int  # that made it; a higher one is newer
    salt: str  # id of the Salt
    fingerprint: bytes  # of the secret, bound to tenancy and id
    declared: bytes  # `declared_digest` of what it was made for

    def is_made_with(self, key: Key) -> bool:
        """Tell whether the secret behind the key, under this entry's salt, is the one that it was made with."""
        return hmac.compare_digest(self.fingerprint, fingerprint(key, self.tenancy, self.id))


class Intent(Record, frozen=True):
    """A subscription that a run was about to make: all that is left of a run that was killed."""

    HIDDEN = ("fingerprint", "declared")

    tenancy: str
    address: str
    run: int
    salt: str  # id of the Salt
    fingerprint: bytes  # of the secret, bound to tenancy and address: there was no id yet
    declared: bytes  # `declared_digest` of what was to be made
    seen: tuple[str, ...] = ()  # live ids of that identity when the run began; another one is the one made

    def is_made_with(self, key: Key) -> bool:
        """Tell whether the secret behind the key, under this intent's salt, is the one that was meant."""
        return hmac.compare_digest(self.fingerprint, intent_fingerprint(key, self.tenancy, self.address))


class Settlement(Record, frozen=True):
    """How a run ends in one tenancy."""

    tenancy: str
    run: int
    made: tuple[StateEntry, ...] = ()  # made or adopted; written over what stands under their ids
    open_addresses: frozenset[str] = frozenset()  # of this run: they may have been made, nobody knows
    finished: tuple[Intent, ...] = ()  # of earlier runs, and looked after by this one
    gone: frozenset[str] = frozenset()  # ids to forget; see State.gone

    def ends(self, intent: Intent) -> bool:
        """Tell whether an intent is of this run, and its outcome is known."""
        return (intent.tenancy, intent.run) == (self.tenancy, self.run) and intent.address not in self.open_addresses


class State(Record, frozen=True):
    """Everything that hooksync remembers, always in the same order."""

    HIDDEN = ("url_salt", "_entries")

    last_run: int  # 0: none yet
    url_salt: bytes  # of every `declared` in this state
    salts: tuple[Salt, ...] = ()
    entries: tuple[StateEntry, ...] = ()
    intents: tuple[Intent, ...] = ()
    _entries: dict[str, dict[str, StateEntry]] = field(default_factory=dict)  # by tenancy, by live id

    def __post_init__(self) -> None:
        put = force_setattr  # the class is frozen for everybody else
        put(self, "salts", tuple(sorted(self.salts, key=lambda salt: salt.id)))
        put(self, "entries", tuple(sorted(self.entries, key=lambda entry: (entry.tenancy, entry.address, entry.id))))
        put(self, "intents", tuple(sorted(self.intents, key=_place)))
        index: dict[str, dict[str, StateEntry]] = {}
        for entry in self.entries:
            index.setdefault(entry.tenancy, {})[entry.id] = entry
        put(self, "_entries", index)

    def entries_of(self, tenancy: str) -> Mapping[str, StateEntry]:
        """Give a tenancy's entries by live id."""
        return self._entries.get(tenancy, {})

    def intents_of(self, tenancy: str) -> tuple[Intent, ...]:
        """Give the intents that runs left behind in a tenancy, by address, the newest last."""
        return tuple(intent for intent in self.intents if intent.tenancy == tenancy)

    def salts_by_id(self) -> dict[str, Salt]:
        """Give the salts as entries and intents name them."""
        return {salt.id: salt for salt in self.salts}

    def salts_for(self, refs: Iterable[SecretRef], random: Callable[[int], bytes]) -> dict[SecretRef, Salt]:
        """Give each reference the salt for what is made next: one that is there and strong, or a new one.

        `random`: gives so many random bytes. What is new comes into the state with the first that uses it.
        """
        usable = {salt.id.rpartition("#")[0]: salt for salt in reversed(self.salts) if _is_strong(salt)}
        given: dict[SecretRef, Salt] = {}
        for ref in refs:
            if str(ref) not in usable:
                usable[str(ref)] = make_salt(ref, random(SALT_BYTES))
            given[ref] = usable[str(ref)]
        return given

    def gone(self, tenancy: str, live_ids: Iterable[str] | None) -> frozenset[str]:
        """Name the entries that are not live any more; none where what is live is not known.

        Ask the state as it was before the live ones were listed: entries that others make meanwhile are not gone.
        """
        return frozenset() if live_ids is None else frozenset(self.entries_of(tenancy)).difference(live_ids)

    def with_intents(self, intents: Iterable[Intent], salts: Iterable[Salt]) -> State:
        """Begin a run: its number is the new `last_run`, whatever number the intents come with.

        `salts`: those that the intents name; ones that are there already do no harm.
        """
        run = self.last_run + 1
        meant = {(intent.tenancy, intent.address): replace(intent, run=run) for intent in intents}
        return replace(self, last_run=run)._with(self.entries, (*self.intents, *meant.values()), salts)

    def settled(self, settlements: Iterable[Settlement], salts: Iterable[Salt]) -> State:
        """End a run in the tenancies that it was about; what other tenancies and other runs left stays.

        `salts`: those that the new entries name; ones that are there already do no harm.
        """
        ends = {settlement.tenancy: settlement for settlement in settlements}
        entries = {(entry.tenancy, entry.id): entry for entry in self.entries}
        for end in ends.values():
            for identifier in end.gone:
                entries.pop((end.tenancy, identifier), None)
            entries.update(((entry.tenancy, entry.id), entry) for entry in end.made)
        over = {_place(intent) for end in ends.values() for intent in end.finished}
        over |= {_place(it) for it in self.intents if it.tenancy in ends and ends[it.tenancy].ends(it)}
        return self._with(entries.values(), (it for it in self.intents if _place(it) not in over), salts)

    def _with(self, entries: Iterable[StateEntry], intents: Iterable[Intent], salts: Iterable[Salt]) -> State:
        """Change the contents, and drop the salts that nothing names any more. A salt that is missing: KeyError."""
        records = (tuple(entries), tuple(intents))
        known = {salt.id: salt for salt in (*salts, *self.salts)}
        used = {each.salt for several in records for each in several}
        last_run = max((each.run for several in records for each in several), default=0)  # the file may be a new one
        return State(max(self.last_run, last_run), self.url_salt, tuple(known[name] for name in used), *records)


def make_salt(ref: SecretRef, random_bytes: bytes) -> Salt:
    """Make a salt of today's cost for a reference."""
    return Salt(f"{ref}#{random_bytes[:4].hex()}", random_bytes)


def fingerprint(key: Key, tenancy: str, identifier: str) -> bytes:
    """Tie a secret to one live subscription of one tenancy: moved to another, it matches nothing."""
    return key.sign(_ENTRY, tenancy, identifier)


def intent_fingerprint(key: Key, tenancy: str, address: str) -> bytes:
    """Tie a secret to an address that has no live id yet."""
    return key.sign(_INTENT, tenancy, address)


def declared_digest(url_salt: bytes, url_identity: str, trigger_wire: str) -> bytes:
    """Tell declared subscriptions apart without keeping their URLs. `url_identity`: the full URL in its normal form."""
    return hmac.digest(url_salt, _joined((_DECLARED, url_identity, trigger_wire)), "sha256")


def _place(intent: Intent) -> tuple[str, str, int]:
    return intent.tenancy, intent.address, intent.run


def _is_strong(salt: Salt) -> bool:
    """Tell whether a salt costs as much as a new one would: an old or a tampered one is not used again."""
    return salt.n >= COST_N and salt.r >= COST_R and salt.p >= COST_P


def _joined(parts: Iterable[str]) -> bytes:
    """Write each part behind its length; ids are foreign text, and may hold anything."""
    encoded = (part.encode("utf-8", "surrogatepass") for part in parts)
    return b"".join(len(part).to_bytes(8, "big") + part for part in encoded)
