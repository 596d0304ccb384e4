"""The commands `plan`, `apply` and `apply PLAN`.

Each calls the library function of its name, shows the result, and returns an exit code. Results
and messages go to `context.terminal`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial

from hooksync.api import run as library
from hooksync.api.inputs import Declared, prepare, prepare_saved
from hooksync.api.opening import OpenRun, open_run
from hooksync.api.options import RunOptions
from hooksync.commands.notice import send_notice
from hooksync.commands.problems import show_plan, show_problems, show_running
from hooksync.config.files import YAML_ENDINGS, follow_links
from hooksync.config.secret_sources import sources_of
from hooksync.core.context import Context
from hooksync.core.errors import (
    ExitCode,
    FileError,
    HooksyncError,
    Problem,
    SecretError,
    UsageError,
    exit_of,
    shortened,
    internal_error,
    internal_error_text,
)
from hooksync.core.model import Secret, SecretRef
from hooksync.core.origin import find_origin
from hooksync.core.output import Format
from hooksync.core.reading import read_file
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.core.run_flags import Verb
from hooksync.reconcile.plan import Plan, completed
from hooksync.render.metrics import metrics_text
from hooksync.render.notice import NoticeForm, RunSummary
from hooksync.render.renderers import plan_json
from hooksync.render.text import expected_answer, plain, plan_lines, question
from hooksync.state.store import state_place

_NOT_CONFIRMED = Problem("not confirmed", 'answer "yes", or give --yes')
_MOST_METRICS = 16 * 1024 * 1024  # bytes
_METRICS_MODE = 0o644  # Prometheus may read it as a different user


class WatchedOptions(RunOptions, frozen=True):
    """The flags that `plan` and `apply` share."""

    format: Format = "text"
    shows_kept: bool = False
    notify: SecretRef | None = None  # the place of the webhook's URL
    notify_as: NoticeForm = "json"
    metrics: str | None = None  # path to write metrics at


class PlanOptions(WatchedOptions, frozen=True):
    """The flags of `plan`."""

    has_detailed_exit_code: bool = False
    is_quiet: bool = False  # show nothing if everything was compared and is as declared
    out: str | None = None  # path to save the plan at


class ApplyOptions(WatchedOptions, frozen=True):
    """The flags of `apply`."""

    report: str | None = None  # path to write the report at
    saved_plan: str | None = None  # path of the plan that the new plan must equal
    max_age: timedelta | None = None  # of the saved plan


def _watch(
    command: str, do: Callable[[], Plan], options: WatchedOptions, context: Context
) -> ExitCode:
    """Run a command, and report its end by metrics and a notice, even if it fails early."""
    _keep_inputs(options, context)
    if not (options.notify or options.metrics):
        return ExitCode(do().exit_code)
    url = _notice_url(options, context)
    problems: tuple[Problem, ...] = ()
    code = ExitCode.INTERRUPTED
    made = None
    try:
        made = do()
        code = ExitCode(made.exit_code)
        return code
    except Exception as error:
        code, problems = exit_of(error, has_begun=context.begun.is_set())
        raise
    finally:
        now = context.clock.now()
        origin = find_origin(context.environ)
        summary = RunSummary(command, code, made, problems, now, origin)
        _report_end(summary, options, url, context)


def _keep_inputs(options: WatchedOptions, context: Context) -> None:
    """Raise UsageError if an output would replace a hooks file or the state."""
    state = state_place(options.files[0], options.state)
    inputs = {follow_links(path) for path in (*options.files, state) if path}
    for name in ("out", "report", "metrics"):
        path = getattr(options, name, None)
        # no output is YAML: this also keeps the files of a directory
        if path and (path.endswith(YAML_ENDINGS) or follow_links(path) in inputs):
            context.output.written.add(path)  # the error is not written there
            what = f"--{name} {printable(path)} would replace a hooks file or the state"
            raise UsageError(Problem(what, "choose a different path"))


def _report_end(
    summary: RunSummary, options: WatchedOptions, url: Secret | None, context: Context
) -> None:
    """Write metrics and send a notice, if the user asked for them."""
    if summary.code == ExitCode.INTERRUPTED:
        summary = replace(summary, code=context.terminal.interrupt_code)
    if options.metrics:
        _write_metrics(summary, options.metrics, context)
    if url and summary.event:
        _notify(summary, options, url, context)


def plan(options: PlanOptions, context: Context, open_run: OpenRun = open_run) -> ExitCode:
    """Make and show a plan. With --out, save what apply would carry out, and mark the rest."""
    return _watch("plan", partial(_plan, options, context, open_run), options, context)


def _plan(options: PlanOptions, context: Context, open_run: OpenRun) -> Plan:
    declared = prepare(options, context)
    with open_run(declared) as run:
        made = library.planned(declared, run)
    if not made.is_interrupted:
        made = completed(made, is_detailed=options.has_detailed_exit_code)
    if options.out or options.format in ("json", "html"):
        made = declared.sealed(made)
    is_saved = bool(options.out) and _is_applicable(made)
    if options.out and is_saved:  # first: if this fails, that is the result
        text = context.output.checked(plan_json(made), "the plan")
        context.output.write_file(options.out, text)
    if options.is_quiet and completed(made, is_detailed=True).exit_code == ExitCode.DONE:
        return made
    show_running(made, context)
    show_plan(made, options.format, context, shows_kept=options.shows_kept)
    show_problems(made, context, refused="apply would refuse")
    if options.out:
        what = f"not saved: {options.out} was not written: none of this can be applied"
        context.terminal.message(printable(_saved(made, options) if is_saved else what))
    return made


def _saved(made: Plan, options: PlanOptions) -> str:
    """Return how to apply the saved plan, and which tenancies it leaves out."""
    applying = options.flags.command("apply", str(options.out), selects=False)
    return f"saved: `{applying}` carries out exactly this{_exceptions(made)}"


def _is_applicable(made: Plan) -> bool:
    """Whether apply would carry out a part of the plan, or accept that there is nothing to do."""
    if made.is_interrupted or made.refusals:
        return False
    return bool(made.ready_tenancies) or not (made.all_errors or made.all_refusals)


def _exceptions(made: Plan) -> str:
    """Name the tenancies that a saved plan marks as refused or not planned."""
    marked = []
    for tenancy in made.tenancies:
        if tenancy.refusals or tenancy.errors:
            marked.append(f"{tenancy.name} ({'not planned' if tenancy.errors else 'refused'})")
    return f", without {shortened(marked)}" if marked else ""


def apply(options: ApplyOptions, context: Context, open_run: OpenRun = open_run) -> ExitCode:
    """Plan, ask, apply and verify. A saved plan needs no answer, but must equal the new plan."""
    return _watch("apply", partial(_apply, options, context, open_run), options, context)


def _apply(options: ApplyOptions, context: Context, open_run: OpenRun) -> Plan:
    declared = _declared(options, context)
    told: set[Problem] = set()
    with open_run(declared, is_apply=True) as run:
        asks = not declared.is_confirmed and context.terminal.can_ask()
        made = library.planned_for_apply(declared, run, asks=asks)
        _refuse_wrong_ids(made, options)
        must_ask = bool(made.ready_tenancies) and not declared.is_confirmed
        if must_ask and not asks:
            made = replace(made, refusals=(_no_terminal(options),))
        else:
            made = library.probed(declared, run, made)
        if not _is_confirmed(made, options, context, told, must_ask=must_ask):
            made = replace(made, refusals=(_NOT_CONFIRMED,))
        is_reviewed = must_ask or declared.receipt is not None
        done = library.applied(declared, run, made, is_reviewed=is_reviewed)
    return _with_bugs_last(done, run.failures, options, context, told)


def _with_bugs_last(
    done: Plan,
    failures: Sequence[Exception],
    options: ApplyOptions,
    context: Context,
    told: set[Problem],
) -> Plan:
    """Show the result of an apply, and then its first internal error in full."""
    bugs = [error for error in failures if not isinstance(error, HooksyncError)]
    told.update(map(internal_error, bugs))
    done = _show_result(done, options, context, told)
    for error in bugs[:1]:
        context.terminal.message(internal_error_text(error))
    return done


def _declared(options: ApplyOptions, context: Context) -> Declared:
    """Read what the hooks files declare, as the flags or a saved plan choose."""
    if options.saved_plan is None:
        return prepare(options, context)
    return prepare_saved(options.saved_plan, options.max_age, options, context)


def _refuse_wrong_ids(made: Plan, options: ApplyOptions) -> None:
    """Raise HooksyncError for ids to remove that no tenancy has, or several have."""
    live = Counter(step.id for step in made.steps)
    problems = []
    for identifier in options.remove:
        if live[identifier] > 1:
            what = f"several tenancies have a live subscription with the id {identifier}"
            problems.append(Problem(what, "choose one with --tenancy"))
        elif not live[identifier]:
            what = f"no live subscription has the id {identifier}"
            fix = f"`{options.flags.command('list')}` shows the ids"
            problems.append(Problem(what, fix))
    if problems:
        raise HooksyncError(*made.all_errors, *problems)


def _no_terminal(options: ApplyOptions) -> Problem:
    """Report that nobody can be asked."""
    verb: Verb = "remove" if options.remove else "apply"
    confirmed = options.flags.command(verb, *options.remove, "--yes")
    fix = f"`{confirmed}` if the plan is what you want"
    return Problem("not confirmed: cannot prompt without a terminal", fix)


def _is_confirmed(
    made: Plan, options: ApplyOptions, context: Context, told: set[Problem], *, must_ask: bool
) -> bool:
    """Show the plan of an apply and its problems, and ask whether to apply it.

    With --format json or markdown, standard output gets only the result. If the user is asked, the
    plan is shown on standard error.
    """
    asks = must_ask and bool(made.ready_tenancies) and not (made.refusals or made.is_interrupted)
    lines = plan_lines(made, shows_kept=options.shows_kept)
    if options.format == "text":
        context.terminal.show(lines)
    elif asks:
        context.terminal.message(plain(lines))
    show_problems(made, context, refused="refused", told=told)
    return not asks or context.terminal.ask(question(made), expected_answer(made))


def _show_result(done: Plan, options: ApplyOptions, context: Context, told: set[Problem]) -> Plan:
    """Show the result of an apply, and write its report. `told`: the problems already shown.

    Returns the result with a code that also says whether this failed.
    """
    if options.report:  # first, so that it is written even if standard output fails
        done = _written(
            partial(context.output.write_file, options.report, plan_json(done)), done, context
        )
    done = _written(partial(_show_report, done, options, context), done, context)
    show_problems(done, context, refused="refused", told=told)
    return done


def _written(write: Callable[[], None], done: Plan, context: Context) -> Plan:
    """Write the result of an apply that is over. If that fails, the exit code says so."""
    try:
        write()
    except HooksyncError as error:
        for problem in error.problems:
            context.terminal.message(f"error: {problem}")
        if done.exit_code in (ExitCode.DONE, ExitCode.REFUSED):
            code = ExitCode.PARTLY_APPLIED if done.has_changed else ExitCode.ERROR
            return replace(done, exit_code=int(code))
    return done


def _show_report(done: Plan, options: ApplyOptions, context: Context) -> None:
    """Show the result of an apply. Without changes, no text is shown."""
    if options.format == "text":
        if done.has_changes:
            context.terminal.show([("", ""), *plan_lines(done)])
        return
    show_plan(done, options.format, context, shows_kept=options.shows_kept)


def _notice_url(options: WatchedOptions, context: Context) -> Secret | None:
    """Find the URL for notices. It is called early, so that every run reports a missing URL."""
    try:
        sources = sources_of(context)
        return sources.find(options.notify) if options.notify else None
    except SecretError as error:
        for problem in error.problems:
            context.terminal.warn(replace(problem, what=f"no notice can be sent: {problem.what}"))
        return None


def _notify(summary: RunSummary, options: WatchedOptions, url: Secret, context: Context) -> None:
    body = context.output.safe(
        json.dumps(summary.payload(options.notify_as), ensure_ascii=False), "json"
    )
    send_notice(url, body.encode(), str(options.notify), context)


def _write_metrics(summary: RunSummary, path: str, context: Context) -> None:
    """Replace the metrics of the last run, but keep the last success of what failed now."""
    before = ""
    with suppress(OSError, ValueError):  # no file yet, or not one of hooksync
        before = read_file(path, _MOST_METRICS).decode()
    try:
        run = path.replace("\\", "/").rpartition("/")[2].removesuffix(".prom")
        context.output.write_file(path, metrics_text(summary, run, before), _METRICS_MODE)
    except FileError as error:
        for problem in error.problems:
            context.terminal.warn(problem)
