"""Tests of the attacks: each family gets through if its defence is removed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.attacks.breaks import BREAKS, attacks_that_get_through
from tests.command_line import ROOT
from tests.lanes import sampled


@pytest.mark.slow
@pytest.mark.parametrize("family", sampled(BREAKS, 1, len(BREAKS)))
def test_without_its_defence_the_attacks_of_a_family_get_through(
    family: str, tmp_path: Path
) -> None:
    assert "FAILED" in attacks_that_get_through(family, tmp_path)


def test_every_family_has_a_defence_that_can_be_removed_and_is_documented() -> None:
    families = {path.stem for path in Path(__file__).parent.glob("test_*.py")} - {"test_attacks"}
    assert {f"test_{family.partition(':')[0]}" for family in BREAKS} == families
    page = (ROOT / "docs" / "internals" / "evidence.md").read_text(encoding="utf-8")
    [named] = re.findall(r"describes a family: ([^.]+)\.", page)
    assert {f"test_{name}" for name in re.findall(r"\w+", named.replace(" and ", " "))} == families
