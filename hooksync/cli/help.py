"""The help texts, made from the table of commands and the declarations of their flags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import wrap
from typing import NamedTuple

from hooksync.cli.parser import variable_of
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

_WIDTH = 79  # columns of a help text
_MOST = 26  # columns before an explanation
_LAST = (READ, SELECT, OUTPUT, SAFETY, MORE)  # titles, after those of the command alone
_TOP = """\
usage: hooksync COMMAND [flags]

Make the webhook subscriptions of Preservica tenancies match a YAML file.
{commands}
exit codes: 0 done, or nothing to do; 1 error; 2 live differs from the file
(plan --detailed-exitcode); 3 refused, nothing changed (plan: apply would
refuse); 4 applied in part; 64 wrong usage; 130 interrupted; 143 terminated

`hooksync COMMAND --help` shows the flags of a command.

example: hooksync plan -f hooks.yaml
"""


class Command(NamedTuple):
    """One command, or one action of a command, such as `show` of `state`."""

    name: str
    help: str  # a phrase; the description by default
    example: str  # below the flags
    runs: str = ""  # the function that runs it, MODULE:NAME; "": it has only actions
    description: str = ""
    actions: tuple[Command, ...] = ()


Groups = Mapping[str, Sequence[Command]]  # by title
Rows = list[tuple[str, str]]  # a flag or an action, and what it is


def help_of_all(groups: Groups) -> str:
    """List the commands in their groups."""
    text = ""
    for title, commands in groups.items():
        text += f"\n{title}:\n"
        for command in commands:
            text += f"  {command.name:<12}{command.help}\n"
    return _TOP.format(commands=text)


def help_of(name: str, command: Command, kind: type[CommandOptions]) -> str:
    """Explain a command. `name`: with the words before it."""
    flags = sorted(kind.flags().values(), key=_position) if command.runs else []
    groups: dict[str, Rows] = {}
    if command.actions:
        groups["actions"] = [(action.name, action.help) for action in command.actions]
    for flag in flags:
        groups.setdefault(flag.group, []).append((flag.form, explanation(flag, kind)))
    description = command.description or f"{command.help[0].upper()}{command.help[1:]}."
    lines = [f"usage: {name}{_usage(command, flags)}", "", description, ""]
    longest = max((len(form) for rows in groups.values() for form, _ in rows), default=0)
    for title, rows in groups.items():
        lines += [f"{title}:", *_table(rows, min(_MOST, longest + 4)), ""]
    return "\n".join([*lines, command.example, ""])


def _usage(command: Command, flags: Iterable[Flag]) -> str:
    """Return what follows a command."""
    words = " ACTION" if command.actions else ""
    if flags:
        words += " [flags]"
    for flag in flags:
        if not flag.names:
            words += f" {flag.form}" if flag.default is REQUIRED else f" [{flag.form}]"
    return words


def _position(flag: Flag) -> tuple[int, bool]:
    """Sort groups, and arguments before flags."""
    return _LAST.index(flag.group) if flag.group in _LAST else -1, bool(flag.names)


def explanation(flag: Flag, kind: type[CommandOptions]) -> str:
    """Explain a flag, and name the variable that sets it."""
    text = flag.help
    if not text:
        words = [word for word in flag.words if word != flag.default]
        text = ", ".join([f"{flag.default} (default)", *words])
    variable = variable_of(flag, kind)
    return f"{text} ({variable})" if variable else text


def _table(rows: Rows, width: int) -> Iterator[str]:
    """Write two columns. What is too wide for the first one has a line of its own."""
    for form, text in rows:
        start = f"  {form:<{width - 2}}"
        for line in wrap(text, _WIDTH - width):
            if len(start) > width:
                yield start
                start = " " * width
            yield f"{start}{line}"
            start = " " * width
