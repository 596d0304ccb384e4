"""Groups of flags that several commands share, and how their values are read. Prints nothing and ends nothing."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta

from hooksync.config.selection import read_shard

_MOST_PARALLEL = 64
_LONGEST_WAIT = 86400
_DURATION = re.compile("(?P<number>[1-9][0-9]{0,5})(?P<unit>[smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_planning(parser: argparse.ArgumentParser) -> None:
    """Add what `plan` and `apply` share."""
    add_format(parser, "markdown")
    add_selection(parser)
    parser.add_argument(
        "--replace", action="append", default=[], metavar="GLOB",
        help="resubscribe these addresses even if nothing differs; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--no-prune", action="store_false", dest="prunes",
        help="unsubscribe nothing but duplicates and replaced ones",
    )  # fmt: skip
    parser.add_argument(
        "--allow-mass-unsubscribe", action="store_true", dest="allows_mass_unsubscribe",
        help="ignore limits.unsubscribe of the file",
    )  # fmt: skip
    parser.add_argument(
        "--all", action="store_true", dest="shows_kept", help="also show what is kept, and each that is left alone"
    )
    add_state(parser)
    probes = parser.add_mutually_exclusive_group()
    probes.add_argument(
        "--probe", action="store_true", default=None, dest="probes",
        help="challenge receivers first (apply does, unless the file says never)",
    )  # fmt: skip
    probes.add_argument("--no-probe", action="store_false", dest="probes", help="do not challenge receivers")
    add_calling(parser)


def add_live(parser: argparse.ArgumentParser) -> None:
    """Add what chooses live tenancies: those of files, or one named here."""
    add_files(parser)
    add_tenancies(parser)
    parser.add_argument(
        "--server", metavar="HOST",
        help="read the one tenancy on this server instead of those of a hooks file (default, if there is no file: "
        "PRESERVICA_SERVER)",
    )  # fmt: skip
    parser.add_argument(
        "--tenant", metavar="NAME", help="the user's tenant on that server (default: PRESERVICA_TENANT)"
    )
    add_calling(parser)


def add_state(parser: argparse.ArgumentParser) -> None:
    """Add where the state is, or that there is none."""
    states = parser.add_mutually_exclusive_group()
    add_place(states)
    states.add_argument("--no-state", action="store_false", dest="uses_state", help="neither read nor write a state")


def add_place(parser: argparse._ActionsContainer) -> None:
    """Add where the state is."""
    parser.add_argument(
        "--state", metavar="WHERE",
        help="the state: a path, git:BRANCH, s3://BUCKET/KEY, az://CONTAINER/KEY or gs://BUCKET/KEY (default: "
        "HOOKSYNC_STATE, or beside the first file, as NAME.state.json)",
    )  # fmt: skip


def add_lock_timeout(parser: argparse.ArgumentParser) -> None:
    """Add how long another run is waited for."""
    parser.add_argument(
        "--lock-timeout", type=waiting_time, metavar="SECONDS",
        help="to wait for another run on the same state (default: 30 on a terminal, else 0)",
    )  # fmt: skip


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add which hooks files are read."""
    parser.add_argument(
        "-f", "--file", action="append", dest="files", metavar="PATH",
        help="a hooks file, a directory of them, or - for standard input; may be repeated "
        "(default: HOOKSYNC_FILE, or hooks.yaml, or hooks.yml)",
    )  # fmt: skip


def add_format(parser: argparse.ArgumentParser, *more: str) -> None:
    """Add --format: text, JSON, and what else the command can write."""
    parser.add_argument(
        "--format", choices=("text", "json", *more), default="text", help="output format (default: text)"
    )


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add what narrows a command to a part of the files."""
    add_tenancies(parser)
    add_shard(parser)
    parser.add_argument(
        "--target", action="append", default=[], dest="targets", metavar="GLOB",
        help="only subscriptions with a matching address (tenancy/name/TRIGGER); may be repeated",
    )  # fmt: skip


def add_tenancies(parser: argparse.ArgumentParser) -> None:
    """Add which tenancies of the files."""
    parser.add_argument(
        "--tenancy", action="append", default=[], dest="tenancies", metavar="GLOB",
        help="only tenancies with a matching name; may be repeated",
    )  # fmt: skip


def add_shard(parser: argparse.ArgumentParser) -> None:
    """Add which share of the tenancies."""
    parser.add_argument(
        "--shard", type=read_shard, metavar="I/N",
        help="only share I of N of the tenancies, counted from 1; a name is always in the same share",
    )  # fmt: skip


def add_calling(parser: argparse.ArgumentParser) -> None:
    """Add how calls are made and shown."""
    parser.add_argument(
        "--timeout", type=seconds, default=30.0, metavar="SECONDS", help="for each call (default: 30; 10 to connect)"
    )
    parser.add_argument(
        "--parallelism", type=_parallelism, default=8, metavar="N",
        help="calls at a time over the whole run (default: 8)",
    )  # fmt: skip
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto",
        help="colour the result (default: auto, on a terminal)",
    )  # fmt: skip
    parser.add_argument("-v", "--verbose", action="store_true", help="log each call on standard error")


def duration(text: str) -> timedelta:
    """Read a number with its unit. Raises ValueError."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError
    return timedelta(**{_UNITS[found["unit"]]: int(found["number"])})


def seconds(text: str) -> float:
    """Read a number of seconds. Raises ValueError."""
    number = float(text)
    if not 0 < number <= 3600:
        raise ValueError
    return number


def waiting_time(text: str) -> float:
    """Read a number of seconds, 0 too. Raises ValueError."""
    number = float(text)
    if not 0 <= number <= _LONGEST_WAIT:
        raise ValueError
    return number


def _parallelism(text: str) -> int:
    number = int(text)
    if not 1 <= number <= _MOST_PARALLEL:
        raise ValueError
    return number


# argparse puts the name of a type into its message: "invalid NAME value: ..."
duration.__name__ = "duration (a number with s, m, h or d)"
seconds.__name__ = "number of seconds (more than 0, at most 3600)"
waiting_time.__name__ = f"number of seconds (from 0 to {_LONGEST_WAIT})"
_parallelism.__name__ = f"number from 1 to {_MOST_PARALLEL}"
