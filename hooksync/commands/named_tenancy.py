"""Read the tenancy that --server, --tenant and PRESERVICA_* name, without a hooks file."""

from __future__ import annotations

from hooksync.api import run as library
from hooksync.api.inputs import Declared, hold_to_policy
from hooksync.commands.draft import slug
from hooksync.commands.options import LiveOptions
from hooksync.config.declarations import Settings, TemplateAt, TenancyDeclaration
from hooksync.config.resolve import resolve, server_problem
from hooksync.core.context import Context
from hooksync.core.errors import Problem, UsageError
from hooksync.core.model import Location, Tenancy
from hooksync.core.record import replace
from hooksync.core.template import escape, parse_template
from hooksync.core.urls import server_url
from hooksync.reconcile.plan import Plan

# the place of settings from flags and variables; only messages of a policy show it
_COMMAND_LINE = Location("the command line", 1, 1)


def read_named(options: LiveOptions, context: Context) -> tuple[Plan, Tenancy]:
    """Read the tenancy that flags or variables name. If they name no tenant, the log-in does."""
    tenancy = _named_tenancy(options, context)
    made = library.plan(Declared((tenancy,), (), options, context))
    [plan] = made.tenancies
    if plan.tenant and not tenancy.tenant_declared:
        name = slug(plan.tenant, tenancy.name).lower()
        declared = escape(plan.tenant)
        tenancy = replace(tenancy, name=name, tenant=plan.tenant, tenant_declared=declared)
    return replace(made, tenancies=(replace(plan, name=tenancy.name),)), tenancy


def _named_tenancy(options: LiveOptions, context: Context) -> Tenancy:
    """Make the tenancy that flags or variables name. Without a tenant, its name is provisional."""
    server = options.server or context.environ.get("PRESERVICA_SERVER")
    tenant = options.tenant or context.environ.get("PRESERVICA_TENANT", "")
    if not server:
        raise UsageError(Problem("no server is named", "give --server, or set PRESERVICA_SERVER"))
    subject = "--server" if options.server else "PRESERVICA_SERVER"
    if problem := server_problem(server, subject, None, allow_http=False):
        raise UsageError(problem)
    settings = Settings(server=_written(server), tenant=_written(tenant))
    name = slug(tenant or server_url(server).partition("://")[2], "tenancy").lower()
    entries = [TenancyDeclaration(name, settings, (), _COMMAND_LINE)]
    hold_to_policy(options, entries, context)
    [tenancy], _ = resolve(entries, context.environ)
    return tenancy


def _written(text: str) -> TemplateAt:
    return TemplateAt(parse_template(escape(text)), _COMMAND_LINE)
