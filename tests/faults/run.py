"""Runs one cell of the fault matrix: an apply that something befalls, then one without faults, then a plan.

By real HTTP against a sandbox of its own, in this process. Run and sandbox share a clock that jumps, so that only calls
which the sandbox holds take time.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from hooksync.commands import plan_apply
from hooksync.commands.plan_apply import ApplyOptions, PlanOptions
from hooksync.core.clock import Clock
from hooksync.core.errors import HooksyncError
from hooksync.reconcile.context import World
from hooksync.sandbox.tenancies import Subscription
from hooksync.service.http import RetryPolicy
from tests.boxes import Call, Sandbox
from tests.clocks import JumpingClock
from tests.faults.cells import Cell
from tests.faults.posts import REPEATS
from tests.faults.scene import HIDDEN, TENANT, environ, options_of, prepare
from tests.faults.table import LONG_LAG, SLOW, Way
from tests.faults.witness import Witness, declared_of, remembered
from tests.laws import Run
from tests.memory_terminal import MemoryTerminal

if TYPE_CHECKING:
    from hooksync.service.http import CallRecord

QUICK = RetryPolicy(repeats=REPEATS, first_wait=0.01, longest_wait=0.05, dice=lambda: 0.5)
TIMEOUT, SHORT_TIMEOUT = 15.0, 0.8  # seconds; the short one where something is slow
SIDE_BY_SIDE = 8  # calls in flight, where it is of no matter which call is the first
LONGEST = 30.0  # seconds that a call which nobody waits for any more may take to be carried out
MARGIN = 0.2  # seconds; what is carried out so close to the verification may be before it or after
TRIES = 3  # of a cell in which that was so


@dataclass(slots=True)
class Recorder(MemoryTerminal):
    """A terminal that lets something else happen after so many calls."""

    calls: int = 0
    moment: int = 0  # the number of the call after which something else happens; 0: nothing does
    at_the_moment: Callable[[], None] = lambda: None

    def watch(self, record: CallRecord) -> None:
        MemoryTerminal.watch(self, record)  # a class with slots has no super() of its own
        self.calls += 1
        if self.calls == self.moment:
            self.at_the_moment()


@dataclass(frozen=True, slots=True)
class Came:
    """What a run of hooksync came to."""

    code: int
    out: str
    err: str
    crash: str  # a traceback; empty where there is none, as there should be
    calls: tuple[Call, ...]
    before: tuple[Subscription, ...]
    live: tuple[Subscription, ...]  # right after it
    state: str  # the state's text right after it; empty where there is none
    run: Run  # as the laws see it

    def count(self, name: str) -> int:
        """Count the calls of this name."""
        return sum(call.name == name for call in self.calls)


@dataclass(frozen=True, slots=True)
class Result:
    """What a cell came to."""

    cell: Cell
    first: Came  # the apply with the faults
    second: Came  # the apply without
    third: Came  # a plan
    between: tuple[Came, ...] = ()  # an apply before the second one, where the list lags longer than it waits
    other: Came | None = None  # the apply that ran in the middle of the first
    others: tuple[
        Came, ...
    ] = ()  # of a state of its own: its apply after the second, one more of the first, and a plan


def run_cell(cell: Cell) -> Result:
    """Run a cell; once more where a late call was carried out just as the verification was made."""
    for _ in range(TRIES):
        result, is_distinct = _try(cell)
        if is_distinct:
            return result
    raise RuntimeError(f"{cell.name}: this machine is too busy to tell what came before the verification")


def options_for(way: Way, **more: object) -> ApplyOptions:
    """The flags that every run of a way has."""
    return ApplyOptions(
        format="json",
        is_confirmed=True,
        uses_state=way.uses_state,
        probes=False,
        replace=("prod/turned/*",) if way.tells_no_flag else (),
        **more,  # type: ignore[arg-type]
    )


def _try(cell: Cell) -> tuple[Result, bool]:
    clock = JumpingClock()
    with tempfile.TemporaryDirectory() as name:
        folders = prepare_both(cell.way, cell.states, Path(name))
        with Sandbox(options_of(cell.way, folders[0] / "held.json", clock)) as box:
            for spec in cell.specs:
                box.faults.add(spec)
            stage = Stage(cell.way, box, clock, folders, may_conflict=cell.may_conflict)
            timeout, parallelism = (SHORT_TIMEOUT, SIDE_BY_SIDE) if cell.is_slow else (TIMEOUT, cell.way.at_once)
            others: list[Came] = []
            terminal = Recorder(moment=cell.moment, at_the_moment=lambda: others.append(stage.apply(1, parallelism=1)))
            first = stage.apply(0, terminal, timeout=timeout, parallelism=parallelism)
            is_distinct = not cell.is_late or _is_distinct(first, time.monotonic())
            if cell.is_late:
                wait_until_all_is_carried_out(box)
            box.faults.end()
            clock.advance(cell.seconds_to_wait)
            between = [stage.apply(0) for _ in range(cell.way.lags_for_long)]
            clock.advance(cell.way.lags_for_long * LONG_LAG)
            second = stage.apply(0)
            rest = (stage.apply(1), stage.apply(0), stage.plan(1)) if folders[0] != folders[1] else ()
            third = stage.plan(0)
    return Result(cell, first, second, third, tuple(between), others[0] if others else None, rest), is_distinct


def prepare_both(way: Way, states: str, folder: Path) -> tuple[Path, Path]:
    """Prepare the folders of two that look after a tenancy: one folder, or one on each machine."""
    first, second = folder / "first", folder / "second"
    first.mkdir()
    prepare(way, first)
    if states != "a state each":
        return first, first
    shutil.copytree(first, second)
    return first, second


class Stage:
    """A tenancy, and the folders of two that look after it."""

    def __init__(
        self, way: Way, box: Sandbox, clock: Clock, folders: tuple[Path, Path], *, may_conflict: bool = False
    ) -> None:
        self.way = way
        self.box = box
        self.clock = clock
        self.folders = folders
        self.witness = Witness(box)
        self._declared = declared_of(way, may_conflict=may_conflict or way.refuses_duplicates)
        self._gone: dict[Path, frozenset[str]] = dict.fromkeys(
            folders, frozenset()
        )  # ids that a state knows as removed
        self._runs = 0

    def apply(
        self,
        number: int,
        terminal: Recorder | None = None,
        *,
        timeout: float = TIMEOUT,
        parallelism: int = SIDE_BY_SIDE,
        adopts: bool = False,
    ) -> Came:
        """Apply from one of the folders."""
        files = self._files(number)
        options = options_for(self.way, files=files, timeout=timeout, parallelism=parallelism, adopts=adopts)
        return self._run(plan_apply.apply, options, terminal or Recorder())

    def plan(self, number: int, *, uses_state: bool = False) -> Came:
        """Plan from one of the folders. What a list does not show yet, or still shows, needs the state."""
        uses_state |= self.way.lags and self.way.uses_state
        plan = PlanOptions(self._files(number), format="json", uses_state=uses_state, has_detailed_exit_code=True)
        return self._run(plan_apply.plan, plan, Recorder())

    def _files(self, number: int) -> tuple[str]:
        return (str(self.folders[number] / "hooks.yaml"),)

    def _run(self, verb: Callable[[Any, World], int], options: Any, terminal: Recorder) -> Came:
        """Run a command, as the command line would; but an exception that it does not know is kept."""
        self._runs += 1
        name, box, folder = f"{verb.__name__} {self._runs}", self.box, Path(options.files[0]).parent
        calls, start, held = len(box.calls), len(self.witness.moments), self.witness.held()
        before, known = box.subscriptions(TENANT), _text(folder)
        environment = environ(box.url)
        network = self.witness.network(name, environment)
        world = World(environment, io.BytesIO(), terminal, Event(), QUICK, self.clock, network)
        crash, code = "", 1
        try:
            code = int(verb(options, world))
        except HooksyncError as error:
            terminal.message(f"error: {error}")
            code = int(error.exit_code)
        except Exception:
            crash = traceback.format_exc()
        text = _text(folder) if options.uses_state else ""
        out, said = "".join(terminal.out), "\n".join(terminal.err)
        run = Run(
            name=name,
            verb=verb.__name__,
            code=code,
            tenancies=(self._declared,),
            before=held,
            moments=tuple(self.witness.moments[start:]),
            result=_document(out),
            said=f"{out}\n{said}",
            crash=crash,
            written=(text,),
            hidden=HIDDEN,
            remembered=remembered(known, held) if options.uses_state else (),
            remembers=remembered(text, self.witness.held()) if text else None,
        )
        run = self._learn(folder, run)
        return Came(code, out, said, crash, box.calls[calls:], before, box.subscriptions(TENANT), text, run)

    def _learn(self, folder: Path, run: Run) -> Run:
        """Add what the state knows as removed, since a run that had it was answered so."""
        for moment, _, removed in run.changes():
            if moment.by == run.name and moment.call == "unsubscribe" and moment.status in (204, 404):
                self._gone[folder] |= {one.id for one in removed}
        return replace(run, gone=self._gone[folder])


def _text(folder: Path) -> str:
    """Read the state; nothing if there is none."""
    path = folder / "hooks.state.json"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _document(text: str) -> dict[str, Any] | None:
    try:
        return dict(json.loads(text))
    except ValueError:
        return None


def _is_distinct(came: Came, now: float) -> bool:
    """Whether every late call was carried out either well before the verification, or well after the run."""
    look = max((call.arrived for call in came.calls if call.name == "list"), default=0.0)
    removals: dict[str, float] = {}  # only the first removal of each does anything
    for call in came.calls:
        if call.name == "unsubscribe":
            removals.setdefault(call.path, call.arrived)
    moments = [*removals.values(), *(call.arrived for call in came.calls if call.name == "subscribe")]
    return not any(look - MARGIN < moment + SLOW < now + MARGIN for moment in moments)


def wait_until_all_is_carried_out(box: Sandbox) -> None:
    """Wait for the calls that hooksync does not wait for any more. Each has a status when it is through."""
    end = time.monotonic() + LONGEST
    while any(call.status is None for call in box.calls):
        if time.monotonic() > end:
            raise RuntimeError("a slow call is not through")
        time.sleep(0.01)
