"""What the verbs `plan` and `apply` work with once files, state and run are open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hooksync.commands.options import PlanOptions
from hooksync.core.errors import Problem
from hooksync.core.record import Record
from hooksync.reconcile.context import World
from hooksync.reconcile.plan import Planned
from hooksync.reconcile.planner import Fetched, Planner
from hooksync.reconcile.session import Run
from hooksync.state.model import State
from hooksync.state.store import find_lock, load

if TYPE_CHECKING:  # `plan` starts without the rooms that only `apply` needs
    from hooksync.reconcile.executor import Executor


class OpenRun(Record, frozen=True):
    """All that is open, and what was said on the way."""

    run: Run
    planner: Planner
    options: PlanOptions
    world: World
    warnings: tuple[Problem, ...]  # of the files
    state: str | None  # its path
    former_state: str | None = None  # path of the lock file that the state was read from, and that it replaces

    def read(self) -> tuple[Fetched, ...]:
        """Read the tenancies."""
        with self.world.terminal.progress("reading", len(self.run.tenancies)) as advance:
            return self.run.read(advance)

    def look(self) -> tuple[Planned, ...]:
        """Read the tenancies and plan them."""
        return self.planner.plan(self.read())

    def executor(self) -> Executor:
        """Make what carries plans out."""
        from hooksync.reconcile.executor import Executor
        from hooksync.reconcile.journal import Journal

        planner, journal = self.planner, None
        if self.state:
            journal = Journal(
                self.state,
                planner.state,
                planner.secrets,
                planner.ring,
                adopts=self.options.adopts,
                former=self.former_state,
            )
        return Executor(self.run, planner.options, journal, self.world.terminal, probes=self.options.probes)


def read_state(path: str | None, options: PlanOptions, world: World) -> tuple[State | None, str | None]:
    """Read the state, or the lock file that it replaces, and return that file's path too. Raises FileError."""
    if path is None:
        return None, None
    former = find_lock(path) if options.state is None else None
    state = load(former or path)
    if former:
        world.terminal.aside(
            f"note: the state was read from {former}; from now on it is kept in {path}, the old file can be deleted"
        )
    return state, former
