"""The command `validate`: checks hooks files without network and environment.

Prints nothing itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hooksync.api.options import FileOptions
from hooksync.commands.options import Format
from hooksync.config.files import read_sources
from hooksync.core.errors import ExitCode, FileError, counted
from hooksync.core.redaction import printable
from hooksync.reconcile.context import World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hooksync.config.declarations import Document
    from hooksync.core.errors import Problem


class ValidateOptions(FileOptions, frozen=True):
    """The flags of `validate`."""

    format: Format = "text"


def validate(options: ValidateOptions, world: World) -> ExitCode:
    """Check the files; needs neither network nor environment.

    Raises FileError with every problem.
    """
    from hooksync.config.declarations import addresses, select

    try:
        document = _checked(options, world)
    except FileError as error:
        if options.format == "json":
            _show_json(0, 0, error.problems, (), world)
        raise
    entries = select(document, options.tenancies, options.targets)
    for warning in document.warnings:
        world.terminal.warn(warning)
    number = len(addresses(entries))
    if options.format == "json":
        _show_json(len(entries), number, (), document.warnings, world)
        return ExitCode.DONE
    what = f"{counted(len(entries), 'tenancy')}, {counted(number, 'subscription')}"
    world.terminal.result(f"{printable(', '.join(options.files))}: valid: {what}.\n")
    return ExitCode.DONE


def _show_json(
    tenancies: int,
    subscriptions: int,
    errors: Sequence[Problem],
    warnings: Sequence[Problem],
    world: World,
) -> None:
    from hooksync.output.validation_json import validation_json  # only here: text needs none

    text = validation_json(tenancies, subscriptions, errors, warnings)
    world.terminal.result(text, "json")


def _checked(options: ValidateOptions, world: World) -> Document:
    """Read the files, and judge them by the policy, if there is one."""
    from hooksync.config.document import read_document
    from hooksync.config.references import command_problems

    sources = read_sources(options.files, world.stdin)
    if options.policy:
        from hooksync.config.policy import read_policy  # only here: many runs have none

        policy = read_policy(options.policy)
        return read_document(sources, [policy.breaches, policy.limit_breaches])
    if options.allows_commands:
        return read_document(sources)
    return read_document(sources, [command_problems])
