"""The verb `apply PLAN`: a saved plan is read, held against what is live now, and carried out as it was reviewed.

Prints nothing and ends nothing, as `commands`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from hooksync.commands.options import PlanOptions
from hooksync.commands.results import end_apply, planned_view, run_view
from hooksync.commands.scene import OpenRun, read_state
from hooksync.config.files import read_plan
from hooksync.config.resolve import resolve, url_environment_values
from hooksync.core.errors import ExitCode
from hooksync.core.redaction import Redactor
from hooksync.documents.reader import Demands, SavedPlan, read_saved_plan
from hooksync.documents.replay import rebuild
from hooksync.documents.sealing import KEY_VARIABLE, PlanKey, plan_key
from hooksync.reconcile.context import World
from hooksync.reconcile.diff import DiffOptions
from hooksync.reconcile.plan import Planned, UnreadTenancy
from hooksync.reconcile.planner import Fetched, Planner
from hooksync.reconcile.session import open_run
from hooksync.report.text import plan_lines
from hooksync.state.fingerprints import KeyRing


def apply_saved(path: str, options: PlanOptions, world: World) -> ExitCode:
    """Do what a saved plan says, unasked. Raises Refused or FileError, before any call, where it cannot be trusted."""
    key = plan_key(world.environ.get(KEY_VARIABLE))
    saved = read_saved_plan(read_plan(path), path, Demands(key, options.max_age, datetime.now(UTC)))
    with _open(saved, options, world, key) as scene:
        planned = _rebuilt(saved, scene.read(), scene)
        if options.format == "text":
            before = run_view([planned_view(one, {}) for one in planned], scene, ())
            world.terminal.show(plan_lines(before, shows_kept=options.shows_kept))
        carried = scene.executor().execute(planned)
    return end_apply(planned, carried, scene, None)


@contextmanager
def _open(saved: SavedPlan, options: PlanOptions, world: World, key: PlanKey | None) -> Iterator[OpenRun]:
    """Fill in what the environment says, under the rules of hooks files, and open the state and the run."""
    entries = [one.entry for one in saved.tenancies]
    redactor = Redactor()
    redactor.learn([*url_environment_values(entries, world.environ), *([key.text] if key else ())])
    tenancies, warnings = resolve(entries, world.environ)
    path = (options.state or saved.state) if options.uses_state else None
    state, former = read_state(path, options, world)
    diff = DiffOptions(saved.prunes, is_targeted=saved.is_targeted)
    timeout, parallelism = options.timeout, options.parallelism
    with open_run(tenancies, world, redactor, timeout=timeout, parallelism=parallelism) as run:
        allows = options.allows_mass_unsubscribe or saved.allows_mass_unsubscribe
        planner = Planner(diff, allows, state, run.secrets, KeyRing(options.parallelism))
        yield OpenRun(run, planner, options, world, (*saved.warnings, *warnings), path, former)


def _rebuilt(saved: SavedPlan, fetched: Sequence[Fetched], scene: OpenRun) -> tuple[Planned, ...]:
    """Make each tenancy's plan again out of what is live there now."""
    histories = scene.planner.recall(fetched)
    allows = scene.planner.allows_mass_unsubscribe
    return tuple(
        now
        if isinstance(now, UnreadTenancy)
        else rebuild(then, now, histories[now.tenancy.name], allows_mass_unsubscribe=allows)
        for then, now in zip(saved.tenancies, fetched, strict=True)
    )
