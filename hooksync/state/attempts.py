"""Settle attempts by what a list shows, and decide which of them are open. Pure.

`tests/simulation/model.py` has the same rules as a model, and plays histories against both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from hooksync.core.model import LiveSubscription
from hooksync.core.record import replace
from hooksync.state.fingerprints import Key, Salt, identity_digest
from hooksync.state.model import Attempt, SubscriptionRecord, TenancyRecords

MOST_OPEN = 2  # hooksync creates nothing under an identity with so many open attempts
# seconds; a list may still show an attempt that is younger, so it is not closed
EXPIRY = 3600

Proof: TypeAlias = tuple[Key, Salt]
# by identity: the secrets that success responses without an id prove in this run
Proofs: TypeAlias = Mapping[str, Proof]
NO_PROOFS: Proofs = MappingProxyType({})


def settled(
    records: TenancyRecords,
    listed: Sequence[LiveSubscription],
    url_salt: str,
    run: int = 0,
    proofs: Proofs = NO_PROOFS,
) -> TenancyRecords:
    """Settle the attempts of a tenancy by a list.

    An attempt becomes an entry if the list shows the id that a response contained. Without an id,
    it takes the id of a new subscription of its identity, and stays open: nothing proves the
    secret. Only in its own run is a single new subscription that of a success response.

    `run`: the number of this run; `proofs`: only of identities that had no other attempt without
    an id when the run wrote its attempts.
    """
    if not records.attempts:
        return records
    shown = {live.id for live in listed}
    entries = [*records.entries]
    attempts = []
    for attempt in _with_found_ids(records, listed, url_salt, run, proofs):
        if attempt.id in shown and attempt.fingerprint:
            entries.append(attempt.entry())
        # otherwise an earlier list has shown it, and this one does not: it was removed
        elif attempt.id in shown or attempt.fingerprint or not attempt.id:
            attempts.append(attempt)
    return replace(records, entries=tuple(entries), attempts=tuple(attempts))


def _with_found_ids(
    records: TenancyRecords,
    listed: Iterable[LiveSubscription],
    url_salt: str,
    run: int,
    proofs: Proofs,
) -> Iterator[Attempt]:
    """Give the ids that no record has to the attempts without an id, the oldest first."""
    known = records.ids
    new: defaultdict[str, list[str]] = defaultdict(list)  # by identity
    for live in listed:
        if live.id not in known:
            new[identity_digest(url_salt, live.key)].append(live.id)
    for attempt in sorted(records.attempts, key=lambda attempt: attempt.run):
        ids = [identifier for identifier in new[attempt.identity] if identifier not in attempt.seen]
        if ids and not attempt.id:
            new[attempt.identity].remove(ids[0])
            attempt = replace(attempt, id=ids[0])
            if attempt.run == run and attempt.identity in proofs and len(ids) == 1:
                attempt = attempt.made_with(*proofs[attempt.identity], records.key)
        yield attempt


def open_attempts(records: TenancyRecords, shown: Collection[str]) -> list[Attempt]:
    """Return the attempts that count: those without a newer entry, and those that a list shows.

    `shown`: the ids in the list.
    """
    newest = newest_runs(records)
    return [
        attempt
        for attempt in records.attempts
        if attempt.run > newest.get(attempt.identity, 0) or attempt.id in shown
    ]


def newest_runs(records: TenancyRecords) -> dict[str, int]:
    """Return the run of the newest entry of each identity."""
    newest: dict[str, int] = {}
    for entry in records.entries:
        newest[entry.identity] = max(entry.run, newest.get(entry.identity, 0))
    return newest


def without_needless(
    records: TenancyRecords,
    shown: Collection[str],
    declared: Collection[str],
    now: float,
    removed: Collection[str],
) -> TenancyRecords:
    """Drop the records that nobody needs, by the last list of an apply.

    An entry goes if its id is not listed, and its identity is undeclared or has a newer entry. An
    attempt goes in the same case, but not within `EXPIRY`. `declared`: the identities that are
    declared and not paused. `removed`: the ids that this run has removed.
    """
    left = []
    for entry in records.entries:
        if entry.id in shown or entry.id not in removed:
            left.append(entry)
    records = replace(records, entries=tuple(left))
    newest = newest_runs(records)

    def is_needed(record: SubscriptionRecord) -> bool:
        is_newest = record.run >= newest.get(record.identity, 0)
        return record.id in shown or (record.identity in declared and is_newest)

    entries = filter(is_needed, records.entries)
    attempts = []
    for attempt in records.attempts:
        if is_needed(attempt) or now - attempt.at <= EXPIRY:
            attempts.append(attempt)
    return replace(records, entries=tuple(entries), attempts=tuple(attempts))
