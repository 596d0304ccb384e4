"""Flags that several commands share: their names, texts and types."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta

from hooksync.config.shards import read_shard
from hooksync.core.errors import Problem, UsageError

_MOST_PARALLEL = 64
_DURATION = re.compile("(?P<number>[1-9][0-9]{0,5})(?P<unit>[smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

_APPLY = """\
Plan, ask, and do it; or do what a saved plan says: without asking, on any
machine, without the hooks file. A saved plan is refused (exit 3) when it was
altered, or when what is live has moved. With HOOKSYNC_PLAN_KEY set (16 bytes
or more) it must be signed with that key.
"""
APPLY_EXAMPLE = "hooksync apply --yes --parallelism 16\n         hooksync apply plan.json --max-age 24h"

_EXPORT = """\
Print what is live as a hooks file: the tenancies of the hooks files, or the one
of --server, --tenant and PRESERVICA_*. Changes nothing. Secrets and the values
of URLs' queries become names of variables, listed on standard error; with them
set, `hooksync plan` says no changes. What no file can declare is left out, with
a comment and a warning. Exits with 1 where a tenancy could not be read.
"""
_INIT = """\
Write a first hooks file: a commented one to fill in, or with --from-live what
`hooksync export` prints. Never writes over a file.
"""


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add --file."""
    parser.add_argument(
        "-f", "--file", action="append", metavar="PATH",
        help="a hooks file, a directory of them, or - for standard input; may be repeated "
        "(default: HOOKSYNC_FILE, or hooks.yaml)",
    )  # fmt: skip


def add_format(parser: argparse.ArgumentParser, *more: str) -> None:
    """Add --format: text, JSON, and what else the command can write."""
    parser.add_argument(
        "--format", choices=("text", "json", *more), default="text", help="form of the result (default: text)"
    )


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add what narrows a command to a part of the files."""
    add_tenancies(parser)
    add_shard(parser)
    parser.add_argument(
        "--target", action="append", default=[], metavar="GLOB",
        help="only subscriptions with such an address (tenancy/name/TRIGGER); may be repeated",
    )  # fmt: skip


def add_calling(parser: argparse.ArgumentParser) -> None:
    """Add how calls are made and shown."""
    parser.add_argument(
        "--timeout", type=_seconds, default=30.0, metavar="SECONDS", help="for each call (default: 30; 10 to connect)"
    )
    parser.add_argument(
        "--parallelism",
        type=_parallelism,
        default=8,
        metavar="N",
        help="calls at a time over the whole run (default: 8)",
    )
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colour the result (default: on a terminal)",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="tell of each call on standard error")


def add_tenancies(parser: argparse.ArgumentParser) -> None:
    """Add --tenancy."""
    parser.add_argument(
        "--tenancy",
        action="append",
        default=[],
        metavar="GLOB",
        help="only tenancies with such a name; may be repeated",
    )


def add_shard(parser: argparse.ArgumentParser) -> None:
    """Add --shard."""
    parser.add_argument(
        "--shard", type=read_shard, metavar="I/N",
        help="only the I-th of N shares of the tenancies, counted from 1; a name is always in the same one",
    )  # fmt: skip


def add_export(parser: argparse.ArgumentParser) -> None:
    """Add what `export` takes."""
    parser.description = _EXPORT
    _add_live(parser)
    add_shard(parser)


def add_init(parser: argparse.ArgumentParser) -> None:
    """Add what `init` takes."""
    parser.description = _INIT
    parser.add_argument(
        "path", nargs="?", default="hooks.yaml", metavar="PATH", help="what to write (default: hooks.yaml)"
    )
    parser.add_argument("--from-live", action="store_true", help="write what `hooksync export` prints; takes its flags")
    _add_live(parser)


def _add_live(parser: argparse.ArgumentParser) -> None:
    """Add what says which live tenancies are meant: those of files, or one that is named here."""
    add_files(parser)
    add_tenancies(parser)
    parser.add_argument(
        "--server", metavar="HOST",
        help="of the one tenancy that is meant, instead of a hooks file (default, where there is no file: "
        "PRESERVICA_SERVER)",
    )  # fmt: skip
    parser.add_argument("--tenant", metavar="NAME", help="of the user on that server (default: PRESERVICA_TENANT)")
    add_calling(parser)


def add_saved_plan(parser: argparse.ArgumentParser) -> None:
    """Add a saved plan, and what it must be."""
    parser.description = _APPLY
    parser.add_argument(
        "plan", nargs="?", metavar="PLAN", help="a plan that `plan --out` saved: do exactly that, without asking"
    )
    parser.add_argument(
        "--max-age", type=_duration, metavar="DURATION", help="refuse an older saved plan, e.g. 30m, 24h or 7d"
    )


def refuse_choosing(arguments: argparse.Namespace) -> None:
    """Raise UsageError for flags that choose what to plan, next to a plan that is made already."""
    given = {
        "--file": arguments.file is not None,
        "--tenancy": arguments.tenancy,
        "--shard": arguments.shard,
        "--target": arguments.target,
        "--replace": arguments.replace,
        "--no-prune": arguments.no_prune,
    }
    if names := [name for name, is_given in given.items() if is_given]:
        what = f"{', '.join(names)} cannot stand next to a saved plan: it says itself what is done"
        raise UsageError(Problem(what, "give such flags to `hooksync plan --out`; see `hooksync apply --help`"))


def _duration(text: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError
    return timedelta(**{_UNITS[found["unit"]]: int(found["number"])})


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:
        raise ValueError
    return seconds


def _parallelism(text: str) -> int:
    number = int(text)
    if not 1 <= number <= _MOST_PARALLEL:
        raise ValueError
    return number


_duration.__name__ = "duration (a number with s, m, h or d)"
_seconds.__name__ = "number of seconds (more than 0, at most 3600)"
_parallelism.__name__ = f"number from 1 to {_MOST_PARALLEL}"
