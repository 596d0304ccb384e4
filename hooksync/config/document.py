"""Hooks files -> one document, checked as far as that is possible without the environment; all problems at once.

The files are read already; of the disk, only the packaged schema is read.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import cast

from hooksync.config.declarations import (
    Document,
    Settings,
    SubscriptionDeclaration,
    TenancyDeclaration,
    Written,
    duplicate_subscription_problems,
    duplicate_tenancy_problems,
    http_warning,
    ownership_problem,
    tenancy_identity,
    url_identity,
)
from hooksync.config.files import Source
from hooksync.config.reader import FileReader, TenancyPart, TriggerCatalog, read_parts
from hooksync.config.yaml_loader import parser_warning, read_yaml
from hooksync.config.yaml_nodes import YamlMap
from hooksync.core.errors import FileError, Problem
from hooksync.core.model import Location
from hooksync.core.record import Record
from hooksync.core.schema import read_schema, schema_check
from hooksync.core.template import Template
from hooksync.core.urls import outline


class _File(Record, frozen=True):
    """One file, as far as it can be read."""

    reader: FileReader
    data: YamlMap  # fits the schema
    is_whole: bool = True  # whether all that the file says is in the data
    has_all_triggers: bool = True  # whether all that it says of extra_triggers is


def read_document(sources: Sequence[Source]) -> Document:
    """Read hooks files together. Raises FileError with every problem, in the order of the files."""
    files = [_open_file(source) for source in sources]
    extra = [name for file in files for name in cast(list[str], file.data.get("extra_triggers", []))]
    catalog = TriggerCatalog(extra, knows_all=not all(file.has_all_triggers for file in files))
    parts = [part for file in files for part in read_parts(file.reader, file.data, catalog)]
    tenancies, problems = _merge_parts(parts)
    problems += (problem for file in files for problem in file.reader.problems)
    problems += (problem for tenancy in tenancies for problem in _tenancy_problems(tenancy))
    if all(file.is_whole for file in files):  # otherwise, what is missing may stand in the part that could not be read
        problems += _run_problems(sources, parts, tenancies)
    if problems:
        raise FileError(*_in_order(problems, sources))
    return Document(tenancies, (*parser_warning(), *_in_order(_warnings(tenancies), sources)))


def _open_file(source: Source) -> _File:
    """Read one file as far as the schema goes."""
    reader = FileReader(source.name, source.folder)
    try:
        data, problems = read_yaml(source.name, source.data)
    except FileError as error:
        reader.problems += error.problems
        return _File(reader, YamlMap(), is_whole=False, has_all_triggers=False)
    reader.problems += problems
    if schema_check("hooks")(data):
        return _File(reader, data, is_whole=not problems)
    # only here: a file that fits needs none of this
    from hooksync.config.schema_errors import find_schema_errors, hides_triggers, recover

    errors = find_schema_errors(data, source.name, read_schema("hooks"))
    places = {problem.where for problem in problems}
    reader.problems += (error.problem for error in errors if error.problem.where not in places)
    return _File(
        reader,
        recover(data, errors),
        is_whole=not (problems or errors),
        has_all_triggers=not hides_triggers(errors),
    )


def _tenancy_problems(tenancy: TenancyDeclaration) -> Iterator[Problem]:
    owns = tenancy.settings.owns
    for entry in tenancy.subscriptions if owns is not None else ():
        if problem := ownership_problem(owns, outline(entry.url.template), "the URL", entry.url.location):
            yield problem
    yield from duplicate_subscription_problems(
        (entry, url_identity(entry.url.template)) for entry in tenancy.subscriptions
    )


def _run_problems(
    sources: Sequence[Source], parts: Sequence[TenancyPart], tenancies: Sequence[TenancyDeclaration]
) -> Iterator[Problem]:
    if not tenancies:
        where = Location(sources[0].name, 1, 1) if sources else None
        yield Problem("no tenancy is declared", "write one under tenancies", where)
    yield from _undeclared_problems(parts)
    yield from duplicate_tenancy_problems((tenancy, _identity(tenancy.settings)) for tenancy in tenancies)


def _identity(settings: Settings) -> Hashable:
    return tenancy_identity(_known(settings.server), _known(settings.tenant))


def _known(written: Written | None) -> str | Template | None:
    """Return a text without references as it is meant, one with references as it is written."""
    if written is None:
        return None
    return written.template if written.template.literal is None else written.template.literal


def _warnings(tenancies: Sequence[TenancyDeclaration]) -> list[Problem]:
    urls = (entry.url for tenancy in tenancies for entry in tenancy.subscriptions)
    plain = (url for url in urls if url.template.text[:5].lower() == "http:")  # for speed: most are https
    warnings = (http_warning(outline(url.template), "the URL", url.location) for url in plain)
    return [warning for warning in warnings if warning]


def _in_order(problems: Sequence[Problem], sources: Sequence[Source]) -> list[Problem]:
    """Sort by place, files in the order in which they were named; what an alias repeats is reported once."""
    order = {source.name: index for index, source in enumerate(sources)}

    def place(problem: Problem) -> tuple[int, int, int]:
        where = problem.where
        return (order.get(where.file, 0), where.line, where.column) if where else (0, 0, 0)

    return sorted(dict.fromkeys(problems), key=place)


def _merge_parts(parts: Iterable[TenancyPart]) -> tuple[tuple[TenancyDeclaration, ...], list[Problem]]:
    """Put the parts of each tenancy together, in the order in which the tenancies first appear."""
    spread: dict[str, list[TenancyPart]] = {}
    for part in parts:
        spread.setdefault(part.name, []).append(part)
    problems: list[Problem] = []
    return tuple(_merged(of_one, problems) for of_one in spread.values()), problems


def _undeclared_problems(parts: Sequence[TenancyPart]) -> list[Problem]:
    """Refuse tenancies without `subscriptions` in any file: none at all is declared as `{}`."""
    declared = {part.name for part in parts if part.subscriptions is not None}
    first = {part.name: part for part in reversed(parts) if part.name not in declared}
    fix = "declare some, or write `subscriptions: {}` if it has none"
    return [Problem(f'tenancy "{name}" has no subscriptions', fix, part.location) for name, part in first.items()]


def _merged(parts: list[TenancyPart], problems: list[Problem]) -> TenancyDeclaration:
    main = parts[0]
    settings: Settings | None = None
    subscriptions: dict[str, SubscriptionDeclaration] = {}
    for part in parts:
        if part.settings and settings:
            what = f'tenancy "{part.name}" has settings in two files; the other place is {main.location}'
            problems.append(Problem(what, "keep all but the subscriptions in one file", part.location))
        elif part.settings:
            main, settings = part, part.settings
        for entry in part.subscriptions or ():
            first = subscriptions.setdefault(entry.name, entry)
            if first is not entry:
                what = f'subscription "{entry.name}" is declared twice; the other place is {first.location}'
                problems.append(Problem(what, "rename one of the two, or remove it", entry.location))
    return TenancyDeclaration(main.name, settings or Settings(), tuple(subscriptions.values()), main.location)
