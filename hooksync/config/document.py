"""Hooks files -> what they declare, checked as far as that goes without the environment; all problems at once.

The files are read already; of the disk, only the packaged schema is read.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import cast

from hooksync.config.declarations import Document, Settings, TenancyDeclaration, Written
from hooksync.config.files import Source
from hooksync.config.merge import merge_parts, unsaid_problems
from hooksync.config.parts import TenancyPart, read_parts
from hooksync.config.reader import FileReader
from hooksync.config.rules import (
    duplicate_subscription_problems,
    duplicate_tenancy_problems,
    http_warning,
    ownership_problem,
    tenancy_identity,
    url_identity,
)
from hooksync.config.triggers import TriggerCatalog
from hooksync.config.yaml_loader import parser_warning, read_yaml
from hooksync.config.yaml_nodes import YamlMap
from hooksync.core.errors import FileError, Problem
from hooksync.core.model import Location
from hooksync.core.record import Record
from hooksync.core.schema_files import read_schema, schema_check
from hooksync.core.template import Template
from hooksync.core.urls import outline


class _File(Record, frozen=True):
    """One file, as far as it can be read."""

    reading: FileReader
    data: YamlMap  # fits the schema
    is_whole: bool = True  # whether all that the file says is in the data
    has_all_triggers: bool = True  # whether all that it says of extra_triggers is


def read_document(sources: Sequence[Source]) -> Document:
    """Read hooks files together. Raises FileError with every problem, in the order of the files."""
    files = [_open_file(source) for source in sources]
    extra = [name for file in files for name in cast(list[str], file.data.get("extra_triggers", []))]
    book = TriggerCatalog(extra, knows_all=not all(file.has_all_triggers for file in files))
    parts = [part for file in files for part in read_parts(file.reading, file.data, book)]
    tenancies, problems = merge_parts(parts)
    problems += (problem for file in files for problem in file.reading.problems)
    problems += (problem for tenancy in tenancies for problem in _tenancy_problems(tenancy))
    if all(file.is_whole for file in files):  # else what is missing here may stand in the part that is
        problems += _run_problems(sources, parts, tenancies)
    if problems:
        raise FileError(*_in_order(problems, sources))
    return Document(tenancies, (*parser_warning(), *_in_order(_warnings(tenancies), sources)))


def _open_file(source: Source) -> _File:
    """Read one file as far as the schema goes."""
    reading = FileReader(source.name, source.folder)
    try:
        data, problems = read_yaml(source.name, source.data)
    except FileError as error:
        reading.problems += error.problems
        return _File(reading, YamlMap(), is_whole=False, has_all_triggers=False)
    reading.problems += problems
    if schema_check("hooks")(data):
        return _File(reading, data, is_whole=not problems)
    from hooksync.config.misfits import find_misfits  # only here: a file that fits needs none of this
    from hooksync.config.salvage import hides_triggers, salvage

    misfits = find_misfits(data, source.name, read_schema("hooks"))
    places = {problem.where for problem in problems}
    reading.problems += (misfit.problem for misfit in misfits if misfit.problem.where not in places)
    return _File(
        reading,
        salvage(data, misfits),
        is_whole=not (problems or misfits),
        has_all_triggers=not hides_triggers(misfits),
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
    yield from unsaid_problems(parts)
    yield from duplicate_tenancy_problems((tenancy, _identity(tenancy.settings)) for tenancy in tenancies)


def _identity(settings: Settings) -> Hashable:
    return tenancy_identity(_known(settings.server), _known(settings.tenant))


def _known(written: Written | None) -> str | Template | None:
    """Give a text without references as it is meant, one with references as it is written."""
    if written is None or written.template.has_references:
        return written.template if written else None
    return written.template.fill({})


def _warnings(tenancies: Sequence[TenancyDeclaration]) -> list[Problem]:
    urls = (entry.url for tenancy in tenancies for entry in tenancy.subscriptions)
    warnings = (http_warning(outline(url.template), "the URL", url.location) for url in urls)
    return [warning for warning in warnings if warning]


def _in_order(problems: Sequence[Problem], sources: Sequence[Source]) -> list[Problem]:
    """Sort by place, files in the order in which they were named; what aliases repeat is said once."""
    order = {source.name: index for index, source in enumerate(sources)}

    def place(problem: Problem) -> tuple[int, int, int]:
        where = problem.where
        return (order.get(where.file, 0), where.line, where.column) if where else (0, 0, 0)

    return sorted(dict.fromkeys(problems), key=place)
