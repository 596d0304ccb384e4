"""Runs other programs, such as git, without shell and terminal."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from io import BufferedWriter
from threading import Event, Thread
from typing import IO

from hooksync.core.clock import run_with_timeout

_MOST_STDERR = 1024 * 1024  # bytes of standard error that are read
_CHUNK = 64 * 1024  # bytes read at once
_GRACE = 1.0  # seconds for a program to remove its lock files before it is killed


def run(
    command: Sequence[str],
    environ: dict[str, str],
    seconds: float,
    most: int,
    data: bytes = b"",
    *,
    stop: Event | None = None,
    ends_children: bool = False,
) -> tuple[int, bytes, bytes]:
    """Run a program to its end; return its exit code, output and errors.

    It has no terminal for prompts, and Ctrl-C in ours does not reach it. At a failure, it is ended
    with its children. `data`: its input; `most`: bytes of output; `ends_children`: also end its
    children when it ends.

    Raises OSError or ValueError; TimeoutError after `seconds` or at a stop.
    """
    output = bytearray()
    errors = bytearray()
    with subprocess.Popen(  # noqa: S603  no shell
        command,
        bufsize=0,  # closing a buffered stream would wait for a read that is abandoned
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:

        def talk() -> int:
            """Write its input, and read its output and its errors at the same time."""
            listening = (process, process.stderr, errors, _MOST_STDERR)
            listener = Thread(target=_read, args=listening, daemon=True)
            listener.start()
            if process.stdin:
                # the program may end without reading all input
                with suppress(OSError), BufferedWriter(process.stdin) as stdin:
                    stdin.write(data)
            _read(process, process.stdout, output, most)
            code = process.wait()
            if ends_children:
                _end(process)
            listener.join()
            return code

        try:
            code = run_with_timeout(seconds, talk, stop)
        except BaseException:
            _end(process)
            raise
    if len(output) > most or len(errors) > _MOST_STDERR:
        raise OSError("the other side sends more than hooksync reads")
    return code, bytes(output), bytes(errors)


def _read(
    process: subprocess.Popen[bytes], stream: IO[bytes] | None, found: bytearray, most: int
) -> None:
    """Append a stream to `found`; if it has more than `most` bytes, end the program."""
    with suppress(OSError, ValueError):  # the caller has given up, and closed the stream
        while stream and len(found) <= most and (more := stream.read(_CHUNK)):
            found += more
    if len(found) > most:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Send a program and its children SIGTERM, then SIGKILL after at most a second."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        os.killpg(process.pid, signal.SIGKILL)
