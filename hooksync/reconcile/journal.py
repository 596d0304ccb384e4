"""What a run writes into the state: its attempts before the first change, its results at the end.

A run that is killed in between leaves its attempts behind. By them, the next run recognizes what
the killed run made. This module uses the state through `state.store`, on disk or remotely.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from hooksync.core.errors import shortened
from hooksync.core.model import (
    DeclaredSubscription,
    LiveSubscriptions,
    SecretRef,
    SubscriptionKey,
)
from hooksync.core.record import Record, replace
from hooksync.reconcile.plan import REQUESTED, Step, TenancyPlan, TenancyPlans, not_begun
from hooksync.reconcile.run import FetchedTenancy, Run
from hooksync.state.fingerprints import Salt, identity_digest
from hooksync.state.history import Proof, declared_by_identity, settled, without_needless
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
        self._doubtful = set()
        for attempt in records.attempts:
            if attempt.run != run and not attempt.id:
                self._doubtful.add(attempt.identity)

    def _set(self, records: TenancyRecords) -> None:
        """Take new records, and index them by identity and id."""
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
        self._set(settled(self.records, listed, self._url_salt, self._proofs))

    def record(self, declared: DeclaredSubscription) -> StateEntry | Attempt | None:
        """Return the entry that this run has made, or its open attempt; None: it is closed."""
        digest = identity_digest(self._url_salt, declared.key)
        return self._made.get(digest) or self._attempts.get((self._run, digest))


class AppliedTenancy(Record):
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
        self._started_at = int(run.context.clock.now())
        self._start = f"apply of {commit[:7]}" if commit else "apply"
        self._commit = commit

    def begin(self, plans: TenancyPlans) -> None:
        """Write an attempt for each subscription that is about to be made.

        Raises StateError if the state cannot be written: nothing may be made then.
        """
        made = []
        for plan in plans:
            for step in plan.steps:
                if step.creates or step.action == "adopt":
                    made.append(step.declared_side.secret)
        if not made:
            return
        self._derive_keys(made)

        def change(state: State) -> State:
            self._run = state.serial + 1  # the serial of this write
            return state.with_records([self._begun(plan, state) for plan in plans])

        names = shortened([plan.name for plan in plans])
        self._state = update(self._store, change, f"{self._start}: begins in {names}")

    def ledger(self, plan: TenancyPlan) -> Ledger:
        """Return the records of a tenancy, to be changed by its apply."""
        records = settled(self._state.of(plan.key), plan.live, self._state.url_salt)
        return Ledger(records, self._state.url_salt, self._run, self._keys)

    def without_calls(self, plan: TenancyPlan) -> AppliedTenancy:
        """Apply a plan with nothing to do, from the list that it was made from."""
        plan = replace(not_begun(plan), live_after=plan.live_count)
        return AppliedTenancy(plan, self.ledger(plan).records, plan.live)

    def write_and_verify(self, applied: Sequence[AppliedTenancy]) -> TenancyPlans:
        """Write what was made and what was removed, and plan again from the last lists.

        The returned plans also contain what is still not as declared. Raises StateError.
        """

        def change(state: State) -> State:
            ended = [self._records_after(tenancy, state) for tenancy in applied]
            return state.with_records(ended, self._salts())

        state = update(self._store, change, f"{self._start}: {_changes(applied)}")
        read = []
        for tenancy in applied:
            if tenancy.listed is not None and tenancy.plan.has_changes:
                read.append(FetchedTenancy(self._tenancies[tenancy.plan.name], tenancy.listed))
        planner = replace(
            self._planner, state=state, selection=replace(self._planner.selection, replace=())
        )
        plans = {tenancy.plan.name: tenancy.plan for tenancy in applied}
        for after in planner.plan(read):
            plan = plans[after.name]
            plans[after.name] = replace(plan, differences=tuple(_still_different(plan, after)))
        return [*plans.values()]

    def _salts(self) -> Iterator[Salt]:
        """Yield the salts of all records of this run.

        A run that took the lock away may have dropped some, and only the write finds this out.
        """
        yield from self._state.salts
        for _, salt in self._keys.values():
            yield salt

    def _derive_keys(self, refs: Iterable[SecretRef]) -> None:
        """Choose a salt for each reference, and derive the keys.

        The keys are derived before the first change, because scrypt may lack memory later.
        """
        wanted = {}
        for ref, salt in self._state.salts_for(refs, os.urandom).items():
            wanted[ref] = self._planner.secrets.find(ref), salt
        self._planner.ring.derive(wanted.values())
        for ref, (secret, salt) in wanted.items():
            self._keys[ref] = self._planner.ring.key(secret, salt), salt

    def _begun(self, plan: TenancyPlan, state: State) -> TenancyRecords:
        """Return the records of a tenancy with an attempt for each subscription to be made.

        They lack the attempts without an id of what --replace names: a list showed none of them.
        """
        ids = defaultdict[SubscriptionKey, list[str]](list)
        for live in plan.live:
            ids[live.key].append(live.id)
        made = []
        named = set()
        for step in plan.steps:
            if step.creates and not step.outcome:
                made.append(
                    Attempt(**self._fields(step, state), seen=tuple(ids[step.declared_side.key]))
                )
                if REQUESTED in step.reasons:
                    named.add(made[-1].identity)
        records = settled(state.of(plan.key), plan.live, state.url_salt)
        for attempt in records.attempts:
            if attempt.id or attempt.identity not in named:
                made.append(attempt)
        return replace(records, attempts=tuple(made))

    def _adopted(self, plan: TenancyPlan, state: State) -> Iterator[StateEntry]:
        """Yield the entries of live subscriptions whose secrets a person vouches for."""
        for step in plan.steps:
            if step.action == "adopt" and step.outcome and step.outcome.result == "done":
                entry = StateEntry(**self._fields(step, state), id=step.id, is_adopted=True)
                yield entry.made_with(*self._keys[step.declared_side.secret], plan.key)

    def _fields(self, step: Step, state: State) -> dict[str, Any]:
        """Return the fields of the record of the subscription that a step declares."""
        return {
            "address": step.declared_side.address,
            "run": self._run,
            "at": self._started_at,
            "identity": identity_digest(state.url_salt, step.declared_side.key),
            "content": step.declared_side.content,
        }

    def _records_after(self, applied: AppliedTenancy, state: State) -> TenancyRecords:
        """Return what the state contains about a tenancy after this run."""
        tenancy = self._tenancies[applied.plan.name]
        declared = declared_by_identity(tenancy, state.url_salt)
        records = applied.records
        if tenancy.is_handed_over:
            left = {step.id for step in applied.plan.steps if step.action == "leave"}
            records = records.mapped(lambda record: record if record.id in left else None)
        entries = (*records.entries, *self._adopted(applied.plan, state))
        records = replace(records, entries=tuple(self._tagged(entries, applied.plan, declared)))
        if applied.listed is not None:
            records = self._by_last_list(records, applied, applied.listed, declared)
        if applied.plan.may_have_changed and self._commit:
            records = replace(records, commit=self._commit)

        def named(record: AnyRecord) -> AnyRecord:
            former = replace(record, address=f"{tenancy.name}/{record.local_name}")
            return replace(record, address=declared.get(record.identity, former).address)

        return records.mapped(named)

    def _tagged(
        self,
        entries: Iterable[StateEntry],
        plan: TenancyPlan,
        declared: Mapping[str, DeclaredSubscription],
    ) -> Iterator[StateEntry]:
        """Tag the entries whose secrets this run compared or sent. `declared`: by identity."""
        same = {step.id: step.declared_side for step in plan.steps if step.secret == "same"}
        for entry in entries:
            known = declared[entry.identity] if entry.run == self._run else same.get(entry.id)
            if known:
                secret = self._planner.secrets.find(known.secret)
                tag = self._planner.ring.tag(secret, plan.key, entry.id)
                entry = replace(entry, tag=tag or entry.tag)
            yield entry

    def _by_last_list(
        self,
        records: TenancyRecords,
        applied: AppliedTenancy,
        listed: LiveSubscriptions,
        declared: Mapping[str, DeclaredSubscription],
    ) -> TenancyRecords:
        """Drop the records that nobody needs, and note what is foreign. `declared`: by identity."""
        shown = {live.id for live in listed}
        kept = {step.declared_side.key for step in applied.plan.steps if step.evidence}
        wanted = {}
        for digest, subscription in declared.items():
            if subscription.enabled:
                wanted[digest] = subscription.key in kept
        records = without_needless(records, shown, wanted, self._started_at, applied.removed)
        return replace(records, foreign=tuple(sorted(shown - records.ids)))


def _still_different(before: TenancyPlan, after: TenancyPlan) -> Iterator[Step]:
    """Yield the steps of a second plan that are still needed, or show what others did meanwhile."""
    known = {step.id for step in before.steps if not step.is_change}
    for step in after.steps:
        is_needed = step.is_change and not after.awaits(step)
        if is_needed or (step.differs and not step.is_change and step.id not in known):
            yield step


_DONE_WORDS: Mapping[str, str] = {
    "subscribe": "subscribed",
    "resubscribe": "resubscribed",
    "unsubscribe": "unsubscribed",
    "adopt": "adopted",
    "forget": "forgotten",
}


def _changes(applied: Iterable[AppliedTenancy]) -> str:
    """Name the tenancies in which something was done, and count it."""
    parts = []
    for tenancy in applied:
        done = Counter[str]()
        for step in tenancy.plan.steps:
            if step.outcome and step.outcome.result == "done":
                done[_DONE_WORDS[step.action]] += 1
        if done:
            counts = ", ".join(f"{number} {word}" for word, number in done.items())
            parts.append(f"{tenancy.plan.name} {counts}")
    return shortened(parts) or "no subscription changed"
