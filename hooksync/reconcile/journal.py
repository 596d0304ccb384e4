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
from hooksync.reconcile.plan import REQUESTED, Step, TenancyPlan
from hooksync.reconcile.run import Run
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
    TenancyRecords,
)
from hooksync.state.store import update


class Journal:
    """Writes to the state what one run of apply does."""

    def __init__(self, run: Run, commit: str | None) -> None:
        """Make the journal of a run. `commit`: of the hooks files, if it is known."""
        assert run.store is not None  # noqa: S101, `open_run` refuses an apply without one
        self.run = run
        self.state = run.planner.state or NO_STATE  # as this run has read or written it
        self.proofs: dict[SecretRef, Proof] = {}  # of the secrets that this run sends or adopts
        self.number = 0  # of this run; 0: it has written no attempts
        self._store = run.store
        self.started_at = int(run.context.clock.now())
        self._start = f"apply of {commit[:7]}" if commit else "apply"
        self._commit = commit

    def begin(self, ledgers: Sequence[Ledger]) -> None:
        """Write an attempt for each subscription to be made, and a mark for each to be removed.

        Write the entries that this run adopts. The keys of secrets are derived first, because
        scrypt may lack memory later. Raises StateError if the state cannot be written: nothing may
        be changed then.
        """
        refs = []
        for ledger in ledgers:
            for step in ledger.plan.steps:
                if step.is_due and (step.creates or step.action == "adopt"):
                    refs.append(step.declared_side.secret)
        planner = self.run.planner
        wanted = {}
        for ref, salt in self.state.salts_for(refs, os.urandom).items():
            wanted[ref] = planner.secrets.find(ref), salt
        planner.ring.derive(wanted.values())
        salts = [*self.state.salts]
        for ref, (secret, salt) in wanted.items():
            self.proofs[ref] = planner.ring.key(secret, salt), salt
            salts.append(salt)

        def change(state: State) -> State:
            self.number = state.serial + 1  # the serial of this write
            return state.with_records([ledger.begin(state) for ledger in ledgers], salts)

        names = shortened([ledger.plan.name for ledger in ledgers])
        self.state = update(self._store, change, f"{self._start}: begins in {names}")

    def write(self, ledgers: Sequence[Ledger]) -> None:
        """Write what was made and what was removed. Raises StateError."""

        def change(state: State) -> State:
            ended = [self._records_after(ledger, state) for ledger in ledgers]
            return state.with_records(ended, self.state.salts)

        update(self._store, change, f"{self._start}: {_changes(ledgers)}")

    def _records_after(self, ledger: Ledger, state: State) -> TenancyRecords:
        """Return what the state contains about a tenancy after this run."""
        declared = declared_by_identity(ledger.tenancy, state.url_salt)
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
            wanted = declared.get(record.identity)
            address = wanted.address if wanted else f"{ledger.tenancy.name}/{record.local_name}"
            record = replace(record, address=address)
            if record.id not in same:
                return record
            planner = self.run.planner
            secret = planner.secrets.find(same[record.id].secret)
            tag = planner.ring.tag(secret, records.key, record.id)
            return replace(record, tag=tag or record.tag)

        return records.mapped(ended)


class Ledger:
    """The records of one tenancy while a run changes it: responses and lists settle attempts.

    In the end, it has the plan with the outcomes, and the last list.
    """

    def __init__(self, journal: Journal, plan: TenancyPlan) -> None:
        """Make the ledger of a plan. It has no records before `begin`."""
        self.journal = journal
        self.plan = plan
        self.tenancy = journal.run.clients[plan.name].tenancy
        self.compared = plan.steps  # of the last plan that was made
        self.listed: set[str] | None = None  # the ids; None: the last list could not be read
        self.shown: set[str] = set()  # the ids in the last list
        self.proofs: dict[AttemptKey, Proof] = {}  # of success responses without an id
        # attempts that this run closes if they still have no id
        self.closing: set[AttemptKey] = set()

    def begin(self, state: State) -> TenancyRecords:
        """Take the records of a state, and add what this run tries and adopts.

        Returns the records to write: these also have a mark for each subscription to be removed.
        """
        plan = self.plan
        ids = defaultdict[SubscriptionKey, list[str]](list)
        for live in plan.live:
            ids[live.key].append(live.id)
        records = self._settled(state)
        self.closing = self._closing(records, state) if records.attempts else set()
        entries = [*records.entries]
        attempts = [*records.attempts]
        due = [step for step in plan.steps if step.is_due]
        for step in due:
            if step.creates:
                seen = tuple(ids[step.declared_side.key])
                attempts.append(replace(self._attempt(step, state), seen=seen))
            if step.action == "adopt":
                proof = self.journal.proofs[step.declared_side.secret]
                adopted = self._attempt(step, state).proven(step.id, *proof, plan.key).entry()
                entries.append(replace(adopted, is_adopted=True))
        self.take(replace(records, entries=tuple(entries), attempts=tuple(attempts)))
        return self.marked(step.id for step in due if step.removes)

    def _settled(self, state: State) -> TenancyRecords:
        """Return the records of a state, settled by the first list. Drop what this run forgets."""
        records = settled(state.of(self.plan.key), self.plan.live, state.url_salt)
        if not self.tenancy.is_handed_over:
            return records
        left = {step.id for step in self.plan.steps if step.action == "leave"}
        return records.mapped(lambda record: record if record.id in left else None)

    def _attempt(self, step: Step, state: State) -> Attempt:
        """Return an attempt to make what a step declares, with the secret of this run."""
        journal = self.journal
        declared = step.declared_side
        digest = identity_digest(state.url_salt, declared.key)
        made = Attempt(
            declared.address, journal.number, journal.started_at, digest, declared.content
        )
        return made.made_with(*journal.proofs[declared.secret], self.plan.key)

    def _closing(self, records: TenancyRecords, state: State) -> set[AttemptKey]:
        """Return the attempts of earlier runs that nobody needs, or that --replace makes good."""
        declared = declared_by_identity(self.tenancy, state.url_salt)
        shown = {live.id for live in self.plan.live}
        closing = needless_attempts(records, shown, declared, self.plan.as_declared)
        requested = {step.address for step in self.plan.steps if REQUESTED in step.reasons}
        for attempt in records.attempts:
            if declared.get(attempt.identity, attempt).address in requested:
                closing.add(attempt.key)
        return closing

    def marked(self, removed: Iterable[str]) -> TenancyRecords:
        """Return the records with marks of what is going to be removed, or may have been."""
        return replace(self.records, marks=tuple({*self.records.marks, *removed}))

    def take(self, records: TenancyRecords) -> None:
        """Take new records, and index those of this run by their addresses."""
        self.records = records
        own = [item for item in records.subscriptions if item.run_number == self.journal.number]
        self.own = {record.address: record for record in own}

    def learn(self, listed: LiveSubscriptions) -> None:
        """Settle the attempts and the marks by a list."""
        self.shown = {live.id for live in listed}
        self.take(settled(self.records, listed, self.journal.state.url_salt, self.proofs))

    def end(self, listed: LiveSubscriptions) -> None:
        """Close what nobody needs any more, unless the last list has shown it."""
        self.listed = {live.id for live in listed}
        attempts = []
        for attempt in self.records.attempts:
            if attempt.id or attempt.key not in self.closing:
                attempts.append(attempt)
        self.take(replace(self.records, attempts=tuple(attempts)))


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
