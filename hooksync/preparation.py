"""What every verb that reaches the service begins with: read the files, choose, fill in from the environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hooksync.document import read_document
from hooksync.errors import Problem
from hooksync.files import read_schema, read_sources
from hooksync.model import Tenancy
from hooksync.redactor import Redactor
from hooksync.resolve import resolve, url_environment_values
from hooksync.run import Surroundings
from hooksync.selection import check_replaced, select
from hooksync.world import World


@dataclass(frozen=True, slots=True)
class Choice:
    """Which files, and what of them."""

    files: tuple[str, ...]
    tenancies: Sequence[str] = ()  # globs of names
    targets: Sequence[str] = ()  # globs of addresses
    replaced: Sequence[str] = ()  # globs of addresses, which must name something


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the files and the environment come to."""

    tenancies: tuple[Tenancy, ...]
    warnings: tuple[Problem, ...]
    around: Surroundings  # with a redactor that knows what came into URLs


def prepare(choice: Choice, world: World) -> Prepared:
    """Bring files and environment together. Raises FileError or UsageError with every problem."""
    document = read_document(read_sources(choice.files, world.stdin), read_schema)
    entries = select(document, choice.tenancies, choice.targets)
    check_replaced(entries, choice.replaced)
    redactor = Redactor()
    redactor.learn(url_environment_values(entries, world.environ))
    tenancies, warnings = resolve(entries, world.environ)
    around = Surroundings(world.environ, redactor, world.stop, world.terminal.watch, world.patience)
    return Prepared(tenancies, (*document.warnings, *warnings), around)
