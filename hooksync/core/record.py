"""The base of all nouns: frozen records whose repr shows nothing that may be secret.

msgspec's Struct rather than a frozen dataclass: a plan loads some eighty of these types, and making
one at import costs a hundredth. A field that may hold a secret, a key or foreign text is named in
`HIDDEN`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from msgspec import Struct
from msgspec import convert as convert
from msgspec import field as field
from msgspec import to_builtins as to_builtins
from msgspec.structs import asdict as asdict
from msgspec.structs import force_setattr as force_setattr
from msgspec.structs import replace as replace


class Record(Struct, frozen=True):
    """An immutable value, equal to another with the same fields."""

    HIDDEN: ClassVar[tuple[str, ...]] = ()  # fields that the repr leaves out

    def __repr__(self) -> str:
        shown = (
            f"{name}={getattr(self, name)!r}"
            for name in self.__struct_fields__
            if name not in self.HIDDEN
        )
        return f"{type(self).__name__}({', '.join(shown)})"


def fields_of(kind: type[Record], holder: Record) -> dict[str, Any]:
    """Give the fields that a record has from one of its bases."""
    return {name: getattr(holder, name) for name in kind.__struct_fields__}


def given_fields(kind: type[Record], data: Mapping[str, Any]) -> dict[str, Any]:
    """Take the fields of a record that data have, as they are; the others get their defaults."""
    return {name: data[name] for name in kind.__struct_fields__ if name in data}
