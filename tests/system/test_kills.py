"""Tests of processes that a signal ends in the middle of an apply, with a real sandbox server.

`tests.system.kills` describes the checks. The moments of the signals are always the same. Many more
kills, at other moments: `python -m tests.system.kills --number 500 --seed SEED`.
"""

from __future__ import annotations

import signal

import pytest

from tests.lanes import sampled
from tests.system.kills import SIGNALS, WAYS, Kill, carry_out, draw

pytestmark = pytest.mark.usefixtures("real_scrypt")
NUMBER = len(WAYS) * len(SIGNALS)


@pytest.mark.parametrize("kill", sampled(draw(NUMBER, "hooksync"), 16, 4), ids=str)
def test_the_next_run_finishes_what_a_killed_run_began(kill: Kill) -> None:
    assert carry_out(kill).broken == ()


@pytest.mark.parametrize("number", sampled([each for each, code in SIGNALS.items() if code], 3))
def test_a_run_that_handles_a_signal_has_its_exit_code_and_the_next_run_finishes(
    number: signal.Signals,
) -> None:
    came = carry_out(Kill(0, "create-first", number, calls=5, delay=0.0))
    assert came.broken == ()
    assert (came.code, came.is_in_between) == (SIGNALS[number], True)
