"""From what is declared, live and remembered to plans, for all tenancies of a run together.

So that each secret is stretched once however many subscriptions and tenancies share it. Touches nothing but its
arguments; the time that scrypt takes is spent here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from hooksync.config.secret_book import SecretCache
from hooksync.core.errors import Problem
from hooksync.core.model import LiveSubscription, SecretRef, SecretState, Tenancy
from hooksync.core.record import Record, replace
from hooksync.reconcile.diff import DiffOptions, Matching, count_owned, decide, pair
from hooksync.reconcile.plan import Resubscribe, Subscribe, TenancyPlan, UnreadTenancy, unsafe_reasons
from hooksync.state.fingerprints import KeyRing
from hooksync.state.history import History, recall
from hooksync.state.model import Intent, State, StateEntry


class FetchedTenancy(Record, frozen=True):
    """A tenancy and what it holds."""

    tenancy: Tenancy
    live: tuple[LiveSubscription, ...]


class PlannedTenancy(Record, frozen=True):
    """A tenancy's plan, with what it was made from and why it may not be carried out."""

    plan: TenancyPlan
    history: History
    refusals: tuple[Problem, ...] = ()

    @property
    def tenancy(self) -> Tenancy:
        """The tenancy that it is about."""
        return self.plan.tenancy

    @property
    def is_ready(self) -> bool:
        """Whether there is something to do, and nothing against it."""
        return not self.plan.is_empty and not self.refusals


Fetched: TypeAlias = FetchedTenancy | UnreadTenancy
Planned: TypeAlias = PlannedTenancy | UnreadTenancy


class Planner(Record, frozen=True):
    """What plans are made with."""

    options: DiffOptions
    allows_mass_unsubscribe: bool
    state: State | None
    book: SecretCache
    ring: KeyRing

    def plan(self, fetched: Sequence[Fetched]) -> tuple[Planned, ...]:
        """Plan every tenancy that could be read."""
        paired = {one.tenancy.name: self._pair(one) for one in fetched if isinstance(one, FetchedTenancy)}
        states = self._secret_states(paired.values())
        return tuple(
            one if isinstance(one, UnreadTenancy) else self._decide(*paired[one.tenancy.name], states)
            for one in fetched
        )

    def remember(self, fetched: Sequence[Fetched]) -> dict[str, History]:
        """Say what this run knows of each tenancy that could be read, for plans that are made already."""
        paired = {one.tenancy.name: self._pair(one) for one in fetched if isinstance(one, FetchedTenancy)}
        states = self._secret_states(paired.values())
        return {name: replace(history, states=states.get(name, {})) for name, (_, history) in paired.items()}

    def _pair(self, one: FetchedTenancy) -> tuple[Matching, History]:
        tenancy, live = one.tenancy, one.live
        history = recall(self.state, tenancy.name, live)
        history = replace(history, not_set=self.book.not_set(one.secret for one in tenancy.subscriptions))
        return pair(tenancy, live, history), history

    def _decide(
        self, pairing: Matching, history: History, states: Mapping[str, Mapping[str, SecretState]]
    ) -> PlannedTenancy:
        history = replace(history, states=states.get(pairing.tenancy.name, {}))
        plan = decide(pairing, self.options, history)
        if self.allows_mass_unsubscribe:
            return PlannedTenancy(plan, history)
        return PlannedTenancy(plan, history, unsafe_reasons(plan, count_owned(plan.tenancy, plan.live)))

    def _secret_states(self, paired: Iterable[tuple[Matching, History]]) -> dict[str, dict[str, SecretState]]:
        """Compare the declared secrets with those that live subscriptions were made with; by tenancy, by live id."""
        if self.state is None:
            return {}
        salts = self.state.salts_by_id()
        comparable = [
            (pairing.tenancy.name, live, made, self.book.find(ref), salts[made.salt])
            for pairing, history in paired
            for ref, live, made in _comparable(pairing, history)
        ]
        self.ring.derive((secret, salt) for *_, secret, salt in comparable)
        states: defaultdict[str, dict[str, SecretState]] = defaultdict(dict)
        for name, live, made, secret, salt in comparable:
            is_same = made.is_made_with(self.ring.key(secret, salt))
            states[name][live.id] = "same" if is_same else "changed"
        return states


def needed_secrets(plan: TenancyPlan) -> Iterator[SecretRef]:
    """Name the secrets that a plan needs to be carried out."""
    return (step.declared.secret for step in plan.steps if isinstance(step, Subscribe | Resubscribe))


def _comparable(
    pairing: Matching, history: History
) -> Iterator[tuple[SecretRef, LiveSubscription, StateEntry | Intent]]:
    """Give the pairs of which the state knows the live half's secret and this run the declared one's."""
    for one in pairing.pairs:
        made = history.made.get(one.live.id) if one.live else None
        if one.live and isinstance(made, StateEntry | Intent) and one.declared.secret not in history.not_set:
            yield one.declared.secret, one.live, made
