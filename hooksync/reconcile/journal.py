"""What a run writes into the state: its intents before the first change, its results at the end.

A run that is killed in between leaves its intents behind, and by them the next one recognizes what
it made. Touches the disk through `state.store`.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from hooksync.core.model import SecretRef, TenancyKey
from hooksync.core.record import replace
from hooksync.reconcile.plan import (
    REQUESTED,
    Keep,
    Leave,
    Making,
    Outcome,
    Resubscribe,
    Result,
    TenancyOutcome,
    TenancyPlan,
    Unsubscribe,
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
    entry_for,
)
from hooksync.state.store import update


class Journal:
    """The state of one run of apply or adopt."""

    def __init__(self, store: StateStore, planner: Planner) -> None:
        """`planner`: of the run; its state is as it was before anything was listed."""
        self._store = store
        self._planner = planner
        self._salts: dict[SecretRef, Salt] = {}
        self._run = 0  # the number of this run; 0: it has made nothing
        self._at = int(planner.clock.now())

    def begin(self, plans: Sequence[TenancyPlan]) -> None:
        """Write what is about to be made.

        Raises FileError if that cannot be written: then nothing may be made.
        """
        needed = [declared.secret for plan in plans for declared in plan.to_be_made]
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
                intents = (*records.intents, *self._intents(plan, state.url_salt))
                begun[key] = replace(records, intents=intents)
            return state.with_records(begun)

        update(self._store, change)

    def settle(self, outcomes: Sequence[TenancyOutcome]) -> None:
        """Write what was made and what is gone. Raises FileError."""

        def change(state: State) -> State:
            ended = {}
            for one in outcomes:
                key = one.plan.tenancy.key
                state = recovered(state, key, one.plan.live, self._run)
                ended[key] = self._ended(one, state.of(key), state)
            return state.with_records(ended, self._salts.values())

        self._write(change)

    def adopt(self, plans: Sequence[TenancyPlan], steps: Sequence[Keep | Resubscribe]) -> None:
        """Record the declared secret and flag as those of live subscriptions. Raises FileError."""
        self._prepare([step.declared.secret for step in steps])

        def change(state: State) -> State:
            changed = {}
            for plan in plans:
                key = plan.tenancy.key
                state = recovered(state, key, plan.live)
                own = [step for step in steps if step.declared.tenancy == plan.tenancy.name]
                entries = [*_not_replaced(state.of(key).entries, own, plan)]
                for step in own:
                    made = self._entry(Outcome(step, "done", new_id=step.live.id), key, state)
                    entries.append(replace(made, is_adopted=True, replaces=""))
                changed[key] = replace(state.of(key), entries=tuple(entries))
            return state.with_records(changed, self._salts.values())

        self._write(change)

    def _write(self, change: Callable[[State], State]) -> None:
        before = self._planner.state or NO_STATE
        if not self._run and change(before) == before:
            return  # the folder need not be writable
        update(self._store, change)

    def _prepare(self, refs: Sequence[SecretRef]) -> None:
        """Choose a salt for each reference, and derive the keys: there may be no memory later."""
        before = self._planner.state or NO_STATE
        new = list(dict.fromkeys(refs))
        self._salts |= before.salts_for(new, os.urandom)
        secrets = self._planner.secrets
        self._planner.ring.derive((secrets.find(ref), self._salts[ref]) for ref in new)

    def _intents(self, plan: TenancyPlan, url_salt: str) -> list[Intent]:
        ids = defaultdict[object, list[str]](list)
        for live in plan.live:
            ids[live.key].append(live.id)
        key = plan.tenancy.key
        intents = []
        for step in plan.steps:
            if not isinstance(step, Making):
                continue
            declared = step.declared
            intents.append(
                Intent(
                    key.server,
                    key.tenant,
                    declared.address,
                    self._run,
                    self._at,
                    declared_digest(url_salt, declared.key),
                    declared.include_identifiers,
                    tuple(ids[declared.key]),
                    step.live.id if isinstance(step, Resubscribe) else "",
                )
            )
        return intents

    def _ended(
        self, outcome: TenancyOutcome, records: TenancyRecords, state: State
    ) -> TenancyRecords:
        """Return what the state contains about a tenancy after this run."""
        plan = outcome.plan
        entries = {entry.id: entry for entry in _known_better(outcome, records.entries)}
        for one in outcome.outcomes:
            if one.new_id:
                entry = self._entry(one, plan.tenancy.key, state)
                entries[entry.id] = entry
        open_addresses = set()
        for one in outcome.outcomes:
            if one.may_be_made and isinstance(one.step, Making):
                open_addresses.add(one.step.declared.address)
        intents = []
        for intent in records.intents:
            if intent.run != self._run or intent.address in open_addresses:
                intents.append(intent)
        return TenancyRecords(
            tuple(_still_needed(entries.values(), outcome)),
            tuple(intents),
            tuple(_unsettled(outcome, records.unsettled)),
        )

    def _entry(self, one: Outcome, key: TenancyKey, state: State) -> StateEntry:
        """Return the entry of what a step made or adopted."""
        step = one.step
        assert isinstance(step, Making | Keep)  # noqa: S101, nothing else has a declared one
        made = replace(
            entry_for(step.declared, key, state.url_salt),
            id=one.new_id or "",
            run=self._run or state.next_run,
            at=self._at,
            is_listed=one.is_listed,
        )
        if isinstance(step, Resubscribe) and not one.is_removed:
            made = replace(made, replaces=step.live.id)
        if not one.is_confirmed:
            return made
        salt = self._salts[step.declared.secret]
        secret = self._planner.secrets.find(step.declared.secret)
        return made.made_with(self._planner.ring.key(secret, salt), salt)


def _not_replaced(
    entries: Iterable[StateEntry], adopted: Iterable[Keep | Resubscribe], plan: TenancyPlan
) -> Iterator[StateEntry]:
    """Leave out the entries of what was replaced outside hooksync by what is adopted."""
    names = {local_name(step.declared) for step in adopted}
    listed = {live.id for live in plan.live}
    for entry in entries:
        if entry.local_name not in names or entry.id in listed:
            yield entry


def _known_better(outcome: TenancyOutcome, entries: Iterable[StateEntry]) -> Iterator[StateEntry]:
    """Change entries as this run has found them: a new address, listed now, replaced for good."""
    ids = outcome.last_ids
    plan = outcome.plan
    addresses = {}
    for step in plan.steps:
        if isinstance(step, Keep | Resubscribe):
            addresses[step.live.id] = step.declared.address
    for entry in entries:
        address = addresses.get(entry.id, f"{plan.tenancy.name}/{entry.local_name}")
        is_listed = entry.is_listed or (ids is not None and entry.id in ids)
        is_gone = ids is not None and entry.replaces not in ids
        yield replace(
            entry,
            address=address,
            is_listed=is_listed,
            replaces="" if is_gone else entry.replaces,
        )


def _still_needed(entries: Collection[StateEntry], outcome: TenancyOutcome) -> Iterator[StateEntry]:
    """Leave out what is not live any more, unless that shows what was done outside hooksync."""
    ids = outcome.last_ids
    if ids is None:
        yield from entries
        return
    removed = set()
    for one in outcome.outcomes:
        if one.is_removed and isinstance(one.step, Resubscribe | Unsubscribe):
            removed.add(one.step.live.id)
    tenancy = outcome.plan.tenancy
    declared = {local_name(one) for one in (*tenancy.subscriptions, *tenancy.not_selected)}
    live = [entry for entry in entries if entry.id not in removed]
    live = [entry for entry in live if entry.id in ids or not entry.is_listed]
    yield from live
    filled = {entry.local_name for entry in live}
    for entry in entries:
        is_lost = entry.is_listed and entry.id not in ids | removed
        if is_lost and entry.local_name in declared - filled:
            yield entry


def _unsettled(outcome: TenancyOutcome, before: Iterable[Unsettled]) -> Iterator[Unsettled]:
    """Count the applies in succession that left an address unsettled."""
    key = outcome.plan.tenancy.key
    counts = {each.local_name: each.applies for each in before}
    results = defaultdict[str, set[Result]](set)
    for one in outcome.outcomes:
        step = one.step
        declared = step.duplicate_of if isinstance(step, Unsubscribe | Leave) else step.declared
        if declared is None:
            continue
        name = local_name(declared)
        results[name].add(one.result)
        if REQUESTED in step.reasons:
            counts.pop(name, None)  # --replace begins anew
    for name, found in results.items():
        if "unsettled" in found:
            counts[name] = counts.get(name, 0) + 1
        elif "not-attempted" not in found:
            counts.pop(name, None)
    for name, number in counts.items():
        yield Unsettled(key.server, key.tenant, f"{outcome.plan.tenancy.name}/{name}", number)
