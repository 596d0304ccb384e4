"""Files that hooksync reads: regular ones, up to a size. A pipe that nobody writes to is not waited for."""

from __future__ import annotations

import errno
import os
import re
import stat

_OPEN_ALREADY = re.compile("/dev|/dev/fd|/proc/[^/]+/fd")  # folders whose names stand for what is open


def read_file(path: str, most: int, *, takes_pipes: bool = False) -> bytes:
    """Read a file; of one that is larger, one byte more than `most`. Raises OSError or ValueError (a null character).

    `takes_pipes`: also from what is open already, such as a process substitution.
    """
    is_open = takes_pipes and is_open_already(path)
    at_once = None if is_open else lambda path, flags: os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    with open(path, "rb", opener=at_once) as file:
        if not is_open and not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, not a file")
        return file.read(most + 1)


def is_open_already(path: str) -> bool:
    """Whether a path is a name for what this process has open, such as /dev/stdout or /dev/fd/63."""
    return bool(_OPEN_ALREADY.fullmatch(os.path.realpath(os.path.dirname(path))))
