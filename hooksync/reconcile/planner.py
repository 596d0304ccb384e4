"""Plan all tenancies of a run: what is declared, live and in the state becomes one plan for each.

All together, so that scrypt derives the key of each secret only once, however many subscriptions
and tenancies share it. Touches nothing but its arguments; the time that scrypt takes is spent here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from hooksync.config.secret_sources import SecretSources
from hooksync.core.clock import SYSTEM_CLOCK, Clock
from hooksync.core.errors import FileError, Problem
from hooksync.core.model import (
    LiveSubscription,
    Secret,
    SecretState,
    TenancyKey,
)
from hooksync.core.record import Record, replace
from hooksync.reconcile.diff import DiffOptions, is_owned, make_plan, pair
from hooksync.reconcile.plan import (
    Keep,
    Leave,
    Step,
    TenancyOutcome,
    TenancyPlan,
    reasons_against,
)
from hooksync.state.fingerprints import KeyRing, Wanted
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

    def plan(self, read: Sequence[FetchedTenancy]) -> list[TenancyPlan]:
        """Plan every tenancy that could be read."""
        state = self.state or NO_STATE
        for one in read:
            state = recovered(state, one.tenancy.key, one.live)
        complete = []
        for one in read:
            live = with_unlisted(state, one.tenancy, one.live)
            complete.append(FetchedTenancy(one.tenancy, live))
        histories = self._histories(state, complete)
        plans = []
        for one in complete:
            plan = make_plan(one.tenancy, one.live, self.options, histories[one.tenancy.name])
            owned = sum(is_owned(one.tenancy, live, plan.history) for live in one.live)
            is_missing = self.is_missing and self.is_ci
            refusals = reasons_against(plan, owned, is_missing=is_missing)
            plans.append(replace(plan, refusals=refusals))
        return plans

    def differences(self, outcome: TenancyOutcome, state: State) -> tuple[Step, ...]:
        """Plan again by what an apply listed at its end: what is needed, and what others changed.

        `state`: as the apply left it.
        """
        plan = outcome.plan
        if outcome.listed is None or plan.is_empty:
            return ()
        planner = replace(self, state=state, options=replace(self.options, replace=()))
        [after] = planner.plan([FetchedTenancy(plan.tenancy, outcome.listed)])
        known = {each.id for each in plan.live}
        return tuple(step for step in after.steps if _is_news(step, known))

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

    def _secret_states(
        self, state: State, read: Sequence[FetchedTenancy], histories: dict[str, History]
    ) -> defaultdict[str, dict[str, SecretState]]:
        """Compare the declared secrets with those that live subscriptions were made with.

        Returns the states by tenancy and live id. What is unconfirmed stays unknown.
        """
        salts = state.salts_by_id()
        found: list[tuple[str, StateEntry, Wanted]] = []
        for one in read:
            name = one.tenancy.name
            for entry, secret in self._comparable(one, histories[name]):
                found.append((name, entry, (secret, salts[entry.salt])))
        wanted = {each for _, _, each in found}
        self._check_work(wanted, read)
        self.ring.derive(wanted)
        states: defaultdict[str, dict[str, SecretState]] = defaultdict(dict)
        for name, entry, each in found:
            is_same = entry.is_made_with(self.ring.key(*each))
            states[name][entry.id] = "same" if is_same else "changed"
        return states

    def _comparable(
        self, one: FetchedTenancy, history: History
    ) -> Iterator[tuple[StateEntry, Secret]]:
        """Give the entries whose secret can be compared, each with the declared secret."""
        if not history.entries:
            return
        selected = {declared.address for declared in one.tenancy.subscriptions}
        for declared, found in pair(one.tenancy, one.live, history):
            entry = history.entries.get(found[0].id) if found else None
            is_known = entry and entry.is_confirmed and declared.secret not in history.not_set
            if entry and is_known and declared.address in selected:
                yield entry, self.secrets.find(declared.secret)

    def _check_work(self, wanted: Collection[Wanted], read: Iterable[FetchedTenancy]) -> None:
        """Refuse a state that asks for hours of scrypt: it has about one salt for a reference."""
        references = len(
            {declared.secret for one in read for declared in one.tenancy.subscriptions}
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


def _is_news(step: Step, known: Iterable[str]) -> bool:
    """Whether a step of the second plan is needed, or shows what others have done meanwhile."""
    match step:
        case Keep(live=live, reasons=reasons):
            return bool(reasons) and live.id not in known
        case Leave(live=live, duplicate_of=place):
            return place is not None and live.id not in known
        case _:
            return True
