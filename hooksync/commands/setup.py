"""What every verb that reaches the service begins with: read the files, choose, fill in from the environment."""

from __future__ import annotations

from collections.abc import Sequence

from hooksync.config.declarations import TenancyDeclaration
from hooksync.config.document import read_document
from hooksync.config.files import read_sources
from hooksync.config.resolve import resolve, url_environment_values
from hooksync.config.selection import check_replaced, nothing_in, select, share_of
from hooksync.config.shards import Shard
from hooksync.core.errors import FileError, Problem
from hooksync.core.model import Tenancy
from hooksync.core.record import Record
from hooksync.core.redaction import Redactor
from hooksync.reconcile.context import World


class Choice(Record, frozen=True):
    """Which files, and what of them."""

    files: tuple[str, ...]
    tenancies: Sequence[str] = ()  # globs of names
    targets: Sequence[str] = ()  # globs of addresses
    replaced: Sequence[str] = ()  # globs of addresses, which must name something
    shard: Shard | None = None  # of those tenancies; None: all of them


class Prepared(Record, frozen=True):
    """What the files and the environment come to."""

    tenancies: tuple[Tenancy, ...]
    warnings: tuple[Problem, ...]
    redactor: Redactor  # knows what came into URLs


def prepare(choice: Choice, world: World) -> Prepared:
    """Bring files and environment together. Raises FileError or UsageError with every problem.

    A shard is a part of a whole: globs are judged, and tenancies held apart, over all shards together.
    """
    document = read_document(read_sources(choice.files, world.stdin))
    chosen = select(document, choice.tenancies, choice.targets)
    check_replaced(chosen, choice.replaced)
    entries = share_of(chosen, choice.shard)
    redactor = Redactor()
    redactor.learn(url_environment_values(entries, world.environ))
    tenancies, warnings = _resolved(entries, chosen, choice, world)
    if choice.shard and not entries:
        world.terminal.aside(nothing_in(choice.shard))
    return Prepared(tenancies, (*document.warnings, *warnings), redactor)


def _resolved(
    entries: Sequence[TenancyDeclaration], chosen: Sequence[TenancyDeclaration], choice: Choice, world: World
) -> tuple[tuple[Tenancy, ...], tuple[Problem, ...]]:
    """Fill in what the environment says. `chosen`: with the tenancies of other shards, which must be others."""
    if choice.shard is None or choice.shard.total == 1:
        return resolve(entries, world.environ)
    from hooksync.config.twins import same_tenancy_problems  # only here: most runs have no shards

    twins = tuple(same_tenancy_problems(chosen, world.environ))
    try:
        resolved = resolve(entries, world.environ)
    except FileError as error:
        raise FileError(*dict.fromkeys((*twins, *error.problems))) from error
    if twins:
        raise FileError(*twins)
    return resolved
