"""What a run writes into the state: its attempts before the first change, its results at the end.

A run that is killed in between leaves its attempts behind. By them, the next run recognizes what
the killed run made. This module uses the state through `state.store`, on disk or remotely.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from hooksync.core.errors import shortened
from hooksync.core.model import (
    DeclaredSubscription,
    LiveSubscriptions,
    SecretRef,
    SubscriptionKey,
    Tenancy,
)
from hooksync.core.record import Record, replace
from hooksync.reconcile.plan import REQUESTED, Step, TenancyPlan, not_begun
from hooksync.reconcile.planner import FetchedTenancy
from hooksync.reconcile.run import Run
from hooksync.state.attempts import Proof, settled, without_needless
from hooksync.state.fingerprints import identity_digest
from hooksync.state.history import declared_addresses
from hooksync.state.model import (
    NO_STATE,
    Attempt,
    State,
    StateEntry,
    TenancyRecords,
)
from hooksync.state.store import update

AnyRecord = TypeVar("AnyRecord", StateEntry, Attempt)


class Ledger:
    """The records of one tenancy while a run changes it: responses and lists settle attempts."""

    def __init__(
        self,
        records: TenancyRecords,
        url_salt: str,
        run: int,
        keys: Mapping[SecretRef, Proof],
    ) -> None:
        """Make the ledger of a run. `keys`: of the declared secrets, with their salts."""
        self._url_salt = url_salt
        self._run = run
        self._keys = keys
        self._proofs: dict[str, Proof] = {}
        self._set(records)
        # the identities of other attempts without an id, whose subscriptions may still appear
        others = [attempt for attempt in records.attempts if attempt.run != run]
        self._doubtful = {attempt.identity for attempt in others if not attempt.id}

    def _set(self, records: TenancyRecords) -> None:
        self._records = records
        # a run makes at most one attempt of an identity
        self._attempts = {(attempt.run, attempt.identity): attempt for attempt in records.attempts}
        self._ids = records.ids
        self._made = {entry.identity: entry for entry in records.entries if entry.run == self._run}

    @property
    def records(self) -> TenancyRecords:
        """What the state is to contain about the tenancy."""
        return replace(self._records, attempts=tuple(self._attempts.values()))

    def accept(self, declared: DeclaredSubscription, identifier: str | None) -> None:
        """Record a success response.

        Its id proves nothing if it cannot be that of a new subscription.
        """
        digest = identity_digest(self._url_salt, declared.key)
        attempt = self._attempts[self._run, digest]
        proof = self._keys[declared.secret]
        if identifier and identifier not in self._ids.union(attempt.seen):
            attempt = replace(attempt, id=identifier).made_with(*proof, self._records.key)
            self._attempts[self._run, digest] = attempt
            self._ids.add(identifier)
        elif digest not in self._doubtful:
            self._proofs[digest] = proof

    def close(self, declared: DeclaredSubscription) -> None:
        """Close the attempt of this run, which has made nothing."""
        del self._attempts[self._run, identity_digest(self._url_salt, declared.key)]

    def learn(self, listed: LiveSubscriptions) -> None:
        """Settle the attempts by a list."""
        self._set(settled(self.records, listed, self._url_salt, self._run, self._proofs))

    def record(self, declared: DeclaredSubscription) -> StateEntry | Attempt | None:
        """Return the entry that this run has made, or its open attempt; None: it is closed."""
        digest = identity_digest(self._url_salt, declared.key)
        return self._made.get(digest) or self._attempts.get((self._run, digest))


class AppliedTenancy(Record, frozen=True):
    """A plan with its outcomes, and what the apply has found out."""

    plan: TenancyPlan
    records: TenancyRecords  # what the state is to contain
    listed: LiveSubscriptions | None = None  # the last list; None: no list could be read
    removed: frozenset[str] = frozenset()  # ids that responses report as removed


class Journal:
    """Writes to the state what one run of apply does."""

    def __init__(self, run: Run, commit: str | None) -> None:
        """Make the journal of a run. `commit`: of the hooks files, if it is known."""
        assert run.store is not None  # noqa: S101, `open_run` refuses an apply without one
        self._store = run.store
        self._planner = run.planner
        self._tenancies = {tenancy.name: run.located(tenancy) for tenancy in run.tenancies}
        self._state = run.planner.state or NO_STATE
        self._keys: dict[SecretRef, Proof] = {}  # of the secrets that this run sends or adopts
        self._run = 0  # the number of this run; 0: it has written no attempts
        self._clock = run.context.clock
        self._started_at = int(self._clock.now())
        self._start = f"apply of {commit[:7]}" if commit else "apply"
        self._commit = commit

    def begin(self, plans: Sequence[TenancyPlan]) -> None:
        """Write an attempt for each subscription that is about to be made.

        Raises StateError if the state cannot be written: nothing may be made then.
        """
        made = []
        for plan in plans:
            for step in plan.steps:
                if step.creates or step.action == "adopt":
                    made.append(step.new.secret)
        if not made:
            return
        self._derive_keys(made)

        def change(state: State) -> State:
            self._run = state.next_run
            begun = []
            for plan in plans:
                records = settled(state.of(plan.key), plan.live, state.url_salt)
                kept = _not_replaced(plan, records, state)
                begun.append(replace(records, attempts=(*kept, *self._attempts(plan, state))))
            return state.with_records(begun)

        names = shortened([plan.name for plan in plans])
        self._state = update(self._store, change, f"{self._start}: begins in {names}")

    def ledger(self, plan: TenancyPlan) -> Ledger:
        """Return the records of a tenancy, to be changed by its apply."""
        records = settled(self._state.of(plan.key), plan.live, self._state.url_salt)
        return Ledger(records, self._state.url_salt, self._run, self._keys)

    def without_calls(self, plan: TenancyPlan) -> AppliedTenancy:
        """Apply a plan with nothing to do, from the list that it was made from."""
        return AppliedTenancy(not_begun(plan), self.ledger(plan).records, plan.live)

    def settle(self, applied: Sequence[AppliedTenancy]) -> list[TenancyPlan]:
        """Write what was made and what was removed.

        The returned plans also contain the steps that are still to be done. Raises StateError.
        """
        state = self._write(applied)
        read = []
        for tenancy in applied:
            if tenancy.listed is not None and tenancy.plan.has_changes:
                read.append(FetchedTenancy(self._tenancies[tenancy.plan.name], tenancy.listed))
        selection = replace(self._planner.selection, replace=())
        planner = replace(self._planner, state=state, selection=selection)
        after = {plan.name: plan for plan in planner.plan(read)}
        plans = []
        for tenancy in applied:
            plan = tenancy.plan
            if plan.name in after:
                plan = replace(plan, differences=tuple(_news(plan, after[plan.name])))
            if tenancy.listed is not None:
                plan = replace(plan, live_after=len(tenancy.listed))
            plans.append(plan)
        return plans

    def _write(self, applied: Sequence[AppliedTenancy]) -> State:
        """Write what was made and removed, and return the new state. Raises StateError."""

        def change(state: State) -> State:
            ended = [self._records_after(tenancy, state) for tenancy in applied]
            return state.with_records(ended, [salt for _, salt in self._keys.values()])

        plans = [tenancy.plan for tenancy in applied]
        return update(self._store, change, f"{self._start}: {_changes(plans)}")

    def _derive_keys(self, refs: Iterable[SecretRef]) -> None:
        """Choose a salt for each reference, and derive the keys.

        The keys are derived before the first change, because scrypt may lack memory later.
        """
        before = self._planner.state or NO_STATE
        wanted = {}
        for ref, salt in before.salts_for(dict.fromkeys(refs), os.urandom).items():
            wanted[ref] = self._planner.secrets.find(ref), salt
        self._planner.ring.derive(wanted.values())
        for ref, (secret, salt) in wanted.items():
            self._keys[ref] = self._planner.ring.key(secret, salt), salt

    def _attempts(self, plan: TenancyPlan, state: State) -> Iterator[Attempt]:
        ids = defaultdict[SubscriptionKey, list[str]](list)
        for live in plan.live:
            ids[live.key].append(live.id)
        for step in plan.steps:
            if step.creates:
                seen = tuple(ids[step.new.key])
                yield replace(self._record(Attempt, step, state), seen=seen)

    def _adopted(self, plan: TenancyPlan, state: State) -> Iterator[StateEntry]:
        """Yield the entries of live subscriptions whose secrets a person vouches for."""
        for step in plan.steps:
            if step.action == "adopt" and step.outcome and step.outcome.result == "done":
                entry = self._record(StateEntry, step, state)
                entry = replace(entry, id=step.id, is_adopted=True)
                yield entry.made_with(*self._keys[step.new.secret], plan.key)

    def _record(self, kind: type[AnyRecord], step: Step, state: State) -> AnyRecord:
        """Make a record, still without an id, of the subscription that a step declares."""
        declared = step.new
        return kind(
            declared.address,
            self._run,
            self._started_at,
            identity_digest(state.url_salt, declared.key),
            declared.content,
        )

    def _records_after(self, applied: AppliedTenancy, state: State) -> TenancyRecords:
        """Return what the state contains about a tenancy after this run."""
        tenancy = self._tenancies[applied.plan.name]
        addresses = declared_addresses(tenancy, state.url_salt)
        records = applied.records
        entries = (*records.entries, *self._adopted(applied.plan, state))
        records = replace(records, entries=entries)
        if applied.listed is not None:
            shown = {live.id for live in applied.listed}
            wanted = addresses.keys() - _paused(tenancy, state.url_salt)
            records = without_needless(records, shown, wanted, self._clock.now(), applied.removed)
            foreign = sorted(shown - records.ids)
            records = replace(records, foreign=tuple(foreign))
        if applied.plan.has_changed and self._commit:
            records = replace(records, commit=self._commit)

        def named(record: AnyRecord) -> AnyRecord:
            former = f"{tenancy.name}/{record.local_name}"
            return replace(record, address=addresses.get(record.identity, former))

        return records.changed(named)


def _paused(tenancy: Tenancy, url_salt: str) -> set[str]:
    """Return the identities that are declared as paused."""
    paused = set()
    for declared in tenancy.subscriptions:
        if not declared.enabled:
            paused.add(identity_digest(url_salt, declared.key))
    return paused


def _news(before: TenancyPlan, after: TenancyPlan) -> Iterator[Step]:
    """Yield the steps of a second plan that are still needed, or show what others did meanwhile."""
    known = {step.id for step in before.steps if not step.is_change}
    for step in after.steps:
        is_needed = step.is_change and not after.awaits(step)
        if is_needed or (step.differs and not step.is_change and step.id not in known):
            yield step


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


def _not_replaced(plan: TenancyPlan, records: TenancyRecords, state: State) -> list[Attempt]:
    """Leave out the attempts without an id of what --replace names: a list showed none of them."""
    named = set()
    for step in plan.steps:
        if step.creates and REQUESTED in step.reasons:
            named.add(identity_digest(state.url_salt, step.new.key))
    return [attempt for attempt in records.attempts if attempt.id or attempt.identity not in named]
