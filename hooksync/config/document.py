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
    in_order,
    name_values,
    reference_problems,
)
from hooksync.config.files import Source, follow_links, read_defaults
from hooksync.config.yaml_loader import YamlList, YamlMap
from hooksync.core import model
from hooksync.core.errors import MOST_PROBLEMS, FileError, Problem, suggestion
from hooksync.core.record import given_fields, replace
from hooksync.core.template import Template, fill_in, parse_template

_MOST_EXTRA = 100  # extra triggers of all files; `schemas/hooks.schema.json` has it for one file

Judge = Callable[[Declarations], Iterable[Problem]]
Read = Callable[[str], Source]

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
    read: Read = read_defaults,
    identify: Callable[[str], str] = follow_links,
) -> Declarations:
    """Read hooks files together, and return the tenancies.

    `judges` find further problems; `read` reads a file whose defaults a different file takes;
    `identify` returns the same text for all paths of one file. Raises FileError with every problem.
    """
    files = _Files(sources, read, identify)
    problems = files.problems
    if not problems:
        tenancies = files.read_all()
        if not tenancies:
            where = model.Location(sources[0].name, 1, 1) if sources else None
            problems.append(Problem("no tenancy is declared", "write one under tenancies", where))
        problems += _same_tenancy_problems(tenancies)
        problems += reference_problems(tenancies)
        for find in judges:
            problems += find(tenancies)
    if problems:
        raise FileError(*in_order(problems))
    return tenancies


def _same_tenancy_problems(declarations: Declarations) -> Iterator[Problem]:
    """Refuse two declarations with the same server and tenant, as they are written.

    `reconcile/run.py` compares what they mean.
    """
    seen: dict[object, TenancyDeclaration] = {}
    for declaration in declarations:
        first = seen.setdefault((declaration.server, declaration.tenant), declaration)
        if first is not declaration:
            same = f'the server and tenant of "{first.name}" ({first.location})'
            what = f'tenancy "{declaration.name}" has {same}'
            yield Problem(what, "put their subscriptions under one name", declaration.location)


class _HooksFile(NamedTuple):
    """The tenancies of one file, and the defaults that it takes."""

    tenancies: YamlMap
    defaults: YamlMap
    names: tuple[str, ...]  # of the file; then, if there is one, of the file with its defaults


class _Files:
    """The parsed hooks files of a run, and the problems that break YAML or the schema."""

    def __init__(
        self, sources: Sequence[Source], read: Read, identify: Callable[[str], str]
    ) -> None:
        self._identify = identify
        self.parsed: dict[str, YamlMap] = {}  # by path; empty if it has problems
        self.problems: list[Problem] = []
        for source in sources:
            self._parse(source)
        self.files = [self._with_defaults(source.name, read) for source in sources]

    def _parse(self, source: Source) -> None:
        """Parse one file. A file with problems counts as empty."""
        data = YamlMap()
        try:
            data = read_checked("hooks", source.name, source.data)
        except FileError as error:
            self.problems += error.problems
        self.parsed[self._identify(source.name)] = data

    def _with_defaults(self, name: str, read: Read) -> _HooksFile:
        """Find the defaults of a file. If that is impossible, a problem is noted."""
        data = self.parsed[self._identify(name)]
        tenancies = data.get("tenancies", YamlMap())
        defaults = data.get("defaults", YamlMap())
        if isinstance(defaults, YamlMap):
            return _HooksFile(tenancies, defaults, (name,))
        where = data.place("defaults")
        path = os.path.join(os.path.dirname(name), defaults)
        identity = self._identify(path)
        try:
            if identity not in self.parsed:
                source = read(path)
                if not _VERSION.search(source.data):  # messages quote the keys of a hooks file
                    raise FileError(Problem("`defaults` names no hooks file", _DEFAULTS_FIX))
                self._parse(source)
        except FileError as error:
            self.problems += [replace(problem, where=where) for problem in error.problems]
            return _HooksFile(tenancies, YamlMap(), (name,))
        shared = self.parsed[identity].get("defaults", YamlMap())
        if isinstance(shared, str):
            what = f"{path} has no defaults of its own"
            self.problems.append(Problem(what, _DEFAULTS_FIX, where))
        return _HooksFile(tenancies, shared, (name, path))

    def read_all(self) -> Declarations:
        """Read the tenancies, each from all files that declare a part of it; note the problems."""
        triggers = _Triggers(self.parsed.values(), self.problems)
        parts: defaultdict[str, list[_HooksFile]] = defaultdict(list)
        for file in self.files:
            for name in file.tenancies:
                parts[name].append(file)
        tenancies = []
        with_variable: dict[str, TenancyDeclaration] = {}  # by value of ${TENANCY}
        for name, of_one in parts.items():
            reader = _TenancyReader(name, triggers, self.problems)
            tenancy = reader.read(of_one)
            tenancies.append(tenancy)
            first = with_variable.setdefault(reader.variable, tenancy)
            if reader.variable and first is not tenancy:  # they would share secrets
                same = f"have the same ${{TENANCY}}, {reader.variable}"
                what = f'"{first.name}" and "{name}" {same}; the other place is {first.location}'
                self.problems.append(Problem(what, "rename one of the two", tenancy.location))
        return tuple(tenancies)


class _Triggers:
    """The names of triggers that the files may use."""

    def __init__(self, files: Iterable[YamlMap], problems: list[Problem]) -> None:
        """`problems`: where problems are noted."""
        extra: set[str] = set()
        for data in files:
            extra.update(data.get("extra_triggers", []))
            if len(extra) > _MOST_EXTRA:
                what = f"all files together have more than {_MOST_EXTRA} extra_triggers"
                where = data.place("extra_triggers")
                problems.append(Problem(what, "remove those that no subscription uses", where))
                break
        self._problems = problems
        self._known = [*model.TRIGGER_NAMES, *model.TRIGGER_NAMES.values(), *sorted(extra)]
        self._accepted = set(self._known)

    def read(self, holder: Any, key: str | int) -> model.Trigger:
        """Read the name of a trigger, in either spelling. An unknown name is noted once."""
        name = holder[key]
        trigger = model.Trigger.named(name)
        if name not in self._accepted:
            self._accepted.add(name)
            shown = dict.fromkeys(model.Trigger.named(known).short for known in self._known)
            advice = f"known: {', '.join(shown)}; newer ones go under extra_triggers"
            if len(self._problems) < MOST_PROBLEMS:  # a suggestion takes time
                advice = suggestion(name.upper(), self._known, advice)
            what = f'unknown trigger "{name}"'
            self._problems.append(Problem(what, advice, holder.place(key)))
        return trigger


class _TenancyReader:
    """Reads what files, which fit the schema, declare of one tenancy."""

    def __init__(self, name: str, triggers: _Triggers, problems: list[Problem]) -> None:
        """`problems`: where the reader notes the problems that it finds."""
        self.variable = ""  # the value of ${TENANCY}, if a text contains it
        self._name = name
        self._values = name_values(name)
        self._triggers = triggers
        self._problems = problems
        self._has_subscriptions = False
        self._is_enabled = True
        self._places: dict[str, model.Location] = {}  # of the subscriptions
        self._declared: dict[tuple[str, model.Trigger], WrittenSubscription] = {}

    def read(self, files: Sequence[_HooksFile]) -> TenancyDeclaration:
        """Read the tenancy from the files that declare a part of it.

        The file that has settings decides its settings and default subscriptions. If none has
        settings, the defaults of all must give the same.
        """
        with_settings = [*filter(self._has_settings, files)]
        deciding = with_settings or files
        where = deciding[0].tenancies.key_place(self._name)
        settings = self._settings_of(deciding[0])
        self._is_enabled = settings.get("enabled", True)
        for file in deciding[1:]:
            if with_settings or self._settings_of(file) != settings:
                what = f'two files give tenancy "{self._name}" settings; the other place is {where}'
                here = file.tenancies.key_place(self._name)
                self._note(what, "write its settings in one of the files", here)
        names: dict[str, None] = {}
        for file in files:
            names.update(dict.fromkeys(file.names))
            self._read_subscriptions(file, takes_defaults=file in deciding)
        if not self._has_subscriptions:
            fix = "declare its subscriptions, under `subscriptions:`"
            self._note(f'tenancy "{self._name}" has no subscriptions', fix, where)
        subscriptions = tuple(self._declared.values())
        return TenancyDeclaration(self._name, subscriptions, where, tuple(names), **settings)

    def _has_settings(self, file: _HooksFile) -> bool:
        """Whether the file has more of the tenancy than subscriptions and notes."""
        fields = file.tenancies[self._name]
        return any(key != "subscriptions" and not key.startswith("x-") for key in fields)

    def _read_subscriptions(self, file: _HooksFile, *, takes_defaults: bool) -> None:
        """Read the subscriptions of a file, merged over the default ones if it takes these."""
        none = YamlMap()
        common = file.defaults.get("subscriptions", none) if takes_defaults else none
        for layer in (file.defaults, *common.values()):  # also triggers that no subscription takes
            self._triggers_of([layer])
        own = file.tenancies[self._name]
        self._has_subscriptions |= "subscriptions" in own or "subscriptions" in file.defaults
        entries = YamlMap(own.get("subscriptions", none), common)
        for name, fields in entries.items():
            here = entries.key_place(name)
            first = self._places.setdefault(name, here)
            if first != here:  # two files may take one default subscription
                what = f'subscription "{name}" is declared twice; the other place is {first}'
                self._note(what, "rename one of the two, or remove it", here)
            layers = (fields, common.get(name, none), file.defaults)
            self._read_subscription(name, here, [layer for layer in layers if layer])

    def _read_subscription(
        self, name: str, where: model.Location, layers: Sequence[YamlMap]
    ) -> None:
        """Add a subscription for each of its triggers. If that is impossible, note problems.

        `layers`: its own fields, those of the default subscription of its name, and the defaults.
        """
        fields = layers[0] if len(layers) == 1 else YamlMap(*layers)  # most have one: no copy
        triggers = self._triggers_of(layers)
        missing = [] if triggers else ["trigger"]
        missing += [key for key in ("secret", "url") if key not in fields]
        for key in missing:
            self._note(f'"{name}" has no {key}', _ADVICE[key], where)
        written = self._text(fields, "url") if "url" in fields else None
        if missing or written is None:
            return
        secret = self._reference(fields, "secret")
        plain = given_fields(model.PlainFields, fields)
        adopted = fields.get("adopt", ())
        plain["adopt"] = (adopted,) if isinstance(adopted, str) else tuple(adopted)
        if not self._is_enabled:
            plain["enabled"] = False
        for trigger in triggers:
            self._declared[name, trigger] = WrittenSubscription(
                self._name, name, written, trigger, secret, where, **plain
            )

    def _triggers_of(self, layers: Sequence[YamlMap]) -> list[model.Trigger]:
        """Read `trigger` or `triggers` of the first fields that have one of them."""
        for fields in layers:
            if "trigger" in fields and "triggers" in fields:
                what = "both trigger and triggers are given"
                self._note(what, "keep one of the two", fields.key_place("triggers"))
            if "trigger" in fields:
                return [self._triggers.read(fields, "trigger")]
            if "triggers" in fields:
                names = fields["triggers"]
                return [self._triggers.read(names, index) for index in range(len(names))]
        return []

    def _settings_of(self, file: _HooksFile) -> dict[str, Any]:
        """Read the settings. A setting that is left out gets its default."""
        fields = YamlMap(file.tenancies[self._name], file.defaults)
        settings = given_fields(model.PlainSettings, fields)
        for name in ("owns", "protect"):
            if isinstance(fields.get(name), YamlList):
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
            if name in fields and (text := self._text(fields, name)):
                settings[name] = text
        return settings

    def _text(self, fields: YamlMap, key: str) -> Template | None:
        """Read a text that may hold `${NAME}`. If it is malformed, a problem is noted."""
        where = fields.place(key)
        try:
            return parse_template(self._filled_in(fields[key]), where)
        except ValueError as error:
            self._note(f"{key} has {error}", "write ${NAME}, or $$ for a dollar", where)
            return None

    def _reference(self, fields: YamlMap, key: str, noun: str = "secret") -> model.SecretRef:
        """Read where a secret is, with `${tenancy}` and `${TENANCY}` filled in."""
        where = fields.place(key)
        ((kind, value),) = fields[key].items()
        if kind != "command":
            value = self._filled_in(value)
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
