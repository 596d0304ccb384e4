"""The plain data of one hooks file, which fits the schema -> what the file says of each tenancy. Pure.

Rules about one subscription and its defaults are checked here; those between subscriptions, tenancies and files in
`document` and `rules`.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from typing import Any, Literal, cast

from msgspec import Struct

from hooksync.config.declarations import Settings, SubscriptionDeclaration, Written, server_problem, url_problem
from hooksync.config.yaml_nodes import Mark, YamlList, YamlMap
from hooksync.core.errors import Problem
from hooksync.core.model import (
    TRIGGER_NAMES,
    CredentialRefs,
    Location,
    PlainFields,
    PlainSettings,
    SecretRef,
    Trigger,
    UnsubscribeLimit,
)
from hooksync.core.record import Record, field, given_fields
from hooksync.core.template import parse_template
from hooksync.core.urls import outline, prefix_fault


class FileReader(Struct):
    """One hooks file that is being read."""

    file: str  # as the user named it
    folder: str  # that relative paths in it start at
    problems: list[Problem] = field(default_factory=list)

    def at(self, mark: Mark) -> Location:
        """Turn a mark into a place in this file."""
        line, column = mark
        return Location(self.file, line, column)

    def note(self, what: str, fix: str, where: Location) -> None:
        """Add a problem."""
        self.problems.append(Problem(what, fix, where))

    def add(self, problem: Problem | None) -> None:
        """Add a problem, if it is one."""
        if problem:
            self.problems.append(problem)

    def text(self, fields: YamlMap, key: str) -> Written | None:
        """Read a text that may hold `${NAME}`. None: it is not there, or it is malformed, which is noted."""
        if key not in fields:
            return None
        where = self.at(fields.value_mark(key))
        try:
            return Written(parse_template(cast(str, fields[key])), where)
        except ValueError as error:
            self.note(f"{key} has {error}", "write ${NAME}, ${NAME:-default}, or $$ for a dollar", where)
            return None

    def reference(self, fields: YamlMap, key: str) -> SecretRef | None:
        """Read `{env: NAME}` or `{file: PATH}`. None: it is not there."""
        if key not in fields:
            return None
        ((kind, name),) = cast(dict[Literal["env", "file"], str], fields[key]).items()
        base = self.folder if kind == "file" else ""
        return SecretRef(kind, name, self.at(fields.value_mark(key)), base)


_MOST_ADVISED = 100  # names that advice is taken from: comparing a thousand with a thousand takes seconds


class TriggerCatalog:
    """Finds a trigger by any of its names."""

    def __init__(self, extra: Collection[str] = (), *, knows_all: bool = False) -> None:
        """With knows_all, any name is accepted: a file that could not be read may declare it."""
        self._knows_all = knows_all
        usual = (*TRIGGER_NAMES, *TRIGGER_NAMES.values())
        more = sorted(set(extra).difference(usual))
        self._triggers = {name: Trigger.named(name) for name in (*usual, *more)}
        self._shown = (*TRIGGER_NAMES, *more)

    def find(self, name: str) -> Trigger | None:
        """Return the trigger of that name, if there is one."""
        return Trigger.named(name) if self._knows_all else self._triggers.get(name)

    def advice(self, name: str) -> str:
        """Advise on an unknown name: what may have been meant, and which names are known."""
        import difflib  # a large module, needed for mistakes alone

        guesses = difflib.get_close_matches(name.upper(), islice(self._triggers, _MOST_ADVISED), n=1)
        shown = (*self._shown[:_MOST_ADVISED], *(["..."] if len(self._shown) > _MOST_ADVISED else []))
        known = f"known: {', '.join(shown)}; newer ones go under extra_triggers"
        return f"did you mean {guesses[0]}? ({known})" if guesses else known


def has_settings(fields: YamlMap) -> bool:
    """Whether a tenancy has any setting here besides its subscriptions."""
    return any(key != "subscriptions" and not key.startswith("x-") for key in fields)


def read_settings(reading: FileReader, fields: YamlMap) -> Settings:
    """Read the settings of a tenancy. What is left out gets its default."""
    given = given_fields(PlainSettings, fields)
    given["owns"] = _owns(reading, fields)
    if "credentials" in fields:
        given["credentials"] = _credentials(reading, cast(YamlMap, fields["credentials"]))
    if "limits" in fields:
        given |= _limit(cast(YamlMap, fields["limits"]))
    settings = Settings(server=reading.text(fields, "server"), tenant=reading.text(fields, "tenant"), **given)
    if server := settings.server:
        text = outline(server.template)
        reading.add(server_problem(text, "the server", server.location, allow_http=settings.allow_http))
    return settings


def _credentials(reading: FileReader, fields: YamlMap) -> CredentialRefs:
    given = given_fields(CredentialRefs, fields)
    return CredentialRefs(**given | {name: reading.reference(fields, name) for name in given if name != "method"})


def _limit(fields: YamlMap) -> dict[str, UnsubscribeLimit]:
    match fields.get("unsubscribe"):
        case str(share):
            return {"limit": UnsubscribeLimit(percent=float(share.removesuffix("%")))}
        case int(number):
            return {"limit": UnsubscribeLimit(number=number)}
    return {}


def _owns(reading: FileReader, fields: YamlMap) -> tuple[str, ...] | None:
    prefixes = fields.get("owns", "all")
    if not isinstance(prefixes, YamlList):
        return None
    valid = []
    for index, prefix in enumerate(cast(list[str], prefixes)):
        if fault := prefix_fault(prefix):
            fix = "write a URL such as https://fn.example.net/api"
            reading.note(f"this prefix {fault}", fix, reading.at(prefixes.item_mark(index)))
        else:
            valid.append(prefix)
    return tuple(valid) if len(valid) == len(prefixes) else None  # else no URL is blamed for an invalid prefix


_ADD_TRIGGER = "add trigger: INDEXED (or another), here or under defaults"
_ADD_REFERENCE = "add secret: {env: NAME} or {file: PATH}, here or under defaults"
_MISSING = SecretRef("env", "")  # placeholder for a missing secret, which is a problem: the entry goes no further


class TenancyPart(Record, frozen=True):
    """What one file says of one tenancy."""

    name: str
    settings: Settings | None  # None: not in this file
    subscriptions: tuple[SubscriptionDeclaration, ...] | None  # None: not in this file
    location: Location


class _Defaults(Record, frozen=True):
    """What the subscriptions of a file have unless they have their own."""

    triggers: tuple[Trigger, ...] | None = None
    secret: SecretRef | None = None
    plain: dict[str, Any] = field(default_factory=dict)  # those of PlainFields that are given


def read_parts(reading: FileReader, data: YamlMap, catalog: TriggerCatalog) -> tuple[TenancyPart, ...]:
    """Read one file. Problems are noted; what is read after one only serves to find more of them."""
    reader = _SubscriptionReader(reading, catalog)
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


class _SubscriptionReader:
    """Reads the subscriptions of one file."""

    def __init__(self, reading: FileReader, catalog: TriggerCatalog) -> None:
        self.reading = reading
        self._catalog = catalog
        self._defaults = _Defaults()
        self._known: dict[tuple[object, ...], tuple[Trigger, ...]] = {}  # lists of triggers that were fine before

    def take_defaults(self, fields: YamlMap) -> None:
        """Read the defaults that count from here on."""
        self._defaults = _Defaults(
            triggers=self._triggers(fields),
            secret=self.reading.reference(fields, "secret"),
            plain=given_fields(PlainFields, fields),
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
        plain = self._defaults.plain | given_fields(PlainFields, fields)
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
            trigger = self._catalog.find(name)
            if trigger is None:
                self.reading.note(f'unknown trigger "{name}"', self._catalog.advice(name), where)
            elif trigger in found:
                same = "" if found[trigger] == name else f' ("{found[trigger]}" is the same)'
                self.reading.note(f'trigger "{name}" is listed twice{same}', "keep one of the two", where)
            else:
                found[trigger] = name
        if len(self.reading.problems) == noted:
            self._known[tuple(names)] = tuple(found)
        return tuple(found)
