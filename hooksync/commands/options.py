"""From what the command line says to what a verb is given. Pure."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from hooksync.core.record import Record

if TYPE_CHECKING:
    from hooksync.config.shards import Shard

Format = Literal["text", "json", "markdown"]


class FileOptions(Record, frozen=True):
    """Which files, what of them, and how to show what comes of it."""

    files: tuple[str, ...]
    format: Format = "text"
    tenancies: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    shard: Shard | None = None  # None: all tenancies


class CheckOptions(Record, frozen=True):
    """What the flags of `check` say."""

    files: tuple[str, ...]
    format: Format = "text"
    tenancies: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    shard: Shard | None = None  # None: all tenancies
    timeout: float = 30.0  # seconds a call may take
    parallelism: int = 8  # calls in flight over the whole run


class ExportOptions(Record, frozen=True):
    """What the flags of `export` say."""

    files: tuple[str, ...]
    names_files: bool = False  # whether the command line names them
    tenancies: tuple[str, ...] = ()
    shard: Shard | None = None  # None: all tenancies
    server: str | None = None
    tenant: str | None = None
    timeout: float = 30.0  # seconds a call may take
    parallelism: int = 8  # calls in flight over the whole run


class PlanOptions(Record, frozen=True):
    """What the flags of `plan` and `apply` say."""

    files: tuple[str, ...]
    format: Format = "text"
    tenancies: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    shard: Shard | None = None  # None: all tenancies
    replace: tuple[str, ...] = ()
    prunes: bool = True
    allows_mass_unsubscribe: bool = False
    timeout: float = 30.0  # seconds a call may take
    parallelism: int = 8  # calls in flight over the whole run
    shows_kept: bool = False
    has_detailed_exit_code: bool = False  # plan
    is_confirmed: bool = False  # apply
    state: str | None = None  # path; None: beside the first file
    uses_state: bool = True
    adopts: bool = False  # apply: record the declared secret of what is kept and not in the state
    out: str | None = None  # plan: path to save it at
    saved_plan: str | None = None  # apply: path of a plan to carry out instead of making one
    max_age: timedelta | None = None  # apply: of the saved plan
    report: str | None = None  # apply: path to write the report at
    probes: bool | None = None  # challenge receivers; None: plan does not, apply does as each tenancy says


def file_options(arguments: argparse.Namespace) -> FileOptions:
    """Give the flags of `validate`."""
    return FileOptions(
        files=tuple(arguments.file),
        format=arguments.format,
        tenancies=tuple(arguments.tenancy),
        targets=tuple(arguments.target),
        shard=arguments.shard,
    )


def check_options(arguments: argparse.Namespace) -> CheckOptions:
    """Give the flags of `check`."""
    return CheckOptions(
        files=tuple(arguments.file),
        format=arguments.format,
        tenancies=tuple(arguments.tenancy),
        targets=tuple(arguments.target),
        shard=arguments.shard,
        timeout=arguments.timeout,
        parallelism=arguments.parallelism,
    )


def export_options(arguments: argparse.Namespace) -> ExportOptions:
    """Give the flags of `export`, and those that `init` shares with it."""
    return ExportOptions(
        files=tuple(arguments.file),
        names_files=arguments.names_files,
        tenancies=tuple(arguments.tenancy),
        shard=getattr(arguments, "shard", None),  # `init` writes a whole file
        server=arguments.server,
        tenant=arguments.tenant,
        timeout=arguments.timeout,
        parallelism=arguments.parallelism,
    )


def plan_options(arguments: argparse.Namespace) -> PlanOptions:
    """Give the flags of `plan` and `apply`; those that only one of them has are off in the other."""
    return PlanOptions(
        files=tuple(arguments.file),
        format=arguments.format,
        tenancies=tuple(arguments.tenancy),
        targets=tuple(arguments.target),
        shard=arguments.shard,
        replace=tuple(arguments.replace),
        prunes=not arguments.no_prune,
        allows_mass_unsubscribe=arguments.allow_mass_unsubscribe,
        timeout=arguments.timeout,
        parallelism=arguments.parallelism,
        shows_kept=arguments.all,
        has_detailed_exit_code=getattr(arguments, "detailed_exitcode", False),
        is_confirmed=getattr(arguments, "yes", False),
        state=arguments.state,
        uses_state=not arguments.no_state,
        adopts=getattr(arguments, "adopt", False),
        out=getattr(arguments, "out", None),
        saved_plan=getattr(arguments, "plan", None),
        max_age=getattr(arguments, "max_age", None),
        report=getattr(arguments, "report", None),
        probes=arguments.probe,
    )
