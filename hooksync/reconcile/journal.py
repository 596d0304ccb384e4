"""What a run writes into the state: before the first change what it is about to make, at the end what it made.

A run that is killed in between leaves its intents behind, and by them the next one recognizes what it made.
Touches the disk through `state.store`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from hooksync.config.secret_sources import SecretCache
from hooksync.core.clock import SYSTEM_CLOCK, Clock
from hooksync.core.errors import FileError
from hooksync.core.model import DeclaredSubscription, SecretRef
from hooksync.core.record import replace
from hooksync.reconcile.diff import is_known_by_others
from hooksync.reconcile.plan import (
    Keep,
    Leave,
    Outcome,
    Resubscribe,
    Subscribe,
    TenancyOutcome,
    TenancyPlan,
    Unsubscribe,
)
from hooksync.reconcile.planner import needed_secrets
from hooksync.state.fingerprints import KeyRing, Salt, declared_digest, fingerprint, intent_fingerprint
from hooksync.state.model import Intent, Removed, Settlement, State, StateEntry
from hooksync.state.store import LockLost, StateStore, kept_aside, update


class Journal:
    """The state of one run of apply."""

    def __init__(
        self,
        store: StateStore,
        state: State | None,
        secrets: SecretCache,
        ring: KeyRing,
        *,
        clock: Clock = SYSTEM_CLOCK,
        adopts: bool = False,
        is_targeted: bool = False,
        former: StateStore | None = None,
    ) -> None:
        """`state`: as it was before anything was listed; `former`: the lock file that it was read from.

        `adopts`: whether kept subscriptions whose secrets are unknown may be recorded with the declared ones;
        `is_targeted`: whether the run looks at a part of what is declared, and ends no intent of the rest.
        """
        self.adopts = adopts
        self._is_targeted = is_targeted
        self._store = store
        self._clock = clock
        self._former = former
        self._before = state or State(0, b"")
        self._secrets = secrets
        self._ring = ring
        self._salts: dict[SecretRef, Salt] = {}
        self._to_adopt: frozenset[str] = frozenset()  # addresses
        self._run = 0  # the number of this run; 0: it has made nothing

    def begin(self, plans: Sequence[TenancyPlan]) -> None:
        """Write what is about to be made. Raises FileError when that cannot be written: then nothing must be made."""
        needed = [ref for plan in plans for ref in needed_secrets(plan)]
        self._prepare(needed)

        def change(state: State) -> State:
            intents = [intent for plan in plans for intent in self._intents(plan, state)]
            return state.with_intents(intents, self._salts.values()) if intents else state

        begun = update(self._store, change, former=self._former)
        if needed:
            self._run = begun.last_run

    def settle(
        self,
        planned: Sequence[TenancyPlan],
        outcomes: Mapping[str, TenancyOutcome],
        adopted: frozenset[str] = frozenset(),
    ) -> frozenset[str]:
        """Write what was made, adopted and recovered, and forget what is gone. Raises FileError.

        `adopted`: addresses of kept subscriptions to record with the declared secret. Returns those that were.
        """
        self._to_adopt = adopted
        found = [step for one in planned for step in self._adopted(one)]
        kept = [*found, *(step for one in planned for step in _recovered(one))]
        self._prepare([step.declared.secret for step in kept])

        def change(state: State) -> State:
            ends = [self._end(one, outcomes.get(one.tenancy.name), state) for one in planned]
            return state.settled(ends, self._salts.values())

        if self._run or change(self._before) != self._before:  # otherwise the folder need not be writable
            self._write(change)
        return frozenset(step.declared.address for step in found)

    def _write(self, change: Callable[[State], State]) -> None:
        """Write the last time, or keep aside what cannot be written."""
        try:
            update(self._store, change, former=self._former)
        except LockLost:
            raise  # what is there is another run's; this one's intents are in it
        except FileError as error:
            raise kept_aside(self._store, change, error) from None

    def _prepare(self, refs: Sequence[SecretRef]) -> None:
        """Choose a salt for each reference, and derive the keys."""
        new = [ref for ref in dict.fromkeys(refs) if ref not in self._salts]
        self._salts |= self._before.salts_for(new, os.urandom)
        self._ring.derive((self._secrets.find(ref), self._salts[ref]) for ref in new)

    def _intents(self, plan: TenancyPlan, state: State) -> Iterator[Intent]:
        seen: dict[object, list[str]] = {}
        for live in plan.live:
            seen.setdefault(live.key, []).append(live.id)
        for step in plan.steps:
            if isinstance(step, Subscribe | Resubscribe):
                declared = step.declared
                salt = self._salts[declared.secret]
                key = self._ring.key(self._secrets.find(declared.secret), salt)
                yield Intent(
                    tenancy=declared.tenancy,
                    address=declared.address,
                    run=0,
                    salt=salt.id,
                    fingerprint=intent_fingerprint(key, declared.tenancy, declared.address),
                    declared=_digest(state, declared),
                    seen=tuple(seen.get(declared.key, ())),
                    include_identifiers=declared.include_identifiers,
                    at=int(self._clock.now()),
                )

    def _end(self, one: TenancyPlan, outcome: TenancyOutcome | None, state: State) -> Settlement:
        name, now = one.tenancy.name, int(self._clock.now())
        live = outcome.last_live if outcome else tuple(each for each in one.live if each.is_listed)
        ids = None if live is None else frozenset(each.id for each in live)
        made = [*_known_better(one, ids, state)]
        for step in _recovered(one):
            seen = one.history.made[step.live.id].seen
            made.append(replace(self._entry(step.declared, step.live.id, state), is_found=True, seen=seen))
        made += (self._entry(step.declared, step.live.id, state) for step in self._adopted(one))
        for done, declared, identifier in _made(outcome, ids):
            since = now if done.is_unlisted else None
            entry = self._entry(declared, identifier, state)
            seen = tuple(each.id for each in one.live if each.key == declared.key) if done.is_found else ()
            made.append(replace(entry, is_found=done.is_found, unlisted_since=since, seen=seen))
        removed = _removed(outcome)
        return Settlement(
            tenancy=name,
            run=self._run,
            made=tuple(made),
            open_addresses=_open_addresses(outcome),
            not_made=_to_be_replaced(outcome),
            finished=tuple(intent for intent in _finished(one, self._before, outcome) if self._looks_at(intent, one)),
            gone=self._before.gone(name, ids, now) | {step.live.id for step in removed},
            removed=tuple(
                Removed(name, step.live.id, now)
                for step in removed
                if ids is None or step.live.id in ids or not step.live.is_listed
            ),
            at=now,
        )

    def _looks_at(self, intent: Intent, one: TenancyPlan) -> bool:
        """Whether the run knows what became of an intent of an earlier run."""
        return not self._is_targeted or any(intent.address == each.address for each in one.tenancy.subscriptions)

    def _adopted(self, one: TenancyPlan) -> Iterator[Keep]:
        """Return what is kept with an unknown secret, where the declared one is to be recorded for it."""
        return (step for step in one.steps if isinstance(step, Keep) and step.declared.address in self._to_adopt)

    def _entry(self, declared: DeclaredSubscription, identifier: str, state: State) -> StateEntry:
        salt = self._salts[declared.secret]
        key = self._ring.key(self._secrets.find(declared.secret), salt)
        return StateEntry(
            tenancy=declared.tenancy,
            id=identifier,
            address=declared.address,
            run=self._run or max(1, state.last_run),
            salt=salt.id,
            fingerprint=fingerprint(key, declared.tenancy, identifier),
            declared=_digest(state, declared),
            include_identifiers=declared.include_identifiers,
        )


def _digest(state: State, declared: DeclaredSubscription) -> bytes:
    return declared_digest(state.url_salt, declared.key.url, declared.trigger.wire)


def _made(
    outcome: TenancyOutcome | None, ids: frozenset[str] | None
) -> Iterator[tuple[Outcome, DeclaredSubscription, str]]:
    """Give what was made and is there; or is, by an answer, although the list does not show it yet."""
    for one in outcome.outcomes if outcome else ():
        if isinstance(one.step, Unsubscribe | Keep | Leave) or one.new_id is None:
            continue
        if ids is None or one.new_id in ids or one.is_unlisted:
            yield one, one.step.declared, one.new_id


def _removed(outcome: TenancyOutcome | None) -> list[Resubscribe | Unsubscribe]:
    """Give the steps whose old one is gone, by an answer or by the list."""
    return [
        one.step
        for one in (outcome.outcomes if outcome else ())
        if one.is_removed and isinstance(one.step, Resubscribe | Unsubscribe)
    ]


def _open_addresses(outcome: TenancyOutcome | None) -> frozenset[str]:
    """Return the addresses of what may have been made although no answer told so."""
    steps = [one.step for one in outcome.outcomes if one.may_be_made] if outcome else []
    return frozenset(step.declared.address for step in steps if isinstance(step, Subscribe | Resubscribe))


def _recovered(one: TenancyPlan) -> Iterator[Keep]:
    """Return what a killed run seems to have made and this one keeps, where its secret is still the declared one."""
    for step in one.steps:
        if (
            isinstance(step, Keep)
            and step.live.id in one.history.states
            and isinstance(one.history.made[step.live.id], Intent)
        ):
            yield step


def _known_better(one: TenancyPlan, ids: frozenset[str] | None, state: State) -> Iterator[StateEntry]:
    """Return entries of which this run knows more: another address, that the list shows them by now, what is gone.

    Fingerprints hold for any address.
    """
    addresses = {step.live.id: step.declared.address for step in one.steps if isinstance(step, Keep)}
    for entry in state.entries_of(one.tenancy.name).values():
        address = addresses.get(entry.id, entry.address)
        since = None if ids and entry.id in ids else entry.unlisted_since
        seen = entry.seen if ids is None else tuple(each for each in entry.seen if each in ids)
        better = replace(entry, address=address, unlisted_since=since, seen=seen)
        if better != entry:
            yield better


def _to_be_replaced(outcome: TenancyOutcome | None) -> frozenset[str]:
    """Return the addresses whose secret is known to be the old one only by another subscription, and still is.

    Once that other one has its new secret, nothing but the intent tells the next run that this one has not.
    """
    return frozenset(
        one.step.declared.address
        for one in (outcome.outcomes if outcome else ())
        if isinstance(one.step, Resubscribe) and one.step.secret_state == "unknown" and one.new_id is None
        if outcome and is_known_by_others(one.step, outcome.plan.history)
    )


def _finished(one: TenancyPlan, before: State, outcome: TenancyOutcome | None) -> tuple[Intent, ...]:
    """Return the intents of earlier runs that are no longer needed; the others wait until their secrets are known."""
    intents = before.intents_of(one.tenancy.name)
    if outcome and not outcome.is_as_declared:  # this run's own intents say the same, and are newer
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
