"""The records of a state <-> plain data, each field checked by hand: a schema takes seconds for ten thousand. Pure.

What it says of a wrong field names its place and not its value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container
from typing import TypeVar, cast

from hooksync.state.model import DIGEST_BYTES, SALT_BYTES, Intent, Salt, StateEntry

T = TypeVar("T")
Fields = dict[str, object]

LARGEST_RUN = 2**53 - 1  # beyond it, readers of JSON disagree

_RUNS = range(1, LARGEST_RUN + 1)
_COSTS_R = range(2, 9)  # of scrypt; more would let a state eat the memory, less is not defined for every n
_COSTS_P = range(1, 5)
_COSTS_N = frozenset(2**power for power in range(10, 18))
_HEX = re.compile("[0-9a-f]*")
_LONGEST_QUOTE = 80  # characters


class Wrong(Exception):
    """What is wrong with a state, without its path."""


def salt_of(name: str, item: object) -> Salt:
    """Read a salt and its cost. A cost out of range is refused before anything is spent on it."""
    where = f"salts[{quoted(name)}]"
    fields = as_object(item, where)
    if not name:
        raise Wrong(f"{where}: a salt needs a name")
    n = number(fields, "n", where, _COSTS_N)
    r, p = number(fields, "r", where, _COSTS_R), number(fields, "p", where, _COSTS_P)
    return Salt(name, data(fields, "salt", where, SALT_BYTES), n, r, p)


def salt_fields(salt: Salt) -> Fields:
    """Write a salt, its name aside."""
    return {"salt": salt.salt.hex(), "n": salt.n, "r": salt.r, "p": salt.p}


def entry_of(item: object, where: str) -> StateEntry:
    """Read an entry."""
    fields = as_object(item, where)
    return StateEntry(
        tenancy=_text(fields, "tenancy", where),
        id=_text(fields, "id", where),
        address=_text(fields, "address", where),
        run=number(fields, "run", where, _RUNS),
        salt=_text(fields, "salt", where),
        fingerprint=data(fields, "fingerprint", where, DIGEST_BYTES),
        declared=data(fields, "declared", where, DIGEST_BYTES),
    )


def entry_fields(entry: StateEntry) -> Fields:
    """Write an entry."""
    return {**_common_fields(entry), "id": entry.id}


def intent_of(item: object, where: str) -> Intent:
    """Read an intent."""
    fields = as_object(item, where)
    seen = as_list(fields, "seen", where)
    if not all(isinstance(identifier, str) and identifier for identifier in seen):
        raise Wrong(f"{where}.seen must hold ids")
    return Intent(
        tenancy=_text(fields, "tenancy", where),
        address=_text(fields, "address", where),
        run=number(fields, "run", where, _RUNS),
        salt=_text(fields, "salt", where),
        fingerprint=data(fields, "fingerprint", where, DIGEST_BYTES),
        declared=data(fields, "declared", where, DIGEST_BYTES),
        seen=tuple(cast("list[str]", seen)),
    )


def intent_fields(intent: Intent) -> Fields:
    """Write an intent."""
    return {**_common_fields(intent), "seen": list(intent.seen)}


def read_all(fields: Fields, name: str, read: Callable[[object, str], T]) -> tuple[T, ...]:
    """Read a list of records."""
    return tuple(read(item, f"{name}[{index}]") for index, item in enumerate(as_list(fields, name, "the state")))


def as_object(item: object, where: str) -> Fields:
    """Take an object."""
    if not isinstance(item, dict):
        raise Wrong(f"{where} must be an object")
    return item


def as_list(fields: Fields, name: str, where: str) -> list[object]:
    """Take a list."""
    value = fields.get(name)
    if not isinstance(value, list):
        raise Wrong(f"{where}: {_missing_or(fields, name, 'must be a list')}")
    return value


def number(fields: Fields, name: str, where: str, allowed: Container[object]) -> int:
    """Take an integer; true and 1.0 are none."""
    value = fields.get(name)
    if type(value) is not int or value not in allowed:
        raise Wrong(f"{where}: {_missing_or(fields, name, 'is not a number that may stand here')}")
    return value


def data(fields: Fields, name: str, where: str, length: int) -> bytes:
    """Take bytes, written as lower-case hexadecimal digits."""
    value = fields.get(name)
    if not isinstance(value, str) or len(value) != 2 * length or not _HEX.fullmatch(value):
        raise Wrong(f"{where}: {_missing_or(fields, name, f'must be {2 * length} digits of 0-9 and a-f')}")
    return bytes.fromhex(value)


def quoted(text: object) -> str:
    """Show foreign text in a message: nothing in it can move a cursor, and it is cut."""
    shown = json.dumps(text)
    return shown if len(shown) <= _LONGEST_QUOTE else f'{shown[:_LONGEST_QUOTE]}..."'


def _common_fields(each: StateEntry | Intent) -> Fields:
    return {
        "tenancy": each.tenancy,
        "address": each.address,
        "run": each.run,
        "salt": each.salt,
        "fingerprint": each.fingerprint.hex(),
        "declared": each.declared.hex(),
    }


def _text(fields: Fields, name: str, where: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise Wrong(f"{where}: {_missing_or(fields, name, 'must be text')}")
    return value


def _missing_or(fields: Fields, name: str, otherwise: str) -> str:
    return f"{name} {otherwise}" if name in fields else f"{name} is missing"
