"""Runs hooksync with an environment, a folder and streams of its own: within this process, or as a
process of its own.

Within is the rule, for a process costs a fifth of a second. A process is for tests whose subject it
is: signals, closed or full streams, kills, memory, start-up. `tests/system/test_processes.py` holds
both ways to the same results.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from unittest import mock

import tests.stretching  # noqa: F401 # commands on one state share its salt
from hooksync.cli.main import main
from hooksync.core.errors import HooksyncError

if TYPE_CHECKING:
    from hooksync.reconcile.context import World

ROOT = Path(__file__).resolve().parent.parent
USERNAME = "archivist@example.org"
PASSWORD = "sandbox-password"

LOG_IN = {"PRESERVICA_USERNAME": USERNAME, "PRESERVICA_PASSWORD": PASSWORD}


@dataclass(frozen=True, slots=True)
class Run:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps of the one tenancy that it looked at, printed as JSON."""
        [tenancy] = self.json["tenancies"]
        return list(tenancy["steps"])

    @property
    def text(self) -> str:
        return self.out + self.err


def hooksync(
    arguments: Sequence[str], environ: Mapping[str, str], folder: Path = ROOT, given: str = ""
) -> Run:
    """Run a command to its end, within this process; `given`: what it can read on standard input."""
    if threading.current_thread() is not threading.main_thread():
        # signals are heard on the main thread alone, and a working directory is that of all threads
        return hooksync_process(arguments, environ, folder, given)
    streams = [_stream(text) for text in (given, "", "")]
    with _surroundings(streams, _environ_of_a_child(environ), folder):
        code = main(arguments)
    _, out, err = (stream.buffer.getvalue().decode("utf-8") for stream in streams)
    return Run(code, out, err)


def hooksync_process(
    arguments: Sequence[str], environ: Mapping[str, str], folder: Path = ROOT, given: str = ""
) -> Run:
    """Run a command to its end, as a process of its own."""
    return run_python(["-W", "error", "-m", "hooksync", *arguments], environ, folder, given)


def run_python(
    arguments: Sequence[str], environ: Mapping[str, str], folder: Path = ROOT, given: str = ""
) -> Run:
    """Run this Python with an environment of its own."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env=_environ_of_a_child(environ),
        cwd=folder,
        input=given,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)


def run_in(world: World, verb: Callable[[Any, World], int], options: object) -> int:
    """Run a command in a world of the test's, as the command line would; return its exit code."""
    try:
        return int(verb(options, world))
    except HooksyncError as error:
        world.terminal.message(f"error: {error}")
        return int(error.exit_code)


def _environ_of_a_child(environ: Mapping[str, str]) -> dict[str, str]:
    """Keep of ours only what a process needs to start."""
    kept = {
        name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TMPDIR") if name in os.environ
    }
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **environ}


class _Stream(io.TextIOWrapper):
    """A standard stream that is no terminal, whose bytes outlive it."""

    buffer: io.BytesIO  # type: ignore[assignment]


def _stream(text: str) -> _Stream:
    return _Stream(io.BytesIO(text.encode()), encoding="utf-8", write_through=True)


@contextmanager
def _surroundings(
    streams: Sequence[TextIO], environ: Mapping[str, str], folder: Path
) -> Iterator[None]:
    """Be in a folder, with this environment and these streams, and leave as it was all that a
    command changes.
    """
    before = Path.cwd()
    with ExitStack() as stack:
        stack.callback(os.chdir, before)
        os.chdir(folder)
        stack.enter_context(mock.patch.dict(os.environ, environ, clear=True))
        for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
            stack.enter_context(mock.patch.object(sys, name, stream))
            # of which a terminal's width is asked
            stack.enter_context(mock.patch.object(sys, f"__{name}__", stream))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("error")
        stack.callback(gc.enable)
        stack.callback(gc.unfreeze)
        yield
