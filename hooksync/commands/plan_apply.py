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
from hooksync.api.inputs import prepare, prepare_saved
from hooksync.api.options import RunOptions
from hooksync.api.run import Plan, Report, Result
from hooksync.commands.options import Format
from hooksync.commands.problems import show_plan, show_problems
from hooksync.config.files import YAML_ENDINGS, follow_links
from hooksync.core.errors import (
    ExitCode,
    FileError,
    HooksyncError,
    Problem,
    SecretError,
    UsageError,
    unforeseen,
    unforeseen_text,
    what_ended,
)
from hooksync.core.model import Secret, SecretRef
from hooksync.core.reading import read_file
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.output.notice import Ending, NoticeForm
from hooksync.output.text import plain, question
from hooksync.output.view import plan_exit_code
from hooksync.reconcile.context import World, find_origin
from hooksync.reconcile.session import open_run
from hooksync.state.store import state_place

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
    do: Callable[[Watched, World], tuple[ExitCode, Result]],
) -> Callable[[Watched, World], ExitCode]:
    """Wrap a command: report its end by metrics and a notice, even if it fails early."""

    @wraps(do)
    def run(options: Watched, world: World) -> ExitCode:
        _keep_inputs(options, world)
        if options.notify or options.metrics:
            return _run_watched(do, options, world)
        return do(options, world)[0]

    return run


def _run_watched(
    do: Callable[[Watched, World], tuple[ExitCode, Result]], options: Watched, world: World
) -> ExitCode:
    """Run a command and report its end, even if it fails early."""
    url = _notice_url(options, world)
    begun = world.clock.now()
    problems: tuple[Problem, ...] = ()
    code = ExitCode.INTERRUPTED
    view = None
    try:
        code, result = do(options, world)
        view = result.view
        if isinstance(result, Report) and result.cause:
            problems = (unforeseen(result.cause),)
        return code
    except Exception as error:
        code, problems = what_ended(error, has_begun=world.begun.is_set())
        raise
    finally:
        ending = Ending(
            do.__name__,
            code,
            view,
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
def plan(options: PlanOptions, world: World) -> tuple[ExitCode, Plan]:
    """Make and show a plan. With --out, save it, if apply would carry it out."""
    made = library.plan(prepare(options, world))
    code = made.exit_code
    if code == ExitCode.DONE:
        code = plan_exit_code(made.view, is_detailed=options.has_detailed_exit_code)
    document = ""
    if options.format == "json" or options.out:
        document = made.to_json(is_signed=bool(options.out), exit_code=code)
    is_good = made.exit_code == ExitCode.DONE
    if options.out and is_good:  # first: if this fails, that is the result
        world.output.write_file(options.out, document)
    kept = options.shows_kept
    show_plan(made.view, document, made.html, options.format, world, shows_kept=kept)
    show_problems(made.view, world, refused="apply would refuse")
    if options.out:
        what = f"not saved: {options.out} was not written: not all of this can be applied"
        if is_good:
            applying = options.flags.command("apply", options.out, selects=False)
            what = f"saved: `{applying}` carries out exactly this"
        world.terminal.message(printable(what))
    return code, made


@_watched
def apply(options: ApplyOptions, world: World) -> tuple[ExitCode, Report]:
    """Plan, ask, apply and verify. A saved plan needs no answer, but must equal the new plan."""
    if options.saved_plan is None:
        declared = prepare(options, world)
    else:
        declared = prepare_saved(options.saved_plan, options.max_age, options, world)
    told: set[Problem] = set()
    done = library.apply(declared, confirm=lambda made: _confirm(made, options, world, told))
    return _show_result(done, options, world, told), done


def _confirm(made: Plan, options: ApplyOptions, world: World, told: set[Problem]) -> bool:
    """Show the plan of an apply and its problems, and ask whether to apply it.

    With --format json or markdown, standard output gets only the result. If the user is asked, the
    plan is shown on standard error.
    """
    asks = any(one.is_ready for one in made.tenancies) and world.terminal.can_ask()
    if made.declared.is_confirmed or made.is_interrupted:
        asks = False
    lines = made.lines(shows_kept=options.shows_kept)
    if options.format == "text":
        world.terminal.show(lines)
    elif asks:
        world.terminal.message(plain(lines))
    show_problems(made.view, world, refused="refused", told=told)
    return not asks or world.terminal.ask(question(made.view))


def _show_result(done: Report, options: ApplyOptions, world: World, told: set[Problem]) -> ExitCode:
    """Show the result of an apply, and write its report. `told`: the problems already shown."""
    code = done.exit_code
    if options.report:  # first, so that it is written even if standard output fails
        text = done.to_json()
        code = _written(partial(world.output.write_file, options.report, text), done, code, world)
    code = _written(partial(_show_report, done, code, options, world), done, code, world)
    show_problems(done.view, world, refused="refused", told=told)
    if done.cause and not isinstance(done.cause, HooksyncError):
        world.terminal.message(unforeseen_text(done.cause))
    return code


def _written(write: Callable[[], None], done: Report, code: ExitCode, world: World) -> ExitCode:
    """Write the result of an apply that is over. Return `code`, or a failure if this fails."""
    try:
        write()
    except HooksyncError as error:
        for problem in error.problems:
            world.terminal.message(f"error: {problem}")
        if code in (ExitCode.DONE, ExitCode.REFUSED):
            return ExitCode.PARTLY_APPLIED if done.has_changed else ExitCode.ERROR
    return code


def _show_report(done: Report, code: ExitCode, options: ApplyOptions, world: World) -> None:
    """Show the result of an apply. Without changes, no text is shown."""
    if options.format == "json":
        world.terminal.result(done.to_json(code), "json")
    elif options.format == "markdown":
        world.terminal.result(done.markdown(shows_kept=options.shows_kept))
    elif done.has_changes:
        world.terminal.show([("", ""), *done.lines()])


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
    from hooksync.output.metrics import LAST_SUCCESS, metrics_text

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
