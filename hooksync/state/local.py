"""A state in a file on this machine, with a lock file and a file about the lock's holder."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from hooksync.core.errors import FileError, Problem, Refused, StateError, os_reason
from hooksync.core.output import Output
from hooksync.core.reading import read_file
from hooksync.core.signing import PlanKey
from hooksync.state.contract import (
    MOST_BYTES,
    Busy,
    Changed,
    Holder,
    LockLost,
    Store,
    read_holder,
    too_large,
)

if TYPE_CHECKING:
    from filelock import BaseFileLock

_LOST_FIX = "leave this file where it is; run apply again when no other run works with this state"
_MOST_HOLDER_BYTES = 8192  # bytes of the file that names the holder of the run lock


class LocalStore(Store):
    """A state in a file.

    Its run lock is an advisory lock on a second file. The system frees the lock if a run dies. A
    third file names the holder, because each attempt to lock empties the lock file.

    hooksync follows no link to any of the three: a commit could add the link, and a run would then
    write a file that the author of the commit chose.
    """

    def __init__(self, path: str, key: PlanKey | None = None, output: Output | None = None) -> None:
        super().__init__(path, key, output or Output())
        self._lock_path = f"{path}.lock"
        self._holder_path = f"{path}.lock.json"
        self._held: os.stat_result | None = None  # the lock file that this run has locked

    def read(self) -> str | None:
        """Return the text of the state; None if there is no file. Raises StateError."""
        _refuse_other_kinds(self.where)
        try:
            content = read_file(self.where, MOST_BYTES)
            if len(content) > MOST_BYTES:
                raise too_large(self.where)
            # bytes that are not UTF-8 are refused, because the text is not JSON then
            return content.decode("utf-8-sig", "backslashreplace")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StateError.of([_unusable(self.where, "read", error)]) from error

    def write(self, text: str, before: str | None, message: str) -> None:
        """Replace the text, under the run lock. `message`: not kept.

        Raises Changed if the text is not `before`, or FileError. Then the file is unchanged.
        """
        self.check()
        if before != self.read():
            raise Changed(self.where)
        self.output.write_file(self.where, text)

    @contextmanager
    def hold(self, holder: Holder) -> Iterator[None]:
        """Hold the run lock, or raise Busy at once. Raises StateError if there can be no lock."""
        try:
            lock = self._acquire()
            self._held = os.stat(self._lock_path)
        except TimeoutError:
            advice = "the lock ends with its process, which may be waiting at a prompt"
            raise Busy(self.where, self._holder(), advice) from None
        except (OSError, ValueError) as error:
            raise StateError.of([_unusable(self.where, "locked", error)]) from error
        try:
            # e.g. a full disk: the lock is held anyway, and the first `write` reports the error
            with suppress(FileError):
                self.output.write_file(self._holder_path, holder.text)
            yield
        finally:
            with suppress(OSError, LockLost):
                self.check()
                os.unlink(self._holder_path)
            self._held = None
            lock.release()

    def holder(self) -> Holder | None:
        """Return who holds the run lock; None if nobody does, or if the holder is not known."""
        holder = self._holder()
        try:
            # only if the file names one: a try makes the lock file, and can make other tries fail
            if holder:
                self._acquire().release()
        except TimeoutError:
            return holder
        except (OSError, ValueError):
            pass
        return None

    def check(self) -> None:
        """Raise LockLost if the locked file is gone: a different run can lock a new one."""
        if self._held is None:
            return
        with suppress(OSError):
            if os.path.samestat(self._held, os.stat(self._lock_path)):
                return
        raise LockLost(
            f"the run lock of {self.where} is lost: somebody deleted {self._lock_path}",
            _LOST_FIX,
        )

    def unlock(self, identifier: str) -> None:
        """Raise Refused: nobody can take this lock away. The system frees it when its run ends."""
        raise Refused(
            f"the run lock of {self.where} is the system's: it ends with the process of its run",
            f"end that process: `hooksync state show --state {shlex.quote(self.where)}` names it",
        )

    def _acquire(self) -> BaseFileLock:
        """Lock the lock file at once, or raise TimeoutError.

        Raises OSError or ValueError if the lock file cannot be used, and StateError if it or the
        state is not a regular file.
        """
        _refuse_other_kinds(self.where)
        _refuse_other_kinds(self._lock_path)
        from filelock import FileLock  # only here: its import takes as long as the rest of hooksync

        # fail if the folder is missing: filelock would make it
        os.stat(os.path.join(os.path.dirname(self._lock_path) or ".", ""))
        # private, because any user who may open the file can hold the lock
        lock = FileLock(self._lock_path, timeout=0, mode=0o600)
        lock.acquire()
        return lock

    def _holder(self) -> Holder | None:
        """Read the file that names the holder; None if the holder is not known."""
        with suppress(OSError, ValueError):
            return read_holder(read_file(self._holder_path, _MOST_HOLDER_BYTES).decode())
        return None


def _refuse_other_kinds(path: str) -> None:
    """Raise StateError if the path names something that is not a regular file."""
    with suppress(OSError, ValueError):  # whoever opens the file reports these
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise StateError(
                f"the state cannot be used: {path} is not a regular file",
                "find out who put it there, or name a different file with --state",
            )


def _unusable(path: str, what: str, error: Exception) -> Problem:
    return Problem(
        f"the state {path} cannot be {what}: {os_reason(error)}",
        "check the path and its permissions; name a different path with --state",
    )
