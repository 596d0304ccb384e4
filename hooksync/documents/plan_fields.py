"""The records of a saved plan: plain data -> what it names, each field checked by hand. Pure.

A saved plan is untrusted: what it says of a wrong field names its place and not its value, and no text that could
steer a terminal comes through.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar, cast

from hooksync.config.declarations import CredentialsDeclaration, Written
from hooksync.core.model import Location, SecretRef, UnsubscribeLimit
from hooksync.core.record import Record
from hooksync.core.template import parse_template
from hooksync.core.urls import prefix_fault

T = TypeVar("T")
Wants = Callable[[object], bool]

_NAME = re.compile("[A-Za-z0-9_-]+")
_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_TRIGGER = re.compile("[A-Za-z][A-Za-z0-9_]*")
_PLACE = re.compile(r"(?P<file>.+):(?P<line>[1-9][0-9]{0,8}):(?P<column>[1-9][0-9]{0,8})")


class Wrong(Exception):
    """What is wrong with a saved plan, without its path."""


class PlanRecord(Record, frozen=True):
    """An object of the document, and where it stands."""

    fields: Mapping[str, object]
    where: str
    file: str  # the plan, for places that it does not tell

    def text(self, name: str) -> str:
        """Take a line of text that is not empty."""
        return cast(str, self._take(name, is_line, "a line of text"))

    def foreign_text(self, name: str) -> str:
        """Take text of the service's; it is made fit to be shown where it is shown."""
        return cast(str, self._take(name, lambda value: isinstance(value, str), "text"))

    def maybe_text(self, name: str) -> str | None:
        """Take a line of text, or null."""
        return cast("str | None", self._take(name, lambda value: value is None or is_line(value), "text or null"))

    def flag(self, name: str, default: bool | None = None) -> bool:
        """Take a truth; `default` stands where the field is missing."""
        if default is not None and name not in self.fields:
            return default
        return cast(bool, self._take(name, lambda value: isinstance(value, bool), "true or false"))

    def choice(self, name: str, choices: Sequence[T]) -> T:
        """Take one of several texts."""
        wants = lambda value: isinstance(value, str) and value in cast("Sequence[str]", choices)  # noqa: E731
        return cast(T, self._take(name, wants, f"one of {', '.join(map(str, choices))}"))

    def name(self, name: str) -> str:
        """Take a name of the hooks file."""
        return cast(str, self._take(name, _matches(_NAME), "a name of letters, digits, - and _"))

    def trigger(self, name: str) -> str:
        """Take the name of a trigger."""
        return cast(str, self._take(name, _matches(_TRIGGER), "the name of a trigger"))

    def lines(self, name: str) -> tuple[str, ...]:
        """Take a list of lines of text."""
        return tuple(cast("list[str]", self._take(name, _are_lines, "a list of lines")))

    def record(self, name: str) -> PlanRecord:
        """Take an object."""
        value = cast("dict[str, object]", self._take(name, lambda value: isinstance(value, dict), "an object"))
        return PlanRecord(value, f"{self.where}.{name}", self.file)

    def records(self, name: str) -> tuple[PlanRecord, ...]:
        """Take a list of objects."""
        are = lambda value: isinstance(value, list) and all(isinstance(item, dict) for item in value)  # noqa: E731
        items = cast("list[dict[str, object]]", self._take(name, are, "a list of objects"))
        return tuple(PlanRecord(item, f"{self.where}.{name}[{n}]", self.file) for n, item in enumerate(items))

    def has(self, name: str) -> bool:
        """Tell whether a field is there and not null."""
        return self.fields.get(name) is not None

    def place(self) -> Location:
        """Take the place in a hooks file; where it is missing, that of the plan."""
        found = _PLACE.fullmatch(self.text("place")) if self.has("place") else None
        return Location(found["file"], int(found["line"]), int(found["column"])) if found else Location(self.file, 1, 1)

    def template(self, name: str, where: Location) -> Written:
        """Take a text with references to the environment."""
        try:
            return Written(parse_template(self.text(name)), where)
        except ValueError as error:
            raise Wrong(f"{self.where}: {name} has {error}") from None

    def _take(self, name: str, wants: Wants, wanted: str) -> object:
        value = self.fields.get(name)
        if not wants(value):
            state = f"must be {wanted}" if name in self.fields else "is missing"
            raise Wrong(f"{self.where}: {name} {state}")
        return value


def reference(record: PlanRecord, where: Location) -> SecretRef:
    """Read `{"env": NAME}` or `{"file": PATH}`; the path starts at the current folder."""
    if len(record.fields) != 1 or not record.fields.keys() <= {"env", "file"}:
        raise Wrong(f"{record.where} must be {{env: NAME}} or {{file: PATH}}")
    kind = cast('Literal["env", "file"]', next(iter(record.fields)))
    name = record.text(kind)
    if kind == "env" and not _VARIABLE.fullmatch(name):
        raise Wrong(f"{record.where} names no environment variable")
    return SecretRef(kind, name, where)


def credentials(record: PlanRecord, where: Location) -> CredentialsDeclaration:
    """Read how to log in."""
    return CredentialsDeclaration(
        username=reference(record.record("username"), where),
        password=reference(record.record("password"), where),
        totp=reference(record.record("totp"), where),
        method=record.choice("method", ("password", "external")),
    )


def limit(record: PlanRecord) -> UnsubscribeLimit:
    """Read `{"percent": 50, "number": null}`, of which one is set."""
    percent, number = record.fields.get("percent"), record.fields.get("number")
    if type(percent) in (int, float) and number is None and 0 <= cast(float, percent) <= 100:
        return UnsubscribeLimit(percent=float(cast(float, percent)))
    if type(number) is int and percent is None and number >= 0:
        return UnsubscribeLimit(number=number)
    raise Wrong(f"{record.where} must be a share of 0 to 100, or a number")


def owns(record: PlanRecord) -> tuple[str, ...] | None:
    """Read URL prefixes, or `all`."""
    if record.fields.get("owns", "all") == "all":
        return None
    prefixes = record.lines("owns")
    if not prefixes:
        raise Wrong(f"{record.where}: owns is empty")
    for prefix in prefixes:
        if fault := prefix_fault(prefix):
            raise Wrong(f"{record.where}: a prefix of owns {fault}")
    return prefixes


def is_line(value: object) -> bool:
    """Tell whether a value is text that is not empty, and can be shown as it is."""
    return isinstance(value, str) and value != "" and value.isprintable()


def _are_lines(value: object) -> bool:
    return isinstance(value, list) and all(map(is_line, value))


def _matches(pattern: re.Pattern[str]) -> Wants:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None
