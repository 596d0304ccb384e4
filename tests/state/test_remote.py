"""Tests of a state on a different machine, and of its run lock: taken, renewed, expired, or lost.

No write replaces the changes of a different run.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from threading import Event

import pytest

from hooksync.core.errors import Refused, StateError
from hooksync.core.record import replace
from hooksync.state.contract import BackendData, Busy, Holder, LockLost
from hooksync.state.format import state_text
from hooksync.state.model import State
from hooksync.state.remote import LOCK_EXPIRY, RemoteStore
from hooksync.state.store import run_lock, update
from tests.clocks import JumpingClock
from tests.memory_backend import MemoryBackend, PassiveStore
from tests.memory_terminal import MemoryTerminal, make_context
from tests.state_makers import adding, elsewhere, entry, load, state, written

ARCHIVIST = Holder("archivist on host-7 (process 4711)", 0, "a" * 16)
OTHER = Holder("other on host-8", id="b" * 16)
KILLED: list[AbstractContextManager[None]] = []
TEXT = state_text(state(entry()))


@pytest.fixture(autouse=True)
def _no_killed_run_is_left() -> Iterator[None]:
    yield
    while KILLED:
        KILLED.pop().__exit__(None, None, None)


def open_one(
    backend: MemoryBackend,
    clock: JumpingClock | None = None,
    told: list[str] | None = None,
) -> RemoteStore:
    terminal = MemoryTerminal(err=told if told is not None else [])
    return PassiveStore(backend, make_context(clock=clock or JumpingClock(), terminal=terminal))


def hold(store: RemoteStore, holder: Holder) -> None:
    """Take the run lock without releasing it, like a run that is killed."""
    manager = store.hold(holder)
    manager.__enter__()
    KILLED.append(manager)  # without this reference, Python would release the lock


def add(store: RemoteStore, identifier: str) -> State:
    return update(store, adding(entry(identifier=identifier)))


def ids(backend: MemoryBackend) -> set[str]:
    text = backend.content.state
    return {each["id"] for each in written(json.loads(text), "entries")} if text else set()


def take(
    store: RemoteStore, holder: Holder, clock: JumpingClock, timeout: float | None = None
) -> list[str]:
    told: list[str] = []
    context = make_context(clock=clock, terminal=MemoryTerminal(err=told))
    with run_lock(store, timeout, context, holder):
        pass
    return told


# --- a run


def test_a_run_takes_the_lock_writes_twice_and_releases_the_lock_in_five_calls() -> None:
    backend = MemoryBackend()
    store = open_one(backend)
    with store.hold(ARCHIVIST):
        assert load(store) is None
        add(store, "1")
        add(store, "2")
        assert ids(backend) == {"1", "2"}
        assert backend.content.lock
    assert backend.content.lock is None
    assert backend.calls == 5
    assert [re.split(" by | [(]", message)[0] for message in backend.messages] == [
        "run lock taken", "state written", "state written", "run lock released",
    ]  # fmt: skip
    assert all(ARCHIVIST.who in message for message in backend.messages)


def test_reading_takes_one_call_and_no_lock() -> None:
    backend = MemoryBackend(found=(BackendData(TEXT, "somebody's"), "1"))
    assert load(open_one(backend)) == state(entry())
    assert backend.calls == 1


# --- a different run


def test_a_second_run_is_refused_with_the_name_of_the_lock_holder() -> None:
    backend, clock = MemoryBackend(), JumpingClock()
    with open_one(backend, clock).hold(ARCHIVIST):
        with pytest.raises(Refused, match=r"archivist on host-7 .process 4711.") as caught:
            take(open_one(backend, clock), OTHER, clock, timeout=0)
        assert f"hooksync state unlock {ARCHIVIST.id}" in str(caught.value)
        clock.advance(LOCK_EXPIRY / 2)  # the lock could not be renewed for a while
        with pytest.raises(Refused):
            take(open_one(backend, clock), OTHER, clock, timeout=LOCK_EXPIRY / 3)


def test_a_waiting_run_takes_over_a_killed_runs_lock_after_it_saw_the_lock_expire() -> None:
    backend, clock = MemoryBackend(), JumpingClock()
    hold(open_one(backend, clock), ARCHIVIST)
    clock.advance(2 * LOCK_EXPIRY)  # a long time, but no run watches the lock
    begin, told = clock.now(), list[str]()
    assert "waiting for up to" in "\n".join(take(open_one(backend, clock, told), OTHER, clock))
    assert LOCK_EXPIRY <= clock.now() - begin <= LOCK_EXPIRY + 10
    assert "archivist on host-7" in "".join(told)
    assert "taken over" in "".join(told)
    assert backend.content.lock is None


@pytest.mark.parametrize("wrong", [-86_400, -2 * LOCK_EXPIRY, 2 * LOCK_EXPIRY, 86_400])
def test_a_run_whose_clock_is_wrong_keeps_its_lock_while_it_lives(wrong: float) -> None:
    backend, time, theirs = MemoryBackend(), JumpingClock(), JumpingClock()
    theirs.advance(wrong)
    alive = open_one(backend, theirs)

    class Waiting(JumpingClock):
        def wait(self, stop: threading.Event, seconds: float) -> bool:
            theirs.advance(seconds)
            alive.check()
            return super().wait(stop, seconds)

    with alive.hold(ARCHIVIST):
        clock = Waiting(time.now())
        with pytest.raises(Refused):
            take(open_one(backend, clock), OTHER, clock, timeout=3 * LOCK_EXPIRY)
        alive.check()
        add(alive, "1")


def test_the_command_that_unlocks_names_the_hooks_file_that_leads_to_the_backend() -> None:
    backend, clock = MemoryBackend(), JumpingClock()
    with open_one(backend, clock).hold(ARCHIVIST):
        store = RemoteStore(backend, make_context(clock=clock), file="my hooks/hooks.yaml")
        with pytest.raises(Busy) as caught, store.hold(OTHER):
            pass
    unlock = f"state unlock {ARCHIVIST.id} --file 'my hooks/hooks.yaml' --state memory`"
    assert f"if that run has ended, `hooksync {unlock}" in str(caught.value)


NEVER = json.dumps({"who": "ada", "since": 10**30, "count": 0})


@pytest.mark.parametrize("words", ["{}", "", "[" * 8192, "NaN", '{"since": 1e999}', NEVER])
def test_a_lock_that_cannot_be_read_is_an_error_at_once_until_it_is_removed(words: str) -> None:
    backend, clock = MemoryBackend(found=(BackendData(TEXT, words), "1")), JumpingClock()
    start = clock.monotonic()
    with pytest.raises(
        StateError, match="`hooksync state unlock unreadable --file - --state memory`"
    ):
        take(open_one(backend, clock), OTHER, clock)
    assert clock.monotonic() == start
    store = open_one(backend, clock)
    store.read()
    store.unlock("unreadable")
    assert take(open_one(backend, clock), OTHER, clock) == []
    assert backend.content == BackendData(TEXT)


def test_a_thread_renews_the_lock_while_nothing_else_happens() -> None:
    backend, renewed = MemoryBackend(), Event()

    class Clock(JumpingClock):
        def wait(self, stop: threading.Event, seconds: float) -> bool:
            if len(backend.messages) > 3:
                renewed.set()
                return stop.wait()
            return super().wait(stop, seconds)

    store = RemoteStore(backend, make_context(clock=Clock()))
    with store.hold(ARCHIVIST):
        assert renewed.wait(300)
    assert [message.partition(" by ")[0] for message in backend.messages[:3]] == [
        "run lock taken"
    ] + 2 * ["run lock renewed"]


# --- a lost lock


def lose(backend: MemoryBackend, clock: JumpingClock) -> RemoteStore:
    """Pause a run until a different run takes its lock over, and return the store of the first."""
    paused = open_one(backend, clock)
    hold(paused, ARCHIVIST)
    add(paused, "1")
    clock.advance(2 * LOCK_EXPIRY)
    other = open_one(backend, clock)
    with pytest.raises(Busy):
        hold(other, OTHER)
    clock.advance(LOCK_EXPIRY)
    hold(other, OTHER)
    return paused


@pytest.mark.parametrize("checks", [0, 2])
def test_a_run_that_was_paused_too_long_changes_nothing_more(checks: int) -> None:
    backend, clock = MemoryBackend(), JumpingClock()
    paused = lose(backend, clock)
    before = backend.found
    for _ in range(checks):
        with pytest.raises(LockLost, match="is lost, it was taken over by other on host-8"):
            paused.check()
    with pytest.raises(LockLost):
        add(paused, "2")
    assert backend.found == before


def test_a_run_that_lost_its_lock_leaves_the_lock_of_the_other_run_alone() -> None:
    backend, clock, told = MemoryBackend(), JumpingClock(), list[str]()
    store = open_one(backend, clock, told)
    with store.hold(ARCHIVIST):
        assert backend.found
        backend.found = BackendData(TEXT, "another's"), "77"
        clock.advance(LOCK_EXPIRY)
    assert backend.found == (BackendData(TEXT, "another's"), "77")
    assert told == []


def test_a_lock_that_cannot_be_renewed_counts_as_lost_before_it_expires() -> None:
    backend, clock = MemoryBackend(), JumpingClock()
    store = open_one(backend, clock)
    hold(store, ARCHIVIST)
    backend.is_cut = True
    clock.advance(LOCK_EXPIRY / 2)
    store.check()
    clock.advance(LOCK_EXPIRY / 2)
    with pytest.raises(
        LockLost,
        match="cannot be renewed, and a different run may hold it: memory is unreachable",
    ):
        store.check()
    backend.is_cut = False
    store.check()  # no other run has taken the lock meanwhile


def test_a_lock_is_not_trusted_for_longer_because_the_clock_was_set_back() -> None:
    backend, clock = MemoryBackend(), JumpingClock()
    store = open_one(backend, clock)
    hold(store, ARCHIVIST)
    backend.is_cut = True
    clock.advance(-3600)
    with pytest.raises(LockLost, match="cannot be renewed"):
        store.check()


def test_a_lock_can_be_taken_away_only_with_the_id_of_its_holder() -> None:
    backend = MemoryBackend()
    store = open_one(backend)
    hold(store, ARCHIVIST)
    for wrong in ("", "b" * 16):
        with pytest.raises(Refused, match=r"no run .* holds the run lock"):
            open_one(backend).unlock(wrong)
    other = open_one(backend)
    other.read()
    other.unlock(ARCHIVIST.id)
    with pytest.raises(LockLost, match="taken away"):
        add(store, "1")
    with pytest.raises(Refused):
        open_one(backend).unlock(ARCHIVIST.id)


# --- a network that fails


def test_a_backend_that_refuses_every_write_as_changed_is_reported_after_a_while() -> None:
    backend = MemoryBackend()
    store = open_one(backend)
    with store.hold(ARCHIVIST):
        backend.is_stale = True
        with pytest.raises(StateError, match="changes all the time"):
            add(store, "1")
        backend.is_stale = False


@pytest.mark.parametrize("then", ["write", "renew", "give back"])
def test_a_state_that_is_edited_by_hand_during_a_run_is_kept(then: str) -> None:
    backend, clock = MemoryBackend(), JumpingClock()
    store = open_one(backend, clock)
    with store.hold(ARCHIVIST):
        add(store, "1")
        edited = state(entry(identifier="1"), elsewhere("test", "7"))
        backend.found = replace(backend.content, state=state_text(edited)), "77"
        if then == "renew":
            clock.advance(LOCK_EXPIRY)
            store.check()
        if then == "write":
            add(store, "2")
    assert ids(backend) == {"1", "7"} | ({"2"} if then == "write" else set())
    assert backend.content.lock is None
