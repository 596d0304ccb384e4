"""The verbs `plan` and `apply`, each read like a sentence: files -> document -> live -> plan -> report.

The corridor between the rooms. Prints nothing and ends nothing: what is to be seen goes to the terminal it is given;
each verb gives an exit code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hooksync.diff import DiffOptions
from hooksync.errors import ExitCode, Problem
from hooksync.fingerprints import KeyRing
from hooksync.lock_store import load, lock_path
from hooksync.model import SecretRef
from hooksync.outcomes import not_attempted
from hooksync.plan import UnreadTenancy
from hooksync.plan_file import plan_json, report_json
from hooksync.planning import Planned, PlannedTenancy, Planner
from hooksync.preparation import Choice, Prepared, prepare
from hooksync.probing import NOT_ASKED, Verdict
from hooksync.render import plan_text, report_text
from hooksync.report import RunView, TenancyView, view_of_outcome, view_of_plan
from hooksync.run import Run, RunSettings, open_run
from hooksync.world import PlanOptions, World

if TYPE_CHECKING:  # `plan` starts without the rooms that only `apply` needs
    from hooksync.carrying import Carried, Carrier


@dataclass(frozen=True, slots=True)
class _Scene:
    """What a verb works with once everything is open."""

    run: Run
    planner: Planner
    prepared: Prepared
    options: PlanOptions
    world: World
    lock: str | None  # its path

    def look(self) -> tuple[Planned, ...]:
        """Read the tenancies and plan them."""
        with self.world.terminal.progress("reading", len(self.run.tenancies)) as advance:
            readings = self.run.read(advance)
        return self.planner.plan(readings)

    def carrier(self) -> Carrier:
        """Make what carries plans out."""
        from hooksync.carrying import Carrier
        from hooksync.journal import Journal

        journal = None
        if self.lock:
            planner = self.planner
            journal = Journal(self.lock, planner.lock, planner.book, planner.ring, self.options.adopts)
        return Carrier(self.run, journal, self.world.terminal, probes=self.options.probes)


def plan(options: PlanOptions, world: World) -> ExitCode:
    """Fetch what is live, compare, show."""
    with _open(options, world) as scene:
        planned = scene.look()
        verdicts = _ask_receivers(planned, scene) if options.probes else {}
        doubts = scene.run.book.doubts(_declared_secrets(planned))
    view = _run_view([_view(one, verdicts) for one in planned], scene, doubts)
    world.terminal.result(
        plan_json(view) if options.format == "json" else plan_text(view, shows_kept=options.shows_kept)
    )
    if scene.lock and scene.planner.lock is None:
        world.terminal.aside(f"note: there is no lock at {scene.lock} yet: a rotated secret cannot be seen")
    _complain(view, world, refused="apply would refuse")
    if world.stop.is_set():
        return ExitCode.INTERRUPTED
    if view.errors:
        return ExitCode.ERROR
    return ExitCode.CHANGES_PENDING if view.has_changes and options.has_detailed_exit_code else ExitCode.DONE


def apply(options: PlanOptions, world: World) -> ExitCode:
    """Plan, ask, do, look again."""
    from hooksync.carrying import Carried

    with _open(options, world) as scene:
        planned = scene.look()
        before = _run_view([_view(one, {}) for one in planned], scene, ())
        if options.format == "text":
            world.terminal.result(plan_text(before, shows_kept=options.shows_kept))
        unconfirmed = _ask(before, options, world)
        carried = Carried() if unconfirmed else scene.carrier().carry_out(planned)
    view = _run_view([_finished(one, carried) for one in planned], scene, carried.warnings)
    view = replace(view, unconfirmed=unconfirmed, lock_error=carried.lock_error)
    if options.format == "json":
        world.terminal.result(report_json(view))
    elif view.has_changes:
        world.terminal.result("\n" + report_text(view))
    _complain(view, world, refused="refused")
    return _exit_code(view, world)


@contextmanager
def _open(options: PlanOptions, world: World) -> Iterator[_Scene]:
    """Read the files and the lock, and open the run. A lock that cannot be read never makes a plan."""
    prepared = prepare(Choice(options.files, options.tenancies, options.targets, options.replace), world)
    path = lock_path(options.files, options.lock, disabled=not options.uses_lock)
    lock = load(path) if path else None
    settings = RunSettings(
        diff=DiffOptions(options.prunes, options.replace, is_targeted=bool(options.targets)),
        timeout=options.timeout,
        parallelism=options.parallelism,
    )
    with open_run(prepared.tenancies, settings, prepared.around) as run:
        ring = KeyRing(options.parallelism)
        planner = Planner(settings.diff, options.allows_mass_unsubscribe, lock, run.book, ring)
        yield _Scene(run, planner, prepared, options, world, path)


def _ask_receivers(planned: Sequence[Planned], scene: _Scene) -> dict[str, Verdict]:
    from hooksync.carrying import ask_receivers

    return ask_receivers(planned, scene.run, scene.world.terminal)


def _declared_secrets(planned: Sequence[Planned]) -> list[SecretRef]:
    return [one.secret for each in planned if isinstance(each, PlannedTenancy) for one in each.tenancy.subscriptions]


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


def _view(one: Planned, verdicts: Mapping[str, Verdict]) -> TenancyView:
    if isinstance(one, UnreadTenancy):
        return view_of_plan(one)
    verdict = verdicts.get(one.tenancy.name, NOT_ASKED)
    return view_of_plan(one.plan, (*one.refusals, *verdict.refusals), verdict.readings)


def _finished(one: Planned, carried: Carried) -> TenancyView:
    if isinstance(one, UnreadTenancy):
        return view_of_plan(one)
    name = one.tenancy.name
    verdict = carried.verdicts.get(name, NOT_ASKED)
    outcome = carried.outcomes.get(name) or not_attempted(one.plan)
    view = view_of_outcome(outcome, (*one.refusals, *verdict.refusals), verdict.readings)
    return replace(view, error=carried.errors.get(name))


def _run_view(tenancies: Sequence[TenancyView], scene: _Scene, warnings: Sequence[Problem]) -> RunView:
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    sources = ", ".join(scene.options.files)
    return RunView(tuple(tenancies), now, sources, (*scene.prepared.warnings, *warnings), scene.lock)


def _complain(view: RunView, world: World, *, refused: str) -> None:
    """Show warnings, refusals and errors, each with its mend."""
    for problem in view.all_warnings:
        world.terminal.aside(f"warning: {problem}")
    for problem in view.refusals:
        world.terminal.aside(f"{refused}: {problem}")
    for tenancy in view.tenancies:
        for problem in tenancy.error.problems if tenancy.error else ():
            world.terminal.aside(f"error: {tenancy.tenancy.name}: {problem}")
    if view.lock_error:
        world.terminal.aside(f"error: {view.lock_error}")


def _exit_code(view: RunView, world: World) -> ExitCode:
    """Judge an apply: partly applied is worse than not at all."""
    if world.stop.is_set():
        return ExitCode.INTERRUPTED
    tried = [tenancy.outcome for tenancy in view.tenancies if tenancy.outcome]
    has_errors = bool(view.errors or view.lock_error)
    if all(outcome.is_as_declared for outcome in tried) and not (has_errors or view.refusals):
        return ExitCode.DONE
    if any(outcome.has_changed for outcome in tried):
        return ExitCode.PARTLY_APPLIED
    if has_errors or view.results()["failed"]:
        return ExitCode.ERROR
    return ExitCode.REFUSED
