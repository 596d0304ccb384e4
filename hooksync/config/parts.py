"""One hooks file's plain data, which fits the schema -> what it says of each tenancy. Pure.

Rules about one subscription and its defaults are kept here; those between subscriptions, tenancies and files in
`merge` and `rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from hooksync.config.declarations import Settings, SubscriptionDeclaration
from hooksync.config.reader import FileReader
from hooksync.config.rules import url_problem
from hooksync.config.settings import has_settings, read_settings
from hooksync.config.triggers import TriggerCatalog
from hooksync.config.yaml_nodes import YamlList, YamlMap
from hooksync.core.model import Location, PlainFields, SecretRef, Trigger
from hooksync.core.record import Record
from hooksync.core.urls import outline

_ADD_TRIGGER = "add trigger: INDEXED (or another), here or under defaults"
_ADD_REFERENCE = "add secret: {env: NAME} or {file: PATH}, here or under defaults"
_MISSING = SecretRef("env", "")  # in place of a secret that is missing: a problem, so the entry goes no further


class TenancyPart(Record, frozen=True):
    """What one file says of one tenancy."""

    name: str
    settings: Settings | None  # None: they stand elsewhere, or nowhere
    subscriptions: tuple[SubscriptionDeclaration, ...] | None  # None: not a word of any
    location: Location


class _Defaults(Record, frozen=True):
    """What the subscriptions of a file have unless they say otherwise."""

    triggers: tuple[Trigger, ...] | None = None
    secret: SecretRef | None = None
    plain: Mapping[str, Any] = {}  # those of PlainFields that are given


def read_parts(reading: FileReader, data: YamlMap, book: TriggerCatalog) -> tuple[TenancyPart, ...]:
    """Read one file. What is wrong is noted; what was read then serves only to find more that is."""
    reader = _SubscriptionReader(reading, book)
    reader.take_defaults(cast(YamlMap, data.get("defaults") or YamlMap()))
    tenancies = cast(YamlMap, data.get("tenancies") or YamlMap())
    return tuple(_part(reader, tenancies, name) for name in tenancies)


def _part(reader: _SubscriptionReader, tenancies: YamlMap, name: str) -> TenancyPart:
    fields = cast(YamlMap, tenancies[name])
    return TenancyPart(
        name=name,
        settings=read_settings(reader.reading, fields) if has_settings(fields) else None,
        subscriptions=reader.read_all(cast(YamlMap, fields["subscriptions"])) if "subscriptions" in fields else None,
        location=reader.reading.at(tenancies.key_mark(name)),
    )


def _plain_fields(fields: YamlMap) -> dict[str, Any]:
    return {name: fields[name] for name in PlainFields.__struct_fields__ if name in fields}


class _SubscriptionReader:
    """Reads the subscriptions of one file."""

    def __init__(self, reading: FileReader, book: TriggerCatalog) -> None:
        self.reading = reading
        self._book = book
        self._defaults = _Defaults()
        self._known: dict[tuple[object, ...], tuple[Trigger, ...]] = {}  # lists of triggers that were fine before

    def take_defaults(self, fields: YamlMap) -> None:
        """Read the defaults that count from here on."""
        self._defaults = _Defaults(
            triggers=self._triggers(fields),
            secret=self.reading.reference(fields, "secret"),
            plain=_plain_fields(fields),
        )

    def read_all(self, subscriptions: YamlMap) -> tuple[SubscriptionDeclaration, ...]:
        """Read subscriptions by name."""
        entries = (self._read(subscriptions, name) for name in subscriptions)
        return tuple(entry for entry in entries if entry)

    def _read(self, subscriptions: YamlMap, name: str) -> SubscriptionDeclaration | None:
        fields = cast(YamlMap, subscriptions[name])
        where = self.reading.at(subscriptions.key_mark(name))
        triggers = self._triggers(fields)
        if triggers is None:
            triggers = self._defaults.triggers
        secret = self.reading.reference(fields, "secret") or self._defaults.secret
        if triggers is None:
            self.reading.note(f'"{name}" has no trigger', _ADD_TRIGGER, where)
        if secret is None:
            self.reading.note(f'"{name}" has no secret', _ADD_REFERENCE, where)
        url = self.reading.text(fields, "url")
        if url is None:
            return None
        if problem := url_problem(outline(url.template), "the URL", url.location):
            self.reading.add(problem)
            return None
        plain = {**self._defaults.plain, **_plain_fields(fields)}
        return SubscriptionDeclaration(name, url, triggers or (), secret or _MISSING, where, **plain)

    def _triggers(self, fields: YamlMap) -> tuple[Trigger, ...] | None:
        """Read `trigger` or `triggers`. None: neither is there."""
        if "triggers" in fields:
            names = cast(YamlList, fields["triggers"])
            return self._known.get(tuple(names)) or self._check(
                names, [self.reading.at(names.item_mark(index)) for index in range(len(names))]
            )
        if "trigger" in fields:
            name = fields["trigger"]
            return self._known.get((name,)) or self._check([name], [self.reading.at(fields.value_mark("trigger"))])
        return None

    def _check(self, names: list[object], places: list[Location]) -> tuple[Trigger, ...]:
        """Look names up, and note those that are unknown or there twice."""
        noted = len(self.reading.problems)
        found: dict[Trigger, str] = {}
        for name, where in zip(cast(list[str], names), places, strict=True):
            trigger = self._book.find(name)
            if trigger is None:
                self.reading.note(f'unknown trigger "{name}"', self._book.advice(name), where)
            elif trigger in found:
                same = "" if found[trigger] == name else f' ("{found[trigger]}" is the same)'
                self.reading.note(f'trigger "{name}" is here twice{same}', "keep one of the two", where)
            else:
                found[trigger] = name
        if len(self.reading.problems) == noted:
            self._known[tuple(names)] = tuple(found)
        return tuple(found)
