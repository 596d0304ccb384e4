"""Convert a state to its JSON text (`hooksync.state/1`) and back, and verify its signature.

A text with any fault is an error, never a state. `schemas/state.schema.json` describes the format.
Each entry takes one line and the order is always the same, so that Git can show and merge changes.
A state is signed if the run has a key.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from typing import Any

from hooksync.core.errors import InvalidDocument, NewerDocument, Problem, StateError
from hooksync.core.model import KEY_VARIABLE, Location
from hooksync.core.output import Output
from hooksync.core.record import Record, convert, field, to_builtins
from hooksync.core.schema import check_document, quoted
from hooksync.core.signing import PlanKey, is_same, parse_json
from hooksync.state.model import State

STATE_FORMAT = "hooksync.state/1"
_DOMAIN = b"hooksync.state/1 signature\n"

_WAY_OUT = (
    "restore an earlier one, from its history or a backup; or delete it: then the secrets are"
    " unknown until an apply with `--adopt` takes them over"
)

_BY_HAND = "`hooksync state pull > FILE`, then `hooksync state push FILE`"
_SIGN_FIX = f"look at it with `hooksync state show`; if it is right, sign it: {_BY_HAND}"

_CONFLICT = re.compile("^<<<<<<<", re.MULTILINE)

_encode = json.JSONEncoder(sort_keys=True).encode


def read_state(text: str, path: str) -> State:
    """Read a state, whether or not it is signed.

    Raises StateError for anything but a complete state in this format.
    """
    return read_signed(text, path)[0]


def read_signed(text: str, path: str) -> tuple[State, str | None]:
    """Read a state and its signature, which is not verified. Raises as `read_state` does.

    `path`: for messages. An unknown field is an error, because it would be lost when hooksync
    writes the state again.
    """
    try:
        document = _parse(text, path)
        fields = check_document("state", document)
        state = convert(fields, State)
        _check_whole(state)
    except NewerDocument as error:
        raise StateError(Problem(f"{path}: {error}", "upgrade hooksync")) from None
    except InvalidDocument as error:
        raise StateError(Problem(f"{path}: {error}", _WAY_OUT)) from None
    return state, fields.get("signature")


def signature_of(state: State, key: PlanKey) -> str:
    """Return the signature of a state. The layout of the text that was read does not matter."""
    return key.sign(_DOMAIN, [state_text(state).encode()])


def state_text(state: State, key: PlanKey | None = None) -> str:
    """Return the text of a state, signed if there is a key; equal states have equal texts."""
    fields = {"format": STATE_FORMAT, **to_builtins(state)}
    for name in ("foreign", "commits"):
        if not fields[name]:
            del fields[name]  # an older state lacks it, and its signature must still fit
    if key:
        fields["signature"] = signature_of(state, key)
    lines = (f'  "{name}": {_written(fields[name])}' for name in sorted(fields))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _written(value: object) -> str:
    """Return a value as JSON. In a tuple of records, each record has its own line."""
    if not isinstance(value, tuple) or not value:
        return _encode(value)
    return "[\n    " + ",\n    ".join(map(_encode, value)) + "\n  ]"


def _parse(text: str, path: str) -> dict[str, Any]:
    try:
        document = parse_json(text)
    except json.JSONDecodeError as error:
        raise StateError(_syntax_problem(text, path, error)) from None
    if not isinstance(document, dict):
        raise InvalidDocument("not a state of hooksync: not a JSON object")
    found = str(document.get("format", ""))
    if found == STATE_FORMAT:
        return document
    what = f"its format is {quoted(found)}, and this hooksync reads {STATE_FORMAT}"
    if found.startswith("hooksync.state/") and found > STATE_FORMAT:
        raise NewerDocument(f"a newer hooksync wrote it: {what}")
    raise InvalidDocument(what)


def _syntax_problem(text: str, path: str, error: json.JSONDecodeError) -> Problem:
    """Explain why a text is not JSON."""
    conflict = _CONFLICT.search(text)
    if conflict is None:
        where = Location(path, error.lineno, error.colno)
        return Problem("the state is not JSON", _WAY_OUT, where)
    where = Location(path, text.count("\n", 0, conflict.start()) + 1, 1)
    fix = (
        f"during the merge, `git checkout --ours {shlex.quote(path)}` or `--theirs` keeps one"
        " version whole; after it, restore the file from an earlier commit"
    )
    return Problem("the state contains a merge conflict of Git", fix, where)


def _check_whole(state: State) -> None:
    """Check what a schema cannot: that records are unique, and that their salts exist.

    No record may have a run number above the serial.
    """
    _check_once("salts", state.salts, "id")
    salts = state.salts_by_id()
    for record in state.records():
        if (record.salt or record.fingerprint) and record.salt not in salts:
            raise InvalidDocument(
                f"the salt of {quoted(record.address)} is missing: {quoted(record.salt)}"
            )
        if record.run > state.serial:
            raise InvalidDocument(
                f"{quoted(record.address)} is of run {record.run}, and the serial is {state.serial}"
            )
    _check_once("entries", state.entries, "server", "tenant", "id")
    _check_once("attempts", state.attempts, "server", "tenant", "declared", "run")


def _check_once(kind: str, records: Iterable[Record], *names: str) -> None:
    seen = set()
    for record in records:
        key = tuple(str(getattr(record, name)) for name in names)
        if key in seen:
            raise InvalidDocument(f"two {kind} for {' '.join(map(quoted, key))}")
        seen.add(key)


class Inspected(Record, frozen=True):
    """A state that was read, and the problems that forbid its use or its replacement."""

    state: State | None
    error: Problem | None = None  # why no run may use it
    against_writing: Problem | None = None  # why no run may replace it

    def trusted(self, *, writes: bool = False) -> State | None:
        """Return the state.

        Raises StateError if no run may use it. With `writes`, also if no run may replace it.
        """
        problem = self.error
        if writes:
            problem = problem or self.against_writing
        if problem:
            raise StateError(problem)
        return self.state


class Integrity(Record, frozen=True):
    """Verifies the signatures of states."""

    key: PlanKey | None = None
    output: Output = field(default_factory=Output)  # writes states, and knows what none may contain

    def inspect(self, text: str | None, where: str) -> Inspected:
        """Read a state. `text`: None if there is none. Raises StateError if it cannot be read."""
        if text is None:
            return Inspected(None)
        state, signature = read_signed(text, where)
        if not self.key:
            what = (
                f"the state {where} is signed, and would lose its signature: {KEY_VARIABLE} is not"
                " set"
            )
            lost = Problem(what, f"set {KEY_VARIABLE} to the key that it was signed with")
            return Inspected(state, against_writing=lost if signature else None)
        if signature is None:
            what = f"the state {where} is not signed, and {KEY_VARIABLE} is set"
        elif is_same(signature, signature_of(state, self.key)):
            return Inspected(state)
        else:
            what = (
                f"the signature of the state {where} does not fit {KEY_VARIABLE}: somebody changed"
                " it, or it was signed with a different key"
            )
        return Inspected(state, Problem(what, _SIGN_FIX))
