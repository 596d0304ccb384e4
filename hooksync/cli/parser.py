"""The parser of command lines: argparse, with our errors, exit codes and layout of help texts.

Nothing here prints, or ends the process. commands.py lists the commands, flags.py their flags.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from hooksync.cli.flags import add_help
from hooksync.core.errors import Problem, UsageError, suggestion

if TYPE_CHECKING:
    from hooksync.core.context import Context
    from hooksync.core.errors import ExitCode

_WIDTH = 79  # columns of a help text
_POSITIONAL = {"?": " [{}]", "*": " [{}...]", "+": " {}..."}  # by nargs

ABOUT = "Make the webhook subscriptions of Preservica tenancies match a YAML file."

EXIT_CODES = """\
exit codes: 0 done, or nothing to do; 1 error; 2 live differs from the file
(plan --detailed-exitcode); 3 refused, nothing changed (plan: apply would
refuse); 4 applied in part; 64 wrong usage; 130 interrupted; 143 terminated

`hooksync COMMAND --help` shows the flags of a command.

example: hooksync plan -f hooks.yaml"""


Given = dict[str, Any]  # the values of flags and arguments, by the fields of the options


class Command(NamedTuple):
    """One command, or one action of a command, such as `show` of `state`."""

    name: str
    help: str  # a phrase; the description by default
    example: str
    add_flags: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Given, Context], ExitCode] | None  # None: only its actions can be run
    description: str = ""
    # raises UsageError for flags that conflict
    check: Callable[[argparse.Namespace], None] | None = None
    epilog: str = ""  # below the flags
    actions: tuple[Command, ...] = ()


Groups = Mapping[str, Sequence[Command]]  # by title


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


class _Root(_Parser):
    """The parser of `hooksync` itself."""

    help_text = ""

    def format_help(self) -> str:
        return self.help_text


def _list_commands(groups: Groups) -> str:
    """Return the help text of hooksync: its commands in groups."""
    text = f"usage: hooksync COMMAND [flags]\n\n{ABOUT}\n"
    for title, commands in groups.items():
        text += f"\n{title}:\n"
        for command in commands:
            text += f"  {command.name:<12}{command.help}\n"
    return f"{text}\n{EXIT_CODES}\n"


def build_parser(groups: Groups, only: str | None = None) -> argparse.ArgumentParser:
    """Build the parser of the commands.

    `only`: the command to build it for, because all take time. None: all.
    """
    parser = _Root(prog="hooksync")
    parser.help_text = _list_commands(groups)
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    # defaults, for commands that lack these flags
    parser.set_defaults(entry=None, verbose=False)
    commands = [command for group in groups.values() for command in group]
    chosen = [command for command in commands if command.name == only]
    _add_commands(parser, "command", chosen or commands)
    return parser


def _add_commands(parser: argparse.ArgumentParser, dest: str, commands: Iterable[Command]) -> None:
    """Add commands, or the actions of a command, with their flags."""
    siblings = parser.add_subparsers(
        dest=dest, metavar=dest.upper(), parser_class=_Parser, prog=parser.prog
    )
    for command in commands:
        epilog = "example: " + command.example.replace("\n", "\n         ")
        if command.epilog:
            epilog = f"{command.epilog}\n\n{epilog}"
        made = siblings.add_parser(
            command.name,
            add_help=False,  # --help is added to the last group
            help=command.help,
            description=command.description or f"{command.help[0].upper()}{command.help[1:]}.",
            epilog=epilog,
        )
        made.set_defaults(entry=command)
        command.add_flags(made)
        add_help(made)
        made.usage = f"{made.prog} [flags]"
        for action in made._get_positional_actions():
            made.usage += _POSITIONAL.get(str(action.nargs), " {}").format(action.metavar)
        if command.actions:
            _add_commands(made, "action", command.actions)
            made.usage += " ACTION"
