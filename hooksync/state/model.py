"""The state: what hooksync made, adopted or tried to make, and fingerprints of the secrets.

This module contains records and rules. It is pure: no I/O, no clock, no randomness (callers pass
random bytes in). Each change returns a new State. The records of a tenancy belong to its server
and tenant, not to its name.
"""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import Any, ClassVar, Self

from hooksync.core.model import SecretRef, TenancyKey
from hooksync.core.record import Record, fields_of, force_setattr, replace
from hooksync.state.fingerprints import SALT_BYTES, Key, Salt, fingerprint


class SubscriptionRecord(Record, frozen=True):
    """What the state has about a subscription that hooksync made, may have made, or adopted.

    Its URL and trigger, the identity, are in `declared`.
    """

    HIDDEN: ClassVar[tuple[str, ...]] = ("declared", "fingerprint")

    server: str  # as `Server.shown` writes it
    tenant: str  # as the log-in reports it, casefolded; "": it reports none
    address: str
    run: int  # the number of the run; a higher one is newer
    at: int  # time of the run, in seconds since 1970
    declared: str  # `declared_digest` of the declared subscription
    include_identifiers: bool  # as declared at that time
    id: str = ""  # of the live subscription; "": not known
    salt: str = ""  # the id of the salt that the fingerprint was made with
    fingerprint: str = ""  # of the secret; "": nothing vouches for it

    @property
    def key(self) -> TenancyKey:
        """The tenancy that the record belongs to."""
        return TenancyKey(self.server, self.tenant)

    @property
    def local_name(self) -> str:
        """The address without the tenancy's name, which may change."""
        return self.address.partition("/")[2]

    def is_made_with(self, key: Key) -> bool:
        """Whether the fingerprint was made with this key.

        `key`: of the secret to compare, derived with this record's salt.
        """
        return hmac.compare_digest(self.fingerprint, fingerprint(key, self.key, self.id))

    def made_with(self, key: Key, salt: Salt) -> Self:
        """Add the fingerprint of a secret. `key`: of that secret, derived with `salt`."""
        return replace(self, salt=salt.id, fingerprint=fingerprint(key, self.key, self.id))


class StateEntry(SubscriptionRecord, frozen=True, rename={"is_adopted": "adopted"}):
    """A live subscription that a list has shown, and that a response or a person vouches for."""

    is_adopted: bool = False


class Attempt(SubscriptionRecord, frozen=True):
    """A subscription whose creation is not proven, or that no list has shown yet.

    Its id comes from a response, which proves the secret, or from a list, which does not.
    """

    # the ids that were live under its identity before
    seen: tuple[str, ...] = ()

    def entry(self) -> StateEntry:
        """Return the entry of a subscription that a list shows."""
        return StateEntry(**fields_of(SubscriptionRecord, self))


class ForeignIds(Record, frozen=True):
    """The live ids of a tenancy that its last apply saw, and that are no entries or attempts."""

    server: str  # as in the other records
    tenant: str
    ids: tuple[str, ...]

    @property
    def key(self) -> TenancyKey:
        """The tenancy that the ids belong to."""
        return TenancyKey(self.server, self.tenant)


class TenancyRecords(Record, frozen=True):
    """What the state contains about one tenancy."""

    entries: tuple[StateEntry, ...] = ()
    attempts: tuple[Attempt, ...] = ()


class AppliedCommit(Record, frozen=True):
    """The commit of the hooks files whose apply changed a tenancy last."""

    server: str
    tenant: str
    commit: str

    @property
    def key(self) -> TenancyKey:
        """The tenancy that was changed."""
        return TenancyKey(self.server, self.tenant)


_KINDS = ("entries", "attempts")
_tenancy = ("server", "tenant")
_ORDER = {
    "salts": attrgetter("id"),
    "entries": attrgetter(*_tenancy, "address", "id"),
    "attempts": attrgetter(*_tenancy, "address", "run"),
    "foreign": attrgetter(*_tenancy),
    "commits": attrgetter(*_tenancy),
}


class State(Record, frozen=True, dict=True):
    """Everything that hooksync records, always in the same order."""

    HIDDEN = ("url_salt",)

    # hex; salt of every `declared`. It also identifies the state: all later versions have the same.
    url_salt: str
    salts: tuple[Salt, ...] = ()
    entries: tuple[StateEntry, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    serial: int = 0  # one higher with each write that changes anything
    foreign: tuple[ForeignIds, ...] = ()  # one for each tenancy that an apply has seen
    commits: tuple[AppliedCommit, ...] = ()

    def __post_init__(self) -> None:
        for name, key in _ORDER.items():
            records = tuple(sorted(getattr(self, name), key=key))
            force_setattr(self, name, records)  # the class is frozen otherwise

    @property
    def next_run(self) -> int:
        """The number of a run that begins now."""
        return self.serial + 1

    @cached_property
    def by_tenancy(self) -> Mapping[TenancyKey, TenancyRecords]:
        """Everything but the salts, by tenancy."""
        found = defaultdict[TenancyKey, dict[str, Any]](dict)
        for name in _KINDS:
            for key, records in groupby(getattr(self, name), attrgetter("key")):
                found[key][name] = tuple(records)
        return {key: TenancyRecords(**fields) for key, fields in found.items()}

    def of(self, key: TenancyKey) -> TenancyRecords:
        """Return what is recorded about a tenancy."""
        return self.by_tenancy.get(key, TenancyRecords())

    def foreign_ids(self, key: TenancyKey) -> frozenset[str] | None:
        """Return the foreign ids that the last apply of a tenancy saw. None: there was no apply."""
        for seen in self.foreign:
            if seen.key == key:
                return frozenset(seen.ids)
        return None

    def with_foreign_ids(self, seen: Iterable[ForeignIds]) -> State:
        """Replace the foreign ids of tenancies."""
        by_tenancy = {old.key: old for old in self.foreign}
        by_tenancy |= {new.key: new for new in seen}
        return replace(self, foreign=tuple(by_tenancy.values()))

    def addresses(self) -> set[str]:
        """Return the addresses of all records."""
        return {record.address for record in self.records()}

    def records(self) -> list[SubscriptionRecord]:
        """Return everything but the salts."""
        return [*self.entries, *self.attempts]

    def salts_by_id(self) -> dict[str, Salt]:
        """Return the salts by the id under which records name them."""
        return {salt.id: salt for salt in self.salts}

    def salts_for(
        self, refs: Iterable[SecretRef], random: Callable[[int], bytes]
    ) -> dict[SecretRef, Salt]:
        """Return a salt for each reference, for new subscriptions: an existing one or a new one."""
        usable = {salt.id.rpartition("#")[0]: salt for salt in reversed(self.salts)}
        given: dict[SecretRef, Salt] = {}
        for ref in refs:
            if str(ref) not in usable:
                salt = random(SALT_BYTES)
                usable[str(ref)] = Salt(f"{ref}#{salt[:4].hex()}", salt.hex())
            given[ref] = usable[str(ref)]
        return given

    def with_records(
        self, changed: Mapping[TenancyKey, TenancyRecords], salts: Iterable[Salt] = ()
    ) -> State:
        """Replace the records of tenancies, and drop unused salts. `salts`: of new records."""
        fields: dict[str, Any] = {}
        for name in _KINDS:
            kept = [record for record in getattr(self, name) if record.key not in changed]
            for records in changed.values():
                kept += getattr(records, name)
            fields[name] = tuple(kept)
        used = {record.salt for name in _KINDS for record in fields[name] if record.salt}
        known = {salt.id: salt for salt in (*salts, *self.salts)}
        return replace(self, salts=tuple(known[name] for name in used), **fields)

    def with_commit(self, changed: Collection[TenancyKey], commit: str) -> State:
        """Record that an apply of a commit changed these tenancies."""
        kept = [applied for applied in self.commits if applied.key not in changed]
        new = [AppliedCommit(*key, commit) for key in changed]
        return replace(self, commits=(*kept, *new))

    def moving(self, old: str, new: str) -> State:
        """Give the records of an address a new one."""
        moved: dict[str, Any] = {}
        for name in _KINDS:
            records = []
            for record in getattr(self, name):
                records.append(replace(record, address=new) if record.address == old else record)
            moved[name] = tuple(records)
        return replace(self, **moved)

    def forgetting(self, forgotten: Collection[SubscriptionRecord]) -> State:
        """Drop records, and the salts that no record uses any more."""
        rest: dict[str, Any] = {}
        for name in _KINDS:
            rest[name] = tuple(record for record in getattr(self, name) if record not in forgotten)
        # `with_records` drops the salts
        return replace(self, **rest).with_records({})


NO_STATE = State("")  # what is recorded if there is no state
