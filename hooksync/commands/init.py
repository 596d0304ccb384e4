"""The command `init`: writes a first hooks file, either starter.yaml or a draft of what is live.

Messages go to `context.terminal`. Only --from-live loads the modules for the network.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hooksync.api.options import RunOptions
from hooksync.config.files import DEFAULT_FILE
from hooksync.core.context import Context
from hooksync.core.errors import (
    ExitCode,
    FileError,
    HooksyncError,
    Interrupted,
    Problem,
    UsageError,
)
from hooksync.core.model import Location
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.core.urls import owns_url, prefix_fault

if TYPE_CHECKING:
    from hooksync.reconcile.plan import TenancyPlan

_NEXT = "next: fill in your server, receivers and triggers, then run `hooksync validate`"
_VARIABLES = "set these before you use the file, parts of URLs exactly as they are in the URL:"
# the place of settings from variables; only messages of a policy show it
_HERE = Location("the environment", 1, 1)


class InitOptions(RunOptions, frozen=True):
    """The flags of `init`."""

    path: str = DEFAULT_FILE  # of the hooks file
    # what is live, instead of starter.yaml: only what is under these prefixes of URLs is declared;
    # (): everything
    from_live: tuple[str, ...] | None = None


def init(options: InitOptions, context: Context) -> ExitCode:
    """Write a first hooks file. Raises FileError if it exists already."""
    if options.path != "-" and os.path.lexists(options.path):  # before any call to Preservica
        raise FileError(_exists(options.path))
    if options.from_live is not None:
        _check_prefixes(options.from_live)
        return _init_from_live(options, options.from_live, context)
    with open(os.path.join(os.path.dirname(__file__), "starter.yaml"), encoding="utf-8") as starter:
        _write(options.path, starter.read(), context)
    context.terminal.message(_NEXT)
    return ExitCode.DONE


def _check_prefixes(prefixes: Sequence[str]) -> None:
    """Raise UsageError for what is no prefix of a URL, such as the path of a file."""
    fix = "write a URL such as https://fn.example.net/api; --file names the file to write"
    for prefix in prefixes:
        if fault := prefix_fault(prefix):
            raise UsageError(Problem(f"--from-live {printable(prefix)}: this prefix {fault}", fix))


def _init_from_live(options: InitOptions, prefixes: Sequence[str], context: Context) -> ExitCode:
    """Write what is live. Only this user can read the file."""
    from hooksync.commands.draft import Draft, slug  # 100 ms, for requests

    plan = _read_live(options, context)
    draft = Draft(slug(plan.tenant or "", plan.name).lower(), plan.live, prefixes)
    _write(options.path, draft.text(plan.server, plan.tenant), context, 0o600)
    for warning in draft.warnings:
        context.terminal.warn(warning)
    for prefix in prefixes:
        if not any(owns_url(frozenset([prefix]), hook.url.full) for hook in plan.live):
            what = f"no live subscription is under {printable(prefix)}"
            fix = "--from-live without a prefix writes all that is live"
            context.terminal.warn(Problem(what, fix))
    if draft.needs:
        width = max(map(len, draft.needs))
        lines = [f"  {variable:{width}}  {what}" for variable, what in draft.needs.items()]
        context.terminal.message("\n".join((_VARIABLES, *lines)))
    return ExitCode.DONE


def _read_live(options: InitOptions, context: Context) -> TenancyPlan:
    """Read the tenancy that PRESERVICA_* name. If no variable names its tenant, the log-in does.

    Raises HooksyncError if it cannot be read.
    """
    from hooksync.api import run as library
    from hooksync.api.inputs import Declared, hold_to_policy
    from hooksync.commands.draft import slug
    from hooksync.config.declarations import Settings, TenancyDeclaration
    from hooksync.config.resolve import resolve

    if not context.environ.get("PRESERVICA_SERVER"):
        raise UsageError(Problem("no variable names the server", "set PRESERVICA_SERVER"))
    name = slug(context.environ.get("PRESERVICA_TENANT", ""), "tenancy").lower()
    entries = [TenancyDeclaration(name, Settings(), (), _HERE)]
    hold_to_policy(options, entries, context)
    tenancies, _ = resolve(entries, context.environ)
    declared = Declared(tenancies, (), replace(options, uses_state=False), context)
    made = library.plan(declared)
    [plan] = made.tenancies
    if made.is_interrupted:
        raise Interrupted(Problem("interrupted, nothing was written", "run it again"))
    if plan.live_count is None:
        raise HooksyncError(*plan.errors, *plan.refusals)
    return plan


def _exists(path: str) -> Problem:
    fix = "name a different file: hooksync init --file PATH"
    return Problem(f"{path} exists already, and was left as it is", fix)


def _write(path: str, text: str, context: Context, mode: int = 0o644) -> None:
    if path == "-":
        context.terminal.result(text)
        return
    try:
        context.output.create_file(path, text, mode)
    except FileExistsError as error:
        raise FileError(_exists(path)) from error
    context.terminal.result(f"wrote {printable(path)}\n")
