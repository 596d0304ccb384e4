"""Bombs: answers that are huge, that grow when they are unpacked, or that never end."""

from __future__ import annotations

import pytest

from tests.attacks.conftest import Withstands
from tests.attacks.peers import Case, cases_of
from tests.lanes import covering


@pytest.mark.slow
@pytest.mark.timeout(240)  # the first of them waits for many
@pytest.mark.parametrize("case", covering(cases_of("bombs"), key=Case.columns), ids=str)
def test_an_answer_without_measure_ends_a_run_in_time_and_in_little_memory(
    case: Case, withstands: Withstands
) -> None:
    withstands(case)
