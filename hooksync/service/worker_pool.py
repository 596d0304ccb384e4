"""Runs tasks in parallel threads, until something stops the run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")


class WorkerPool(ThreadPoolExecutor):
    """Runs tasks in at most `max_workers` threads. Once `stop` is set, no further task begins."""

    def __init__(self, max_workers: int, stop: threading.Event) -> None:
        super().__init__(max_workers)
        self._stop = stop

    def run(self, tasks: Sequence[Callable[[], T]]) -> list[T | None]:
        """Run tasks and wait for all. The result of a task is None if the stop prevented it.

        If tasks fail, raises the exception of the first one, after all have ended.
        """
        futures = [self.submit(self._run_one, task) for task in tasks]
        wait(futures)
        return [future.result() for future in futures]

    def coordinators(self) -> WorkerPool:
        """Return a pool for tasks that only wait for tasks of this one; no stop ends it."""
        return type(self)(self._max_workers, threading.Event())

    def _run_one(self, task: Callable[[], T]) -> T | None:
        """Run a task, unless a stop came before its turn."""
        return None if self._stop.is_set() else task()
