"""From a command line to the options of its command, or to a help text.

argparse does this. core/flags.py has what each flag is. Nothing here prints, or ends the process.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from pkgutil import resolve_name
from typing import Any, NoReturn

from hooksync.api.options import FORMAT, REPORT
from hooksync.cli.commands import ALL, Command
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, UsageError
from hooksync.core.flags import (
    MORE,
    OUTPUT,
    READ,
    REQUIRED,
    SAFETY,
    SELECT,
    CommandOptions,
    Flag,
)
from hooksync.core.model import Variables

CommandFunction = Callable[[Any, Context], ExitCode]  # runs a command with its options
Given = argparse.Namespace  # what a command line gives for each flag, by its field

_LAST = (READ, SELECT, OUTPUT, SAFETY, MORE)  # titles, after those of the command alone


class AnyOptions(CommandOptions):
    """What decides how an error is written, if no command is known."""

    format: str = FORMAT
    report: str | None = REPORT


class HelpText(Exception):
    """The command line asks for help, or names no command. The message is the help text."""

    def __init__(self, text: str, code: ExitCode) -> None:
        super().__init__(text)
        self.code = code


class _Layout(argparse.RawDescriptionHelpFormatter):
    """Writes `-f, --file PATH`. Before Python 3.13, argparse wrote `-f PATH, --file PATH`."""

    def add_argument(self, action: argparse.Action) -> None:
        """Add a flag or an argument to the help text."""
        if action.option_strings and action.nargs != 0:
            action = copy(action)
            action.option_strings = [f"{', '.join(action.option_strings)} {action.metavar}"]
            action.nargs = 0
        super().add_argument(action)


class Parser(argparse.ArgumentParser):
    """The parser of a command. It raises UsageError for its errors, and HelpText for `--help`."""

    source = ""  # begins its errors

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{self.source}{message}", f"see `{self.prog} --help`")

    def print_help(self, file: object = None) -> NoReturn:
        """Raise HelpText."""
        raise HelpText(self.format_help(), ExitCode.DONE)


def read_arguments(
    words: Sequence[str], environ: Variables, given: Given | None = None
) -> tuple[CommandFunction, CommandOptions]:
    """Read a command line. Returns the function that runs its command, and the options.

    Raises UsageError if the command line is wrong, or HelpText. `given`: gets what is given for
    each flag, even if this raises.
    """
    command = ALL
    name = "hooksync"
    rest = [*words]
    while rest and rest[0] in command.actions:
        command = command.actions[rest.pop(0)]
        name += f" {command.name}"
    function, kind = load(command)
    flags = kind.flags()
    given = given or Given()
    # first, because these decide how an error in any other flag is written
    output = Parser(name, add_help=False, allow_abbrev=False)
    for field in flags.keys() & {"format", "report"}:
        add_flag(output.add_argument, field, flags[field])
    _, rest = output.parse_known_args(rest, given)
    parser = _parser_of(command, name, kind)
    _, unknown = parser.parse_known_args(rest, given)
    if unknown:
        parser.error(f"unknown argument {unknown[0].partition('=')[0]}")  # a secret may follow
    if function is None:
        raise HelpText(parser.format_help(), ExitCode.USAGE)
    return function, _options(kind, given, environ, name)


def _options(kind: type[CommandOptions], given: Given, environ: Variables, name: str) -> Any:
    """Make the options of a command. A flag overrides its variable. Raises UsageError."""
    values: dict[str, Any] = {}
    sources = set()
    for field, flag in kind.flags().items():
        source = flag.name
        text = environ.get(flag.variable, "").strip()
        if text and getattr(given, field) is None:
            source = flag.variable
            reader = Parser(name, add_help=False)
            reader.source = f"{source}: "
            add_flag(reader.add_argument, field, flag)
            lines = text.splitlines() if flag.takes_several else [text]
            reader.parse_args(
                [f"{flag.name}={line.strip()}" for line in lines if line.strip()], given
            )
        value = getattr(given, field)
        if value is not None:
            sources.add(source)
            values[field] = tuple(value) if flag.takes_several else value
    return kind(given=frozenset(sources), **values)


def load(command: Command) -> tuple[CommandFunction | None, type[CommandOptions]]:
    """Import the function that runs a command, and the type of its options."""
    if not command.function:
        return None, AnyOptions
    function = resolve_name(f"hooksync.{command.function}")
    return function, function.__globals__[function.__annotations__["options"]]


def _parser_of(command: Command, name: str, kind: type[CommandOptions]) -> Parser:
    """Return the parser of a command. `name`: with the words before it."""
    description = command.description or f"{command.help[0].upper()}{command.help[1:]}."
    for title, actions in command.groups.items():
        description += f"\n\n{title}:"
        for action in actions:
            description += f"\n  {action.name:<12}{action.help}"
    usage = f"{name} COMMAND [flags]" if command.groups else f"{name} [flags]"
    flags = sorted(kind.flags().items(), key=_position) if command.function else []
    for _, flag in flags:
        if not flag.names:
            usage += f" {flag.form}" if flag.default is REQUIRED else f" [{flag.form}]"
    parser = Parser(
        name,
        usage,
        description,
        command.example,
        formatter_class=partial(_Layout, max_help_position=26, width=80),
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
    groups = {}
    for field, flag in flags:
        if flag.group not in groups:
            groups[flag.group] = parser.add_argument_group(flag.group)
        add_flag(groups[flag.group].add_argument, field, flag)
    return parser


def _position(item: tuple[str, Flag]) -> tuple[int, bool]:
    """Sort groups, and arguments before flags."""
    _, flag = item
    return _LAST.index(flag.group) if flag.group in _LAST else -1, bool(flag.names)


def add_flag(add: Callable[..., argparse.Action], field: str, flag: Flag) -> argparse.Action:
    """Describe a flag to argparse. `add`: `add_argument` of a parser, or of a group in it."""
    help_text = f"{flag.help} ({flag.variable})" if flag.variable else flag.help
    settings: dict[str, Any] = {"help": help_text}
    if flag.names:
        settings |= {"dest": field, "required": flag.default is REQUIRED}
    if flag.value:
        words = flag.words or None
        settings |= {"metavar": flag.value, "type": flag.read, "choices": words}
    else:
        settings |= {"action": "store_const", "const": not flag.default}
    if "..." in flag.form:
        nargs = "+" if flag.default is REQUIRED else "*"
        settings |= {"action": "extend", "nargs": nargs}
    elif flag.takes_several:
        settings["action"] = "append"
    elif not flag.names and flag.default is not REQUIRED:
        settings["nargs"] = "?"
    return add(*(flag.names or [field]), **settings)
