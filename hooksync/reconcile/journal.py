"""What a run writes into the state: its intents before the first change, its results at the end.

A run that is killed in between leaves its intents behind. By these intents, the next run recognizes
what the killed run made. This module uses the state through `state.store`, on disk or remotely.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from hooksync.core.model import SecretRef, TenancyKey
from hooksync.core.record import replace
from hooksync.reconcile.plan import (
    REQUESTED,
    Keep,
    Leave,
    Making,
    Outcome,
    Resubscribe,
    Subscribe,
    TenancyOutcome,
    TenancyPlan,
    Unsubscribe,
    outcome_of_empty,
)
from hooksync.reconcile.planner import Planner
from hooksync.state.contract import StateStore
from hooksync.state.fingerprints import Salt, declared_digest
from hooksync.state.history import local_name, recovered
from hooksync.state.model import (
    NO_STATE,
    Intent,
    State,
    StateEntry,
    TenancyRecords,
    Unsettled,
)
from hooksync.state.store import update


class Journal:
    """Writes to the state what one run of apply or adopt does."""

    def __init__(self, store: StateStore, planner: Planner) -> None:
        """`planner`: the run's planner, whose state was read before anything was listed."""
        self._store = store
        self._planner = planner
        self._salts: dict[SecretRef, Salt] = {}
        self._run = 0  # the number of this run; 0: it has written no intents
        self._started_at = int(planner.clock.now())

    def begin(self, plans: Sequence[TenancyPlan]) -> None:
        """Write an intent for each subscription that is about to be made.

        Raises StateError if the state cannot be written: nothing may be made then.
        """
        needed = [step.declared.secret for plan in plans for step in plan.makings]
        if not needed:
            return
        self._prepare(needed)

        def change(state: State) -> State:
            self._run = state.next_run
            begun = {}
            for plan in plans:
                key = plan.tenancy.key
                state = recovered(state, key, plan.live)
                records = state.of(key)
                intents = (*records.intents, *self._intents(plan, state))
                begun[key] = replace(records, intents=intents)
            return state.with_records(begun)

        update(self._store, change)

    def settle(self, outcomes: Sequence[TenancyOutcome]) -> list[TenancyOutcome]:
        """Write what was made and what was removed.

        The returned outcomes also contain the steps that are still to be done. Raises StateError.
        """
        state = self._write(outcomes)
        found = self._planner.differences(outcomes, state)
        return [replace(one, differences=found.get(one.plan.tenancy.name, ())) for one in outcomes]

    def _write(self, outcomes: Sequence[TenancyOutcome]) -> State:
        """Write what was made and removed, and return the new state. Raises StateError."""

        def change(state: State) -> State:
            ended = {}
            for one in outcomes:
                key = one.plan.tenancy.key
                state = recovered(state, key, one.plan.live, self._run)
                ended[key] = self._records_after(one, state.of(key), state)
            return state.with_records(ended, self._salts.values())

        return update(self._store, change)

    def adopt(self, plans: Sequence[TenancyPlan], adopted: Collection[str]) -> None:
        """Record the declared secret and flag as those of live subscriptions. Raises StateError.

        `adopted`: the addresses of the subscriptions to adopt, as declared.
        """
        outcomes = []
        needed = []
        for plan in plans:
            results = []
            for step in plan.steps:
                if isinstance(step, Keep | Resubscribe) and step.declared.address in adopted:
                    needed.append(step.declared.secret)
                    results.append(Outcome(step, "done", new_id=step.live.id))
            outcomes.append(replace(outcome_of_empty(plan), outcomes=tuple(results)))
        self._prepare(needed)
        self._write(outcomes)

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
        for step in plan.makings:
            seen = tuple(ids[step.declared.key])
            yield replace(self._intent(step, plan.tenancy.key, state), seen=seen)

    def _intent(self, step: Making | Keep, key: TenancyKey, state: State) -> Intent:
        """Return the intent to make what a step declares, without the ids that were seen before."""
        declared = step.declared
        return Intent(
            key.server,
            key.tenant,
            declared.address,
            self._run or state.next_run,
            self._started_at,
            declared_digest(state.url_salt, declared.key),
            declared.include_identifiers,
            replaces=step.live.id if isinstance(step, Resubscribe) else "",
        )

    def _records_after(
        self, outcome: TenancyOutcome, records: TenancyRecords, state: State
    ) -> TenancyRecords:
        """Return what the state contains about a tenancy after this run."""
        plan = outcome.plan
        entries = {entry.id: entry for entry in records.entries}
        for one in outcome.outcomes:
            if one.new_id:
                entry = self._entry(one, plan.tenancy.key, state)
                entries[entry.id] = entry
        kept: Iterable[StateEntry] = entries.values()
        if outcome.listed is not None:
            kept = _as_listed(kept, outcome, {live.id for live in outcome.listed})
        open_addresses = set()
        for one in outcome.outcomes:
            if one.may_be_made and isinstance(one.step, Making):
                open_addresses.add(one.step.declared.address)
        intents = []
        for intent in records.intents:
            if intent.run != self._run or intent.address in open_addresses:
                intents.append(intent)
        return TenancyRecords(
            tuple(kept),
            tuple(intents),
            tuple(_unsettled(outcome, records.unsettled)),
        )

    def _entry(self, one: Outcome, key: TenancyKey, state: State) -> StateEntry:
        step = one.step
        assert isinstance(step, Making | Keep)  # noqa: S101, no other step makes an entry
        made = self._intent(step, key, state).entry(one.new_id or "")
        made = replace(made, is_listed=one.is_listed)
        if not isinstance(step, Subscribe) and step.live.id == one.new_id:
            made = replace(made, is_adopted=True, replaces="")
        if not one.is_confirmed:
            return made
        salt = self._salts[step.declared.secret]
        secret = self._planner.secrets.find(step.declared.secret)
        return made.made_with(self._planner.ring.key(secret, salt), salt)


def _as_listed(
    entries: Iterable[StateEntry], outcome: TenancyOutcome, ids: Collection[str]
) -> Iterator[StateEntry]:
    """Bring entries in line with the last list of a run. `ids`: what it shows.

    An entry that is not live any more is left out, unless it is declared and no other entry has its
    name. Then somebody removed the subscription outside hooksync. The entry stays, so that the next
    plan says so.
    """
    tenancy = outcome.plan.tenancy
    removed = _removed(outcome)
    addresses = _declared_addresses(outcome.plan)
    missing = {local_name(one) for one in (*tenancy.subscriptions, *tenancy.not_selected)}
    shown_before = {live.id for live in outcome.plan.live if live.is_listed}
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


def _declared_addresses(plan: TenancyPlan) -> dict[str, str]:
    """Return the declared address of each live id that the plan keeps or replaces."""
    kept = [step for step in plan.steps if isinstance(step, Keep | Resubscribe)]
    return {step.live.id: step.declared.address for step in kept}


def _removed(outcome: TenancyOutcome) -> set[str]:
    """Return the ids that were removed, as both a response and the last list say."""
    removed = set()
    for one in outcome.outcomes:
        if one.is_removed and isinstance(one.step, Resubscribe | Unsubscribe):
            removed.add(one.step.live.id)
    return removed


def _unsettled(outcome: TenancyOutcome, before: Iterable[Unsettled]) -> Iterator[Unsettled]:
    """Count for each address how many applies in succession left it unsettled."""
    key = outcome.plan.tenancy.key
    counts = {each.local_name: each.applies for each in before}
    for one in outcome.outcomes:
        if isinstance(one.step, Unsubscribe | Leave):
            continue
        name = local_name(one.step.declared)
        if REQUESTED in one.step.reasons:
            counts.pop(name, None)  # --replace starts the count again
        if one.result == "unsettled":
            counts[name] = counts.get(name, 0) + 1
        elif one.result != "not-attempted":
            counts.pop(name, None)
    for name, number in counts.items():
        yield Unsettled(key.server, key.tenant, f"{outcome.plan.tenancy.name}/{name}", number)
