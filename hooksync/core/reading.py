"""Regular files, up to a size, and the paths that stand for an open descriptor.

hooksync never waits for a pipe or a device that is not open already: it opens the path without
blocking, looks at what it opened, and refuses it.
"""

from __future__ import annotations

import errno
import os
import re
import stat

NOT_A_FILE = "it is a pipe, a socket or a device, not a file"

_STREAM = re.compile("/dev/(?:null|stdin|stdout|stderr|fd/[0-9]+)|/proc/[^/]+/fd/[0-9]+")


def read_file(path: str, most: int, *, takes_pipes: bool = False) -> bytes:
    """Read a file; of one that is larger, one byte more than `most`.

    Raises OSError or ValueError (a null character).

    `takes_pipes`: also from what is open already, such as a process substitution.
    """
    stream = stream_path(path) if takes_pipes else None
    with open(stream or path, "rb", opener=None if stream else _open_at_once) as file:
        if not stream and not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, NOT_A_FILE)
        return file.read(most + 1)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def stream_path(path: str) -> str | None:
    """Return the real path of an open descriptor (/dev/stdout, /dev/fd/63) or of the null device.

    None: it is any other path. Only the folders are resolved, so nobody can swap a link afterwards.
    """
    folder, name = os.path.split(path)
    real = os.path.join(os.path.realpath(folder), name)
    return real if _STREAM.fullmatch(real) else None
