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
    TenancyKey,
)
from hooksync.core.record import replace
from hooksync.reconcile.plan import REQUESTED, Step, TenancyPlan, TenancyPlans
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
        self.before = run.planner.state or NO_STATE  # as it was when the run began
        self.state = self.before
        self.proofs: dict[SecretRef, Proof] = {}  # of the secrets that this run sends or adopts
        self.number = 0  # of this run; 0: it has written no attempts
        self._store = run.store
        self._started_at = int(run.context.clock.now())
        self._start = f"apply of {commit[:7]}" if commit else "apply"
        self._commit = commit

    def begin(self, plans: TenancyPlans) -> None:
        """Write an attempt for each subscription to be made, and a mark for each to be removed.

        Write the entries that this run adopts. The keys of secrets are derived first, because
        scrypt may lack memory later. Raises StateError if the state cannot be written: nothing may
        be changed then.
        """
        refs = []
        for plan in plans:
            for step in plan.steps:
                if step.is_due and (step.creates or step.action == "adopt"):
                    refs.append(step.declared_side.secret)
        planner = self.run.planner
        wanted = {}
        for ref, salt in self.before.salts_for(refs, os.urandom).items():
            wanted[ref] = planner.secrets.find(ref), salt
        planner.ring.derive(wanted.values())
        salts = [*self.before.salts]
        for ref, (secret, salt) in wanted.items():
            self.proofs[ref] = planner.ring.key(secret, salt), salt
            salts.append(salt)

        def change(state: State) -> State:
            self.number = state.serial + 1  # the serial of this write
            return state.with_records([self._begun(plan, state) for plan in plans], salts)

        names = shortened([plan.name for plan in plans])
        self.state = update(self._store, change, f"{self._start}: begins in {names}")

    def _begun(self, plan: TenancyPlan, state: State) -> TenancyRecords:
        """Return the records of a tenancy with what this run tries, marks and adopts."""
        ids = defaultdict[SubscriptionKey, list[str]](list)
        for live in plan.live:
            ids[live.key].append(live.id)
        records = settled(state.of(plan.key), plan.live, state.url_salt)
        entries = [*records.entries]
        attempts = [*records.attempts]
        marks = {*records.marks}
        for step in plan.steps:
            if not step.is_due:
                continue
            if step.removes:
                marks.add(step.id)
            if step.creates:
                seen = tuple(ids[step.declared_side.key])
                attempts.append(replace(self._attempt(step, records.key, state), seen=seen))
            if step.action == "adopt":
                proof = self.proofs[step.declared_side.secret]
                attempt = self._attempt(step, records.key, state)
                adopted = attempt.proven(step.id, *proof, records.key).entry()
                entries.append(replace(adopted, is_adopted=True))
        return replace(
            records, entries=tuple(entries), attempts=tuple(attempts), marks=tuple(marks)
        )

    def _attempt(self, step: Step, tenancy: TenancyKey, state: State) -> Attempt:
        """Return an attempt to make what a step declares, with the secret of this run."""
        declared = step.declared_side
        digest = identity_digest(state.url_salt, declared.key)
        made = Attempt(declared.address, self.number, self._started_at, digest, declared.content)
        return made.made_with(*self.proofs[declared.secret], tenancy)

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
        """Begin with the state as the journal has written it.

        The records have the marks of earlier runs alone. They lack what this run forgets.
        """
        self.journal = journal
        self.plan = plan
        self.tenancy = journal.run.clients[plan.name].tenancy
        self.compared = plan.steps  # of the last plan that was made
        self.listed: set[str] | None = None  # the ids; None: the last list could not be read
        self.shown: set[str] = set()  # the ids in the last list
        self.proofs: dict[AttemptKey, Proof] = {}  # of success responses without an id
        records = settled(journal.state.of(plan.key), plan.live, journal.state.url_salt)
        if self.tenancy.is_handed_over:
            left = {step.id for step in plan.steps if step.action == "leave"}
            records = records.mapped(lambda record: record if record.id in left else None)
        marks = set(journal.before.of(plan.key).marks).intersection(records.marks)
        self.take(replace(records, marks=tuple(marks)))
        # attempts that this run closes if they still have no id
        self.closing = self._closing() if records.attempts else set()

    def _closing(self) -> set[AttemptKey]:
        """Return the attempts of earlier runs that nobody needs, or that --replace makes good."""
        declared = declared_by_identity(self.tenancy, self.journal.state.url_salt)
        shown = {live.id for live in self.plan.live}
        closing = needless_attempts(self.records, shown, declared, self.plan.as_declared)
        requested = {step.address for step in self.plan.steps if REQUESTED in step.reasons}
        for attempt in self.records.attempts:
            address = declared.get(attempt.identity, attempt).address
            if address in requested and attempt.run != self.journal.number:
                closing.add(attempt.key)
        return closing

    def take(self, records: TenancyRecords) -> None:
        """Take new records, and index those of this run by their addresses."""
        self.records = records
        own = [item for item in records.subscriptions if item.run == self.journal.number]
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
