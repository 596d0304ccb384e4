"""Reads regular files, up to a size, and recognises paths of open descriptors.

hooksync never waits for a pipe or a device that it would have to open. It opens a path without
blocking, and refuses it if it is not a regular file.
"""

from __future__ import annotations

import errno
import os
import re
import stat

NOT_A_FILE = "it is not a regular file"

_DESCRIPTOR_PATH = re.compile("/dev/(?:null|stdin|stdout|stderr|fd/[0-9]+)|/proc/[^/]+/fd/[0-9]+")


def read_file(path: str, most: int, *, takes_pipes: bool = False) -> bytes:
    """Read a file; if it is larger than `most` bytes, only its first `most` + 1 bytes.

    `takes_pipes`: whether the path of an open descriptor, e.g. a process substitution, is accepted.

    Raises OSError, or ValueError if the path has a null character.
    """
    stream = stream_path(path) if takes_pipes else None
    with open(stream or path, "rb", opener=None if stream else _open_at_once) as file:
        if not stream and not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, NOT_A_FILE)
        data: bytes | None = file.read(most + 1)
    if data is None:  # e.g. /proc/kmsg, which looks like a regular file, and may block
        raise OSError(errno.EINVAL, NOT_A_FILE)
    return data


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def stream_path(path: str) -> str | None:
    """Return the real path of an open descriptor (/dev/stdout, /dev/fd/63) or of the null device.

    None: the path is neither. Links in the folder part are resolved, so that nobody can swap one
    before the path is opened.
    """
    real = with_real_folder(path)
    return real if _DESCRIPTOR_PATH.fullmatch(real) else None


def with_real_folder(path: str) -> str:
    """Return a path with the links in its folder part resolved, but not a link at its end."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)
