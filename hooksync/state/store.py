"""The state on the disk: where it is, and how it is changed so that two runs at once lose nothing.

The advisory file lock beside it is held for one reading and one writing, never while calls are made.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hooksync.core.atomic_write import write_atomically
from hooksync.core.errors import FileError, Problem, os_reason
from hooksync.state.fingerprints import SALT_BYTES
from hooksync.state.format import read_state, state_text
from hooksync.state.model import LARGEST_RUN, State

MOST_BYTES = 64 * 1024 * 1024  # of a state; 10,000 subscriptions take 4 MiB
PATIENCE = 30.0  # seconds to wait while another run writes; 10,000 entries take some tenths of a second

_POLL = 0.01  # seconds
_SUFFIX = ".state.json"


def state_path(file_arguments: Sequence[str], flag: str | None, disabled: bool) -> str | None:
    """Return the path of a run's state: the one of the flag, else beside the first hooks file, or in its directory.

    None: the run keeps no state. For standard input there is no default.
    """
    if disabled:
        return None
    first = file_arguments[0] if file_arguments else "-"
    if flag is not None or first == "-":
        return flag
    if os.path.isdir(first):
        return os.path.join(first, "hooks.state.json")
    return f"{os.path.splitext(first)[0]}.state.json"


def find_lock(path: str) -> str | None:
    """Return the lock file, as states were called before, that stands where a default state is not there yet.

    None where there is a state already, or no such lock file.
    """
    if not path.endswith(_SUFFIX) or os.path.lexists(path):
        return None
    former = f"{path.removesuffix(_SUFFIX)}.lock.json"
    return former if os.path.exists(former) else None


def load(path: str) -> State | None:
    """Read the state as it is now; None where there is no such file. Raises FileError where it cannot be read."""
    text = _read(path)
    return None if text is None else read_state(text, path)


def update(
    path: str, change: Callable[[State], State], patience: float = PATIENCE, *, former: str | None = None
) -> State:
    """Change what the state holds at this moment, which another run may have written, and return what it holds then.

    Where there is no file, what `former` holds or a new state is changed. The file is replaced as a whole or, where
    nothing changes, left alone. Raises FileError where that cannot be done; the file is then as it was.
    `patience`: seconds.
    """
    with _exclusive(path, patience):
        text = _read(path)
        before = load(former) if text is None and former else None
        if before is None:
            before = State(last_run=0, url_salt=os.urandom(SALT_BYTES)) if text is None else read_state(text, path)
        after = change(before)
        if after.last_run > LARGEST_RUN:
            what = f"the state {path} has no run numbers left"
            fix = "hooksync never writes such a state: restore it from Git or the CI cache"
            raise FileError(Problem(what, fix))
        if text is None and after == before:
            return after
        written = state_text(after)
        if len(written) > MOST_BYTES:
            raise FileError(_too_large(path))
        if text is None or written != text.replace("\r\n", "\n"):
            write_atomically(path, written)
    return after


@contextmanager
def _exclusive(path: str, patience: float) -> Iterator[None]:
    """Hold the advisory file lock, in a file beside the real one: all links to a state share it."""
    from filelock import FileLock, Timeout  # only here: its import takes as long as the rest of hooksync

    try:
        beside = f"{os.path.realpath(path)}.lock"
        os.stat(os.path.join(os.path.dirname(beside), ""))  # filelock would make a folder that is not there
        holder = FileLock(beside, timeout=patience)
        holder.acquire(poll_interval=_POLL)
    except Timeout:
        what = f"{path} is in use: another run of hooksync has held {beside} for {patience:g} seconds"
        fix = "wait for it to end and run this again; if no run is left on any machine that shares it, delete that file"
        raise FileError(Problem(what, fix)) from None
    except (OSError, ValueError) as error:
        raise FileError(_unusable(path, "locked", error)) from error
    try:
        yield
    finally:
        holder.release()


def _read(path: str) -> str | None:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            what = f"the state {path} is not a file"
            raise FileError(Problem(what, "name a file with --state, or work without a state with --no-state"))
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise FileError(_too_large(path))
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        fix = "restore it from Git or the CI cache; or delete it and write a new one with `hooksync apply --adopt`"
        raise FileError(Problem(f"the state {path} is not UTF-8 text", fix)) from None
    except (OSError, ValueError) as error:
        raise FileError(_unusable(path, "read", error)) from error


def _too_large(path: str) -> Problem:
    what = f"the state {path} is larger than {MOST_BYTES // 1024**2} MiB"
    return Problem(what, "split the tenancies over several hooks files, each with its own state")


def _unusable(path: str, what: str, error: Exception) -> Problem:
    fix = "check the path and its permissions; name another path with --state, or work without a state with --no-state"
    return Problem(f"the state {path} cannot be {what}: {os_reason(error)}", fix)
