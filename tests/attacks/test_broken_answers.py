"""Answers that are no HTTP, or no JSON, or JSON that readers take differently."""

from __future__ import annotations

import pytest

from tests.attacks.conftest import Withstands
from tests.attacks.peers import Case, cases_of
from tests.lanes import covering


@pytest.mark.slow
@pytest.mark.timeout(240)  # the first of them waits for many
@pytest.mark.parametrize("case", covering(cases_of("broken answers"), key=Case.columns), ids=str)
def test_an_answer_that_makes_no_sense_is_one_clear_error(
    case: Case, withstands: Withstands
) -> None:
    withstands(case)
