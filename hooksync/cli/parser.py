"""The parser of command lines: argparse, with our errors, exit codes and layout of help texts.

Nothing here prints, or ends the process. commands.py lists the commands, flags.py their flags.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from hooksync.cli.flags import FLAGS, SHORT
from hooksync.core.errors import Problem, UsageError, suggestion

if TYPE_CHECKING:
    from hooksync.core.context import Context
    from hooksync.core.errors import ExitCode

_WIDTH = 79  # columns of a help text
_HELP = """\
usage: hooksync COMMAND [flags]

Make the webhook subscriptions of Preservica tenancies match a YAML file.
{commands}
exit codes: 0 done, or nothing to do; 1 error; 2 live differs from the file
(plan --detailed-exitcode); 3 refused, nothing changed (plan: apply would
refuse); 4 applied in part; 64 wrong usage; 130 interrupted; 143 terminated

`hooksync COMMAND --help` shows the flags of a command.

example: hooksync plan -f hooks.yaml
"""

Given = dict[str, Any]  # the values of flags and arguments, by the fields of the options
Run = Callable[[Given, "Context"], "ExitCode"]
Load = Callable[[], Run]


class Command(NamedTuple):
    """One command, or one action of a command, such as `show` of `state`."""

    name: str
    help: str  # a phrase; the description by default
    epilog: str  # below the flags, with an example
    flags: Mapping[str, Sequence[str]]  # by the title of their group; flags.py has them
    load: Load | None  # imports what runs it; None: only its actions can be run
    description: str = ""
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
        super().__init__(formatter_class=layout, allow_abbrev=False, add_help=False, **settings)
        self.help_text = ""  # instead of the text that argparse makes
        self.set_defaults(parser=self)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse unknown arguments. Do not quote a value (`--flag=value`): it may be a secret."""
        found, unknown = super().parse_known_args(args, namespace)
        if not unknown:
            return found, unknown
        name = unknown[0].partition("=")[0]
        kind = "flag" if name.startswith("-") else "argument"
        fix = suggestion(name, list(self._option_string_actions), self._see_help)
        if name in ("--dryrun", "--dry-run"):
            fix = "`hooksync plan` shows what apply would do, and changes nothing"
        raise UsageError(Problem(f"unknown {kind} {name}", fix))

    @property
    def _see_help(self) -> str:
        return f"see `{self.prog} --help`"

    def _match_argument(self, action: argparse.Action, arg_strings_pattern: str) -> int:
        """Report a flag without its value as our error."""
        try:
            return super()._match_argument(action, arg_strings_pattern)
        except argparse.ArgumentError:
            if not action.option_strings:
                raise
            flag = action.option_strings[-1]
            self.error(f"{flag} needs a value: {flag} {action.metavar}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a value that is none of the choices, and suggest the one that was meant."""
        if action.choices is None or value in action.choices:
            return
        name = (action.option_strings or [str(action.metavar).lower()])[-1]
        choices = list(action.choices)
        advice = f"choose from {', '.join(choices)}; {self._see_help}"
        fix = suggestion(str(value), choices, advice)
        raise UsageError(Problem(f'unknown {name} "{value}"', fix))

    def error(self, message: str) -> NoReturn:
        raise UsageError(Problem(message, self._see_help))

    def format_help(self) -> str:
        return self.help_text or super().format_help()

    def print_help(self, file: object = None) -> None:
        raise Help(self.format_help())


def build_parser(groups: Groups, only: str | None = None) -> argparse.ArgumentParser:
    """Build the parser of the commands.

    `only`: the command to build it for, because all take time. None: all.
    """
    parser = _Parser(prog="hooksync")
    commands: list[Command] = []
    listed = ""
    for title, group in groups.items():
        commands += group
        listed += f"\n{title}:\n"
        for command in group:
            listed += f"  {command.name:<12}{command.help}\n"
    parser.help_text = _HELP.format(commands=listed)
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("-h", "--help", action="help", help="show this text")
    # defaults, for commands that lack these flags
    parser.set_defaults(entry=None, verbose=False, is_quiet=False)
    chosen = [command for command in commands if command.name == only]
    _add_commands(parser, "command", chosen or commands)
    return parser


def _add_commands(parser: argparse.ArgumentParser, dest: str, commands: Iterable[Command]) -> None:
    """Add commands, or the actions of a command, with their flags."""
    siblings = parser.add_subparsers(
        title=f"{dest}s", dest=dest, metavar=dest.upper(), prog=parser.prog
    )
    for command in commands:
        made = siblings.add_parser(
            command.name,
            help=command.help,
            description=command.description or f"{command.help[0].upper()}{command.help[1:]}.",
            epilog=command.epilog,
        )
        made.set_defaults(entry=command)
        if command.actions:
            _add_commands(made, "action", command.actions)
        _add_flags(made, command.flags)
        made.usage = f"{made.prog} [flags]"
        for action in made._get_positional_actions():
            made.usage += " " + made._get_formatter()._format_args(action, "")


def _add_flags(parser: argparse.ArgumentParser, flags: Mapping[str, Sequence[str]]) -> None:
    """Add flags and arguments to a parser in groups, and --help to the last group."""
    groups = {**flags, "more": (*flags.get("more", ()), "--help")}
    for title, keys in groups.items():
        group = parser.add_argument_group(title)
        for key in keys:
            name = key.rpartition(" ")[2]  # a command may precede it
            names = [SHORT[name], name] if name in SHORT else [name]
            group.add_argument(*names, **FLAGS[key])
