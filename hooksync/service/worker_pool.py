"""Run a run's calls in parallel: a bound on how many at once, tenancies served in turn, and a way to stop.

Knows threads, and nothing of what the calls do.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar, cast

from msgspec import Struct

T = TypeVar("T")

_LOOK = 1.0  # seconds between two looks whether a signal came, which no wait of Windows hears


class _Batch(Struct):
    """Tasks that one caller waits for."""

    tasks: Sequence[Callable[[], object]]
    results: list[object]
    left: int
    failure: BaseException | None = None


class WorkerPool:
    """Runs tasks in at most `width` threads; lanes are served in turn, so that a long one does not hold up others.

    Where the system gives fewer threads, those do; where it gives none, whoever waits for tasks runs them.
    """

    def __init__(self, width: int, stop: threading.Event) -> None:
        self.width = width
        self.stop = stop  # set: tasks that have not begun are skipped
        self._lanes: OrderedDict[str, deque[tuple[_Batch, int]]] = OrderedDict()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *exception: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def run(self, lane: str, tasks: Sequence[Callable[[], T]]) -> list[T | None]:
        """Run tasks and wait for all; None: a stop skipped it. Raises what a task raised, after all have ended."""
        batch = _Batch(tasks, [None for _ in tasks], len(tasks))
        with self._changed:
            if self._closed:
                raise RuntimeError("the pool is closed")
            if tasks:
                self._lanes.setdefault(lane, deque()).extend((batch, index) for index in range(len(tasks)))
            with suppress(RuntimeError):  # the system has no more threads
                for _ in range(min(self.width - len(self._threads), len(tasks))):
                    thread = threading.Thread(target=self._work, daemon=True)
                    thread.start()
                    self._threads.append(thread)
            self._changed.notify_all()
            self._serve(lambda: batch.left == 0, is_worker=not self._threads)
        if batch.failure is not None:
            raise batch.failure
        return cast("list[T | None]", batch.results)

    def _work(self) -> None:
        """One thread: run tasks until the pool is closed and none is left."""
        with self._changed:
            self._serve(lambda: self._closed and not self._lanes, is_worker=True)

    def _serve(self, is_done: Callable[[], bool], *, is_worker: bool) -> None:
        """Wait until something is done; a worker runs tasks meanwhile. The lock is held but while one runs."""
        while not is_done():
            if not (self._lanes and is_worker):
                self._changed.wait(_LOOK)
                continue
            lane, queue = self._lanes.popitem(last=False)
            batch, index = queue.popleft()
            if queue:
                self._lanes[lane] = queue  # behind the others
            self._changed.release()
            try:
                if not self.stop.is_set():
                    batch.results[index] = batch.tasks[index]()
            except BaseException as error:
                batch.failure = batch.failure or error
            finally:
                self._changed.acquire()
            batch.left -= 1
            if batch.left == 0:
                self._changed.notify_all()
