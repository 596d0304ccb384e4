"""The simulation replays a history exactly; histories break no law; and each deliberate break of
hooksync is found.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks.breaks import BREAKS as DEFENCES
from tests.command_line import ROOT
from tests.lanes import sampled
from tests.simulation.breaks import BREAKS, Break, copy_broken, find_broken_law
from tests.simulation.history import Command, Edit, History, make_history
from tests.simulation.play import play
from tests.simulation.regressions import REGRESSIONS

AT_ONCE = 25  # histories in a test
SEEDS = range(0, 1000, AT_ONCE)


def test_a_history_of_ordinary_edits_breaks_no_law() -> None:
    apply = Command("apply")
    edits = ("move", "flag", "rotate", "rename", "remove", "add", "swap", "revert")
    steps = [step for kind in edits for step in (Edit(kind, which=1, to=2), apply)]  # type: ignore[arg-type]
    assert play(History(7, (apply, *steps), tenancies=2, probes=True)).broken == []


@pytest.mark.parametrize("first", sampled(SEEDS, 40, 4))
def test_no_history_breaks_a_law(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        assert play(make_history(seed)).broken == [], seed


@pytest.mark.parametrize("history", REGRESSIONS)
def test_a_history_that_once_broke_a_law_breaks_no_law_now(history: History) -> None:
    assert play(history).broken == []


@pytest.mark.parametrize("seed", [4, 57])
def test_one_seed_replays_exactly(seed: int) -> None:
    first, second = (play(make_history(seed), traces=True) for _ in range(2))
    assert first.trace == second.trace
    assert first.service.moments == second.service.moments


@pytest.mark.parametrize(
    "each", sampled([(each,) for each in BREAKS], 1, 27), ids=lambda each: each.name
)
@pytest.mark.slow
def test_a_deliberate_break_is_found(each: Break, tmp_path: Path) -> None:
    copy_broken(each, tmp_path)
    found = "breaks" if each.begin is not None else "AssertionError: seed "
    assert found in find_broken_law(tmp_path, each.begin)


def test_the_text_that_a_break_changes_occurs_once_in_the_code() -> None:
    """Check all breaks, also those of the attacks, because each lane plays only some of them."""
    for each in (*BREAKS, *DEFENCES.values()):
        for file, old, _ in ((each.file, each.old, each.new), *each.also):
            assert (ROOT / "hooksync" / file).read_text(encoding="utf-8").count(old) == 1, (
                each.name,
                file,
            )
