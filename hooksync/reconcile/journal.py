"""What a run writes into the state: attempts and marks before the first change, results at the end.

A run that is killed in between leaves them behind. By the attempts, the next run recognizes what
the killed run made; by the marks, what it may have removed. This module uses the state through
`state.store`, on disk or remotely.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from hooksync.core.errors import shortened
from hooksync.core.flags import NO_FLAGS
from hooksync.core.model import (
    DeclaredSubscription,
    LiveSubscriptions,
    SecretRef,
    SubscriptionKey,
)
from hooksync.core.record import replace
from hooksync.reconcile.plan import NEXT_RUN, REQUESTED, Step, TenancyPlan, TenancyPlans, not_begun
from hooksync.reconcile.run import Run, wanted_identities
from hooksync.state.fingerprints import Salt, identity_digest
from hooksync.state.history import (
    MOST_OPEN,
    AttemptKey,
    Proof,
    declared_by_identity,
    needless_attempts,
    settled,
    without_needless,
)
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
    """The records of one tenancy while a run changes it: responses and lists settle attempts.

    In the end, it has the plan with the outcomes, and the last list.
    """

    def __init__(
        self,
        plan: TenancyPlan,
        records: TenancyRecords,
        state: State,
        run: int,
        keys: Mapping[SecretRef, Proof],
    ) -> None:
        """Make the ledger of a run. `keys`: of the declared secrets, with their salts."""
        self.plan = plan
        self.listed: LiveSubscriptions | None = None  # None: the last list could not be read
        self.run = run
        self.shown: set[str] = set()  # the ids in the last list
        self.marks: set[str] = set()  # the ids for which this run has sent a DELETE
        # attempts of earlier runs that this run closes if they still have no id
        self.closing: set[AttemptKey] = set()
        self.flags = NO_FLAGS  # of the run, for printed commands
        self._state = state
        self._keys = keys
        self._proofs: dict[AttemptKey, Proof] = {}
        self._set(records)
        # other attempts without an id, whose subscriptions may still appear
        earlier = [attempt for attempt in records.attempts if attempt.run != run]
        self._others = [attempt for attempt in earlier if not attempt.id]

    def _set(self, records: TenancyRecords) -> None:
        """Take new records, and index them by identity and id."""
        self._records = records
        # a run makes at most one attempt of an identity
        self._attempts = {(attempt.run, attempt.identity): attempt for attempt in records.attempts}
        self._ids = records.ids
        self._made = {entry.identity: entry for entry in records.entries if entry.run == self.run}

    @property
    def records(self) -> TenancyRecords:
        """What the state is to contain about the tenancy."""
        marks = self.marks.union(self._records.marks)
        attempts = tuple(self._attempts.values())
        return replace(self._records, attempts=attempts, marks=tuple(marks))

    @property
    def state(self) -> State:
        """The state as far as this tenancy needs it."""
        return replace(self._state, tenancies=(self.records,))

    def accept(self, declared: DeclaredSubscription, identifier: str | None) -> None:
        """Record a success response.

        Its id proves nothing if it cannot be that of a new subscription. Without an id, it proves
        the secret only if all attempts that may have made the subscription have the same.
        """
        digest = identity_digest(self._state.url_salt, declared.key)
        attempt = self._attempts[self.run, digest]
        proof = self._keys[declared.secret]
        if identifier and identifier not in self._ids.union(attempt.seen):
            attempt = attempt.proven(identifier, *proof, self._records.key)
            self._attempts[self.run, digest] = attempt
            self._ids.add(identifier)
        elif all(map(attempt.is_like, self._others)):
            self._proofs[self.run, digest] = proof

    def close(self, declared: DeclaredSubscription) -> None:
        """Close the attempt of this run, which has made nothing."""
        del self._attempts[self.run, identity_digest(self._state.url_salt, declared.key)]

    def learn(self, listed: LiveSubscriptions) -> None:
        """Settle the attempts and the marks by a list."""
        self.shown = {live.id for live in listed}
        self._set(settled(self.records, listed, self._state.url_salt, self._proofs))
        self.marks &= self.shown

    def record(self, declared: DeclaredSubscription) -> StateEntry | Attempt | None:
        """Return the entry that this run has made, or its open attempt; None: it is closed."""
        digest = identity_digest(self._state.url_salt, declared.key)
        return self._made.get(digest) or self._attempts.get((self.run, digest))

    def next_fix(self, step: Step) -> str:
        """Return what to do about an unsettled step: after two attempts, no apply tries again."""
        if not step.creates:
            return NEXT_RUN
        digest = identity_digest(self._state.url_salt, step.declared_side.key)
        keys = [key for key in self._attempts.keys() - self.closing if key[1] == digest]
        if len(keys) < MOST_OPEN:
            return NEXT_RUN
        replacing = self.flags.applying([step.declared_side.address])
        return f"look at what is live with `{self.flags.command('list')}`; then `{replacing}`"

    def close_needless(self) -> None:
        """Close what nobody needs any more, unless the last list has shown it."""
        for key in self.closing & self._attempts.keys():
            if not self._attempts[key].id:
                del self._attempts[key]


class Journal:
    """Writes to the state what one run of apply does."""

    def __init__(self, run: Run, commit: str | None) -> None:
        """Make the journal of a run. `commit`: of the hooks files, if it is known."""
        assert run.store is not None  # noqa: S101, `open_run` refuses an apply without one
        self._store = run.store
        self._planner = run.planner
        self._tenancies = {tenancy.name: run.located(tenancy) for tenancy in run.tenancies}
        self._before = run.planner.state or NO_STATE  # as it was when the run began
        self._state = self._before
        self._keys: dict[SecretRef, Proof] = {}  # of the secrets that this run sends or adopts
        self._run = 0  # the number of this run; 0: it has written no attempts
        self._started_at = int(run.context.clock.now())
        self._start = f"apply of {commit[:7]}" if commit else "apply"
        self._commit = commit

    def begin(self, plans: TenancyPlans) -> None:
        """Write an attempt for each subscription to be made, and a mark for each to be removed.

        Raises StateError if the state cannot be written: nothing may be changed then.
        """
        made = []
        for plan in plans:
            for step in plan.steps:
                if step.is_due and (step.creates or step.action == "adopt"):
                    made.append(step.declared_side.secret)
        self._derive_keys(made)

        def change(state: State) -> State:
            self._run = state.serial + 1  # the serial of this write
            return state.with_records([self._begun(plan, state) for plan in plans], self._salts())

        names = shortened([plan.name for plan in plans])
        self._state = update(self._store, change, f"{self._start}: begins in {names}")

    def ledger(self, plan: TenancyPlan) -> Ledger:
        """Return the records of a tenancy, to be changed by its apply.

        They have the marks of earlier runs, and the entries that this run adopts. They lack what
        this run forgets.
        """
        tenancy = self._tenancies[plan.name]
        records = settled(self._state.of(plan.key), plan.live, self._state.url_salt)
        if tenancy.is_handed_over:
            left = {step.id for step in plan.steps if step.action == "leave"}
            records = records.mapped(lambda record: record if record.id in left else None)
        earlier = self._before.of(plan.key)
        marks = tuple(mark for mark in earlier.marks if mark in records.marks)
        entries = (*records.entries, *self._adopted(plan))
        records = replace(records, entries=entries, marks=marks)
        salts = {salt.id: salt for salt in self._salts()}
        state = replace(self._state, salts=tuple(salts.values()))
        ledger = Ledger(plan, records, state, self._run, self._keys)
        ledger.closing = self._closing(records, plan)
        ledger.flags = self._planner.flags
        return ledger

    def _closing(self, records: TenancyRecords, plan: TenancyPlan) -> set[AttemptKey]:
        """Return the attempts of earlier runs that nobody needs, or that --replace makes good."""
        url_salt = self._state.url_salt
        wanted = wanted_identities(self._tenancies[plan.name], url_salt, plan)
        closing = {*needless_attempts(records, {live.id for live in plan.live}, wanted)}
        named = set()
        for step in plan.steps:
            if REQUESTED in step.reasons:
                named.add(identity_digest(url_salt, step.declared_side.key))
        for attempt in records.attempts:
            if attempt.identity in named and attempt.run != self._run:
                closing.add((attempt.run, attempt.identity))
        return closing

    def without_calls(self, plan: TenancyPlan) -> Ledger:
        """Apply a plan with nothing to do, from the list that it was made from."""
        ledger = self.ledger(plan)
        ledger.plan = not_begun(plan)
        ledger.listed = plan.live
        return ledger

    def write(self, ledgers: Sequence[Ledger]) -> None:
        """Write what was made and what was removed. Raises StateError."""
        for ledger in ledgers:
            if ledger.listed is not None:
                ledger.close_needless()

        def change(state: State) -> State:
            if not state.serial and self._state.url_salt:  # new, and `begin` had nothing to write
                state = replace(state, url_salt=self._state.url_salt)
            ended = [self._records_after(ledger, state) for ledger in ledgers]
            return state.with_records(ended, self._salts())

        update(self._store, change, f"{self._start}: {_changes(ledgers)}")

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
        """Return the records of a tenancy with the attempts and the marks of this run."""
        ids = defaultdict[SubscriptionKey, list[str]](list)
        for live in plan.live:
            ids[live.key].append(live.id)
        records = settled(state.of(plan.key), plan.live, state.url_salt)
        attempts = [*records.attempts]
        marks = {*records.marks}
        for step in plan.steps:
            if step.is_due and step.creates:
                seen = tuple(ids[step.declared_side.key])
                attempt = Attempt(**self._fields(step, state), seen=seen)
                proof = self._keys[step.declared_side.secret]
                attempts.append(attempt.made_with(*proof, plan.key))
            if step.is_due and step.removes:
                marks.add(step.id)
        return replace(records, attempts=tuple(attempts), marks=tuple(marks))

    def _adopted(self, plan: TenancyPlan) -> Iterator[StateEntry]:
        """Yield the entries of live subscriptions whose secrets a person vouches for."""
        for step in plan.steps:
            if step.action == "adopt" and step.is_due:
                entry = StateEntry(**self._fields(step, self._state), id=step.id, is_adopted=True)
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

    def _records_after(self, ledger: Ledger, state: State) -> TenancyRecords:
        """Return what the state contains about a tenancy after this run."""
        tenancy = self._tenancies[ledger.plan.name]
        declared = declared_by_identity(tenancy, state.url_salt)
        records = ledger.records
        entries = tuple(self._tagged(records.entries, ledger.plan, declared))
        records = replace(records, entries=entries)
        if ledger.listed is not None:
            shown = {live.id for live in ledger.listed}
            enabled = {digest for digest, wanted in declared.items() if wanted.enabled}
            records = without_needless(records, shown, enabled)
            records = replace(records, foreign=tuple(sorted(shown - records.ids)))
        if ledger.plan.may_have_changed and self._commit:
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


_DONE_WORDS: Mapping[str, str] = {
    "subscribe": "subscribed",
    "resubscribe": "resubscribed",
    "unsubscribe": "unsubscribed",
    "adopt": "adopted",
    "forget": "forgotten",
}


def _changes(ledgers: Iterable[Ledger]) -> str:
    """Name the tenancies in which something was done, and count it."""
    parts = []
    for ledger in ledgers:
        done = Counter[str]()
        for step in ledger.plan.steps:
            if step.outcome and step.outcome.result == "done":
                done[_DONE_WORDS[step.action]] += 1
        if done:
            counts = ", ".join(f"{number} {word}" for word, number in done.items())
            parts.append(f"{ledger.plan.name} {counts}")
    return shortened(parts) or "no subscription changed"
