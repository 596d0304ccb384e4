"""Whether a state is as hooksync wrote it last: signed with the key of the run, and not an older one put back.

Which serial of which state this machine has seen stands in a small file in the user's cache folder. Nothing depends on
that file: where it cannot be read or written, less is noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress

from hooksync.core.errors import FileError, Problem
from hooksync.core.output import Output
from hooksync.core.reading import read_file
from hooksync.core.record import Record, field
from hooksync.core.signing import KEY_VARIABLE, PlanKey, is_same, plan_key
from hooksync.state.format import read_signed, signature_of
from hooksync.state.model import LARGEST_RUN, State

_MOST_STATES = 1000  # that are remembered
_MOST_BYTES = 256 * 1024  # of the file
_MOST_BELIEVED = LARGEST_RUN // 2  # serial; a forged one must not use up those that are left

_BY_HAND = "`hooksync state pull > FILE`, then `hooksync state push FILE`"
_SIGN_FIX = f"look at it with `hooksync state show`; if it is right, sign it: {_BY_HAND}"
_BACK_FIX = f"restore the newest one; or, if this one is right, give it a newer serial: {_BY_HAND}"
_PLAN_FIX = "restore the state that the plan was made with, or create a new plan"


class Mark(Record, frozen=True):
    """Which version of which state."""

    lineage: str  # a digest, for the lineage itself is a key
    serial: int


def mark_of(state: State) -> Mark:
    """Return what tells a state, and its version, from others."""
    return Mark(hashlib.sha256(f"hooksync.state/1 lineage\n{state.url_salt}".encode()).hexdigest(), state.serial)


class Inspected(Record, frozen=True):
    """A state that was read, and what speaks against it."""

    state: State | None
    errors: tuple[Problem, ...] = ()  # why no run may go by it
    warnings: tuple[Problem, ...] = ()
    against_writing: tuple[Problem, ...] = ()  # why no run may replace it

    def trusted(self, *, reads: bool = True, writes: bool = False) -> State | None:
        """Return the state. Raises FileError where no run may go by it, or replace it."""
        if problems := (*(self.errors if reads else ()), *(self.against_writing if writes else ())):
            raise FileError(*problems)
        return self.state


class Integrity(Record, frozen=True):
    """What a state is held against."""

    key: PlanKey | None = None
    memory: str | None = None  # path of the file of serials; None: nothing is remembered
    output: Output = field(default_factory=Output)  # writes it, and knows what no state may hold

    def inspect(
        self, text: str | None, where: str, planned: Mark | None = None, *, serials: Mapping[str, int] | None = None
    ) -> Inspected:
        """Read a state. Raises FileError where it cannot be read.

        `text`: None where there is none; `planned`: of the state that a saved plan was made with; `serials`: those that
        were known before the text was fetched, where another run of this machine may write meanwhile.
        """
        state, signature = read_signed(text, where) if text is not None else (None, None)
        seen = (self.serials() if serials is None else serials).get(mark_of(state).lineage, 0) if state else 0
        doubts = tuple(_doubts(state, where, planned, seen))
        if self.key:
            return Inspected(state, (*self._faults(state, signature, where), *doubts))
        what = f"the state {where} is signed, and would not be any more: {KEY_VARIABLE} is not set"
        lost = Problem(what, f"set {KEY_VARIABLE} to the key that it was signed with")
        return Inspected(state, (), doubts, (lost,) if signature else ())

    def seen(self, state: State) -> int:
        """Return the highest serial that this machine has seen of a state; 0 where that is not known."""
        return self.serials().get(mark_of(state).lineage, 0)

    def remember(self, state: State) -> None:
        """Remember a serial that is higher than those before."""
        mark, serials = mark_of(state), self.serials()
        if not self.memory or not serials.pop(mark.lineage, 0) < mark.serial <= _MOST_BELIEVED:
            return
        kept = [*serials.items(), (mark.lineage, mark.serial)][-_MOST_STATES:]
        with suppress(OSError, ValueError, FileError):
            os.makedirs(os.path.dirname(self.memory), 0o700, exist_ok=True)
            self.output.write_file(self.memory, json.dumps(dict(kept)))

    def _faults(self, state: State | None, signature: str | None, where: str) -> Iterator[Problem]:
        if state and signature is None:
            yield Problem(f"the state {where} is not signed, and {KEY_VARIABLE} is set", _SIGN_FIX)
        elif state and self.key and not is_same(signature, signature_of(state, self.key)):
            what = f"the signature of the state {where} does not fit {KEY_VARIABLE}"
            yield Problem(f"{what}: somebody changed it, or it was signed with another key", _SIGN_FIX)

    def serials(self) -> dict[str, int]:
        """Read the highest serial of each state, by the digest of its lineage; the one seen last at the end."""
        with suppress(OSError, ValueError, RecursionError, AttributeError):
            found = json.loads(read_file(self.memory or "", _MOST_BYTES))
            return {name: serial for name, serial in found.items() if type(serial) is int}
        return {}


def _doubts(state: State | None, where: str, planned: Mark | None, seen: int) -> Iterator[Problem]:
    """Say where an older state, or another one, stands in the place of the newest."""
    if state and state.serial < seen:
        what = f"the state {where} went back: it has the serial {state.serial}, and this machine has seen {seen}"
        yield Problem(f"{what}: somebody restored an older one", _BACK_FIX)
    if planned and not state:
        yield Problem(f"there is no state {where} any more, and the plan was made with one", _PLAN_FIX)
    elif planned and state and mark_of(state).lineage != planned.lineage:
        yield Problem(f"the state {where} is not the one that the plan was made with", _PLAN_FIX)
    elif planned and state and state.serial < planned.serial:
        what = f"the state {where} went back: it has the serial {state.serial}, and the plan was made with"
        yield Problem(f"{what} {planned.serial}: somebody restored an older one", _PLAN_FIX)


def find_integrity(environ: Mapping[str, str], output: Output) -> Integrity:
    """Find the key, and where serials are remembered. Raises FileError for a key that is too short."""
    home = os.path.join(environ.get("HOME", ""), ".cache")
    cache = environ.get("LOCALAPPDATA", "") if os.name == "nt" else environ.get("XDG_CACHE_HOME") or home
    memory = os.path.join(cache, "hooksync", "serials.json") if os.path.isabs(cache) else None
    return Integrity(plan_key(environ.get(KEY_VARIABLE)), memory, output)
