"""Every flag and every other argument of the commands, and how their values are read. Prints nothing and ends nothing.

A flag's `dest` is the name of the field in commands/options.py that takes its value.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from hooksync.config.selection import read_shard
from hooksync.core.schema import SCHEMA_KINDS

SHELLS = ("bash", "zsh", "fish")

_MOST_PARALLEL = 64
_LONGEST_WAIT = 86400
_DURATION = re.compile("(?P<number>[1-9][0-9]{0,5})(?P<unit>[smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_flags(parser: argparse.ArgumentParser, *flags: str) -> None:
    """Add flags by their keys in the table. `--one|--other`: only one of the two may be given."""
    for several in flags:
        group = parser.add_mutually_exclusive_group() if "|" in several else parser
        for flag in several.split("|"):
            group.add_argument(*flag.partition(":")[0].split(), **_FLAGS[flag])


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


def _switch(dest: str, text: str) -> dict[str, Any]:
    return {"action": "store_true", "dest": dest, "help": text}


def _several(dest: str, metavar: str, text: str) -> dict[str, Any]:
    return {"action": "append", "default": [], "dest": dest, "metavar": metavar, "help": text}


def _formats(*names: str) -> dict[str, Any]:
    return {"choices": names, "default": "text", "help": "output format (default: text)"}


_DEBUG = _switch("is_debugging", "show where an unforeseen error came from")

_FLAGS: Mapping[str, dict[str, Any]] = {  # by the option strings; what follows a colon tells one from another
    # which files, and what of them
    "-f --file": {
        "action": "append", "dest": "files", "metavar": "PATH",
        "help": "a hooks file, a directory of them, or - for standard input; may be repeated (default: HOOKSYNC_FILE, "
        "or hooks.yaml, or hooks.yml)",
    },
    "-f --file:of the state": {
        "action": "append", "dest": "files", "metavar": "PATH",
        "help": "the hooks file, or the directory of them, that the state belongs to; not read (default: "
        "HOOKSYNC_FILE, or hooks.yaml)",
    },
    "--tenancy": _several("tenancies", "GLOB", "only tenancies with a matching name; may be repeated"),
    "--shard": {
        "type": read_shard, "metavar": "I/N",
        "help": "only share I of N of the tenancies, counted from 1; a name is always in the same share",
    },
    "--target": _several(
        "targets", "GLOB", "only subscriptions with a matching address (tenancy/name/TRIGGER); may be repeated"
    ),
    "--server": {
        "metavar": "HOST",
        "help": "read the one tenancy on this server instead of those of a hooks file (default, if there is no file: "
        "PRESERVICA_SERVER)",
    },
    "--tenant": {"metavar": "NAME", "help": "the user's tenant on that server (default: PRESERVICA_TENANT)"},
    # how the result is shown, and how calls are made
    "--format": _formats("text", "json"),
    "--format:markdown too": _formats("text", "json", "markdown"),
    "--timeout": {
        "type": _seconds, "default": 30.0, "metavar": "SECONDS", "help": "for each call (default: 30; 10 to connect)",
    },
    "--parallelism": {
        "type": _parallelism, "default": 8, "metavar": "N", "help": "calls at a time over the whole run (default: 8)",
    },
    "--color": {
        "choices": ("auto", "always", "never"), "default": "auto",
        "help": "colour the result (default: auto, on a terminal)",
    },
    "-v --verbose": _switch("verbose", "log each call on standard error"),
    "--debug": _DEBUG,
    "--debug:of an action": {**_DEBUG, "default": argparse.SUPPRESS},  # before the action, it counts too
    # the state
    "--state": {
        "metavar": "WHERE",
        "help": "the state: a path, git:BRANCH, s3://BUCKET/KEY, az://CONTAINER/KEY or gs://BUCKET/KEY (default: "
        "HOOKSYNC_STATE, or beside the first file, as NAME.state.json)",
    },
    "--no-state": {"action": "store_false", "dest": "uses_state", "help": "neither read nor write a state"},
    "--lock-timeout": {
        "type": _wait, "metavar": "SECONDS",
        "help": "to wait for another run on the same state (default: 30 on a terminal, else 0)",
    },
    "path:of a state": {"metavar": "FILE", "help": "a state that was pulled or kept; - for standard input"},
    "--force": _switch(
        "is_forced",
        "push it all the same; what runs have written there since is lost: rotations may go unseen, and "
        "subscriptions be made twice; without HOOKSYNC_PLAN_KEY the signature is lost, too",
    ),
    "id": {"metavar": "ID", "help": "of the run, as `hooksync state show` tells it"},
    "old": {"metavar": "OLD", "help": "an address (tenancy/name/TRIGGER) in the state"},
    "new": {"metavar": "NEW", "help": "what it is from now on: another name, in the same tenancy"},
    "globs": {"nargs": "+", "metavar": "GLOB", "help": "addresses (tenancy/name/TRIGGER) in the state"},
    # plan and apply
    "--replace": _several("replace", "GLOB", "resubscribe these addresses even if nothing differs; may be repeated"),
    "--no-prune": {
        "action": "store_false", "dest": "prunes", "help": "unsubscribe nothing but duplicates and replaced ones",
    },
    "--allow-mass-unsubscribe": _switch("allows_mass_unsubscribe", "ignore limits.unsubscribe of the file"),
    "--all": _switch("shows_kept", "also show what is kept, and each that is left alone"),
    "--probe": {
        "action": "store_true", "default": None, "dest": "probes",
        "help": "challenge receivers first (apply does, unless the file says never)",
    },
    "--no-probe": {"action": "store_false", "dest": "probes", "help": "do not challenge receivers"},
    "--detailed-exitcode": _switch(
        "has_detailed_exit_code", "exit with 2 when there are changes, 0 when there are none"
    ),
    "--out": {
        "metavar": "PLAN",
        "help": "save the plan, if apply would take it; `apply PLAN` does exactly this; HOOKSYNC_PLAN_KEY signs it",
    },
    "saved_plan": {
        "nargs": "?", "metavar": "PLAN", "help": "a file that `plan --out` saved: carry it out without asking",
    },
    "--max-age": {
        "type": duration, "metavar": "DURATION",
        "help": "refuse an older saved plan, e.g. 30m, 24h or 7d (default: 24h for a signed one)",
    },
    "--yes": _switch("is_confirmed", "do not ask; needed if there is no terminal"),
    "--adopt": _switch(
        "adopts", "ask the receivers, and record in the state that kept subscriptions hold their declared secrets"
    ),
    "--report": {"metavar": "FILE", "help": "also write the result as JSON to a file, even if steps fail"},
    # the others
    "path": {
        "nargs": "?", "default": "hooks.yaml", "metavar": "PATH", "help": "the file to write (default: hooks.yaml)",
    },
    "--from-live": _switch("is_from_live", "write what `hooksync export` prints; takes its flags"),
    "--kind": {
        "choices": SCHEMA_KINDS, "default": "hooks",
        "help": "of the hooks file (default), of plan --format json, of apply --format json, or of the state",
    },
    "shell": {"nargs": "?", "choices": SHELLS, "help": "the shell that the script is for"},
    "--words": {"choices": ("tenancies", "addresses"), "help": argparse.SUPPRESS},
}  # fmt: skip
