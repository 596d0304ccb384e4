"""The commands that need no network: `validate` and `schema`. Loads no module of the network; prints nothing itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hooksync.commands.options import Options
from hooksync.config.files import read_sources
from hooksync.core.errors import ExitCode, FileError, Problem
from hooksync.core.schema import SchemaKind, schema_text
from hooksync.reconcile.context import World

if TYPE_CHECKING:
    from hooksync.config.declarations import TenancyDeclaration

FORMAT = "hooksync.validation/1"


def validate(options: Options, world: World) -> ExitCode:
    """Check the files; needs neither network nor environment. Raises FileError with every problem."""
    from hooksync.config.document import read_document  # only here: `schema` needs none of it
    from hooksync.config.selection import nothing_in, select, share_of

    try:
        document = read_document(read_sources(options.files, world.stdin))
    except FileError as error:
        if options.format == "json":
            world.terminal.result(_json((), error.problems, ()))
        raise
    entries = share_of(select(document, options.tenancies, options.targets), options.shard)
    if options.shard and not entries:
        world.terminal.message(nothing_in(options.shard))
    for warning in document.warnings:
        world.terminal.warn(warning)
    if options.format == "json":
        world.terminal.result(_json(entries, (), document.warnings))
    else:
        world.terminal.result(_text(options.files, entries))
    return ExitCode.DONE


def schema(kind: SchemaKind, world: World) -> ExitCode:
    """Show a JSON Schema."""
    world.terminal.result(schema_text(kind))
    return ExitCode.DONE


def _text(files: Sequence[str], entries: Sequence[TenancyDeclaration]) -> str:
    """State that the files are valid, and count what they declare."""
    tenancies, subscriptions = len(entries), _count(entries)
    return (
        f"{', '.join(files)}: valid: {tenancies} {'tenancy' if tenancies == 1 else 'tenancies'}, "
        f"{subscriptions} {'subscription' if subscriptions == 1 else 'subscriptions'}.\n"
    )


def _json(entries: Sequence[TenancyDeclaration], problems: Sequence[Problem], warnings: Sequence[Problem]) -> str:
    """Write counts, problems and warnings as JSON."""
    document = {
        "format": FORMAT,
        "is_valid": not problems,
        "problems": [_problem_json(problem) for problem in problems],
        "subscriptions": _count(entries),
        "tenancies": len(entries),
        "warnings": [_problem_json(warning) for warning in warnings],
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _count(entries: Sequence[TenancyDeclaration]) -> int:
    """Count the declared subscriptions: one for each trigger."""
    return sum(len(one.triggers) for entry in entries for one in entry.subscriptions)


def _problem_json(problem: Problem) -> dict[str, object]:
    where = problem.where
    return {
        "file": where.file if where else None,
        "line": where.line if where else None,
        "column": where.column if where else None,
        "what": problem.what,
        "fix": problem.fix,
    }
