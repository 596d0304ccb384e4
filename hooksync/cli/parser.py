"""From the words of a command line to the options of its command.

argparse sorts the words; core/flags.py has what each flag is. Nothing here prints, or ends the
process.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from hooksync.core.errors import Problem, UsageError, suggestion
from hooksync.core.flags import REQUIRED, CommandOptions, Flag
from hooksync.core.model import Variables

Given = argparse.Namespace  # what a command line gives for each flag, by its field
Options = TypeVar("Options", bound=CommandOptions)

_HELP = ("-h", "--help")
_NO_VALUE = object()  # in the place of a value that is missing


class CommandLine:
    """The words of a command line after the command.

    `actions`: words that could follow the command. `given`: gets what the words give for each flag,
    even if some of them are wrong.
    """

    def __init__(
        self, words: Sequence[str], command: str, actions: Sequence[str], given: Given
    ) -> None:
        self._words = words
        self._actions = actions
        self._given = given
        self._see_help = f"see `{command} --help`"
        self._problems: list[Problem] = []

    def read(self, kind: type[Options], environ: Variables) -> Options | None:
        """Read the options of a command; None: the words ask for help. A flag overrides a variable.

        Raises UsageError with every problem.
        """
        flags = kind.flags()
        self._sort(flags)
        if self._given.help:
            return None
        values: dict[str, Any] = {}
        sources = set()
        for field, flag in flags.items():
            source = flag.name
            given = getattr(self._given, field)
            if given is None or (given == [] and not flag.names):
                source = variable_of(flag, kind)
                given = _lines(environ.get(source, ""), flag) or None
            if given is not None:
                sources.add(source)
                values[field] = self._value(flag, source, given)
            elif flag.default is REQUIRED:
                self._complain(f"{flag.name} is missing")
        if self._problems:
            raise UsageError(*self._problems)
        return kind(given=frozenset(sources), **values)

    def _complain(self, what: str, fix: str = "") -> None:
        self._problems.append(Problem(what, fix or self._see_help))

    def _sort(self, flags: Mapping[str, Flag]) -> None:
        """Sort the words by flag. No problem quotes a value: it may be a secret."""
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        parser.add_argument(*_HELP, dest="help", action="store_true")
        switches = [*_HELP]
        names = [*_HELP, *self._actions]
        for field, flag in flags.items():
            names += flag.names
            if not flag.names:
                parser.add_argument(field, nargs="*" if flag.takes_several else "?")
                continue
            settings: dict[str, Any] = {"action": "append", "nargs": "?", "const": _NO_VALUE}
            if not flag.value:
                switches += flag.names
                settings = {"action": "store_const", "const": not flag.default}
            elif flag.value.startswith("["):
                settings = {"action": "extend", "nargs": "*"}
            parser.add_argument(*flag.names, dest=field, **settings)
        _, unknown = parser.parse_known_args([*self._single_words(switches)], self._given)
        for word in unknown[:1]:
            name = word.partition("=")[0]
            kind = "command" if self._actions else "argument"
            what = f"unknown {'flag' if name.startswith('-') else kind} {name}"
            self._complain(what, suggestion(name, names, self._see_help))

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
                self._complain(f'unknown {source} "{text}"', suggestion(text, flag.words, advice))
            else:
                try:
                    values.append(flag.read(text))
                except ValueError as error:
                    self._complain(f"{source}: {error}")
        if flag.takes_several:
            return tuple(values)
        return values[-1] if values else None


def variable_of(flag: Flag, kind: type[CommandOptions]) -> str:
    """Return the variable that sets a flag of a command; "" if none does."""
    return flag.pipeline_variable if kind.in_pipelines and flag.pipeline_variable else flag.variable


def _lines(text: str, flag: Flag) -> list[str]:
    """Return the values in a variable: one on each line, if the flag may be repeated."""
    lines = text.splitlines() if flag.takes_several else [text]
    return [line.strip() for line in lines if line.strip()]
