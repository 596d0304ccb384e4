"""Other programs, such as git: started without shell and terminal, ended with their children."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Thread
from typing import IO

_MOST_ERRORS = 1024 * 1024  # bytes of standard error
_CHUNK = 64 * 1024  # bytes read at once
_GRACE = 1.0  # seconds for a program to remove its lock files before it is killed


class OutputTooLarge(OSError):
    """A program writes more than it may."""


def start(
    command: Sequence[str], environ: dict[str, str], *, talks: bool
) -> subprocess.Popen[bytes]:
    """Start a program. It has no terminal to ask on, nor do signals of ours reach it.

    `talks`: whether it gets input, and its standard error is kept. Raises OSError or ValueError.
    """
    hidden = 0
    if sys.platform == "win32":  # which looks in the current folder first: a clone of anybody's
        if not os.path.dirname(command[0]):
            command = [find_by_path(command[0], environ), *command[1:]]
        hidden = subprocess.CREATE_NO_WINDOW
    side = subprocess.PIPE if talks else subprocess.DEVNULL
    return subprocess.Popen(  # noqa: S603  no shell
        command,
        bufsize=0,  # it may be left while it is read
        env=environ,
        stdin=side,
        stdout=subprocess.PIPE,
        stderr=side,
        start_new_session=True,
        creationflags=hidden,
    )


def talk(
    process: subprocess.Popen[bytes], most: int, data: bytes = b""
) -> tuple[int, bytes, bytes]:
    """Write a program's input; return its exit code, output and errors. `most`: bytes of output.

    Raises OutputTooLarge, after it has ended the program. Otherwise it waits until the program
    ends.
    """
    output = bytearray()
    errors = bytearray()
    listener = Thread(target=_read_errors, args=(process, errors), daemon=True)
    if process.stdin:
        listener.start()
        with suppress(OSError):  # the program ended without reading it
            rest = memoryview(data)
            while rest:
                rest = rest[process.stdin.write(rest) :]
        process.stdin.close()
    _read(process.stdout, output, most)
    if len(output) > most:
        end(process)  # it waits for a reader, so it would not close its standard error
    if process.stdin:
        listener.join()
    if len(output) > most or len(errors) > _MOST_ERRORS:
        raise OutputTooLarge("the other side sends more than hooksync reads")
    return process.wait(), bytes(output), bytes(errors)


def _read_errors(process: subprocess.Popen[bytes], errors: bytearray) -> None:
    """Read what a program writes to standard error, and end a program that never stops."""
    _read(process.stderr, errors, _MOST_ERRORS)
    if len(errors) > _MOST_ERRORS:
        end(process)


def _read(stream: IO[bytes] | None, found: bytearray, most: int) -> None:
    """Read a stream until it ends, or until there is more than `most` bytes."""
    while stream and len(found) <= most:
        more = stream.read(_CHUNK)
        if not more:
            break
        found += more


def end(process: subprocess.Popen[bytes]) -> None:
    """Send a program and its children SIGTERM, and SIGKILL a second later; on Windows, kill it."""
    with suppress(OSError):
        if sys.platform == "win32":  # which has no groups of processes
            process.kill()
            return
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        os.killpg(process.pid, signal.SIGKILL)


def find_by_path(program: str, environ: Mapping[str, str]) -> str:
    """Find a program of Windows in the folders of PATH alone. Raises FileNotFoundError."""
    name = f"{program.removesuffix('.exe')}.exe"
    for folder in environ.get("PATH", "").split(os.pathsep):
        path = os.path.join(folder, name)
        if os.path.isabs(folder) and os.path.isfile(path):
            return path
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
