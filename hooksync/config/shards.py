"""Shards: stable shares of the tenancies, so that several processes do together what one would do. Pure."""

from __future__ import annotations

import re

from hooksync.core.errors import Problem, UsageError
from hooksync.core.record import Record

MOST_SHARDS = 1000

_FORM = re.compile("([0-9]+)/([0-9]+)")
_SHOWN = 20  # characters of what was given instead


class Shard(Record, frozen=True):
    """The share of the tenancies that one of several processes looks at."""

    number: int  # 1-based
    total: int

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    def holds(self, tenancy: str) -> bool:
        """Tell whether a tenancy falls in this shard. `tenancy`: its name."""
        return shard_of(tenancy, self.total) == self.number


def shard_of(tenancy: str, total: int) -> int:
    """Say in which of so many shards a tenancy falls, from 1: by its name alone, on every machine, in every version.

    The SHA-256 of the name in UTF-8, taken as a number, most significant byte first, modulo the number of shards.
    """
    from hashlib import sha256  # only here: it costs start-up, and most runs have no shards

    return int.from_bytes(sha256(tenancy.encode()).digest(), "big") % total + 1


def read_shard(text: str) -> Shard:
    """Read `I/N`. Raises UsageError for what is none, and for a shard that there is not."""
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
        raise UsageError(Problem(f"{flag} is none of the shards: they are counted from 1 to {total}", fix))
    return Shard(number, total)


def _bounded(digits: str) -> int:
    """Read a number; one that is far too large for a shard stays so, however long it is."""
    return int(digits.lstrip("0")[: len(str(MOST_SHARDS)) + 1] or "0")
