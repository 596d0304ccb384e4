"""What a run writes into the state: its attempts before the first change, its results at the end.

A run that is killed in between leaves its attempts behind. By them, the next run recognizes what
the killed run made. This module uses the state through `state.store`, on disk or remotely.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from hooksync.core.errors import shortened
from hooksync.core.model import (
    DeclaredSubscription,
    LiveSubscriptions,
    SecretRef,
    Tenancy,
    TenancyKey,
)
from hooksync.core.record import Record, replace
from hooksync.reconcile.plan import REQUESTED, Step, TenancyPlan
from hooksync.reconcile.planner import Planner
from hooksync.state.attempts import Proof, settled, without_needless
from hooksync.state.contract import StateStore
from hooksync.state.fingerprints import Salt, declared_digest
from hooksync.state.history import FetchedTenancy, declared_addresses
from hooksync.state.model import NO_STATE, Attempt, ForeignIds, State, StateEntry, TenancyRecords
from hooksync.state.store import update

AnyRecord = TypeVar("AnyRecord", StateEntry, Attempt)


class Ledger:
    """The records of one tenancy while a run changes it: responses and lists settle attempts."""

    def __init__(
        self,
        records: TenancyRecords,
        url_salt: str,
        run: int,
        prove: Callable[[SecretRef], Proof],
    ) -> None:
        """Make the ledger of a run. `prove`: returns the key of a declared secret, and its salt."""
        self.records = records
        self._url_salt = url_salt
        self._run = run
        self._prove = prove
        self._proofs: dict[str, Proof] = {}
        # the identities of other attempts without an id, whose subscriptions may still appear
        self._doubtful = set()
        for attempt in records.attempts:
            if attempt.run != run and not attempt.id:
                self._doubtful.add(attempt.declared)

    def accept(self, declared: DeclaredSubscription, identifier: str | None) -> bool:
        """Record a success response. Returns whether its id can be that of a new subscription."""
        attempt = self.attempt(declared)
        proof = self._prove(declared.secret)
        known = {record.id for record in (*self.records.entries, *self.records.attempts)}
        if attempt and identifier and identifier not in known.union(attempt.seen):
            self._put(attempt, replace(attempt, id=identifier).made_with(*proof))
            return True
        if attempt and attempt.declared not in self._doubtful:
            self._proofs[attempt.declared] = proof
        return False

    def close(self, declared: DeclaredSubscription) -> None:
        """Close an attempt that has made nothing."""
        attempt = self.attempt(declared)
        if attempt and not attempt.id:
            self._put(attempt)

    def learn(self, listed: LiveSubscriptions) -> None:
        """Settle the attempts by a list."""
        self.records = settled(self.records, listed, self._url_salt, self._run, self._proofs)

    def attempt(self, declared: DeclaredSubscription) -> Attempt | None:
        """Return the open attempt of this run; None if it is an entry by now, or closed."""
        return self._of_this_run(self.records.attempts, declared)

    def entry(self, declared: DeclaredSubscription) -> StateEntry | None:
        """Return the entry that this run has made."""
        return self._of_this_run(self.records.entries, declared)

    def _of_this_run(
        self, records: Iterable[AnyRecord], declared: DeclaredSubscription
    ) -> AnyRecord | None:
        digest = declared_digest(self._url_salt, declared.key)
        for record in records:
            if record.run == self._run and record.declared == digest:
                return record
        return None

    def _put(self, attempt: Attempt, *instead: Attempt) -> None:
        others = [other for other in self.records.attempts if other != attempt]
        self.records = replace(self.records, attempts=(*others, *instead))


class AppliedTenancy(Record, frozen=True):
    """A plan with its outcomes, and what the apply has found out."""

    plan: TenancyPlan
    records: TenancyRecords  # what the state is to contain
    listed: LiveSubscriptions | None = None  # the last list; None: no list could be read
    removed: frozenset[str] = frozenset()  # ids that responses report as removed


class Journal:
    """Writes to the state what one run of apply does."""

    def __init__(
        self,
        store: StateStore,
        planner: Planner,
        tenancies: Mapping[str, Tenancy],
        commit: str | None = None,
    ) -> None:
        """Make the journal of a run.

        `planner`: the run's planner, whose state was read before anything was listed. `tenancies`:
        those of the run, by name, as the log-in locates them. `commit`: of the hooks files.
        """
        self._commit = commit
        self._store = store
        self._planner = planner
        self._tenancies = tenancies
        self._state = planner.state or NO_STATE
        self._salts: dict[SecretRef, Salt] = {}
        self._run = 0  # the number of this run; 0: it has written no attempts
        self._started_at = int(planner.clock.now())

    def begin(self, plans: Sequence[TenancyPlan]) -> None:
        """Write an attempt for each subscription that is about to be made.

        Raises StateError if the state cannot be written: nothing may be made then.
        """
        needed = []
        for plan in plans:
            for step in plan.steps:
                if step.creates or step.action == "adopt":
                    needed.append(step.new.secret)
        if not needed:
            return
        self._prepare(needed)

        def change(state: State) -> State:
            self._run = state.next_run
            begun = {}
            for plan in plans:
                records = settled(state.of(plan.key), plan.live, state.url_salt)
                attempts = [*_not_replaced(plan, records, state), *self._attempts(plan, state)]
                begun[plan.key] = replace(records, attempts=tuple(attempts))
            return state.with_records(begun)

        names = shortened([plan.name for plan in plans])
        self._state = update(self._store, change, self._message(f"begins in {names}"))

    def ledger(self, plan: TenancyPlan) -> Ledger:
        """Return the records of a tenancy, to be changed by its apply."""
        records = settled(self._state.of(plan.key), plan.live, self._state.url_salt)
        return Ledger(records, self._state.url_salt, self._run, self._proof)

    def settle(self, applied: Sequence[AppliedTenancy]) -> list[TenancyPlan]:
        """Write what was made and what was removed.

        The returned plans also contain the steps that are still to be done. Raises StateError.
        """
        state = self._write(applied)
        before = [tenancy.plan for tenancy in applied]
        read = []
        for tenancy in applied:
            if tenancy.listed is not None and tenancy.plan.has_changes:
                read.append(FetchedTenancy(self._tenancies[tenancy.plan.name], tenancy.listed))
        found = self._planner.differences(before, read, state)
        plans = []
        for tenancy in applied:
            number = None if tenancy.listed is None else len(tenancy.listed)
            differences = found.get(tenancy.plan.name, ())
            plans.append(replace(tenancy.plan, differences=differences, live_after=number))
        return plans

    def _write(self, applied: Sequence[AppliedTenancy]) -> State:
        """Write what was made and removed, and return the new state. Raises StateError."""

        def change(state: State) -> State:
            ended = {tenancy.plan.key: self._records_after(tenancy, state) for tenancy in applied}
            state = state.with_records(ended, self._salts.values())
            state = state.with_foreign_ids(_foreign_ids(applied, ended))
            return state.with_commit(changed, self._commit) if self._commit else state

        plans = [tenancy.plan for tenancy in applied]
        changed = [plan.key for plan in plans if plan.has_changed]
        return update(self._store, change, self._message(_changes(plans)))

    def _message(self, what: str) -> str:
        """Word a change of the state, for the history of a branch."""
        return f"apply of {self._commit[:7]}: {what}" if self._commit else f"apply: {what}"

    def _prepare(self, refs: Sequence[SecretRef]) -> None:
        """Choose a salt for each reference, and derive the keys.

        The keys are derived before the first change, because scrypt may lack memory later.
        """
        before = self._planner.state or NO_STATE
        new = list(dict.fromkeys(refs))
        self._salts |= before.salts_for(new, os.urandom)
        secrets = self._planner.secrets
        self._planner.ring.derive((secrets.find(ref), self._salts[ref]) for ref in new)

    def _proof(self, ref: SecretRef) -> Proof:
        """Return the key of a secret, and its salt. `_prepare` has derived it."""
        salt = self._salts[ref]
        return self._planner.ring.key(self._planner.secrets.find(ref), salt), salt

    def _adopted(self, plan: TenancyPlan, state: State) -> Iterator[StateEntry]:
        """Yield the entries of live subscriptions whose secrets a person vouches for."""
        for step in plan.steps:
            if step.action == "adopt" and step.outcome and step.outcome.result == "done":
                attempt = replace(self._attempt(step, plan.key, state), id=step.id)
                entry = attempt.made_with(*self._proof(step.new.secret)).entry()
                yield replace(entry, is_adopted=True)

    def _attempts(self, plan: TenancyPlan, state: State) -> Iterator[Attempt]:
        ids = defaultdict[object, list[str]](list)
        for live in plan.live:
            ids[live.key].append(live.id)
        for step in plan.creations:
            yield replace(self._attempt(step, plan.key, state), seen=tuple(ids[step.new.key]))

    def _attempt(self, step: Step, key: TenancyKey, state: State) -> Attempt:
        """Return the attempt to make what a step declares, still without `seen`."""
        declared = step.new
        return Attempt(
            key.server,
            key.tenant,
            declared.address,
            self._run,
            self._started_at,
            declared_digest(state.url_salt, declared.key),
            declared.include_identifiers,
        )

    def _records_after(self, applied: AppliedTenancy, state: State) -> TenancyRecords:
        """Return what the state contains about a tenancy after this run."""
        records = applied.records
        tenancy = self._tenancies[applied.plan.name]
        addresses = declared_addresses(tenancy, state.url_salt)
        adopted = [*self._adopted(applied.plan, state)]
        records = replace(records, entries=(*records.entries, *adopted))
        if applied.listed is not None:
            shown = {live.id for live in applied.listed}
            removed = applied.removed - shown
            entries = [entry for entry in records.entries if entry.id not in removed]
            records = replace(records, entries=tuple(entries))
            records = without_needless(records, shown, addresses, self._planner.clock.now())

        def named(record: AnyRecord) -> AnyRecord:
            former = f"{tenancy.name}/{record.local_name}"
            return replace(record, address=addresses.get(record.declared, former))

        return TenancyRecords(
            tuple(map(named, records.entries)), tuple(map(named, records.attempts))
        )


def _foreign_ids(
    applied: Sequence[AppliedTenancy], ended: Mapping[TenancyKey, TenancyRecords]
) -> Iterator[ForeignIds]:
    """Yield the listed ids of which the state has no record."""
    for one in applied:
        if one.listed is not None:
            records = ended[one.plan.key]
            known = {record.id for record in (*records.entries, *records.attempts)}
            ids = sorted(live.id for live in one.listed if live.id not in known)
            yield ForeignIds(*one.plan.key, tuple(ids))


_DONE_WORDS = {
    "subscribe": "subscribed",
    "resubscribe": "resubscribed",
    "unsubscribe": "unsubscribed",
    "adopt": "adopted",
}


def _changes(plans: Iterable[TenancyPlan]) -> str:
    """Name the tenancies in which something was done, and count it."""
    parts = []
    for plan in plans:
        done = Counter[str]()
        for step in plan.steps:
            if step.is_change and step.outcome and step.outcome.result == "done":
                done[_DONE_WORDS[step.action]] += 1
        if done:
            counts = ", ".join(f"{number} {word}" for word, number in done.items())
            parts.append(f"{plan.name} {counts}")
    return shortened(parts) or "no subscription changed"


def _not_replaced(plan: TenancyPlan, records: TenancyRecords, state: State) -> Iterator[Attempt]:
    """Leave out the attempts without an id of what --replace names: a list showed none of them."""
    named = set()
    for step in plan.creations:
        if REQUESTED in step.reasons:
            named.add(declared_digest(state.url_salt, step.new.key))
    for attempt in records.attempts:
        if attempt.id or attempt.declared not in named:
            yield attempt
