"""What is declared and what is live in a benchmark: made-up subscriptions, known by their numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

TRIGGER = "INDEXED"
WIRE_TRIGGER = "FULL_TEXT_INDEXED"
TENANT = "DEMO"


@dataclass(frozen=True, slots=True)
class Entry:
    """One declared subscription."""

    number: int
    include_identifiers: bool = True


def url_of(number: int) -> str:
    """Give the URL of a subscription."""
    return f"https://fn.example.net/api/hook/{number:06d}"


def like_live(count: int) -> Iterator[Entry]:
    """Declare what is live: the numbers from 0 on."""
    return map(Entry, range(count))


def unlike_live(count: int) -> Iterator[Entry]:
    """Declare as many, of which 3 in 100 differ from what is live: another flag, one that is new, one that is gone."""
    for number in range(count):
        match number % 100:
            case 10:
                yield Entry(number, include_identifiers=False)
            case 20:
                yield Entry(count + number)  # and so the live one of this number is not declared
            case _:
                yield Entry(number)


def hooks_file(tenancies: Iterable[tuple[str, Iterable[Entry]]]) -> Iterator[str]:
    """Write a hooks file, line by line, for tenancies by the names of their tenants; the server is `${BOX}`."""
    yield "version: 1\ntenancies:\n"
    for tenant, entries in tenancies:
        yield f"  {tenant.lower()}:\n    server: ${{BOX}}\n    tenant: {tenant}\n    probe: never\n    subscriptions:\n"
        for entry in entries:
            yield f"      hook-{entry.number:06d}:\n"
            yield f"        url: {url_of(entry.number)}\n        trigger: {TRIGGER}\n"
            yield "        secret: {env: HOOK_SECRET}\n"
            if not entry.include_identifiers:
                yield "        include_identifiers: false\n"
