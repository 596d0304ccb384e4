"""Plan all tenancies of a run: what is declared, live and in the state becomes one plan for each.

They are planned together, so that scrypt derives the key of each secret only once, however many
subscriptions and tenancies share it. This module uses nothing but its arguments. The time that
scrypt takes is spent here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from hooksync.config.secret_sources import SecretSources
from hooksync.core.clock import SYSTEM_CLOCK, Clock
from hooksync.core.errors import Problem, StateError
from hooksync.core.model import (
    LiveSubscriptions,
    Secret,
    SecretRef,
    SecretState,
    Tenancy,
)
from hooksync.core.record import Record, replace
from hooksync.core.run_flags import NO_FLAGS, RunFlags
from hooksync.reconcile.diff import DiffOptions, is_owned, make_plan, pair
from hooksync.reconcile.plan import Step, TenancyPlan
from hooksync.reconcile.refusals import (
    limit_reasons,
    misplaced,
    needless_ids,
    raised_limit,
    reasons_against,
    wrong_ids,
    wrong_removals,
)
from hooksync.state.fingerprints import KeyRing, Salt, SecretWithSalt
from hooksync.state.history import (
    FetchedTenancy,
    History,
    history_of,
)
from hooksync.state.model import NO_STATE, State, StateEntry

# a state may ask scrypt to work on MOST_SALTS salts for each declared reference, and on FEW_SALTS
# more, because references may have changed
MOST_SALTS = 2
FEW_SALTS = 8

# a tenancy, what counts as live, and what the state contains
_PlanInput: TypeAlias = tuple[Tenancy, LiveSubscriptions, History]


class Planner(Record, frozen=True):
    """Makes plans from the state, the secrets and the options of a run."""

    options: DiffOptions
    state: State | None
    secrets: SecretSources
    ring: KeyRing
    place: str | None = ""  # where the state is, for messages; None: the run has no state
    clock: Clock = SYSTEM_CLOCK
    is_trusted: bool = True  # False: anybody could have written the state
    flags: RunFlags = NO_FLAGS  # of the run, for printed commands

    @property
    def is_missing(self) -> bool:
        """Whether the run has a place for the state, but no state exists there."""
        return self.place is not None and self.state is None

    def plan(self, read: Sequence[FetchedTenancy]) -> list[TenancyPlan]:
        """Plan every tenancy that could be read."""
        state = self.state or NO_STATE
        refs = {declared.secret for fetched in read for declared in fetched.tenancy.subscriptions}
        secrets, problems = self.secrets.look_up(refs)
        no_value = {ref: self.secrets.state_without(ref) for ref in problems}
        complete = [self._plan_input(fetched, state, no_value) for fetched in read]
        salts = state.salts_by_id()
        wanted = [_wanted(*one, secrets, salts) for one in complete]
        needed = {secret for secrets_by_entry in wanted for secret in secrets_by_entry.values()}
        self._check_work(len(needed), len(refs))
        self.ring.derive(needed)
        plans = []
        for (tenancy, live, history), secrets_by_entry in zip(complete, wanted, strict=True):
            states = self._secret_states(secrets_by_entry, tenancy)
            plans.append(self._plan_with_refusals(tenancy, live, replace(history, states=states)))
        return plans

    def _plan_with_refusals(
        self, tenancy: Tenancy, live: LiveSubscriptions, history: History
    ) -> TenancyPlan:
        """Plan a tenancy, and list why the plan may not be carried out."""
        plan = make_plan(tenancy, live, self.options, history)
        owned = sum(is_owned(tenancy, subscription, history) for subscription in live)
        refusals = reasons_against(
            plan, tenancy, owned, history.blocked, self.flags, is_missing=self.is_missing
        )
        named = self.options.remove
        if named:
            return replace(plan, refusals=(*refusals, *wrong_removals(plan, tenancy, named)))
        warnings = (
            *misplaced(plan, tenancy, history),
            *needless_ids(tenancy, live, history),
            *raised_limit(tenancy, owned),
        )
        return replace(
            plan,
            refusals=refusals,
            over_limit=limit_reasons(plan, tenancy, owned, tenancy.limit),
            warnings=warnings,
            errors=tuple(wrong_ids(tenancy, live)),
            open_attempts=history.open_addresses,
        )

    def differences(
        self, before: Iterable[TenancyPlan], read: Sequence[FetchedTenancy], state: State
    ) -> dict[str, tuple[Step, ...]]:
        """Plan again from the lists at the end of an apply: what is still needed or new.

        `before`: the plans that were applied. `state`: as the apply left it. Returns the steps by
        the tenancy's name.
        """
        known = {}
        for plan in before:
            known[plan.name] = {step.id for step in plan.steps if not step.is_change}
        planner = replace(self, state=state, options=replace(self.options, replace=()))
        found = {}
        for after in planner.plan(read):
            ids = known[after.name]
            steps = [step for step in after.steps if _is_news(step, ids)]
            found[after.name] = tuple(step for step in steps if not after.awaits(step))
        return found

    def _plan_input(
        self, one: FetchedTenancy, state: State, no_value: Mapping[SecretRef, SecretState]
    ) -> _PlanInput:
        """Add to a tenancy what the state contains about it."""
        history = replace(
            history_of(state, one.tenancy, one.live),
            no_value=no_value,
            is_trusted=self.is_trusted,
            has_state=self.place is not None,
        )
        return one.tenancy, one.live, history

    def _secret_states(
        self, wanted: Mapping[StateEntry, SecretWithSalt], tenancy: Tenancy
    ) -> dict[str, SecretState]:
        """Compare the declared secrets with those that live subscriptions were made with."""
        states: dict[str, SecretState] = {}
        for entry, secret in wanted.items():
            is_same = entry.is_made_with(self.ring.key(*secret), tenancy.key)
            states[entry.id] = "same" if is_same else "changed"
        return states

    def _check_work(self, number: int, references: int) -> None:
        """Refuse a state that asks for hours of scrypt.

        A state that hooksync wrote has about one salt for each reference.
        """
        most = MOST_SALTS * references + FEW_SALTS
        if number > most:
            what = f"the state {self.place} requires {number} fingerprints: somebody changed it"
            fix = (
                "restore it from Git or the CI cache; or, if many secrets became few, apply parts"
                " of it with --target"
            )
            raise StateError(Problem(f"{what}, for the declared secrets need {most} at most", fix))


def _wanted(
    tenancy: Tenancy,
    live: LiveSubscriptions,
    history: History,
    secrets: Mapping[SecretRef, Secret],
    salts: Mapping[str, Salt],
) -> dict[StateEntry, SecretWithSalt]:
    """Map each entry whose secret can be compared to the declared secret and the salt."""
    wanted = {}
    pairs = pair(tenancy, live, history) if history.entries else []
    for declared, found in pairs[: len(tenancy.subscriptions)]:
        entry = history.entries.get(found[0].id) if found else None
        secret = secrets.get(declared.secret)
        if entry and secret:
            wanted[entry] = secret, salts[entry.salt]
    return wanted


def _is_news(step: Step, known: Iterable[str]) -> bool:
    """Whether a step of the second plan is needed, or shows what others have done meanwhile."""
    if step.action == "keep":
        return step.live is not None and bool(step.reasons) and step.id not in known
    return step.is_change or (step.is_drift and step.id not in known)
