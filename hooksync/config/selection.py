"""Which part of the files a run looks at: tenancies and addresses by --tenancy and --target, and shards. Pure.

A shard is a stable share of the tenancies, so that several processes together do what one would do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from hooksync.config.declarations import Document, TenancyDeclaration
from hooksync.core.errors import Problem, UsageError
from hooksync.core.model import address_matches, address_of
from hooksync.core.record import Record, replace

MOST_SHARDS = 1000

_FORM = re.compile("([0-9]+)/([0-9]+)")
_SHOWN = 20  # characters of what was given instead


def select(document: Document, tenancies: Sequence[str], targets: Sequence[str]) -> tuple[TenancyDeclaration, ...]:
    """Keep the tenancies that a glob matches (all without globs), and of them the addresses that a target matches.

    Raises UsageError for a glob that matches nothing: it is a mistake, and would look like "nothing to do".
    """
    names = [entry.name for entry in document.tenancies]
    refuse_unmatched("--tenancy", tenancies, names, "tenancy")
    chosen = [entry for entry in document.tenancies if not tenancies or address_matches(entry.name, tenancies)]
    if not targets:
        return tuple(chosen)
    refuse_unmatched("--target", targets, addresses(chosen), "address")
    narrowed = (_narrowed(entry, targets) for entry in chosen)
    return tuple(entry for entry in narrowed if entry.subscriptions)


def share_of(entries: Sequence[TenancyDeclaration], shard: Shard | None) -> tuple[TenancyDeclaration, ...]:
    """Keep the tenancies of a shard (all where there is none); a shard may be empty."""
    return tuple(entry for entry in entries if shard is None or shard.holds(entry.name))


def nothing_in(shard: Shard) -> str:
    """Say that a shard is empty: with few tenancies, some are, and that is not an error."""
    return f"No tenancy falls in shard {shard}."


def check_replaced(entries: Iterable[TenancyDeclaration], replace_globs: Sequence[str]) -> None:
    """Raise UsageError for a --replace glob that matches nothing."""
    refuse_unmatched("--replace", replace_globs, addresses(entries), "address")


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


def refuse_unmatched(flag: str, globs: Iterable[str], candidates: Sequence[str], noun: str) -> None:
    """Raise UsageError for globs that match none of the candidates. `flag`: that they came with."""
    from hooksync.core.redaction import printable  # only here: the addresses of a state may be anything

    problems = []
    for glob in globs:
        if not any(fnmatchcase(candidate, glob) for candidate in candidates):
            some = printable(", ".join(candidates[:3])) + (", ..." if len(candidates) > 3 else "")
            fix = f"choose among {some}" if some else f"there is no {noun} to choose"
            problems.append(Problem(f'{flag} "{glob}" matches no {noun}', fix))
    if problems:
        raise UsageError(*problems)


class Shard(Record, frozen=True):
    """The share of the tenancies that one of several processes looks at."""

    number: int  # 1-based
    total: int

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    def holds(self, tenancy: str) -> bool:
        """Whether a tenancy falls in this shard. `tenancy`: its name."""
        return shard_of(tenancy, self.total) == self.number


def shard_of(tenancy: str, total: int) -> int:
    """Return the number of the shard of a tenancy, from 1. It depends on its name alone, in every version.

    The SHA-256 of the name in UTF-8, taken as a number, most significant byte first, modulo the number of shards.
    """
    from hashlib import sha256  # only here: it costs start-up, and most runs have no shards

    return int.from_bytes(sha256(tenancy.encode()).digest(), "big") % total + 1


def read_shard(text: str) -> Shard:
    """Read `I/N`. Raises UsageError for another form, and for a number out of range."""
    flag = f'--shard "{text[:_SHOWN]}{"..." if len(text) > _SHOWN else ""}"'
    found = _FORM.fullmatch(text)
    if not found:
        raise UsageError(Problem(f"{flag} is not of the form I/N", "write 2/8, say, for the second of 8 shards"))
    number, total = map(_bounded, found.groups())
    if not 1 <= total <= MOST_SHARDS:
        fix = f"write I/N, where N is a number of shards from 1 to {MOST_SHARDS}"
        raise UsageError(Problem(f"{flag} names {'no' if total == 0 else 'too many'} shards", fix))
    if not 1 <= number <= total:
        fix = f"give each process one of 1/{total} to {total}/{total}; a job that counts from 0 adds 1"
        raise UsageError(Problem(f"{flag} is out of range: shards are counted from 1 to {total}", fix))
    return Shard(number, total)


def _bounded(digits: str) -> int:
    """Read a number; one that is far too large for a shard stays so, however long it is."""
    return int(digits.lstrip("0")[: len(str(MOST_SHARDS)) + 1] or "0")
