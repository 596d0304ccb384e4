"""Every flag and every other argument of the commands, and how their values are read. Prints nothing and ends nothing.

The words are in flags.txt: each by its option strings (what follows a colon tells one from another) and what stands for
its value. A flag's `dest` is the name of the field in commands/options.py that takes its value.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from typing import Any

from hooksync.config.declarations import read_shard
from hooksync.core.schema import SCHEMA_KINDS

SHELLS = ("bash", "zsh", "fish")

_MOST_PARALLEL = 64
_LONGEST_WAIT = 86400
_DURATION = re.compile("(?P<number>[1-9][0-9]{0,5})(?P<unit>[smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_flags(parser: argparse.ArgumentParser, *flags: str) -> None:
    """Add flags by their names in flags.txt. `--one|--other`: only one of the two may be given."""
    words = _words()
    for several in flags:
        group = parser.add_mutually_exclusive_group() if "|" in several else parser
        for flag in several.split("|"):
            group.add_argument(*flag.partition(":")[0].split(), **{**words[flag], **_FLAGS.get(flag, {})})


def packaged(name: str) -> str:
    """Read a text of this package."""
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read()


@cache
def _words() -> dict[str, dict[str, str]]:
    """Read what the help says of each flag, with what stands for its value."""
    words = {}
    for section in re.split(r"\n(?! )", packaged("flags.txt").rstrip("\n")):
        head, *lines = section.split("\n")
        flag, _, metavar = head.partition(" = ")
        words[flag] = {"help": " ".join(map(str.strip, lines)), **({"metavar": metavar} if metavar else {})}
    return words


def duration(text: str) -> timedelta:
    """Read a number with its unit. Raises ValueError."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError
    return timedelta(**{_UNITS[found["unit"]]: int(found["number"])})


def _number(kind: type[float], fits: Callable[[float], bool], name: str) -> Callable[[str], float]:
    """Make what reads a number in a range. `name`: argparse says "invalid NAME value: ..."."""

    def read(text: str) -> float:
        number = kind(text)
        if not fits(number):
            raise ValueError
        return number

    read.__name__ = name
    return read


duration.__name__ = "duration (a number with s, m, h or d)"
_seconds = _number(float, lambda number: 0 < number <= 3600, "number of seconds (more than 0, at most 3600)")
_wait = _number(float, lambda number: 0 <= number <= _LONGEST_WAIT, f"number of seconds (from 0 to {_LONGEST_WAIT})")
_parallelism = _number(int, lambda number: 1 <= number <= _MOST_PARALLEL, f"number from 1 to {_MOST_PARALLEL}")


def _switch(dest: str) -> dict[str, Any]:
    return {"action": "store_true", "dest": dest}


def _several(dest: str) -> dict[str, Any]:
    return {"action": "append", "default": [], "dest": dest}


def _choice(*choices: str) -> dict[str, Any]:
    return {"choices": choices, "default": choices[0]}


_FLAGS: Mapping[str, dict[str, Any]] = {  # those that take more, or something else, than one text
    # which files, and what of them
    "-f --file": {"action": "append", "dest": "files"},
    "-f --file:of the state": {"action": "append", "dest": "files"},
    "--tenancy": _several("tenancies"),
    "--shard": {"type": read_shard},
    "--target": _several("targets"),
    # how the result is shown, and how calls are made
    "--format": _choice("text", "json"),
    "--format:markdown too": _choice("text", "json", "markdown"),
    "--timeout": {"type": _seconds, "default": 30.0},
    "--parallelism": {"type": _parallelism, "default": 8},
    "--color": _choice("auto", "always", "never"),
    "-v --verbose": _switch("verbose"),
    "--debug": _switch("is_debugging"),
    "--debug:of an action": {
        **_switch("is_debugging"),
        "default": argparse.SUPPRESS,
    },  # before the action, it counts too
    # the state
    "--no-state": {"action": "store_false", "dest": "uses_state"},
    "--lock-timeout": {"type": _wait},
    "--force": _switch("is_forced"),
    "globs": {"nargs": "+"},
    # plan and apply
    "--replace": _several("replace"),
    "--no-prune": {"action": "store_false", "dest": "prunes"},
    "--allow-mass-unsubscribe": _switch("allows_mass_unsubscribe"),
    "--all": _switch("shows_kept"),
    "--probe": {"action": "store_true", "default": None, "dest": "probes"},
    "--no-probe": {"action": "store_false", "dest": "probes"},
    "--detailed-exitcode": _switch("has_detailed_exit_code"),
    "saved_plan": {"nargs": "?"},
    "--max-age": {"type": duration},
    "--yes": _switch("is_confirmed"),
    "--adopt": _switch("adopts"),
    # the others
    "path": {"nargs": "?", "default": "hooks.yaml"},
    "--from-live": _switch("is_from_live"),
    "--kind": _choice(*SCHEMA_KINDS),
    "shell": {"nargs": "?", "choices": SHELLS},
    "--words": {"choices": ("tenancies", "addresses"), "help": argparse.SUPPRESS},
}
