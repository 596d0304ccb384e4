"""A state <-> its JSON text, format `hooksync.state/1`. A text with anything wrong is an error, never a state.

`schemas/state.schema.json` describes it, and a text is checked by it. An entry takes one line and the order is always
the same, so that Git can show and merge changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from hooksync.core.errors import FileError, InvalidDocument, Problem
from hooksync.core.model import Location
from hooksync.core.record import convert, to_builtins
from hooksync.core.schema import check_document, quoted
from hooksync.core.signing import PlanKey, parse_json
from hooksync.state.model import Intent, State, StateEntry

STATE_FORMAT = "hooksync.state/1"
_DOMAIN = b"hooksync.state/1 signature\n"

_WAY_OUT = (
    "restore an earlier one, from its history or a backup; or delete it: then a changed secret is not noticed"
    " until `hooksync apply --adopt`"
)
_CONFLICT = re.compile(r"^(?:<{7}|\|{7}|={7}|>{7})(?: |\r?$)", re.MULTILINE)
_FORMAT = re.compile(r"hooksync\.([a-z]{1,20})/([0-9]{1,20})")

_encode = json.JSONEncoder(sort_keys=True).encode


def read_state(text: str, path: str) -> State:
    """Read a state, whether or not it is signed. Raises FileError for anything but a whole state of this format."""
    return read_signed(text, path)[0]


def read_signed(text: str, path: str) -> tuple[State, str | None]:
    """Read a state and its signature, which is not verified. Raises FileError as `read_state`.

    `path`: for messages. A field that this version does not know is an error: written again, it would be lost.
    """
    try:
        document = _parse(text, path)
        _check_format(document)
        fields = check_document("state", document)
        state = convert(fields, State)
        _check_whole(state)
    except InvalidDocument as error:
        raise FileError(Problem(f"{path}: {error}", _WAY_OUT)) from None
    return state, fields.get("signature")


def signature_of(state: State, key: PlanKey) -> str:
    """Sign a state, however its text was laid out."""
    return key.sign(_DOMAIN, [state_text(state)])


def state_text(state: State, key: PlanKey | None = None) -> str:
    """Write a state, signed where there is a key; the same state always gives the same text, of which it is made."""
    fields = {"format": STATE_FORMAT, **to_builtins(state), **({"signature": signature_of(state, key)} if key else {})}
    return "{\n" + ",\n".join(f'  "{name}": {_written(fields[name])}' for name in sorted(fields)) + "\n}\n"


def _written(value: object) -> str:
    """Write a value; of several records, each on a line of its own."""
    if not isinstance(value, tuple) or not value:
        return _encode(value)
    return "[\n    " + ",\n    ".join(map(_encode, value)) + "\n  ]"


def _parse(text: str, path: str) -> dict[str, Any]:
    try:
        document = parse_json(text)
    except json.JSONDecodeError as error:
        _raise_unparsed(text, path, error)
    if not isinstance(document, dict):
        raise InvalidDocument("not a state of hooksync: not a JSON object")
    return document


def _raise_unparsed(text: str, path: str, error: json.JSONDecodeError) -> NoReturn:
    if not text.strip():
        raise InvalidDocument("the state is empty")
    if conflict := _CONFLICT.search(text):
        fix = (
            "take one side as a whole, with `git checkout --ours` or `--theirs`: what only the other side knew is"
            " unknown then, until `hooksync apply --adopt`"
        )
        where = Location(path, text.count("\n", 0, conflict.start()) + 1, 1)
        raise FileError(Problem("the state has conflict markers of a merge", fix, where))
    what = f"the state is not JSON: {error.msg[:1].lower()}{error.msg[1:]}"
    raise FileError(Problem(what, _WAY_OUT, Location(path, error.lineno, error.colno)))


def _check_format(document: Mapping[str, Any]) -> None:
    found = document.get("format")
    if found == STATE_FORMAT:
        return
    parts = _FORMAT.fullmatch(found) if isinstance(found, str) else None
    if parts is None:
        raise InvalidDocument(f"not a state of hooksync: its format is not {STATE_FORMAT}")
    if parts[1] != "state":
        raise InvalidDocument(f"not a state of hooksync but a {parts[1]}")
    if int(parts[2]) < 2:
        raise InvalidDocument(f"its format {parts[0]} is unknown: hooksync reads {STATE_FORMAT}")
    raise InvalidDocument(
        f"a newer hooksync wrote it, in the format {parts[0]}: install that, this one reads {STATE_FORMAT}"
    )


def _check_whole(state: State) -> None:
    """Check what a schema cannot: each record is there once, and names a salt that exists and a run that has begun."""
    _check_once("salts", ((salt.id,) for salt in state.salts))
    salts = state.salts_by_id()
    records: tuple[StateEntry | Intent, ...] = (*state.entries, *state.intents)
    for each in records:
        if each.salt not in salts:
            raise InvalidDocument(f"the salt of {quoted(each.address)} is missing: {quoted(each.salt)}")
        if each.run > state.last_run:
            raise InvalidDocument(f"{quoted(each.address)} is of run {each.run}, and last_run is {state.last_run}")
    _check_once("entries", ((entry.tenancy, entry.id) for entry in state.entries))
    _check_once("removed", ((each.tenancy, each.id) for each in state.removed))
    _check_once("intents", ((intent.tenancy, intent.address, str(intent.run)) for intent in state.intents))


def _check_once(kind: str, keys: Iterable[tuple[str, ...]]) -> None:
    seen: set[tuple[str, ...]] = set()
    for key in keys:
        if key in seen:
            raise InvalidDocument(f"two {kind} for {' '.join(map(quoted, key))}")
        seen.add(key)
