"""Compare declared and live subscriptions and decide one step for each. The heart, and pure: no I/O, no clock.

Declared and live meet by identity, in a dictionary. Nothing outside what the tenancy owns is ever touched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from hooksync.model import DeclaredSubscription, LiveSubscription, SubscriptionKey, Tenancy
from hooksync.plan import Change, Keep, Leave, Resubscribe, Step, Subscribe, TenancyPlan, Unsubscribe, step_order
from hooksync.urls import owns_url


@dataclass(frozen=True, slots=True)
class DiffOptions:
    """What the command line says about the comparison."""

    prune: bool = True  # False: nothing is unsubscribed but duplicates and replaced ones
    replace: tuple[str, ...] = ()  # globs of addresses to resubscribe even if nothing differs
    is_targeted: bool = False  # True: only some of the declared are looked at, so what is not declared says nothing


def make_plan(tenancy: Tenancy, live: Sequence[LiveSubscription], options: DiffOptions) -> TenancyPlan:
    """Decide what happens to each declared and each live subscription: exactly one step for each."""
    found: defaultdict[SubscriptionKey, list[LiveSubscription]] = defaultdict(list)
    for subscription in live:
        found[subscription.key].append(subscription)
    steps: list[Step] = []
    for declared in tenancy.subscriptions:
        steps.extend(_steps_for(declared, found.pop(declared.key, []), options))
    for undeclared in found.values():
        steps.extend(_step_without_declaration(subscription, tenancy, options) for subscription in undeclared)
    return TenancyPlan(tenancy, tuple(live), tuple(sorted(steps, key=step_order)))


def count_owned(tenancy: Tenancy, live: Iterable[LiveSubscription]) -> int:
    """Count the live subscriptions that are the tenancy's own."""
    return sum(owns_url(tenancy.owns, subscription.url.full) for subscription in live)


def address_matches(address: str, globs: Iterable[str]) -> bool:
    """Tell whether one of the globs names this address; letter case counts."""
    return any(fnmatchcase(address, glob) for glob in globs)


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


def _steps_for(
    declared: DeclaredSubscription, candidates: Sequence[LiveSubscription], options: DiffOptions
) -> Iterable[Step]:
    """Pair a declared subscription with one live one at most; the others of its identity are duplicates."""
    if not candidates:
        yield Subscribe(declared)
        return
    kept = next((live for live in candidates if not content_changes(declared, live)), candidates[0])
    changes = content_changes(declared, kept)
    reasons = [f"{change.field} differs" for change in changes]
    if address_matches(declared.address, options.replace):
        reasons.append("asked for by --replace")
    yield Resubscribe(declared, kept, tuple(reasons), changes) if reasons else Keep(declared, kept)
    for live in candidates:
        if live is not kept:
            yield Unsubscribe(live, "duplicate", duplicate_of=declared)


def _step_without_declaration(live: LiveSubscription, tenancy: Tenancy, options: DiffOptions) -> Step:
    """Decide about a live subscription that no declared one is paired with."""
    if not owns_url(tenancy.owns, live.url.full):
        return Leave(live, "not ours")
    if options.is_targeted:
        return Leave(live, "not targeted")
    if not options.prune:
        return Leave(live, "not declared, kept by --no-prune")
    return Unsubscribe(live, "not declared")
