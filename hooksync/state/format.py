"""Convert a state to its JSON text (`hooksync.state/1`) and back, and verify its signature.

A text with any fault is an error, never a state. `schemas/state.schema.json` describes the format.
The order is always the same, so that Git can show changes.
A state is signed if the run has a key.
"""

from __future__ import annotations

import json
from collections import Counter
from shlex import quote

from hooksync.core.errors import InvalidDocument, Problem, StateError
from hooksync.core.record import convert, to_builtins
from hooksync.core.schema import is_certain_to_fit, quoted
from hooksync.core.signing import PlanKey, parse_document, signature_problem
from hooksync.state.contract import Store
from hooksync.state.model import State

STATE_FORMAT = "hooksync.state/1"
_DOMAIN = b"hooksync.state/1 signature\n"

_WAY_OUT = (
    "if a newer hooksync wrote it, upgrade; otherwise restore an earlier one, from its history or a"
    " backup; or delete it: then apply with `--adopt` if the receivers work, otherwise with"
    " `--replace`; a moved URL is not recognised"
)

_SIGN_FIX = (
    "look at it with `hooksync state show --state {0}`; if it is right, sign it: `hooksync state"
    " pull --state {0} > FILE`, then `hooksync state push FILE --state {0}`"
)


def read_state(text: str, path: str) -> State:
    """Read a state, with its signature, which is not verified. `path`: for messages.

    Raises StateError for anything but a complete state in this format. An unknown field is an
    error, because it would be lost when hooksync writes the state again.
    """
    try:
        document = parse_document(text, STATE_FORMAT)
        if not is_certain_to_fit("state", document):
            raise InvalidDocument(f"a field is not valid in {STATE_FORMAT}, or not known")
        state = convert(document, State)
        _check_records(state)
    except InvalidDocument as error:
        raise StateError(f"{path}: {error}", _WAY_OUT) from None
    return state


def signature_of(state: State, key: PlanKey) -> str:
    """Return the signature of a state. The layout of the text that was read does not matter."""
    return key.sign(_DOMAIN, state_text(state).encode())


def state_text(state: State, key: PlanKey | None = None) -> str:
    """Return the text of a state, signed if there is a key; equal states have equal texts."""
    fields = {"format": STATE_FORMAT, **to_builtins(state)}
    del fields["signature"]
    if key:
        fields["signature"] = signature_of(state, key)
    return json.dumps(fields, sort_keys=True, indent=1) + "\n"


def reason_against(state: State, store: Store, *, writes: bool = False) -> Problem | None:
    """Return why no run may use a state, by its signature. `writes`: or why none may replace it."""
    if not store.key and not writes:
        return None
    computed = signature_of(state, store.key) if store.key else None
    fix = _SIGN_FIX.format(quote(store.where))
    return signature_problem(f"the state {store.where}", state.signature, computed, fix)


def _check_records(state: State) -> None:
    """Check what a schema cannot: that no two records are the same, and that all salts exist."""
    salts = state.salts_by_id
    names = [f"salt {salt.id}" for salt in state.salts]
    for records in state.tenancies:
        key = records.key
        names.append(f"tenancy {key}")
        names += [f"entry {entry.id} of {key}" for entry in records.entries]
        names += [
            f"attempt {item.identity} of {key}, run {item.run_number}" for item in records.attempts
        ]
        for record in records.subscriptions:
            if record.salt not in salts:
                name = quoted(record.address)
                raise InvalidDocument(f"the salt of {name} is missing: {quoted(record.salt)}")
    for name in Counter(names) - Counter(set(names)):
        raise InvalidDocument(f"two records for {quoted(name)}")
