"""The commands `export` and `list`: show what is live, as a hooks file or as a list.

They change nothing. All output goes through `context.terminal`.

PyYAML writes all data from outside into the hooks file, so no text is read as YAML syntax.
"""

from __future__ import annotations

from collections.abc import Sequence

from hooksync.api import run as library
from hooksync.api.inputs import Declared, hold_to_policy, prepare
from hooksync.commands.export_draft import ExportedTenancy, Need, slug
from hooksync.commands.options import LiveOptions
from hooksync.commands.problems import show_problems, show_running
from hooksync.config.declarations import Settings, TemplateAt, TenancyDeclaration
from hooksync.config.resolve import resolve, server_problem
from hooksync.config.yaml_loader import write_yaml
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, HooksyncError, Interrupted, Problem, UsageError
from hooksync.core.model import TRIGGER_NAMES, Location, Tenancy
from hooksync.core.output import Format, is_there
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.core.template import escape, parse_template
from hooksync.core.urls import server_url
from hooksync.reconcile.plan import Plan
from hooksync.render.listing import list_table, live_only
from hooksync.render.renderers import plan_json
from hooksync.render.text import state_lines, table_lines

_HEAD = """\
# yaml-language-server: $schema=./hooks.schema.json
#
# Which of these subscriptions are yours? Delete the others from this file: hooksync leaves alone
# what it did not make, unless `owns` says something else.
#
# `hooksync export` wrote this file: the webhook subscriptions that were live. It contains no
# secrets, no query values of URLs and no keys in their paths, only names of variables.
# To use it: save it as hooks.yaml, set the variables that were listed with it, then
#   hooksync check            asks the receivers whether they hold these secrets
#   hooksync adopt            records that these secrets are in use
#   hooksync plan             shows no changes to make
# Editors check this file by the first line, after `hooksync schema > hooks.schema.json`.
"""
_OWNS = """
    # what hooksync may remove if no file declares it: made (by it), all, none, or URL prefixes
    owns: made
"""
_NOT_REPORTED = """\
# The service does not report include_identifiers of some subscriptions; the default is true.
"""
TO_SET = "set these before you use the file; copy parts of URLs exactly as they are in the URL:"
# the place of settings from flags and variables; only messages of a policy show it
_COMMAND_LINE = Location("the command line", 1, 1)


class ListOptions(LiveOptions, frozen=True):
    """The flags of `list`."""

    format: Format = "text"


def export(options: LiveOptions, context: Context) -> ExitCode:
    """Print what is live in one tenancy as a hooks file. Raises HooksyncError if it is not read."""
    exported = read_exported(options, context)
    context.terminal.result(export_text(exported))
    report_needs(exported, TO_SET, context)
    return ExitCode.DONE


def read_exported(options: LiveOptions, context: Context) -> ExportedTenancy:
    """Read what is live in one tenancy. Raises HooksyncError if that fails or is interrupted."""
    made, tenancy = _read_named(replace(options, uses_state=False), context)
    if made.is_interrupted:
        raise Interrupted(Problem("interrupted, nothing was exported", "run it again"))
    [plan] = made.tenancies
    if plan.live_count is None:
        raise HooksyncError(*plan.errors, *plan.refusals)
    return ExportedTenancy(tenancy, plan.live)


def report_needs(exported: ExportedTenancy, advice: str, context: Context) -> None:
    """Warn of what cannot be declared, and list the variables to set. `advice`: how to set them."""
    for warning in exported.warnings:
        context.terminal.warn(warning)
    if exported.needs:
        width = max(len(need.variable) for need in exported.needs)
        lines = [f"  {need.variable:{width}}  {need.what}" for need in exported.needs]
        context.terminal.message("\n".join((advice, *lines)))


def list_live(options: ListOptions, context: Context) -> ExitCode:
    """Show what is live. Returns DONE only if every tenancy was read."""
    shown = live_only(_read(options, context), options.flags, is_targeted=bool(options.targets))
    if not shown.is_interrupted:
        code = ExitCode.ERROR if shown.unread else ExitCode.DONE
        shown = replace(shown, exit_code=int(code))
    show_running(shown, context)
    if options.format == "text":
        table, summary = list_table(shown)
        context.terminal.show([*table_lines(table), ("", ""), ("", summary), *state_lines(shown)])
    else:
        context.terminal.result(plan_json(shown), "json")
    show_problems(shown, context, refused="refused")
    return ExitCode(shown.exit_code)


def _read(options: LiveOptions, context: Context) -> Plan:
    """Read the chosen tenancies: those of hooks files, or a named one.

    A named tenancy is compared with the state that is named. If none is named, it is compared with
    the state beside the hooks file, if that file exists.
    """
    if _reads_files(options, context):
        return library.plan(prepare(options, context))
    has_state = options.state is not None or is_there(options.files[0])
    options = replace(options, uses_state=options.uses_state and has_state)
    return _read_named(options, context)[0]


def _read_named(options: LiveOptions, context: Context) -> tuple[Plan, Tenancy]:
    """Read the tenancy that flags or variables name. If they name no tenant, the log-in does."""
    tenancy = _named_tenancy(options, context)
    made = library.plan(Declared((tenancy,), (), options, context))
    [plan] = made.tenancies
    if plan.tenant and not tenancy.tenant_declared:
        name = slug(plan.tenant, tenancy.name).lower()
        declared = escape(plan.tenant)
        tenancy = replace(tenancy, name=name, tenant=plan.tenant, tenant_declared=declared)
    # no hooks file was read, so it is not known which tenancies none declares any more
    warnings = tuple(problem for problem in made.warnings if problem not in made.undeclared)
    named = (replace(plan, name=tenancy.name),)
    return replace(made, tenancies=named, warnings=warnings, undeclared=()), tenancy


def _reads_files(options: LiveOptions, context: Context) -> bool:
    """Whether hooks files choose the tenancies. Raises UsageError if flags name one as well."""
    names = options.names_files or options.tenancies or options.targets
    if options.server or options.tenant:
        if names:
            what = "--server and --tenant cannot be combined with flags that select from files"
            raise UsageError(Problem(what, "leave out the one or the other"))
        return False
    return bool(names or context.environ.get("HOOKSYNC_FILE") or is_there(options.files[0]))


def _named_tenancy(options: LiveOptions, context: Context) -> Tenancy:
    """Make the tenancy that flags or variables name. Without a tenant, its name is provisional."""
    server = options.server or context.environ.get("PRESERVICA_SERVER")
    tenant = options.tenant or context.environ.get("PRESERVICA_TENANT")
    if not server:
        fix = "give --server, or set PRESERVICA_SERVER; or, for `list`, name a hooks file"
        raise UsageError(Problem("no server is named", fix))
    subject = "--server" if options.server else "PRESERVICA_SERVER"
    if problem := server_problem(server, subject, None, allow_http=False):
        raise UsageError(problem)
    settings = Settings(server=_written(server), tenant=_written(tenant) if tenant else None)
    name = slug(tenant or server_url(server).partition("://")[2], "tenancy").lower()
    entries = [TenancyDeclaration(name, settings, (), _COMMAND_LINE)]
    hold_to_policy(options, entries, context)
    [tenancy], _ = resolve(entries, context.environ)
    return tenancy


def _written(text: str) -> TemplateAt:
    return TemplateAt(parse_template(escape(text)), _COMMAND_LINE)


def export_text(one: ExportedTenancy) -> str:
    """Return the text of the hooks file."""
    document: dict[str, object] = {"version": 1}
    extra = one.triggers.difference(TRIGGER_NAMES, TRIGGER_NAMES.values())
    if extra:
        document["extra_triggers"] = sorted(extra)
    tenancy = one.tenancy
    settings: dict[str, object] = {"server": tenancy.server.declared}
    if tenancy.tenant_declared:
        settings["tenant"] = tenancy.tenant_declared
    settings["owns"] = "made"
    settings["subscriptions"] = one.entries
    document["tenancies"] = {tenancy.name: settings}
    text = write_yaml(document).replace("\n    owns: made\n", _OWNS, 1)
    if any("include_identifiers" not in entry for entry in one.entries.values()):
        text += _NOT_REPORTED
    return _HEAD + text


def env_text(needs: Sequence[Need], file: str) -> str:
    """Return the text of a file for --env-file: the variables that the hooks file needs.

    A value that python-dotenv or a shell could read differently is left empty. No shell may run
    text from a service.
    """
    lines = [f"# The variables of {printable(file)}, for --env-file. Keep this file out of Git."]
    for need in needs:
        value = need.value
        if "'" in value or "\\" in value:
            value = ""
        lines += ["", f"# {printable(need.what)}", f"{need.variable}='{value}'"]
    return "\n".join(lines) + "\n"
