"""How a flag is declared: as a field of the options of its command, and nowhere else. Pure.

    shows_kept: bool = flag("--all", "also show what is kept", OUTPUT, default=False)

Parser, help, completion, the options and the commands that messages print are made from these
fields. A tuple takes any number of values, a `Literal` one of its words.
"""

from __future__ import annotations

import re
import shlex
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import cache
from typing import Any, ClassVar, Literal, Self, dataclass_transform, get_args, get_type_hints

from hooksync.core.record import Record, replace

# commands that messages print
Verb = Literal[
    "plan", "apply", "remove", "list", "state forget", "state pull", "state push", "state unlock"
]
Verbs = tuple[Verb, ...]

EVERY: Verbs = get_args(Verb)
LOGGING_IN: Verbs = ("plan", "apply", "remove", "list")
PLANNING: Verbs = ("plan", "apply")

# titles in help texts
READ = "what to read"
SELECT = "what to select"
OUTPUT = "output"
SAFETY = "safety"
MORE = "more"

REQUIRED = object()  # the default of a flag that a command needs
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Flag(Record):
    """A flag or an argument of a command."""

    form: str  # as help shows it: "-f, --file PATH"; a switch: "--all"; an argument: "PLAN"
    help: str
    group: str = MORE  # its title in help texts
    read: Callable[[str], object] = str  # reads one value; raises ArgumentTypeError
    default: object = REQUIRED
    variable: str = ""  # of the environment; sets it, unless the flag is given
    pipeline_variable: str = ""  # the same, but only `plan` and `apply` take it
    repeated_by: Verbs = ()  # the printed commands that repeat it
    words: tuple[str, ...] = ()  # that it takes; (): any text

    @property
    def names(self) -> list[str]:
        """The names of a flag, such as `-f` and `--file`; [] for an argument."""
        return [word for word in self.form.replace(",", "").split() if word.startswith("-")]

    @property
    def name(self) -> str:
        """The name in messages."""
        return self.names[-1] if self.names else self.form.partition(" ")[0]

    @property
    def value(self) -> str:
        """What help calls the value, such as `PATH`; "" for a switch."""
        return self.form.rpartition(self.name)[2].strip() if self.names else self.form

    @property
    def takes_several(self) -> bool:
        """Whether it takes more than one value."""
        return isinstance(self.default, tuple) or "..." in self.form


flag: Callable[..., Any] = Flag  # a field with this value has the type of its annotation


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(flag,))
class CommandOptions:
    """The options of a command. Each field whose value is a flag is one."""

    in_pipelines: ClassVar[bool] = False  # whether the command takes the variables for pipelines
    # the flags of the command line and the variables that set options, by their names
    given: frozenset[str] = frozenset()

    def __init__(self, **values: Any) -> None:
        defaults = {field: flag.default for field, flag in self.flags().items()}
        vars(self).update(defaults | values)

    @classmethod
    @cache
    def flags(cls) -> Mapping[str, Flag]:
        """Return the flags by their fields. Those of base types come first."""
        found = {}
        for field, hint in get_type_hints(cls).items():
            declared = getattr(cls, field, None)
            if isinstance(declared, Flag):
                item = get_args(hint)[0] if declared.takes_several else hint
                words = tuple(word for word in get_args(item) if isinstance(word, str))
                variable = declared.pipeline_variable if cls.in_pipelines else ""
                variable = variable or declared.variable
                found[field] = replace(declared, words=words, variable=variable)
        return found

    def changed(self, **values: Any) -> Self:
        """Return these options with different values."""
        return type(self)(**vars(self) | values)

    @property
    def selecting_variables(self) -> tuple[str, ...]:
        """The variables that select or request something, instead of flags."""
        selecting = [flag.variable for flag in self.flags().values() if flag.group == SELECT]
        return tuple(variable for variable in selecting if variable in self.given)

    def command(self, verb: Verb, *arguments: str, selects: bool = True) -> str:
        """Write a command for a message, so that it works as printed: with the flags of the run.

        `selects`: whether it repeats the flags that select.
        """
        words = ["hooksync", *verb.split(), *arguments]
        for field, flag in self.flags().items():
            value = getattr(self, field)
            is_repeated = verb in flag.repeated_by and (selects or flag.group != SELECT)
            if not is_repeated or value == flag.default:
                continue
            if not flag.value:
                words.append(flag.name)
                continue
            requests = flag.name in ("--adopt", "--replace")
            for text in value if flag.takes_several else [value]:
                if not (requests and text in arguments):  # nothing is replaced and adopted
                    words += [flag.names[0], str(text)]
        return shlex.join(words)

    def applying(self, name: str, addresses: Iterable[str]) -> str:
        """Write the command that replaces or adopts subscriptions, all of them in one run."""
        words = []
        for address in addresses:
            words += [name, address]
        return self.command("apply", *words)


NO_FLAGS = CommandOptions()


def duration(text: str) -> timedelta:
    """Read a number with its unit: 30m, 24h, 7d."""
    found = re.fullmatch("([1-9][0-9]{0,5})([smhd])", text)
    if found is None:
        raise ArgumentTypeError(f'"{text}" is not a duration: a number with s, m, h or d')
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def number_between(kind: type[float], least: float, most: float) -> Callable[[str], float]:
    """Return a function that reads a number from `least` to `most`."""

    def read(text: str) -> float:
        with suppress(ValueError):
            number = kind(text)
            if least <= number <= most:
                return number
        raise ArgumentTypeError(f'"{text}" is not a number from {least} to {most}')

    return read
