"""The base class of the data types: frozen records whose repr shows nothing that may be secret.

It is msgspec's Struct: `plan` imports some eighty of these types, and a frozen dataclass takes a
hundred times as long to create.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, dataclass_transform

from msgspec import UNSET as UNSET
from msgspec import Meta as Meta
from msgspec import Struct
from msgspec import UnsetType as UnsetType
from msgspec import ValidationError as ValidationError
from msgspec import convert as convert
from msgspec import field as field
from msgspec import to_builtins as to_builtins
from msgspec.structs import asdict as asdict
from msgspec.structs import force_setattr as force_setattr
from msgspec.structs import replace as replace

# names of fields that may hold a secret or a key: no repr shows them
HIDDEN_FIELDS = {
    "body",
    "context",
    "continuation",
    "data",
    "environ",
    "fingerprint",
    "headers",
    "identity",
    "query",
    "receipt",
    "refresh_token",
    "salt",
    "signature",
    "state",
    "tag",
    "token",
    "url",
    "url_salt",
    "value",
    "works",
}


# every subclass is frozen, too; this makes type checkers aware of it
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Record(Struct, frozen=True):
    """An immutable value; two of one type are equal if all their fields are."""

    def __repr__(self) -> str:
        shown = (
            f"{name}={getattr(self, name)!r}"
            for name in self.__struct_fields__
            if name not in HIDDEN_FIELDS
        )
        return f"{type(self).__name__}({', '.join(shown)})"


class Shown:
    """A value that JSON contains only in the form that may be shown.

    Two of one type are equal if their identities are.
    """

    __slots__ = ()

    identity: object  # what the value is, without the ways in which it can be written

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.to_json()!r})"

    def to_json(self) -> object:
        """Return the form that may be shown, as JSON data."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Make the value from the form that was shown."""
        raise NotImplementedError


def show(value: object) -> object:
    """Return what msgspec writes for a value that it does not know."""
    if isinstance(value, Shown):
        return value.to_json()
    raise NotImplementedError(f"{type(value).__name__} has no form that may be shown")


def read_shown(kind: type[Shown], data: object) -> Shown:
    """Return the value that msgspec reads for a type that it does not know."""
    return kind.from_json(data)


def fields_of(kind: type[Record], holder: Record) -> dict[str, Any]:
    """Return the fields of a record that its base class `kind` has, with their values."""
    return {name: getattr(holder, name) for name in kind.__struct_fields__}


def given_fields(kind: type[Record], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the type `kind` that `data` contains, with their values."""
    return {name: data[name] for name in kind.__struct_fields__ if name in data}
