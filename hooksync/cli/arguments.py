"""Parse the command line. Nothing here prints, or ends the process.

commands.py lists the commands, flags.py their flags.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

from hooksync.cli.commands import ABOUT, COMMANDS, EXIT_CODES, Command
from hooksync.cli.flags import add_help
from hooksync.config.files import DEFAULT_FILE
from hooksync.core.errors import Problem, UsageError, suggestion

_WIDTH = 79  # columns of a help text


class Help(Exception):
    """The user asked for help. The message is the help text."""


class NoCommand(Exception):
    """The command line names no command. The message is the help text."""


class _Layout(argparse.RawDescriptionHelpFormatter):
    """Names the value of a flag once: `-f, --file PATH`."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        return f"{', '.join(action.option_strings)} {action.metavar}"


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line as our error, with our exit code. Takes no abbreviated flags."""

    def __init__(self, **settings: Any) -> None:
        layout = partial(_Layout, max_help_position=26, width=_WIDTH)
        super().__init__(**{"formatter_class": layout, "allow_abbrev": False, **settings})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse unknown arguments. Do not quote a value (`--flag=value`): it may be a secret."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            name = unknown[0].partition("=")[0]
            if name.startswith("-"):
                raise UsageError(Problem(f"unknown flag {name}", self._fix_flag(name)))
            self.error(f"unknown argument {name}")
        return found, unknown

    def _fix_flag(self, name: str) -> str:
        """Return how to correct an unknown flag."""
        if name.replace("-", "") == "dryrun":
            if self.prog == "hooksync plan":
                return "leave it out: plan changes nothing"
            return "run `hooksync plan`, which shows what apply would do and changes nothing"
        return suggestion(name, list(self._option_string_actions), f"see `{self.prog} --help`")

    def _match_argument(self, action: argparse.Action, arg_strings_pattern: str) -> int:
        """Report a flag without its value as our error."""
        try:
            return super()._match_argument(action, arg_strings_pattern)
        except argparse.ArgumentError:
            if not action.option_strings:
                raise
            flag = action.option_strings[-1]
            what = f"{flag} needs a value: {flag} {action.metavar}"
            raise UsageError(Problem(what, f"see `{self.prog} --help`")) from None

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        name = action.option_strings[-1] if action.option_strings else action.metavar
        what = f'unknown {str(name).lower()} "{value}"'
        choices = list(action.choices)
        advice = f"choose from {', '.join(choices)}; see `{self.prog} --help`"
        raise UsageError(Problem(what, suggestion(str(value), choices, advice)))

    def error(self, message: str) -> NoReturn:
        raise UsageError(Problem(message, f"see `{self.prog} --help`"))

    def print_help(self, file: object = None) -> None:
        raise Help(self.format_help())


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
    arguments.entry.check(arguments)
    given = vars(arguments)
    arguments.names_files = bool(given.get("files"))
    if not arguments.names_files:
        arguments.files = [environ.get("HOOKSYNC_FILE") or DEFAULT_FILE]
    if given.get("uses_state", True):
        arguments.state = given.get("state") or environ.get("HOOKSYNC_STATE") or None
    arguments.policy = given.get("policy") or environ.get("HOOKSYNC_POLICY") or None
    return arguments


def make_parser(only: str | None = None) -> argparse.ArgumentParser:
    """Build the parser of the commands.

    `only`: the command to build it for, because all take time. None: all.
    """
    parser = _make_root()
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    actions: dict[str, argparse._SubParsersAction[Any]] = {}  # by the command that has them
    if only not in [command.name.split()[0] for command in COMMANDS]:
        only = None
    for command in COMMANDS:
        group, _, last = command.name.rpartition(" ")
        if only not in (None, group or command.name):
            continue
        made = _add_command(actions[group] if group else commands, last, command)
        command.add_flags(made)
        add_help(made)
        made.usage = made.usage or _usage(made, command)
        if not command.run:
            actions[command.name] = made.add_subparsers(
                dest="action",
                metavar="ACTION",
                parser_class=_Parser,
                prog=made.prog,
            )
    return parser


def _make_root() -> _Parser:
    """Build the parser without its commands."""
    parser = _Parser(prog="hooksync", description=ABOUT, epilog=EXIT_CODES)
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    # defaults, for commands that lack these flags
    parser.set_defaults(entry=None, color="never", verbose=False)
    return parser


def _add_command(
    siblings: argparse._SubParsersAction[Any], name: str, command: Command
) -> argparse.ArgumentParser:
    """Add a command without its flags."""
    epilog = "example: " + command.example.replace("\n", "\n         ")
    if command.epilog:
        epilog = f"{command.epilog}\n\n{epilog}"
    made: argparse.ArgumentParser = siblings.add_parser(
        name,
        add_help=False,  # `make_parser` adds --help to the last group
        help=command.help,
        description=command.description or f"{command.help[0].upper()}{command.help[1:]}.",
        epilog=epilog,
    )
    made.set_defaults(entry=command)
    return made


_POSITIONAL = {"?": " [{}]", "*": " [{}...]", "+": " {}..."}  # by nargs


def _usage(parser: argparse.ArgumentParser, command: Command) -> str:
    """Return the usage line. `[flags]` stands for all flags, which the help lists below."""
    usage = f"{parser.prog} [flags]"
    for action in parser._get_positional_actions():
        usage += _POSITIONAL.get(str(action.nargs), " {}").format(action.metavar)
    return usage if command.run else f"{usage} ACTION"
