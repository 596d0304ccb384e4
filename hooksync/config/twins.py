"""Two tenancies that are one and the same, in different shards: neither process would notice by itself.

Pure: the environment is an argument.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from hooksync.config.declarations import TenancyDeclaration
from hooksync.config.resolve import resolve
from hooksync.config.rules import duplicate_tenancy_problems, tenancy_identity
from hooksync.core.errors import FileError, Problem
from hooksync.core.model import Tenancy
from hooksync.core.record import replace

Known = tuple[TenancyDeclaration, Tenancy]


def same_tenancy_problems(entries: Sequence[TenancyDeclaration], environ: Mapping[str, str]) -> Iterator[Problem]:
    """Give what is wrong between the tenancies of all shards, as far as this environment tells where each one is.

    A tenant that is not named comes to light at the log-in, and then only in its own shard: beside others on its
    server it must be named.
    """
    known = [(entry, tenancy) for entry in entries for tenancy in _located(entry, environ)]
    yield from duplicate_tenancy_problems(
        (entry, tenancy_identity(made.server.base_url, made.tenant)) for entry, made in known
    )
    yield from _nameless_problems(known)


def _located(entry: TenancyDeclaration, environ: Mapping[str, str]) -> tuple[Tenancy, ...]:
    """Find out where a tenancy is. What keeps that from being known is told in its own shard."""
    try:
        made, _ = resolve([replace(entry, subscriptions=())], environ)
    except FileError:
        return ()
    return made


def _nameless_problems(known: Iterable[Known]) -> Iterator[Problem]:
    servers: defaultdict[str, list[Known]] = defaultdict(list)
    for entry, tenancy in known:
        servers[tenancy.server.base_url].append((entry, tenancy))
    for on_one in servers.values():
        named = [entry.name for entry, tenancy in on_one if tenancy.tenant]
        for entry, tenancy in on_one:
            if named and not tenancy.tenant:
                what = f'tenancy "{entry.name}" names no tenant: with --shard, nothing tells it from "{named[0]}"'
                yield Problem(f"{what}, which is on the same server", "write tenant: NAME", entry.location)
