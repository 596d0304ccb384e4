"""The simulation replays a history exactly, and histories break no law."""

from __future__ import annotations

from tests.simulation.history import Command, Edit, History, make_history
from tests.simulation.play import play


def test_a_history_of_ordinary_edits_breaks_no_law() -> None:
    apply = Command("apply")
    edits = ("move", "flag", "rotate", "rename", "remove", "add", "swap", "revert")
    steps = [step for kind in edits for step in (Edit(kind, which=1, to=2), apply)]  # type: ignore[arg-type]
    assert play(History(7, (apply, *steps), tenancies=2, probes=True)).broken == []


def test_one_seed_replays_exactly() -> None:
    traces = [play(make_history(4), traces=True) for _ in range(2)]
    assert traces[0].trace == traces[1].trace
    assert traces[0].service.moments == traces[1].service.moments
