"""The law of the state machine and of the fault matrix: no address that is served loses its place on the way.

At no moment, whatever fails, is an address that was served before and is declared after without a live subscription;
but for those that ask for `remove-first`, or where the service refuses a second one and the run says so. Who uses this
knows which these are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

Place: TypeAlias = tuple[str, str]  # a URL as the service holds it, and a trigger on the wire
Live: TypeAlias = Mapping[str, Place]  # by id


def served(declared: Mapping[str, Place], live: Live, remembered: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return the ids of the live ones that serve each declared address; only of those that are served.

    By identity; or because the state remembers them by that address, and no other one is declared in their place.
    `declared`: by address. `remembered`: addresses by id.
    """
    taken = set(declared.values())
    ids = {
        address: frozenset(
            identifier
            for identifier, there in live.items()
            if there == place or (remembered.get(identifier) == address and there not in taken and there[1] == place[1])
        )
        for address, place in declared.items()
    }
    return {address: those for address, those in ids.items() if those}


def gaps(declared: Mapping[str, Place], before: Mapping[str, frozenset[str]], moments: Iterable[Live]) -> set[str]:
    """Return the addresses that were served before and were without a live subscription at one of the moments."""
    return {
        address
        for live in moments
        for address, ids in before.items()
        if ids.isdisjoint(live) and declared[address] not in live.values()
    }
