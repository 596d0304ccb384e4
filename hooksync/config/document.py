"""Read hooks files into one document, check it without the environment, report all problems.

The caller has loaded the files: this module reads only the packaged schema from disk. Rules about
one subscription and its defaults are checked while its file is read. Rules that compare
subscriptions, tenancies or files are checked after all files were read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from hooksync.config.declarations import (
    Document,
    Settings,
    SubscriptionDeclaration,
    TemplateAt,
    TenancyDeclaration,
)
from hooksync.config.files import Source
from hooksync.config.references import reference_problems
from hooksync.config.resolve import check_entries
from hooksync.config.yaml_loader import Mark, YamlList, YamlMap, read_yaml
from hooksync.core import model
from hooksync.core.errors import FileError, Problem, suggestion
from hooksync.core.record import given_fields, replace
from hooksync.core.schema import is_certain_to_fit, read_schema
from hooksync.core.template import parse_template
from hooksync.core.urls import prefix_fault

Judge = Callable[[Sequence[TenancyDeclaration]], Iterable[Problem]]

_ADD_TRIGGER = "add trigger: INDEXED (or a different one), here or under defaults"
_ADD_REFERENCE = "add secret: {env: NAME} or {file: PATH}, here or under defaults"
# a message lists at most so many names, and compares no more: to compare thousands takes seconds
_MOST_LISTED = 100


def read_document(sources: Sequence[Source], judges: Sequence[Judge] = ()) -> Document:
    """Read hooks files together.

    `judges` find further problems. Raises FileError with every problem, in the order of the files.
    """
    problems: list[Problem] = []
    files = []
    for source in sources:
        try:
            files.append(_parse(source))
        except FileError as error:
            problems += error.problems
    if problems:
        raise FileError(*_in_order(problems, sources))
    triggers = _known_triggers(files)
    parts: list[TenancyDeclaration] = []
    for source, data in zip(sources, files, strict=True):
        reader = _FileReader(source, data, triggers)
        parts += reader.read()
        problems += reader.problems
    tenancies = _merged(parts, problems)
    faults, warnings = check_entries(tenancies)
    problems += faults
    problems += reference_problems(tenancies)
    problems += _missing_part_problems(sources, parts)
    for find in judges:
        problems += find(tenancies)
    if problems:
        raise FileError(*_in_order(problems, sources))
    return Document(tenancies, tuple(_in_order(warnings, sources)))


def _parse(source: Source) -> YamlMap:
    """Parse a file. Raises FileError with everything that breaks YAML or the schema.

    The other rules are checked only in files that break neither: to check them in what is left of
    a broken file would report what is not wrong.
    """
    data, problems = read_yaml(source.name, source.data)
    if problems or not is_certain_to_fit("hooks", data):
        # imported only here: a file that fits the schema does not need it
        from hooksync.config.schema_errors import find_schema_errors

        places = {problem.where for problem in problems}
        errors = find_schema_errors(data, source.name, read_schema("hooks"))
        problems += tuple(problem for problem in errors if problem.where not in places)
    if problems:
        raise FileError(*problems)
    return data


def _known_triggers(files: Iterable[YamlMap]) -> Mapping[str, model.Trigger]:
    """Map each known name to its trigger."""
    names = [*model.TRIGGER_NAMES, *model.TRIGGER_NAMES.values()]
    for data in files:
        names += sorted(data.get("extra_triggers", []))
    return {name: model.Trigger.named(name) for name in names}


def _missing_part_problems(
    sources: Sequence[Source], parts: Sequence[TenancyDeclaration]
) -> Iterator[Problem]:
    if not parts:
        where = model.Location(sources[0].name, 1, 1) if sources else None
        yield Problem("no tenancy is declared", "write one under tenancies", where)
    declared = {part.name for part in parts if part.has_subscriptions}
    for part in parts:
        if part.name not in declared:
            declared.add(part.name)
            fix = "declare its subscriptions, under `subscriptions:`"
            yield Problem(f'tenancy "{part.name}" has no subscriptions', fix, part.location)


def _in_order(problems: Iterable[Problem], sources: Sequence[Source]) -> list[Problem]:
    """Sort by place, with the files in the order of the command line.

    If a YAML alias repeats a problem, it is reported once.
    """
    order = {source.name: index for index, source in enumerate(sources)}

    def place(problem: Problem) -> tuple[int, model.Location]:
        where = problem.where or model.Location("", 0, 0)
        return order.get(where.file, 0), where

    return sorted(dict.fromkeys(problems), key=place)


def _merged(
    parts: Iterable[TenancyDeclaration], problems: list[Problem]
) -> tuple[TenancyDeclaration, ...]:
    """Merge the parts of each tenancy. If two parts declare the same, a problem is noted."""
    spread: defaultdict[str, list[TenancyDeclaration]] = defaultdict(list)
    for part in parts:
        spread[part.name].append(part)
    tenancies = []
    for of_one in spread.values():
        main = next((part for part in of_one if part.has_settings), of_one[0])
        problems += _settings_problems(of_one, main)
        declared: dict[str, SubscriptionDeclaration] = {}
        for entry in [entry for part in of_one for entry in part.subscriptions]:
            first = declared.setdefault(entry.name, entry)
            if first is not entry:
                what = f'subscription "{entry.name}" is declared twice'
                fix = "rename one of the two, or remove it"
                problems.append(_twice(what, fix, entry.location, first.location))
        tenancies.append(replace(main, subscriptions=tuple(declared.values())))
    return tuple(tenancies)


def _settings_problems(
    parts: Sequence[TenancyDeclaration], main: TenancyDeclaration
) -> Iterator[Problem]:
    """Refuse a part that declares settings beside the main part, or gets different defaults."""
    for part in parts:
        if part is not main and part.has_settings:
            what = f'tenancy "{main.name}" has settings in two files'
            fix = "keep all but the subscriptions in one file"
        elif not main.has_settings and part.settings != main.settings:
            what = f'the defaults of two files give tenancy "{main.name}" different settings'
            fix = "write its settings in one of the files"
        else:
            continue
        yield _twice(what, fix, part.location, main.location)


def _twice(what: str, fix: str, here: model.Location, other: model.Location) -> Problem:
    return Problem(f"{what}; the other place is {other}", fix, here)


class _FileReader:
    """Reads one hooks file that fits the schema. It notes the problems that it finds."""

    def __init__(
        self, source: Source, data: YamlMap, triggers: Mapping[str, model.Trigger]
    ) -> None:
        """`triggers`: the known ones by name."""
        self.problems: list[Problem] = []
        self._file = source.name
        self._folder = source.folder
        self._known_triggers = triggers
        self._tenancies: YamlMap = data.get("tenancies", YamlMap())
        self._defaults: YamlMap = data.get("defaults", YamlMap())

    def read(self) -> list[TenancyDeclaration]:
        """Read what the file says of each tenancy."""
        self._settings(self._defaults)  # notes problems of defaults, even if no tenancy uses them
        self._default_triggers = self._triggers(self._defaults)
        return [self._part(self._tenancies, name) for name in self._tenancies]

    def _part(self, tenancies: YamlMap, name: str) -> TenancyDeclaration:
        fields = tenancies[name]
        has_settings = any(key != "subscriptions" and not key.startswith("x-") for key in fields)
        entries = fields.get("subscriptions", YamlMap())
        read = (self._subscription(entries, entry) for entry in entries)
        subscriptions = tuple(filter(None, read))
        where = self._at(tenancies.key_mark(name))
        settings = self._settings(fields.filled_up(self._defaults))
        return TenancyDeclaration(
            name, settings, subscriptions, where, has_settings, "subscriptions" in fields
        )

    def _settings(self, fields: YamlMap) -> Settings:
        """Read the settings of a tenancy. A setting that is left out gets its default."""
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
        server = self._text(fields, "server")
        return Settings(server=server, tenant=self._text(fields, "tenant"), **settings)

    def _are_prefixes(self, prefixes: YamlList) -> bool:
        """Whether all items are valid prefixes of URLs. A problem is noted for each other one."""
        before = len(self.problems)
        for prefix, mark in zip(prefixes, prefixes.places, strict=True):
            if fault := prefix_fault(prefix):
                fix = "write a URL such as https://fn.example.net/api"
                self._note(f"this prefix {fault}", fix, mark)
        return len(self.problems) == before

    def _subscription(self, subscriptions: YamlMap, name: str) -> SubscriptionDeclaration | None:
        own = subscriptions[name]
        fields = own.filled_up(self._defaults)
        mark = subscriptions.key_mark(name)
        triggers = self._triggers(own)
        if triggers is None:
            triggers = self._default_triggers
        if triggers is None:
            self._note(f'"{name}" has no trigger', _ADD_TRIGGER, mark)
        if "secret" not in fields:
            self._note(f'"{name}" has no secret', _ADD_REFERENCE, mark)
            return None
        url = self._text(fields, "url")
        if url is None:
            return None
        secret = self._reference(fields, "secret")
        plain = given_fields(model.PlainFields, fields)
        adopted = fields.get("adopt", ())
        plain["adopt"] = (adopted,) if isinstance(adopted, str) else tuple(adopted)
        return SubscriptionDeclaration(name, url, triggers or (), secret, self._at(mark), **plain)

    def _text(self, fields: YamlMap, key: str) -> TemplateAt | None:
        """Read a text that may hold `${NAME}`.

        Returns None if the key is missing, or if the text is malformed. The latter is noted.
        """
        if key not in fields:
            return None
        mark = fields.value_mark(key)
        try:
            return TemplateAt(parse_template(fields[key]), self._at(mark))
        except ValueError as error:
            self._note(f"{key} has {error}", "write ${NAME}, or $$ for a dollar", mark)
            return None

    def _reference(self, fields: YamlMap, key: str, noun: str = "secret") -> model.SecretRef:
        where = self._at(fields.value_mark(key))
        return model.SecretRef.read(fields[key], where, noun, self._folder)

    def _triggers(self, fields: YamlMap) -> tuple[model.Trigger, ...] | None:
        """Read `trigger` or `triggers`. Returns None if neither is given."""
        if "trigger" in fields and "triggers" in fields:
            mark = fields.key_mark("triggers")
            self._note("both trigger and triggers are given", "keep one of the two", mark)
        if "trigger" in fields:
            written = [(fields["trigger"], fields.value_mark("trigger"))]
        elif "triggers" in fields:
            written = list(zip(fields["triggers"], fields["triggers"].places, strict=True))
        else:
            return None
        known_triggers = self._known_triggers
        triggers: list[model.Trigger] = []
        for name, mark in written:
            trigger = model.Trigger.named(name)
            if name not in known_triggers:
                self._note(f'unknown trigger "{name}"', _trigger_advice(name, known_triggers), mark)
            elif trigger in triggers:
                what = f'trigger "{trigger.short}" is listed twice'
                self._note(what, "keep one of the two", mark)
            else:
                triggers.append(trigger)
        return tuple(triggers)

    def _at(self, mark: Mark) -> model.Location:
        return model.Location(self._file, *mark)

    def _note(self, what: str, fix: str, mark: Mark) -> None:
        self.problems.append(Problem(what, fix, self._at(mark)))


def _trigger_advice(name: str, known: Mapping[str, model.Trigger]) -> str:
    """Advise on an unknown name: what may have been meant, and which names are known."""
    shown = list(dict.fromkeys(trigger.short for trigger in known.values()))[:_MOST_LISTED]
    advice = f"known: {', '.join(shown)}; newer ones go under extra_triggers"
    return suggestion(name.upper(), list(known)[:_MOST_LISTED], advice)
