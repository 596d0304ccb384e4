"""Plan all tenancies of a run: what is declared, live and in the state becomes one plan for each.

All together, so that scrypt derives the key of each secret only once, however many subscriptions
and tenancies share it. Touches nothing but its arguments; the time that scrypt takes is spent here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TypeAlias

from hooksync.config.secret_sources import SecretSources
from hooksync.core.clock import SYSTEM_CLOCK, Clock
from hooksync.core.errors import FileError, Problem
from hooksync.core.model import (
    DeclaredSubscription,
    LiveSubscription,
    SecretRef,
    SecretState,
    Tenancy,
)
from hooksync.core.record import Record, replace
from hooksync.reconcile.diff import DiffOptions, is_owned, make_plan, pair
from hooksync.reconcile.plan import (
    Planned,
    TenancyPlan,
    UnreadTenancy,
    secret_reasons,
    unsafe_reasons,
)
from hooksync.state.fingerprints import KeyRing, Wanted
from hooksync.state.history import FetchedTenancy, History, bridge, is_behind, recall
from hooksync.state.model import NO_STATE, State

# salts that a state may ask for the work of: for each reference that is declared, and besides,
# where references changed
MOST_SALTS, FEW_SALTS = 2, 8


Fetched: TypeAlias = FetchedTenancy | UnreadTenancy


class Planner(Record, frozen=True):
    """What plans are made with."""

    options: DiffOptions
    state: State | None
    secrets: SecretSources
    ring: KeyRing
    # this run finds out what secrets are unknown: it is refused later, if it is
    adopts: bool = False
    place: str | None = ""  # of the state, for messages; None: none is kept
    clock: Clock = SYSTEM_CLOCK
    is_proof: bool = True  # False: anybody could have written the state

    @property
    def _known(self) -> State:
        return self.state or NO_STATE

    def bridge(self, fetched: Sequence[Fetched]) -> tuple[Fetched, ...]:
        """Let the state add what the lists do not show yet, and take away what they still show."""
        now = self.clock.now()
        return tuple(
            bridge(self._known, one, now) if isinstance(one, FetchedTenancy) else one
            for one in fetched
        )

    def is_behind(self, tenancy: str, listed: Sequence[LiveSubscription]) -> bool:
        """Whether a list lags behind what the state knows."""
        return is_behind(self._known, tenancy, listed, self.clock.now())

    def plan(self, fetched: Sequence[Fetched]) -> tuple[Planned, ...]:
        """Plan every tenancy that could be read."""
        histories, plans = self._recall(fetched), list[Planned]()
        for one in fetched:
            if isinstance(one, FetchedTenancy):
                plan = make_plan(one.tenancy, one.live, self.options, histories[one.tenancy.name])
                plans.append(replace(plan, refusals=self._reasons_against(plan)))
            else:
                plans.append(one)
        return tuple(plans)

    def _recall(self, fetched: Sequence[Fetched]) -> dict[str, History]:
        """Gather what the state and this run's secrets say of each tenancy, by its name."""
        read = {one.tenancy.name: one for one in fetched if isinstance(one, FetchedTenancy)}
        _, problems = self.secrets.look_up(
            each.secret for one in read.values() for each in one.tenancy.subscriptions
        )
        not_set = frozenset(problems)
        now = self.clock.now()
        histories = {name: recall(self._known, one, not_set, now) for name, one in read.items()}
        states, changed = self._secret_states(
            [(one, histories[name]) for name, one in read.items()]
        )
        for name, one in read.items():
            # only of what is live now: what others make while this run does its work may well have
            # the new value
            siblings = {
                live.id: changed[declared.secret]
                for declared, live in (self._pairs(one, histories[name]) if changed else ())
                if live.id not in states[name] and declared.secret in changed
            }
            histories[name] = replace(
                histories[name], states=states[name], siblings=siblings, is_proof=self.is_proof
            )
        return histories

    def _reasons_against(self, plan: TenancyPlan) -> tuple[Problem, ...]:
        """List why a plan is refused: it removes too much, or leaves secrets unknown."""
        owned = sum(is_owned(plan.tenancy, live, plan.history) for live in plan.live)
        return unsafe_reasons(plan, owned) + secret_reasons(plan, adopts=self.adopts)

    def _secret_states(
        self, read: Sequence[tuple[FetchedTenancy, History]]
    ) -> tuple[defaultdict[str, dict[str, SecretState]], dict[SecretRef, str]]:
        """Compare the declared secrets with those that live subscriptions were made with.

        Returns the states by tenancy and live id; and the references that have another value than
        before, each with an address that shows it, over all tenancies.
        """
        salts = self._known.salts_by_id()
        comparable = [
            (declared, live, made, self.secrets.find(declared.secret), salts[made.salt])
            for one, history in read
            for declared, live in (self._pairs(one, history) if history.made else ())
            if (made := history.made.get(live.id))
        ]
        self._check_work({each[-2:] for each in comparable}, [one.tenancy for one, _ in read])
        self.ring.derive((secret, salt) for *_, secret, salt in comparable)
        states: defaultdict[str, dict[str, SecretState]] = defaultdict(dict)
        changed: dict[SecretRef, str] = {}
        for declared, live, made, secret, salt in comparable:
            is_same = made.is_made_with(self.ring.key(secret, salt))
            same: SecretState = "unknown" if made.is_found else "same"  # it may be somebody else's
            states[declared.tenancy][live.id] = same if is_same else "changed"
            if not is_same:
                changed.setdefault(declared.secret, declared.address)
        return states, changed

    def _check_work(self, wanted: Collection[Wanted], tenancies: Iterable[Tenancy]) -> None:
        """Refuse a state that asks for hours of scrypt: it has about one salt for a reference."""
        references = len(
            {declared.secret for tenancy in tenancies for declared in tenancy.subscriptions}
        )
        if len(wanted) > (most := MOST_SALTS * references + FEW_SALTS):
            what = (
                f"the state {self.place} asks for the work of {len(wanted)} fingerprints: somebody"
                " changed it"
            )
            fix = (
                "restore it from Git or the CI cache; or, if many secrets became few, apply parts"
                " of it with --target"
            )
            raise FileError(Problem(f"{what}, for the declared secrets need {most} at most", fix))

    def _pairs(
        self, one: FetchedTenancy, history: History
    ) -> Iterator[tuple[DeclaredSubscription, LiveSubscription]]:
        """Give each declared subscription with a known secret, and its live one."""
        for declared, found in pair(
            one.tenancy, one.live, history, is_targeted=self.options.is_targeted
        ):
            if found and declared.secret not in history.not_set:
                yield declared, found[0]
