"""The commands `plan`, `apply` and `apply PLAN`: files -> live -> plan -> result -> exit code.

Prints nothing and ends nothing: results go to the terminal it is given; each command returns an exit code.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hooksync.commands.options import PlanOptions
from hooksync.commands.results import end_apply, planned_view, run_view, show_problems
from hooksync.commands.setup import Prepared, Session, open_session, prepare
from hooksync.config.resolve import resolve, url_environment_values
from hooksync.core.atomic_write import write_atomically
from hooksync.core.errors import ExitCode, Problem, UsageError
from hooksync.core.model import SecretRef
from hooksync.core.redaction import Redactor
from hooksync.documents.sealing import KEY_VARIABLE, PlanKey, plan_key
from hooksync.documents.writer import PlannedWith, plan_json
from hooksync.reconcile.context import World
from hooksync.reconcile.diff import DiffOptions
from hooksync.reconcile.plan import Planned, TenancyPlan, UnreadTenancy
from hooksync.reconcile.preflight import ask_receivers
from hooksync.report.text import plain, plan_lines, question
from hooksync.report.view import RunView
from hooksync.state.store import state_path

if TYPE_CHECKING:
    from hooksync.documents.reader import SavedPlan


def plan(options: PlanOptions, world: World) -> ExitCode:
    """Fetch, compare and show; with --out, save what was shown."""
    key = plan_key(world.environ.get(KEY_VARIABLE)) if options.out else None
    with _open(options, world, key) as session:
        planned = session.plan()
        verdicts = ask_receivers(planned, session.run, world.terminal) if options.probes else {}
        doubts = session.run.secrets.doubts(_declared_secrets(planned))
    view = run_view([planned_view(one, verdicts) for one in planned], session, doubts)
    document = _document(view, options, key)
    if options.format == "text":
        world.terminal.show(plan_lines(view, shows_kept=options.shows_kept))
    else:
        world.terminal.result(document if options.format == "json" else _markdown(view, options))
    if session.state and session.planner.state is None:
        world.terminal.message(f"note: there is no state at {session.state} yet: a rotated secret cannot be seen")
    show_problems(view, world, refused="apply would refuse")
    if world.stop.is_set():
        return ExitCode.INTERRUPTED
    if view.errors:
        return ExitCode.ERROR
    if options.out:
        write_atomically(options.out, document)
        world.terminal.message(f"saved: hooksync apply {options.out} carries out exactly this")
    return ExitCode.CHANGES_PENDING if view.has_changes and options.has_detailed_exit_code else ExitCode.DONE


def apply(options: PlanOptions, world: World) -> ExitCode:
    """Plan, ask, carry it out and verify; or carry out a saved plan."""
    from hooksync.reconcile.executor import ExecutionResult

    if options.saved_plan is not None:
        return _apply_saved(options.saved_plan, options, world)
    with _open(options, world) as session:
        if options.adopts and not session.state:
            raise UsageError(Problem("--adopt needs a state to write to", "give --state PATH, without --no-state"))
        planned = session.plan()
        before = _show_plan(planned, session)
        unconfirmed = _ask(before, options, world)
        executed = ExecutionResult() if unconfirmed else session.executor().execute(planned)
    return end_apply(planned, executed, session, unconfirmed)


def _apply_saved(path: str, options: PlanOptions, world: World) -> ExitCode:
    """Carry out a saved plan without asking. Raises Refused or FileError, before any call, if it cannot be trusted."""
    from hooksync.config.files import read_plan
    from hooksync.documents.reader import Demands, read_saved_plan

    key = plan_key(world.environ.get(KEY_VARIABLE))
    saved = read_saved_plan(read_plan(path), path, Demands(key, options.max_age, datetime.now(UTC)))
    with _open_saved(saved, options, world, key) as session:
        planned = _replay(saved, session)
        _show_plan(planned, session)
        executed = session.executor().execute(planned)
    return end_apply(planned, executed, session, None)


def _open(options: PlanOptions, world: World, key: PlanKey | None = None) -> AbstractContextManager[Session]:
    """Open a session on hooks files."""
    prepared = prepare(options, world, replaced=options.replace)
    if key:
        prepared.redactor.learn([key.text])
    return open_session(
        prepared,
        DiffOptions(options.prunes, options.replace, is_targeted=bool(options.targets)),
        options,
        world,
        state=state_path(options.files, options.state, disabled=not options.uses_state),
        allows_mass_unsubscribe=options.allows_mass_unsubscribe,
    )


def _open_saved(
    saved: SavedPlan, options: PlanOptions, world: World, key: PlanKey | None
) -> AbstractContextManager[Session]:
    """Open a session on a saved plan; the environment is filled in by the rules of hooks files."""
    entries = [one.entry for one in saved.tenancies]
    redactor = Redactor()
    redactor.learn([*url_environment_values(entries, world.environ), *([key.text] if key else ())])
    tenancies, warnings = resolve(entries, world.environ)
    return open_session(
        Prepared(tenancies, (*saved.warnings, *warnings), redactor),
        DiffOptions(saved.prunes, is_targeted=saved.is_targeted),
        options,
        world,
        state=(options.state or saved.state) if options.uses_state else None,
        allows_mass_unsubscribe=options.allows_mass_unsubscribe or saved.allows_mass_unsubscribe,
    )


def _replay(saved: SavedPlan, session: Session) -> tuple[Planned, ...]:
    """Make each tenancy's plan again from what is live now."""
    from hooksync.documents.replay import rebuild

    fetched = session.fetch()
    histories = session.planner.recall(fetched)
    return tuple(
        now
        if isinstance(now, UnreadTenancy)
        else rebuild(then, now, histories[now.tenancy.name], session.planner.reasons_against)
        for then, now in zip(saved.tenancies, fetched, strict=True)
    )


def _document(view: RunView, options: PlanOptions, key: PlanKey | None) -> str:
    """Write the plan as JSON, if it is shown or saved."""
    if options.format != "json" and not options.out:
        return ""
    flags = PlannedWith(options.prunes, options.replace, bool(options.targets), options.allows_mass_unsubscribe)
    return plan_json(view, flags, key)


def _markdown(view: RunView, options: PlanOptions) -> str:
    from hooksync.report.markdown import plan_markdown

    return plan_markdown(view, shows_kept=options.shows_kept)


def _declared_secrets(planned: Sequence[Planned]) -> list[SecretRef]:
    return [one.secret for each in planned if isinstance(each, TenancyPlan) for one in each.tenancy.subscriptions]


def _show_plan(planned: Sequence[Planned], session: Session) -> RunView:
    """Show an apply's plan before it is carried out; JSON and Markdown are written once, at the end."""
    before = run_view([planned_view(one, {}) for one in planned], session, ())
    if session.options.format == "text":
        session.world.terminal.show(plan_lines(before, shows_kept=session.options.shows_kept))
    return before


def _ask(before: RunView, options: PlanOptions, world: World) -> Problem | None:
    """Ask whether to carry it out, if there is anything to do. Returns the reason not to."""
    is_ready = any(view.has_changes and not view.refusals for view in before.tenancies)
    if options.is_confirmed or world.stop.is_set() or not is_ready:
        return None
    if options.format != "text":
        world.terminal.message(plain(plan_lines(before)))
    match world.terminal.ask(f'{question(before)} Only "yes" is taken for an answer: '):
        case True:
            return None
        case None:
            return Problem("not confirmed: there is no terminal to ask on", "give --yes if the plan is as wanted")
        case False:
            return Problem("not confirmed", 'answer "yes", or give --yes')
