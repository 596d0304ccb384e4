"""What the state contains about one tenancy, settled by a list. Pure.

Here a list settles attempts, and open attempts are told from the others. If a list shows a
subscription of an attempt, the subscription belongs to hooksync. It is unconfirmed: no response
proves with which secret it was made.
`tests/simulation/model.py` has the same rules as a model, and plays histories against both.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import TypeAlias

from hooksync.core.model import (
    DeclaredSubscription,
    LiveSubscription,
    LiveSubscriptions,
    Tenancy,
    TenancyKey,
)
from hooksync.core.record import Record, replace
from hooksync.state.fingerprints import Key, Salt, identity_digest
from hooksync.state.model import Attempt, State, StateEntry, TenancyRecords

MOST_OPEN = 2  # hooksync creates nothing under an identity with so many open attempts
# seconds; a list may still show an attempt that is younger, so it is not closed
ATTEMPT_EXPIRY = 3600

Proof: TypeAlias = tuple[Key, Salt]
# by identity: the secrets that success responses without an id prove in this run
Proofs: TypeAlias = Mapping[str, Proof]


class History(Record):
    """What the state contains about a tenancy, and what that means in this run."""

    HIDDEN = ("url_salt",)

    entries: Mapping[str, StateEntry]  # by live id
    url_salt: str  # hex
    found: Mapping[str, Attempt]  # by the live id that a list shows
    lost_names: Collection[str]  # local names of entries that the list lacks
    blocked: Collection[str]  # addresses under which too many attempts are open
    open_addresses: Sequence[str]  # of open attempts that no list shows
    # the foreign ids that the last apply of the tenancy saw; None: there was no apply
    foreign: Collection[str] | None
    # False: under a policy, and unsigned: anybody could have written it, so it proves no ownership
    is_trusted: bool = True
    has_state: bool = True  # False: the run has no state, so no secret is compared

    def record(self, identifier: str) -> StateEntry | Attempt | None:
        """Return the record of a live subscription. An attempt: no response confirmed it."""
        return self.entries.get(identifier) or self.found.get(identifier)

    def run_of(self, live: LiveSubscription) -> int:
        """Return the run that made a live subscription; 0: the state does not have it."""
        record = self.record(live.id)
        return record.run if record else 0


def history_of(state: State, tenancy: Tenancy, listed: LiveSubscriptions) -> History:
    """Gather what a state contains about a tenancy, settled by a list."""
    records = settled(state.of(tenancy.key), listed, state.url_salt)
    shown = {live.id for live in listed}
    attempts = open_attempts(records, shown)
    declared = declared_by_identity(tenancy, state.url_salt) if attempts else {}
    numbers = Counter(map(attrgetter("identity"), attempts))
    lost_names = {entry.local_name for entry in records.entries if entry.id not in shown}
    found = {}
    blocked = set()
    hidden = set()
    for attempt in attempts:
        address = declared.get(attempt.identity, attempt).address
        if attempt.identity in declared and numbers[attempt.identity] >= MOST_OPEN:
            blocked.add(address)
        if attempt.id in shown:
            found[attempt.id] = attempt
        else:
            hidden.add(address)
    return History(
        {entry.id: entry for entry in records.entries},
        state.url_salt,
        found,
        lost_names,
        blocked,
        sorted(hidden),
        records.foreign,
    )


def local_name(declared: DeclaredSubscription) -> str:
    """Return the address of a declared subscription without the tenancy's name."""
    return declared.address.partition("/")[2]


def declared_by_identity(tenancy: Tenancy, url_salt: str) -> dict[str, DeclaredSubscription]:
    """Return what is declared, selected or not, by `identity_digest`."""
    declared = (*tenancy.subscriptions, *tenancy.not_selected)
    return {identity_digest(url_salt, subscription.key): subscription for subscription in declared}


def settled(
    records: TenancyRecords,
    listed: LiveSubscriptions,
    url_salt: str,
    proofs: Proofs = MappingProxyType({}),
) -> TenancyRecords:
    """Settle the attempts of a tenancy by a list.

    An attempt becomes an entry if the list shows the id that a response contained. Without an id,
    it takes the id of a new subscription of its identity, and stays open: nothing proves the
    secret. Only in its own run is a single new subscription that of a success response.

    `proofs`: of this run, and only of identities that had no other attempt without an id when the
    run wrote its attempts.
    """
    if not records.attempts:
        return records
    shown = {live.id for live in listed}
    known = records.ids
    new = defaultdict[str, list[str]](list)  # ids that no record has, by identity
    for live in listed:
        if live.id not in known:
            new[identity_digest(url_salt, live.key)].append(live.id)
    entries = [*records.entries]
    attempts = []
    for attempt in sorted(records.attempts, key=attrgetter("run")):
        proof = proofs.get(attempt.identity)
        attempt = _with_found_id(attempt, new[attempt.identity], proof, records.key)
        if attempt.id in shown and attempt.fingerprint:
            entries.append(attempt.entry())
        # otherwise an earlier list has shown it, and this one does not: it was removed
        elif attempt.id in shown or attempt.fingerprint or not attempt.id:
            attempts.append(attempt)
    return replace(records, entries=tuple(entries), attempts=tuple(attempts))


def _with_found_id(
    attempt: Attempt, ids: list[str], proof: Proof | None, tenancy: TenancyKey
) -> Attempt:
    """Give an attempt without an id the first of the new ids of its identity, and take it away.

    `proof`: of a success response without an id. It counts only if there is a single new one.
    """
    unseen = [identifier for identifier in ids if identifier not in attempt.seen]
    if attempt.id or not unseen:
        return attempt
    ids.remove(unseen[0])
    attempt = replace(attempt, id=unseen[0])
    if proof and len(unseen) == 1:
        attempt = attempt.made_with(*proof, tenancy)
    return attempt


def open_attempts(records: TenancyRecords, shown: Collection[str]) -> list[Attempt]:
    """Return the attempts that count: those without a newer entry, and those that a list shows.

    `shown`: the ids in the list.
    """
    newest = _newest_runs(records)
    return [
        attempt
        for attempt in records.attempts
        if attempt.run > newest.get(attempt.identity, 0) or attempt.id in shown
    ]


def _newest_runs(records: TenancyRecords) -> dict[str, int]:
    """Return the run of the newest entry of each identity."""
    return {entry.identity: entry.run for entry in sorted(records.entries, key=attrgetter("run"))}


def without_needless(
    records: TenancyRecords,
    shown: Collection[str],
    declared: Mapping[str, bool],
    now: float,
    removed: Collection[str],
) -> TenancyRecords:
    """Drop the records that nobody needs, by the last list of an apply.

    A record goes only if its id is not listed. An entry goes if this run has removed it, or its
    identity is undeclared or has a newer entry. An attempt goes if its identity is undeclared, has
    a newer entry, or is live as declared, but not within `ATTEMPT_EXPIRY`.
    `declared`: the identities that are declared and not paused, and whether each was kept with a
    known secret. `removed`: the ids that this run has removed.
    """
    listed_or_lost = [
        entry for entry in records.entries if entry.id in shown or entry.id not in removed
    ]
    records = replace(records, entries=tuple(listed_or_lost))
    newest = _newest_runs(records)

    def kept(record: StateEntry | Attempt) -> StateEntry | Attempt | None:
        """Return a record that is still needed; None: it is dropped."""
        is_newest = record.run >= newest.get(record.identity, 0)
        is_needed = record.identity in declared and is_newest
        if isinstance(record, Attempt):
            is_open = is_needed and not declared[record.identity]
            is_needed = is_open or now - record.at <= ATTEMPT_EXPIRY
        return record if record.id in shown or is_needed else None

    return records.mapped(kept)
