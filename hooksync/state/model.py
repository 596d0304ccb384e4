"""The state: which live subscriptions hooksync made, and fingerprints of their secrets.

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
from typing import Any, ClassVar, TypeAlias

from hooksync.core.model import SecretRef, TenancyKey
from hooksync.core.record import Record, fields_of, force_setattr, replace
from hooksync.state.fingerprints import SALT_BYTES, Key, Salt, fingerprint


class Recorded(Record, frozen=True):
    """A record about one address of a tenancy."""

    server: str  # as `Server.shown` writes it
    tenant: str  # as the log-in reports it, casefolded; "": it reports none
    address: str

    @property
    def key(self) -> TenancyKey:
        """The tenancy that the record belongs to."""
        return TenancyKey(self.server, self.tenant)

    @property
    def local_name(self) -> str:
        """The address without the tenancy's name, which may change."""
        return self.address.partition("/")[2]


class Made(Recorded, frozen=True):
    """A record about a subscription that a run is about to make, has made or has adopted."""

    HIDDEN: ClassVar[tuple[str, ...]] = ("declared",)

    run: int  # the number of the run; a higher one is newer
    at: int  # time of the run, in seconds since 1970
    declared: str  # `declared_digest` of the declared subscription
    include_identifiers: bool  # as declared at that time


class StateEntry(Made, frozen=True, rename={"is_adopted": "adopted", "is_listed": "listed"}):
    """A live subscription that hooksync made or adopted."""

    HIDDEN = ("fingerprint", "declared")

    id: str  # of the live subscription
    is_adopted: bool = False
    is_listed: bool = True  # whether a list has shown it
    replaces: str = ""  # the id of the old subscription, until a list lacks it
    salt: str = ""  # the id of the salt that the fingerprint was made with
    fingerprint: str = ""  # of the secret; "": unconfirmed, only a list has shown the subscription

    @property
    def is_confirmed(self) -> bool:
        """Whether a success response, or an adoption, vouches for its secret."""
        return bool(self.fingerprint)

    def is_made_with(self, key: Key) -> bool:
        """Whether the fingerprint was made with this key.

        `key`: of the secret to compare, derived with this entry's salt.
        """
        return hmac.compare_digest(self.fingerprint, fingerprint(key, self.key, self.id))

    def made_with(self, key: Key, salt: Salt) -> StateEntry:
        """Add the fingerprint of a secret. `key`: of that secret, derived with `salt`."""
        return replace(self, salt=salt.id, fingerprint=fingerprint(key, self.key, self.id))


class Intent(Made, frozen=True):
    """A subscription that a run is about to make.

    An intent stays in the state if its run was killed, or does not know the result.
    """

    # the ids that were live under its identity before it is made
    seen: tuple[str, ...] = ()
    replaces: str = ""  # as in an entry

    def entry(self, identifier: str) -> StateEntry:
        """Return an unconfirmed entry for the subscription that was made."""
        made = fields_of(Made, self)
        return StateEntry(id=identifier, replaces=self.replaces, **made)


class Unsettled(Recorded, frozen=True):
    """An address that the last applies left unsettled."""

    applies: int  # how many in succession


AnyRecord: TypeAlias = StateEntry | Intent | Unsettled


class TenancyRecords(Record, frozen=True):
    """What the state contains about one tenancy."""

    entries: tuple[StateEntry, ...] = ()
    intents: tuple[Intent, ...] = ()
    unsettled: tuple[Unsettled, ...] = ()


_KINDS = ("entries", "intents", "unsettled")
_tenancy = ("server", "tenant")
_ORDER = {
    "salts": attrgetter("id"),
    "entries": attrgetter(*_tenancy, "address", "id"),
    "intents": attrgetter(*_tenancy, "address", "run"),
    "unsettled": attrgetter(*_tenancy, "address"),
}


class State(Record, frozen=True, dict=True):
    """Everything that hooksync records, always in the same order."""

    HIDDEN = ("url_salt",)

    # hex; salt of every `declared`. It also identifies the state: all later versions have the same.
    url_salt: str
    salts: tuple[Salt, ...] = ()
    entries: tuple[StateEntry, ...] = ()
    intents: tuple[Intent, ...] = ()
    unsettled: tuple[Unsettled, ...] = ()
    serial: int = 0  # one higher with each write that changes anything

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

    def addresses(self) -> set[str]:
        """Return the addresses of all records."""
        return {each.address for each in self.records()}

    def records(self) -> list[AnyRecord]:
        """Return everything but the salts."""
        return [*self.entries, *self.intents, *self.unsettled]

    def salts_by_id(self) -> dict[str, Salt]:
        """Return the salts by the id under which entries name them."""
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
        """Replace the records of tenancies, and drop unused salts. `salts`: of new entries."""
        fields: dict[str, Any] = {}
        for name in _KINDS:
            kept = [each for each in getattr(self, name) if each.key not in changed]
            for records in changed.values():
                kept += getattr(records, name)
            fields[name] = tuple(kept)
        used = {each.salt for each in fields["entries"] if each.salt}
        known = {salt.id: salt for salt in (*salts, *self.salts)}
        return replace(self, salts=tuple(known[name] for name in used), **fields)

    def moving(self, old: str, new: str) -> State:
        """Give the entries of an address a new one, and drop its count of unsettled applies."""
        moved = []
        for each in self.entries:
            moved.append(replace(each, address=new) if each.address == old else each)
        unsettled = [each for each in self.unsettled if each.address != old]
        return replace(self, entries=tuple(moved), unsettled=tuple(unsettled))

    def forgetting(self, forgotten: Collection[AnyRecord]) -> State:
        """Drop records, and the salts that no entry uses any more."""
        rest: dict[str, Any] = {}
        for name in _KINDS:
            rest[name] = tuple(each for each in getattr(self, name) if each not in forgotten)
        # `with_records` drops the salts
        return replace(self, **rest).with_records({})


NO_STATE = State("")  # what is recorded if there is no state
