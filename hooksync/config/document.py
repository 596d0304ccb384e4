"""Read hooks files into one document, check it without the environment, report all problems.

The caller has loaded the files. This module reads only the packaged schema, and the files whose
defaults other files take. Rules about one subscription and its defaults are checked while its file
is read. Rules that compare subscriptions, tenancies or files are checked after all files were read.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from hooksync.config.declarations import (
    Document,
    Settings,
    SubscriptionDeclaration,
    TemplateAt,
    TenancyDeclaration,
    in_order,
    name_values,
)
from hooksync.config.files import Source, follow_links, read_defaults
from hooksync.config.references import reference_problems
from hooksync.config.resolve import check_entries
from hooksync.config.schema_errors import read_checked
from hooksync.config.yaml_loader import YamlList, YamlMap
from hooksync.core import model
from hooksync.core.errors import FileError, Problem, suggestion
from hooksync.core.record import given_fields, replace
from hooksync.core.template import fill_in, parse_template
from hooksync.core.urls import prefix_fault

Judge = Callable[[Sequence[TenancyDeclaration]], Iterable[Problem]]
Names = Mapping[str, None]  # of the known triggers, in order

_ADD_URL = "write url: https://fn.example.net/api/hook, here or in the default subscription"
_ADD_TRIGGER = "add trigger: INDEXED (or a different one), here or under defaults"
_ADD_REFERENCE = "add secret: {env: NAME} or {file: PATH}, here or under defaults"
# a message lists at most so many names, and compares no more: to compare thousands takes seconds
_MOST_LISTED = 100


def read_document(
    sources: Sequence[Source],
    judges: Sequence[Judge] = (),
    read: Callable[[str], Source] = read_defaults,
) -> Document:
    """Read hooks files together.

    `judges` find further problems; `read` reads a file whose defaults a different file takes.
    Raises FileError with every problem, in the order of the files.
    """
    files = _Files(sources, read)
    names = [source.name for source in sources]
    problems: list[Problem] = []
    tenancies = _read_tenancies(files, problems)
    if not tenancies:
        where = model.Location(sources[0].name, 1, 1) if sources else None
        problems.append(Problem("no tenancy is declared", "write one under tenancies", where))
    faults, warnings = check_entries(tenancies)
    problems += faults
    problems += reference_problems(tenancies)
    for find in judges:
        problems += find(tenancies)
    if problems:
        raise FileError(*in_order(problems, names))
    texts = tuple(source.data for source in files.sources)
    return Document(tenancies, tuple(in_order(warnings, names)), texts)


class _HooksFile(NamedTuple):
    """The tenancies of one file, and the defaults that it takes."""

    tenancies: YamlMap
    defaults: YamlMap
    names: tuple[str, ...]  # of the file; then, if there is one, of the file with its defaults


class _Files:
    """The parsed hooks files of a run. Raises FileError with what breaks YAML or the schema."""

    def __init__(self, sources: Sequence[Source], read: Callable[[str], Source]) -> None:
        self.sources: list[Source] = []  # also those of defaults
        self.parsed: dict[str, YamlMap] = {}  # by path; empty if it has problems
        self._read = read
        self._problems: list[Problem] = []
        parsed = [(source.name, self._parse(source)) for source in sources]
        self.files = [self._with_defaults(name, data) for name, data in parsed]
        if self._problems:
            raise FileError(*in_order(self._problems, [source.name for source in sources]))

    def _parse(self, source: Source) -> YamlMap:
        self.sources.append(source)
        data = YamlMap()
        try:
            data = read_checked("hooks", source.name, source.data)
        except FileError as error:
            self._problems += error.problems
        self.parsed[follow_links(source.name)] = data
        return data

    def _with_defaults(self, name: str, data: YamlMap) -> _HooksFile:
        """Find the defaults of a file. If that is impossible, a problem is noted."""
        tenancies = data.get("tenancies", YamlMap())
        defaults = data.get("defaults", YamlMap())
        if isinstance(defaults, YamlMap):
            return _HooksFile(tenancies, defaults, (name,))
        where = data.value_place("defaults")
        path = os.path.join(os.path.dirname(name), defaults)
        identity = follow_links(path)
        try:
            if identity not in self.parsed:
                self._parse(self._read(path))
        except FileError as error:
            self._problems += [replace(problem, where=where) for problem in error.problems]
            return _HooksFile(tenancies, YamlMap(), (name,))
        found = self.parsed[identity].get("defaults", YamlMap())
        if not isinstance(found, YamlMap):
            fix = "name a hooks file that contains the values of its `defaults`"
            self._problems.append(Problem(f"{path} has no defaults of its own", fix, where))
            found = YamlMap()
        return _HooksFile(tenancies, found, (name, path))


def _known_triggers(files: Iterable[YamlMap]) -> Names:
    """Collect the known names of triggers, of both spellings."""
    names = [*model.TRIGGER_NAMES, *model.TRIGGER_NAMES.values()]
    for data in files:
        names += sorted(data.get("extra_triggers", []))
    return dict.fromkeys(names)


def _read_tenancies(files: _Files, problems: list[Problem]) -> tuple[TenancyDeclaration, ...]:
    """Read the tenancies, each from all files that declare a part of it; note the problems."""
    triggers = _known_triggers(files.parsed.values())
    _check_defaults(files, triggers, problems)
    parts: defaultdict[str, list[_HooksFile]] = defaultdict(list)
    for file in files.files:
        for name in file.tenancies:
            parts[name].append(file)
    tenancies = []
    with_variable: dict[str, TenancyDeclaration] = {}  # by value of ${TENANCY}
    for name, of_one in parts.items():
        reader = _TenancyReader(name, triggers, problems)
        tenancy = reader.read(of_one)
        tenancies.append(tenancy)
        first = with_variable.setdefault(reader.variable, tenancy)
        if reader.variable and first is not tenancy:  # they would share secrets
            what = f'"{first.name}" and "{name}" have the same ${{TENANCY}}, {reader.variable}'
            problems.append(_twice(what, "rename one of the two", tenancy.location, first.location))
    return tuple(tenancies)


def _check_defaults(files: _Files, triggers: Names, problems: list[Problem]) -> None:
    """Check the defaults of each file, even if no tenancy takes them."""
    for data in files.parsed.values():
        defaults = data.get("defaults")
        if isinstance(defaults, YamlMap):
            reader = _TenancyReader("defaults", triggers, problems)
            reader.settings(defaults)
            reader.triggers(defaults)


def _has_settings(fields: YamlMap) -> bool:
    """Whether a tenancy has more in a file than subscriptions and notes."""
    return any(key != "subscriptions" and not key.startswith("x-") for key in fields)


def _twice(what: str, fix: str, here: model.Location, other: model.Location) -> Problem:
    return Problem(f"{what}; the other place is {other}", fix, here)


class _TenancyReader:
    """Reads what files, which fit the schema, declare of one tenancy."""

    def __init__(self, name: str, triggers: Names, problems: list[Problem]) -> None:
        """`problems`: where the reader notes the problems that it finds."""
        self.variable = ""  # the value of ${TENANCY}, if a text contains it
        self._name = name
        self._values = name_values(name)
        self._known_triggers = triggers
        self._problems = problems

    def read(self, files: Sequence[_HooksFile]) -> TenancyDeclaration:
        """Read the tenancy from the files that declare a part of it.

        The file that has settings decides its settings and default subscriptions. If none has
        settings, the defaults of all must give the same.
        """
        with_settings = [file for file in files if _has_settings(file.tenancies[self._name])]
        deciding = with_settings or files
        where = deciding[0].tenancies.key_place(self._name)
        settings = self._settings_of(deciding[0])
        for file in deciding[1:]:
            if with_settings or self._settings_of(file) != settings:
                what = f'two files give tenancy "{self._name}" settings'
                here = file.tenancies.key_place(self._name)
                fix = "write its settings in one of the files"
                self._problems.append(_twice(what, fix, here, where))
        subscriptions = self._subscriptions_of(files, deciding, where)
        names = dict.fromkeys(name for file in files for name in file.names)
        return TenancyDeclaration(self._name, settings, subscriptions, where, tuple(names))

    def _subscriptions_of(
        self, files: Sequence[_HooksFile], deciding: Sequence[_HooksFile], where: model.Location
    ) -> tuple[SubscriptionDeclaration, ...]:
        """Read the subscriptions of all files; only `deciding` files add default ones."""
        declared: dict[str, SubscriptionDeclaration] = {}
        has_subscriptions = False
        for file in files:
            own = file.tenancies[self._name].get("subscriptions")
            common = file.defaults.get("subscriptions") if file in deciding else None
            self._read_subscriptions(declared, own or YamlMap(), common or YamlMap(), file.defaults)
            has_subscriptions |= own is not None or bool(common)
        if not has_subscriptions:
            fix = "declare its subscriptions, under `subscriptions:`"
            self._note(f'tenancy "{self._name}" has no subscriptions', fix, where)
        return tuple(declared.values())

    def _read_subscriptions(
        self,
        declared: dict[str, SubscriptionDeclaration],
        own: YamlMap,
        common: YamlMap,
        defaults: YamlMap,
    ) -> None:
        """Add the subscriptions of one file to those that are declared.

        `common`: the default subscriptions; `defaults`: of the fields of all subscriptions.
        """
        entries = own.filled_up(common)
        for name in entries:
            layers = (entries[name], common.get(name, YamlMap()), defaults)
            entry = self._subscription(name, entries.key_place(name), layers)
            if entry is None:
                continue
            first = declared.setdefault(name, entry)
            if first.location != entry.location:  # two files may take one default subscription
                what = f'subscription "{name}" is declared twice'
                fix = "rename one of the two, or remove it"
                self._problems.append(_twice(what, fix, entry.location, first.location))

    def _settings_of(self, file: _HooksFile) -> Settings:
        return self.settings(file.tenancies[self._name].filled_up(file.defaults))

    def settings(self, fields: YamlMap) -> Settings:
        """Read the settings. A setting that is left out gets its default."""
        settings = given_fields(model.PlainSettings, fields)
        for name in ("owns", "protect"):
            prefixes = fields.get(name)
            if isinstance(prefixes, YamlList):
                settings[name] = frozenset(prefixes)
                if not self._are_prefixes(prefixes):
                    del settings[name]  # it would cause false problems about URLs
        limit = fields.get("limits", YamlMap()).get("unsubscribe")
        if limit is not None:
            settings["limit"] = model.UnsubscribeLimit.read(limit)
        if "credentials" in fields:
            login = fields["credentials"]
            refs = {name: self._reference(login, name, model.CREDENTIALS[name]) for name in login}
            settings["credentials"] = model.CredentialRefs(**refs)
        for name in ("server", "tenant"):
            if text := self._text(fields, name):
                settings[name] = text
        return Settings(**settings)

    def _are_prefixes(self, prefixes: YamlList) -> bool:
        """Whether all items are valid prefixes of URLs. A problem is noted for each other one."""
        before = len(self._problems)
        for prefix, where in zip(prefixes, prefixes.places, strict=True):
            if fault := prefix_fault(prefix):
                fix = "write a URL such as https://fn.example.net/api"
                self._note(f"this prefix {fault}", fix, where)
        return len(self._problems) == before

    def _subscription(
        self, name: str, where: model.Location, layers: Sequence[YamlMap]
    ) -> SubscriptionDeclaration | None:
        """Read a subscription.

        `layers`: its own fields, those of the default subscription of its name, and the defaults.
        """
        fields = YamlMap().filled_up(*layers)
        triggers = None
        for layer in layers:
            if triggers is None:
                triggers = self.triggers(layer)
        if triggers is None:
            self._note(f'"{name}" has no trigger', _ADD_TRIGGER, where)
        if "secret" not in fields:
            self._note(f'"{name}" has no secret', _ADD_REFERENCE, where)
            return None
        if "url" not in fields:
            self._note(f'"{name}" has no url', _ADD_URL, where)
        url = self._text(fields, "url")
        if url is None:
            return None
        secret = self._reference(fields, "secret")
        plain = given_fields(model.PlainFields, fields)
        adopted = fields.get("adopt", ())
        plain["adopt"] = (adopted,) if isinstance(adopted, str) else tuple(adopted)
        return SubscriptionDeclaration(name, url, triggers or (), secret, where, **plain)

    def _text(self, fields: YamlMap, key: str) -> TemplateAt | None:
        """Read a text that may hold `${NAME}`.

        Returns None if the key is missing, or if the text is malformed. The latter is noted.
        """
        if key not in fields:
            return None
        where = fields.value_place(key)
        try:
            return TemplateAt(parse_template(self._filled_in(fields[key])), where)
        except ValueError as error:
            self._note(f"{key} has {error}", "write ${NAME}, or $$ for a dollar", where)
            return None

    def _reference(self, fields: YamlMap, key: str, noun: str = "secret") -> model.SecretRef:
        where = fields.value_place(key)
        ((kind, value),) = fields[key].items()
        if kind != "command":
            value = self._filled_in(value)
        if kind == "env" and not value.isidentifier():
            what = f'the tenancy "{self._name}" makes this {value}, which is no variable name'
            self._note(what, "rename the tenancy, or name the variable here", where)
        base = os.path.dirname(where.file) if kind == "file" else ""
        return model.SecretRef.read({kind: value}, where, noun, base)

    def _filled_in(self, text: str) -> str:
        """Fill in the name of the tenancy."""
        if "${" not in text:  # as most texts, and fast
            return text
        if "${TENANCY}" in text:
            self.variable = self._values["TENANCY"]
        return fill_in(text, self._values)

    def triggers(self, fields: YamlMap) -> tuple[model.Trigger, ...] | None:
        """Read `trigger` or `triggers`. Returns None if neither is given."""
        if "trigger" in fields and "triggers" in fields:
            where = fields.key_place("triggers")
            self._note("both trigger and triggers are given", "keep one of the two", where)
        if "trigger" in fields:
            written = [(fields["trigger"], fields.value_place("trigger"))]
        elif "triggers" in fields:
            written = list(zip(fields["triggers"], fields["triggers"].places, strict=True))
        else:
            return None
        triggers: list[model.Trigger] = []
        for name, where in written:
            trigger = model.Trigger.named(name)
            if name not in self._known_triggers:
                advice = _trigger_advice(name, list(self._known_triggers)[:_MOST_LISTED])
                self._note(f'unknown trigger "{name}"', advice, where)
            elif trigger in triggers:
                what = f'trigger "{trigger.short}" is listed twice'
                self._note(what, "keep one of the two", where)
            else:
                triggers.append(trigger)
        return tuple(triggers)

    def _note(self, what: str, fix: str, where: model.Location) -> None:
        self._problems.append(Problem(what, fix, where))


def _trigger_advice(name: str, known: Sequence[str]) -> str:
    """Advise on an unknown name: what may have been meant, and which names are known."""
    shown = dict.fromkeys(model.Trigger.named(known_name).short for known_name in known)
    advice = f"known: {', '.join(shown)}; newer ones go under extra_triggers"
    return suggestion(name.upper(), known, advice)
