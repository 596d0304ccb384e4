"""The protocols, records and errors that stores of a state share.

This module does no I/O, and imports no store and no backend.
"""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager, suppress
from typing import Protocol

from hooksync.core.clock import rfc3339
from hooksync.core.errors import FileError, InvalidDocument, Problem
from hooksync.core.record import Record, asdict, convert, field
from hooksync.core.redaction import printable
from hooksync.core.signing import parse_json
from hooksync.state.format import Integrity

EXPIRY = 60.0  # seconds
MOST_BYTES = 64 * 1024 * 1024  # of a state; 10,000 subscriptions take 4 MiB


class Holder(Record, frozen=True):
    """Who holds the run lock, as far as that is known."""

    user: str | None
    host: str | None
    ci_run: str | None  # URL
    since: int = 0  # seconds since 1970
    process: int = field(default_factory=os.getpid)
    id: str = field(default_factory=lambda: os.urandom(8).hex())
    # of a lock that the holder has to renew
    expiry: float = EXPIRY  # seconds that it holds without being renewed
    count: int = 0  # of renewals, so that no two texts are the same

    @property
    def text(self) -> str:
        """Write it as JSON, for `read_holder`."""
        return json.dumps(asdict(self), sort_keys=True)

    def __str__(self) -> str:
        """Name who, where, in which run of a CI, and since when."""
        who = f"{self.user or 'somebody'} on {self.host or 'an unknown machine'}"
        where = f" in {self.ci_run}" if self.ci_run else ""
        return printable(f"{who} (process {self.process}){where} since {rfc3339(self.since)}")


def read_holder(text: str) -> Holder | None:
    """Read who holds the run lock; None if that is not known, or not in hooksync's format."""
    with suppress(ValueError, OverflowError, InvalidDocument):
        holder = convert(parse_json(text), Holder)
        return holder if str(holder) else None  # `str` fails for an impossible time
    return None


class Content(Record, frozen=True):
    """What a backend holds, always as a whole."""

    HIDDEN = ("state",)

    state: str | None = None  # text of the state; None: there is none yet
    lock: str | None = None  # JSON about who holds the run lock; None: nobody does


class Busy(Exception):
    """Another run holds the run lock."""

    def __init__(self, holder: Holder | None, advice: str, expires_in: int = 0) -> None:
        super().__init__(holder)
        self.holder = holder  # None: not known
        self.advice = advice  # what to do if no such run is left
        self.expires_in = expires_in  # seconds until the lock expires, unless its holder renews it


class Changed(Exception):
    """What was to be replaced is no longer what was read. Read it again, and change that."""


class LockLost(FileError):
    """The run lock was lost: its former holder may change nothing."""


class Backend(Protocol):
    """Keeps one content on another machine, and replaces it as a whole."""

    where: str  # as --state names it

    def get(self) -> tuple[Content, str] | None:
        """Fetch the content and its version; None if there is none. Raises FileError."""

    def put(self, content: Content, version: str | None, message: str) -> str:
        """Write over this version (None: there is none yet), and return the new version.

        `message`: why, if the backend has a place for it. Raises Changed if the backend has a
        different version. Raises FileError if nothing was written, or if that is not known.
        """


class StateStore(Protocol):
    """Reads and changes one state, wherever it is, and holds its run lock."""

    where: str  # as --state names it
    integrity: Integrity

    def read(self) -> str | None:
        """Return the text; None if there is no state. Raises FileError."""

    def write(self, text: str, before: str | None) -> None:
        """Replace the text `before`. Raises Changed if it is a different one, or FileError."""

    def hold(self, holder: Holder) -> AbstractContextManager[None]:
        """Hold the run lock, or raise Busy at once. Raises FileError if it cannot be reached."""

    def check(self) -> None:
        """Raise LockLost if another run may hold the run lock by now."""

    def holder(self) -> Holder | None:
        """Return who holds the run lock; None if nobody does, or it is not known."""

    def unlock(self, identifier: str) -> Holder:
        """Take the run lock of this id away from its holder, and return that. Raises Refused."""


def contended(where: str) -> Problem:
    """Return the problem that other programs write a state again and again."""
    what = f"the state {where} changes all the time"
    return Problem(what, "see what writes it, and run this again")


def too_large(path: str) -> Problem:
    """Return the problem that a state has more bytes than hooksync reads or writes."""
    what = f"the state {path} is larger than {MOST_BYTES // 1024**2} MiB"
    return Problem(what, "split the tenancies over several hooks files, each with its own state")
