"""What a run writes into the state: attempts and marks before the first change, results at the end.

A run that is killed in between leaves them behind. By the attempts, the next run recognizes what
the killed run made; by the marks, what it may have removed. This module uses the state through
`state.store`, on disk or remotely.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hooksync.core.errors import shortened
from hooksync.core.model import (
    LiveSubscriptions,
    SecretRef,
    SubscriptionKey,
)
from hooksync.core.record import replace
from hooksync.reconcile.plan import REQUESTED, Step, TenancyPlan, TenancyPlans, not_begun
from hooksync.reconcile.run import Run
from hooksync.reconcile.step_runner import StepRunner
from hooksync.state.fingerprints import identity_digest
from hooksync.state.history import (
    Proof,
    declared_by_identity,
    needless_attempts,
    settled,
    without_needless,
)
from hooksync.state.model import (
    NO_STATE,
    Attempt,
    AttemptKey,
    State,
    StateEntry,
    TenancyRecords,
)
from hooksync.state.store import update


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
        self.compared = plan.steps  # of the last plan that was made
        self.listed: set[str] | None = None  # the ids; None: the last list could not be read
        self.run = run
        # attempts that this run closes if they still have no id
        self.closing: set[AttemptKey] = set()
        self.shown: set[str] = set()  # the ids in the last list
        self._state = state
        self._keys = keys
        self._proofs: dict[AttemptKey, Proof] = {}
        self._take(records)

    def _take(self, records: TenancyRecords) -> None:
        """Take new records, and index those of this run by their addresses."""
        self.records = records
        own = [record for record in records.subscriptions if record.run == self.run]
        self.own = {record.address: record for record in own}

    @property
    def state(self) -> State:
        """The state as far as this tenancy needs it."""
        return replace(self._state, tenancies=(self.records,))

    def record_responses(self, makers: Iterable[StepRunner]) -> None:
        """Record what the responses to creations say.

        An id proves nothing if it cannot be that of a new subscription. Without an id, a success
        response proves the secret only if all attempts that may have made the subscription have the
        same.
        """
        ids = self.records.ids
        attempts = {attempt.key: attempt for attempt in self.records.attempts}
        others = [item for item in attempts.values() if item.run != self.run and not item.id]
        own = {item.address: item for item in attempts.values() if item.run == self.run}
        for runner in makers:
            declared = runner.step.declared_side
            attempt = own[declared.address]
            identifier = runner.response_id
            if runner.creation in ("not-sent", "refused"):
                del attempts[attempt.key]
            elif runner.creation == "conflict":
                self.closing.add(attempt.key)
            elif runner.creation == "done":
                proof = self._keys[declared.secret]
                if identifier and identifier not in ids and identifier not in attempt.seen:
                    proven = attempt.proven(identifier, *proof, self.records.key)
                    attempts[attempt.key] = proven
                    ids.add(identifier)
                elif all(map(attempt.is_like, others)):
                    self._proofs[attempt.key] = proof
        self._take(replace(self.records, attempts=tuple(attempts.values())))

    def mark(self, removed: Iterable[str]) -> None:
        """Mark what the service has removed, or may have: a list may still show it."""
        self.records = replace(self.records, marks=tuple({*self.records.marks, *removed}))

    def learn(self, listed: LiveSubscriptions) -> None:
        """Settle the attempts and the marks by a list."""
        self.shown = {live.id for live in listed}
        self._take(settled(self.records, listed, self._state.url_salt, self._proofs))

    def end(self, listed: LiveSubscriptions) -> None:
        """Close what nobody needs any more, unless the last list has shown it."""
        self.listed = {live.id for live in listed}
        attempts = []
        for attempt in self.records.attempts:
            if attempt.id or attempt.key not in self.closing:
                attempts.append(attempt)
        self._take(replace(self.records, attempts=tuple(attempts)))


class Journal:
    """Writes to the state what one run of apply does."""

    def __init__(self, run: Run, commit: str | None) -> None:
        """Make the journal of a run. `commit`: of the hooks files, if it is known."""
        assert run.store is not None  # noqa: S101, `open_run` refuses an apply without one
        self._store = run.store
        self._planner = run.planner
        self._clients = run.clients
        self._before = run.planner.state or NO_STATE  # as it was when the run began
        self._state = self._before
        self._salts = [*self._before.salts]  # of all records of this run
        self._keys: dict[SecretRef, Proof] = {}  # of the secrets that this run sends or adopts
        self._run = 0  # the number of this run; 0: it has written no attempts
        self._started_at = int(run.context.clock.now())
        self._start = f"apply of {commit[:7]}" if commit else "apply"
        self._commit = commit

    def begin(self, plans: TenancyPlans) -> None:
        """Write an attempt for each subscription to be made, and a mark for each to be removed.

        The keys of secrets are derived first, because scrypt may lack memory later. Raises
        StateError if the state cannot be written: nothing may be changed then.
        """
        refs = []
        for plan in plans:
            for step in plan.steps:
                if step.is_due and (step.creates or step.action == "adopt"):
                    refs.append(step.declared_side.secret)
        wanted = {}
        for ref, salt in self._before.salts_for(refs, os.urandom).items():
            wanted[ref] = self._planner.secrets.find(ref), salt
        self._planner.ring.derive(wanted.values())
        for ref, (secret, salt) in wanted.items():
            self._keys[ref] = self._planner.ring.key(secret, salt), salt
            self._salts.append(salt)

        def change(state: State) -> State:
            self._run = state.serial + 1  # the serial of this write
            return state.with_records([self._begun(plan, state) for plan in plans], self._salts)

        names = shortened([plan.name for plan in plans])
        self._state = update(self._store, change, f"{self._start}: begins in {names}")

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

    def _fields(self, step: Step, state: State) -> dict[str, Any]:
        """Return the fields of the record of the subscription that a step declares."""
        return {
            "address": step.declared_side.address,
            "run": self._run,
            "at": self._started_at,
            "identity": identity_digest(state.url_salt, step.declared_side.key),
            "content": step.declared_side.content,
        }

    def ledger(self, plan: TenancyPlan) -> Ledger:
        """Return the records of a tenancy, to be changed by its apply.

        They have the marks of earlier runs, and the entries that this run adopts. They lack what
        this run forgets.
        """
        records = settled(self._state.of(plan.key), plan.live, self._state.url_salt)
        if self._clients[plan.name].tenancy.is_handed_over:
            left = {step.id for step in plan.steps if step.action == "leave"}
            records = records.mapped(lambda record: record if record.id in left else None)
        adopted = []
        for step in plan.steps:
            if step.action == "adopt" and step.is_due:
                entry = StateEntry(**self._fields(step, self._state), id=step.id, is_adopted=True)
                adopted.append(entry.made_with(*self._keys[step.declared_side.secret], plan.key))
        earlier = set(self._before.of(plan.key).marks)
        marks = earlier.intersection(records.marks)
        entries = (*records.entries, *adopted)
        records = replace(records, entries=entries, marks=tuple(marks))
        state = replace(self._state, salts=tuple(self._salts))
        ledger = Ledger(plan, records, state, self._run, self._keys)
        if records.attempts:
            ledger.closing = self._closing(records, plan)
        return ledger

    def _closing(self, records: TenancyRecords, plan: TenancyPlan) -> set[AttemptKey]:
        """Return the attempts of earlier runs that nobody needs, or that --replace makes good."""
        declared = declared_by_identity(self._clients[plan.name].tenancy, self._state.url_salt)
        shown = {live.id for live in plan.live}
        closing = needless_attempts(records, shown, declared, plan.as_declared)
        requested = {step.address for step in plan.steps if REQUESTED in step.reasons}
        for attempt in records.attempts:
            address = declared.get(attempt.identity, attempt).address
            if address in requested and attempt.run != self._run:
                closing.add(attempt.key)
        return closing

    def without_calls(self, plan: TenancyPlan) -> Ledger:
        """Apply a plan with nothing to do, from the list that it was made from."""
        ledger = self.ledger(plan)
        ledger.plan = not_begun(plan)
        ledger.end(plan.live)
        return ledger

    def write(self, ledgers: Sequence[Ledger]) -> None:
        """Write what was made and what was removed. Raises StateError."""

        def change(state: State) -> State:
            if not state.serial and self._state.url_salt:  # new, and `begin` had nothing to write
                state = replace(state, url_salt=self._state.url_salt)
            ended = [self._records_after(ledger, state) for ledger in ledgers]
            return state.with_records(ended, self._salts)

        update(self._store, change, f"{self._start}: {_changes(ledgers)}")

    def _records_after(self, ledger: Ledger, state: State) -> TenancyRecords:
        """Return what the state contains about a tenancy after this run."""
        name = ledger.plan.name
        declared = declared_by_identity(self._clients[name].tenancy, state.url_salt)
        records = ledger.records
        if ledger.listed is not None:
            enabled = {digest for digest, wanted in declared.items() if wanted.enabled}
            records = without_needless(records, ledger.listed, enabled)
            records = replace(records, foreign=tuple(sorted(ledger.listed - records.ids)))
        if ledger.plan.may_have_changed and self._commit:
            records = replace(records, commit=self._commit)
        # what an entry vouches for, so the secret is known
        same = {step.id: step.declared_side for step in ledger.compared if step.secret == "same"}

        def ended(record: Any) -> Any:
            """Return a record with its address of now, and with a tag of its secret."""
            former = replace(record, address=f"{name}/{record.local_name}")
            record = replace(record, address=declared.get(record.identity, former).address)
            if record.id not in same:
                return record
            secret = self._planner.secrets.find(same[record.id].secret)
            tag = self._planner.ring.tag(secret, records.key, record.id)
            return replace(record, tag=tag or record.tag)

        return records.mapped(ended)


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
