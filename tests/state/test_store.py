"""Tests of a state in a file: its place, its mode, and writes that are never partial or lost."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from hooksync.core.errors import HooksyncError, StateError
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.state.contract import MOST_BYTES, Busy, Holder
from hooksync.state.format import state_text
from hooksync.state.local import LocalStore
from hooksync.state.model import State
from hooksync.state.store import state_place
from hooksync.state.store import update as update_store
from tests.command_line import run_python
from tests.state_makers import adding, elsewhere, entry, state
from tests.state_makers import load as load_store

WHOLE = state(entry(), elsewhere("test"))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "hooks.state.json")


def update(path: str, change: Callable[[State], State]) -> State:
    return update_store(LocalStore(path), change)


def load(path: str) -> State | None:
    return load_store(LocalStore(path))


def put_whole(_: State) -> State:
    return WHOLE


def left_in(path: str) -> list[str]:
    """Return the names of the files in the folder of a state, without lock files."""
    return sorted(name for name in os.listdir(os.path.dirname(path)) if not name.endswith(".lock"))


def problem_of(path: str) -> str:
    with pytest.raises(HooksyncError) as caught:
        update(path, put_whole)
    said = str(caught.value)
    assert printable(path) in said
    assert "\n  fix: " in said
    return said


# --- the place of the state


@pytest.mark.parametrize(
    ("file", "flag", "found"),
    [
        ("hooks.yaml", None, "hooks.state.json"),
        ("conf/hooks.prod.yml", None, "conf/hooks.prod.state.json"),
        ("hooks", None, "hooks.state.json"),
        (".", None, "./hooks.state.json"),
        ("-", None, None),
        ("-", "x.json", "x.json"),
        ("hooks.yaml", "x.json", "x.json"),
    ],
)
def test_the_state_is_kept_beside_the_hooks_file(
    file: str, flag: str | None, found: str | None
) -> None:
    assert state_place(file, flag) == found


def test_the_state_of_a_folder_of_hooks_files_is_kept_in_that_folder(tmp_path: Path) -> None:
    folder = tmp_path / "hooks.d"
    folder.mkdir()
    assert state_place(str(folder), None) == str(folder / "hooks.state.json")


# --- reading and writing


def test_a_new_state_has_a_salt_of_its_own(tmp_path: Path) -> None:
    found = [update(str(tmp_path / name), adding(entry())) for name in ("a", "b")]
    assert found[0].serial == 1
    assert found[0].url_salt != found[1].url_salt
    assert len(found[0].url_salt) == 32


def test_only_its_owner_can_read_a_state(path: str) -> None:
    Path(path).write_text(state_text(state()))
    os.chmod(path, 0o666)
    before = os.umask(0)
    try:
        update(path, put_whole)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_nothing_is_written_if_nothing_changes(path: str) -> None:
    update(path, put_whole)
    for ending in ("\n", "\r\n"):
        Path(path).write_bytes(state_text(WHOLE).replace("\n", ending).encode())
        before = os.stat(path)
        assert update(path, lambda now: now) == WHOLE
        assert (os.stat(path).st_ino, os.stat(path).st_mtime_ns) == (
            before.st_ino,
            before.st_mtime_ns,
        )


def test_an_id_that_is_a_command_to_a_runner_is_escaped_and_causes_no_repeated_writes(
    path: str,
) -> None:
    whole = state(elsewhere("brama", "##vso[task.complete]"))
    for _ in range(2):
        assert update(path, lambda now: replace(whole, serial=now.serial)) == whole
    assert "##vso\\u005btask" in Path(path).read_text()
    assert load(path) == whole


def test_the_serial_counts_exactly_the_writes_that_change_the_state(path: str) -> None:
    makes = [adding(elsewhere(name)) for name in ("one", "one", "two")]
    assert [update(path, make).serial for make in makes] == [1, 1, 2]


def test_no_file_is_made_if_there_is_nothing_to_record(path: str) -> None:
    assert update(path, lambda now: now).serial == 0
    assert left_in(path) == []


@pytest.mark.parametrize("suffix", ["", ".lock"])
def test_a_link_in_place_of_a_state_or_its_lock_makes_no_file(
    tmp_path: Path, path: str, suffix: str
) -> None:
    target = tmp_path / "profile"
    Path(path + suffix).symlink_to(target)
    with (
        pytest.raises(StateError, match="is not a regular file"),
        LocalStore(path).hold(Holder("a run")),
    ):
        pass
    assert left_in(path) == ([] if suffix else [Path(path).name])
    assert not target.exists()


def test_a_forged_holder_of_the_run_lock_is_cut(path: str) -> None:
    forged = Holder("https://ci.example.org/" + "y" * 3000)
    with LocalStore(path).hold(Holder("a run")):
        Path(f"{path}.lock.json").write_text(forged.text)
        with pytest.raises(Busy) as refused, LocalStore(path).hold(Holder("another")):
            pass
    assert len(str(refused.value)) < 900


def test_a_link_to_a_readable_state_is_not_followed(tmp_path: Path, path: str) -> None:
    real = tmp_path / "real.json"
    real.write_text(state_text(WHOLE))
    Path(path).symlink_to(real)
    with pytest.raises(StateError, match="is not a regular file"):
        load(path)


def test_a_byte_order_mark_is_ignored(path: str) -> None:
    Path(path).write_bytes(b"\xef\xbb\xbf" + state_text(WHOLE).encode())
    assert load(path) == WHOLE


# --- errors leave the file unchanged


def test_a_bad_state_is_neither_used_nor_written_over(path: str) -> None:
    Path(path).write_text("{}")
    for use in (load, lambda path: update(path, put_whole)):
        with pytest.raises(StateError, match="this hooksync reads"):
            use(path)
    assert Path(path).read_text() == "{}"


def test_bytes_that_are_not_utf_8_text_are_refused(path: str) -> None:
    Path(path).write_bytes(b"\xff\xfe{\x00}\x00")
    with pytest.raises(StateError, match="not JSON at line 1, column 1"):
        load(path)


def test_a_state_that_is_larger_than_64_mib_is_not_read(path: str) -> None:
    with open(path, "wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(StateError, match="is larger than 64 MiB"):
        load(path)


def test_a_missing_folder_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    assert "no such file or directory" in problem_of(str(tmp_path / "none" / "hooks.state.json"))
    (tmp_path / "file").write_text("")
    assert "not a directory" in problem_of(str(tmp_path / "file" / "hooks.state.json"))
    assert os.listdir(tmp_path) == ["file"]


def test_a_path_with_a_null_character_is_reported(tmp_path: Path) -> None:
    assert "null" in problem_of(str(tmp_path / "a\0b"))


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="folders have no such permissions")
def test_a_folder_without_write_permission_is_reported(path: str) -> None:
    code = """
import os, sys
import filelock
from hooksync.core.errors import HooksyncError, StateError
from hooksync.state.local import LocalStore
from hooksync.state.contract import Holder
from hooksync.state.store import update
from tests.state_makers import adding, elsewhere

os.chdir(os.path.dirname(sys.argv[1]))
os.chmod(".", 0o555)
if os.geteuid() == 0:
    os.seteuid(65534)  # nobody: whoever is root may write everywhere
store = LocalStore("hooks.state.json")
try:
    with store.hold(Holder("me")):
        print("held")
except StateError as error:
    print(error)
"""
    said = run_python(["-c", code, path], {}).out
    assert said.startswith(
        "the state hooks.state.json cannot be locked: permission denied\n  fix: "
    )
    assert left_in(path) == []
