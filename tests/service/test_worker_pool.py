"""Calls side by side: never more than allowed, each lane in its turn, and a way to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from hooksync.service.worker_pool import WorkerPool


class Counter:
    """Counts how many run at once, at most."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = 0
        self.most = 0

    def __enter__(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.now -= 1


def pool(width: int) -> WorkerPool:
    return WorkerPool(width, threading.Event())


def giving(value: int) -> Callable[[], int]:
    return lambda: value


@pytest.mark.parametrize("width", [1, 2, 8, 100])
def test_results_come_in_the_order_of_the_tasks(width: int) -> None:
    with pool(width) as calls:
        assert calls.run("a", [giving(n) for n in range(50)]) == list(range(50))


def test_no_tasks_give_no_results() -> None:
    with pool(1) as calls:
        assert calls.run("a", []) == []


@pytest.mark.parametrize("width", [1, 3])
def test_no_more_than_the_width_run_at_once(width: int) -> None:
    counter = Counter()

    def task() -> None:
        with counter:
            threading.Event().wait(0.001)

    with pool(width) as calls:
        runners = [threading.Thread(target=calls.run, args=(f"lane {n}", [task] * 20)) for n in range(6)]
        for runner in runners:
            runner.start()
        for runner in runners:
            runner.join()
    assert counter.most <= width


def test_as_many_as_the_width_run_at_once_even_in_small_batches() -> None:
    barrier = threading.Barrier(4)

    def meet() -> int:
        return barrier.wait(30)

    with pool(4) as calls:
        assert calls.run("warm", [giving(1)]) == [1]  # leaves one thread idle
        runners = [threading.Thread(target=calls.run, args=(f"lane {n}", [meet])) for n in range(4)]
        for runner in runners:
            runner.start()
        for runner in runners:
            runner.join()
    assert not barrier.broken


def test_lanes_are_served_in_turn() -> None:
    order: list[str] = []
    begun, go = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        assert go.wait(30)

    def note(lane: str) -> Callable[[], None]:
        return lambda: order.append(lane)

    class Told(threading.Condition):
        """Tells when the second runner has queued its tasks and waits for them."""

        def wait(self, timeout: float | None = None) -> bool:
            if threading.current_thread().name == "short":
                queued.set()
            return super().wait(timeout)

    queued = threading.Event()
    pool = WorkerPool(1, threading.Event())
    pool._changed = Told()
    with pool as calls:
        runners = [threading.Thread(target=calls.run, args=("long", [first, *[note("long")] * 6]))]
        runners[0].start()
        assert begun.wait(30)
        runners.append(threading.Thread(target=calls.run, args=("short", [note("short")] * 2), name="short"))
        runners[1].start()
        assert queued.wait(30)
        go.set()
        for runner in runners:
            runner.join()
    assert order[:4] in (["long", "short", "long", "short"], ["short", "long", "short", "long"])
    assert sorted(order) == ["long"] * 6 + ["short"] * 2


def test_a_stop_passes_over_what_has_not_begun_and_ends_what_has() -> None:
    calls = pool(2)
    both = threading.Barrier(2)

    def task() -> str:
        both.wait(30)
        calls.stop.set()
        return "done"

    with calls:
        assert calls.run("a", [task] * 6) == ["done", "done", None, None, None, None]
        assert calls.run("a", [task]) == [None]


def test_what_a_task_raises_is_raised_after_all_are_through() -> None:
    done: list[int] = []

    def fail() -> int:
        raise LookupError("on purpose")

    def note(n: int) -> Callable[[], int]:
        return lambda: done.append(n) or n

    with pool(2) as calls:
        with pytest.raises(LookupError, match="on purpose"):
            calls.run("a", [fail, *[note(n) for n in range(10)]])
        assert sorted(done) == list(range(10))
        assert calls.run("a", [giving(1)]) == [1]


def test_an_exit_in_a_task_reaches_the_caller() -> None:
    def leave() -> None:
        raise SystemExit(3)

    with pool(1) as calls, pytest.raises(SystemExit):
        calls.run("a", [leave])


@pytest.mark.parametrize("width", [1, 4])
def test_coordinators_wait_in_a_pool_of_their_own_for_calls_in_another(width: int) -> None:
    counter = Counter()

    def call() -> int:
        with counter:
            return 1

    with pool(width) as calls:

        def coordinate() -> int:
            return sum(each or 0 for _ in range(3) for each in calls.run("x", [call] * 5))

        with pool(3) as coordinators:
            assert coordinators.run("", [coordinate] * 7) == [15] * 7
    assert counter.most <= width


def test_closing_waits_for_every_thread() -> None:
    before = threading.active_count()
    with pool(8) as calls:
        calls.run("a", [giving(n) for n in range(100)])
        assert threading.active_count() > before
    assert threading.active_count() == before


def test_a_closed_pool_says_so_instead_of_waiting_for_ever() -> None:
    with pool(1) as calls:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        calls.run("a", [giving(1)])


# without threads


@pytest.fixture
def no_more_threads() -> Iterator[Callable[[], None]]:
    """From its call on the system gives no thread: each wants a stack that no memory holds."""

    def begin() -> None:
        threading.stack_size(2**47)

    yield begin
    threading.stack_size(0)


def test_without_threads_whoever_waits_runs_the_tasks(no_more_threads: Callable[[], None]) -> None:
    no_more_threads()
    here = threading.get_ident()
    with pool(4) as calls, pool(4) as others:
        assert calls.run("a", [giving(n) for n in range(20)]) == list(range(20))
        assert calls.run("b", [threading.get_ident]) == [here]
        assert others.run("", [lambda: calls.run("c", [giving(1), giving(2)])] * 2) == [[1, 2]] * 2


def test_with_fewer_threads_than_allowed_these_run_the_tasks(no_more_threads: Callable[[], None]) -> None:
    with pool(4) as calls:
        [worker] = calls.run("warm", [threading.get_ident])
        no_more_threads()
        assert set(calls.run("a", [threading.get_ident] * 20)) == {worker}


def test_without_threads_a_failure_is_raised_after_all_have_ended(no_more_threads: Callable[[], None]) -> None:
    no_more_threads()
    done = []

    def fail() -> None:
        raise ValueError("no")

    with pool(2) as calls:
        with pytest.raises(ValueError, match="no"):
            calls.run("a", [fail, lambda: done.append(1)])
        assert done == [1]
        calls.stop.set()
        assert calls.run("a", [giving(1)]) == [None]
