"""The result of a step follows from the fates of its two halves."""

from __future__ import annotations

from itertools import product

import pytest

from hooksync.reconcile.plan import Resubscribe, Subscribe, Unsubscribe
from hooksync.reconcile.step_runner import ActiveStep, Creation, Removal, StepRunner
from tests.makers import declared
from tests.reconcile.test_apply import OLD

NEW, REPLACED, GONE = (
    Subscribe(declared()),
    Resubscribe(declared(), OLD, ("differs",)),
    Unsubscribe(OLD, "not declared"),
)


MADE = {Creation.MADE, Creation.ACCEPTED}
NOT_MADE = {Creation.LOST, Creation.REFUSED, Creation.UNKNOWN}
STILL_THERE = {Removal.UNKNOWN, Removal.REFUSED}


def result_of(step: ActiveStep, creation: Creation, removal: Removal) -> str:
    runner = StepRunner(step)
    runner.creation, runner.removal = creation, removal
    return runner.result


@pytest.mark.parametrize(("creation", "removal"), list(product(Creation, Removal)))
def test_the_result_follows_from_the_fates(creation: Creation, removal: Removal) -> None:
    new = {
        **dict.fromkeys(MADE, "done"),
        **dict.fromkeys(NOT_MADE, "failed"),
        Creation.UNTRIED: "not-attempted",
    }
    gone = {
        Removal.GONE: "done",
        **dict.fromkeys(STILL_THERE, "failed"),
        Removal.UNTRIED: "not-attempted",
    }
    both = {frozenset({"done"}): "done", frozenset({"not-attempted"}): "not-attempted"}
    assert result_of(NEW, creation, Removal.UNTRIED) == new[creation]
    assert result_of(GONE, Creation.UNTRIED, removal) == gone[removal]
    halves = frozenset({new[creation], gone[removal]})
    assert result_of(REPLACED, creation, removal) == both.get(
        halves, "half-done" if "done" in halves else "failed"
    )
