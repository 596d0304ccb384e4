"""Compare declared and live subscriptions and decide one step for each. The heart, and pure: no I/O, no clock.

First they are paired, in dictionaries: by identity, and where the service has respelled a URL, by what the state
remembers. Then each pair is judged. Nothing outside what the tenancy owns is ever touched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from hooksync.core.model import DeclaredSubscription, LiveSubscription, SubscriptionKey, Tenancy, address_matches
from hooksync.core.record import Record
from hooksync.core.urls import owns_url
from hooksync.reconcile.plan import (
    Change,
    Keep,
    Leave,
    Resubscribe,
    Step,
    Subscribe,
    TenancyPlan,
    Unsubscribe,
    step_order,
)
from hooksync.state.history import NOTHING, History


class DiffOptions(Record, frozen=True):
    """What the command line says about the comparison."""

    prune: bool = True  # False: nothing is unsubscribed but duplicates and replaced ones
    replace: tuple[str, ...] = ()  # globs of addresses to resubscribe even if nothing differs
    is_targeted: bool = False  # True: only some of the declared are looked at, so what is not declared says nothing


class Match(Record, frozen=True):
    """A declared subscription and what fills its place."""

    declared: DeclaredSubscription
    live: LiveSubscription | None
    duplicates: tuple[LiveSubscription, ...] = ()  # others that would fill it too


class Matching(Record, frozen=True):
    """All that is declared and live in a tenancy, each once."""

    tenancy: Tenancy
    live: tuple[LiveSubscription, ...]
    pairs: tuple[Match, ...]
    undeclared: tuple[LiveSubscription, ...]


def make_plan(
    tenancy: Tenancy, live: Sequence[LiveSubscription], options: DiffOptions, history: History = NOTHING
) -> TenancyPlan:
    """Decide what happens to each declared and each live subscription: exactly one step for each."""
    return decide(pair(tenancy, live, history), options, history)


def pair(tenancy: Tenancy, live: Sequence[LiveSubscription], history: History = NOTHING) -> Matching:
    """Find the live subscription that fills each declared one's place."""
    found: defaultdict[SubscriptionKey, list[LiveSubscription]] = defaultdict(list)
    for subscription in live:
        found[subscription.key].append(subscription)
    same = [found.pop(declared.key, []) for declared in tenancy.subscriptions]
    unfilled = [
        declared.key for declared, candidates in zip(tenancy.subscriptions, same, strict=True) if not candidates
    ]
    respelled = _respelled(tenancy, unfilled, found, history)
    pairs = []
    for declared, candidates in zip(tenancy.subscriptions, same, strict=True):
        if not candidates:
            candidates = respelled.get(declared.key, [])
            for subscription in candidates:
                found[subscription.key].remove(subscription)
        pairs.append(_paired(declared, candidates, history))
    undeclared = tuple(subscription for several in found.values() for subscription in several)
    return Matching(tenancy, tuple(live), tuple(pairs), undeclared)


def decide(pairing: Matching, options: DiffOptions, history: History = NOTHING) -> TenancyPlan:
    """Judge every pair, and what has none."""
    steps: list[Step] = []
    for one in pairing.pairs:
        steps.append(_step_for(one, options, history))
        steps.extend(Unsubscribe(live, "duplicate", duplicate_of=one.declared) for live in one.duplicates)
    steps.extend(_step_without_declaration(live, pairing.tenancy, options) for live in pairing.undeclared)
    return TenancyPlan(pairing.tenancy, pairing.live, tuple(sorted(steps, key=step_order)))


def count_owned(tenancy: Tenancy, live: Iterable[LiveSubscription]) -> int:
    """Count the live subscriptions that are the tenancy's own."""
    return sum(owns_url(tenancy.owns, subscription.url.full) for subscription in live)


def content_changes(declared: DeclaredSubscription, live: LiveSubscription) -> tuple[Change, ...]:
    """List the fields of a pair that differ, sorted; what the service does not report is not compared."""
    if live.include_identifiers in (None, declared.include_identifiers):
        return ()
    from deepdiff import DeepDiff  # only here: it costs as much start-up as the rest of a plan

    differences = DeepDiff(
        {"include_identifiers": live.include_identifiers},
        {"include_identifiers": declared.include_identifiers},
        view="tree",
    )
    changed = sorted(differences.get("values_changed", ()), key=lambda level: level.path())
    return tuple(Change(level.path(output_format="list")[0], level.t1, level.t2) for level in changed)


def _respelled(
    tenancy: Tenancy,
    unfilled: Iterable[SubscriptionKey],
    found: Mapping[SubscriptionKey, Iterable[LiveSubscription]],
    history: History,
) -> dict[SubscriptionKey, list[LiveSubscription]]:
    """Find live ones that were made for a declared URL and trigger, and that the service spells otherwise.

    Only for those that nothing live is spelt like, and among those whose spelling is nobody's: whoever can write the
    state cannot make one declared subscription pass for another.
    """
    if not history.made:
        return {}
    keys = {history.digest_of(key): key for key in unfilled}
    respelled: defaultdict[SubscriptionKey, list[LiveSubscription]] = defaultdict(list)
    for subscription in (each for several in found.values() for each in several):
        made = history.made.get(subscription.id)
        if made and (key := keys.get(made.declared)) and owns_url(tenancy.owns, subscription.url.full):
            respelled[key].append(subscription)
    return respelled


def _paired(declared: DeclaredSubscription, candidates: Sequence[LiveSubscription], history: History) -> Match:
    """Keep the newest that the state knows, else one whose content is right, else the first."""
    if not candidates:
        return Match(declared, None)

    def worth(live: LiveSubscription) -> tuple[int, bool]:
        return history.run_of(live), not content_changes(declared, live)

    kept = candidates[0] if len(candidates) == 1 else max(candidates, key=worth)
    return Match(declared, kept, tuple(live for live in candidates if live is not kept))


def _step_for(one: Match, options: DiffOptions, history: History) -> Step:
    declared, live = one.declared, one.live
    state = history.state_of(declared, live)
    if live is None:
        return Subscribe(declared, state)
    changes = content_changes(declared, live)
    reasons = [f"{change.field} differs" for change in changes]
    if state == "changed":
        reasons.append("secret changed")
    if options.replace and address_matches(declared.address, options.replace):
        reasons.append("asked for by --replace")
    return Resubscribe(declared, live, tuple(reasons), changes, state) if reasons else Keep(declared, live, state)


def _step_without_declaration(live: LiveSubscription, tenancy: Tenancy, options: DiffOptions) -> Step:
    """Decide about a live subscription that no declared one is paired with."""
    if not owns_url(tenancy.owns, live.url.full):
        return Leave(live, "not ours")
    if options.is_targeted:
        return Leave(live, "not targeted")
    if not options.prune:
        return Leave(live, "not declared, kept by --no-prune")
    return Unsubscribe(live, "not declared")
