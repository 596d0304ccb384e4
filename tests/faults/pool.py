"""Runs cells of the fault matrix side by side, in processes of their own, and keeps of each what is to be told."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from tests.faults.cells import Cell
from tests.faults.judge import find_broken
from tests.faults.run import Result, run_cell
from tests.faults.steps import judge_steps

CELLS_EACH = 8  # below which a process costs more than it saves
PROCESSES = 4 * (os.cpu_count() or 1)  # more than processors: cells with something slow wait for most of their time


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is told of a cell."""

    cell: Cell
    code: int  # the exit code of the faulty run
    more_posts: int  # than an apply without faults makes
    compared: int  # outcomes that were compared with what is there
    unknown: int  # of them, those of which more came than could be known, and it was said so
    is_half_done: bool  # whether a step was told to be
    is_verified: bool  # whether there was a verification, or no need of one
    broken: tuple[str, ...]
    said: str = ""  # what the faulty run said

    def __str__(self) -> str:
        """Give the text of the cell in a table."""
        marks = [str(self.code)]
        marks += [f"+{self.more_posts}"] if self.more_posts > 0 else []
        marks += ["½"] if self.is_half_done else []
        marks += ["?"] if not self.is_verified else []
        marks += ["**broken**"] if self.broken else []
        return " ".join(marks)


def judge_cell(cell: Cell) -> Verdict:
    """Run a cell and judge it. An exception of the judges is a finding as well."""
    result = run_cell(cell)
    first, steps = result.first, judge_steps(cell, result.first)
    try:
        broken = find_broken(result)
    except (ValueError, KeyError, TypeError) as error:
        broken = (f"it cannot be judged: {type(error).__name__}: {error}",)
    return Verdict(
        cell=cell,
        code=first.code,
        more_posts=first.count("subscribe") - cell.way.calls("subscribe"),
        compared=steps.compared,
        unknown=steps.unknown,
        is_half_done=steps.half_done > 0,
        is_verified=steps.is_verified,
        broken=broken,
        said=shown(result),
    )


def shown(result: Result) -> str:
    """Show what the faulty run said and what was called."""
    calls = "\n".join(f"{call.method} {call.path} -> {call.status or 'cut'}" for call in result.first.calls)
    return f"{result.first.err}\n\n{calls}\n\n{result.first.out}"


@contextmanager
def under_way(cells: Iterable[Cell]) -> Iterator[dict[str, Future[Verdict]]]:
    """Start cells, those first that take long; gives what each will come to, by its name."""
    slow_first = sorted(cells, key=lambda cell: not cell.is_slow)
    processes = min(PROCESSES, 1 + len(slow_first) // CELLS_EACH)
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield {cell.name: pool.submit(judge_cell, cell) for cell in slow_first}
        finally:
            pool.shutdown(cancel_futures=True)
