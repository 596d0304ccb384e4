"""The command `init`: writes a first hooks file, either starter.yaml or a draft of what is live.

Messages go to `context.terminal`. Only --from-live loads the modules for the network.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hooksync.commands.options import LiveOptions
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
from hooksync.core.output import is_there
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.core.urls import prefix_fault

if TYPE_CHECKING:
    from hooksync.commands.draft import Draft

_NEXT = "next: fill in your server, receivers and triggers, then run `hooksync validate`"


class InitOptions(LiveOptions, frozen=True):
    """The flags of `init`."""

    path: str = DEFAULT_FILE  # of the hooks file
    # what is live, instead of starter.yaml: only what is under these prefixes of URLs is declared;
    # (): everything
    from_live: tuple[str, ...] | None = None
    write_env: str | None = None  # path of a file for the variables that the hooks file needs


def init(options: InitOptions, context: Context) -> ExitCode:
    """Write a first hooks file. Raises FileError if it exists already."""
    for path, other in ((options.path, "--file PATH"), (options.write_env, "--write-env FILE")):
        # before any call to Preservica; `create_file` checks again
        if path and path != "-" and is_there(path):
            raise FileError(_exists(path, other))
    if options.from_live is not None:
        _check_prefixes(options.from_live)
        return _init_from_live(options, context)
    if options.server or options.tenant or options.write_env:
        what = "--server, --tenant and --write-env need --from-live"
        raise UsageError(Problem(what, "give --from-live as well, or leave them out"))
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


def _init_from_live(options: InitOptions, context: Context) -> ExitCode:
    """Write what is live, and with --write-env its variables. Only this user can read the files."""
    # 100 ms, for requests
    from hooksync.commands.draft import draft_text, env_text

    draft = _read_draft(options, context)
    advice = "set these before you use the file:"
    if options.write_env:
        values = env_text(draft.needs, options.path)
        _write(options.write_env, values, context, 0o600, holds_secrets=True)
        path = printable(options.write_env)
        advice = f"fill in what is empty in {path}, and give each command --env-file {path}:"
    elif any(need.value for need in draft.needs):
        advice = f"{advice[:-1]}; copy parts of URLs exactly as they are in the URL:"
    _write(options.path, draft_text(draft), context, 0o600)
    for warning in draft.warnings:
        context.terminal.warn(warning)
    if draft.needs:
        width = max(len(need.variable) for need in draft.needs)
        lines = [f"  {need.variable:{width}}  {need.what}" for need in draft.needs]
        context.terminal.message("\n".join((advice, *lines)))
    return ExitCode.DONE


def _read_draft(options: InitOptions, context: Context) -> Draft:
    """Read what is live in one tenancy. Raises HooksyncError if that fails or is interrupted."""
    from hooksync.commands.draft import Draft
    from hooksync.commands.named_tenancy import read_named

    made, tenancy = read_named(replace(options, uses_state=False), context)
    if made.is_interrupted:
        raise Interrupted(Problem("interrupted, nothing was written", "run it again"))
    [plan] = made.tenancies
    if plan.live_count is None:
        raise HooksyncError(*plan.errors, *plan.refusals)
    return Draft(tenancy, plan.live, options.from_live or ())


def _exists(path: str, other: str = "--file PATH") -> Problem:
    return Problem(
        f"{path} exists already, and was left as it is",
        f"name a different file: hooksync init {other}",
    )


def _write(
    path: str, text: str, context: Context, mode: int = 0o644, *, holds_secrets: bool = False
) -> None:
    if path == "-":
        context.terminal.result(text)
        return
    try:
        context.output.create_file(path, text, mode, holds_secrets=holds_secrets)
    except FileExistsError as error:
        raise FileError(_exists(path)) from error
    context.terminal.result(f"wrote {printable(path)}\n")
