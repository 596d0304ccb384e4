"""Reads regular files, up to a size.

hooksync never waits for a pipe or a device. It opens a path without blocking, and refuses it if it
is not a regular file.
"""

from __future__ import annotations

import errno
import os
import stat

NOT_A_FILE = "it is not a regular file"


def read_file(path: str, most: int) -> bytes:
    """Read a file; if it is larger than `most` bytes, only its first `most` + 1 bytes.

    Raises OSError, or ValueError if the path has a null character.
    """
    with open(path, "rb", opener=_open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, NOT_A_FILE)
        return file.read(most + 1) or b""  # None: a file of the system has nothing yet


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def with_real_folder(path: str) -> str:
    """Return a path with the links in its folder part resolved, but not a link at its end."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)
