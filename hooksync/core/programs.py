"""Starts other programs, such as git, without shell and terminal, and ends them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread
from typing import IO

_MOST_STDERR = 1024 * 1024  # bytes of standard error that are read
_CHUNK = 64 * 1024  # bytes read at once
_GRACE = 1.0  # seconds for a program to remove its lock files before it is killed


class OutputTooLarge(OSError):
    """A program writes more than hooksync reads."""


def start(
    command: Sequence[str], environ: dict[str, str], *, talks: bool
) -> subprocess.Popen[bytes]:
    """Start a program. It has no terminal for prompts, and Ctrl-C in ours does not reach it.

    `talks`: whether it gets input, and its standard error is read. Raises OSError or ValueError.
    """
    side = subprocess.PIPE if talks else subprocess.DEVNULL
    return subprocess.Popen(  # noqa: S603  no shell
        command,
        bufsize=0,  # closing a buffered stream would wait for a read that `within` abandoned
        env=environ,
        stdin=side,
        stdout=subprocess.PIPE,
        stderr=side,
        start_new_session=True,
    )


def talk(
    process: subprocess.Popen[bytes], most: int, data: bytes = b""
) -> tuple[int, bytes, bytes]:
    """Write a program's input; return its exit code, output and errors when it has ended.

    `most`: bytes of output. If there is more, or too much standard error, it ends the program and
    raises OutputTooLarge.
    """
    output = bytearray()
    errors = bytearray()
    listener = Thread(target=_read_errors, args=(process, errors), daemon=True)
    if process.stdin:
        listener.start()
        with suppress(OSError):  # the program ended without reading all input
            rest = memoryview(data)
            while rest:
                rest = rest[process.stdin.write(rest) :]
        process.stdin.close()
    _read(process.stdout, output, most)
    if len(output) > most:
        end(process)  # it may block while it writes output, and never close its standard error
    if process.stdin:
        listener.join()
    if len(output) > most or len(errors) > _MOST_STDERR:
        raise OutputTooLarge("the other side sends more than hooksync reads")
    return process.wait(), bytes(output), bytes(errors)


def _read_errors(process: subprocess.Popen[bytes], errors: bytearray) -> None:
    """Read the standard error of a program; if it is too large, end the program."""
    with suppress(OSError, ValueError):  # the caller has given up, and closed the stream
        _read(process.stderr, errors, _MOST_STDERR)
    if len(errors) > _MOST_STDERR:
        end(process)


def _read(stream: IO[bytes] | None, found: bytearray, most: int) -> None:
    """Append a stream to `found`, until it ends or `found` has more than `most` bytes."""
    while stream and len(found) <= most and (more := stream.read(_CHUNK)):
        found += more


def end(process: subprocess.Popen[bytes]) -> None:
    """Send a program and its children SIGTERM, then SIGKILL after at most a second."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        os.killpg(process.pid, signal.SIGKILL)
