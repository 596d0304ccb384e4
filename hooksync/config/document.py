"""Read hooks files into one document, check it without the environment, report all problems.

The caller has loaded the files. This module reads only the packaged schema, and the files whose
defaults other files take. Rules about one subscription and its defaults are checked while its file
is read. Rules that compare subscriptions, tenancies or files are checked after all files were read.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hooksync.config.checked_yaml import read_checked
from hooksync.config.declarations import (
    Document,
    Settings,
    SubscriptionDeclaration,
    TenancyDeclaration,
    in_order,
    name_values,
)
from hooksync.config.files import Source, follow_links, read_defaults
from hooksync.config.references import reference_problems
from hooksync.config.resolve import check_entries
from hooksync.config.yaml_loader import YamlList, YamlMap
from hooksync.core import model
from hooksync.core.errors import FileError, Problem, suggestion
from hooksync.core.record import given_fields, replace
from hooksync.core.template import Template, fill_in, parse_template

Judge = Callable[[Sequence[TenancyDeclaration]], Iterable[Problem]]
Read = Callable[[str], Source]
Names = Mapping[str, None]  # of the known triggers, in order

# how to add a field that a subscription lacks
_ADVICE = {
    "trigger": "add trigger: INDEXED (or a different one), here or under defaults",
    "secret": "add secret: {env: NAME} or {file: PATH}, here or under defaults",
    "url": "write url: https://fn.example.net/api/hook, here or in the default subscription",
}


def read_document(
    sources: Sequence[Source], judges: Sequence[Judge] = (), read: Read = read_defaults
) -> Document:
    """Read hooks files together.

    `judges` find further problems; `read` reads a file whose defaults a different file takes.
    Raises FileError with every problem, in the order of the files.
    """
    names = [source.name for source in sources]
    files = _Files(sources, read)
    problems = files.problems
    if not problems:
        tenancies = _read_tenancies(files, problems)
        if not tenancies:
            where = model.Location(names[0], 1, 1) if names else None
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
    """The parsed hooks files of a run, and the problems that break YAML or the schema."""

    def __init__(self, sources: Sequence[Source], read: Read) -> None:
        self.sources: list[Source] = []  # also those of defaults
        self.parsed: dict[str, YamlMap] = {}  # by path; empty if it has problems
        self.problems: list[Problem] = []
        for source in sources:
            self._parse(source)
        self.files = [self._with_defaults(source.name, read) for source in sources]

    def _parse(self, source: Source) -> None:
        self.sources.append(source)
        data = YamlMap()
        try:
            data = read_checked("hooks", source.name, source.data)
        except FileError as error:
            self.problems += error.problems
        self.parsed[follow_links(source.name)] = data

    def _with_defaults(self, name: str, read: Read) -> _HooksFile:
        """Find the defaults of a file. If that is impossible, a problem is noted."""
        data = self.parsed[follow_links(name)]
        tenancies = data.get("tenancies", YamlMap())
        defaults = data.get("defaults", YamlMap())
        if isinstance(defaults, YamlMap):
            return _HooksFile(tenancies, defaults, (name,))
        where = data.places["defaults"]
        path = os.path.join(os.path.dirname(name), defaults)
        identity = follow_links(path)
        try:
            if identity not in self.parsed:
                self._parse(read(path))
        except FileError as error:
            self.problems += [replace(problem, where=where) for problem in error.problems]
            return _HooksFile(tenancies, YamlMap(), (name,))
        shared = self.parsed[identity].get("defaults", YamlMap())
        if isinstance(shared, str):
            fix = "name a hooks file that contains the values of its `defaults`"
            self.problems.append(Problem(f"{path} has no defaults of its own", fix, where))
        return _HooksFile(tenancies, shared, (name, path))


def _known_triggers(files: _Files) -> Names:
    """Collect the known names of triggers, of both spellings."""
    names = [*model.TRIGGER_NAMES, *model.TRIGGER_NAMES.values()]
    for data in files.parsed.values():
        names += sorted(data.get("extra_triggers", []))
    return dict.fromkeys(names)


def _read_tenancies(files: _Files, problems: list[Problem]) -> tuple[TenancyDeclaration, ...]:
    """Read the tenancies, each from all files that declare a part of it; note the problems."""
    known = _known_triggers(files)
    for data in files.parsed.values():  # also if no subscription takes these defaults
        if isinstance(data.get("defaults"), YamlMap):
            _read_triggers(data["defaults"], known, problems)
    parts: defaultdict[str, list[_HooksFile]] = defaultdict(list)
    for file in files.files:
        for name in file.tenancies:
            parts[name].append(file)
    tenancies = []
    with_variable: dict[str, TenancyDeclaration] = {}  # by value of ${TENANCY}
    for name, of_one in parts.items():
        reader = _TenancyReader(name, known, problems)
        tenancy = reader.read(of_one)
        tenancies.append(tenancy)
        first = with_variable.setdefault(reader.variable, tenancy)
        if reader.variable and first is not tenancy:  # they would share secrets
            what = f'"{first.name}" and "{name}" have the same ${{TENANCY}}, {reader.variable}'
            problems.append(_twice(what, "rename one of the two", tenancy.location, first.location))
    return tuple(tenancies)


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
        where = deciding[0].tenancies.key_places[self._name]
        settings = self._settings_of(deciding[0])
        for file in deciding[1:]:
            if with_settings or self._settings_of(file) != settings:
                what = f'two files give tenancy "{self._name}" settings'
                here = file.tenancies.key_places[self._name]
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
            has_subscriptions |= "subscriptions" in file.tenancies[self._name]
            has_subscriptions |= "subscriptions" in file.defaults
            common = file.defaults.get("subscriptions") if file in deciding else None
            for entry in self._entries_of(file, common or YamlMap()):
                first = declared.setdefault(entry.name, entry)
                if first.location != entry.location:  # two files may take one default subscription
                    what = f'subscription "{entry.name}" is declared twice'
                    fix = "rename one of the two, or remove it"
                    self._problems.append(_twice(what, fix, entry.location, first.location))
        if not has_subscriptions:
            fix = "declare its subscriptions, under `subscriptions:`"
            self._note(f'tenancy "{self._name}" has no subscriptions', fix, where)
        return tuple(declared.values())

    def _entries_of(self, file: _HooksFile, common: YamlMap) -> Iterator[SubscriptionDeclaration]:
        """Read the subscriptions of one file, merged over the default ones, `common`."""
        none = YamlMap()
        entries = YamlMap(file.tenancies[self._name].get("subscriptions", none), common)
        for name, fields in entries.items():
            layers = (fields, common.get(name, none), file.defaults)
            entry = self._subscription(name, entries.key_places[name], layers)
            if entry is not None:
                yield entry

    def _settings_of(self, file: _HooksFile) -> Settings:
        """Read the settings. A setting that is left out gets its default."""
        fields = YamlMap(file.tenancies[self._name], file.defaults)
        settings = given_fields(model.PlainSettings, fields)
        for name in ("owns", "protect"):
            if isinstance(fields.get(name), YamlList):
                settings[name] = frozenset(fields[name])
        limit = fields.get("limits", YamlMap()).get("unsubscribe")
        if limit is not None:
            settings["limit"] = model.UnsubscribeLimit.read(limit)
        if "credentials" in fields:
            login = fields["credentials"]
            refs = {}
            for name in login:
                refs[name] = self._reference(login, name, model.CREDENTIALS[name])
            settings["credentials"] = model.CredentialRefs(**refs)
        for name in ("server", "tenant"):
            if name in fields and (text := self._text(fields, name)):
                settings[name] = text
        return Settings(**settings)

    def _subscription(
        self, name: str, where: model.Location, layers: Sequence[YamlMap]
    ) -> SubscriptionDeclaration | None:
        """Read a subscription. If that is impossible, problems are noted.

        `layers`: its own fields, those of the default subscription of its name, and the defaults.
        """
        layers = [layer for layer in layers if layer]
        fields = layers[0] if len(layers) == 1 else YamlMap(*layers)  # most have one: no copy
        triggers = None
        for layer in layers:
            if triggers is None:
                triggers = _read_triggers(layer, self._known_triggers, self._problems)
        missing = [] if triggers else ["trigger"]
        missing += [key for key in ("secret", "url") if key not in fields]
        for key in missing:
            self._note(f'"{name}" has no {key}', _ADVICE[key], where)
        url = self._text(fields, "url") if "url" in fields else None
        if missing or url is None or triggers is None:
            return None
        secret = self._reference(fields, "secret")
        return SubscriptionDeclaration(name, url, triggers, secret, where, **_plain_fields(fields))

    def _text(self, fields: YamlMap, key: str) -> Template | None:
        """Read a text that may hold `${NAME}`. If it is malformed, a problem is noted."""
        where = fields.places[key]
        try:
            return parse_template(self._filled_in(fields[key]), where)
        except ValueError as error:
            self._note(f"{key} has {error}", "write ${NAME}, or $$ for a dollar", where)
            return None

    def _reference(self, fields: YamlMap, key: str, noun: str = "secret") -> model.SecretRef:
        where = fields.places[key]
        ((kind, value),) = fields[key].items()
        if kind != "command":
            value = self._filled_in(value)
        if kind == "env" and not value.isidentifier():
            what = f'the tenancy "{self._name}" makes this {value}, which is no variable name'
            self._note(what, "rename the tenancy, or name the variable here", where)
        return model.SecretRef.from_json({kind: value}, where, noun, os.path.dirname(where.file))

    def _filled_in(self, text: str) -> str:
        """Fill in the name of the tenancy."""
        if "${" not in text:  # as most texts, and fast
            return text
        if "${TENANCY}" in text:
            self.variable = self._values["TENANCY"]
        return fill_in(text, self._values)

    def _note(self, what: str, fix: str, where: model.Location) -> None:
        self._problems.append(Problem(what, fix, where))


def _plain_fields(fields: YamlMap) -> dict[str, Any]:
    """Return the fields of a subscription that the plan takes unchanged; one id is a tuple, too."""
    plain = given_fields(model.PlainFields, fields)
    adopted = fields.get("adopt", ())
    plain["adopt"] = (adopted,) if isinstance(adopted, str) else tuple(adopted)
    return plain


def _read_triggers(
    fields: YamlMap, known: Names, problems: list[Problem]
) -> tuple[model.Trigger, ...] | None:
    """Read `trigger` or `triggers`, and note problems. Returns None if neither is given."""
    if "trigger" in fields:
        written = [(fields["trigger"], fields.places["trigger"])]
    elif "triggers" in fields:
        written = list(zip(fields["triggers"], fields["triggers"].places, strict=True))
    else:
        return None
    if "trigger" in fields and "triggers" in fields:
        where = fields.key_places["triggers"]
        problems.append(
            Problem("both trigger and triggers are given", "keep one of the two", where)
        )
    for name, where in written:
        if name not in known:
            shown = dict.fromkeys(model.Trigger.named(other).short for other in known)
            advice = f"known: {', '.join(shown)}; newer ones go under extra_triggers"
            fix = suggestion(name.upper(), [*known], advice)
            problems.append(Problem(f'unknown trigger "{name}"', fix, where))
    return tuple(dict.fromkeys(model.Trigger.named(name) for name, _ in written))
