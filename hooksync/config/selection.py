"""What of the file a run looks at: the tenancies and addresses that the command line names. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from hooksync.config.declarations import Document, TenancyDeclaration
from hooksync.config.shards import Shard
from hooksync.core.errors import Problem, UsageError
from hooksync.core.model import address_matches, address_of
from hooksync.core.record import replace


def select(document: Document, tenancies: Sequence[str], targets: Sequence[str]) -> tuple[TenancyDeclaration, ...]:
    """Keep the tenancies that a glob names (all where none is given), and in them the addresses that a target names.

    Raises UsageError for a glob that names nothing: it is a slip, and would look like "nothing to do".
    """
    names = [entry.name for entry in document.tenancies]
    _refuse_unmatched("--tenancy", tenancies, names)
    chosen = [entry for entry in document.tenancies if not tenancies or address_matches(entry.name, tenancies)]
    if not targets:
        return tuple(chosen)
    _refuse_unmatched("--target", targets, addresses(chosen))
    narrowed = (_narrowed(entry, targets) for entry in chosen)
    return tuple(entry for entry in narrowed if entry.subscriptions)


def share_of(entries: Sequence[TenancyDeclaration], shard: Shard | None) -> tuple[TenancyDeclaration, ...]:
    """Keep the tenancies of a shard (all where there is none); that may be no tenancy at all."""
    return tuple(entry for entry in entries if shard is None or shard.holds(entry.name))


def nothing_in(shard: Shard) -> str:
    """Say that a shard is empty: with few tenancies, some are, and that is no slip."""
    return f"No tenancy falls in shard {shard}."


def check_replaced(entries: Iterable[TenancyDeclaration], replace_globs: Sequence[str]) -> None:
    """Raise UsageError for a --replace glob that names nothing."""
    _refuse_unmatched("--replace", replace_globs, addresses(entries))


def addresses(entries: Iterable[TenancyDeclaration]) -> list[str]:
    """List the addresses of all subscriptions."""
    return [
        address_of(entry.name, subscription.name, trigger)
        for entry in entries
        for subscription in entry.subscriptions
        for trigger in subscription.triggers
    ]


def _narrowed(entry: TenancyDeclaration, targets: Sequence[str]) -> TenancyDeclaration:
    subscriptions = []
    for subscription in entry.subscriptions:
        named = (
            trigger
            for trigger in subscription.triggers
            if address_matches(address_of(entry.name, subscription.name, trigger), targets)
        )
        if triggers := tuple(named):
            subscriptions.append(replace(subscription, triggers=triggers))
    return replace(entry, subscriptions=tuple(subscriptions))


def _refuse_unmatched(flag: str, globs: Sequence[str], candidates: Sequence[str]) -> None:
    problems = []
    for glob in globs:
        if not any(fnmatchcase(candidate, glob) for candidate in candidates):
            some = ", ".join(candidates[:3]) + (", ..." if len(candidates) > 3 else "")
            problems.append(Problem(f'{flag} "{glob}" names nothing', f"there is {some or 'nothing'} to choose from"))
    if problems:
        raise UsageError(*problems)
