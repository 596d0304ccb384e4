"""Peers that let a run wait: silence, a byte now and then, and a service that asks for patience."""

from __future__ import annotations

import pytest

from tests.attacks.conftest import Withstands
from tests.attacks.peers import Case, cases_of
from tests.lanes import covering


@pytest.mark.slow
@pytest.mark.timeout(240)  # the first of them waits for many
@pytest.mark.parametrize("case", covering(cases_of("slow bodies"), key=Case.columns), ids=str)
def test_a_peer_that_is_slow_holds_a_run_no_longer_than_its_time_outs(
    case: Case, withstands: Withstands
) -> None:
    withstands(case)
