"""A state on another machine, and its run lock: both change by compare-and-swap only.

They are one content with one version. So a run whose lock was taken away, or expired, cannot write
over anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, RLock, Thread

from hooksync.core.clock import Backoff, Clock
from hooksync.core.errors import FileError, Problem
from hooksync.core.record import asdict, replace
from hooksync.core.redaction import printable
from hooksync.state.contract import (
    Backend,
    Busy,
    Changed,
    Content,
    Holder,
    LockLost,
    no_such_run,
    read_holder,
)
from hooksync.state.format import Integrity

EXPIRY = 60.0  # seconds that a run lock holds without being renewed

_LEAST_EXPIRY, _MOST_EXPIRY = 1.0, 3600.0  # that the lock of another run is believed to have
_RENEWALS = 3  # in that time
_LONGEST_POLL = 2.0  # seconds between two tries to get the run lock
_PATIENCE = 10.0  # seconds in which a write is tried again
_MOST_RACES = 100  # lost to others in taking the lock
_LOST_FIX = (
    "run apply again: it waits for the other run, and finds by its intents in the state what this"
    " one has made"
)
# what a backend holds in which nothing was put yet
_EMPTY: tuple[Content, str | None] = (
    Content(),
    None,
)


class RunLock(Holder, frozen=True):
    """A run lock as it is written."""

    renewed: int = 0  # by the holder's clock, seconds since 1970
    expiry: float = EXPIRY  # seconds that it holds without being renewed
    count: int = 0  # of renewals, so that no two texts are the same


class RemoteStore:
    """A state in a backend, with a lock that expires unless a thread or a call renews it.

    No other machine's clock is trusted: a lock has expired if this run saw it unchanged for the
    lock's expiry time.
    """

    def __init__(
        self,
        backend: Backend,
        clock: Clock,
        tell: Callable[[str], None],
        *,
        expiry: float = EXPIRY,
        has_thread: bool = True,
    ) -> None:
        """`has_thread`: a thread renews the lock."""
        self.where = backend.where
        self.integrity = Integrity()
        self._backend = backend
        self._clock = clock
        self._tell = tell
        self._expiry = expiry
        self._has_thread = has_thread
        self._known = _EMPTY  # what the backend held when it was last asked or written
        self._lock: RunLock | None = None  # held by this run
        self._lost: Problem | None = None  # why it is not held any more
        self._renewed_at = (0.0, 0.0)  # monotonic, and time of day
        # the lock of another run, and since when it is unchanged
        self._seen: tuple[str | None, float] = (
            None,
            0.0,
        )
        self._mutex = RLock()

    def read(self) -> tuple[str | None, str | None]:
        """Return text and version, or None twice; without a call while this run holds the lock.

        Raises FileError.
        """
        with self._mutex:
            if self._lock is None:
                self._known = self._backend.get() or _EMPTY
            content, version = self._known
            return content.state, None if content.state is None else version

    def write(self, text: str, version: str | None) -> None:
        """Write if what is there still has this version.

        Raises Changed or FileError; then it is as it was.
        """
        with self._mutex:
            content, current = self._known
            if version != (None if content.state is None else current):
                raise Changed
            self._put(replace(content, state=text), "state written")

    @contextmanager
    def hold(self, holder: Holder) -> Iterator[None]:
        """Hold the run lock, or raise Busy at once. Raises FileError where it cannot be reached."""
        self._take(holder)
        done = Event()
        renewing = Thread(target=self._renew_until, args=(done,), daemon=True)
        with suppress(RuntimeError):  # the system has no more threads: `check` renews it
            if self._has_thread:
                renewing.start()
        try:
            yield
        finally:
            done.set()
            if renewing.ident:
                renewing.join()
            self._release()

    def check(self) -> None:
        """Renew the run lock if due; raise LockLost if a different run may have it."""
        if self._is_fresh() and not self._lost:
            return  # without waiting for a renewal that is under way
        with self._mutex:
            if self._is_fresh() and not self._lost:
                return
            try:
                self._renew()
            except LockLost:
                raise
            except FileError as error:
                what = (
                    f"the run lock of {self.where} cannot be renewed, and may be another run's by"
                    " now: "
                )
                raise LockLost(Problem(what + error.summary, _LOST_FIX)) from None

    def holder(self) -> Holder | None:
        """Return who held the run lock when it was last read; None if nobody, or not known."""
        return _lock_of(self._known[0])

    def unlock(self, identifier: str) -> Holder:
        """Take the run lock of this id away from its holder.

        Raises Refused where no such run holds it.
        """
        while True:
            content, version = self._backend.get() or _EMPTY
            lock = _lock_of(content)
            if lock is None or lock.id != identifier:
                raise no_such_run(self.where, identifier)
            with suppress(Changed):
                self._backend.put(
                    replace(content, lock=None), version, f"run lock taken away from {lock}"
                )
                return lock

    def _take(self, holder: Holder) -> None:
        for _ in range(_MOST_RACES):
            self._known = self._backend.get() or _EMPTY
            content = self._known[0]
            if content.lock is not None:
                self._check_expired(content.lock)
            lock = RunLock(**asdict(holder), renewed=int(self._clock.now()), expiry=self._expiry)
            try:
                self._write(replace(content, lock=lock.text), f"run lock taken by {holder}")
            except Changed:
                continue
            self._lock, self._lost = lock, None
            self._renewed_at = self._clock.monotonic(), self._clock.now()
            return
        raise Busy(None, "try again later")

    def _check_expired(self, text: str) -> None:
        """Raise Busy unless the lock of another run was seen unchanged for as long as it holds."""
        lock = read_holder(RunLock, text)
        now = self._clock.monotonic()
        if self._seen[0] != text:
            self._seen = text, now
        expiry = min(max(_LEAST_EXPIRY, lock.expiry), _MOST_EXPIRY) if lock else EXPIRY
        left = self._seen[1] + expiry - now
        if left > 0:
            is_old = lock is None or abs(self._clock.now() - lock.renewed) > expiry
            who = lock.id if lock else "ID"
            advice = f"if that run has ended, `hooksync state unlock {who} --state {self.where}`"
            pause = min(_LONGEST_POLL, expiry / 10)
            raise Busy(lock, advice, pause=pause, patience=left + pause if is_old else 0.0)
        self._tell(
            f"note: the run lock of {lock or 'another run'} was not renewed for {expiry:g} seconds:"
            " taken over"
        )

    def _is_fresh(self) -> bool:
        """Whether the lock was renewed a short time ago.

        The time of day goes on while a machine sleeps.
        """
        ages = (
            self._clock.monotonic() - self._renewed_at[0],
            self._clock.now() - self._renewed_at[1],
        )
        return max(ages) < self._expiry * (1 - 1 / _RENEWALS)

    def _renew_until(self, done: Event) -> None:
        while not self._clock.wait(done, self._expiry / _RENEWALS) and not self._lost:
            with suppress(Exception):  # it is tried again, here and by `check`
                self._renew()

    def _renew(self) -> None:
        with self._mutex:
            if not self._lock:
                return
            lock = replace(self._lock, renewed=int(self._clock.now()), count=self._lock.count + 1)
            now = self._clock.monotonic(), self._clock.now()
            self._put_lock(lock.text, "run lock renewed", _PATIENCE)
            self._lock, self._renewed_at = lock, now

    def _release(self) -> None:
        with self._mutex:
            try:
                self._put_lock(None, "run lock released", _PATIENCE / 4)
            except LockLost:
                pass
            except FileError as error:
                self._tell(
                    f"warning: the run lock of {printable(self.where)} cannot be released:"
                    f" {error.summary}\n  it expires after {self._expiry:g} seconds"
                )
            finally:
                self._lock = None

    def _put_lock(self, lock: str | None, what: str, patience: float) -> None:
        """Write the lock beside the state as it is, even if that was edited by hand.

        Raises LockLost or FileError.
        """
        while True:
            with suppress(Changed):
                return self._put(replace(self._known[0], lock=lock), what, patience=patience)

    def _put(self, content: Content, what: str, *, patience: float = _PATIENCE) -> None:
        """Write as the holder of the lock, and try again for a while.

        Raises LockLost, Changed or FileError.
        """
        if self._lock is None:
            return self._write(content, what)
        if self._lost:
            raise LockLost(self._lost)
        backoff = Backoff(patience, self._clock, Event())
        while True:
            before = self._known
            try:
                return self._write(content, f"{what} by {self._lock}")
            except Changed:
                self._check_ours()
                if before[0].state != self._known[0].state:
                    raise  # edited by hand
                what = f"the state {self.where} changes all the time"
                failure = FileError(Problem(what, "see what writes it, and run this again"))
            except FileError as error:
                failure = error
            if not backoff.wait():
                raise failure

    def _check_ours(self) -> None:
        """Raise LockLost unless what the backend holds now has the lock of this run."""
        lock = _lock_of(self._known[0])
        if self._lock and (lock is None or lock.id != self._lock.id):
            taken = f"taken over by {lock}" if lock else "taken away"
            self._lost = Problem(f"the run lock of {self.where} is lost, it was {taken}", _LOST_FIX)
            raise LockLost(self._lost)

    def _write(self, content: Content, message: str) -> None:
        """Write over what is known.

        Where no answer tells whether it is written, look. Raises Changed or FileError.
        """
        try:
            self._known = content, self._backend.put(content, self._known[1], message)
        except (Changed, FileError) as error:
            try:
                found = self._backend.get() or _EMPTY
            except FileError:
                raise error from None
            former, self._known = self._known, found
            if found[0] == content:
                return  # only its answer was lost
            if found != former:
                raise Changed from None
            raise


def _lock_of(content: Content) -> RunLock | None:
    return read_holder(RunLock, content.lock or "")
