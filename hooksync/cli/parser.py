"""From the words of a command line to the options of its command.

argparse sorts the words; core/flags.py has what each flag is. Nothing here prints, or ends the
process.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from hooksync.core.errors import Problem, UsageError, suggestion
from hooksync.core.flags import REQUIRED, CommandOptions, Flag
from hooksync.core.model import Variables

Given = argparse.Namespace  # what a command line gives for each flag, by its `key`
Options = TypeVar("Options", bound=CommandOptions)

HELP = ("-h", "--help")
_NO_VALUE = object()  # in the place of a value that is missing
_NO_DRY_RUN = "`hooksync plan` shows what apply would do, and changes nothing"


class HelpWanted(Exception):
    """The command line asks for help."""


class CommandLine:
    """The words of a command line after the command.

    `given`: gets what they give for each flag, even if some of them are wrong.
    """

    def __init__(self, words: Sequence[str], command: str, given: Given) -> None:
        self._words = words
        self._given = given
        self._see_help = f"see `hooksync {command} --help`"
        self._problems: list[Problem] = []

    def read(self, kind: type[Options], environ: Variables) -> Options:
        """Read the options of a command. A flag overrides its variable.

        Raises HelpWanted, or UsageError with every problem.
        """
        flags = kind.flags()
        self.sort(flags.values())
        if self._given.help:
            raise HelpWanted
        values: dict[str, Any] = {}
        sources = []
        for field, flag in flags.items():
            source = flag.name
            given = getattr(self._given, flag.key)
            if given is None or (given == [] and not flag.names):
                source = variable_of(flag, kind)
                given = _lines(environ.get(source, ""), flag) or None
            if given is not None:
                sources.append(source)
                values[field] = self._value(flag, source, given)
            elif flag.default is REQUIRED:
                self._complain(f"{flag.name} is missing")
        if self._problems:
            raise UsageError(*self._problems)
        return kind(given=frozenset(sources), **values)

    def _complain(self, what: str, fix: str = "") -> None:
        self._problems.append(Problem(what, fix or self._see_help))

    def sort(self, flags: Iterable[Flag]) -> None:
        """Sort the words by flag. No problem quotes a value: it may be a secret."""
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        parser.add_argument(*HELP, action="store_true")
        switches = [*HELP]
        names = [*HELP]
        for flag in flags:
            names += flag.names
            if not flag.value:
                switches += flag.names
            parser.add_argument(*(flag.names or [flag.key]), **_as_argparse(flag))
        _, unknown = parser.parse_known_args([*self._single_words(switches)], self._given)
        for word in unknown[:1]:
            name = word.partition("=")[0]
            fix = suggestion(name, names, self._see_help)
            if name in ("--dryrun", "--dry-run"):
                fix = _NO_DRY_RUN
            self._complain(f"unknown {'flag' if name.startswith('-') else 'argument'} {name}", fix)

    def _single_words(self, switches: Sequence[str]) -> Iterator[str]:
        """Yield each word, and `-vy` as two. argparse would stop at a switch that has a value."""
        for word in self._words:
            name, equals, _ = word.partition("=")
            if equals and name in switches:
                self._complain(f"{name} takes no value")
                word = name
            while word[:2] in switches and len(word) > 2:
                yield word[:2]
                word = f"-{word[2:]}"
            yield word

    def _value(self, flag: Flag, source: str, given: Any) -> object:
        """Read what was given for a flag. `source`: the name of the flag, or of its variable."""
        if not flag.value:
            return given
        values = []
        for text in [given] if isinstance(given, str) else given:
            if text is _NO_VALUE:
                self._complain(f"{source} needs a value: {source} {flag.value}")
            elif flag.words and text not in flag.words:
                advice = f"choose from {', '.join(flag.words)}; {self._see_help}"
                name = source if flag.names else source.lower()
                self._complain(f'unknown {name} "{text}"', suggestion(text, flag.words, advice))
            else:
                try:
                    values.append(flag.read(text))
                except ValueError as error:
                    self._complain(f"{source}: {error}")
        if flag.takes_several:
            return tuple(values)
        return values[-1] if values else None


def _as_argparse(flag: Flag) -> Mapping[str, Any]:
    """Return what argparse needs, so that it keeps texts in lists, and finds no fault with them."""
    if not flag.value:
        return {"action": "store_const", "const": not flag.default}
    if not flag.names:
        return {"nargs": "*" if flag.takes_several else "?"}
    if flag.value.startswith("["):
        return {"action": "extend", "nargs": "*"}
    return {"action": "append", "nargs": "?", "const": _NO_VALUE}


def variable_of(flag: Flag, kind: type[CommandOptions]) -> str:
    """Return the variable that sets a flag of a command; "" if none does."""
    return flag.variable if kind.in_pipelines or not flag.is_for_pipelines else ""


def _lines(text: str, flag: Flag) -> list[str]:
    """Return the values in a variable: one on each line, if the flag may be repeated."""
    lines = text.splitlines() if flag.takes_several else [text]
    return [line.strip() for line in lines if line.strip()]
