"""Files that hooksync writes: as a whole or not at all, even if the run or the disk fails in the middle."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hooksync.core.errors import FileError, Problem, os_reason
from hooksync.core.redaction import Redactor

_RANDOM_BYTES = 6  # in the name of a draft
_ABANDONED = 600  # seconds; a draft is there for as long as a write takes


class Output:
    """The exit of a run: what it knows must not be seen in anything that is written."""

    def __init__(self) -> None:
        self.redactor = Redactor()


def write_atomically(path: str, text: str, mode: int = 0o600) -> None:
    """Replace a file as a whole or not at all: a reader finds the old or the new one, also after a crash.

    A symbolic link stays, and what it leads to is replaced; a device or a pipe is written to. Raises FileError when it
    cannot be done.
    """
    try:
        if _is_stream(path):
            with open(path, "wb") as stream:
                stream.write(text.encode())
            return
        target = os.path.realpath(path)
        with _draft(target, text.encode(), mode) as draft:
            os.replace(draft, target)
    except (OSError, ValueError) as error:  # ValueError: a null character in a path
        raise FileError(_unwritable(path, error)) from error


def _is_stream(path: str) -> bool:
    """Whether it is a device or a pipe, which is written to and not replaced."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISFIFO(mode)


def create_atomically(path: str, text: str, mode: int = 0o644) -> None:
    """Write a file that is not there yet, as a whole or not at all.

    Raises FileExistsError where the name is taken, even at the last moment; FileError for the rest.
    """
    try:
        with _draft(os.path.abspath(path), text.encode(), mode) as draft:
            _name(draft, path)
    except FileExistsError:
        raise
    except (OSError, ValueError) as error:
        raise FileError(_unwritable(path, error)) from error


def _name(draft: str, path: str) -> None:
    """Return a draft its name, which nothing else may have."""
    try:
        os.link(draft, path)  # unlike a renaming, it replaces nothing
    except FileExistsError:
        raise
    except OSError:  # a file system without links: take the name first
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.replace(draft, path)


def is_there(path: str) -> bool:
    """Whether anything has this name, a link that leads nowhere as well."""
    return os.path.lexists(path)


def _unwritable(path: str, error: OSError | ValueError) -> Problem:
    fix = "check that its folder is there, may be written to and has free space; the old content is unchanged"
    return Problem(f"{path} cannot be written: {os_reason(error)}", fix)


@contextmanager
def _draft(path: str, data: bytes, mode: int) -> Iterator[str]:
    """Write a file of another name beside a path; it is gone afterwards, unless it was given that name."""
    folder, name = os.path.split(path)
    draft = os.path.join(folder, f".{name}.{os.urandom(_RANDOM_BYTES).hex()}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.chmod(draft, mode)  # whatever the umask took away
        delete_drafts(path, made_before=os.stat(draft).st_mtime - _ABANDONED)
        yield draft
        _sync_folder(folder)
    finally:
        with suppress(OSError):
            os.unlink(draft)


def delete_drafts(path: str, made_before: float | None = None) -> None:
    """Delete the drafts of a file that killed runs left. `made_before`: by the file system's clock; None: all."""
    folder, name = os.path.split(path)
    with suppress(OSError):
        with os.scandir(folder or ".") as entries:
            left = [entry for entry in entries if _is_draft(entry.name, name)]
        for entry in left:
            if made_before is None or entry.stat(follow_symlinks=False).st_mtime < made_before:
                os.unlink(entry.path)


def _is_draft(entry: str, name: str) -> bool:
    random = entry.removeprefix(f".{name}.").removesuffix(".tmp")
    is_so_named = entry == f".{name}.{random}.tmp" and len(random) == 2 * _RANDOM_BYTES
    return is_so_named and set(random) <= set("0123456789abcdef")


def _sync_folder(folder: str) -> None:
    """Make a new name last through a power cut, where the system knows how; the file itself is safe already."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
