"""Read the command line, and the variables that set flags."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from hooksync.cli.commands import GROUPS
from hooksync.cli.parser import NoCommand, build_parser
from hooksync.config.files import DEFAULT_FILE


def read_arguments(argv: Sequence[str], environ: Mapping[str, str]) -> argparse.Namespace:
    """Parse a command line. In the result, `entry` is the command, and the rest are its flags.

    Raises UsageError if the command line is wrong, NoCommand if it names no command, and Help if
    it asks for help.
    """
    arguments = make_parser(argv[0] if argv else None).parse_args(argv)
    command = arguments.entry
    if command is None or command.load is None:
        raise NoCommand(arguments.parser.format_help())
    if command.check:
        command.check(arguments)
    given = vars(arguments)
    arguments.names_files = bool(given.get("files"))
    arguments.files = given.get("files") or [environ.get("HOOKSYNC_FILE") or DEFAULT_FILE]
    arguments.state = given.get("state") or environ.get("HOOKSYNC_STATE") or None
    arguments.policy = given.get("policy") or environ.get("HOOKSYNC_POLICY")
    if "env_files" in given and not arguments.env_files and environ.get("HOOKSYNC_ENV_FILE"):
        arguments.env_files = [environ["HOOKSYNC_ENV_FILE"]]
    return arguments


def make_parser(only: str | None = None) -> argparse.ArgumentParser:
    """Build the parser of all commands, or of `only` one, because all take time."""
    return build_parser(GROUPS, only)
