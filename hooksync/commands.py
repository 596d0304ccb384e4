"""The verbs that reach the service, each read like a sentence: files -> document -> live -> plan -> report.

The corridor between the rooms. Prints nothing and ends nothing: what is to be seen goes to the terminal it is given;
each verb gives an exit code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from hooksync.diff import DiffOptions
from hooksync.document import read_document
from hooksync.errors import ExitCode, Problem, SecretError
from hooksync.files import read_schema, read_sources
from hooksync.model import Tenancy
from hooksync.outcomes import TenancyOutcome, not_attempted
from hooksync.plan import UnreadTenancy, is_idle
from hooksync.plan_file import plan_json, report_json
from hooksync.redactor import Redactor
from hooksync.render import plan_text, report_text
from hooksync.report import RunView, TenancyView, view_of_outcome, view_of_plan
from hooksync.resolve import resolve, url_environment_values
from hooksync.run import AnyPlan, Run, RunSettings, Surroundings, open_run
from hooksync.selection import check_replaced, select
from hooksync.world import PlanOptions, World


def plan(options: PlanOptions, world: World) -> ExitCode:
    """Fetch what is live, compare, show."""
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
    prepared = _prepare(options, world)
    with _open(prepared, options, world) as run:
        plans = _read_tenancies(run, world)
        before = _run_view([view_of_plan(plan, run.refusals(plan)) for plan in plans], options, prepared.warnings)
        if options.format == "text":
            world.terminal.result(plan_text(before, shows_kept=options.shows_kept))
        unconfirmed = _ask(before, options, world)
        views = _carry_out([] if unconfirmed else plans, plans, run, world)
        doubts = [] if unconfirmed else [doubt for plan in plans for doubt in run.doubts(plan)]
    after = replace(_run_view(views, options, (*prepared.warnings, *doubts)), unconfirmed=unconfirmed)
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


def _prepare(options: PlanOptions, world: World) -> _Prepared:
    """Read the files, choose what the flags name, fill in what comes from the environment."""
    document = read_document(read_sources(options.files, world.stdin), read_schema)
    entries = select(document, options.tenancies, options.targets)
    check_replaced(entries, options.replace)
    redactor = Redactor()
    redactor.learn(url_environment_values(entries, world.environ))
    tenancies, warnings = resolve(entries, world.environ)
    return _Prepared(tenancies, (*document.warnings, *warnings), redactor)


def _open(prepared: _Prepared, options: PlanOptions, world: World) -> AbstractContextManager[Run]:
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
    is_ready = any(view.has_changes and not view.refusals for view in before.tenancies)
    if options.is_confirmed or world.stop.is_set() or not is_ready:
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


def _carry_out(chosen: Sequence[AnyPlan], plans: Sequence[AnyPlan], run: Run, world: World) -> list[TenancyView]:
    """Apply the chosen plans, and view all; a tenancy whose secrets cannot be had is left as it is."""
    ready, errors = run.ready(chosen)
    total = sum(not is_idle(step) for plan, _ in ready.values() for step in plan.steps)
    with world.terminal.progress("applying", total) as advance:
        outcomes = run.apply(ready, advance)
    return [_finished(plan, run.refusals(plan), outcomes, errors) for plan in plans]


def _finished(
    plan: AnyPlan,
    refusals: Sequence[Problem],
    outcomes: Mapping[str, TenancyOutcome],
    errors: Mapping[str, SecretError],
) -> TenancyView:
    if isinstance(plan, UnreadTenancy):
        return view_of_plan(plan)
    name = plan.tenancy.name
    return view_of_outcome(outcomes.get(name) or not_attempted(plan), refusals, errors.get(name))


def _run_view(tenancies: Sequence[TenancyView], options: PlanOptions, warnings: Sequence[Problem]) -> RunView:
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return RunView(tuple(tenancies), now, ", ".join(options.files), tuple(warnings))


def _complain(view: RunView, world: World, *, refused: str) -> None:
    """Show warnings, refusals and errors, each with its mend."""
    for problem in view.all_warnings:
        world.terminal.aside(f"warning: {problem}")
    for problem in view.refusals:
        world.terminal.aside(f"{refused}: {problem}")
    for tenancy in view.tenancies:
        for problem in tenancy.error.problems if tenancy.error else ():
            world.terminal.aside(f"error: {tenancy.tenancy.name}: {problem}")


def _exit_code(view: RunView, world: World) -> ExitCode:
    """Judge an apply: partly applied is worse than not at all."""
    if world.stop.is_set():
        return ExitCode.INTERRUPTED
    tried = [tenancy.outcome for tenancy in view.tenancies if tenancy.outcome]
    if all(outcome.is_as_declared for outcome in tried) and not (view.errors or view.refusals):
        return ExitCode.DONE
    if any(outcome.has_changed for outcome in tried):
        return ExitCode.PARTLY_APPLIED
    if view.errors or view.results()["failed"]:
        return ExitCode.ERROR
    return ExitCode.REFUSED
