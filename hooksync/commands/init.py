"""The command `init`: writes a first hooks file, a commented one or what is live. Never overwrites a file."""

from __future__ import annotations

from hooksync.commands.options import InitOptions
from hooksync.config.files import DEFAULT_FILES
from hooksync.core.errors import ExitCode, FileError, Problem, UsageError
from hooksync.core.output import create_atomically, is_there
from hooksync.reconcile.context import World

STARTER = """\
# The webhook subscriptions that a Preservica tenancy should have.
#
#   hooksync validate    checks this file; needs no network and no credentials
#   hooksync plan        shows what would change
#   hooksync apply       asks, and makes the changes
#
# The log-in is not in this file: set PRESERVICA_USERNAME and PRESERVICA_PASSWORD
# (and PRESERVICA_2FA_TOKEN, if the account has a second factor).
version: 1

tenancies:
  archive:                        # a name of your own: letters, digits, - and _
    server: eu.preservica.com     # your Preservica server
    # tenant: BRAMA               # if the user belongs to several

    # What hooksync may remove: everything (the default), or only URLs that begin
    # with one of these.
    # owns:
    #   - https://catalogue.example.net

    subscriptions:
      catalogue:                  # another name of your own: what the receiver is for
        url: https://catalogue.example.net/preservica
        # A key in a URL comes from the environment:
        # url: https://fn.example.net/api/hook?code=${FN_KEY}
        triggers: [INDEXED, MOVED]
        # There are MOVED, INDEXED, SECURITY_CHANGED, INGEST_FAILED and
        # CHANGE_ASSET_VISIBILITY; newer ones go under extra_triggers.
        secret: {env: CATALOGUE_SECRET}     # the variable's name, never the secret;
        # `hooksync secret generate` makes one, and {file: PATH} reads one
        include_identifiers: true
"""
_NEXT = "next: fill in your server, receivers and triggers, then run `hooksync validate`"


def init(options: InitOptions, world: World) -> ExitCode:
    """Write a first hooks file. Raises FileError if it exists already."""
    for path in DEFAULT_FILES if options.path in DEFAULT_FILES else (options.path,):
        if is_there(path):  # before any call; checked again while writing
            raise FileError(_exists(path))
    if options.is_from_live:
        return _init_from_live(options, world)
    if options.server or options.tenant or options.tenancies or options.names_files:
        what = "--server, --tenant, --file and --tenancy need --from-live"
        raise UsageError(Problem(what, "give --from-live as well, or leave them out"))
    _write(options.path, STARTER)
    world.terminal.result(f"wrote {options.path}\n")
    world.terminal.message(_NEXT)
    return ExitCode.DONE


def _exists(path: str) -> Problem:
    return Problem(f"{path} exists already, and was left as it is", "name another file: hooksync init PATH")


def _init_from_live(options: InitOptions, world: World) -> ExitCode:
    """Write what is live; nothing at all if a part of it could not be read."""
    from hooksync.commands.export import explain, make_export

    made = make_export(options, world)
    if world.stop.is_set():
        return ExitCode.INTERRUPTED
    if made.unread:
        explain(made, world)
        world.terminal.message(f"{options.path} was not written, because it would be incomplete")
        return ExitCode.ERROR
    _write(options.path, made.text)
    world.terminal.result(f"wrote {options.path}\n")
    explain(made, world)
    return ExitCode.DONE


def _write(path: str, text: str) -> None:
    try:
        create_atomically(path, text)
    except FileExistsError as error:
        raise FileError(_exists(path)) from error
