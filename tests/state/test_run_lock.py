"""Tests of the run lock: only one run holds it, and other runs report its holder.

No write is lost, even if a run has no lock.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event

import pytest

from hooksync.core.errors import Interrupted, Refused, StateError
from hooksync.core.record import replace
from hooksync.state.contract import Busy, Changed, Holder, LockLost
from hooksync.state.format import state_text
from hooksync.state.local import LocalStore
from hooksync.state.store import run_lock, update
from tests.clocks import JumpingClock
from tests.memory_terminal import MemoryTerminal, make_context
from tests.state_makers import adding, elsewhere, entry, ids_of, load, state

NOW = 1_800_000_000
HOLDER = Holder("https://github.com/museum/hooks/actions/runs/7", NOW, "0123456789abcdef")
WORDS = f"{HOLDER.who} since 2027-01-15T08:00:00Z"


class Shared(LocalStore):
    """A state in a file, whose run lock a different run releases after some tries."""

    def __init__(self, folder: Path, busy: int = 0, others: int = 0) -> None:
        super().__init__(str(folder / "hooks.state.json"))
        self.busy = busy  # tries that fail
        self.others = others  # writes of a different run, each just before one of ours
        self.taken: list[Holder] = []

    def write(self, text: str, before: str | None, message: str) -> None:
        if self.others:
            self.others -= 1
            after = adding(elsewhere("other", str(self.others)))(load(self) or state())
            Path(self.where).write_text(state_text(after))
        super().write(text, before, message)

    @contextmanager
    def hold(self, holder: Holder) -> Iterator[None]:
        if self.busy:
            self.busy -= 1
            raise Busy(self.where, HOLDER, "unlock it")
        self.taken.append(holder)
        yield


def try_lock(
    store: Shared, timeout: float = 0, stop: Event | None = None
) -> tuple[JumpingClock, list[str]]:
    clock, told = JumpingClock(NOW), list[str]()
    context = make_context(clock=clock, stop=stop or Event(), terminal=MemoryTerminal(err=told))
    with run_lock(store, timeout, context, HOLDER):
        pass
    return clock, told


# --- waiting for the lock


def test_a_free_lock_is_taken_at_once_and_records_the_time(tmp_path: Path) -> None:
    store = Shared(tmp_path)
    clock, told = try_lock(store)
    assert (clock.now(), told) == (NOW, [])
    assert store.taken == [replace(HOLDER, since=NOW)]


def test_the_error_names_the_run_that_holds_the_lock_and_a_fix(tmp_path: Path) -> None:
    store = Shared(tmp_path, busy=1)
    with pytest.raises(Refused) as caught:
        try_lock(store)
    what = f"another run of hooksync works with {store.where}: {WORDS}"
    fix = "wait for it to end and run this again, or let this wait with --lock-timeout SECONDS"
    assert str(caught.value) == f"{what}\n  fix: {fix}; unlock it"


def test_a_run_waits_for_a_lock_that_is_released_in_time_and_reports_the_wait_once(
    tmp_path: Path,
) -> None:
    store = Shared(tmp_path, busy=10)
    clock, told = try_lock(store, 30)
    assert told == [
        f"waiting for up to 30 seconds: another run of hooksync works with {store.where}: {WORDS}"
    ]
    assert 1 < clock.now() - NOW < 30
    assert store.taken[0].since == int(clock.now())


def test_a_run_is_refused_if_the_lock_is_still_held_after_the_timeout(tmp_path: Path) -> None:
    store = Shared(tmp_path, busy=1000)
    with pytest.raises(Refused, match="another run of hooksync works"):
        try_lock(store, 2.5)
    assert 5 < 1000 - store.busy < 10


def test_an_interrupt_ends_the_wait(tmp_path: Path) -> None:
    stop = Event()
    stop.set()
    with pytest.raises(Interrupted) as caught:
        try_lock(Shared(tmp_path, busy=1), 30, stop)
    assert caught.value.exit_code == 130


# --- compare and swap


def test_entries_that_a_different_run_wrote_meanwhile_are_kept(tmp_path: Path) -> None:
    store = Shared(tmp_path, others=3)
    after = update(store, adding(entry()))
    assert ids_of(after, "other") == {"0", "1", "2"}
    assert ids_of(after, "brama") == {"1" * 32}
    assert load(store) == after


def test_a_state_that_changes_before_every_write_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="changes all the time"):
        update(Shared(tmp_path, others=1000), adding(entry()))


def test_a_file_that_was_written_since_it_was_read_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "hooks.state.json"
    store = LocalStore(str(path))
    with pytest.raises(Changed):
        store.write("x", "text of a file that is gone", "")
    store.write("old", None, "")
    assert store.read() == "old"
    path.write_text("new")
    for before in ("old", None):
        with pytest.raises(Changed):
            store.write("x", before, "")
    assert path.read_text() == "new"


# --- the lock file


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "hooks.state.json")


def test_only_one_run_holds_the_lock_and_other_runs_report_its_holder(path: str) -> None:
    store = LocalStore(path)
    with store.hold(HOLDER):
        with pytest.raises(Busy) as caught, LocalStore(path).hold(HOLDER):
            pass
        advice = "the lock ends with its process, which may be waiting at a prompt"
        assert f"{path}: {WORDS}\n" in str(caught.value)
        assert advice in str(caught.value)
        update(store, adding(entry()))
    assert sorted(os.listdir(os.path.dirname(path))) == [
        "hooks.state.json",
        "hooks.state.json.lock",
    ]
    with LocalStore(path).hold(HOLDER):
        pass


def test_a_run_whose_lock_file_was_deleted_writes_nothing_and_keeps_the_name_of_the_next_holder(
    path: str,
) -> None:
    store = LocalStore(path)
    with ExitStack() as held:
        held.enter_context(store.hold(HOLDER))
        os.unlink(f"{path}.lock")
        with pytest.raises(LockLost, match="somebody deleted"):
            update(store, adding(entry()))
        other = replace(HOLDER, who="other on host-8")
        with LocalStore(path).hold(other):
            with pytest.raises(LockLost):
                store.check()
            held.close()
            assert store.holder() == other
    assert not os.path.exists(path)


def test_a_printed_holder_contains_no_control_characters() -> None:
    assert "\x1b" not in str(replace(HOLDER, who="\x1b[2J"))
