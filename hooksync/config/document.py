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
    TenancyDeclaration,
    Written,
)
from hooksync.config.files import Source
from hooksync.config.references import reference_problems
from hooksync.config.resolve import judge
from hooksync.config.yaml_loader import Mark, YamlList, YamlMap, read_yaml
from hooksync.core import model
from hooksync.core.errors import FileError, Problem, suggestion
from hooksync.core.record import given_fields, replace
from hooksync.core.schema import DataPath, read_schema, schema_check
from hooksync.core.template import parse_template
from hooksync.core.urls import prefix_fault

Judge = Callable[[Sequence[TenancyDeclaration]], Iterable[Problem]]

_ADD_TRIGGER = "add trigger: INDEXED (or a different one), here or under defaults"
_ADD_REFERENCE = "add secret: {env: NAME} or {file: PATH}, here or under defaults"
# placeholder for a missing secret: that is a problem, so no document with it is returned
_MISSING = model.SecretRef("env", "")
# a message lists at most so many names, and compares no more: to compare thousands takes seconds
_MOST_LISTED = 100


def read_document(sources: Sequence[Source], judges: Sequence[Judge] = ()) -> Document:
    """Read hooks files together.

    `judges` find further problems. Raises FileError with every problem, in the order of the files.
    """
    files = [FileReader(source) for source in sources]
    triggers = _known_triggers(files)
    parts: list[TenancyDeclaration] = []
    problems: list[Problem] = []
    for file in files:
        parts += file.read(triggers)
        problems += file.problems
    tenancies = _merged(parts, problems)
    is_whole = all(file.is_whole for file in files)
    found, warnings = judge(tenancies, is_whole=is_whole)
    problems += found
    problems += reference_problems(tenancies)
    if is_whole:  # otherwise, what is missing may be in the part that could not be read
        problems += _missing_part_problems(sources, parts)
    for find in judges:
        problems += find(tenancies)
    if problems:
        raise FileError(*_in_order(problems, sources))
    return Document(tenancies, tuple(_in_order(warnings, sources)))


def _known_triggers(files: Iterable[FileReader]) -> Mapping[str, model.Trigger] | None:
    """Map each known name to its trigger. None: an unreadable file may declare more names."""
    names = [*model.TRIGGER_NAMES, *model.TRIGGER_NAMES.values()]
    for file in files:
        if () in file.damaged:
            return None
        names += sorted(file.data.get("extra_triggers", []))
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


class FileReader:
    """Reads one hooks file.

    It notes problems. After the first one, it reads on only to find more problems.
    """

    def __init__(self, source: Source) -> None:
        self.problems: list[Problem] = []
        self.data = YamlMap()  # fits the schema
        self.is_whole = False  # whether all that the file says is in the data
        # paths of tenancies and the like in which something may be missing; () is the top level
        self.damaged: set[DataPath] = {()}
        self._file = source.name
        self._folder = source.folder
        self._parse(source.data)

    def _parse(self, content: bytes) -> None:
        """Parse the file, and keep what fits the schema."""
        try:
            data, problems = read_yaml(self._file, content)
        except FileError as error:
            self.problems += error.problems
            return
        self.problems += problems
        if schema_check("hooks")(data):
            self.data = data
            self.is_whole = not problems
            self.damaged = set()
            return
        # imported only here: a file that fits the schema does not need it
        from hooksync.config.schema_errors import drop_unfit, find_schema_errors

        errors = find_schema_errors(data, self._file, read_schema("hooks"))
        places = {problem.where for problem in problems}
        self.problems += [each.problem for each in errors if each.problem.where not in places]
        self.damaged = drop_unfit(data, errors)
        self.data = data

    def read(self, triggers: Mapping[str, model.Trigger] | None) -> list[TenancyDeclaration]:
        """Read what the file says of each tenancy.

        `triggers`: the known ones by name. If it is None, every name is accepted.
        """
        self._known_triggers = triggers
        self._defaults: YamlMap = self.data.get("defaults", YamlMap())
        self._settings(self._defaults)  # notes problems of defaults, even if no tenancy uses them
        self._default_triggers = self._triggers(self._defaults)
        tenancies = self.data.get("tenancies", YamlMap())
        return [self._part(tenancies, name) for name in tenancies]

    def _part(self, tenancies: YamlMap, name: str) -> TenancyDeclaration:
        fields = tenancies[name]
        has_settings = any(key != "subscriptions" and not key.startswith("x-") for key in fields)
        entries = fields.get("subscriptions", YamlMap())
        read = (self._subscription(entries, each, name) for each in entries)
        subscriptions = tuple(filter(None, read))
        where = self._at(tenancies.key_mark(name))
        settings = self._settings(fields.filled_up(self._defaults))
        return TenancyDeclaration(
            name, settings, subscriptions, where, has_settings, "subscriptions" in fields
        )

    def _settings(self, fields: YamlMap) -> Settings:
        """Read the settings of a tenancy. A setting that is left out gets its default."""
        given = given_fields(model.PlainSettings, fields)
        prefixes = given.get("owns")
        if isinstance(prefixes, YamlList):
            given["owns"] = self._owns(prefixes)
        limit = fields.get("limits", YamlMap()).get("unsubscribe")
        if limit is not None:
            given["limit"] = model.UnsubscribeLimit.read(limit)
        if "credentials" in fields:
            login = fields["credentials"]
            refs = {name: self._reference(login, name, model.CREDENTIALS[name]) for name in login}
            given["credentials"] = model.CredentialRefs(**refs)
        server = self._text(fields, "server")
        return Settings(server=server, tenant=self._text(fields, "tenant"), **given)

    def _owns(self, prefixes: YamlList) -> model.Owns:
        owns: model.Owns = frozenset(prefixes)
        for index, prefix in enumerate(prefixes):
            fault = prefix_fault(prefix)
            if fault:
                fix = "write a URL such as https://fn.example.net/api"
                self._note(f"this prefix {fault}", fix, prefixes.places[index])
                # this problem stops the run; `all` only prevents false problems about URLs
                owns = "all"
        return owns

    def _subscription(
        self, subscriptions: YamlMap, name: str, tenancy: str
    ) -> SubscriptionDeclaration | None:
        own = subscriptions[name]
        fields = own.filled_up(self._defaults)
        mark = subscriptions.key_mark(name)
        triggers = self._triggers(own)
        if triggers is None:
            triggers = self._default_triggers
        path = ("tenancies", tenancy, "subscriptions", name)
        if self.damaged.isdisjoint([(), ("defaults",), path]):
            if triggers is None:
                self._note(f'"{name}" has no trigger', _ADD_TRIGGER, mark)
            if "secret" not in fields:
                self._note(f'"{name}" has no secret', _ADD_REFERENCE, mark)
        url = self._text(fields, "url")
        if url is None:
            return None
        secret = self._reference(fields, "secret") if "secret" in fields else _MISSING
        plain = given_fields(model.PlainFields, fields)
        return SubscriptionDeclaration(name, url, triggers or (), secret, self._at(mark), **plain)

    def _text(self, fields: YamlMap, key: str) -> Written | None:
        """Read a text that may hold `${NAME}`.

        Returns None if the key is missing, or if the text is malformed. The latter is noted.
        """
        if key not in fields:
            return None
        mark = fields.value_mark(key)
        try:
            return Written(parse_template(fields[key]), self._at(mark))
        except ValueError as error:
            self._note(f"{key} has {error}", "write ${NAME}, or $$ for a dollar", mark)
            return None

    def _reference(self, fields: YamlMap, key: str, noun: str = "secret") -> model.SecretRef:
        where = self._at(fields.value_mark(key))
        return model.SecretRef.read(fields[key], where, noun, self._folder)

    def _triggers(self, fields: YamlMap) -> tuple[model.Trigger, ...] | None:
        """Read `trigger` or `triggers`. Returns None if neither is given."""
        if "trigger" in fields:
            written = [(fields["trigger"], fields.value_mark("trigger"))]
        elif "triggers" in fields:
            written = list(zip(fields["triggers"], fields["triggers"].places, strict=True))
        else:
            return None
        known = self._known_triggers
        found: list[model.Trigger] = []
        for name, mark in written:
            trigger = model.Trigger.named(name)
            if known is not None and name not in known:
                self._note(f'unknown trigger "{name}"', _trigger_advice(name, known), mark)
            elif trigger in found:
                what = f'trigger "{trigger.short}" is listed twice'
                self._note(what, "keep one of the two", mark)
            else:
                found.append(trigger)
        return tuple(found)

    def _at(self, mark: Mark) -> model.Location:
        return model.Location(self._file, *mark)

    def _note(self, what: str, fix: str, mark: Mark) -> None:
        self.problems.append(Problem(what, fix, self._at(mark)))


def _trigger_advice(name: str, known: Mapping[str, model.Trigger]) -> str:
    """Advise on an unknown name: what may have been meant, and which names are known."""
    shown = list(dict.fromkeys(trigger.short for trigger in known.values()))[:_MOST_LISTED]
    advice = f"known: {', '.join(shown)}; newer ones go under extra_triggers"
    return suggestion(name.upper(), list(known)[:_MOST_LISTED], advice)
