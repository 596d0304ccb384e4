"""The command `export`: shows live tenancies as a hooks file. Changes nothing; prints nothing itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hooksync.commands.export_draft import ExportedTenancy, Need, free_variables, gather, slug
from hooksync.commands.export_yaml import export_text
from hooksync.commands.options import ExportOptions
from hooksync.commands.setup import Prepared, prepare
from hooksync.config.declarations import Settings, TenancyDeclaration, Written
from hooksync.config.resolve import resolve
from hooksync.config.rules import server_problem
from hooksync.core.atomic_write import is_there
from hooksync.core.errors import ExitCode, FileError, Problem, UsageError
from hooksync.core.model import Location, Tenancy
from hooksync.core.record import Record, replace
from hooksync.core.redaction import Redactor
from hooksync.core.template import escape, parse_template
from hooksync.core.urls import closed, is_plain_http, server_url
from hooksync.reconcile.context import World
from hooksync.reconcile.plan import UnreadTenancy
from hooksync.reconcile.planner import Fetched
from hooksync.reconcile.session import Run, open_run

_NOWHERE = Location("the command line", 1, 1)  # never shown: its values are checked first


class Export(Record, frozen=True):
    """The result of an export."""

    text: str  # "": nothing could be read
    needs: tuple[Need, ...]  # in the order of the file
    warnings: tuple[Problem, ...]
    unread: tuple[UnreadTenancy, ...]


def export(options: ExportOptions, world: World) -> ExitCode:
    """Show what is live as a hooks file. DONE when every tenancy was read."""
    made = make_export(options, world)
    if world.stop.is_set():
        return ExitCode.INTERRUPTED
    if made.text:
        world.terminal.result(made.text)
    explain(made, world)
    return ExitCode.ERROR if made.unread else ExitCode.DONE


def make_export(options: ExportOptions, world: World) -> Export:
    """Read the chosen tenancies, and write them as a hooks file."""
    with _open(options, world) as (run, warnings):
        with world.terminal.progress("reading", len(run.tenancies)) as step:
            fetched = run.read(step)
        if not _reads_files(options, world):
            fetched = tuple(_as_logged_in(one, run) for one in fetched)
    variables = free_variables(one.tenancy for one in fetched)
    tenancies = [one if isinstance(one, UnreadTenancy) else gather(one.tenancy, one.live, variables) for one in fetched]
    exported = [one for one in tenancies if isinstance(one, ExportedTenancy)]
    return Export(
        text=export_text(tenancies) if exported else "",
        needs=tuple(need for one in exported for need in one.needs),
        warnings=(*warnings, *(warning for one in exported for warning in one.warnings)),
        unread=tuple(one for one in fetched if isinstance(one, UnreadTenancy)),
    )


def explain(made: Export, world: World) -> None:
    """Show warnings, the variables to set, and errors, on standard error."""
    for warning in made.warnings:
        world.terminal.warn(warning)
    if made.needs:
        width = max(len(need.variable) for need in made.needs)
        lines = (f"  {need.variable:{width}}  {need.what}" for need in made.needs)
        world.terminal.message("\n".join(("set these before you use the file:", *lines, *_HOW_TO_SET)))
    for one in made.unread:
        for problem in one.error.problems:
            world.terminal.message(f"error: {one.tenancy.name}: {problem}")


_HOW_TO_SET = (
    "the query values of URLs are neither shown nor in the file: set each exactly as it is in the URL.",
    "set them in the secret store of your CI, or with `export NAME=...`; then `hooksync plan` says no changes,",
    "and `hooksync apply --adopt` records that these secrets are in use.",
)


@contextmanager
def _open(options: ExportOptions, world: World) -> Iterator[tuple[Run, Sequence[Problem]]]:
    """Open a run over the chosen tenancies."""
    if _reads_files(options, world):
        prepared = prepare(options, world)
    else:
        prepared = Prepared((_named_tenancy(options, world),), (), Redactor())
    timeout, parallelism = options.timeout, options.parallelism
    with open_run(prepared.tenancies, world, prepared.redactor, timeout=timeout, parallelism=parallelism) as run:
        yield run, prepared.warnings


def _reads_files(options: ExportOptions, world: World) -> bool:
    """Whether files choose the tenancies. Raises an error if nothing does, or if flags do as well."""
    if options.server or options.tenant:
        if options.tenancies or options.shard or options.names_files:
            fix = "leave out either --server and --tenant, or --file, --tenancy and --shard"
            raise UsageError(Problem("--server and --tenant cannot be combined with --file, --tenancy or --shard", fix))
        return False
    asks_for_files = options.names_files or options.tenancies or options.shard or world.environ.get("HOOKSYNC_FILE")
    if asks_for_files or is_there(options.files[0]):
        return True
    if world.environ.get("PRESERVICA_SERVER"):
        return False
    fix = "give --server eu.preservica.com (or another), set PRESERVICA_SERVER, or name a hooks file with --file"
    raise FileError(Problem(f"there is no file {options.files[0]}, and no server is named", fix))


def _named_tenancy(options: ExportOptions, world: World) -> Tenancy:
    """Make the tenancy that flags and environment name. Its name is only settled by the log-in."""
    server = options.server or world.environ.get("PRESERVICA_SERVER")
    tenant = options.tenant or world.environ.get("PRESERVICA_TENANT")
    if not server:
        raise UsageError(Problem("--tenant needs a server", "give --server, or set PRESERVICA_SERVER"))
    subject = "--server" if options.server else "PRESERVICA_SERVER"
    if problem := server_problem(closed(server), subject, None, allow_http=False):
        over_http = "use https, or export from a hooks file with `allow_http: true`"
        raise UsageError(Problem(problem.what, over_http if is_plain_http(server) else problem.fix))
    if tenant and not tenant.isprintable():
        raise UsageError(Problem("the tenant contains a line break or a control character", "check --tenant"))
    settings = Settings(server=_written(server), tenant=_written(tenant) if tenant else None)
    name = slug(tenant or server_url(server).partition("://")[2], "tenancy").lower()
    [tenancy], _ = resolve([TenancyDeclaration(name, settings, (), _NOWHERE)], world.environ)
    return tenancy


def _written(text: str) -> Written:
    return Written(parse_template(escape(text)), _NOWHERE)


def _as_logged_in(one: Fetched, run: Run) -> Fetched:
    """Name a tenancy after the tenant of the log-in, if no tenant was named."""
    tenant = run.clients[one.tenancy.name].tenant
    if one.tenancy.tenant_declared or not tenant or not tenant.isprintable():
        return one
    name = slug(tenant, one.tenancy.name).lower()
    return replace(one, tenancy=replace(one.tenancy, name=name, tenant=tenant, tenant_declared=escape(tenant)))
