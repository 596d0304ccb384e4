"""The protocol of backends, and the records and errors that all state stores share.

This module does no I/O, and imports no store and no backend.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any, Protocol

from hooksync.core.clock import rfc3339
from hooksync.core.errors import InvalidDocument, Refused, StateError
from hooksync.core.output import Output
from hooksync.core.record import Record, asdict, convert, field
from hooksync.core.redaction import QUOTED_LENGTH, cut, printable
from hooksync.core.signing import PlanKey, parse_json

MOST_BYTES = 64 * 1024 * 1024  # of a state; 10,000 subscriptions take 4 MiB


class Holder(Record):
    """Who holds the run lock, as far as that is known."""

    who: str  # the URL of the CI run; if there is none, user, machine and process
    since: int = 0  # seconds since 1970
    id: str = field(default_factory=lambda: os.urandom(8).hex())
    count: int = 0  # number of renewals, so that each renewal changes the text

    @property
    def text(self) -> str:
        """The holder as JSON, for `read_holder`."""
        return json.dumps(asdict(self), sort_keys=True)

    def __str__(self) -> str:
        """Return the holder and its start time, for messages."""
        return printable(f"{cut(self.who, QUOTED_LENGTH)} since {rfc3339(self.since)}")


def read_holder(text: str) -> Holder | None:
    """Read the holder of a run lock from JSON; None if the text is not in hooksync's format."""
    with suppress(ValueError, OverflowError, InvalidDocument):
        holder = convert(parse_json(text), Holder)
        rfc3339(holder.since)  # it fails for an impossible time
        return holder
    return None


class BackendData(Record, forbid_unknown_fields=True):
    """The data in a backend, which reads and replaces them only as a whole."""

    state: str | None = None  # text of the state; None: there is none yet
    lock: str | None = None  # the holder of the run lock as JSON; None: nobody


class Store:
    """What all stores of a state have, wherever it is."""

    policy: str | None = None  # of an apply; "": it has none
    was_used = False  # whether there was something before this run, if only a run lock

    def __init__(self, where: str, key: PlanKey | None, output: Output) -> None:
        self.where = where  # as --state names it
        self.key = key
        self.output = output


class Busy(Refused):
    """Another run holds the run lock."""

    def __init__(self, where: str, holder: Holder | None, advice: str, expires_in: int = 0) -> None:
        """`advice`: what to do if that run no longer exists.

        `expires_in`: seconds until the lock expires, unless its holder renews it.
        """
        what = f"another run of hooksync works with {where}"
        if holder:
            what += f": {holder}"
        fix = "wait for it to end and run this again, or let this wait with --lock-timeout SECONDS"
        super().__init__(what, f"{fix}; {advice}")
        self.expires_in = expires_in


class Changed(StateError):
    """The content is no longer what was read. Read it again, and repeat the change."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"the state {where} changes all the time", "see what writes it, and run this again"
        )


class LockLost(StateError):
    """The run lock was lost: its former holder may change nothing."""


VersionedData = tuple[BackendData, Any]  # a content, and its version; None: there is none yet


class Backend(Protocol):
    """Keeps one BackendData on a different machine, and replaces it as a whole."""

    where: str  # as --state names it

    def get(self) -> VersionedData:
        """Fetch the content and its version. Raises StateError."""

    def put(self, content: BackendData, version: Any, message: str) -> Any:
        """Replace this version, and return the new version.

        `message`: the reason, if the backend can keep it. Raises Changed if the backend has a
        different version. Raises StateError if nothing was written, or if that is not known.
        """


def too_large(path: str) -> StateError:
    """Return the error that a state has more bytes than hooksync reads or writes."""
    return StateError(
        f"the state {path} is larger than {MOST_BYTES // 1024**2} MiB",
        "split the tenancies over several hooks files, each with its own state",
    )
