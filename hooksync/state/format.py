"""A state <-> its JSON text, format `hooksync.state/1`. Pure; a text that is in any doubt is an error, never a state.

`schemas/state.schema.json` describes it. An entry takes one line and the order is always the same, so that Git can show
and merge changes.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NoReturn

from hooksync.core.errors import FileError, Problem
from hooksync.core.model import Location
from hooksync.state.fields import (
    LARGEST_RUN,
    Fields,
    Wrong,
    as_object,
    data,
    entry_fields,
    entry_of,
    intent_fields,
    intent_of,
    number,
    quoted,
    read_all,
    salt_fields,
    salt_of,
)
from hooksync.state.model import SALT_BYTES, Intent, State, StateEntry

STATE_FORMAT = "hooksync.state/1"

_WAY_OUT = (
    "restore it from Git or the CI cache; or delete it: then a changed secret cannot be seen"
    " until `hooksync apply --adopt`"
)
_CONFLICT = re.compile(r"^(?:<{7}|\|{7}|={7}|>{7})(?: |\r?$)", re.MULTILINE)
_FORMAT = re.compile(r"hooksync\.([a-z]{1,20})/[0-9]{1,20}")
_encode = json.JSONEncoder(sort_keys=True).encode


def read_state(text: str, path: str) -> State:
    """Read a state. Raises FileError where it is anything but a whole state of this format.

    `path`: for messages. Fields that this version does not know are passed over.
    """
    try:
        document = _parse(text, path)
        _check_format(document)
        state = State(
            last_run=number(document, "last_run", "the state", range(LARGEST_RUN + 1)),
            url_salt=data(document, "url_salt", "the state", SALT_BYTES),
            salts=tuple(salt_of(name, item) for name, item in as_object(document.get("salts"), "salts").items()),
            entries=read_all(document, "entries", entry_of),
            intents=read_all(document, "intents", intent_of) if "intents" in document else (),
        )
        _check_whole(state)
    except Wrong as wrong:
        raise FileError(Problem(f"{path}: {wrong}", _WAY_OUT)) from None
    return state


def state_text(state: State) -> str:
    """Write a state; the same state always gives the same text."""
    salts = [f"{_encode(salt.id)}: {_encode(salt_fields(salt))}" for salt in state.salts]
    fields = {
        "entries": _block("[]", [_encode(entry_fields(entry)) for entry in state.entries]),
        "format": _encode(STATE_FORMAT),
        "intents": _block("[]", [_encode(intent_fields(intent)) for intent in state.intents]),
        "last_run": _encode(state.last_run),
        "salts": _block("{}", salts),
        "url_salt": _encode(state.url_salt.hex()),
    }
    return "{\n" + ",\n".join(f'  "{name}": {value}' for name, value in fields.items()) + "\n}\n"


def _block(brackets: str, lines: Sequence[str]) -> str:
    """Write records one on a line."""
    if not lines:
        return brackets
    return brackets[0] + "\n    " + ",\n    ".join(lines) + "\n  " + brackets[1]


def _parse(text: str, path: str) -> Fields:
    try:
        document: object = json.loads(text, object_pairs_hook=_without_duplicate_keys)
    except json.JSONDecodeError as error:
        _raise_unparsed(text, path, error)
    except RecursionError:
        raise Wrong("nested too deeply to be a state") from None
    except ValueError:  # Python reads no number of thousands of digits
        raise Wrong("holds a number too long to be read") from None
    if not isinstance(document, dict):
        raise Wrong("not a state of hooksync: not a JSON object")
    return document


def _raise_unparsed(text: str, path: str, error: json.JSONDecodeError) -> NoReturn:
    if not text.strip():
        raise Wrong("the state is empty")
    if conflict := _CONFLICT.search(text):
        fix = (
            "take one side whole, with `git checkout --ours` or `--theirs`: what only the other knew is unknown"
            " then, until `hooksync apply --adopt`"
        )
        where = Location(path, text.count("\n", 0, conflict.start()) + 1, 1)
        raise FileError(Problem("the state has conflict markers of a merge", fix, where))
    what = f"the state is not JSON: {error.msg[:1].lower()}{error.msg[1:]}"
    raise FileError(Problem(what, _WAY_OUT, Location(path, error.lineno, error.colno)))


def _without_duplicate_keys(pairs: list[tuple[str, object]]) -> Fields:
    """Make an object; JSON says nothing about a name that stands twice, a merge gone wrong may write one."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        [(twin, _), *_] = Counter(name for name, _ in pairs).most_common(1)
        raise Wrong(f"{quoted(twin)} stands twice in one object")
    return fields


def _check_format(document: Fields) -> None:
    found = document.get("format")
    if found == STATE_FORMAT:
        return
    parts = _FORMAT.fullmatch(found) if isinstance(found, str) else None
    if parts is None:
        raise Wrong(f"not a state of hooksync: its format is not {STATE_FORMAT}")
    if parts[1] != "state":
        raise Wrong(f"not a state of hooksync but a {parts[1]}")
    raise Wrong(f"a newer hooksync wrote it, in the format {parts[0]}: install that, this one reads {STATE_FORMAT}")


def _check_whole(state: State) -> None:
    """Check what the schema cannot say: each record stands once, names a salt that is there and a run that was."""
    salts = state.salts_by_id()
    records: tuple[StateEntry | Intent, ...] = (*state.entries, *state.intents)
    for each in records:
        if each.salt not in salts:
            raise Wrong(f"the salt of {quoted(each.address)} is missing: {quoted(each.salt)}")
        if each.run > state.last_run:
            raise Wrong(f"{quoted(each.address)} is of run {each.run}, and last_run is {state.last_run}")
    _check_once("entries", ((entry.tenancy, entry.id) for entry in state.entries))
    _check_once("intents", ((intent.tenancy, intent.address, str(intent.run)) for intent in state.intents))


def _check_once(kind: str, keys: Iterable[tuple[str, ...]]) -> None:
    seen: set[tuple[str, ...]] = set()
    for key in keys:
        if key in seen:
            raise Wrong(f"two {kind} for {' '.join(map(quoted, key))}")
        seen.add(key)
