"""The commands `plan`, `apply` and `apply PLAN`.

Each calls the library function of its name, shows the result, and returns an exit code. Results
and messages go to `world.terminal`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial, wraps
from typing import TypeVar

from hooksync.api import run as library
from hooksync.api.inputs import open_session, prepare, prepare_saved
from hooksync.api.options import RunOptions
from hooksync.commands.problems import show_plan, show_problems, show_running
from hooksync.config.files import YAML_ENDINGS, follow_links
from hooksync.core.errors import (
    ExitCode,
    FileError,
    HooksyncError,
    Problem,
    SecretError,
    UsageError,
    some_of,
    unforeseen_text,
    what_ended,
)
from hooksync.core.model import Secret, SecretRef
from hooksync.core.output import Format
from hooksync.core.reading import read_file
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.reconcile.context import World, find_origin
from hooksync.reconcile.plan import Plan, completed
from hooksync.reconcile.session import open_run
from hooksync.render.notice import Ending, NoticeForm
from hooksync.render.text import plain, plan_lines, question, report_lines
from hooksync.state.store import state_place

_NOT_CONFIRMED = Problem("not confirmed", 'answer "yes", or give --yes')
_NOTICE_TIMEOUT = 10.0  # seconds
_NOTICE_FIX = (
    "check that the variable or file contains the whole URL, as the chat or the webhook's owner"
    " gave it"
)
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
    out: str | None = None  # path to save the plan at


class ApplyOptions(WatchedOptions, frozen=True):
    """The flags of `apply`."""

    report: str | None = None  # path to write the report at
    saved_plan: str | None = None  # path of the plan that the new plan must equal
    max_age: timedelta | None = None  # of the saved plan


Watched = TypeVar("Watched", bound=WatchedOptions)


def _watched(
    do: Callable[[Watched, World], Plan],
) -> Callable[[Watched, World], ExitCode]:
    """Wrap a command: report its end by metrics and a notice, even if it fails early."""

    @wraps(do)
    def run(options: Watched, world: World) -> ExitCode:
        _keep_inputs(options, world)
        if options.notify or options.metrics:
            return _run_watched(do, options, world)
        return ExitCode(do(options, world).exit_code)

    return run


def _run_watched(do: Callable[[Watched, World], Plan], options: Watched, world: World) -> ExitCode:
    """Run a command and report its end, even if it fails early."""
    url = _notice_url(options, world)
    begun = world.clock.now()
    problems: tuple[Problem, ...] = ()
    code = ExitCode.INTERRUPTED
    made = None
    try:
        made = do(options, world)
        code = ExitCode(made.exit_code)
        return code
    except Exception as error:
        code, problems = what_ended(error, has_begun=world.begun.is_set())
        raise
    finally:
        ending = Ending(
            do.__name__,
            code,
            made,
            problems,
            begun,
            world.clock.now(),
            find_origin(world.environ),
        )
        _tell(ending, options, url, world)


def _keep_inputs(options: WatchedOptions, world: World) -> None:
    """Raise UsageError if an output would replace a hooks file or the state."""
    state = state_place(options.files[0], options.state)
    inputs = {follow_links(path) for path in (*options.files, state) if path}
    for name in ("out", "report", "metrics"):
        path = getattr(options, name, None)
        # no output is YAML: this also keeps the files of a directory
        if path and (path.endswith(YAML_ENDINGS) or follow_links(path) in inputs):
            world.output.written.add(path)  # the error is not written there
            what = f"--{name} {printable(path)} would replace a hooks file or the state"
            raise UsageError(Problem(what, "choose a different path"))


def _tell(ending: Ending, options: WatchedOptions, url: Secret | None, world: World) -> None:
    """Write metrics and send a notice, if the user asked for them."""
    if ending.code == ExitCode.INTERRUPTED:
        ending = replace(ending, code=world.interrupt_code())
    if options.metrics:
        _write_metrics(ending, options.metrics, world)
    if url and ending.event:
        _notify(ending, options, url, world)


@_watched
def plan(options: PlanOptions, world: World) -> Plan:
    """Make and show a plan. With --out, save what apply would carry out, and mark the rest."""
    declared = prepare(options, world)
    made = library.plan(declared)
    if not made.is_interrupted:
        made = completed(made, is_detailed=options.has_detailed_exit_code)
    if options.out or options.format in ("json", "html"):
        made = declared.sealed(made, is_signed=bool(options.out))
    is_whole = made.exit_code in (ExitCode.DONE, ExitCode.CHANGES_PENDING)
    is_saved = is_whole or (made.ready_tenancies and not made.is_interrupted)
    if options.out and is_saved:  # first: if this fails, that is the result
        world.output.write_file(options.out, declared.render(made, "json"))
    show_running(made, world)
    show_plan(made, options.format, world, shows_kept=options.shows_kept)
    show_problems(made, world, refused="apply would refuse")
    if options.out:
        what = f"not saved: {options.out} was not written: none of this can be applied"
        if is_saved:
            applying = options.flags.command("apply", options.out, selects=False)
            what = f"saved: `{applying}` carries out exactly this{_exceptions(made)}"
        world.terminal.message(printable(what))
    return made


def _exceptions(made: Plan) -> str:
    """Name the tenancies that a saved plan marks as refused or not planned."""
    marked = []
    for tenancy in made.tenancies:
        if tenancy.refusals or tenancy.errors:
            marked.append(f"{tenancy.name} ({'not planned' if tenancy.errors else 'refused'})")
    return f", without {some_of(marked)}" if marked else ""


@_watched
def apply(options: ApplyOptions, world: World) -> Plan:
    """Plan, ask, apply and verify. A saved plan needs no answer, but must equal the new plan."""
    if options.saved_plan is None:
        declared = prepare(options, world)
    else:
        declared = prepare_saved(options.saved_plan, options.max_age, options, world)
    told: set[Problem] = set()
    with open_session(declared, is_apply=True) as session:
        made = library.planned_for_apply(session)
        must_ask = bool(made.ready_tenancies) and not declared.is_confirmed
        if must_ask and not world.terminal.can_ask():
            confirmed = options.flags.command("apply", "--yes")
            fix = f"`{confirmed}` if the plan is what you want"
            problem = Problem("not confirmed: there is no terminal to ask on", fix)
            made = replace(made, refusals=(problem,))
        else:
            made = library.probed(session, made)
        if not _is_confirmed(made, options, world, told, must_ask=must_ask):
            made = replace(made, refusals=(_NOT_CONFIRMED,))
        done = library.applied(session, made)
    done = _show_result(done, options, world, told)
    for error in session.run.failures:
        if not isinstance(error, HooksyncError):
            world.terminal.message(unforeseen_text(error))
            break
    return done


def _is_confirmed(
    made: Plan, options: ApplyOptions, world: World, told: set[Problem], *, must_ask: bool
) -> bool:
    """Show the plan of an apply and its problems, and ask whether to apply it.

    With --format json or markdown, standard output gets only the result. If the user is asked, the
    plan is shown on standard error.
    """
    asks = must_ask and bool(made.ready_tenancies) and not (made.refusals or made.is_interrupted)
    lines = plan_lines(made, shows_kept=options.shows_kept)
    if options.format == "text":
        world.terminal.show(lines)
    elif asks:
        world.terminal.message(plain(lines))
    show_problems(made, world, refused="refused", told=told)
    return not asks or world.terminal.ask(question(made))


def _show_result(done: Plan, options: ApplyOptions, world: World, told: set[Problem]) -> Plan:
    """Show the result of an apply, and write its report. `told`: the problems already shown.

    Returns the result with a code that also says whether this failed.
    """
    if options.report:  # first, so that it is written even if standard output fails
        from hooksync.render.renderers import plan_json  # only here: most runs write no report

        done = _written(
            partial(world.output.write_file, options.report, plan_json(done)), done, world
        )
    done = _written(partial(_show_report, done, options, world), done, world)
    show_problems(done, world, refused="refused", told=told)
    return done


def _written(write: Callable[[], None], done: Plan, world: World) -> Plan:
    """Write the result of an apply that is over. If that fails, the exit code says so."""
    try:
        write()
    except HooksyncError as error:
        for problem in error.problems:
            world.terminal.message(f"error: {problem}")
        if done.exit_code in (ExitCode.DONE, ExitCode.REFUSED):
            code = ExitCode.PARTLY_APPLIED if done.has_changed else ExitCode.ERROR
            return replace(done, exit_code=int(code))
    return done


def _show_report(done: Plan, options: ApplyOptions, world: World) -> None:
    """Show the result of an apply. Without changes, no text is shown."""
    if options.format == "text":
        if done.has_changes:
            world.terminal.show([("", ""), *report_lines(done)])
        return
    show_plan(done, options.format, world, shows_kept=options.shows_kept)


def _notice_url(options: WatchedOptions, world: World) -> Secret | None:
    """Find the URL for notices. It is called early, so that every run reports a missing URL."""
    try:
        return world.secrets.find(options.notify) if options.notify else None
    except SecretError as error:
        for problem in error.problems:
            world.terminal.warn(replace(problem, what=f"nobody can be notified: {problem.what}"))
        return None


def _notify(ending: Ending, options: WatchedOptions, url: Secret, world: World) -> None:
    from hooksync.receivers.events import send_notice

    body = world.output.safe(
        json.dumps(ending.payload(options.notify_as), ensure_ascii=False), "json"
    )
    with open_run((), world, timeout=_NOTICE_TIMEOUT, parallelism=1) as run:
        why = send_notice(url, body.encode(), str(options.notify), run.context)
    if why:
        world.terminal.warn(Problem(f"nobody was notified: {options.notify}: {why}", _NOTICE_FIX))


def _write_metrics(ending: Ending, path: str, world: World) -> None:
    """Replace the metrics of the last run, but keep its last success if this run failed."""
    from hooksync.render.metrics import LAST_SUCCESS, metrics_text

    before = None
    with suppress(OSError, ValueError):  # no file yet, or not one of hooksync
        text = read_file(path, _MOST_METRICS).decode()
        before = re.search(rf"^{LAST_SUCCESS}{{.*}} ([0-9.]+)$", text, re.MULTILINE)
    try:
        run = path.replace("\\", "/").rpartition("/")[2].removesuffix(".prom")
        world.output.write_file(
            path, metrics_text(ending, run, before[1] if before else "0"), _METRICS_MODE
        )
    except FileError as error:
        for problem in error.problems:
            world.terminal.warn(problem)
