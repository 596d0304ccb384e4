"""What a run writes into the state: its intents before the first change, its results at the end.

A run that is killed in between leaves its intents behind. By these intents, the next run recognizes
what the killed run made. This module uses the state through `state.store`, on disk or remotely.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from hooksync.core.model import LiveSubscriptions, SecretRef, Tenancy, TenancyKey
from hooksync.core.record import Record, replace
from hooksync.reconcile.plan import REQUESTED, Outcome, Step, TenancyPlan
from hooksync.reconcile.planner import Planner
from hooksync.state.contract import StateStore
from hooksync.state.fingerprints import Salt, declared_digest
from hooksync.state.history import FetchedTenancy, local_name, recovered
from hooksync.state.model import (
    NO_STATE,
    Intent,
    State,
    StateEntry,
    TenancyRecords,
    Unsettled,
)
from hooksync.state.store import update


class AppliedTenancy(Record, frozen=True):
    """A plan with its outcomes, and the list at the end of the apply."""

    plan: TenancyPlan
    listed: LiveSubscriptions | None = None  # None: no list could be read


class Journal:
    """Writes to the state what one run of apply does."""

    def __init__(
        self, store: StateStore, planner: Planner, tenancies: Mapping[str, Tenancy]
    ) -> None:
        """Make the journal of a run.

        `planner`: the run's planner, whose state was read before anything was listed. `tenancies`:
        those of the run, by name, as the log-in locates them.
        """
        self._store = store
        self._planner = planner
        self._tenancies = tenancies
        self._salts: dict[SecretRef, Salt] = {}
        self._run = 0  # the number of this run; 0: it has written no intents
        self._started_at = int(planner.clock.now())

    def begin(self, plans: Sequence[TenancyPlan]) -> None:
        """Write an intent for each subscription that is about to be made.

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
                key = plan.key
                state = recovered(state, key, plan.live)
                records = state.of(key)
                intents = (*records.intents, *self._intents(plan, state))
                begun[key] = replace(records, intents=intents)
            return state.with_records(begun)

        update(self._store, change)

    def settle(self, applied: Sequence[AppliedTenancy]) -> list[TenancyPlan]:
        """Write what was made and what was removed.

        The returned plans also contain the steps that are still to be done. Raises StateError.
        """
        state = self._write(applied)
        before = [one.plan for one in applied]
        read = []
        for one in applied:
            if one.listed is not None and one.plan.has_changes:
                read.append(FetchedTenancy(self._tenancies[one.plan.name], one.listed))
        found = self._planner.differences(before, read, state)
        plans = []
        for one in applied:
            number = None if one.listed is None else len(one.listed)
            differences = found.get(one.plan.name, ())
            plans.append(replace(one.plan, differences=differences, live_after=number))
        return plans

    def _write(self, applied: Sequence[AppliedTenancy]) -> State:
        """Write what was made and removed, and return the new state. Raises StateError."""

        def change(state: State) -> State:
            ended = {}
            for one in applied:
                key = one.plan.key
                state = recovered(state, key, one.plan.live, self._run)
                ended[key] = self._records_after(one, state.of(key), state)
            return state.with_records(ended, self._salts.values())

        return update(self._store, change)

    def _prepare(self, refs: Sequence[SecretRef]) -> None:
        """Choose a salt for each reference, and derive the keys.

        The keys are derived before the first change, because scrypt may lack memory later.
        """
        before = self._planner.state or NO_STATE
        new = list(dict.fromkeys(refs))
        self._salts |= before.salts_for(new, os.urandom)
        secrets = self._planner.secrets
        self._planner.ring.derive((secrets.find(ref), self._salts[ref]) for ref in new)

    def _intents(self, plan: TenancyPlan, state: State) -> Iterator[Intent]:
        ids = defaultdict[object, list[str]](list)
        for live in plan.live:
            ids[live.key].append(live.id)
        for step in plan.creations:
            seen = tuple(ids[step.new.key])
            yield replace(self._intent(step, plan.key, state), seen=seen)

    def _intent(self, step: Step, key: TenancyKey, state: State) -> Intent:
        """Return the intent to make what a step declares, without the ids that were seen before."""
        declared = step.new
        return Intent(
            key.server,
            key.tenant,
            declared.address,
            self._run or state.next_run,
            self._started_at,
            declared_digest(state.url_salt, declared.key),
            declared.include_identifiers,
            replaces=step.id if step.removes else "",
        )

    def _records_after(
        self, applied: AppliedTenancy, records: TenancyRecords, state: State
    ) -> TenancyRecords:
        """Return what the state contains about a tenancy after this run."""
        plan = applied.plan
        entries = {entry.id: entry for entry in records.entries}
        open_addresses = set()
        for step in plan.steps:
            outcome = step.outcome
            if outcome is None:
                continue
            identifier = outcome.new_id
            if step.action == "adopt" and outcome.result == "done":
                identifier = step.id
            if identifier:
                entries[identifier] = self._entry(step, outcome, plan.key, state)
            if outcome.may_be_made and step.creates:
                open_addresses.add(step.address)
        kept: Iterable[StateEntry] = entries.values()
        if applied.listed is not None:
            tenancy = self._tenancies[plan.name]
            kept = _as_listed(kept, plan, tenancy, {live.id for live in applied.listed})
        intents = []
        for intent in records.intents:
            if intent.run != self._run or intent.address in open_addresses:
                intents.append(intent)
        return TenancyRecords(
            tuple(kept),
            tuple(intents),
            tuple(_unsettled(plan, records.unsettled)),
        )

    def _entry(self, step: Step, outcome: Outcome, key: TenancyKey, state: State) -> StateEntry:
        made = self._intent(step, key, state).entry(outcome.new_id or step.id)
        is_adopted = step.action == "adopt"
        made = replace(made, is_listed=outcome.is_listed, is_adopted=is_adopted)
        if not outcome.is_confirmed:
            return made
        salt = self._salts[step.new.secret]
        secret = self._planner.secrets.find(step.new.secret)
        return made.made_with(self._planner.ring.key(secret, salt), salt)


def _as_listed(
    entries: Iterable[StateEntry], plan: TenancyPlan, tenancy: Tenancy, ids: Collection[str]
) -> Iterator[StateEntry]:
    """Bring entries in line with the last list of a run. `ids`: what it shows.

    An entry that is not live any more is left out, unless it is declared and no other entry has its
    name. Then somebody removed the subscription outside hooksync. The entry stays, so that the next
    plan says so.
    """
    removed = _removed(plan)
    addresses = _declared_addresses(plan)
    missing = {local_name(one) for one in (*tenancy.subscriptions, *tenancy.not_selected)}
    shown_before = {live.id for live in plan.live if live.is_listed}
    lost = []
    for entry in entries:
        is_there = entry.id in ids
        if entry.id in removed:
            continue
        if not is_there and (entry.is_listed or entry.id in shown_before):
            lost.append(replace(entry, is_listed=True))
            continue
        missing.discard(entry.local_name)
        yield replace(
            entry,
            address=addresses.get(entry.id, f"{tenancy.name}/{entry.local_name}"),
            is_listed=is_there,
            replaces=entry.replaces if entry.replaces in ids else "",
        )
    for entry in lost:
        if entry.local_name in missing:
            yield entry


def _removed(plan: TenancyPlan) -> set[str]:
    """Return the ids that were removed, as both a response and the last list say."""
    removed = set()
    for step in plan.steps:
        if step.removes and step.outcome and step.outcome.is_removed:
            removed.add(step.id)
    return removed


def _declared_addresses(plan: TenancyPlan) -> dict[str, str]:
    """Return the declared address of each live id that the plan keeps or replaces."""
    addresses = {}
    for step in plan.steps:
        if step.action in ("keep", "resubscribe", "adopt"):
            addresses[step.id] = step.new.address
    return addresses


def _unsettled(plan: TenancyPlan, before: Iterable[Unsettled]) -> Iterator[Unsettled]:
    """Count for each address how many applies in succession left it unsettled."""
    counts = {each.local_name: each.applies for each in before}
    for step in plan.steps:
        if step.outcome is None or step.action in ("unsubscribe", "leave"):
            continue
        name = local_name(step.new)
        if REQUESTED in step.reasons:
            counts.pop(name, None)  # --replace starts the count again
        if step.outcome.result == "unsettled":
            counts[name] = counts.get(name, 0) + 1
        elif step.outcome.result != "not-attempted":
            counts.pop(name, None)
    for name, number in counts.items():
        yield Unsettled(plan.key.server, plan.key.tenant, f"{plan.name}/{name}", number)
