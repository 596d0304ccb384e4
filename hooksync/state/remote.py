"""A state on another machine, and its run lock: both change by compare-and-swap only.

State and lock are one content with one version. So if a run's lock was taken away or taken over,
this run cannot overwrite anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Event, RLock, Thread

from hooksync.core.clock import Backoff
from hooksync.core.context import Context
from hooksync.core.errors import Problem, Refused, StateError
from hooksync.core.flags import NO_FLAGS
from hooksync.core.record import replace
from hooksync.core.signing import PlanKey
from hooksync.state.contract import (
    Backend,
    BackendData,
    Busy,
    Changed,
    Holder,
    LockLost,
    Store,
    read_holder,
)

LOCK_EXPIRY = 60.0  # seconds until a run lock expires if it is not renewed
_RENEWALS = 3  # how often a lock is renewed within this time
_WRITE_TIMEOUT = 10.0  # seconds in which a write is tried again
_LOST_FIX = (
    "run apply again: it waits for the other run, and finds by its attempts in the state what this"
    " one has made"
)
UNREADABLE = "unreadable"  # names a lock that is not in hooksync's format, for `state unlock`


Edit = Callable[[BackendData], BackendData]


class RemoteStore(Store):
    """A state in a backend, with a lock that expires unless a thread or a call renews it.

    No other machine's clock is trusted: a lock has expired if this run saw it unchanged for the
    whole expiry time.
    """

    def __init__(
        self, backend: Backend, context: Context, key: PlanKey | None = None, file: str = "-"
    ) -> None:
        """`file`: the first hooks file: a printed command must find the same backend."""
        super().__init__(backend.where, key, context.output)
        self._place = ("--file", file, "--state", self.where)  # as flags
        self._backend = backend
        self._clock = context.clock
        self._terminal = context.terminal
        # what the backend held when it was last asked or written, and its version
        self._known = (BackendData(), None)
        self._lock: Holder | None = None  # held by this run
        self._renewed_at = -math.inf  # by the time of day, which advances while a machine sleeps
        # the lock of another run, and since when it is unchanged
        self._other_lock: tuple[Holder | None, float] = (None, 0.0)
        self._mutex = RLock()

    def read(self) -> str | None:
        """Return the text of the state; None: there is no state.

        While this run holds the lock, this makes no call. Raises StateError.
        """
        with self._mutex:
            if self._lock is None:
                self._known = self._backend.get()
                self.was_used = self._known[1] is not None
            return self._known[0].state

    def write(self, text: str, before: str | None, message: str) -> None:
        """Write if the text is still `before`, and the run lock is still ours.

        Raises Changed or LockLost if not, and StateError if the backend fails. The text may be
        written even after a StateError, because an answer may be lost.
        """

        def change(content: BackendData) -> BackendData:
            if content.state != before:
                raise Changed(self.where)
            return replace(content, state=text)

        self._put(change, f"{message} ({self._lock.who})" if self._lock else message)

    @contextmanager
    def hold(self, holder: Holder) -> Iterator[None]:
        """Hold the run lock, or raise Busy at once. Raises StateError if the backend fails."""
        self.read()
        self._take(holder, "taken")
        done = Event()
        renewing = Thread(target=self.renew_until, args=(done,), daemon=True)
        renewing.start()
        try:
            yield
        finally:
            done.set()
            renewing.join()
            self._release()

    def check(self) -> None:
        """Renew the run lock if this is due. Raises LockLost if another run may hold it by now."""
        age = self._clock.now() - self._renewed_at
        if 0 <= age < LOCK_EXPIRY * (1 - 1 / _RENEWALS):  # below 0: the clock was set back
            return  # without waiting for a renewal that is under way
        try:
            self._renew()
        except LockLost:
            raise
        except StateError as error:
            what = (
                f"the run lock of {self.where} cannot be renewed, and a different run may hold it"
            )
            raise LockLost(f"{what}: {error.summary}", _LOST_FIX) from None

    def holder(self) -> Holder | None:
        """Return who held the run lock when it was last read; None if nobody, or not known."""
        return _lock_of(self._known[0])

    def unlock(self, identifier: str) -> None:
        """Take the run lock away from the run with this id, or remove an UNREADABLE lock.

        Raises Refused if no such run holds the lock.
        """

        def change(content: BackendData) -> BackendData:
            lock = _lock_of(content)
            held_by = lock.id if lock else UNREADABLE
            if content.lock is None or held_by != identifier:
                raise Refused(
                    f"no run {identifier} holds the run lock of {self.where}",
                    "copy the id from what state show prints of this state, if a run holds it",
                )
            return replace(content, lock=None)

        self._put(change, "run lock taken away from its holder")

    def _take(self, lock: Holder, verb: str) -> None:
        """Write the lock into the backend, unless a different run holds it."""

        def change(content: BackendData) -> BackendData:
            other = _lock_of(content)
            if content.lock is not None and other is None:
                what = f"the run lock of {self.where} is not in hooksync's format"
                unlock = NO_FLAGS.command("state unlock", UNREADABLE, *self._place)
                raise StateError(what, f"see who wrote it; `{unlock}` removes it")
            # if the lock is ours, this renews it, or an earlier try has taken it
            if other is not None and other.id != lock.id:
                self._check_expired(other)
            return replace(content, lock=lock.text)

        now = self._clock.now()
        self._put(change, f"run lock {verb} by {lock}")
        self._lock = lock
        self._renewed_at = now

    def _check_expired(self, lock: Holder) -> None:
        """Raise Busy unless another run's lock was seen unchanged for its whole expiry time."""
        now = self._clock.monotonic()
        if self._other_lock[0] != lock:
            self._other_lock = lock, now
        left = self._other_lock[1] + LOCK_EXPIRY - now
        if left > 0:
            unlock = NO_FLAGS.command("state unlock", lock.id, *self._place)
            raise Busy(self.where, lock, f"if that run has ended, `{unlock}`", math.ceil(left) + 1)
        late = f"was not renewed for {LOCK_EXPIRY:g} seconds"
        self._terminal.message(f"note: the run lock of {lock} {late}: taken over")

    def renew_until(self, done: Event) -> None:
        """Renew the run lock, in a thread of its own, until this run is done."""
        while not self._clock.wait(done, LOCK_EXPIRY / _RENEWALS):
            with suppress(Exception):  # the next round or `check` tries again
                self._renew()

    def _renew(self) -> None:
        """Edit the lock, so that others see that this run goes on."""
        with self._mutex:
            if self._lock:
                self._take(replace(self._lock, count=self._lock.count + 1), "renewed")

    def _release(self) -> None:
        """Remove the lock. A lock that this run has lost already is left alone."""
        with self._mutex:
            try:
                with suppress(LockLost):
                    self._put(partial(replace, lock=None), f"run lock released by {self._lock}")
            except StateError as error:
                self._terminal.warn(
                    Problem(
                        f"the run lock of {self.where} cannot be released: {error.summary}",
                        f"let the next run wait: the lock expires after {LOCK_EXPIRY:g} seconds",
                    )
                )
            finally:
                self._lock = None

    def _put(self, change: Edit, message: str) -> None:
        """Write what `change` makes of the content.

        If that fails, try again for a while, each time with the content that is there by then.

        Raises LockLost, StateError, or what `change` raises.
        """
        with self._mutex:
            backoff = Backoff(_WRITE_TIMEOUT, self._clock, Event())
            failure = None
            while failure is None or backoff.wait():
                content, version = self._known
                self._check_ours(content)
                wanted = change(content)
                try:
                    self._known = wanted, self._backend.put(wanted, version, message)
                    return
                except StateError as error:
                    failure = error
                # after a lost answer, the content may be written all the same: look
                with suppress(StateError):
                    self._known = self._backend.get()
                if self._known[0] == wanted:
                    return
            raise failure

    def _check_ours(self, content: BackendData) -> None:
        """Raise LockLost if this run took the lock, but the content has a different one or none."""
        lock = _lock_of(content)
        if self._lock is None or (lock is not None and lock.id == self._lock.id):
            return
        self._renewed_at = -math.inf
        taken = f"taken over by {lock}" if lock else "taken away"
        raise LockLost(f"the run lock of {self.where} is lost, it was {taken}", _LOST_FIX)


def _lock_of(content: BackendData) -> Holder | None:
    return read_holder(content.lock or "")
