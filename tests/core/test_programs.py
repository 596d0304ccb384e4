"""How hooksync finds other programs, and how it ends them together with their children."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from hooksync.core.programs import _read_errors, end, find_by_path, start

PARENT = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()']).wait()"


def test_on_windows_a_program_of_the_current_folder_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("clone", "bin"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "git.exe").touch()
    monkeypatch.chdir(tmp_path / "clone")
    environ = {"PATH": os.pathsep.join(["", ".", str(tmp_path / "bin")])}
    for name in ("git", "git.exe"):
        assert find_by_path(name, environ) == str(tmp_path / "bin" / "git.exe")
    for name, path in (("git", {"PATH": "."}), ("git", {}), ("gh", environ)):
        with pytest.raises(FileNotFoundError):
            find_by_path(name, path)


def test_a_program_ends_with_its_children() -> None:
    with start([sys.executable, "-c", PARENT], dict(os.environ), talks=True) as process:
        end(process)
        process.communicate()  # a child that lived on would keep the pipes open
    end(process)  # a second call ends nothing and does not fail


def test_a_thread_that_reads_messages_ends_quietly_when_its_stream_is_closed() -> None:
    with start([sys.executable, "-c", ""], dict(os.environ), talks=True) as process:
        process.wait()
    assert process.stderr
    assert process.stderr.closed
    _read_errors(process, bytearray())
