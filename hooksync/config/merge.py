"""Many files -> one set of tenancies: each may be spread, nothing may be said twice. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hooksync.config.declarations import Settings, SubscriptionDeclaration, TenancyDeclaration
from hooksync.config.parts import TenancyPart
from hooksync.core.errors import Problem


def merge_parts(parts: Iterable[TenancyPart]) -> tuple[tuple[TenancyDeclaration, ...], list[Problem]]:
    """Put the parts of each tenancy together, in the order in which the tenancies first appear."""
    spread: dict[str, list[TenancyPart]] = {}
    for part in parts:
        spread.setdefault(part.name, []).append(part)
    problems: list[Problem] = []
    return tuple(_merged(of_one, problems) for of_one in spread.values()), problems


def unsaid_problems(parts: Sequence[TenancyPart]) -> list[Problem]:
    """Refuse tenancies of which no file says which subscriptions they have: `{}` is how one says none."""
    said = {part.name for part in parts if part.subscriptions is not None}
    first = {part.name: part for part in reversed(parts) if part.name not in said}
    fix = "declare some, or write `subscriptions: {}` if there are to be none"
    return [Problem(f'tenancy "{name}" has no subscriptions', fix, part.location) for name, part in first.items()]


def _merged(parts: list[TenancyPart], problems: list[Problem]) -> TenancyDeclaration:
    main = parts[0]
    settings: Settings | None = None
    subscriptions: dict[str, SubscriptionDeclaration] = {}
    for part in parts:
        if part.settings and settings:
            what = f'tenancy "{part.name}" has settings in two files; the other place is {main.location}'
            problems.append(Problem(what, "keep all but the subscriptions in one file", part.location))
        elif part.settings:
            main, settings = part, part.settings
        for entry in part.subscriptions or ():
            first = subscriptions.setdefault(entry.name, entry)
            if first is not entry:
                what = f'subscription "{entry.name}" is declared twice; the other place is {first.location}'
                problems.append(Problem(what, "rename one of the two, or remove it", entry.location))
    return TenancyDeclaration(main.name, settings or Settings(), tuple(subscriptions.values()), main.location)
