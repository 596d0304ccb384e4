"""The base of all nouns: frozen records whose repr shows nothing that may be secret.

msgspec's Struct rather than a frozen dataclass: a plan loads some eighty of these types, and making one at import costs
a hundredth. A field that may hold a secret, a key or foreign text is named in `HIDDEN`.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct, field
from msgspec.structs import asdict, force_setattr, replace

__all__ = ["Record", "asdict", "field", "force_setattr", "replace"]


class Record(Struct, frozen=True):
    """An immutable value, equal to another with the same fields."""

    HIDDEN: ClassVar[tuple[str, ...]] = ()  # fields that the repr leaves out

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name not in self.HIDDEN)
        return f"{type(self).__name__}({', '.join(shown)})"
