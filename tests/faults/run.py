"""Runs one cell of the fault matrix: an apply that something befalls, then one without faults, then a plan.

By real HTTP against a sandbox of its own, in this process, with waits too short to notice.
"""

from __future__ import annotations

import io
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from hooksync.commands import plan_apply
from hooksync.commands.options import PlanOptions
from hooksync.core.errors import HooksyncError, Problem
from hooksync.reconcile.context import World
from hooksync.sandbox.server import Call, Sandbox
from hooksync.sandbox.tenancies import Subscription
from hooksync.service.retry import RetryPolicy
from hooksync.state.store import load
from tests.faults.cells import Cell
from tests.faults.posts import REPEATS
from tests.faults.scene import TENANT, environ, options_of, prepare
from tests.faults.table import SLOW, Way

if TYPE_CHECKING:
    from hooksync.service.retry import CallRecord

QUICK = RetryPolicy(repeats=REPEATS, first_wait=0.01, longest_wait=0.05)
TIMEOUT, SHORT_TIMEOUT = 15.0, 0.8  # seconds; the short one where something is slow
SIDE_BY_SIDE = 8  # calls in flight, where it is of no matter which call is the first
LONGEST = 30.0  # seconds that a call which nobody waits for any more may take to be carried out
MARGIN = 0.2  # seconds; what is carried out so close to the verification may be before it or after
TRIES = 3  # of a cell in which that was so


@dataclass(slots=True)
class Recorder:
    """A terminal that keeps what it is to show."""

    out: str = ""
    err: list[str] = field(default_factory=list)
    look: Callable[[], tuple[Subscription, ...]] = tuple
    moments: list[tuple[Subscription, ...]] = field(default_factory=list)  # what was live after each call

    def result(self, text: str) -> None:
        self.out += text

    def show(self, lines: Sequence[tuple[str, str]]) -> None:
        self.out += "".join(f"{text}\n" for _, text in lines)

    def message(self, text: str) -> None:
        self.err.append(text)

    def warn(self, problem: Problem) -> None:
        self.err.append(str(problem))

    def can_ask(self) -> bool:
        return False

    def ask(self, question: str) -> bool:
        return False

    def watch(self, record: CallRecord) -> None:
        self.err.append(f"{record.request} -> {record.result}")
        self.moments.append(self.look())

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        yield lambda: None


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
    remembered: Mapping[str, str] = field(default_factory=dict)  # addresses by id, as the state had them before
    moments: tuple[tuple[Subscription, ...], ...] = ()  # what was live after each call

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


def run_cell(cell: Cell) -> Result:
    """Run a cell; once more where a late call was carried out just as the verification was made."""
    for _ in range(TRIES):
        result, is_distinct = _try(cell)
        if is_distinct:
            return result
    raise RuntimeError(f"{cell.name}: this machine is too busy to tell what came before the verification")


def options_for(way: Way, **more: object) -> PlanOptions:
    """The flags that every run of a way has."""
    return PlanOptions(
        format="json",
        is_confirmed=True,
        uses_state=way.uses_state,
        probes=False,
        replace=("prod/turned/*",) if way.tells_no_flag else (),
        **more,  # type: ignore[arg-type]
    )


def _try(cell: Cell) -> tuple[Result, bool]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(cell.way, folder)
        files = (str(folder / "hooks.yaml"),)
        with Sandbox(options_of(cell.way, folder / "held.json")) as box:
            for spec in cell.specs:
                box.add_fault(spec)
            timeout, parallelism = (SHORT_TIMEOUT, SIDE_BY_SIDE) if cell.is_slow else (TIMEOUT, cell.way.at_once)
            options = options_for(cell.way, files=files, timeout=timeout, parallelism=parallelism)
            first = carry_out(plan_apply.apply, options, Recorder(), box)
            is_distinct = not cell.is_late or _is_distinct(first, time.monotonic())
            if cell.is_late:
                wait_until_all_is_carried_out(box)
        with Sandbox(options_of(cell.way, folder / "held.json")) as box:  # the same tenancy; nothing goes wrong
            options = options_for(cell.way, files=files, timeout=TIMEOUT, parallelism=SIDE_BY_SIDE)
            second = carry_out(plan_apply.apply, options, Recorder(), box)
            plan = PlanOptions(files, "json", uses_state=False, has_detailed_exit_code=True)
            third = carry_out(plan_apply.plan, plan, Recorder(), box)
    return Result(cell, first, second, third), is_distinct


def carry_out(
    verb: Callable[[PlanOptions, World], int], options: PlanOptions, terminal: Recorder, box: Sandbox
) -> Came:
    """Run a command, as the command line would; but an exception that it does not know is kept."""
    earlier, before = len(box.calls), box.subscriptions(TENANT)
    world = World(environ(box.url), io.BytesIO(), terminal, Event(), QUICK)
    terminal.look = partial(box.subscriptions, TENANT)
    path = Path(options.files[0]).with_name("hooks.state.json")
    state = load(str(path)) if options.uses_state else None
    remembered = {entry.id: entry.address for entry in state.entries} if state else {}
    crash, code = "", 1
    try:
        code = int(verb(options, world))
    except HooksyncError as error:
        terminal.message(f"error: {error}")
        code = int(error.exit_code)
    except Exception:
        crash = traceback.format_exc()
    live = box.subscriptions(TENANT)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return Came(
        code=code,
        out=terminal.out,
        err="\n".join(terminal.err),
        crash=crash,
        calls=box.calls[earlier:],
        before=before,
        live=live,
        state=text,
        remembered=remembered,
        moments=(*terminal.moments, live),
    )


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
