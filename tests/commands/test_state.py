"""`hooksync state`: its output, its refusals, and that no entry is lost.

Other modules test races and kills.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any
from unittest import mock

import pytest

from hooksync.commands.state import UnlockOptions, unlock
from hooksync.core.errors import Interrupted, Refused
from hooksync.core.record import replace
from hooksync.state.contract import Holder
from hooksync.state.format import read_state, state_text
from hooksync.state.local import LocalStore
from hooksync.state.model import State
from hooksync.state.remote import RemoteStore
from tests.clocks import JumpingClock
from tests.command_line import Run, hooksync
from tests.conftest import HOOKS
from tests.memory_backend import MemoryBackend
from tests.memory_terminal import MemoryTerminal, make_context
from tests.state_makers import adding, attempt, entry, records, state

NOW = 1_800_000_000
TIME = "2027-01-15T08:00:00Z"
HOLDER = Holder("archivist on host-7 (process 4711)", since=NOW, id="0123456789abcdef")
WHO = f"archivist on host-7 (process 4711) since {TIME}"

MADE = entry()
ADOPTED = replace(entry(identifier="2" * 32), address="prod/alert/MOVED", is_adopted=True)
OTHER = records(replace(entry("test", "3" * 32), address="test/catalogue/MOVED"), tenant="test")
TRIED = attempt(name="website")
WHOLE = state(MADE, ADOPTED, OTHER, TRIED, serial=7)
PROD, TEST = "eu.preservica.com / brama", "eu.preservica.com / test"
SETTLED = state(MADE, ADOPTED, OTHER, serial=7)
ANOTHER = replace(SETTLED, url_salt="78" * 16)

NEEDS_A_STATE = [("show",), ("pull",), ("move", "a/a/MOVED", "a/b/MOVED"), ("forget", "a/*")]
WRITES = [
    ("push", "new.json"),
    ("move", "prod/catalogue/MOVED", "prod/x/MOVED"),
    ("forget", "prod/*", "--yes"),
]


@dataclass
class Folder:
    """A folder in which a state and other files can be written, and commands run."""

    path: Path

    def run(self, *arguments: str, given: str = "", **environ: str) -> Run:
        done = hooksync(["state", *arguments], environ, self.path, given)
        assert "Traceback" not in done.err
        return done

    def put(self, state: State | str, name: str = "hooks.state.json") -> str:
        text = state if isinstance(state, str) else state_text(state)
        (self.path / name).write_text(text)
        return text

    def state(self, name: str = "hooks.state.json") -> State:
        return read_state((self.path / name).read_text(), name)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def kept(folder: Folder) -> Folder:
    folder.put(WHOLE)
    return folder


@pytest.fixture
def settled(folder: Folder) -> Folder:
    folder.put(SETTLED)
    return folder


# --- where the state is


def test_the_state_is_found_beside_the_hooks_file_which_is_never_read(kept: Folder) -> None:
    kept.put("{", "hooks.yaml")
    shown = kept.run("show")
    assert (shown.code, shown.err) == (0, "")
    assert kept.run("show", "-f", ".").out.endswith(shown.out.partition("serial")[2])


def test_a_hooks_file_on_standard_input_needs_a_named_state(folder: Folder) -> None:
    done = folder.run("show", "-f", "-")
    assert (done.code, done.out) == (64, "")
    assert (
        done.err == "error: a hooks file on standard input has no state beside it\n"
        "  fix: name the state with --state or HOOKSYNC_STATE\n"
    )


@pytest.mark.parametrize("action", NEEDS_A_STATE, ids=" ".join)
def test_a_missing_state_is_an_error_and_is_not_created(
    folder: Folder, action: tuple[str, ...]
) -> None:
    done = folder.run(*action)
    assert (done.code, done.out) == (1, "")
    assert (
        done.err == "error: there is no state at hooks.state.json\n"
        "  fix: name it with --state; the first `hooksync apply` writes it\n"
    )
    assert {each.name for each in folder.path.iterdir()} == set()


@pytest.mark.parametrize(
    "where", ["https://user:password@example.org/x", "S3://bucket/key", "git:", "s3://bucket"]
)
def test_a_state_location_that_no_backend_accepts_is_a_wrong_command_line(
    folder: Folder, where: str
) -> None:
    done = folder.run("show", "--state", where)
    assert (done.code, done.out, done.err.count("error: ")) == (64, "", 1)
    assert "password" not in done.err


# --- show


def test_show_prints_the_whole_state_with_full_ids(kept: Folder) -> None:
    assert (
        kept.run("show").out == "state     hooks.state.json\n"
        "serial    7\n"
        "signed    no\n"
        "run lock  not held\n"
        "\n"
        f"{PROD}  prod/alert/MOVED  {'2' * 32}  adopted {TIME}\n"
        f"{PROD}  prod/catalogue/MOVED  {'1' * 32}  made {TIME}\n"
        f"{PROD}  prod/website/MOVED  may have been made {TIME}\n"
        f"{TEST}  test/catalogue/MOVED  {'3' * 32}  made {TIME}\n"
    )


def test_show_names_the_holder_of_the_run_lock(kept: Folder) -> None:
    with LocalStore(str(kept.path / "hooks.state.json")).hold(HOLDER):
        assert f"run lock  0123456789abcdef: {WHO}\n" in kept.run("show").out


# --- pull


def test_pull_prints_the_state_byte_for_byte(kept: Folder) -> None:
    done = kept.run("pull")
    assert (done.code, done.out, done.err) == (0, state_text(WHOLE), "")


def test_a_damaged_state_is_pulled_with_a_warning(folder: Folder) -> None:
    text = folder.put(state_text(WHOLE)[:-50])
    done = folder.run("pull")
    assert (done.code, done.out) == (0, text)
    assert done.err.startswith("warning: hooks.state.json:")
    assert folder.run("show").code == 1


# --- push


def test_a_pulled_state_can_be_pushed_to_a_location_without_a_state(kept: Folder) -> None:
    pulled = kept.run("pull").out
    done = kept.run("push", "-", "--state", "other.json", given=pulled)
    assert (done.code, done.out, done.err) == (0, "pushed to other.json: serial 8\n", "")
    assert kept.state("other.json") == replace(WHOLE, serial=8)


def test_a_pushed_state_gets_a_serial_above_both_states(settled: Folder) -> None:
    settled.put(state(MADE, serial=7), "new.json")
    assert settled.run("push", "new.json").out == "pushed to hooks.state.json: serial 8\n"
    settled.put(replace(SETTLED, serial=20), "new.json")
    assert settled.run("push", "new.json").out == "pushed to hooks.state.json: serial 21\n"


@pytest.mark.parametrize("given", [replace(SETTLED, serial=6), ANOTHER], ids=["older", "foreign"])
def test_an_older_or_foreign_state_is_pushed_only_with_force(kept: Folder, given: State) -> None:
    kept.put(given, "new.json")
    done = kept.run("push", "new.json")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith(
        "refused: the state to push is older than hooks.state.json, or not a"
    )
    assert kept.state() == WHOLE
    assert kept.run("push", "new.json", "--force").code == 0
    assert kept.state() == replace(given, serial=8)


def test_a_damaged_state_is_replaced_only_with_force(folder: Folder) -> None:
    text = folder.put("{}")
    folder.put(WHOLE, "new.json")
    done = folder.run("push", "new.json")
    assert done.code == 1
    assert (folder.path / "hooks.state.json").read_text() == text
    assert folder.run("push", "new.json", "--force").code == 0
    assert folder.state() == replace(WHOLE, serial=8)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "new.json"),
        (state_text(WHOLE)[:-3], "new.json: not JSON at line 91"),
        (f"<<<<<<< ours\n{state_text(WHOLE)}", "new.json: not JSON at line 1"),
        (state_text(WHOLE).replace("state/1", "state/2"), "hooksync.state/2"),
        (state_text(WHOLE).replace('"serial": 7', '"serial": 7, "more": 1'), "a newer"),
        (HOOKS, "new.json: not JSON at line 1"),
        ("\xff", "new.json: not JSON at line 1"),
    ],
    ids=["empty", "truncated", "conflict", "newer", "more", "hooks file", "bytes"],
)
def test_an_incomplete_or_invalid_state_is_not_pushed_even_with_force(
    kept: Folder, text: str, what: str
) -> None:
    (kept.path / "new.json").write_text(text, encoding="latin-1")
    done = kept.run("push", "new.json", "--force")
    assert (done.code, done.out, done.err.count("fix: ")) == (1, "", 1)
    assert what in done.err
    assert kept.state() == WHOLE


# --- move


def test_move_renames_the_attempts_of_an_address(kept: Folder) -> None:
    assert kept.run("move", "prod/website/MOVED", "prod/x/MOVED").code == 0
    assert kept.state() == state(MADE, ADOPTED, OTHER, attempt(name="x"), serial=8)


def test_move_changes_only_the_address_of_the_entries(settled: Folder) -> None:
    settled.put(adding(entry(identifier="9" * 32))(SETTLED))
    done = settled.run("move", "prod/catalogue/MOVED", "prod/website/MOVED")
    assert (done.code, done.out, done.err) == (
        0,
        "moved prod/catalogue/MOVED to prod/website/MOVED\n",
        "",
    )
    moved = [replace(entry(identifier=each * 32), address="prod/website/MOVED") for each in "19"]
    assert settled.state() == state(ADOPTED, *moved, OTHER, serial=8)


@pytest.mark.parametrize(
    ("old", "new", "code", "what"),
    [
        ("prod/catalogue", "prod/x", 64, '"prod/catalogue" and "prod/x" are not two addresses'),
        ("prod/catalogue/MOVED", "prod/*/MOVED", 64, '"prod/*/MOVED" are not two addresses'),
        ("prod/catalogue/MOVED", "prod/\x1b/MOVED", 64, '"prod/\\x1b/MOVED" are not two addresses'),
        ("prod/catalogue/MOVED", "prod/x/INDEXED", 64, "are not two addresses with the same"),
        ("prod/x/MOVED", "prod/y/MOVED", 64, 'OLD "prod/x/MOVED" matches no address in the state'),
        (
            "prod/catalogue/MOVED",
            "prod/alert/MOVED",
            3,
            "the state hooks.state.json already contains prod/alert/MOVED",
        ),
        ("prod/catalogue/MOVED", "prod/website/MOVED", 3, "already contains prod/website/MOVED"),
    ],
)
def test_an_impossible_move_is_an_error_and_changes_nothing(
    kept: Folder, old: str, new: str, code: int, what: str
) -> None:
    done = kept.run("move", old, new)
    kind = "refused: " if code == 3 else "error: "
    assert (done.code, done.out, done.err.count(kind)) == (code, "", 1)
    assert what in done.err
    assert kept.state() == WHOLE


# --- forget


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["test/*"], 3, " Not confirmed\n"),
        (["none/*", "--yes"], 64, 'GLOB "none/*" matches no address in the state\n'),
    ],
)
def test_without_a_yes_or_an_address_nothing_is_forgotten(
    kept: Folder, arguments: list[str], code: int, said: str
) -> None:
    done = kept.run("forget", *arguments)
    assert (done.code, done.out, said in done.err) == (code, "", True), done.err
    assert kept.state() == WHOLE


def test_forget_prints_and_removes_entries_with_their_attempts_and_salts(kept: Folder) -> None:
    done = kept.run("forget", "--yes", "prod/*", "test/*")
    assert (done.code, done.err) == (0, "")
    assert (
        done.out == f"forgot {PROD}  prod/alert/MOVED  {'2' * 32}  adopted {TIME}\n"
        f"forgot {PROD}  prod/catalogue/MOVED  {'1' * 32}  made {TIME}\n"
        f"forgot {PROD}  prod/website/MOVED  may have been made {TIME}\n"
        f"forgot {TEST}  test/catalogue/MOVED  {'3' * 32}  made {TIME}\n"
    )
    assert kept.state() == replace(state(salts=()), serial=8)


# --- the run lock


@pytest.mark.parametrize("action", WRITES, ids=" ".join)
def test_the_state_is_not_changed_while_a_run_holds_the_run_lock(
    kept: Folder, action: tuple[str, ...]
) -> None:
    kept.put(SETTLED, "new.json")
    with LocalStore(str(kept.path / "hooks.state.json")).hold(HOLDER):
        done = kept.run(*action)
        waited = kept.run(*action, "--lock-timeout", "0.01")
    for each in (done, waited):
        assert (each.code, each.out) == (3, "")
        assert f"refused: another run of hooksync works with hooks.state.json: {WHO}" in each.err
    assert kept.state() == WHOLE


@pytest.mark.parametrize("identifier", ["0123456789abcdef", "x"])
def test_the_run_lock_of_a_local_state_cannot_be_taken_away(kept: Folder, identifier: str) -> None:
    with LocalStore(str(kept.path / "hooks.state.json")).hold(HOLDER):
        done = kept.run("unlock", identifier, "--yes")
    assert (done.code, done.out) == (3, "")
    assert "the run lock of hooks.state.json is the system's" in done.err


class Asked(MemoryTerminal):
    """A terminal whose user gives `answer` to each question."""

    answer = True
    stop = Event()

    def can_ask(self) -> bool:
        return True

    def ask(self, question: str) -> bool:
        self.err.append(question)
        return self.answer


def take_away(identifier: str, terminal: Any, stop: Event, *, yes: bool = False) -> None:
    """Unlock a remote state whose run lock is held, and return its backend."""
    backend, clock = MemoryBackend(), JumpingClock(NOW)

    context = make_context(terminal=terminal, stop=stop, clock=clock)

    def find(where: str, *_: object) -> RemoteStore:
        return RemoteStore(backend, context)

    options = UnlockOptions(files=("-",), state="memory", id=identifier, is_confirmed=yes)
    with find("memory").hold(HOLDER), mock.patch("hooksync.commands.state.open_store", find):
        assert unlock(options, context) == 0
        assert backend.content.lock is None


@pytest.mark.parametrize("yes", [True, False])
def test_unlock_takes_a_remote_run_lock_from_the_named_run(yes: bool) -> None:
    terminal = MemoryTerminal() if yes else Asked()
    take_away("0123456789abcdef", terminal, Event(), yes=yes)
    assert terminal.out == ["the run lock of memory was taken away\n"]
    asked = f"Take the run lock of memory away from {WHO}? Type yes to go on: "
    assert yes or terminal.err[0] == asked


def test_a_remote_run_lock_is_not_taken_without_a_yes_or_from_a_different_run() -> None:
    terminal, stop = Asked(), Event()
    with pytest.raises(Refused, match="no run x holds the run lock of memory"):
        take_away("x", terminal, stop)
    assert not terminal.err
    terminal.answer = False
    with pytest.raises(Refused, match="Not confirmed"):
        take_away("0123456789abcdef", terminal, stop)
    stop.set()
    with pytest.raises(Interrupted):
        take_away("0123456789abcdef", terminal, stop)
    with pytest.raises(Refused, match="Not confirmed"):
        take_away("0123456789abcdef", MemoryTerminal(), Event())
