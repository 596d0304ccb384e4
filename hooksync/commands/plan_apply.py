"""The commands `plan`, `apply` and `apply PLAN`: each shows what the function of its name comes to.

Prints nothing and ends nothing: results go to the terminal it is given; each command returns an
exit code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial, wraps
from typing import TYPE_CHECKING, TypeVar

from hooksync.api import run as library
from hooksync.api.inputs import prepare, prepare_saved
from hooksync.api.options import RunOptions
from hooksync.api.run import Plan, Report, Result
from hooksync.commands.options import Format
from hooksync.commands.problems import show_problems
from hooksync.config.files import read_plan
from hooksync.core.errors import (
    ExitCode,
    FileError,
    HooksyncError,
    Problem,
    SecretError,
    unforeseen,
    unforeseen_text,
    what_ended,
)
from hooksync.core.model import Secret, SecretRef
from hooksync.core.reading import read_file
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.output.text import plain, question
from hooksync.output.view import plan_exit_code
from hooksync.reconcile.context import World, find_origin
from hooksync.reconcile.session import open_run

if TYPE_CHECKING:
    from hooksync.output.notice import Ending, NoticeForm

_REPORT_FIX = (
    "what was done is on standard output; check that the report's folder exists and can be"
    " written to"
)
_NOTICE_TIMEOUT = 10.0  # seconds
_NOTICE_FIX = (
    "check that the variable or file holds the whole URL, as the chat or the webhook's owner"
    " gave it"
)
_MOST_METRICS = 16 * 1024 * 1024  # bytes
_METRICS_MODE = 0o644  # another user's exporter reads it


class WatchedOptions(RunOptions, frozen=True):
    """What `plan` and `apply` share."""

    shows_kept: bool = False
    notify: SecretRef | None = None  # where the URL of the webhook is found
    notify_as: NoticeForm = "json"
    metrics: str | None = None  # path to write metrics at


class PlanOptions(WatchedOptions, frozen=True):
    """The flags of `plan`."""

    format: Format = "text"
    has_detailed_exit_code: bool = False
    out: str | None = None  # path to save the plan at


class ApplyOptions(WatchedOptions, frozen=True):
    """The flags of `apply`."""

    format: Format = "text"
    report: str | None = None  # path to write the report at


Watched = TypeVar("Watched", bound=WatchedOptions)


def _watched(
    do: Callable[[Watched, World], tuple[ExitCode, Result]],
) -> Callable[[Watched, World], ExitCode]:
    """Let those who watch a command be told how it ended: that it could not begin, too."""

    @wraps(do)
    def run(options: Watched, world: World) -> ExitCode:
        if not (options.notify or options.metrics):
            return do(options, world)[0]
        from hooksync.output.notice import Ending  # only here: most runs are not watched

        url = _notice_url(options, world)
        begun = world.clock.now()
        problems: tuple[Problem, ...] = ()
        code = ExitCode.INTERRUPTED
        view = None
        try:
            code, result = do(options, world)
            view = result.view
            problems = _unforeseen_in(result)
            return code
        except Exception as error:
            code, problems = what_ended(error, has_begun=world.begun.is_set())
            raise
        finally:
            end = world.clock.now()
            origin = find_origin(world.environ)
            ending = Ending(do.__name__, code, view, problems, begun, end, origin)
            _tell(ending, options, url, world)

    return run


def _unforeseen_in(result: Result) -> tuple[Problem, ...]:
    """Return what no code was made for in a run that has a report all the same."""
    if isinstance(result, Report) and result.cause and not result.view.state_error:
        return (unforeseen(result.cause),)
    return ()


def _tell(ending: Ending, options: WatchedOptions, url: Secret | None, world: World) -> None:
    """Write metrics and send a notice, if that was asked for."""
    if options.metrics:
        _write_metrics(ending, options.metrics, world)
    if url and options.notify and ending.event:
        _notify(ending, options, url, world)


@_watched
def plan(options: PlanOptions, world: World) -> tuple[ExitCode, Plan]:
    """Fetch, compare and show; with --out, save what was shown."""
    made = library.plan(prepare(options, world))
    code = made.exit_code
    if code == ExitCode.DONE:
        code = plan_exit_code(made.view, is_detailed=options.has_detailed_exit_code)
    document = ""
    if options.format == "json" or options.out:
        document = made.to_json(is_signed=bool(options.out), exit_code=code)
    _show(made, document, options, world)
    show_problems(made.view, world, refused="apply would refuse")
    if options.out:
        path = printable(options.out)
        what = f"not saved: {path} was not written, because apply would not carry this out"
        if made.exit_code == ExitCode.DONE:
            world.output.write_file(options.out, document)
            what = f"saved: hooksync apply {path} carries out exactly this"
        world.terminal.message(what)
    return code, made


@_watched
def apply(options: ApplyOptions, world: World) -> tuple[ExitCode, Report]:
    """Plan, ask, carry it out and verify; a saved plan without asking, if it is still the same."""
    if options.saved_plan is None:
        declared = prepare(options, world)
    else:
        declared = prepare_saved(read_plan(options.saved_plan), options, world)
    told: set[Problem] = set()
    done = library.apply(declared, confirm=lambda made: _confirm(made, options, world, told))
    return _end(done, options, world, told), done


def _confirm(made: Plan, options: ApplyOptions, world: World, told: set[Problem]) -> bool:
    """Show an apply's plan and what stands against it, and ask whether to carry it out.

    The result as JSON or Markdown is written once, at the end: to be asked about, the plan goes to
    standard error.
    """
    is_asked_about = (
        not (made.declared.options.is_confirmed or made.is_interrupted) and world.terminal.can_ask()
    )
    asks = is_asked_about and any(one.is_ready for one in made.tenancies)
    lines = made.lines(shows_kept=options.shows_kept)
    if options.format == "text":
        world.terminal.show(lines)
    elif asks:
        world.terminal.message(plain(lines))
    show_problems(made.view, world, refused="refused", told=told)
    return not asks or world.terminal.ask(question(made.view))


def _end(done: Report, options: ApplyOptions, world: World, told: set[Problem]) -> ExitCode:
    """Show the result of an apply and write its report. `told`: what was shown with its plan."""
    text = done.to_json() if options.format == "json" or options.report else ""
    # the report first: it is written even if standard output fails
    is_written = not options.report or _is_out(
        partial(world.output.write_file, options.report, text), world
    )
    is_written &= _is_out(partial(_show, done, text, options, world), world)
    show_problems(done.view, world, refused="refused", told=told)
    if done.cause and not isinstance(done.cause, HooksyncError):
        world.terminal.message(unforeseen_text(done.cause))
    if is_written or done.exit_code not in (ExitCode.DONE, ExitCode.REFUSED):
        return done.exit_code
    return ExitCode.PARTLY_APPLIED if done.has_changed else ExitCode.ERROR


def _show(result: Result, document: str, options: PlanOptions | ApplyOptions, world: World) -> None:
    """Show a result. `document`: as JSON."""
    if options.format == "json":
        world.terminal.result(document, "json")
    elif options.format == "html" and isinstance(result, Plan):
        world.terminal.result(result.html())
    elif options.format == "markdown":
        world.terminal.result(result.markdown(shows_kept=options.shows_kept))
    elif isinstance(result, Plan):
        world.terminal.show(result.lines(shows_kept=options.shows_kept))
    else:  # the plan was shown before
        world.terminal.show([("", ""), *result.lines()] if result.has_changes else [])


def _is_out(write: Callable[[], None], world: World) -> bool:
    """Write a result, and return whether that worked: what was done stands anyway."""
    try:
        write()
    except HooksyncError as error:
        for each in error.problems:
            problem = (
                Problem(f"the report {each.what}", _REPORT_FIX)
                if isinstance(error, FileError)
                else each
            )
            world.terminal.message(f"error: {problem}")
        return False
    return True


def _notice_url(options: WatchedOptions, world: World) -> Secret | None:
    """Find where notices go, before there is one, so that a missing URL is reported in any run."""
    try:
        return world.secrets.find(options.notify) if options.notify else None
    except SecretError as error:
        for problem in error.problems:
            world.terminal.warn(replace(problem, what=f"nobody can be notified: {problem.what}"))
        return None


def _notify(ending: Ending, options: WatchedOptions, url: Secret, world: World) -> None:
    from hooksync.service.events import send_notice

    body = world.output.safe(
        json.dumps(ending.payload(options.notify_as), ensure_ascii=False), "json"
    )
    with open_run((), world, timeout=_NOTICE_TIMEOUT, parallelism=1) as run:
        why = send_notice(url, body.encode(), str(options.notify), run.context)
    if why:
        world.terminal.warn(Problem(f"nobody was notified: {options.notify}: {why}", _NOTICE_FIX))


def _write_metrics(ending: Ending, path: str, world: World) -> None:
    """Write metrics over those of the last run; its last success stays if this run failed."""
    from hooksync.output.metrics import LAST_SUCCESS, metrics_text

    before = None
    with suppress(OSError, ValueError):  # there is none yet, or it is not ours
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
