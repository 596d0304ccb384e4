"""How `plan` and `apply` end: the result is shown and saved, problems are listed, the exit code is chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from hooksync.commands.options import Options
from hooksync.commands.setup import Session
from hooksync.core.clock import rfc3339
from hooksync.core.errors import ExitCode, FileError, OutputLost, Problem, unforeseen_text
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.documents.writer import report_json
from hooksync.reconcile.context import World, find_origin
from hooksync.reconcile.executor import NOT_ASKED, ExecutionResult, Verdict
from hooksync.reconcile.plan import Planned, UnreadTenancy, not_attempted
from hooksync.report.text import adopted_line, report_lines
from hooksync.report.view import AdoptedCounts, RunView, TenancyView, view_of_plan
from hooksync.state.store import LockLost

_REPORT_FIX = "what was done is on standard output; check that the report's folder exists and can be written to"
NOT_SAVED = {  # why a plan is not saved
    ExitCode.INTERRUPTED: "it was interrupted",
    ExitCode.ERROR: "not every tenancy could be planned",
    ExitCode.REFUSED: "apply would refuse it",
}


def end_apply(planned: Sequence[Planned], executed: ExecutionResult, session: Session, told: RunView) -> ExitCode:
    """Show the result of plans, write the report, and choose the exit code. `told`: what was shown before."""
    options, world = session.options, session.world
    lost = next((error for error in executed.unforeseen if isinstance(error, LockLost)), None)
    view = run_view([_finished(one, executed) for one in planned], session, executed.warnings)
    done, asked = executed.adopted, executed.adoption
    view = replace(
        view,
        not_adopted=asked.problems,
        unconfirmed=executed.unconfirmed,
        state_error=executed.state_error or lost,
        adopted=AdoptedCounts(asked.asked, len(done), asked.unchallenged) if options.adopts else None,
    )
    is_json = options.format == "json"
    text = report_json(view, find_origin(world.environ)) if is_json or options.report else ""
    # the report first: it is written even if standard output fails
    is_written = not options.report or _is_out(partial(world.output.write_file, options.report, text), world)
    is_written &= _is_out(partial(_show, text, view, options, world), world)
    if view.adopted:
        world.terminal.message(adopted_line(view))
    show_problems(view, world, refused="refused", told=told)
    code = _exit_code(view, world)
    if executed.unforeseen and not lost:
        world.terminal.message(unforeseen_text(executed.unforeseen[0], is_debugging=world.is_debugging))
    if not executed.unforeseen and (is_written or code not in (ExitCode.DONE, ExitCode.REFUSED)):
        return code
    has_changed = any(tenancy.outcome and tenancy.outcome.has_changed for tenancy in view.tenancies)
    return ExitCode.PARTLY_APPLIED if has_changed else ExitCode.ERROR


def _show(report: str, view: RunView, options: Options, world: World) -> None:
    """Show the result. `report`: as JSON."""
    if options.format == "json":
        world.terminal.result(report, "json")
    elif options.format == "markdown":
        from hooksync.report.markdown import report_markdown

        world.terminal.result(report_markdown(view, shows_kept=options.shows_kept), "markdown")
    else:
        world.terminal.show([("", ""), *report_lines(view)] if view.has_changes else [])


def _is_out(write: Callable[[], None], world: World) -> bool:
    """Write a result, and return whether that worked: what was done stands anyway."""
    try:
        write()
    except (OutputLost, FileError) as error:
        for each in error.problems:
            problem = Problem(f"the report {each.what}", _REPORT_FIX) if isinstance(error, FileError) else each
            world.terminal.message(f"error: {problem}")
        return False
    return True


def planned_view(one: Planned, verdicts: Mapping[str, Verdict]) -> TenancyView:
    """View the plan of one tenancy."""
    if isinstance(one, UnreadTenancy):
        return view_of_plan(one)
    verdict = verdicts.get(one.tenancy.name, NOT_ASKED)
    return view_of_plan(one, (*one.refusals, *verdict.refusals), verdict.answers)


def _finished(one: Planned, executed: ExecutionResult) -> TenancyView:
    if isinstance(one, UnreadTenancy):
        return view_of_plan(one)
    name = one.tenancy.name
    verdict = executed.verdicts.get(name, NOT_ASKED)
    outcome = executed.outcomes.get(name) or not_attempted(one)
    view = view_of_plan(one, (*one.refusals, *verdict.refusals), verdict.answers, outcome)
    steps = (
        replace(step, secret_state="same") if step.action == "keep" and step.address in executed.adopted else step
        for step in view.steps
    )
    return replace(view, steps=tuple(steps), error=executed.errors.get(name))


def run_view(tenancies: Sequence[TenancyView], session: Session, warnings: Sequence[Problem]) -> RunView:
    """View a whole run, as of now."""
    sources = printable(session.options.saved_plan or ", ".join(session.options.files))
    return RunView(
        tuple(tenancies),
        rfc3339(session.world.clock.now()),
        sources,
        (*session.warnings, *warnings),
        session.planner.place,
        adopts=session.options.adopts,
        is_state_missing=session.planner.place is not None and session.planner.state is None,
        is_targeted=session.planner.options.is_targeted,
        undeclared=session.undeclared,
    )


def show_problems(view: RunView, world: World, *, refused: str, told: RunView | None = None) -> None:
    """Show warnings, refusals and errors, each with its fix. `told`: whose problems were shown before."""
    known = {*told.all_warnings, *told.refusals} if told else set()
    known.update(problem for error in (told.errors if told else ()) for problem in error.problems)
    for problem in view.all_warnings:
        if problem not in known:
            world.terminal.warn(problem)
    errors = [
        (f"error: {one.tenancy.name}", each) for one in view.tenancies if one.error for each in one.error.problems
    ]
    for what, problem in [*((refused, each) for each in view.refusals), *errors]:
        if problem not in known:
            world.terminal.message(f"{what}: {problem}")
    if view.state_error:
        world.terminal.message(f"error: {view.state_error}")


def plan_exit_code(view: RunView, session: Session) -> ExitCode:
    """Choose the exit code of a plan: what apply would refuse fails before it is merged, not after."""
    if session.world.stop.is_set():
        return ExitCode.INTERRUPTED
    if view.has_failed:
        return ExitCode.ERROR
    if view.is_refused:
        return ExitCode.REFUSED
    is_pending = view.has_changes and session.options.has_detailed_exit_code
    return ExitCode.CHANGES_PENDING if is_pending else ExitCode.DONE


def _exit_code(view: RunView, world: World) -> ExitCode:
    """Choose the exit code of an apply: partly applied is worse than not at all."""
    if world.stop.is_set():
        return ExitCode.INTERRUPTED
    tried = [tenancy.outcome for tenancy in view.tenancies if tenancy.outcome]
    if all(outcome.is_as_declared for outcome in tried) and not (view.has_failed or view.is_refused):
        return ExitCode.DONE
    if any(outcome.has_changed for outcome in tried):
        return ExitCode.PARTLY_APPLIED
    if view.has_failed or view.results()["failed"] or not view.is_refused:
        return ExitCode.ERROR
    return ExitCode.REFUSED
