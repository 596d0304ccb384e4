"""The commands `plan`, `apply` and `apply PLAN`: files -> live -> plan -> result -> exit code.

Prints nothing and ends nothing: results go to the terminal it is given; each command returns an exit code.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING

from hooksync.commands.options import Options
from hooksync.commands.results import NOT_SAVED, end_apply, plan_exit_code, planned_view, run_view, show_problems
from hooksync.commands.setup import Prepared, Session, hold_to_policy, open_session, prepare
from hooksync.config.files import find_commit
from hooksync.config.resolve import resolve, url_environment_values
from hooksync.core.errors import ExitCode, Problem, Refused, UsageError
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.core.signing import KEY_VARIABLE, PlanKey, plan_key
from hooksync.documents.writer import PlannedWith, PlanOptions, plan_json
from hooksync.reconcile.context import World
from hooksync.reconcile.diff import DiffOptions
from hooksync.reconcile.executor import ExecutionResult, ask_receivers
from hooksync.reconcile.plan import Planned, TenancyPlan, UnreadTenancy
from hooksync.report.text import plain, plan_lines, question
from hooksync.report.view import RunView
from hooksync.state.integrity import mark_of
from hooksync.state.store import is_harmless, state_place

if TYPE_CHECKING:
    from hooksync.documents.reader import SavedPlan


def plan(options: Options, world: World) -> ExitCode:
    """Fetch, compare and show; with --out, save what was shown."""
    with _open(options, world) as session:
        planned = session.plan()
        verdicts = ask_receivers(planned, session.run, world.terminal) if options.probes else {}
        plans = [one for one in planned if isinstance(one, TenancyPlan)]
        refs = [declared.secret for one in plans for declared in one.tenancy.subscriptions]
        doubts = [*session.run.secrets.doubts(refs)]
        doubts += (warning for verdict in verdicts.values() for warning in verdict.warnings)
    view = run_view([planned_view(one, verdicts) for one in planned], session, doubts)
    document = _document(view, session)
    if options.format == "text":
        world.terminal.show(plan_lines(view, shows_kept=options.shows_kept))
    elif options.format == "json":
        world.terminal.result(document, "json")
    else:
        from hooksync.report.markdown import plan_markdown

        world.terminal.result(plan_markdown(view, shows_kept=options.shows_kept), "markdown")
    show_problems(view, world, refused="apply would refuse")
    code = plan_exit_code(view, session)
    if options.out and code in (ExitCode.DONE, ExitCode.CHANGES_PENDING):
        world.output.write_file(options.out, document)
        world.terminal.message(f"saved: hooksync apply {printable(options.out)} carries out exactly this")
    elif options.out:
        world.terminal.message(f"not saved: {printable(options.out)} was not written, because {NOT_SAVED[code]}")
    return code


def apply(options: Options, world: World) -> ExitCode:
    """Plan, ask, carry it out and verify; or carry out a saved plan."""
    if options.saved_plan is not None:
        return _apply_saved(options.saved_plan, options, world)
    with _open(options, world, is_apply=True) as session:
        if options.adopts and not session.planner.place:
            raise UsageError(Problem("--adopt needs a state to write to", "give --state PATH, without --no-state"))
        planned = session.plan(waits=True)
        executed, told = _carry_out(planned, session, is_confirmed=options.is_confirmed)
    return end_apply(planned, executed, session, told)


def _apply_saved(path: str, options: Options, world: World) -> ExitCode:
    """Carry out a saved plan without asking. Raises Refused or FileError, before any call, if it cannot be trusted."""
    from hooksync.config.files import read_plan
    from hooksync.documents.reader import read_saved_plan

    key = plan_key(world.environ.get(KEY_VARIABLE))
    now = datetime.fromtimestamp(world.clock.now(), UTC)
    data = read_plan(path)
    world.output.public.append(data)
    saved = read_saved_plan(data, path, key, options.max_age, now)
    with _open_saved(saved, options, world, key) as session:
        planned = _replay(saved, session)
        executed, told = _carry_out(planned, session, is_confirmed=True)
    return end_apply(planned, executed, session, told)


def _open(options: Options, world: World, *, is_apply: bool = False) -> AbstractContextManager[Session]:
    """Open a session on hooks files."""
    prepared = prepare(options, world, replaced=options.replace)
    return open_session(
        prepared,
        DiffOptions(options.prunes, options.replace, is_targeted=bool(options.targets)),
        options,
        world,
        state=state_place(options.files, options.state, disabled=not options.uses_state),
        allows_mass_unsubscribe=options.allows_mass_unsubscribe,
        is_apply=is_apply,
    )


def _open_saved(
    saved: SavedPlan, options: Options, world: World, key: PlanKey | None
) -> AbstractContextManager[Session]:
    """Open a session on a saved plan; the environment is filled in by the rules of hooks files."""
    from hooksync.documents.replay import elsewhere

    entries = [one.entry for one in saved.tenancies]
    world.output.redactor.learn(url_environment_values(entries, world.environ))
    private = hold_to_policy(options.policy, entries, world)
    tenancies, warnings = resolve(entries, world.environ)
    if others := tuple(elsewhere(saved, tenancies, key)):
        raise Refused(*others)
    return open_session(
        Prepared(tenancies, (*saved.warnings, *warnings), private_receivers=private),
        DiffOptions(saved.options.prune, is_targeted=saved.options.targeted),
        options,
        world,
        state=_state_of(saved, options, is_signed=key is not None) if options.uses_state else None,
        allows_mass_unsubscribe=options.allows_mass_unsubscribe or saved.options.allow_mass_unsubscribe,
        is_apply=True,
        planned=saved.state_mark,
    )


def _state_of(saved: SavedPlan, options: Options, *, is_signed: bool) -> str | None:
    """Find the state of a saved plan. Raises Refused where a plan that is not signed would have it created anywhere."""
    place = options.state or saved.state
    usual = state_place(options.files, options.state, disabled=False)
    if place is None or is_signed or place == usual or is_harmless(place):
        return place
    from shlex import quote  # only here

    what = f"the plan is not signed, and its state is no *.state.json in this folder or below: {place}"
    fix = f"if that is the right place, give --state {quote(place)}; or sign plans: set {KEY_VARIABLE}"
    raise Refused(Problem(what, fix))


def _replay(saved: SavedPlan, session: Session) -> tuple[Planned, ...]:
    """Make each tenancy's plan again from what is live now."""
    from hooksync.documents.replay import rebuild

    fetched = session.fetch(waits=True)
    histories = session.planner.recall(fetched)
    return tuple(
        now
        if isinstance(now, UnreadTenancy)
        else rebuild(then, now, histories[now.tenancy.name], session.planner.reasons_against)
        for then, now in zip(saved.tenancies, fetched, strict=True)
    )


def _document(view: RunView, session: Session) -> str:
    """Write the plan as JSON, if it is shown or saved; signed, if it is saved."""
    options, state = session.options, session.planner.state
    if options.format != "json" and not options.out:
        return ""
    made_with = PlannedWith(
        id=token_hex(16),
        commit=find_commit(options.files[0]),
        options=PlanOptions(options.prunes, options.replace, bool(options.targets), options.allows_mass_unsubscribe),
        state=mark_of(state) if state else None,
    )
    key = plan_key(session.world.environ.get(KEY_VARIABLE)) if options.out else None
    return session.world.output.checked(plan_json(view, made_with, key), "the plan")


def _carry_out(planned: Sequence[Planned], session: Session, *, is_confirmed: bool) -> tuple[ExecutionResult, RunView]:
    """Find out what stands against plans, show them with it, ask, and carry them out.

    Returns what became of them, and what was shown before. Where nobody can be asked, no receiver is challenged.
    """
    executor, world = session.executor(), session.world
    asks = not is_confirmed and any(isinstance(one, TenancyPlan) and one.is_ready for one in planned)
    if asks and not world.terminal.can_ask():
        fix = "give --yes if the plan is as wanted"
        nobody = ExecutionResult(unconfirmed=Problem("not confirmed: there is no terminal to ask on", fix))
        return nobody, _show_plan(planned, nobody, session, asks=False)
    prepared = executor.prepare(planned)
    asks &= not world.stop.is_set()
    shown = _show_plan(planned, prepared, session, asks=asks)
    asks &= any(view.is_ready for view in shown.tenancies)
    if asks and not world.terminal.ask(f'{question(shown)} Only "yes" is taken for an answer: '):
        return replace(prepared, unconfirmed=Problem("not confirmed", 'answer "yes", or give --yes')), shown
    return executor.execute(planned, prepared), shown


def _show_plan(planned: Sequence[Planned], prepared: ExecutionResult, session: Session, *, asks: bool) -> RunView:
    """Show an apply's plan and what stands against it, before it is carried out; returns what was shown.

    The result as JSON or Markdown is written once, at the end: to be asked about, the plan goes to standard error.
    """
    options, terminal = session.options, session.world.terminal
    plan = run_view([planned_view(one, prepared.verdicts) for one in planned], session, prepared.warnings)
    lines = plan_lines(plan, shows_kept=options.shows_kept)
    if options.format == "text":
        terminal.show(lines)
    elif asks:
        terminal.message(plain(lines))
    errors = prepared.errors
    tenancies = (replace(one, error=one.error or errors.get(one.tenancy.name)) for one in plan.tenancies)
    shown = replace(plan, tenancies=tuple(tenancies), not_adopted=prepared.adoption.problems)
    show_problems(shown, session.world, refused="refused")
    return shown
