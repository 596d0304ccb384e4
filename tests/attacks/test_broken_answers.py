"""Answers that are invalid HTTP, invalid JSON, or JSON that parsers read differently."""

from __future__ import annotations

import pytest

from tests.attacks.conftest import Withstands
from tests.attacks.peers import Case, cases_of
from tests.lanes import covering


@pytest.mark.slow
@pytest.mark.parametrize("case", covering(cases_of("broken answers"), key=Case.columns), ids=str)
def test_a_broken_answer_leads_to_one_clear_error(case: Case, withstands: Withstands) -> None:
    withstands(case)
