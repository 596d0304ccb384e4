"""Where a state lives, how it is read and changed there, and the run lock that keeps two applies apart.

Each place writes only over what was read, so that nothing of another run is ever lost, with a run lock or without.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from threading import Event
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from hooksync.core.clock import SYSTEM_CLOCK, Clock, rfc3339, seconds_set
from hooksync.core.errors import FileError, Interrupted, InvalidDocument, Problem, Refused, UsageError
from hooksync.core.output import Output, escaped
from hooksync.core.record import Record, convert, field, replace
from hooksync.core.redaction import printable
from hooksync.core.signing import parse_json
from hooksync.state.fingerprints import SALT_BYTES
from hooksync.state.format import Inspected, Integrity, Mark, find_integrity, state_text
from hooksync.state.model import LARGEST_RUN, State

if TYPE_CHECKING:
    from hooksync.state.local_store import LocalStore
    from hooksync.state.remote_store import RemoteStore, Vault

StateStore: TypeAlias = "LocalStore | RemoteStore"  # of one state: a file; a branch, or an object in a bucket

MOST_BYTES = 64 * 1024 * 1024  # of a state; 10,000 subscriptions take 4 MiB

EXPIRY_VARIABLE = "HOOKSYNC_LOCK_EXPIRY"

_SUFFIX = ".state.json"
_CLOUDS = ("s3://", "az://", "gs://")
_WAIT_FIX = "wait for it to end and run this again, or let this wait with --lock-timeout SECONDS"
_POLL = 0.2  # seconds between two tries to get the run lock
_MOST_WRITES = 1000  # tries; each that fails means that another run has written


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
        when = rfc3339(self.since)
        where = f"{self.user or 'somebody'} on {self.host or 'an unknown machine'} (process {self.process})"
        return printable(f"{where}{f' in {self.ci_run}' if self.ci_run else ''} since {when}")


H = TypeVar("H", bound=Holder)


def read_holder(kind: type[H], text: str | bytes) -> H | None:
    """Read who holds the run lock; None where that is not known, or it is not as we write it."""
    with suppress(ValueError, OverflowError, InvalidDocument):
        holder = convert(parse_json(text if isinstance(text, str) else text.decode()), kind)
        return holder if str(holder) else None  # one that cannot be shown is not known
    return None


class Busy(Exception):
    """Another run holds the run lock."""

    def __init__(self, holder: Holder | None, advice: str, *, pause: float = _POLL, patience: float = 0.0) -> None:
        super().__init__(holder)
        self.holder = holder  # None: not known
        self.advice = advice  # what to do if no such run is left
        self.pause = pause  # seconds before the next try
        self.patience = patience  # seconds after which it is known to be dead, if it is


class Changed(Exception):
    """The state is not what was read any more: another run has written it. Read it again, and change that."""


class LockLost(FileError):
    """The run lock is not held any more: nothing may be changed."""


def open_store(
    where: str, environ: Mapping[str, str], file: str, output: Output, clock: Clock = SYSTEM_CLOCK
) -> StateStore:
    """Find what keeps a state: `git:BRANCH`, `s3://BUCKET/KEY`, `az://CONTAINER/KEY`, `gs://BUCKET/KEY`, or a path.

    `file`: the first hooks file, a folder of them, or "-"; `output`: what it writes through. Nothing is reached yet.
    Raises UsageError for a name that is wrong in itself, FileError for a key that is too short.
    """
    from hooksync.state.local_store import LocalStore  # here, as it needs this module

    store: StateStore = LocalStore(where)
    if vault := _find_vault(where, environ, file):
        from hooksync.state.remote_store import RemoteStore  # only here, as its vaults: most runs have a file

        expiry = seconds_set(environ, EXPIRY_VARIABLE, 60, 2, 3600)
        store = RemoteStore(vault, clock, output.message, f"{_stem(file)}.unsaved{_SUFFIX}", expiry=expiry)
    store.integrity = find_integrity(environ, output)
    return store


def _find_vault(where: str, environ: Mapping[str, str], file: str) -> Vault | None:
    if where.startswith("git:"):
        from hooksync.state.git_vault import GitVault

        return GitVault(where, os.path.dirname(_stem(file)) or ".", environ)
    if where.startswith(_CLOUDS):
        from hooksync.state.cloud_vault import CloudVault

        return CloudVault(where, environ)
    if "://" in where:
        fix = "write git:BRANCH, s3://BUCKET/KEY, az://CONTAINER/KEY, gs://BUCKET/KEY, or a path"
        raise UsageError(Problem(f"no state can be kept at {printable(where.partition('://')[0])}://", fix))
    return None


def _stem(file: str) -> str:
    """Return the path that what lies beside a hooks file begins with. `file`: a folder of them, too; or "-"."""
    if file == "-" or os.path.isdir(file):
        return os.path.join("" if file == "-" else file, "hooks")
    return os.path.splitext(file)[0]


def state_place(file_arguments: Sequence[str], flag: str | None, disabled: bool) -> str | None:
    """Return where a run's state is: as the flag says, else beside the first hooks file, or in its directory.

    None: the run keeps no state. For standard input there is no default.
    """
    if disabled:
        return None
    first = file_arguments[0] if file_arguments else "-"
    if flag is not None or first == "-":
        return flag
    return f"{_stem(first)}{_SUFFIX}"


def is_harmless(where: str) -> bool:
    """Whether any plan may have a state created there: by the name of a default one, in the current folder or below."""
    if where.startswith("git:") or "://" in where or not where.endswith(_SUFFIX):
        return False
    here = os.path.join(os.path.realpath(os.curdir), "")
    return os.path.join(os.path.realpath(os.path.dirname(where)), "").startswith(here)


@contextmanager
def run_lock(
    store: StateStore, holder: Holder, timeout: float, *, clock: Clock, stop: Event, tell: Callable[[str], None]
) -> Iterator[None]:
    """Hold the run lock of a state, so that no other run changes what this one has seen.

    `timeout`: seconds to wait for another run, of which `tell` is told. Raises Refused after that, Interrupted.
    """
    end, waits = None, timeout
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(store.hold(replace(holder, since=int(clock.now()))))
                break
            except Busy as busy:
                now = clock.monotonic()
                who = f"another run of hooksync works with {store.where}"
                if busy.holder:
                    who += f": {busy.holder}"
                if end is None:
                    waits = max(timeout, round(busy.patience, 1))
                    end = now + waits
                    if waits:
                        why = ", to see whether it still renews its lock" if waits > timeout else ""
                        tell(printable(f"waiting for up to {waits:g} seconds{why}: {who}"))
                elif end <= now:
                    who += f" (waited for {waits:g} seconds)"
                if end <= now:
                    raise Refused(Problem(who, f"{_WAIT_FIX}; {busy.advice}")) from None
                pause = min(busy.pause, end - now)
            if clock.wait(stop, pause):
                raise Interrupted(Problem("interrupted while another run was waited for", "run it again"))
        yield


def inspect(store: StateStore, planned: Mark | None = None) -> Inspected:
    """Read the state as it is now, and what speaks against it. `planned`: of a saved plan. Raises FileError."""
    text, _ = store.read()
    return store.integrity.inspect(text, store.where, planned)


def load(store: StateStore) -> State | None:
    """Read the state as it is now; None where there is none. Raises FileError where no run may go by it."""
    return inspect(store).trusted()


def update(store: StateStore, change: Callable[[State], State]) -> State:
    """Change what the state holds at this moment, which another run may have written, and return what it holds then.

    Where there is none, a new one is changed. It is replaced as a whole, with the next serial, or, where nothing
    changes, left alone. Raises FileError where that cannot be done; the state is then as it was.
    """
    integrity = store.integrity
    for _ in range(_MOST_WRITES):
        text, version = store.read()
        before = integrity.inspect(text, store.where).trusted(writes=True)
        before = before or State(last_run=0, url_salt=os.urandom(SALT_BYTES).hex())
        after = change(before)
        if text is None and after == before:
            return after
        after = replace(after, serial=max(before.serial, after.serial))
        if text is not None and after == before and _as_written(after, integrity) == text.replace("\r\n", "\n"):
            return after  # not even the layout or the signature would be another one
        after = replace(after, serial=after.serial + 1)
        with suppress(Changed):
            store.write(written_text(after, integrity, store.where), version)
            return after
    raise FileError(Problem(f"the state {store.where} changes all the time", "see what writes it, and run this again"))


def kept_aside(store: StateStore, change: Callable[[State], State], error: FileError) -> FileError:
    """Keep in a file what could not be written to a state whose run lock is held, and return the error that says so."""
    from shlex import quote  # only here

    before = load(store) if store.aside else None
    if not store.aside or before is None:
        return error
    after = change(before)
    store.integrity.output.write_file(store.aside, written_text(after, store.integrity, store.aside))
    folder = os.path.dirname(store.aside)  # of the hooks file, by which a repository of Git is found
    command = f"hooksync state push {quote(store.aside)} --state {quote(store.where)}"
    command += f" --file {quote(folder)}" if folder else ""
    what = f"{error.summary}; what this run has made is kept in {store.aside}"
    return FileError(Problem(what, f"once the state can be reached: {command}"))


def written_text(state: State, integrity: Integrity, where: str) -> str:
    """Return a state's text, signed where there is a key. Raises FileError for one that nobody could read again."""
    if max(state.last_run, state.serial) > LARGEST_RUN:
        what = f"the state {where} has no run numbers left"
        fix = "hooksync never writes such a state: restore an earlier one, from its history or a backup"
        raise FileError(Problem(what, fix))
    text = integrity.output.checked(_as_written(state, integrity), f"the state {where}")
    if len(text) > MOST_BYTES:
        raise FileError(too_large(where))
    return text


def _as_written(state: State, integrity: Integrity) -> str:
    return escaped(state_text(state, integrity.key), "json")


def no_such_run(where: str, identifier: str) -> Refused:
    """Say that the run lock of a state is not held under this id."""
    what = f"no run {identifier} holds the run lock of {where}"
    return Refused(Problem(what, "`hooksync state show` names the run that holds it, if one does"))


def too_large(path: str) -> Problem:
    """Say that a state has more bytes than hooksync reads or writes."""
    what = f"the state {path} is larger than {MOST_BYTES // 1024**2} MiB"
    return Problem(what, "split the tenancies over several hooks files, each with its own state")
