"""From what the command line says to what a verb is given. Pure."""

from __future__ import annotations

import argparse

from hooksync.reconcile.context import CheckOptions, ExportOptions, FileOptions, PlanOptions


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
