"""Convert a state to its JSON text (`hooksync.state/1`) and back, and verify its signature.

A text with any fault is an error, never a state. `schemas/state.schema.json` describes the format.
The order is always the same, so that Git can show changes.
A state is signed if the run has a key.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from typing import Any

from hooksync.core.errors import InvalidDocument, Problem, StateError
from hooksync.core.model import KEY_VARIABLE, Location
from hooksync.core.record import convert, to_builtins
from hooksync.core.schema import is_certain_to_fit, quoted
from hooksync.core.signing import PlanKey, is_same, parse_json
from hooksync.state.model import State

STATE_FORMAT = "hooksync.state/1"
_DOMAIN = b"hooksync.state/1 signature\n"

_WAY_OUT = (
    "if a newer hooksync wrote it, upgrade; otherwise restore an earlier one, from its history or a"
    " backup; or delete it: then apply with `--adopt` if the receivers work, otherwise with"
    " `--replace`; a moved URL is not recognised"
)

_BY_HAND = "`hooksync state pull > FILE`, then `hooksync state push FILE`"
_CONFLICT_FIX = (
    "during the merge, `git checkout --ours {path}` or `--theirs` keeps one version whole; after"
    " it, restore the file from an earlier commit"
)
_SIGN_FIX = f"look at it with `hooksync state show`; if it is right, sign it: {_BY_HAND}"


def read_state(text: str, path: str) -> State:
    """Read a state, with its signature, which is not verified. `path`: for messages.

    Raises StateError for anything but a complete state in this format. An unknown field is an
    error, because it would be lost when hooksync writes the state again.
    """
    try:
        document = _parse(text, path)
        if not is_certain_to_fit("state", document):
            raise InvalidDocument(f"a field is not valid in {STATE_FORMAT}, or not known")
        state = convert(document, State)
        _check_records(state)
    except InvalidDocument as error:
        raise StateError(Problem(f"{path}: {error}", _WAY_OUT)) from None
    return state


def signature_of(state: State, key: PlanKey) -> str:
    """Return the signature of a state. The layout of the text that was read does not matter."""
    return key.sign(_DOMAIN, [state_text(state).encode()])


def state_text(state: State, key: PlanKey | None = None) -> str:
    """Return the text of a state, signed if there is a key; equal states have equal texts."""
    fields = {"format": STATE_FORMAT, **to_builtins(state)}
    del fields["signature"]
    if key:
        fields["signature"] = signature_of(state, key)
    return json.dumps(fields, sort_keys=True, indent=1) + "\n"


def reason_against(
    state: State, where: str, key: PlanKey | None, *, writes: bool = False
) -> Problem | None:
    """Return why no run may use a state, by its signature. `writes`: or why none may replace it."""
    if not key:
        what = (
            f"the state {where} is signed, and would lose its signature: {KEY_VARIABLE} is not set"
        )
        lost = Problem(what, f"set {KEY_VARIABLE} to the key that it was signed with")
        return lost if writes and state.signature else None
    if state.signature is None:
        return Problem(f"the state {where} is not signed, and {KEY_VARIABLE} is set", _SIGN_FIX)
    if is_same(state.signature, signature_of(state, key)):
        return None
    why = "somebody changed it, or it was signed with a different key"
    what = f"the signature of the state {where} does not fit {KEY_VARIABLE}: {why}"
    return Problem(what, _SIGN_FIX)


def _parse(text: str, path: str) -> dict[str, Any]:
    """Parse JSON. Raises StateError with the line and column of a mistake."""
    try:
        document = parse_json(text)
    except json.JSONDecodeError as error:
        where = Location(path, error.lineno, error.colno)
        problem = Problem("the state is not JSON", _WAY_OUT, where)
        if text.startswith("<<<<<<<", error.pos):
            fix = _CONFLICT_FIX.format(path=shlex.quote(path))
            problem = Problem("the state contains a merge conflict of Git", fix, where)
        raise StateError(problem) from None
    if not isinstance(document, dict):
        raise InvalidDocument("not a state of hooksync: not a JSON object")
    found = str(document.get("format", ""))
    if found != STATE_FORMAT:
        what = f"its format is {quoted(found)}, and this hooksync reads {STATE_FORMAT}"
        raise InvalidDocument(what)
    return document


def _check_records(state: State) -> None:
    """Check what a schema cannot: that no two records are the same, and that all salts exist."""
    _check_different("salts", [salt.id for salt in state.salts])
    _check_different("tenancies", [str(records.key) for records in state.tenancies])
    for records in state.tenancies:
        _check_different("entries", [entry.id for entry in records.entries])
        attempts = [f"{attempt.identity}, run {attempt.run}" for attempt in records.attempts]
        _check_different("attempts", attempts)
    for records in state.tenancies:
        for record in records.subscriptions:
            if record.salt not in state.salts_by_id:
                name = quoted(record.address)
                raise InvalidDocument(f"the salt of {name} is missing: {quoted(record.salt)}")


def _check_different(kind: str, names: list[str]) -> None:
    """Raise InvalidDocument if two of the names are equal."""
    for name, number in Counter(names).items():
        if number > 1:
            raise InvalidDocument(f"two {kind} for {quoted(name)}")
