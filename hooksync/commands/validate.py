"""The commands that need no network: `validate`, `schema`, and `init`, but for --from-live. Prints nothing itself.

Loads no module of the network but for that flag. The commented file that `init` writes is starter.yaml.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hooksync.commands.options import Options
from hooksync.config.files import DEFAULT_FILES, read_sources
from hooksync.core.errors import ExitCode, FileError, Problem, UsageError, counted
from hooksync.core.model import Location
from hooksync.core.output import is_there
from hooksync.core.redaction import printable
from hooksync.core.schema import schema_text
from hooksync.reconcile.context import World

if TYPE_CHECKING:
    from hooksync.commands.export_draft import Need
    from hooksync.config.document import Judge

FORMAT = "hooksync.validation/1"

_NEXT = "next: fill in your server, receivers and triggers, then run `hooksync validate`"


def validate(options: Options, world: World) -> ExitCode:
    """Check the files; needs neither network nor environment. Raises FileError with every problem."""
    from hooksync.config.declarations import addresses, nothing_in, select, share_of
    from hooksync.config.document import read_document  # only here: `schema` needs none of it
    from hooksync.config.references import command_problems

    judges: list[Judge] = [] if options.allows_commands else [command_problems]
    try:
        if options.policy:
            from hooksync.config.policy import read_policy  # only here: many runs have none

            judges = [read_policy(options.policy).breaches]
        document = read_document(read_sources(options.files, world.stdin), *judges)
    except FileError as error:
        if options.format == "json":
            world.terminal.result(_json(0, 0, error.problems, ()), "json")
        raise
    entries = share_of(select(document, options.tenancies, options.targets), options.shard)
    if options.shard and not entries:
        world.terminal.message(nothing_in(options.shard))
    for warning in document.warnings:
        world.terminal.warn(warning)
    number = len(addresses(entries))
    if options.format == "json":
        world.terminal.result(_json(len(entries), number, (), document.warnings), "json")
        return ExitCode.DONE
    what = f"{counted(len(entries), 'tenancy')}, {counted(number, 'subscription')}"
    world.terminal.result(f"{printable(', '.join(options.files))}: valid: {what}.\n")
    return ExitCode.DONE


def schema(options: Options, world: World) -> ExitCode:
    """Show a JSON Schema."""
    world.terminal.result(schema_text(options.kind), "json")
    return ExitCode.DONE


def _json(tenancies: int, subscriptions: int, problems: Sequence[Problem], warnings: Sequence[Problem]) -> str:
    """Write counts, problems and warnings as JSON."""
    document = {
        "format": FORMAT,
        "is_valid": not problems,
        "problems": [_problem_json(problem) for problem in problems],
        "subscriptions": subscriptions,
        "tenancies": tenancies,
        "warnings": [_problem_json(warning) for warning in warnings],
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _problem_json(problem: Problem) -> dict[str, object]:
    where = dict(zip(Location._fields, problem.where or (None,) * 3, strict=True))
    return {**where, "what": problem.what, "fix": problem.fix}


def init(options: Options, world: World) -> ExitCode:
    """Write a first hooks file. Raises FileError if it exists already."""
    paths = DEFAULT_FILES if options.path in DEFAULT_FILES else (options.path,)
    for path, other in (*((path, "PATH") for path in paths), (options.write_env, "--write-env FILE")):
        if path and is_there(path):  # before any call; checked again while writing
            raise FileError(_exists(path, other))
    if options.with_values and not options.write_env:
        raise UsageError(Problem("--with-values needs --write-env", "name the file that the values go to"))
    if options.is_from_live:
        return _init_from_live(options, world)
    if options.server or options.tenant or options.tenancies or options.names_files or options.write_env:
        what = "--server, --tenant, --file, --tenancy and --write-env need --from-live"
        raise UsageError(Problem(what, "give --from-live as well, or leave them out"))
    with open(os.path.join(os.path.dirname(__file__), "starter.yaml"), encoding="utf-8") as starter:
        _write(options.path, starter.read(), world)
    world.terminal.message(_NEXT)
    return ExitCode.DONE


def _init_from_live(options: Options, world: World) -> ExitCode:
    """Write what is live, which is nobody else's business on this machine; and what it needs, if asked to."""
    from hooksync.commands.export import env_text, export

    def write(text: str, needs: Sequence[Need]) -> None:
        if options.write_env:
            values = env_text(needs, options.path, with_values=options.with_values)
            _write(options.write_env, values, world, 0o600, holds_secrets=options.with_values)
        _write(options.path, text, world, 0o600)

    return export(options, world, write)


def _exists(path: str, other: str = "PATH") -> Problem:
    return Problem(f"{path} exists already, and was left as it is", f"name another file: hooksync init {other}")


def _write(path: str, text: str, world: World, mode: int = 0o644, *, holds_secrets: bool = False) -> None:
    try:
        world.output.create_file(path, text, mode, holds_secrets=holds_secrets)
    except FileExistsError as error:
        raise FileError(_exists(path)) from error
    world.terminal.result(f"wrote {printable(path)}\n")
