"""One function a verb: files -> document -> live -> plan -> report. The corridor between the rooms.

Prints nothing and ends nothing: what is to be seen goes to the terminal it is given; each verb gives an exit code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Event
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol

from hooksync.document import read_document
from hooksync.errors import ExitCode, FileError, Problem, SecretError
from hooksync.files import SchemaKind, read_schema, read_sources, schema_text
from hooksync.selection import addresses, check_replaced, select

if TYPE_CHECKING:  # the network's rooms are loaded by the commands that use them
    from hooksync.entries import Document, TenancyEntry
    from hooksync.model import Tenancy
    from hooksync.preservica import CallRecord
    from hooksync.redactor import Redactor
    from hooksync.report import RunView, TenancyView
    from hooksync.run import AnyPlan, Run

Format = Literal["text", "json"]


class Terminal(Protocol):
    """Where a command shows what it has to show. Only the door has a real one."""

    def result(self, text: str) -> None:
        """Show the result, on standard output."""

    def aside(self, text: str) -> None:
        """Show anything else, on standard error."""

    def ask(self, question: str) -> bool | None:
        """Ask for a yes; None where there is nobody to ask."""

    def watch(self, record: CallRecord) -> None:
        """Hear of a call that was made."""

    def progress(self, what: str, total: int) -> AbstractContextManager[Callable[[], None]]:
        """Show how far a number of calls is; gives what is to be called after each."""


@dataclass(frozen=True, slots=True)
class World:
    """What a command can reach outside the process."""

    environ: Mapping[str, str] = field(repr=False)
    stdin: BinaryIO
    terminal: Terminal
    stop: Event  # set by an interrupt


@dataclass(frozen=True, slots=True)
class FileOptions:
    """Which files, and how to show what comes of them."""

    files: tuple[str, ...]
    format: Format = "text"


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the flags of `plan` and `apply` say."""

    files: tuple[str, ...]
    format: Format = "text"
    tenancies: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    prunes: bool = True
    allows_mass_unsubscribe: bool = False
    timeout: float = 30.0  # seconds a call may take
    parallelism: int = 8  # calls in flight over the whole run
    shows_kept: bool = False
    has_detailed_exit_code: bool = False  # plan
    is_confirmed: bool = False  # apply


def validate(options: FileOptions, world: World) -> ExitCode:
    """Check the files; needs neither network nor environment."""
    try:
        document = _read(options.files, world)
    except FileError as error:
        if options.format == "json":
            world.terminal.result(_validation_json((), error.problems, ()))
        raise
    if options.format == "json":
        world.terminal.result(_validation_json(document.tenancies, (), document.warnings))
        return ExitCode.DONE
    for warning in document.warnings:
        world.terminal.aside(f"warning: {warning}")
    tenancies, subscriptions = len(document.tenancies), len(addresses(document.tenancies))
    world.terminal.result(
        f"{', '.join(options.files)}: valid: {tenancies} {'tenancy' if tenancies == 1 else 'tenancies'}, "
        f"{subscriptions} {'subscription' if subscriptions == 1 else 'subscriptions'}.\n"
    )
    return ExitCode.DONE


def schema(kind: SchemaKind, world: World) -> ExitCode:
    """Print a JSON Schema."""
    world.terminal.result(schema_text(kind))
    return ExitCode.DONE


def plan(options: PlanOptions, world: World) -> ExitCode:
    """Fetch what is live, compare, show."""
    from hooksync.plan_file import plan_json
    from hooksync.render import plan_text
    from hooksync.report import view_of_plan

    prepared = _prepare(options, world)
    with _open(prepared, options, world) as run:
        plans = _read_tenancies(run, world)
        views = [view_of_plan(plan, run.refusals(plan)) for plan in plans]
        doubts = [doubt for plan in plans for doubt in run.doubts(plan)]
    view = _run_view(views, options, (*prepared.warnings, *doubts))
    world.terminal.result(
        plan_json(view) if options.format == "json" else plan_text(view, shows_kept=options.shows_kept)
    )
    _complain(view, world, refused="apply would refuse")
    if world.stop.is_set():
        return ExitCode.INTERRUPTED
    if view.errors:
        return ExitCode.ERROR
    return ExitCode.CHANGES_PENDING if view.has_changes and options.has_detailed_exit_code else ExitCode.DONE


def apply(options: PlanOptions, world: World) -> ExitCode:
    """Plan, ask, do, look again."""
    from hooksync.plan_file import report_json
    from hooksync.render import plan_text, report_text
    from hooksync.report import view_of_plan

    prepared = _prepare(options, world)
    with _open(prepared, options, world) as run:
        plans = _read_tenancies(run, world)
        before = _run_view([view_of_plan(plan, run.refusals(plan)) for plan in plans], options, prepared.warnings)
        if options.format == "text":
            world.terminal.result(plan_text(before, shows_kept=options.shows_kept))
        refused = _ask(before, options, world)
        views = _carry_out(plans, run, world, is_refused=bool(refused))
    after = replace(_run_view(views, options, prepared.warnings), unconfirmed=refused)
    if options.format == "json":
        world.terminal.result(report_json(after))
    elif after.has_changes:
        world.terminal.result("\n" + report_text(after))
    _complain(after, world, refused="refused")
    return _exit_code(after, world)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What the files and the environment come to."""

    tenancies: tuple[Tenancy, ...]
    warnings: tuple[Problem, ...]
    redactor: Redactor


def _read(files: Sequence[str], world: World) -> Document:
    return read_document(read_sources(files, world.stdin), read_schema)


def _prepare(options: PlanOptions, world: World) -> _Prepared:
    """Read the files, choose what the flags name, fill in what comes from the environment."""
    from hooksync.redactor import Redactor
    from hooksync.resolve import resolve, url_environment_values

    document = _read(options.files, world)
    entries = select(document, options.tenancies, options.targets)
    check_replaced(entries, options.replace)
    redactor = Redactor()
    redactor.learn(url_environment_values(entries, world.environ))
    tenancies, warnings = resolve(entries, world.environ)
    return _Prepared(tenancies, (*document.warnings, *warnings), redactor)


def _open(prepared: _Prepared, options: PlanOptions, world: World) -> AbstractContextManager[Run]:
    from hooksync.diff import DiffOptions
    from hooksync.run import RunSettings, Surroundings, open_run

    settings = RunSettings(
        diff=DiffOptions(options.prunes, options.replace, is_targeted=bool(options.targets)),
        timeout=options.timeout,
        parallelism=options.parallelism,
        allows_mass_unsubscribe=options.allows_mass_unsubscribe,
    )
    around = Surroundings(world.environ, prepared.redactor, world.stop, world.terminal.watch)
    return open_run(prepared.tenancies, settings, around)


def _read_tenancies(run: Run, world: World) -> tuple[AnyPlan, ...]:
    with world.terminal.progress("reading", len(run.tenancies)) as advance:
        return run.plan(advance)


def _ask(before: RunView, options: PlanOptions, world: World) -> Problem | None:
    """Ask whether to go on, where there is anything to do; give the reason why not."""
    from hooksync.render import plan_text

    if options.is_confirmed or world.stop.is_set() or not any(map(_is_ready, before.tenancies)):
        return None
    if options.format == "json":
        world.terminal.aside(plan_text(before))
    match world.terminal.ask('Carry this out? Only "yes" is taken for an answer: '):
        case True:
            return None
        case None:
            return Problem("not confirmed: there is no terminal to ask on", "give --yes when the plan is as wanted")
        case False:
            return Problem("not confirmed", 'answer "yes", or give --yes')


def _is_ready(view: TenancyView) -> bool:
    return view.has_changes and not view.refusals


def _carry_out(plans: Sequence[AnyPlan], run: Run, world: World, *, is_refused: bool) -> list[TenancyView]:
    """Apply what is not refused; a tenancy whose secrets cannot be had is left as it is."""
    from hooksync.outcomes import not_attempted
    from hooksync.plan import TenancyPlan, is_idle
    from hooksync.report import view_of_outcome, view_of_plan

    refusals = {plan.tenancy.name: run.refusals(plan) for plan in plans}
    ready, errors = {}, {}
    for plan in plans:
        name = plan.tenancy.name
        if isinstance(plan, TenancyPlan) and not (is_refused or plan.is_empty or refusals[name]):
            try:
                ready[name] = plan, run.secrets(plan)
            except SecretError as error:
                errors[name] = error
    total = sum(not is_idle(step) for plan, _ in ready.values() for step in plan.steps)
    with world.terminal.progress("applying", total) as advance:
        outcomes = run.apply(ready, advance)
    views = []
    for plan in plans:
        name = plan.tenancy.name
        if isinstance(plan, TenancyPlan):
            views.append(view_of_outcome(outcomes.get(name) or not_attempted(plan), refusals[name], errors.get(name)))
        else:
            views.append(view_of_plan(plan))
    return views


def _run_view(tenancies: Sequence[TenancyView], options: PlanOptions, warnings: Sequence[Problem]) -> RunView:
    from hooksync.report import RunView

    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return RunView(tuple(tenancies), now, ", ".join(options.files), tuple(warnings))


def _complain(view: RunView, world: World, *, refused: str) -> None:
    """Show warnings, refusals and errors, each with its mend."""
    for problem in view.all_warnings:
        world.terminal.aside(f"warning: {problem}")
    for problem in view.refusals:
        world.terminal.aside(f"{refused}: {problem}")
    for tenancy in view.tenancies:
        if tenancy.error is not None:
            world.terminal.aside(f"error: {tenancy.tenancy.name}: {tenancy.error}")


def _exit_code(view: RunView, world: World) -> ExitCode:
    """Judge an apply: partly applied is worse than not at all."""
    if world.stop.is_set():
        return ExitCode.INTERRUPTED
    tried = [tenancy.outcome for tenancy in view.tenancies if tenancy.outcome]
    failed = any(not outcome.is_as_declared for outcome in tried)
    if not (failed or view.errors or view.refusals):
        return ExitCode.DONE
    if any(outcome.has_changed for outcome in tried):
        return ExitCode.PARTLY_APPLIED
    if view.errors or view.results()["failed"]:
        return ExitCode.ERROR
    return ExitCode.REFUSED


def _validation_json(entries: Sequence[TenancyEntry], problems: Sequence[Problem], warnings: Sequence[Problem]) -> str:
    document = {
        "format": "hooksync.validation/1",
        "is_valid": not problems,
        "problems": [_problem_json(problem) for problem in problems],
        "subscriptions": len(addresses(entries)),
        "tenancies": len(entries),
        "warnings": [_problem_json(warning) for warning in warnings],
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _problem_json(problem: Problem) -> dict[str, object]:
    where = problem.where
    return {
        "file": where.file if where else None,
        "line": where.line if where else None,
        "column": where.column if where else None,
        "what": problem.what,
        "fix": problem.fix,
    }
