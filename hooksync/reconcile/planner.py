"""Plan all tenancies of a run: what is declared, live and in the state becomes one plan for each.

They are planned together, so that scrypt derives the key of each secret only once, however many
subscriptions and tenancies share it. This module uses nothing but its arguments. The time that
scrypt takes is spent here.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from hooksync.config.secret_sources import SecretSources
from hooksync.core.errors import Problem, StateError
from hooksync.core.model import LiveSubscriptions, Secret, SecretRef, SecretState, Tenancy
from hooksync.core.record import Record, replace
from hooksync.core.run_flags import NO_FLAGS, RunFlags
from hooksync.reconcile.diff import Comparison, empty_plan, is_owned, pair
from hooksync.reconcile.plan import Selection, TenancyPlan
from hooksync.reconcile.refusals import (
    judge_ids,
    limit_reasons,
    list_unproven,
    misplaced,
    near_duplicates,
    raised_limit,
    refuse_unproven,
    wrong_removals,
)
from hooksync.state.fingerprints import KeyRing
from hooksync.state.history import history_of
from hooksync.state.model import NO_STATE, State

# a state may ask scrypt to work on MOST_SALTS salts for each declared reference, and on FEW_SALTS
# more, because references may have changed
MOST_SALTS = 2
FEW_SALTS = 8


class FetchedTenancy(Record, frozen=True):
    """A tenancy and its live subscriptions."""

    tenancy: Tenancy
    live: LiveSubscriptions | None  # None: they could not be read
    errors: tuple[Problem, ...] = ()  # why they could not
    refusals: tuple[Problem, ...] = ()  # why the tenancy is not planned


class Planner(Record, frozen=True):
    """Makes plans from the state, the secrets and the selection of a run."""

    selection: Selection
    state: State | None
    secrets: SecretSources
    ring: KeyRing
    place: str | None = ""  # where the state is, for messages; None: the run has no state
    is_trusted: bool = True  # False: anybody could have written the state
    flags: RunFlags = NO_FLAGS  # of the run, for printed commands

    def plan(self, fetched: Sequence[FetchedTenancy]) -> list[TenancyPlan]:
        """Plan every tenancy. The plan of one that could not be read has only the errors."""
        comparisons = {comparison.tenancy.name: comparison for comparison in self._compare(fetched)}
        plans = []
        unproven = {}
        for item in fetched:
            plan = empty_plan(item.tenancy, item.errors, item.refusals)
            tried: Container[str] = ()
            if comparison := comparisons.get(plan.name):
                plan = self._judged(comparison)
                tried = comparison.history.blocked
            unproven[plan.name] = list_unproven(plan, tried)
            plans.append(plan)
        is_empty = not (self.state and self.state.addresses)
        return refuse_unproven(plans, unproven, self.flags, is_empty=is_empty)

    def _compare(self, fetched: Sequence[FetchedTenancy]) -> list[Comparison]:
        """Pair what is declared and live in each tenancy, and derive the keys of all secrets."""
        read = [item for item in fetched if item.live is not None]
        refs = {declared.secret for item in read for declared in item.tenancy.subscriptions}
        secrets, problems = self.secrets.look_up(refs)
        no_value = {ref: self.secrets.state_without(ref) for ref in problems}
        comparisons = [self._paired(item, secrets, no_value) for item in read]
        needed = {secret for comparison in comparisons for secret in comparison.secrets.values()}
        self._check_work(len(needed), len(refs))
        self.ring.derive(needed)
        return comparisons

    def _paired(
        self,
        item: FetchedTenancy,
        values: Mapping[SecretRef, Secret],
        no_value: Mapping[SecretRef, SecretState],
    ) -> Comparison:
        """Pair what is declared and live in a tenancy, with what the state has about it."""
        state = self.state or NO_STATE
        live = item.live or ()
        history = replace(
            history_of(state, item.tenancy, live),
            is_trusted=self.is_trusted,
            has_state=self.place is not None,
        )
        pairs = pair(item.tenancy, live, history)
        secrets = {}
        for declared, found in pairs:
            entry = history.entries.get(found[0].id) if found else None
            if entry and declared.secret in values:
                secrets[entry.id] = values[declared.secret], state.salts_by_id[entry.salt]
        return Comparison(
            item.tenancy, live, self.selection, history, pairs, self.ring, secrets, no_value
        )

    def _judged(self, comparison: Comparison) -> TenancyPlan:
        """Plan a tenancy, and list why the plan may not be carried out."""
        plan = comparison.plan()
        tenancy = comparison.tenancy
        history = comparison.history
        owned = len({live.key for live in comparison.live if is_owned(tenancy, live, history)})
        over_limit = limit_reasons(plan, tenancy, owned, tenancy.limit)
        refusals = over_limit
        if tenancy.ceiling:
            refusals = [*over_limit, *limit_reasons(plan, tenancy, owned, tenancy.ceiling)]
        named = self.selection.remove
        if named:
            return replace(plan, refusals=(*refusals, *wrong_removals(plan, tenancy, named)))
        wrong, ignored = judge_ids(comparison)
        warnings = (
            *misplaced(plan, comparison, self.flags),
            *near_duplicates(plan),
            *ignored,
            *raised_limit(tenancy, owned),
        )
        return replace(
            plan,
            refusals=tuple(refusals),
            over_limit=tuple(over_limit),
            warnings=warnings,
            errors=tuple(wrong),
            open_attempts=tuple(history.open_addresses),
        )

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
