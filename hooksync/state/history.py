"""What the state contains about one tenancy, settled by a list. Pure.

Here a list settles attempts, and the attempts that somebody needs are told from the others. If a
list shows a subscription of an attempt, the subscription belongs to hooksync. It is unconfirmed: no
response proves with which secret it was made.
`tests/simulation/model.py` has the same rules as a model, and plays histories against both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from operator import attrgetter
from types import MappingProxyType

from hooksync.core.model import (
    DeclaredSubscription,
    LiveSubscriptions,
    SubscriptionKey,
    Tenancy,
)
from hooksync.core.record import replace
from hooksync.state.fingerprints import Key, Salt, identity_digest
from hooksync.state.model import Attempt, AttemptKey, StateEntry, TenancyRecords

MOST_OPEN = 2  # hooksync creates nothing under an identity with so many needed attempts

Proof = tuple[Key, Salt]
Proofs = Mapping[AttemptKey, Proof]  # of success responses without an id
Attempts = list[Attempt]
NewIds = defaultdict[str, list[str]]  # that no record has, by identity


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
    """Settle the attempts and the marks of a tenancy by a list.

    An attempt becomes an entry if the list shows the id that a response contained. Without an id,
    the oldest attempt takes the id of a new subscription of its identity, and stays open: nothing
    proves the secret. Only in its own run is a single new subscription that of a success response.
    What was marked and is not listed has been removed.

    `proofs`: of this run, without the identities of which an older attempt without an id has a
    different secret or flag.
    """
    if not (records.attempts or records.marks):
        return records
    shown = {live.id for live in listed}
    gone = set(records.marks) - shown
    known = records.ids
    new: NewIds = defaultdict(list)
    for live in listed:
        if live.id not in known:
            new[identity_digest(url_salt, live.key)].append(live.id)
    entries = [entry for entry in records.entries if entry.id not in gone]
    still_open = []
    for attempt in _with_proofs(records, new, proofs):
        if _unseen(attempt, new):
            attempt = replace(attempt, id=_take_oldest(attempt, new))
        if attempt.id in shown and attempt.is_proven:
            entries.append(attempt.entry())
        # otherwise an earlier list has shown it, and this one does not: it was removed
        elif attempt.id in shown or attempt.is_proven or not attempt.id:
            still_open.append(attempt)
    marks = tuple(mark for mark in records.marks if mark in shown)
    return replace(records, entries=tuple(entries), attempts=tuple(still_open), marks=marks)


def _with_proofs(records: TenancyRecords, new: NewIds, proofs: Proofs) -> Attempts:
    """Return the attempts, oldest first. A proof is that of a single new subscription alone."""
    attempts = []
    for attempt in sorted(records.attempts, key=attrgetter("run_number")):
        proof = proofs.get(attempt.key)
        if proof and len(_unseen(attempt, new)) == 1:
            attempt = attempt.proven(_take_oldest(attempt, new), *proof, records.key)
        attempts.append(attempt)
    return attempts


def _unseen(attempt: Attempt, new: NewIds) -> list[str]:
    """Return the new ids that an attempt without an id may have made."""
    if attempt.id:
        return []
    return [identifier for identifier in new[attempt.identity] if identifier not in attempt.seen]


def _take_oldest(attempt: Attempt, new: NewIds) -> str:
    """Take the first of these ids away from the others, and return it."""
    identifier = _unseen(attempt, new)[0]
    new[attempt.identity].remove(identifier)
    return identifier


def open_attempts(records: TenancyRecords, shown: Collection[str]) -> Attempts:
    """Return the attempts that count: those without a newer entry, and those that a list shows.

    `shown`: the ids in the list.
    """
    newest = _newest_runs(records.entries)
    attempts = records.attempts
    return [it for it in attempts if it.run_number > newest.get(it.identity, 0) or it.id in shown]


def needless_attempts(
    records: TenancyRecords,
    shown: Collection[str],
    declared: Mapping[str, DeclaredSubscription],
    as_declared: Collection[SubscriptionKey],
) -> set[AttemptKey]:
    """Return the attempts that nobody needs.

    Their identities are undeclared, paused or live as declared, or have a newer entry that is
    listed. `declared`: by identity. `as_declared`: what is live so, as far as this run knows.
    """
    newest = _newest_runs(entry for entry in records.entries if entry.id in shown)
    needless = set()
    for attempt in records.attempts:
        wanted = declared.get(attempt.identity)
        is_wanted = wanted and wanted.enabled and wanted.key not in as_declared
        if not is_wanted or attempt.run_number < newest.get(attempt.identity, 0):
            needless.add(attempt.key)
    return needless


def _newest_runs(entries: Iterable[StateEntry]) -> dict[str, int]:
    """Return the run of the newest entry of each identity."""
    return {
        entry.identity: entry.run_number for entry in sorted(entries, key=attrgetter("run_number"))
    }


def without_needless(
    records: TenancyRecords, shown: Collection[str], wanted: Collection[str]
) -> TenancyRecords:
    """Drop the entries that nobody needs: not listed, and undeclared, paused or not the newest.

    `wanted`: the identities that are declared and not paused.
    """
    newest = _newest_runs(records.entries)
    kept = []
    for entry in records.entries:
        is_newest = entry.run_number == newest[entry.identity]
        if entry.id in shown or (entry.identity in wanted and is_newest):
            kept.append(entry)
    return replace(records, entries=tuple(kept))
