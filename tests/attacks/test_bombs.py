"""Bombs: answers that are huge, that grow when they are unpacked, or that never end."""

from __future__ import annotations

import pytest

from tests.attacks.conftest import Withstands
from tests.attacks.peers import Case, cases_of
from tests.lanes import covering


@pytest.mark.slow
@pytest.mark.parametrize("case", covering(cases_of("bombs"), key=Case.columns), ids=str)
def test_a_huge_or_endless_answer_costs_a_run_little_time_and_memory(
    case: Case, withstands: Withstands
) -> None:
    withstands(case)
