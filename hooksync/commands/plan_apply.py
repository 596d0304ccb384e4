"""The verbs `plan` and `apply`, each read like a sentence: files -> document -> live -> plan -> report.

The corridor between the rooms. Prints nothing and ends nothing: what is to be seen goes to the terminal it is given;
each verb gives an exit code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hooksync.commands.options import PlanOptions
from hooksync.commands.results import complain, end_apply, planned_view, run_view
from hooksync.commands.scene import OpenRun, read_state
from hooksync.commands.setup import Choice, prepare
from hooksync.core.atomic_write import write_atomically
from hooksync.core.errors import ExitCode, Problem, UsageError
from hooksync.core.model import SecretRef
from hooksync.documents.sealing import KEY_VARIABLE, PlanKey, plan_key
from hooksync.documents.writer import PlannedWith, plan_json
from hooksync.reconcile.context import World
from hooksync.reconcile.diff import DiffOptions
from hooksync.reconcile.plan import Planned, TenancyPlan
from hooksync.reconcile.planner import Planner
from hooksync.reconcile.preflight import ask_receivers
from hooksync.reconcile.session import open_run
from hooksync.report.text import plain, plan_lines
from hooksync.report.view import RunView
from hooksync.state.fingerprints import KeyRing
from hooksync.state.store import state_path


def plan(options: PlanOptions, world: World) -> ExitCode:
    """Fetch what is live, compare, show; save what was shown, where that is asked for."""
    key = plan_key(world.environ.get(KEY_VARIABLE)) if options.out else None
    with _open(options, world, key) as scene:
        planned = scene.look()
        verdicts = ask_receivers(planned, scene.run, world.terminal) if options.probes else {}
        doubts = scene.run.secrets.doubts(_declared_secrets(planned))
    view = run_view([planned_view(one, verdicts) for one in planned], scene, doubts)
    document = _document(view, options, key)
    if options.format == "text":
        world.terminal.show(plan_lines(view, shows_kept=options.shows_kept))
    else:
        world.terminal.result(document if options.format == "json" else _markdown(view, options))
    if scene.state and scene.planner.state is None:
        world.terminal.aside(f"note: there is no state at {scene.state} yet: a rotated secret cannot be seen")
    complain(view, world, refused="apply would refuse")
    if world.stop.is_set():
        return ExitCode.INTERRUPTED
    if view.errors:
        return ExitCode.ERROR
    if options.out:
        write_atomically(options.out, document)
        world.terminal.aside(f"saved: hooksync apply {options.out} carries out exactly this")
    return ExitCode.CHANGES_PENDING if view.has_changes and options.has_detailed_exit_code else ExitCode.DONE


def apply(options: PlanOptions, world: World) -> ExitCode:
    """Plan, ask, do, look again; or do what a saved plan says."""
    from hooksync.reconcile.executor import ExecutionResult

    if options.saved_plan is not None:
        from hooksync.commands.saved_apply import apply_saved

        return apply_saved(options.saved_plan, options, world)
    with _open(options, world) as scene:
        if options.adopts and not scene.state:
            raise UsageError(
                Problem("--adopt has no state to write to", "name one with --state, and give no --no-state")
            )
        planned = scene.look()
        before = run_view([planned_view(one, {}) for one in planned], scene, ())
        if options.format == "text":
            world.terminal.show(plan_lines(before, shows_kept=options.shows_kept))
        unconfirmed = _ask(before, options, world)
        carried = ExecutionResult() if unconfirmed else scene.executor().execute(planned)
    return end_apply(planned, carried, scene, unconfirmed)


@contextmanager
def _open(options: PlanOptions, world: World, key: PlanKey | None = None) -> Iterator[OpenRun]:
    """Read the files and the state, and open the run. A state that cannot be read never makes a plan."""
    prepared = prepare(Choice(options.files, options.tenancies, options.targets, options.replace, options.shard), world)
    if key:
        prepared.redactor.learn([key.text])
    path = state_path(options.files, options.state, disabled=not options.uses_state)
    state, former = read_state(path, options, world)
    diff = DiffOptions(options.prunes, options.replace, is_targeted=bool(options.targets))
    timeout, parallelism = options.timeout, options.parallelism
    with open_run(prepared.tenancies, world, prepared.redactor, timeout=timeout, parallelism=parallelism) as run:
        ring = KeyRing(options.parallelism)
        planner = Planner(diff, options.allows_mass_unsubscribe, state, run.secrets, ring)
        yield OpenRun(run, planner, options, world, prepared.warnings, path, former)


def _document(view: RunView, options: PlanOptions, key: PlanKey | None) -> str:
    """Write the plan as JSON, where anybody wants it."""
    if options.format != "json" and not options.out:
        return ""
    flags = PlannedWith(options.prunes, options.replace, bool(options.targets), options.allows_mass_unsubscribe)
    return plan_json(view, flags, key)


def _markdown(view: RunView, options: PlanOptions) -> str:
    from hooksync.report.markdown import plan_markdown

    return plan_markdown(view, shows_kept=options.shows_kept)


def _declared_secrets(planned: Sequence[Planned]) -> list[SecretRef]:
    return [one.secret for each in planned if isinstance(each, TenancyPlan) for one in each.tenancy.subscriptions]


def _ask(before: RunView, options: PlanOptions, world: World) -> Problem | None:
    """Ask whether to go on, where there is anything to do; give the reason why not."""
    is_ready = any(view.has_changes and not view.refusals for view in before.tenancies)
    if options.is_confirmed or world.stop.is_set() or not is_ready:
        return None
    if options.format != "text":
        world.terminal.aside(plain(plan_lines(before)))
    match world.terminal.ask('Carry this out? Only "yes" is taken for an answer: '):
        case True:
            return None
        case None:
            return Problem("not confirmed: there is no terminal to ask on", "give --yes when the plan is as wanted")
        case False:
            return Problem("not confirmed", 'answer "yes", or give --yes')
