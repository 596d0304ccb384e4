"""The protocol of backends, and the records and errors that all state stores share.

This module does no I/O, and imports no store and no backend.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any, Protocol

from hooksync.core.clock import rfc3339
from hooksync.core.errors import InvalidDocument, Problem, StateError
from hooksync.core.record import Record, asdict, convert, field
from hooksync.core.redaction import QUOTED_LENGTH, cut, printable
from hooksync.core.signing import parse_json

LOCK_EXPIRY = 60.0  # seconds
_MOST_EXPIRY = 3600.0  # seconds
MOST_BYTES = 64 * 1024 * 1024  # of a state; 10,000 subscriptions take 4 MiB


class Holder(Record):
    """Who holds the run lock, as far as that is known."""

    who: str  # user, machine and process
    ci_run: str = ""  # URL; "": not in a CI
    since: int = 0  # seconds since 1970
    id: str = field(default_factory=lambda: os.urandom(8).hex())
    # only for a lock that the holder has to renew:
    expiry: float = LOCK_EXPIRY  # seconds until the lock expires if it is not renewed
    count: int = 0  # number of renewals, so that each renewal changes the text

    @property
    def text(self) -> str:
        """The holder as JSON, for `read_holder`."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def place(self) -> str:
        """The URL of the CI run; without one, the user and the machine."""
        return printable(cut(self.ci_run or self.who, QUOTED_LENGTH))

    def __str__(self) -> str:
        """Return the holder, its CI run and its start time, for messages."""
        where = f" in {cut(self.ci_run, QUOTED_LENGTH)}" if self.ci_run else ""
        return printable(f"{cut(self.who, QUOTED_LENGTH)}{where} since {rfc3339(self.since)}")


def read_holder(text: str) -> Holder | None:
    """Read the holder of a run lock from JSON; None if the text is not in hooksync's format."""
    with suppress(ValueError, OverflowError, InvalidDocument):
        holder = convert(parse_json(text), Holder)
        if str(holder) and 1 <= holder.expiry <= _MOST_EXPIRY:  # `str` fails for an impossible time
            return holder
    return None


class BackendData(Record):
    """The data in a backend, which reads and replaces them only as a whole."""

    HIDDEN = ("state",)

    state: str | None = None  # text of the state; None: there is none yet
    lock: str | None = None  # the holder of the run lock as JSON; None: nobody


class Busy(Exception):
    """Another run holds the run lock."""

    def __init__(self, holder: Holder | None, advice: str, expires_in: int = 0) -> None:
        super().__init__(holder)
        self.holder = holder  # None: not known
        self.advice = advice  # what to do if that run no longer exists
        self.expires_in = expires_in  # seconds until the lock expires, unless its holder renews it


class Changed(Exception):
    """The content is no longer what was read. Read it again, and repeat the change."""


class LockLost(StateError):
    """The run lock was lost: its former holder may change nothing."""


VersionedData = tuple[BackendData, Any]  # a content, and its version


class Backend(Protocol):
    """Keeps one BackendData on a different machine, and replaces it as a whole."""

    where: str  # as --state names it

    def get(self) -> VersionedData | None:
        """Fetch the content and its version; None if there is none. Raises StateError."""

    def put(self, content: BackendData, version: Any, message: str) -> Any:
        """Replace this version (None: there is none yet), and return the new version.

        `message`: the reason, if the backend can keep it. Raises Changed if the backend has a
        different version. Raises StateError if nothing was written, or if that is not known.
        """


def contended(where: str) -> StateError:
    """Return the error that other programs change a state all the time."""
    what = f"the state {where} changes all the time"
    return StateError(Problem(what, "see what writes it, and run this again"))


def too_large(path: str) -> StateError:
    """Return the error that a state has more bytes than hooksync reads or writes."""
    what = f"the state {path} is larger than {MOST_BYTES // 1024**2} MiB"
    fix = "split the tenancies over several hooks files, each with its own state"
    return StateError(Problem(what, fix))
