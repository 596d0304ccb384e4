"""The verb `init`: writes the first hooks file, a commented one or what is live. Never writes over anything."""

from __future__ import annotations

from hooksync.commands.options import ExportOptions
from hooksync.core.atomic_write import create_atomically, is_there
from hooksync.core.errors import ExitCode, FileError, Problem, UsageError
from hooksync.core.record import Record
from hooksync.reconcile.context import World

STARTER = """\
# The webhook subscriptions of a Preservica tenancy, as they should be.
#
#   hooksync validate    checks this file; needs no network and no credentials
#   hooksync plan        shows what would change
#   hooksync apply       asks, and makes it so
#
# Who logs in is not in here: set PRESERVICA_USERNAME and PRESERVICA_PASSWORD
# (and PRESERVICA_2FA_TOKEN, where the account has a second factor).
version: 1

tenancies:
  archive:                        # a name of your own: letters, digits, - and _
    server: eu.preservica.com     # your Preservica server
    # tenant: BRAMA               # where the user belongs to several

    # What hooksync may remove: all (the default), or what begins with one of
    # these. What lies outside is left alone.
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
_NEXT = "next: put your server, receivers and triggers into it, then `hooksync validate`"


class InitOptions(Record, frozen=True):
    """What the flags of `init` say."""

    path: str
    is_from_live: bool
    live: ExportOptions


def init(options: InitOptions, world: World) -> ExitCode:
    """Write the first hooks file. Raises FileError where there is one already."""
    if is_there(options.path):  # before anything is asked of the service; the writing looks again
        raise FileError(already_there(options.path))
    if options.is_from_live:
        return _init_from_live(options, world)
    if options.live.server or options.live.tenant or options.live.tenancies or options.live.names_files:
        what = "--server, --tenant, --file and --tenancy say what of the live to write"
        raise UsageError(Problem(what, "give --from-live as well, or leave them out"))
    _write(options.path, STARTER)
    world.terminal.result(f"wrote {options.path}\n")
    world.terminal.aside(_NEXT)
    return ExitCode.DONE


def already_there(path: str) -> Problem:
    """Word the refusal to write over a file."""
    return Problem(f"{path} is there already, and was left as it is", "name another: hooksync init PATH")


def _init_from_live(options: InitOptions, world: World) -> ExitCode:
    """Write what is live; nothing at all where a part of it could not be read."""
    from hooksync.commands.export import make_export, tell

    made = make_export(options.live, world)
    if world.stop.is_set():
        return ExitCode.INTERRUPTED
    if made.unread:
        tell(made, world)
        world.terminal.aside(f"{options.path} was not written, for it would not be whole")
        return ExitCode.ERROR
    _write(options.path, made.text)
    world.terminal.result(f"wrote {options.path}\n")
    tell(made, world)
    return ExitCode.DONE


def _write(path: str, text: str) -> None:
    try:
        create_atomically(path, text)
    except FileExistsError as error:
        raise FileError(already_there(path)) from error
