"""The tenancies and addresses of a file that a run selects."""

from __future__ import annotations

import pytest

from hooksync.config.declarations import (
    Declarations,
    addresses,
    refuse_unmatched,
    select,
)
from hooksync.config.document import read_tenancies
from hooksync.config.files import Source
from hooksync.core.errors import UsageError

FILE = b"""\
version: 1
defaults: {secret: {env: HOOK_SECRET}}
tenancies:
  archive-prod:
    server: a.example
    subscriptions:
      catalogue: {url: 'https://h.example/a', triggers: [INDEXED, MOVED]}
      alert: {url: 'https://h.example/b', trigger: INGEST_FAILED}
  archive-test:
    server: b.example
    subscriptions:
      catalogue: {url: 'https://h.example/a', trigger: MOVED}
"""


@pytest.fixture
def document() -> Declarations:
    return read_tenancies([Source("hooks.yaml", FILE)])


def test_without_flags_all_tenancies_are_selected(document: Declarations) -> None:
    assert select(document, [], []) == document


def test_a_glob_chooses_tenancies(document: Declarations) -> None:
    assert [entry.name for entry in select(document, ["*-test"], [])] == ["archive-test"]


def test_several_globs_add_up(document: Declarations) -> None:
    assert len(select(document, ["*-test", "*-prod"], [])) == 2


def test_a_target_drops_tenancies_that_it_does_not_name(document: Declarations) -> None:
    assert [entry.name for entry in select(document, [], ["archive-test/*"])] == ["archive-test"]


def test_all_globs_that_match_no_tenancy_are_reported_at_once(document: Declarations) -> None:
    with pytest.raises(UsageError) as caught:
        select(document, ["nope", "*", "neither"], [])
    assert [problem.what for problem in caught.value.problems] == [
        '--tenancy "nope" matches no tenancy',
        '--tenancy "neither" matches no tenancy',
    ]


def test_a_target_matches_only_within_the_selected_tenancies(document: Declarations) -> None:
    with pytest.raises(UsageError, match='--target "archive-prod/\\*" matches no address'):
        select(document, ["archive-test"], ["archive-prod/*"])


def test_replace_must_match_an_address(document: Declarations) -> None:
    candidates = addresses(document)
    refuse_unmatched("--replace", ["archive-prod/*"], candidates, "address")
    with pytest.raises(UsageError, match="--replace"):
        refuse_unmatched("--replace", ["archive-prod/MOVED"], candidates, "address")
