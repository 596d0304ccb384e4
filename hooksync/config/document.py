"""Hooks files -> one document, checked without the environment; all problems at once.

The files are read already; of the disk, only the packaged schema is read. Rules about one
subscription and its defaults are checked while a file is read; those between subscriptions,
tenancies and files once all are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from itertools import islice
from typing import cast

from hooksync.config import declarations
from hooksync.config.declarations import (
    Document,
    Settings,
    SubscriptionDeclaration,
    TenancyDeclaration,
    Written,
)
from hooksync.config.files import Source
from hooksync.config.references import reference_problems
from hooksync.config.yaml_loader import Mark, YamlList, YamlMap, parser_warning, read_yaml
from hooksync.core import model
from hooksync.core.errors import FileError, Problem, some_of
from hooksync.core.record import Record, given_fields
from hooksync.core.schema import read_schema, schema_check
from hooksync.core.template import parse_template
from hooksync.core.urls import prefix_fault

Judge = Callable[[Sequence[TenancyDeclaration]], Iterable[Problem]]

_ADD_TRIGGER = "add trigger: INDEXED (or another), here or under defaults"
_ADD_REFERENCE = "add secret: {env: NAME} or {file: PATH}, here or under defaults"
# placeholder for a missing secret, which is a problem: the entry goes no further
_MISSING = model.SecretRef("env", "")
# names that advice is taken from: comparing a thousand with a thousand takes seconds
_MOST_ADVISED = 100


def read_document(sources: Sequence[Source], judge: Judge = lambda _: ()) -> Document:
    """Read hooks files together.

    Raises FileError with every problem, in the order of the files; `judge` finds more.
    """
    files = [FileReader(source) for source in sources]
    extra = [
        name for file in files for name in cast(list[str], file.data.get("extra_triggers", []))
    ]
    catalog = TriggerCatalog(extra, knows_all=any(() in file.incomplete for file in files))
    parts: list[TenancyPart] = []
    problems: list[Problem] = []
    for file in files:
        parts += file.read(catalog)
        problems += file.problems
    tenancies = _merged(parts, problems)
    for tenancy in tenancies:
        problems += declarations.tenancy_problems(tenancy)
    problems += reference_problems(tenancies)
    if all(
        file.is_whole for file in files
    ):  # otherwise, what is missing may stand in the part that could not be read
        problems += _run_problems(sources, parts, tenancies)
    problems += judge(tenancies)
    if problems:
        raise FileError(*_in_order(problems, sources))
    return Document(tenancies, (*parser_warning(), *_in_order(_warnings(tenancies), sources)))


def _run_problems(
    sources: Sequence[Source], parts: Sequence[TenancyPart], tenancies: Sequence[TenancyDeclaration]
) -> Iterator[Problem]:
    if not tenancies:
        where = model.Location(sources[0].name, 1, 1) if sources else None
        yield Problem("no tenancy is declared", "write one under tenancies", where)
    declared = {part.name for part in parts if part.subscriptions is not None}
    first = {part.name: part for part in reversed(parts) if part.name not in declared}
    for name, part in first.items():
        fix = "declare some, or write `subscriptions: {}` if it has none"
        yield Problem(f'tenancy "{name}" has no subscriptions', fix, part.location)
    places = ((one, one.settings.server, one.settings.tenant) for one in tenancies)
    yield from declarations.duplicate_tenancy_problems(places)


def _warnings(tenancies: Sequence[TenancyDeclaration]) -> list[Problem]:
    """Warn of plain http in URLs that need nothing filled in."""
    urls = (entry.url for tenancy in tenancies for entry in tenancy.subscriptions)
    literals = ((url.template.literal, url.location) for url in urls)
    warnings = (
        declarations.http_warning(text, "the URL", where)
        for text, where in literals
        if text is not None
    )
    return [*filter(None, warnings)]


def _in_order(problems: Sequence[Problem], sources: Sequence[Source]) -> list[Problem]:
    """Sort by place, files in the order of the command line; report what an alias repeats once."""
    order = {source.name: index for index, source in enumerate(sources)}
    first = model.Location("", 0, 0)
    places = {problem: problem.where or first for problem in problems}
    return sorted(places, key=lambda each: (order.get(places[each].file, 0), places[each]))


def _merged(
    parts: Iterable[TenancyPart], problems: list[Problem]
) -> tuple[TenancyDeclaration, ...]:
    """Put the parts of each tenancy together, in the order in which tenancies first appear."""
    spread: defaultdict[str, list[TenancyPart]] = defaultdict(list)
    for part in parts:
        spread[part.name].append(part)
    return tuple(_merged_one(of_one, problems) for of_one in spread.values())


def _merged_one(parts: list[TenancyPart], problems: list[Problem]) -> TenancyDeclaration:
    """Put the parts of a tenancy together, and note what stands in two of them."""
    main = parts[0]
    settings: Settings | None = None
    subscriptions: dict[str, SubscriptionDeclaration] = {}
    for part in parts:
        if part.settings and settings:
            what = (
                f'tenancy "{part.name}" has settings in two files; the other place is'
                f" {main.location}"
            )
            problems.append(
                Problem(what, "keep all but the subscriptions in one file", part.location)
            )
        elif part.settings:
            main, settings = part, part.settings
        for entry in part.subscriptions or ():
            first = subscriptions.setdefault(entry.name, entry)
            if first is not entry:
                what = (
                    f'subscription "{entry.name}" is declared twice; the other place is'
                    f" {first.location}"
                )
                problems.append(
                    Problem(what, "rename one of the two, or remove it", entry.location)
                )
    return TenancyDeclaration(
        main.name, settings or Settings(), tuple(subscriptions.values()), main.location
    )


class TriggerCatalog:
    """Finds a trigger by any of its names."""

    def __init__(self, extra: Collection[str] = (), *, knows_all: bool = False) -> None:
        """With knows_all, any name is accepted: a file that could not be read may declare it."""
        self._knows_all = knows_all
        usual = (*model.TRIGGER_NAMES, *model.TRIGGER_NAMES.values())
        more = sorted(set(extra).difference(usual))
        self._triggers = {name: model.Trigger.named(name) for name in (*usual, *more)}
        self._shown = (*model.TRIGGER_NAMES, *more)

    def find(self, name: str) -> model.Trigger | None:
        """Return the trigger of that name, if there is one."""
        if self._knows_all:
            return model.Trigger.named(name)
        return self._triggers.get(name)

    def advice(self, name: str) -> str:
        """Advise on an unknown name: what may have been meant, and which names are known."""
        import difflib  # a large module, needed for mistakes alone

        guesses = difflib.get_close_matches(
            name.upper(), islice(self._triggers, _MOST_ADVISED), n=1
        )
        known = f"known: {some_of(self._shown, _MOST_ADVISED)}; newer ones go under extra_triggers"
        return f"did you mean {guesses[0]}? ({known})" if guesses else known


class TenancyPart(Record, frozen=True):
    """What one file says of one tenancy."""

    name: str
    settings: Settings | None  # None: not in this file
    subscriptions: tuple[SubscriptionDeclaration, ...] | None  # None: not in this file
    location: model.Location


class FileReader:
    """Reads one hooks file.

    Problems are noted; what is read after one only serves to find more of them.
    """

    def __init__(self, source: Source) -> None:
        self.problems: list[Problem] = []
        self.data = YamlMap()  # fits the schema
        self.is_whole = False  # whether all that the file says is in the data
        # of which something is missing: by paths, () is the top level
        self.incomplete: Set[tuple[str | int, ...]] = {()}
        self._file = source.name
        self._folder = source.folder
        self._catalog = TriggerCatalog()
        self._open(source.data)

    def _open(self, content: bytes) -> None:
        """Read the file as far as the schema goes."""
        try:
            data, problems = read_yaml(self._file, content)
        except FileError as error:
            self.problems += error.problems
            return
        self.problems += problems
        if schema_check("hooks")(data):
            self.data, self.is_whole, self.incomplete = data, not problems, frozenset()
            return
        # only here: a file that fits needs none of this
        from hooksync.config.schema_errors import find_schema_errors, recover

        errors = find_schema_errors(data, self._file, read_schema("hooks"))
        places = {problem.where for problem in problems}
        self.problems += (error.problem for error in errors if error.problem.where not in places)
        self.data, self.incomplete = recover(data, errors)

    def read(self, catalog: TriggerCatalog) -> tuple[TenancyPart, ...]:
        """Read what the file says of each tenancy."""
        self._catalog = catalog
        defaults = cast(YamlMap, self.data.get("defaults") or YamlMap())
        self._default_triggers = self._triggers(defaults)
        self._default_secret = self._reference(defaults, "secret")
        self._default_fields = given_fields(model.PlainFields, defaults)
        tenancies = cast(YamlMap, self.data.get("tenancies") or YamlMap())
        return tuple(self._part(tenancies, name) for name in tenancies)

    def _part(self, tenancies: YamlMap, name: str) -> TenancyPart:
        fields = cast(YamlMap, tenancies[name])
        has_settings = any(key != "subscriptions" and not key.startswith("x-") for key in fields)
        settings = self._settings(fields) if has_settings else None
        subscriptions = None
        if "subscriptions" in fields:
            entries = cast(YamlMap, fields["subscriptions"])
            subscriptions = tuple(
                entry for each in entries if (entry := self._subscription(entries, each, name))
            )
        return TenancyPart(name, settings, subscriptions, self._at(tenancies.key_mark(name)))

    def _settings(self, fields: YamlMap) -> Settings:
        """Read the settings of a tenancy. What is left out gets its default."""
        given = given_fields(model.PlainSettings, fields)
        if isinstance(prefixes := given.get("owns"), YamlList):
            given["owns"] = self._owns(prefixes)
        if "credentials" in fields:
            login = cast(YamlMap, fields["credentials"])
            refs = given_fields(model.CredentialRefs, login)
            for name in refs:
                refs[name] = self._reference(login, name, model.CREDENTIALS[name])
            given["credentials"] = model.CredentialRefs(**refs)
        match cast(YamlMap, fields.get("limits", YamlMap())).get("unsubscribe"):
            case str(share):
                given["limit"] = model.UnsubscribeLimit(percent=float(share.removesuffix("%")))
            case int(number):
                given["limit"] = model.UnsubscribeLimit(number=number)
        return Settings(
            server=self._text(fields, "server"), tenant=self._text(fields, "tenant"), **given
        )

    def _owns(self, prefixes: YamlList) -> model.Owns | frozenset[str]:
        noted = len(self.problems)
        for index, prefix in enumerate(prefixes):
            if fault := prefix_fault(cast(str, prefix)):
                fix = "write a URL such as https://fn.example.net/api"
                self._note(f"this prefix {fault}", fix, self._at(prefixes.item_mark(index)))
        if len(self.problems) > noted:
            return "all"  # with prefixes, each URL could be outside
        return frozenset(cast(list[str], prefixes))

    def _subscription(
        self, subscriptions: YamlMap, name: str, tenancy: str
    ) -> SubscriptionDeclaration | None:
        fields = cast(YamlMap, subscriptions[name])
        where = self._at(subscriptions.key_mark(name))
        triggers = self._triggers(fields)
        if triggers is None:
            triggers = self._default_triggers
        secret = self._reference(fields, "secret") or self._default_secret
        is_complete = not self.incomplete or self.incomplete.isdisjoint(
            [(), ("defaults",), ("tenancies", tenancy, "subscriptions", name)]
        )
        if triggers is None and is_complete:
            self._note(f'"{name}" has no trigger', _ADD_TRIGGER, where)
        if secret is None and is_complete:
            self._note(f'"{name}" has no secret', _ADD_REFERENCE, where)
        url = self._text(fields, "url")
        if url is None:
            return None
        plain = self._default_fields | given_fields(model.PlainFields, fields)
        return SubscriptionDeclaration(
            name, url, triggers or (), secret or _MISSING, where, **plain
        )

    def _text(self, fields: YamlMap, key: str) -> Written | None:
        """Read a text that may hold `${NAME}`.

        None: it is not there, or it is malformed, which is noted.
        """
        if key not in fields:
            return None
        where = self._at(fields.value_mark(key))
        try:
            return Written(parse_template(cast(str, fields[key])), where)
        except ValueError as error:
            self._note(
                f"{key} has {error}", "write ${NAME}, ${NAME:-default}, or $$ for a dollar", where
            )
            return None

    def _reference(self, fields: YamlMap, key: str, noun: str = "secret") -> model.SecretRef | None:
        """Read where a secret is found. None: it is not there."""
        if key not in fields:
            return None
        return model.SecretRef.read(
            cast(YamlMap, fields[key]), self._at(fields.value_mark(key)), noun, self._folder
        )

    def _triggers(self, fields: YamlMap) -> tuple[model.Trigger, ...] | None:
        """Read `trigger` or `triggers`, and note those that are unknown or there twice.

        None: neither is there.
        """
        key = "triggers" if "triggers" in fields else "trigger"
        if key not in fields:
            return None
        written = fields[key]
        names = cast(list[str], written) if isinstance(written, YamlList) else [cast(str, written)]
        found: dict[model.Trigger, str] = {}
        for index, name in enumerate(names):
            trigger = self._catalog.find(name)
            if trigger and trigger not in found:
                found[trigger] = name
                continue
            mark = (
                written.item_mark(index)
                if isinstance(written, YamlList)
                else fields.value_mark(key)
            )
            if trigger is None:
                self._note(f'unknown trigger "{name}"', self._catalog.advice(name), self._at(mark))
                continue
            same = "" if found[trigger] == name else f' ("{found[trigger]}" is the same)'
            self._note(
                f'trigger "{name}" is listed twice{same}', "keep one of the two", self._at(mark)
            )
        return tuple(found)

    def _at(self, mark: Mark) -> model.Location:
        return model.Location(self._file, *mark)

    def _note(self, what: str, fix: str, where: model.Location) -> None:
        self.problems.append(Problem(what, fix, where))
