"""Read the command line, and the variables that set flags."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from hooksync.cli.commands import GROUPS
from hooksync.cli.parser import Help, NoCommand, build_parser
from hooksync.config.files import DEFAULT_FILE


def read_arguments(argv: Sequence[str], environ: Mapping[str, str]) -> argparse.Namespace:
    """Parse a command line. In the result, `entry` is the command, and the rest are its flags.

    Raises UsageError if the command line is wrong, NoCommand if it names no command, and Help if
    it asks for help.
    """
    if argv[:1] == ["help"]:
        argv = [*argv[1:], "--help"]
    parser = make_parser(argv[0] if argv else None)
    arguments = parser.parse_args(argv)
    if arguments.entry is None or not arguments.entry.run:
        try:
            parser.parse_args([*argv, "--help"])
        except Help as text:
            raise NoCommand(str(text)) from None
    if arguments.entry.check:
        arguments.entry.check(arguments)
    _fill_in(arguments, environ)
    return arguments


def _fill_in(arguments: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Fill in the flags that variables set."""
    given = vars(arguments)
    arguments.names_files = bool(given.get("files"))
    if not arguments.names_files:
        arguments.files = [environ.get("HOOKSYNC_FILE") or DEFAULT_FILE]
    if "env_files" in given and not arguments.env_files and environ.get("HOOKSYNC_ENV_FILE"):
        arguments.env_files = [environ["HOOKSYNC_ENV_FILE"]]
    if given.get("uses_state", True):
        arguments.state = given.get("state") or environ.get("HOOKSYNC_STATE") or None
    arguments.policy = given.get("policy") or environ.get("HOOKSYNC_POLICY") or None


def make_parser(only: str | None = None) -> argparse.ArgumentParser:
    """Build the parser of all commands, or of `only` one, because all take time."""
    return build_parser(GROUPS, only)
