"""What a run writes into the state: its intents before the first change, its results at the end.

A run that is killed in between leaves its intents behind, and by them the next one recognizes what
it made. Touches the disk through `state.store`.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence

from hooksync.core.errors import FileError
from hooksync.core.model import DeclaredSubscription, SecretRef
from hooksync.core.record import replace
from hooksync.reconcile.plan import (
    Keep,
    Making,
    Outcome,
    Resubscribe,
    TenancyOutcome,
    TenancyPlan,
    Unsubscribe,
)
from hooksync.reconcile.planner import Planner
from hooksync.state.contract import LockLost, StateStore
from hooksync.state.fingerprints import Key, Salt, declared_digest, intent_fingerprint
from hooksync.state.model import NO_STATE, Intent, Removed, Settlement, State, StateEntry, entry_for
from hooksync.state.store import kept_aside, update


class Journal:
    """The state of one run of apply."""

    def __init__(self, store: StateStore, planner: Planner) -> None:
        """`planner`: of the run; its state is as it was before anything was listed."""
        self._store = store
        self._planner = planner
        self._before = planner.state or NO_STATE
        self._salts: dict[SecretRef, Salt] = {}
        self._to_adopt: frozenset[str] = frozenset()  # addresses
        self._run = 0  # the number of this run; 0: it has made nothing

    def begin(self, plans: Sequence[TenancyPlan]) -> None:
        """Write what is about to be made.

        Raises FileError when that cannot be written: then nothing must be made.
        """
        needed = [declared.secret for plan in plans for declared in plan.to_be_made]
        self._prepare(needed)

        def change(state: State) -> State:
            intents = [intent for plan in plans for intent in self._intents(plan, state)]
            return state.with_intents(intents, self._salts.values()) if intents else state

        begun = update(self._store, change)
        if needed:
            self._run = begun.last_run

    def settle(self, outcomes: Sequence[TenancyOutcome], adopted: frozenset[str]) -> frozenset[str]:
        """Write what was made, adopted and recovered, and forget what is gone. Raises FileError.

        `adopted`: addresses of kept subscriptions to record with the declared secret. Returns those
        that were.
        """
        self._to_adopt = adopted
        found = [step for one in outcomes for step in self._adopted(one.plan)]
        kept = [*found, *(step for one in outcomes for step in _recovered(one.plan))]
        self._prepare([step.declared.secret for step in kept])

        def change(state: State) -> State:
            return state.settled([self._end(one, state) for one in outcomes], self._salts.values())

        if (
            self._run or change(self._before) != self._before
        ):  # otherwise the folder need not be writable
            try:
                update(self._store, change)
            except LockLost:
                raise  # what is there is another run's; this one's intents are in it
            except FileError as error:
                raise kept_aside(self._store, change, error) from None
        return frozenset(step.declared.address for step in found)

    def _prepare(self, refs: Sequence[SecretRef]) -> None:
        """Choose a salt for each reference, and derive the keys."""
        new = [ref for ref in dict.fromkeys(refs) if ref not in self._salts]
        self._salts |= self._before.salts_for(new, os.urandom)
        self._planner.ring.derive(
            (self._planner.secrets.find(ref), self._salts[ref]) for ref in new
        )

    def _intents(self, plan: TenancyPlan, state: State) -> Iterator[Intent]:
        seen = _seen_before(plan)
        for declared in plan.to_be_made:
            yield Intent(
                tenancy=declared.tenancy,
                address=declared.address,
                run=0,
                salt=self._salts[declared.secret].id,
                fingerprint=intent_fingerprint(
                    self._key(declared), declared.tenancy, declared.address
                ),
                declared=declared_digest(state.url_salt, declared.key),
                seen=seen[declared.address],
                include_identifiers=declared.include_identifiers,
                at=int(self._planner.clock.now()),
            )

    def _end(self, outcome: TenancyOutcome, state: State) -> Settlement:
        one, now = outcome.plan, int(self._planner.clock.now())
        name, live = one.tenancy.name, outcome.last_live
        ids = None if live is None else frozenset(each.id for each in live)
        made = [*_known_better(one, ids, state)]
        for step in _recovered(one):
            seen = one.history.made[step.live.id].seen
            made.append(
                replace(self._entry(step.declared, step.live.id, state, is_found=True), seen=seen)
            )
        made += (self._entry(step.declared, step.live.id, state) for step in self._adopted(one))
        seen_before = _seen_before(one)
        for done, declared, identifier in _made(outcome, ids):
            since = now if done.is_unlisted else 0
            seen = () if done.is_removed and not done.is_found else seen_before[declared.address]
            entry = self._entry(declared, identifier, state, is_found=done.is_found)
            made.append(replace(entry, unlisted_since=since, seen=seen))
        gone = (done.step for done in outcome.outcomes if done.is_removed)
        removed = [step.live for step in gone if isinstance(step, Resubscribe | Unsubscribe)]
        maybe_made = (done.step for done in outcome.outcomes if done.may_be_made)
        # with --target, a part of what is declared
        addresses = {each.address for each in one.tenancy.subscriptions}
        return Settlement(
            tenancy=name,
            run=self._run,
            made=tuple(made),
            open_addresses=frozenset(
                step.declared.address for step in maybe_made if isinstance(step, Making)
            ),
            not_made=_to_be_replaced(outcome),
            finished=tuple(
                intent
                for intent in _finished(self._before, outcome)
                if intent.address in addresses or not self._planner.options.is_targeted
            ),
            gone=self._before.gone(name, ids, now) | {each.id for each in removed},
            removed=tuple(
                Removed(name, each.id, now)
                for each in removed
                if ids is None or each.id in ids or not each.is_listed
            ),
            at=now,
        )

    def _adopted(self, one: TenancyPlan) -> Iterator[Keep]:
        """Return what is kept with an unknown secret and is to be adopted."""
        return (
            step
            for step in one.steps
            if isinstance(step, Keep) and step.declared.address in self._to_adopt
        )

    def _entry(
        self, declared: DeclaredSubscription, id_: str, state: State, *, is_found: bool = False
    ) -> StateEntry:
        run = self._run or max(1, state.last_run)
        entry = entry_for(declared, id_, run, state.url_salt, is_found=is_found)
        return entry.made_with(self._key(declared), self._salts[declared.secret])

    def _key(self, declared: DeclaredSubscription) -> Key:
        secret = self._planner.secrets.find(declared.secret)
        return self._planner.ring.key(secret, self._salts[declared.secret])


def _seen_before(plan: TenancyPlan) -> dict[str, tuple[str, ...]]:
    """Return what is live before a step, by its address: what it replaces, and duplicates."""
    ids = defaultdict[object, list[str]](list)
    for live in plan.live:
        ids[live.key].append(live.id)
    seen = {}
    for step in plan.steps:
        if isinstance(step, Making):
            replaced = [step.live.id] if isinstance(step, Resubscribe) else []
            seen[step.declared.address] = tuple(dict.fromkeys(replaced + ids[step.declared.key]))
    return seen


def _made(
    outcome: TenancyOutcome, ids: frozenset[str] | None
) -> Iterator[tuple[Outcome, DeclaredSubscription, str]]:
    """Give what was made and is live, by the list or by a response."""
    for one in outcome.outcomes:
        if not isinstance(one.step, Making) or one.new_id is None:
            continue
        if ids is None or one.new_id in ids or one.is_unlisted:
            yield one, one.step.declared, one.new_id


def _recovered(one: TenancyPlan) -> Iterator[Keep]:
    """Return what a killed run seems to have made, if its secret is still the declared one."""
    known = (
        step for step in one.steps if isinstance(step, Keep) and step.live.id in one.history.states
    )
    return (step for step in known if isinstance(one.history.made[step.live.id], Intent))


def _known_better(
    one: TenancyPlan, ids: frozenset[str] | None, state: State
) -> Iterator[StateEntry]:
    """Return entries that this run changes: a new address, now listed, or gone.

    Fingerprints hold for any address.
    """
    addresses = {
        step.live.id: step.declared.address for step in one.steps if isinstance(step, Keep)
    }
    for entry in state.entries_of(one.tenancy.name).values():
        address = addresses.get(entry.id, entry.address)
        since = 0 if ids and entry.id in ids else entry.unlisted_since
        better = replace(entry, address=address, unlisted_since=since)
        if better != entry:
            yield better


def _to_be_replaced(outcome: TenancyOutcome) -> frozenset[str]:
    """Return the addresses whose secret is old only by the evidence of a sibling.

    Once that other one has its new secret, nothing but the intent tells the next run that this one
    has not.
    """
    return frozenset(
        one.step.declared.address
        for one in outcome.outcomes
        if isinstance(one.step, Resubscribe)
        and one.step.secret_state == "unknown"
        and one.new_id is None
        if one.step.live.id in (*outcome.plan.history.siblings, *outcome.plan.history.unfinished)
    )


def _finished(before: State, outcome: TenancyOutcome) -> tuple[Intent, ...]:
    """Return the intents of earlier runs that are no longer needed."""
    one = outcome.plan
    intents = before.intents_of(one.tenancy.name)
    if not outcome.is_as_declared:  # this run's own intents say the same, and are newer
        known = _to_be_replaced(outcome) | {made.address for _, made, _ in _made(outcome, None)}
        return tuple(intent for intent in intents if intent.address in known)
    recovered = {step.live.id for step in _recovered(one)}
    waiting = {
        (made.address, made.run)
        for step in one.steps
        if isinstance(step, Keep) and step.live.id not in recovered
        if isinstance(made := one.history.made.get(step.live.id), Intent)
    }
    return tuple(intent for intent in intents if (intent.address, intent.run) not in waiting)
