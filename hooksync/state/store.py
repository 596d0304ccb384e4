"""Find the store of a state, read and change the state there, and hold its run lock.

Each store replaces a text only if it is still the text that was read. Whatever changes a state
holds its run lock.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

from hooksync.core.context import Context
from hooksync.core.errors import Interrupted, Problem, StateError
from hooksync.core.output import escaped
from hooksync.core.record import UNSET, replace
from hooksync.core.signing import plan_key
from hooksync.core.starter import find_starter
from hooksync.state.contract import (
    MOST_BYTES,
    Backend,
    Busy,
    Changed,
    Holder,
    Store,
    too_large,
)
from hooksync.state.fingerprints import SALT_BYTES
from hooksync.state.format import read_state, reason_against, state_text
from hooksync.state.local import LocalStore
from hooksync.state.model import State

if TYPE_CHECKING:
    from hooksync.state.remote import RemoteStore

StateStore: TypeAlias = "LocalStore | RemoteStore"

_SUFFIX = ".state.json"
_INTERRUPTED = Problem("interrupted while it waited for a different run", "run it again")
_POLL = 0.5  # seconds between two tries to get the run lock
_MOST_WRITES = 100  # tries; a try fails if others have written meanwhile


def open_store(where: str, file: str, context: Context) -> StateStore:
    """Find the store of a state: a path, `git:BRANCH`, `s3://…`, `az://…` or `gs://…`.

    `file`: the first hooks file, a folder of them, or "-".

    No store is contacted yet. Raises UsageError for an invalid name, or for a key that is too
    short.
    """
    key = plan_key(context.environ)
    is_branch = where.startswith("git:")
    if not is_branch and "://" not in where:
        return LocalStore(where, key, context.output)
    from hooksync.state.remote import RemoteStore  # only here: most runs have a file

    backend: Backend
    if is_branch:
        from hooksync.state.git import GitBackend

        backend = GitBackend(where, os.path.dirname(_stem(file)) or ".", context.environ)
    else:
        from hooksync.state.cloud import CloudBackend

        backend = CloudBackend(where)
    return RemoteStore(backend, context, key, file)


OpenStore = Callable[[str, str, Context], StateStore]


def _stem(file: str) -> str:
    """Return the common start of the paths of a hooks file and of the files that belong to it.

    `file`: a file, a folder of files, or "-".
    """
    if file == "-":
        return "hooks"
    if os.path.isdir(file):
        return os.path.join(file, "hooks")
    return os.path.splitext(file)[0]


def state_place(file: str, flag: str | None) -> str | None:
    """Return the place of a run's state: the flag's, otherwise beside the first hooks file.

    None: there is no flag, and the hooks file is standard input.
    """
    if flag is not None or file == "-":
        return flag
    return f"{_stem(file)}{_SUFFIX}"


def _holder_of(context: Context) -> Holder:
    """Return what other runs may know of this one, if it holds the run lock."""
    origin = find_starter(context.environ)
    machine = origin.host or "an unknown machine"
    who = origin.url or f"{origin.user or 'somebody'} on {machine} (process {os.getpid()})"
    return Holder(context.output.masked(who))


@contextmanager
def run_lock(
    store: StateStore, timeout: float | None, context: Context, holder: Holder | None = None
) -> Iterator[None]:
    """Hold the run lock of a state, so that no other run changes what this run has read.

    `timeout`: seconds to wait if a different run holds the lock; None: as long as its lock needs to
    expire without a renewal. `holder`: who holds it; None: this run. Raises Refused after the wait,
    and Interrupted at a stop.
    """
    clock = context.clock
    holder = holder or _holder_of(context)
    end = None
    while True:
        try:
            with store.hold(replace(holder, since=int(clock.now()))):
                yield
                return
        except Busy as error:
            busy = error
        if end is None:
            seconds = busy.expires_in if timeout is None else timeout
            end = clock.monotonic() + seconds
            if seconds:
                context.terminal.message(f"waiting for up to {seconds:g} seconds: {busy.summary}")
        left = end - clock.monotonic()
        if left <= 0:
            raise busy
        if clock.wait(context.stop, min(_POLL, left)):
            raise Interrupted.of([_INTERRUPTED])


def accepted_state(text: str | None, store: Store, *, writes: bool) -> State | None:
    """Read the text of a state; None if there is none. Raises StateError if no run may use it.

    `writes`: also if no run may replace it.
    """
    if text is None:
        return None
    state = read_state(text, store.where)
    problem = reason_against(state, store, writes=writes)
    if problem:
        raise StateError.of([problem])
    return state


def update(
    store: StateStore, change: Callable[[State], State], message: str = "state written"
) -> State:
    """Change the current state, and return the new state. `message`: what changes, for people.

    If there is no state, `change` gets a new, empty one. The state is replaced as a whole, with the
    next serial. If nothing changes, nothing is written. If others write meanwhile, `change` is
    called again with their state.

    Raises StateError if that fails. A local state is then unchanged, but a remote one may have been
    written, because a response may be lost.
    """
    for _ in range(_MOST_WRITES):
        text = store.read()
        before = accepted_state(text, store, writes=True) or State(os.urandom(SALT_BYTES).hex())
        after = change(before)
        if after == before:
            return before
        after = replace(after, serial=before.serial + 1)
        if store.policy is not None:  # an apply writes
            after = replace(after, policy=store.policy or UNSET)
        with suppress(Changed):
            store.write(written_text(after, store), text, message)
            return after
    raise Changed(store.where)


def written_text(state: State, store: Store) -> str:
    """Return a state as the text to write, signed if there is a key.

    Raises FileError if it contains a known secret, StateError if it is larger than hooksync reads.
    """
    text = escaped(state_text(state, store.key), "json")
    store.output.checked(text, f"the state {store.where}")
    if len(text) > MOST_BYTES:
        raise too_large(store.where)
    return text
