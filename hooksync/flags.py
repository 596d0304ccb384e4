"""Flags that several commands share: their names, texts and types."""

from __future__ import annotations

import argparse

_MOST_PARALLEL = 64


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
    parser.add_argument(
        "--tenancy",
        action="append",
        default=[],
        metavar="GLOB",
        help="only tenancies with such a name; may be repeated",
    )
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


_seconds.__name__ = "number of seconds (more than 0, at most 3600)"
_parallelism.__name__ = f"number from 1 to {_MOST_PARALLEL}"
