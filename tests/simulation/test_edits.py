"""No ordinary edit breaks a law, even if the apply after it fails or ends at any call."""

from __future__ import annotations

from itertools import count, product
from typing import Any

import pytest

from tests.lanes import sampled
from tests.simulation.history import Command, Edit, History, Mishap, Step
from tests.simulation.play import play

APPLY = Command("apply")
EDITS: dict[str, tuple[Edit, ...]] = {
    "one moves": (Edit("move", which=0, to=3),),
    "both move": (Edit("move", which=0, to=3), Edit("move", which=1, to=4)),
    "two swap their URLs": (Edit("swap", which=0, to=1),),
    "one moves to where another one was": (
        Edit("move", which=1, to=3),
        Edit("move", which=0, to=1),
    ),
    "one is renamed": (Edit("rename", which=0),),
    "one moves, its secret rotates": (Edit("move", which=0, to=3), Edit("rotate", which=0)),
    "a secret rotates": (Edit("rotate", which=0),),
    "a flag changes": (Edit("flag", which=0),),
    "one goes, another one comes": (Edit("remove", which=0), Edit("add", which=3)),
}
ANSWERS = ("status 400", "status 409", "status 500", "cut", "commit-cut", "late-calls 3")


def history(edits: tuple[Edit, ...], *mishaps: Mishap, **settings: Any) -> History:
    """Return a history: an apply, some edits, and an apply with these mishaps."""
    steps: tuple[Step, ...] = (APPLY, *edits, Command("apply", ("reviewed",), mishaps))
    return History(0, steps, **{"declared": 2, "live": 0, **settings})


def mishaps(answer: str, call: str) -> list[Mishap]:
    """Return mishaps that make the first three calls go wrong in this way."""
    kind, _, number = answer.partition(" ")
    return [Mishap(kind, call, nth, float(number or 0)) for nth in range(3)]


SERVICES: dict[str, dict[str, Any]] = {
    "create-first": {},
    "remove-first": {"remove_first": True},
    "a list that lags": {"lag_additions": 5.0, "lag_removals": 5.0},
    "no ids in answers": {"traits": ("answer-without-id",)},
    "no second one": {"traits": ("refuse-duplicates",)},
}

CASES = list(product(EDITS, SERVICES))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["killed", "commit-killed", "stop"])
@pytest.mark.parametrize(("edit", "service"), sampled(CASES, 40, 4))
def test_an_edit_whose_apply_is_cut_short_at_any_call_is_finished_by_the_next_run(
    edit: str, service: str, kind: str
) -> None:
    for nth in count():
        played = play(history(EDITS[edit], Mishap(kind, "any", nth), **SERVICES[service]))
        assert played.broken == []
        if not played.figures.faults + played.figures.kills:
            return  # the apply has no more calls


@pytest.mark.parametrize(("edit", "service"), sampled(CASES, 40, 4))
def test_an_edit_whose_subscribe_goes_wrong_breaks_no_law(edit: str, service: str) -> None:
    for answer in ANSWERS:
        assert (
            play(history(EDITS[edit], *mishaps(answer, "subscribe"), **SERVICES[service])).broken
            == []
        ), answer


@pytest.mark.parametrize(("edit", "service"), sampled(CASES, 40, 4))
def test_an_edit_whose_removal_goes_wrong_is_finished_by_the_next_run(
    edit: str, service: str
) -> None:
    for answer in (*ANSWERS, "lie-gone"):
        assert (
            play(history(EDITS[edit], *mishaps(answer, "unsubscribe"), **SERVICES[service])).broken
            == []
        ), answer


@pytest.mark.parametrize("call", range(8))
def test_a_rotation_between_two_killed_runs_is_noticed(call: int) -> None:
    killed = Command("apply", mishaps=(Mishap("commit-killed", "any", call),))
    steps: tuple[Step, ...] = (killed, Edit("rotate", which=0), killed, Edit("rotate", which=1))
    assert play(History(0, steps, declared=2, live=0)).broken == []
