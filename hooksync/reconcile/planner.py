"""Plan all tenancies of a run: what is declared, live and in the state becomes one plan for each.

All together, so that scrypt derives the key of each secret only once, however many subscriptions
and tenancies share it. Touches nothing but its arguments; the time that scrypt takes is spent here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import TypeAlias

from hooksync.config.secret_sources import SecretSources
from hooksync.core.clock import SYSTEM_CLOCK, Clock
from hooksync.core.errors import FileError, Problem
from hooksync.core.model import (
    LiveSubscription,
    Secret,
    SecretState,
    Tenancy,
    TenancyKey,
)
from hooksync.core.record import Record, replace
from hooksync.reconcile.diff import DiffOptions, is_owned, make_plan, pair
from hooksync.reconcile.plan import Planned, TenancyPlan, UnreadTenancy, reasons_against
from hooksync.state.fingerprints import KeyRing, Salt
from hooksync.state.history import (
    FetchedTenancy,
    History,
    history_of,
    is_behind,
    recovered,
    with_unlisted,
)
from hooksync.state.model import NO_STATE, State, StateEntry

# salts that a state may ask for the work of: for each reference that is declared, and besides,
# where references changed
MOST_SALTS, FEW_SALTS = 2, 8


Fetched: TypeAlias = FetchedTenancy | UnreadTenancy


class _Comparable(Record, frozen=True):
    """A live subscription whose secret can be compared with the declared one."""

    tenancy: str
    entry: StateEntry
    secret: Secret
    salt: Salt


class Planner(Record, frozen=True):
    """What plans are made with."""

    options: DiffOptions
    state: State | None
    secrets: SecretSources
    ring: KeyRing
    place: str | None = ""  # of the state, for messages; None: the run has none
    clock: Clock = SYSTEM_CLOCK
    is_proof: bool = True  # False: anybody could have written the state
    is_ci: bool = False

    @property
    def is_missing(self) -> bool:
        """Whether there is no state at its place."""
        return self.place is not None and self.state is None

    def is_behind(self, key: TenancyKey, listed: Sequence[LiveSubscription]) -> bool:
        """Whether a list may still show what an earlier run has made."""
        known = self.state or NO_STATE
        return is_behind(known.of(key), listed, known.url_salt)

    def plan(self, fetched: Sequence[Fetched]) -> tuple[Planned, ...]:
        """Plan every tenancy that could be read."""
        state = self.recovered(fetched)
        read = []
        for one in fetched:
            if isinstance(one, FetchedTenancy):
                live = with_unlisted(state, one.tenancy, one.live)
                read.append(FetchedTenancy(one.tenancy, live))
        histories = self._histories(state, read)
        plans = {}
        for one in read:
            name = one.tenancy.name
            plan = make_plan(one.tenancy, one.live, self.options, histories[name])
            plans[name] = replace(plan, refusals=self._reasons_against(plan))
        planned: list[Planned] = []
        for each in fetched:
            if isinstance(each, FetchedTenancy):
                planned.append(plans[each.tenancy.name])
            else:
                planned.append(each)
        return tuple(planned)

    def recovered(self, fetched: Sequence[Fetched]) -> State:
        """Return the state with what earlier runs left finished."""
        state = self.state or NO_STATE
        for one in fetched:
            if isinstance(one, FetchedTenancy):
                state = recovered(state, one.tenancy.key, one.live)
        return state

    def _histories(self, state: State, read: Sequence[FetchedTenancy]) -> dict[str, History]:
        """Gather what the state and this run's secrets say of each tenancy, by its name."""
        _, problems = self.secrets.look_up(
            declared.secret for one in read for declared in one.tenancy.subscriptions
        )
        not_set = frozenset(problems)
        histories = {}
        for one in read:
            history = history_of(state, one.tenancy, not_set)
            histories[one.tenancy.name] = replace(
                history, is_proof=self.is_proof, is_kept=self.place is not None
            )
        states = self._secret_states(state, read, histories)
        return {name: replace(each, states=states[name]) for name, each in histories.items()}

    def _reasons_against(self, plan: TenancyPlan) -> tuple[Problem, ...]:
        """List why a plan is refused: it removes too much, or leaves secrets unknown."""
        owned = sum(is_owned(plan.tenancy, live, plan.history) for live in plan.live)
        is_missing = self.is_missing and self.is_ci
        return reasons_against(plan, owned, is_missing=is_missing)

    def _secret_states(
        self, state: State, read: Sequence[FetchedTenancy], histories: dict[str, History]
    ) -> defaultdict[str, dict[str, SecretState]]:
        """Compare the declared secrets with those that live subscriptions were made with.

        Returns the states by tenancy and live id. What is unconfirmed stays unknown.
        """
        found: list[_Comparable] = []
        for one in read:
            found += self._comparable(state, one, histories[one.tenancy.name])
        wanted = {(each.secret, each.salt) for each in found}
        self._check_work(wanted, [one.tenancy for one in read])
        self.ring.derive(wanted)
        states: defaultdict[str, dict[str, SecretState]] = defaultdict(dict)
        for each in found:
            is_same = each.entry.is_made_with(self.ring.key(each.secret, each.salt))
            states[each.tenancy][each.entry.id] = "same" if is_same else "changed"
        return states

    def _comparable(self, state: State, one: FetchedTenancy, history: History) -> list[_Comparable]:
        if not history.entries:
            return []
        salts = state.salts_by_id()
        selected = {declared.address for declared in one.tenancy.subscriptions}
        comparable = []
        for declared, found in pair(one.tenancy, one.live, history):
            entry = history.entries.get(found[0].id) if found else None
            is_known = entry and entry.is_confirmed and declared.secret not in history.not_set
            if entry and is_known and declared.address in selected:
                secret = self.secrets.find(declared.secret)
                comparable.append(_Comparable(one.tenancy.name, entry, secret, salts[entry.salt]))
        return comparable

    def _check_work(
        self, wanted: Collection[tuple[Secret, Salt]], tenancies: Iterable[Tenancy]
    ) -> None:
        """Refuse a state that asks for hours of scrypt: it has about one salt for a reference."""
        references = len(
            {declared.secret for tenancy in tenancies for declared in tenancy.subscriptions}
        )
        most = MOST_SALTS * references + FEW_SALTS
        if len(wanted) > most:
            what = (
                f"the state {self.place} asks for the work of {len(wanted)} fingerprints: somebody"
                " changed it"
            )
            fix = (
                "restore it from Git or the CI cache; or, if many secrets became few, apply parts"
                " of it with --target"
            )
            raise FileError(Problem(f"{what}, for the declared secrets need {most} at most", fix))
