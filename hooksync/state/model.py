"""The state: what hooksync made, adopted or tried to make, and fingerprints of the secrets.

This module contains records and rules. It is pure: no I/O, no clock, no randomness (callers pass
random bytes in). Each change returns a new State. The records of a tenancy belong to its server
and tenant, not to its name.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from functools import cached_property
from operator import attrgetter
from typing import Any, Self

from hooksync.core.model import Content, SecretRef, TenancyKey
from hooksync.core.record import UNSET, Record, UnsetType, fields_of, force_setattr, replace
from hooksync.state.fingerprints import SALT_BYTES, Key, Salt, fingerprint

AttemptKey = tuple[int, str]  # its run and its identity


class SubscriptionRecord(Record):
    """What the state has about a subscription that hooksync made, may have made, or adopted.

    Its URL and trigger are a digest: the state contains no URL.
    """

    address: str
    run_number: int  # a higher one is newer
    at: int  # time of the run, in seconds since 1970
    identity: str  # `identity_digest` of its URL and trigger, as declared
    content: Content  # the compared fields, as declared at that time
    id: str = ""  # of the live subscription; "": not known
    salt: str = ""  # the id of the salt that the fingerprint was made with
    fingerprint: str = ""  # of the secret

    @property
    def local_name(self) -> str:
        """The address without the tenancy's name, which may change."""
        return self.address.partition("/")[2]

    def is_made_with(self, key: Key, tenancy: TenancyKey) -> bool:
        """Whether the fingerprint was made with this key, for this tenancy.

        `key`: of the secret to compare, derived with this record's salt.
        """
        return hmac.compare_digest(self.fingerprint, fingerprint(key, tenancy, self.id))

    def made_with(self, key: Key, salt: Salt, tenancy: TenancyKey) -> Self:
        """Add the fingerprint of a secret. `key`: of that secret, derived with `salt`.

        It is bound to the id, or to the identity as long as there is no id.
        """
        bound = fingerprint(key, tenancy, self.id or self.identity)
        return replace(self, salt=salt.id, fingerprint=bound)


class StateEntry(SubscriptionRecord, rename={"is_adopted": "adopted"}):
    """A live subscription that a list has shown, and that a response or a person vouches for."""

    is_adopted: bool = False
    tag: str | UnsetType = UNSET  # of the secret, by `KeyRing.tag`, if that made one


class Attempt(SubscriptionRecord, rename={"is_proven": "proven"}):
    """A subscription whose creation is not proven, or that no list has shown yet.

    Its id comes from a response, which proves the secret, or from a list, which does not. Until a
    response proves it, the fingerprint is that of the secret to be sent, bound to the identity.
    """

    # the ids that were live under its identity before
    seen: tuple[str, ...] = ()
    is_proven: bool = False

    @property
    def key(self) -> AttemptKey:
        """Its key: a run makes at most one attempt of an identity."""
        return self.run_number, self.identity

    def is_like(self, other: Attempt) -> bool:
        """Whether it does not matter which of two attempts made a subscription.

        They have different identities, or the same secret and flag.
        """
        if self.identity != other.identity:
            return True
        mine = (self.salt, self.fingerprint, self.content)
        return mine == (other.salt, other.fingerprint, other.content)

    def proven(self, identifier: str, key: Key, salt: Salt, tenancy: TenancyKey) -> Attempt:
        """Add the id of a response, which proves the secret."""
        attempt = replace(self, id=identifier, is_proven=True)
        return attempt.made_with(key, salt, tenancy)

    def entry(self) -> StateEntry:
        """Return the entry of a subscription that a list shows."""
        return StateEntry(**fields_of(SubscriptionRecord, self))


class TenancyRecords(Record):
    """What the state contains about one tenancy."""

    server: str  # as `Server.shown` writes it
    tenant: str  # as the log-in reports it, casefolded; "": it reports none
    entries: tuple[StateEntry, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    # the live ids that the last apply saw, and that no record has; None: there was no apply
    foreign: tuple[str, ...] | None = None
    commit: str | None = None  # of the hooks files whose apply changed the tenancy last
    # the live ids that a run was going to remove, until a list lacks them
    marks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Sort the records, so that equal states have equal texts."""
        entries = sorted(self.entries, key=attrgetter("address", "id"))
        attempts = sorted(self.attempts, key=attrgetter("address", "run_number", "identity"))
        force_setattr(self, "entries", tuple(entries))  # the class is frozen otherwise
        force_setattr(self, "attempts", tuple(attempts))
        force_setattr(self, "marks", tuple(sorted(self.marks)))

    @property
    def key(self) -> TenancyKey:
        """The key of the tenancy."""
        return TenancyKey(self.server, self.tenant)

    @property
    def subscriptions(self) -> tuple[StateEntry | Attempt, ...]:
        """The entries and the attempts."""
        return (*self.entries, *self.attempts)

    @property
    def ids(self) -> set[str]:
        """The ids of the entries and the attempts."""
        return {record.id for record in self.subscriptions}

    @property
    def names(self) -> set[str]:
        """The names of the tenancies in the addresses."""
        return {record.address.partition("/")[0] for record in self.subscriptions}

    def mapped(self, change: Callable[[Any], Any]) -> TenancyRecords:
        """Replace each entry and each attempt by what a function returns; None: drop it."""
        entries = filter(None, map(change, self.entries))
        attempts = filter(None, map(change, self.attempts))
        return replace(self, entries=tuple(entries), attempts=tuple(attempts))


class State(Record, dict=True):
    """Everything that hooksync records, always in the same order."""

    # hex; salt of every `identity`. It also identifies the state: all later versions have the same.
    url_salt: str
    salts: tuple[Salt, ...] = ()
    tenancies: tuple[TenancyRecords, ...] = ()
    serial: int = 0  # one higher with each write that changes anything
    signature: str | None = None  # as it was read
    policy: str | UnsetType = UNSET  # path of the policy of the run that wrote it last

    def __post_init__(self) -> None:
        salts = sorted(self.salts, key=attrgetter("id"))
        tenancies = sorted(self.tenancies, key=attrgetter("key"))
        force_setattr(self, "salts", tuple(salts))
        force_setattr(self, "tenancies", tuple(tenancies))

    @cached_property
    def by_tenancy(self) -> dict[TenancyKey, TenancyRecords]:
        """Everything but the salts, by tenancy."""
        return {records.key: records for records in self.tenancies}

    def of(self, key: TenancyKey) -> TenancyRecords:
        """Return what is recorded about a tenancy."""
        return self.by_tenancy.get(key) or TenancyRecords(*key)

    @property
    def addresses(self) -> list[str]:
        """The addresses of all entries and attempts, sorted."""
        records = [record for tenancy in self.tenancies for record in tenancy.subscriptions]
        return sorted({record.address for record in records})

    @cached_property
    def salts_by_id(self) -> dict[str, Salt]:
        """The salts by the id under which records name them."""
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

    def with_records(self, changed: Iterable[TenancyRecords], salts: Iterable[Salt] = ()) -> State:
        """Replace the records of tenancies, and drop unused salts. `salts`: of new records."""
        by_tenancy = self.by_tenancy | {records.key: records for records in changed}
        tenancies = []
        for records in by_tenancy.values():
            if records != TenancyRecords(*records.key):
                tenancies.append(records)
        used = {record.salt for records in tenancies for record in records.subscriptions}
        known = self.salts_by_id | {salt.id: salt for salt in salts}
        used_salts = tuple(known[name] for name in used if name)
        return replace(self, salts=used_salts, tenancies=tuple(tenancies))


NO_STATE = State("")  # what is recorded if there is no state
