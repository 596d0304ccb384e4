"""Where a state lives: what any backend must do, the run lock that keeps two applies apart, and the file on the disk.

A backend writes only over what was read, so that nothing of another run is ever lost, with a run lock or without.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from threading import Event
from typing import TYPE_CHECKING, Protocol

from hooksync.core.atomic_write import delete_drafts, write_atomically
from hooksync.core.clock import Clock, rfc3339
from hooksync.core.errors import FileError, Interrupted, Problem, Refused, os_reason
from hooksync.core.record import Record, asdict, field, replace
from hooksync.core.redaction import printable
from hooksync.state.fingerprints import SALT_BYTES
from hooksync.state.format import read_state, state_text
from hooksync.state.model import LARGEST_RUN, State

if TYPE_CHECKING:
    from filelock import BaseFileLock

MOST_BYTES = 64 * 1024 * 1024  # of a state; 10,000 subscriptions take 4 MiB
PATIENCE = 30.0  # seconds to wait for the file lock where no run lock is held; 10,000 entries take some tenths of one

_WAIT_FIX = "wait for it to end and run this again, or let this wait with --lock-timeout SECONDS"
_POLL = 0.2  # seconds between two tries to get the run lock
_MOST_WORDS = 8192  # bytes, about the holder of the run lock
_MOST_WRITES = 1000  # tries; each that fails means that another run has written
_SUFFIX = ".state.json"


class Holder(Record, frozen=True):
    """Who holds the run lock, as far as that is known."""

    user: str | None
    host: str | None
    ci_run: str | None  # URL
    since: int = 0  # seconds since 1970
    process: int = field(default_factory=os.getpid)
    id: str = field(default_factory=lambda: os.urandom(8).hex())

    def __str__(self) -> str:
        """Say who, where, in which run of a CI, and since when."""
        when = rfc3339(datetime.fromtimestamp(self.since, UTC))
        where = f"{self.user or 'somebody'} on {self.host or 'an unknown machine'} (process {self.process})"
        return printable(f"{where}{f' in {self.ci_run}' if self.ci_run else ''} since {when}")


class Busy(Exception):
    """Another run holds the run lock."""

    def __init__(self, holder: Holder | None, advice: str) -> None:
        super().__init__(holder)
        self.holder = holder  # None: not known
        self.advice = advice  # what to do if no such run is left


class Changed(Exception):
    """The state is not what was read any more: another run has written it. Read it again, and change that."""


class Stored(Record, frozen=True):
    """A state as a backend holds it."""

    HIDDEN = ("text",)

    text: str
    version: str  # changes whenever the text does


class StateStore(Protocol):
    """A place for one state: a file, a branch, an object in a bucket."""

    @property
    def where(self) -> str:
        """Name it as the user does."""

    def read(self) -> Stored | None:
        """Read what is there now; None where there is nothing. Raises FileError."""

    def write(self, text: str, version: str | None) -> None:
        """Write if what is there still has this version (None: there is nothing), as a whole or not at all.

        Raises Changed if it has not, FileError if it cannot be written; then it is as it was.
        """

    def hold(self, holder: Holder) -> AbstractContextManager[None]:
        """Hold the run lock, or raise Busy at once. Where nothing can be written it is not held: `write` says why."""


@contextmanager
def run_lock(
    store: StateStore, holder: Holder, timeout: float, *, clock: Clock, stop: Event, tell: Callable[[str], None]
) -> Iterator[None]:
    """Hold the run lock of a state, so that no other run changes what this one has seen.

    `timeout`: seconds to wait for another run; `tell`: is told once that it is waited for. Raises Refused where that
    takes longer, Interrupted at a stop.
    """
    end, is_told = clock.monotonic() + timeout, False
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(store.hold(replace(holder, since=int(clock.now()))))
                break
            except Busy as busy:
                left = end - clock.monotonic()
                who = f"another run of hooksync works with {store.where}"
                if busy.holder:
                    who += f": {busy.holder}"
                if left <= 0:
                    waited = f" (waited for {timeout:g} seconds)" if timeout else ""
                    raise Refused(Problem(who + waited, f"{_WAIT_FIX}; {busy.advice}")) from None
                if not is_told:
                    tell(f"waiting for up to {timeout:g} seconds: {who}")
                    is_told = True
            if clock.wait(stop, min(_POLL, left)):
                raise Interrupted(Problem("interrupted while another run was waited for", "run it again"))
        yield


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


def load(store: StateStore | str) -> State | None:
    """Read the state as it is now; None where there is none. Raises FileError where it cannot be read.

    `store`: it, or the path of a file.
    """
    found = LocalStore(store) if isinstance(store, str) else store
    stored = found.read()
    return None if stored is None else read_state(stored.text, found.where)


def update(store: StateStore, change: Callable[[State], State], *, former: str | None = None) -> State:
    """Change what the state holds at this moment, which another run may have written, and return what it holds then.

    Where there is none, what the file `former` holds or a new state is changed. It is replaced as a whole or, where
    nothing changes, left alone. Raises FileError where that cannot be done; the state is then as it was.
    """
    for _ in range(_MOST_WRITES):
        stored = store.read()
        if stored:
            before = read_state(stored.text, store.where)
        else:
            before = (load(former) if former else None) or State(last_run=0, url_salt=os.urandom(SALT_BYTES))
        after = change(before)
        if not stored and after == before:
            return after
        written = _written(after, store.where)
        if stored and written == stored.text.replace("\r\n", "\n"):
            return after
        with suppress(Changed):
            store.write(written, stored.version if stored else None)
            return after
    raise FileError(Problem(f"the state {store.where} changes all the time", "see what writes it, and run this again"))


def _written(state: State, where: str) -> str:
    if state.last_run > LARGEST_RUN:
        what = f"the state {where} has no run numbers left"
        fix = "hooksync never writes such a state: restore it from Git or the CI cache"
        raise FileError(Problem(what, fix))
    text = state_text(state)
    if len(text) > MOST_BYTES:
        raise FileError(_too_large(where))
    return text


class LocalStore:
    """A state in a file. Its run lock is an advisory lock on a file beside it: the system frees it if a run dies.

    All links to a state share one lock. Who holds it stands in a third file, for a lock file is emptied by every try.
    """

    def __init__(self, path: str, patience: float = PATIENCE) -> None:
        """`patience`: seconds to wait for the lock in a `write` without `hold`."""
        self.where = path
        self._patience = patience
        self._is_held = False

    def read(self) -> Stored | None:
        """Read the file; None where there is none. Raises FileError."""
        content = self._content()
        if content is None:
            return None
        try:
            return Stored(content.decode("utf-8-sig"), _version(content))
        except UnicodeDecodeError:
            fix = "restore it from Git or the CI cache; or delete it and write a new one with `hooksync apply --adopt`"
            raise FileError(Problem(f"the state {self.where} is not UTF-8 text", fix)) from None

    def write(self, text: str, version: str | None) -> None:
        """Replace the file if it still has this version. Raises Changed or FileError; then it is as it was."""
        with nullcontext() if self._is_held else self._locked():
            content = self._content()
            if version != (None if content is None else _version(content)):
                raise Changed
            write_atomically(self.where, text)

    @contextmanager
    def hold(self, holder: Holder) -> Iterator[None]:
        """Hold the run lock, or raise Busy at once. Where its folder cannot be written to, nothing is held."""
        try:
            lock = self._acquire(0)
        except (OSError, ValueError) as error:
            if isinstance(error, TimeoutError):
                raise Busy(self._holder(), f"if no run is left on any machine, delete {self._beside}") from None
            lock = None
        if lock is None:
            yield
            return
        words = f"{self._beside}.json"
        try:
            self._is_held = True
            with suppress(FileError):  # a full disk: the lock holds all the same, and the first writing says so
                write_atomically(words, json.dumps(asdict(holder)))
            delete_drafts(self._target)
            yield
        finally:
            self._is_held = False
            with suppress(OSError):
                os.unlink(words)
            lock.release()

    @property
    def _target(self) -> str:
        return os.path.realpath(self.where)

    @property
    def _beside(self) -> str:
        return f"{self._target}.lock"

    def _acquire(self, patience: float) -> BaseFileLock:
        """Lock the file beside the real one. Raises TimeoutError after so many seconds, OSError or ValueError."""
        from filelock import FileLock  # only here: its import takes as long as the rest of hooksync

        os.stat(os.path.join(os.path.dirname(self._beside), ""))  # filelock would make a folder that is not there
        lock = FileLock(self._beside, timeout=patience)
        lock.acquire(poll_interval=0.01)
        return lock

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock for one writing."""
        try:
            lock = self._acquire(self._patience)
        except TimeoutError:
            who = f": {holder}" if (holder := self._holder()) else ""
            what = f"{self.where} is in use: another run of hooksync holds {self._beside}{who}"
            fix = "wait for it to end and run this again; if no run is left on any machine, delete that file"
            raise FileError(Problem(what, fix)) from None
        except (OSError, ValueError) as error:
            raise FileError(_unusable(self.where, "locked", error)) from error
        try:
            yield
        finally:
            lock.release()

    def _holder(self) -> Holder | None:
        """Read who holds the run lock; None where that is not known, or the file is not as we write it."""
        with suppress(OSError, ValueError, TypeError, OverflowError):
            with open(f"{self._beside}.json", "rb") as file:
                holder = Holder(**json.loads(file.read(_MOST_WORDS)))
            return holder if str(holder) else None  # one that cannot be shown is not known
        return None

    def _content(self) -> bytes | None:
        path = self.where
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                what = f"the state {path} is not a file"
                raise FileError(Problem(what, "name a file with --state, or work without a state with --no-state"))
            with open(path, "rb") as file:
                content = file.read(MOST_BYTES + 1)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise FileError(_unusable(path, "read", error)) from error
        if len(content) > MOST_BYTES:
            raise FileError(_too_large(path))
        return content


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _too_large(path: str) -> Problem:
    what = f"the state {path} is larger than {MOST_BYTES // 1024**2} MiB"
    return Problem(what, "split the tenancies over several hooks files, each with its own state")


def _unusable(path: str, what: str, error: Exception) -> Problem:
    fix = "check the path and its permissions; name another path with --state, or work without a state with --no-state"
    return Problem(f"the state {path} cannot be {what}: {os_reason(error)}", fix)
