"""Functions that run hooksync with its own environment, folder and streams, within this process or
as a new one.

Most tests run it within this process, because a new process costs a fifth of a second. A new
process is for tests of signals, closed or full streams, kills, memory and start-up.
`tests/system/test_processes.py` checks that both ways have the same results.
"""

from __future__ import annotations

import gc
import io
import json
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from unittest import mock

import tests.stretching  # noqa: F401 # commands on one state share its salt
from hooksync.cli.main import main
from hooksync.cli.run import run
from tests.clocks import JumpingClock

ROOT = Path(__file__).resolve().parent.parent
USERNAME = "archivist@example.org"
PASSWORD = "sandbox-password"

LOG_IN = {"PRESERVICA_USERNAME": USERNAME, "PRESERVICA_PASSWORD": PASSWORD}


@dataclass(frozen=True, slots=True)
class Run:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps of the only tenancy in its JSON output."""
        [tenancy] = self.json["tenancies"]
        return list(tenancy["steps"])

    @property
    def text(self) -> str:
        return self.out + self.err


def hooksync(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    folder: Path = ROOT,
    given: str = "",
    *,
    merged: bool = False,
    clock: JumpingClock | None = None,
) -> Run:
    """Run a command to its end, within this process. `given`: its standard input. `merged`: `out`
    has both streams in the order in which a terminal shows them. `clock`: if it is not the system's.
    """
    if threading.current_thread() is not threading.main_thread():
        # only the main thread handles signals, and all threads share one working directory
        return hooksync_process(arguments, environ, folder, given)
    streams = [_stream(text) for text in (given, "", "")]
    if merged:
        streams[2] = streams[1]
    with _surroundings(streams, _environ_of_a_child(environ), folder):
        code = main(arguments) if clock is None else run(arguments, clock)
    _, out, err = (stream.buffer.getvalue().decode("utf-8") for stream in streams)
    return Run(code, out, "" if merged else err)


def hooksync_process(
    arguments: Sequence[str], environ: Mapping[str, str], folder: Path = ROOT, given: str = ""
) -> Run:
    """Run a command to its end, as a new process."""
    return run_python(["-W", "error", "-m", "hooksync", *arguments], environ, folder, given)


def run_python(
    arguments: Sequence[str], environ: Mapping[str, str], folder: Path = ROOT, given: str = ""
) -> Run:
    """Run this Python as a new process with its own environment."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env=_environ_of_a_child(environ),
        cwd=folder,
        input=given,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)


def _environ_of_a_child(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with the variables of ours that a process needs to start."""
    kept = {
        name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TMPDIR") if name in os.environ
    }
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **environ}


class _Stream(io.TextIOWrapper):
    """A standard stream that is no terminal. Its bytes can be read when the command has ended."""

    buffer: io.BytesIO  # type: ignore[assignment]


def _stream(text: str) -> _Stream:
    return _Stream(io.BytesIO(text.encode()), encoding="utf-8", write_through=True)


@contextmanager
def _surroundings(
    streams: Sequence[TextIO], environ: Mapping[str, str], folder: Path
) -> Iterator[None]:
    """Set the folder, the environment and the streams. At the end, restore them and everything else
    that a command changes.
    """
    before = Path.cwd()
    with ExitStack() as stack:
        stack.callback(os.chdir, before)
        os.chdir(folder)
        stack.enter_context(mock.patch.dict(os.environ, environ, clear=True))
        for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
            stack.enter_context(mock.patch.object(sys, name, stream))
            # these determine the width of the terminal
            stack.enter_context(mock.patch.object(sys, f"__{name}__", stream))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("error")
        stack.callback(gc.enable)
        stack.callback(gc.unfreeze)
        yield
