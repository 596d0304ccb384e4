"""Other programs that a run needs, such as git: started without shell and terminal, ended with their children."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

OUTPUT_ALONE = {"bufsize": 0, "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}


def start(command: Sequence[str], environ: Mapping[str, str], **streams: Any) -> subprocess.Popen[bytes]:
    """Start a program. It has no terminal to ask on, nor do signals of ours reach it. Raises OSError or ValueError."""
    hidden = 0
    if sys.platform == "win32":  # which looks in the current folder first, and that may be a clone of anybody's
        command, hidden = [find_by_path(command[0], environ), *command[1:]], subprocess.CREATE_NO_WINDOW
    return subprocess.Popen(  # noqa: S603  no shell
        command, env=environ, start_new_session=True, creationflags=hidden, **streams
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """End a program at once, with its children."""
    with suppress(OSError):
        if sys.platform != "win32":
            os.killpg(process.pid, signal.SIGKILL)
            return
        taskkill = os.path.join(os.environ["SYSTEMROOT"], "System32", "taskkill.exe")  # Windows has no such groups
        subprocess.run([taskkill, "/F", "/T", "/PID", str(process.pid)], capture_output=True)  # noqa: S603  no shell


def find_by_path(program: str, environ: Mapping[str, str]) -> str:
    """Find a program, where only its name is given in the folders of PATH alone. Raises FileNotFoundError."""
    name = program if program.lower().endswith(".exe") else f"{program}.exe"
    folders = [""] if os.path.dirname(program) else filter(os.path.isabs, environ.get("PATH", "").split(os.pathsep))
    for path in (os.path.join(folder, name) for folder in folders):
        if os.path.isfile(path):
            return path
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
