"""The command `list`: shows what is live. It changes nothing."""

from __future__ import annotations

from hooksync.api import run as library
from hooksync.api.inputs import prepare
from hooksync.commands.named_tenancy import read_named
from hooksync.commands.options import LiveOptions
from hooksync.commands.problems import show_problems, show_running
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, Problem, UsageError
from hooksync.core.output import Format, is_there
from hooksync.core.record import replace
from hooksync.reconcile.plan import Plan
from hooksync.render.listing import list_table, live_only
from hooksync.render.renderers import plan_json
from hooksync.render.text import state_lines, table_lines


class ListOptions(LiveOptions, frozen=True):
    """The flags of `list`."""

    format: Format = "text"


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
    return read_named(options, context)[0]


def _reads_files(options: LiveOptions, context: Context) -> bool:
    """Whether hooks files choose the tenancies. Raises UsageError if flags name one as well."""
    names = options.names_files or options.tenancies or options.targets
    if options.server or options.tenant:
        if names:
            what = "--server and --tenant cannot be combined with flags that select from files"
            raise UsageError(Problem(what, "leave out the one or the other"))
        return False
    return bool(names or context.environ.get("HOOKSYNC_FILE") or is_there(options.files[0]))
