"""Word the commands that messages print, so that they work as printed. Pure.

A printed command repeats the flags of the run that TAKEN has for it, and quotes for the shell. No
other module writes such a command by hand if the run has flags to repeat.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable
from typing import Literal

from hooksync.core.record import Record

Verb = Literal["plan", "apply", "remove", "list", "state forget", "state unlock"]

SELECTING = frozenset({"--tenancy", "--target", "--replace", "--adopt"})
_STATE = frozenset({"-f", "--state"})
_LOGGING_IN = frozenset(
    {"--env-file", "--credentials", "--policy", "--allow-commands", "--timeout"}
)
_READING = _STATE | _LOGGING_IN | {"--tenancy"}
_PLANNING = _READING | SELECTING

# the flags of a run that each command has, too
TAKEN: dict[Verb, frozenset[str]] = {
    "plan": _PLANNING | {"--probe"},
    "apply": _PLANNING | {"--yes"},
    "remove": _READING | {"--yes"},
    "list": _READING | {"--target"},
    "state forget": _STATE,
    "state unlock": _STATE,
}


class RunFlags(Record):
    """The flags of a run that printed commands repeat."""

    given: tuple[tuple[str, ...], ...] = ()  # each flag with its value, if it has one

    def command(self, verb: Verb, *arguments: str, selects: bool = True) -> str:
        """Write a command. `selects`: whether it repeats the flags that select."""
        words = ["hooksync", *verb.split(), *arguments]
        for flag, *values in self.given:
            if flag in TAKEN[verb] and (selects or flag not in SELECTING):
                words += [flag, *values]
        return shlex.join(words)

    def applying(self, replace: Collection[str], adopt: Iterable[str] = ()) -> str:
        """Write the command that replaces and adopts subscriptions, all of them in one run.

        It does not repeat --adopt for an address to replace.
        """
        overruled = [("--adopt", address) for address in replace]
        rest = RunFlags(tuple(flag for flag in self.given if flag not in overruled))
        words = []
        for address in adopt:
            words += ["--adopt", address]
        for address in replace:
            words += ["--replace", address]
        return rest.command("apply", *words)


NO_FLAGS = RunFlags()
