"""Read hooks files into one document, and report all problems.

The caller has loaded the files. This module reads only the packaged schema, and the files whose
defaults other files take. The module `resolve` judges servers and URLs.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from hooksync.config.checked_yaml import read_checked
from hooksync.config.declarations import (
    Declarations,
    TenancyDeclaration,
    WrittenSubscription,
    name_values,
    reference_problems,
)
from hooksync.config.files import Source, read_defaults
from hooksync.config.yaml_loader import YamlMap
from hooksync.core import model
from hooksync.core.errors import MOST_PROBLEMS, FileError, Problem, suggestion
from hooksync.core.record import given_fields, replace
from hooksync.core.template import Template, fill_in

_MOST_EXTRA = 100  # extra triggers of all files; `schemas/hooks.schema.json` has it for one file

Judge = Callable[[Declarations], Iterable[Problem]]

# a file without such a line is no hooks file
_VERSION = re.compile(
    rb"""^[^\w\n]*version["']?[ \t]*:[ \t]*1[ \t]*(?:[#,}\r\n]|\Z)""", re.MULTILINE
)
_DEFAULTS_FIX = "name a hooks file that contains `version: 1` and the values of its `defaults`"

# how to add a field that a subscription lacks
_ADVICE = {
    "trigger": "add trigger: INDEXED (or a different one), here or under defaults",
    "secret": "add secret: {env: NAME} or {file: PATH}, here or under defaults",
    "url": "write url: https://fn.example.net/api/hook, here or in the default subscription",
}


def read_tenancies(
    sources: Sequence[Source],
    judges: Sequence[Judge] = (),
    read: Callable[[str], Source] = read_defaults,
) -> Declarations:
    """Read hooks files together, and return the tenancies.

    `judges` find further problems; `read` reads a file whose defaults a different file takes.
    Raises FileError with every problem.
    """
    files = _Files(read)
    problems = files.problems
    for source in sources:
        files.parse(source)
    parts: defaultdict[str, list[_HooksFile]] = defaultdict(list)
    for source in sources:
        file = files.with_defaults(source.name)
        for name in file.tenancies:
            parts[name].append(file)
    if not problems:
        tenancies = tuple(_TenancyReader(name, files).read(parts[name]) for name in parts)
        if not tenancies:
            where = model.Location(sources[0].name, 1, 1) if sources else None
            problems.append(Problem("no tenancy is declared", "write one under tenancies", where))
        problems += _twins(tenancies)
        problems += reference_problems(tenancies)
        for find in judges:
            problems += find(tenancies)
    if problems:
        raise FileError.of(problems)
    return tenancies


def _twins(declarations: Declarations) -> Iterator[Problem]:
    """Refuse two declarations with the same server and tenant, as they are written.

    `reconcile/run.py` compares what they mean. With the same ${TENANCY}, they would share secrets.
    """
    seen: dict[object, TenancyDeclaration] = {}
    for declaration in declarations:
        same: dict[str, object] = {"server and tenant": (declaration.server, declaration.tenant)}
        if declaration.variable:
            same["${TENANCY}"] = declaration.variable
        for what, value in same.items():
            first = seen.setdefault(value, declaration)
            if first is not declaration:
                what = f'tenancy "{declaration.name}" has the {what} of "{first.name}"'
                yield Problem(
                    f"{what} ({first.location})",
                    "rename one of the two, or put their subscriptions under one name",
                    declaration.location,
                )


class _HooksFile(NamedTuple):
    """The tenancies of one file, and the defaults that it takes."""

    tenancies: YamlMap
    defaults: YamlMap
    names: tuple[str, ...]  # of the file; then, if there is one, of the file with its defaults


class _Files:
    """The parsed hooks files of a run, their triggers, and all problems."""

    def __init__(self, read: Callable[[str], Source]) -> None:
        self.problems: list[Problem] = []
        self._read = read
        self._parsed: dict[str, YamlMap] = {}  # by path; empty if it has problems
        self._extra: set[str] = set()  # triggers
        self._accepted = {*model.TRIGGER_NAMES.values()}  # triggers, also those that are reported

    def note(self, what: str, fix: str, where: model.Location) -> None:
        """Note a problem."""
        self.problems.append(Problem(what, fix, where))

    def parse(self, source: Source) -> None:
        """Parse one file. A file with problems counts as empty."""
        data = YamlMap()
        try:
            data = read_checked("hooks", source.name, source.data)
        except FileError as error:
            self.problems += error.problems
        self._parsed[os.path.normpath(source.name)] = data
        extra = data.get("extra_triggers", ())
        self._extra.update(extra)
        self._accepted.update(extra)
        if extra and len(self._extra) > _MOST_EXTRA:
            self.note(
                f"all files together have more than {_MOST_EXTRA} extra_triggers",
                "remove those that no subscription uses",
                data.place("extra_triggers"),
            )

    def with_defaults(self, name: str) -> _HooksFile:
        """Find the defaults of a file. If that is impossible, a problem is noted."""
        data = self._parsed[os.path.normpath(name)]
        tenancies = data.get("tenancies", YamlMap())
        defaults = data.get("defaults", YamlMap())
        if isinstance(defaults, YamlMap):
            return _HooksFile(tenancies, defaults, (name,))
        where = data.place("defaults")
        path = os.path.normpath(os.path.join(os.path.dirname(name), defaults))
        try:
            if path not in self._parsed:
                source = self._read(path)
                if not _VERSION.search(source.data):  # messages quote the keys of a hooks file
                    raise FileError("`defaults` names no hooks file", _DEFAULTS_FIX)
                self.parse(source)
        except FileError as error:
            self.problems += [replace(problem, where=where) for problem in error.problems]
            return _HooksFile(tenancies, YamlMap(), (name,))
        shared = self._parsed[path].get("defaults", YamlMap())
        if isinstance(shared, str):
            self.note(f"{path} has no defaults of its own", _DEFAULTS_FIX, where)
        return _HooksFile(tenancies, shared, (name, path))

    def trigger(self, name: str, fields: YamlMap, key: str) -> model.Trigger:
        """Read the name of a trigger, in either spelling. An unknown name is noted once."""
        trigger = model.Trigger.named(name)
        if trigger not in self._accepted:
            self._accepted.add(trigger)
            shown = [*model.TRIGGER_NAMES, *sorted(self._extra)]
            advice = f"known: {', '.join(shown)}; newer ones go under extra_triggers"
            if len(self.problems) < MOST_PROBLEMS:  # a suggestion takes time
                advice = suggestion(name.upper(), [*shown, *model.TRIGGER_NAMES.values()], advice)
            self.note(f'unknown trigger "{name}"', advice, fields.place(key))
        return trigger


class _TenancyReader:
    """Reads what files, which fit the schema, declare of one tenancy."""

    def __init__(self, name: str, files: _Files) -> None:
        self._name = name
        self._files = files
        self._values = name_values(name)
        self._places: dict[str, model.Location] = {}  # of its subscriptions
        self._variable = ""  # the value of ${TENANCY}, if a text contains it

    def read(self, files: Sequence[_HooksFile]) -> TenancyDeclaration:
        """Read the tenancy from the files that declare a part of it."""
        where, settings = self._read_settings(files)
        if not any("subscriptions" in file.tenancies[self._name] | file.defaults for file in files):
            self._files.note(
                f'tenancy "{self._name}" has no subscriptions',
                "declare its subscriptions, under `subscriptions:`",
                where,
            )
        names: dict[str, None] = {}
        declared: list[WrittenSubscription] = []
        for file in files:
            names.update(dict.fromkeys(file.names))
            declared += self._read_subscriptions(file)
        if not settings.get("enabled", True):
            declared = [replace(subscription, enabled=False) for subscription in declared]
        subscriptions = tuple(declared)
        return TenancyDeclaration(
            self._name, subscriptions, where, tuple(names), self._variable, **settings
        )

    def _read_subscriptions(self, file: _HooksFile) -> Iterator[WrittenSubscription]:
        """Read the subscriptions of a file, merged over its default ones."""
        none = YamlMap()
        common = file.defaults.get("subscriptions", none)
        for layer in (file.defaults, *common.values()):  # also those that no subscription takes
            self._triggers_of(layer)
        entries = YamlMap(file.tenancies[self._name].get("subscriptions", none), common)
        for name, fields in entries.items():
            here = entries.place(name)
            first = self._places.setdefault(name, here)
            if first is here:
                layers = (fields, common.get(name, none), file.defaults)
                yield from self._read_subscription(name, here, layers)
            elif first != here:  # two files may take one default subscription
                self._files.note(
                    f'subscription "{name}" is declared twice; the other place is {first}',
                    "rename one of the two, or remove it",
                    here,
                )

    def _read_settings(self, files: Sequence[_HooksFile]) -> tuple[model.Location, dict[str, Any]]:
        """Read the settings from the file that has some, and return where that is.

        If none has settings, the defaults of all must give the same.
        """
        with_settings = [*filter(self._has_settings, files)]
        deciding, *others = with_settings or files
        where = deciding.tenancies.place(self._name)
        settings = self._settings_of(deciding)
        for file in others:
            if with_settings or self._settings_of(file) != settings:
                what = f'two files give tenancy "{self._name}" settings; the other place is {where}'
                here = file.tenancies.place(self._name)
                self._files.note(what, "write its settings in one of the files", here)
        return where, settings

    def _has_settings(self, file: _HooksFile) -> bool:
        """Whether the file has more of the tenancy than subscriptions and notes."""
        fields = file.tenancies[self._name]
        return any(key != "subscriptions" and not key.startswith("x-") for key in fields)

    def _read_subscription(
        self, name: str, where: model.Location, layers: Sequence[YamlMap]
    ) -> Iterator[WrittenSubscription]:
        """Yield a subscription for each of its triggers. If that is impossible, note problems.

        `layers`: its own fields, those of the default subscription of its name, and the defaults.
        """
        fields = YamlMap(*layers) if any(layers[1:]) else layers[0]  # most have one: no copy
        triggers = next(filter(None, map(self._triggers_of, layers)), {})
        missing = [] if triggers else ["trigger"]
        missing += [key for key in ("secret", "url") if key not in fields]
        for key in missing:
            self._files.note(f'"{name}" has no {key}', _ADVICE[key], where)
        if missing:
            return
        url = self._text(fields, "url")
        secret = self._reference(fields, "secret")
        plain = given_fields(model.PlainFields, fields)
        adopted = fields.get("adopt", ())
        plain["adopt"] = (adopted,) if isinstance(adopted, str) else tuple(adopted)
        for trigger in triggers:
            yield model.Declaration(self._name, name, url, trigger, secret, where, **plain)

    def _triggers_of(self, fields: YamlMap) -> dict[model.Trigger, None]:
        """Read `trigger` and `triggers`, each once."""
        triggers: dict[model.Trigger, None] = {}
        for key in ("trigger", "triggers"):
            names = fields.get(key, ())
            for name in [names] if isinstance(names, str) else names:
                triggers[self._files.trigger(name, fields, key)] = None
        return triggers

    def _settings_of(self, file: _HooksFile) -> dict[str, Any]:
        """Read the settings. A setting that is left out gets its default."""
        fields = YamlMap(file.tenancies[self._name], file.defaults)
        settings = given_fields(model.PlainSettings, fields)
        for name in ("owns", "protect"):
            if isinstance(fields.get(name), list):
                settings[name] = frozenset(fields[name])
        limit = fields.get("limits", YamlMap()).get("unsubscribe")
        if limit is not None:
            settings["limit"] = model.UnsubscribeLimit(limit)
        if "credentials" in fields:
            login = fields["credentials"]
            refs = {}
            for name in login:
                refs[name] = self._reference(login, name, model.CREDENTIALS[name])
            settings["credentials"] = model.CredentialRefs(**refs)
        for name in ("server", "tenant"):
            if name in fields:
                settings[name] = self._text(fields, name)
        return settings

    def _text(self, fields: YamlMap, key: str) -> Template:
        """Read a text that may hold `${NAME}`."""
        return Template(self._filled_in(fields[key]), fields.place(key))

    def _reference(self, fields: YamlMap, key: str, noun: str = "secret") -> model.SecretRef:
        """Read where a secret is, with `${tenancy}` and `${TENANCY}` filled in."""
        where = fields.place(key)
        ((kind, value),) = fields[key].items()
        value = tuple(value) if kind == "command" else self._filled_in(value)
        folder = os.path.dirname(where.file) if kind == "file" else ""
        return model.SecretRef(kind, value, where, folder, noun=noun)

    def _filled_in(self, text: str) -> str:
        """Fill in the name of the tenancy."""
        if "${" not in text:  # as most texts, and fast
            return text
        if "${TENANCY}" in text:
            self._variable = self._values["TENANCY"]
        return fill_in(text, self._values)
