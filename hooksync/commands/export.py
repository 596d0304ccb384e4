"""The commands `export` and `list`: show what is live, as a hooks file and as it is.

Change nothing, print nothing.

Every text from outside goes into the file through `scalar` or `_comment`, so it stays a text on its
line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from hooksync.api import run as library
from hooksync.api.inputs import Declared, hold_to_policy, prepare
from hooksync.commands.export_draft import (
    ExportedEntry,
    ExportedTenancy,
    Need,
    free_variables,
    slug,
)
from hooksync.commands.options import ExportOptions, Format, LiveOptions
from hooksync.commands.problems import show_problems
from hooksync.config.declarations import Settings, TenancyDeclaration, Written, server_problem
from hooksync.config.resolve import resolve
from hooksync.config.yaml_loader import read_plain
from hooksync.core.errors import ExitCode, FileError, Problem, UsageError
from hooksync.core.model import (
    TRIGGER_NAMES,
    CredentialRefs,
    Location,
    PlainSettings,
    SecretRef,
    Tenancy,
)
from hooksync.core.output import is_there
from hooksync.core.record import Record, fields_of, replace
from hooksync.core.redaction import printable
from hooksync.core.template import escape, parse_template
from hooksync.core.urls import is_plain_http, server_url
from hooksync.output.list_json import list_json
from hooksync.output.listing import coverage_table, list_table, targeted
from hooksync.output.markdown import table_page
from hooksync.output.text import state_lines, table_lines
from hooksync.output.view import TenancyView
from hooksync.reconcile.context import World

_PLAIN = re.compile("[A-Za-z_][A-Za-z0-9_.-]*")
_NOT_ASCII = re.compile("[^ -~]")
_OTHER_BOOLEANS = frozenset({"y", "n"})  # to some readers of YAML 1.1
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
# Editors check this file by the first line, once `hooksync schema > hooks.schema.json` was run.
"""
_OWNS_COMMENT = (
    "  # what hooksync may remove if no file declares it: made (by it), all, none, or URL prefixes"
)
# of flags, and of variables; only a policy is told so
_NOWHERE = Location("the command line", 1, 1)


class ListOptions(LiveOptions, frozen=True):
    """The flags of `list`."""

    format: Format = "text"
    shows_coverage: bool = False


def export(
    options: ExportOptions, world: World, write: Callable[[str, Sequence[Need]], None] | None = None
) -> ExitCode:
    """Show what is live as a hooks file. DONE when every tenancy was read.

    `write`: takes the text of the file instead, and what it needs; not called where a part of it
    could not be read.
    """
    made = _read(replace(options, uses_state=False), world)
    if made.is_interrupted:
        return ExitCode.INTERRUPTED
    tenancies = _exported(made, world)
    exported = [one for one in tenancies if isinstance(one, ExportedTenancy)]
    unread = [one for one in tenancies if isinstance(one, TenancyView)]
    needs = list(chain.from_iterable(one.needs for one in exported))  # in the order of the file
    if write is None and exported:
        world.terminal.result(export_text(tenancies))
    elif write and not unread:
        write(export_text(tenancies), needs)
    for warning in chain(made.declared.warnings, *(one.warnings for one in exported)):
        world.terminal.warn(warning)
    _report_needs(needs, None if unread else options.write_env, world)
    if not unread:
        return ExitCode.DONE
    _report_unread(unread, options.path if write else None, world)
    return ExitCode.ERROR


def _report_unread(unread: Sequence[TenancyView], path: str | None, world: World) -> None:
    """Report tenancies that could not be read. `path`: of the file that needs all of them."""
    for view in unread:
        for problem in view.error.problems if view.error else ():
            world.terminal.message(f"error: {view.tenancy.name}: {problem}")
    if path:
        what = f"{printable(path)} was not written, because it would be incomplete"
        world.terminal.message(what)


def _exported(made: library.Plan, world: World) -> list[ExportedTenancy | TenancyView]:
    """Declare what was read; a tenancy that was not stays as it is."""
    variables = free_variables(one.tenancy for one in made.tenancies)
    tenancies: list[ExportedTenancy | TenancyView] = []
    for one in made.tenancies:
        if one.live is None:
            tenancies.append(one)
        else:
            redactor = world.output.redactor
            tenancies.append(ExportedTenancy(one.tenancy, one.live, variables, redactor))
    return tenancies


def _report_needs(needs: Sequence[Need], env_file: str | None, world: World) -> None:
    """List the variables to set. `env_file`: was written with them."""
    if not needs:
        return
    width = max(len(need.variable) for need in needs)
    lines = [f"  {need.variable:{width}}  {need.what}" for need in needs]
    first, *then = _HOW_TO_SET
    if env_file:
        path = printable(env_file)
        first = f"fill in what is empty in {path}, and give each command --env-file {path}:"
        then = []
    world.terminal.message("\n".join((first, *lines, *then)))


def list_live(options: ListOptions, world: World) -> ExitCode:
    """Show what is live, or who subscribes to which trigger: a view of the plan.

    DONE when every tenancy was read.
    """
    made = _read(options, world)
    tenancies = []
    for one in made.tenancies:
        shown = targeted(one) if options.targets else one
        tenancies.append(replace(shown, refusals=()))  # nothing is to be carried out
    view = replace(made.view, tenancies=tuple(tenancies))
    code = ExitCode.DONE
    if made.is_interrupted:
        code = ExitCode.INTERRUPTED
    elif view.errors:
        code = ExitCode.ERROR
    table, summary = coverage_table(view) if options.shows_coverage else list_table(view)
    if options.format == "text":
        world.terminal.show([*table_lines(table), ("", ""), ("", summary), *state_lines(view)])
    elif options.format == "json":
        world.terminal.result(list_json(view, code), "json")
    else:
        world.terminal.result(table_page("list", table, summary), "markdown")
    show_problems(view, world, refused="refused")
    return code


def _read(options: LiveOptions, world: World) -> library.Plan:
    """Read the chosen tenancies: those of hooks files, or a named one, which has no state."""
    if _reads_files(options, world):
        return library.plan(prepare(options, world))
    options = replace(options, uses_state=options.uses_state and options.state is not None)
    made = library.plan(Declared((_named_tenancy(options, world),), (), options, world))
    [view] = made.tenancies
    one = view.tenancy
    if (
        not one.tenant_declared and one.tenant and one.tenant.isprintable()
    ):  # only the log-in has told it
        one = replace(
            one, name=slug(one.tenant, one.name).lower(), tenant_declared=escape(one.tenant)
        )
    return replace(made, view=replace(made.view, tenancies=(replace(view, tenancy=one),)))


_HOW_TO_SET = (
    "set these before you use the file:",
    "these parts of URLs are neither shown nor in the file: set each exactly as it is in the URL.",
    (
        "set them in the secret store of your CI, with `export NAME=...`, or in a file for"
        " --env-file, which"
    ),
    (
        "`hooksync init --from-live --write-env FILE --with-values` writes; then `hooksync adopt`"
        " records that"
    ),
    "these secrets are in use, and `hooksync plan` says no changes.",
)


def _reads_files(options: LiveOptions, world: World) -> bool:
    """Whether files choose the tenancies.

    Raises an error if nothing does, or if flags do as well.
    """
    names = options.names_files or options.tenancies or options.targets or options.shard
    if options.server or options.tenant:
        if names:
            others = "--target" if options.targets else "--file, --tenancy or --shard"
            fix = f"leave out either --server and --tenant, or {others}"
            raise UsageError(
                Problem(f"--server and --tenant cannot be combined with {others}", fix)
            )
        return False
    if names or world.environ.get("HOOKSYNC_FILE") or is_there(options.files[0]):
        return True
    if world.environ.get("PRESERVICA_SERVER"):
        return False
    fix = (
        "give --server eu.preservica.com (or another), set PRESERVICA_SERVER, or name a hooks file"
        " with --file"
    )
    raise FileError(Problem(f"there is no file {options.files[0]}, and no server is named", fix))


def _named_tenancy(options: LiveOptions, world: World) -> Tenancy:
    """Make the tenancy that flags and environment name. Its name is only settled by the log-in."""
    server = options.server or world.environ.get("PRESERVICA_SERVER")
    tenant = options.tenant or world.environ.get("PRESERVICA_TENANT")
    if not server:
        raise UsageError(
            Problem("--tenant needs a server", "give --server, or set PRESERVICA_SERVER")
        )
    subject = "--server" if options.server else "PRESERVICA_SERVER"
    if problem := server_problem(server, subject, None, allow_http=False):
        over_http = "use https, or export from a hooks file with `allow_http: true`"
        raise UsageError(Problem(problem.what, over_http if is_plain_http(server) else problem.fix))
    if tenant and not tenant.isprintable():
        raise UsageError(
            Problem("the tenant contains a line break or a control character", "check --tenant")
        )
    settings = Settings(server=_written(server), tenant=_written(tenant) if tenant else None)
    name = slug(tenant or server_url(server).partition("://")[2], "tenancy").lower()
    entries = [TenancyDeclaration(name, settings, (), _NOWHERE)]
    hold_to_policy(options, entries, world)
    [tenancy], _ = resolve(entries, world.environ)
    return tenancy


def _written(text: str) -> Written:
    return Written(parse_template(escape(text)), _NOWHERE)


def export_text(tenancies: Sequence[ExportedTenancy | TenancyView]) -> str:
    """Write a hooks file. A tenancy that could not be read is a comment in it."""
    lines = ["version: 1"]
    entries = (
        entry for one in tenancies if isinstance(one, ExportedTenancy) for entry in one.entries
    )
    used = {trigger.wire for entry in entries for trigger in entry.triggers}
    if extra := sorted(used.difference(TRIGGER_NAMES, TRIGGER_NAMES.values())):
        lines.append(f"extra_triggers: {_flow(extra)}")
    lines.append("tenancies:")
    for one in tenancies:
        if isinstance(one, TenancyView):
            reason = one.error.summary if one.error else "interrupted"
            what = f"{one.tenancy.name} is missing, because it could not be read: {reason}"
            lines.append(f"  {_comment(what)}")
        else:
            lines += _tenancy_lines(one)
    return _HEAD + "\n" + "\n".join(lines) + "\n"


def env_text(needs: Sequence[Need], file: str, *, with_values: bool) -> str:
    """Write a file for --env-file: the variables that the hooks file needs."""
    lines = [f"# The variables of {printable(file)}, for --env-file. Keep this file out of Git."]
    for need in needs:
        quoted = _quoted(need.value if with_values else "")
        what = (
            need.what
            if quoted
            else f"{need.what}: set it yourself, for a shell would run what it holds"
        )
        lines += ["", _comment(what), f"{need.variable}={quoted}"]
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    """Quote a value so that python-dotenv and a shell read it alike.

    Empty where that cannot be done: what a service says must not be run.
    """
    if "'" not in value and "\\" not in value:
        return f"'{value}'"
    doubled = value.replace("\\", "\\\\").replace('"', '\\"')
    return "" if "$" in value or "`" in value else f'"{doubled}"'


def scalar(text: str) -> str:
    """Write any text so that YAML reads it as that text: plain if that is safe, otherwise quoted.

    In ASCII: standard output is not UTF-8 everywhere, and a hooks file must be.
    """
    if _PLAIN.fullmatch(text) and read_plain(text) == text and text.lower() not in _OTHER_BOOLEANS:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _NOT_ASCII.sub(lambda found: f"\\U{ord(found[0]):08x}", quoted)


def _comment(text: str) -> str:
    return f"# {printable(text)}".encode("ascii", "backslashreplace").decode("ascii")


def _tenancy_lines(one: ExportedTenancy) -> Iterator[str]:
    yield f"  {scalar(one.tenancy.name)}:"
    yield from _field_lines("    ", _settings(one.tenancy))
    yield f"    owns: {_flow(one.tenancy.owns)}{_OWNS_COMMENT}"
    if one.not_covered:
        yield f"    # left out, because they are outside the prefixes of `owns`: {one.not_covered}"
    for left_out in one.left_out:
        yield f"    {_comment(f'left out: {left_out}')}"
    yield "    subscriptions:" if one.entries else "    subscriptions: {}"
    for entry in one.entries:
        yield f"      {scalar(entry.name)}:"
        yield from _field_lines("        ", _entry(entry))
        if entry.include_identifiers is None:
            yield "        # include_identifiers is not known: the service does not report it"


def _field_lines(indentation: str, fields: Mapping[str, object]) -> Iterator[str]:
    for name, value in fields.items():
        yield f"{indentation}{name}: {_flow(value)}"


def _settings(tenancy: Tenancy) -> dict[str, object]:
    """Give what differs from what holds where a file is silent."""
    fields: dict[str, Any] = {
        "server": tenancy.server.declared,
        "tenant": tenancy.tenant_declared or None,
    }
    fields |= _unusual(tenancy, PlainSettings())
    fields.pop("owns", None)  # always written
    if limit := fields.pop("limit", None):
        fields["limits"] = {"unsubscribe": limit.number if limit.percent is None else str(limit)}
    if login := fields.get("credentials"):
        fields["credentials"] = _unusual(login, CredentialRefs())
    return {name: value for name, value in fields.items() if value is not None}


def _unusual(holder: Record, usual: Record) -> dict[str, Any]:
    fields = fields_of(type(usual), holder)
    return {name: value for name, value in fields.items() if value != getattr(usual, name)}


def _entry(entry: ExportedEntry) -> dict[str, object]:
    names = [trigger.short for trigger in entry.triggers]
    fields: dict[str, object] = {"url": entry.url}
    if len(names) == 1:
        fields["trigger"] = names[0]
    else:
        fields["triggers"] = names
    fields["secret"] = entry.secret
    if entry.include_identifiers is not None:
        fields["include_identifiers"] = entry.include_identifiers
    return fields


def _flow(value: object) -> str:
    """Write a value on one line, as YAML."""
    match value:
        case str():
            return scalar(value)
        case SecretRef():
            return _flow(value.written())
        case dict():
            return f"{{{', '.join(_field_lines('', value))}}}"
        case frozenset():
            return _flow(sorted(value))
        case list() | tuple():
            return f"[{', '.join(map(_flow, value))}]"
    return str(value).lower()  # a number or a boolean
