"""Peers that keep a run waiting: silence, a byte now and then, and slow interim answers."""

from __future__ import annotations

import pytest

from tests.attacks.conftest import Withstands
from tests.attacks.peers import Case, cases_of
from tests.lanes import covering


@pytest.mark.slow
@pytest.mark.parametrize("case", covering(cases_of("slow bodies"), key=Case.columns), ids=str)
def test_a_slow_peer_holds_up_a_run_no_longer_than_the_time_outs(
    case: Case, withstands: Withstands
) -> None:
    withstands(case)
