"""Word the commands that messages print, so that they work as printed. Pure.

A printed command repeats the flags of the run that their declarations name for it, and quotes for
the shell. No other module writes such a command by hand if the run has flags to repeat.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable

from hooksync.core.flags import SELECT, CommandOptions, Flag, Verb
from hooksync.core.record import Record


class RunFlags(Record):
    """The flags of a run that printed commands repeat."""

    given: tuple[tuple[Flag, tuple[str, ...]], ...] = ()  # each with its words

    @property
    def selecting(self) -> list[str]:
        """The names of the flags that select or request something."""
        names = [flag.name for flag, _ in self.given if flag.group == SELECT]
        return list(dict.fromkeys(names))

    def command(self, verb: Verb, *arguments: str, selects: bool = True) -> str:
        """Write a command. `selects`: whether it repeats the flags that select."""
        words = ["hooksync", *verb.split(), *arguments]
        for flag, repeated in self.given:
            if verb in flag.repeated_by and (selects or flag.group != SELECT):
                words += repeated
        return shlex.join(words)

    def applying(self, replace: Collection[str], adopt: Iterable[str] = ()) -> str:
        """Write the command that replaces and adopts subscriptions, all of them in one run.

        It does not repeat --adopt for an address to replace.
        """
        overruled = [("--adopt", address) for address in replace]
        rest = RunFlags(tuple(given for given in self.given if given[1] not in overruled))
        words = []
        for address in adopt:
            words += ["--adopt", address]
        for address in replace:
            words += ["--replace", address]
        return rest.command("apply", *words)


NO_FLAGS = RunFlags()


def flags_to_repeat(options: CommandOptions) -> RunFlags:
    """Return the flags of a run that printed commands repeat."""
    given: list[tuple[Flag, tuple[str, ...]]] = []
    for field, flag in options.flags().items():
        value = getattr(options, field)
        if not flag.repeated_by or value == flag.default:
            continue
        if not flag.value:
            given.append((flag, (flag.name,)))
            continue
        for text in value if flag.takes_several else [value]:
            given.append((flag, (flag.names[0], str(text))))
    return RunFlags(tuple(given))
