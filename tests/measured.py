"""Runs whole processes, and measures their time and memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOOKSYNC = (sys.executable, "-m", "hooksync")
_HANG = 300.0  # seconds after which a child is killed: half the time limit of a test
# bytes of address space: a child that needs more fails, instead of the machine
_MOST_MEMORY = 4 * 1024**3
_TO_MIB = 1024**2 if sys.platform == "darwin" else 1024  # of ru_maxrss


@dataclass(frozen=True, slots=True)
class Measured:
    """The measured result of a child."""

    code: int
    cpu: float = 0.0  # seconds, user and system, its own children included
    wall: float = 0.0  # seconds
    mib: float = 0.0  # the peak of its resident memory
    out: str = ""
    err: str = ""


# A small process between the tests and the child. On Linux, the peak of a child includes the size
# of the process that starts it. The small process ignores signals. The child gets them too, and
# reacts.
_LAUNCHER = """
import contextlib, json, os, resource, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda *_: None)
with contextlib.suppress(OSError, ValueError):  # not every system bounds it
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
begun = time.monotonic()
child = os.posix_spawn(sys.argv[3], sys.argv[3:], os.environ)
_, status, usage = os.wait4(child, 0)
found = {"code": os.waitstatus_to_exitcode(status), "wall": time.monotonic() - begun}
found |= {"cpu": usage.ru_utime + usage.ru_stime, "mib": usage.ru_maxrss}
with open(sys.argv[1], "w") as file:
    json.dump(found, file)
"""


def start(
    command: Sequence[str],
    environ: Mapping[str, str],
    folder: Path,
    *,
    stdout: int = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start a command that `finish` measures. It and its launcher are a process group."""
    usage = str(folder / "usage.json")
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, usage, str(_MOST_MEMORY), *command],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[bytes], folder: Path) -> Measured:
    """Wait for the end of a command that `start` started, or kill it after `_HANG` seconds."""
    with process:
        try:
            out, err = process.communicate(timeout=_HANG)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return Measured(-signal.SIGKILL, err="it had to be killed")
    found: dict[str, Any] = json.loads((folder / "usage.json").read_text())
    found["mib"] /= _TO_MIB
    return Measured(**found, out=(out or b"").decode("utf-8"), err=err.decode("utf-8"))
