"""What a run writes into the state: before the first change what it is about to make, at the end what it made.

A run that is killed in between leaves its intents behind, and by them the next one recognizes what it made.
Touches the disk through `state.store`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from hooksync.config.secret_sources import SecretCache
from hooksync.core.model import DeclaredSubscription, SecretRef
from hooksync.core.record import replace
from hooksync.reconcile.diff import is_known_by_others
from hooksync.reconcile.plan import Keep, Resubscribe, Subscribe, TenancyOutcome, TenancyPlan
from hooksync.reconcile.planner import needed_secrets
from hooksync.state.fingerprints import KeyRing, Salt, declared_digest, fingerprint, intent_fingerprint
from hooksync.state.model import Intent, Settlement, State, StateEntry
from hooksync.state.store import update


class Journal:
    """The state of one run of apply."""

    def __init__(
        self,
        path: str,
        state: State | None,
        secrets: SecretCache,
        ring: KeyRing,
        *,
        adopts: bool = False,
        is_targeted: bool = False,
        former: str | None = None,
    ) -> None:
        """`state`: as it was before anything was listed; `former`: path of the lock file that it was read from.

        `adopts`: whether kept subscriptions whose secrets are unknown may be recorded with the declared ones;
        `is_targeted`: whether the run looks at a part of what is declared, and ends no intent of the rest.
        """
        self.adopts = adopts
        self._is_targeted = is_targeted
        self._path = path
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

        begun = update(self._path, change, former=self._former)
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
            update(self._path, change, former=self._former)
        return frozenset(step.declared.address for step in found)

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
                )

    def _end(self, one: TenancyPlan, outcome: TenancyOutcome | None, state: State) -> Settlement:
        name = one.tenancy.name
        run = self._run or max(1, state.last_run)
        kept = [*self._adopted(one), *_recovered(one)]
        pairs = [*_made(outcome), *((step.declared, step.live.id) for step in kept)]
        live = outcome.last_live if outcome else one.live
        return Settlement(
            tenancy=name,
            run=self._run,
            made=(
                *_renamed(one, state),
                *(self._entry(declared, identifier, run, state) for declared, identifier in pairs),
            ),
            open_addresses=_open_addresses(outcome) | _to_be_replaced(outcome),
            finished=tuple(intent for intent in _finished(one, self._before, outcome) if self._looks_at(intent, one)),
            gone=self._before.gone(name, None if live is None else [each.id for each in live]),
        )

    def _looks_at(self, intent: Intent, one: TenancyPlan) -> bool:
        """Whether the run knows what became of an intent of an earlier run."""
        return not self._is_targeted or any(intent.address == each.address for each in one.tenancy.subscriptions)

    def _adopted(self, one: TenancyPlan) -> Iterator[Keep]:
        """Return what is kept with an unknown secret, where the declared one is to be recorded for it."""
        return (step for step in one.steps if isinstance(step, Keep) and step.declared.address in self._to_adopt)

    def _entry(self, declared: DeclaredSubscription, identifier: str, run: int, state: State) -> StateEntry:
        salt = self._salts[declared.secret]
        key = self._ring.key(self._secrets.find(declared.secret), salt)
        return StateEntry(
            tenancy=declared.tenancy,
            id=identifier,
            address=declared.address,
            run=run,
            salt=salt.id,
            fingerprint=fingerprint(key, declared.tenancy, identifier),
            declared=_digest(state, declared),
        )


def _digest(state: State, declared: DeclaredSubscription) -> bytes:
    return declared_digest(state.url_salt, declared.key.url, declared.trigger.wire)


def _made(outcome: TenancyOutcome | None) -> Iterator[tuple[DeclaredSubscription, str]]:
    for one in outcome.outcomes if outcome else ():
        if one.new_id and isinstance(one.step, Subscribe | Resubscribe):
            yield one.step.declared, one.new_id


def _open_addresses(outcome: TenancyOutcome | None) -> frozenset[str]:
    """Return the addresses of what may have been made although no answer told so."""
    steps = [one.step for one in outcome.outcomes if one.may_be_made] if outcome else []
    return frozenset(step.declared.address for step in steps if isinstance(step, Subscribe | Resubscribe))


def _recovered(one: TenancyPlan) -> Iterator[Keep]:
    """Return what a killed run made and this one keeps, where its secret is known to be the declared one."""
    for step in one.steps:
        if (
            isinstance(step, Keep)
            and step.secret_state == "same"
            and isinstance(one.history.made[step.live.id], Intent)
        ):
            yield step


def _renamed(one: TenancyPlan, state: State) -> Iterator[StateEntry]:
    """Return the entries of what is kept under another address than before. Their fingerprints hold for any address."""
    entries = state.entries_of(one.tenancy.name)
    for step in one.steps:
        if isinstance(step, Keep) and (entry := entries.get(step.live.id)) and entry.address != step.declared.address:
            yield replace(entry, address=step.declared.address)


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
        return tuple(intent for intent in intents if intent.address in _to_be_replaced(outcome))
    recovered = {step.live.id for step in _recovered(one)}
    waiting = {
        (made.address, made.run)
        for step in one.steps
        if isinstance(step, Keep) and step.live.id not in recovered
        if isinstance(made := one.history.made.get(step.live.id), Intent)
    }
    return tuple(intent for intent in intents if (intent.address, intent.run) not in waiting)
