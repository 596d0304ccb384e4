"""The command `init`: writes a first hooks file, either starter.yaml or what is live.

Messages go to `context.terminal`. Only --from-live loads the modules for the network.
"""

from __future__ import annotations

import os

from hooksync.commands.options import LiveOptions
from hooksync.config.files import DEFAULT_FILE
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, FileError, Problem, UsageError
from hooksync.core.output import is_there
from hooksync.core.redaction import printable

_NEXT = "next: fill in your server, receivers and triggers, then run `hooksync validate`"


class InitOptions(LiveOptions, frozen=True):
    """The flags of `init`."""

    path: str = DEFAULT_FILE  # of the hooks file
    is_from_live: bool = False
    write_env: str | None = None  # path of a file for the variables that the hooks file needs


def init(options: InitOptions, context: Context) -> ExitCode:
    """Write a first hooks file. Raises FileError if it exists already."""
    for path, other in ((options.path, "PATH"), (options.write_env, "--write-env FILE")):
        if path and is_there(path):  # before any call to Preservica; `create_file` checks again
            raise FileError(_exists(path, other))
    if options.is_from_live:
        return _init_from_live(options, context)
    if options.server or options.tenant or options.write_env:
        what = "--server, --tenant and --write-env need --from-live"
        raise UsageError(Problem(what, "give --from-live as well, or leave them out"))
    with open(os.path.join(os.path.dirname(__file__), "starter.yaml"), encoding="utf-8") as starter:
        _write(options.path, starter.read(), context)
    context.terminal.message(_NEXT)
    return ExitCode.DONE


def _init_from_live(options: InitOptions, context: Context) -> ExitCode:
    """Write what is live, and with --write-env its variables. Only this user can read the files."""
    # 100 ms, for requests
    from hooksync.commands.export import TO_SET, env_text, export_text, read_exported, report_needs

    exported = read_exported(options, context)
    advice = TO_SET
    if options.write_env:
        values = env_text(exported.needs, options.path)
        _write(options.write_env, values, context, 0o600, holds_secrets=True)
        path = printable(options.write_env)
        advice = f"fill in what is empty in {path}, and give each command --env-file {path}:"
    _write(options.path, export_text(exported), context, 0o600)
    report_needs(exported, advice, context)
    return ExitCode.DONE


def _exists(path: str, other: str = "PATH") -> Problem:
    return Problem(
        f"{path} exists already, and was left as it is",
        f"name a different file: hooksync init {other}",
    )


def _write(
    path: str, text: str, context: Context, mode: int = 0o644, *, holds_secrets: bool = False
) -> None:
    try:
        context.output.create_file(path, text, mode, holds_secrets=holds_secrets)
    except FileExistsError as error:
        raise FileError(_exists(path)) from error
    context.terminal.result(f"wrote {printable(path)}\n")
