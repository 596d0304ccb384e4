"""The attacks themselves: they are as many as the page says, and each family bites where its
defence is gone.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks.breaks import BREAKS, attacks_that_get_through
from tests.attacks.page import FAMILIES
from tests.command_line import ROOT
from tests.lanes import sampled


def test_the_page_tells_the_families_and_how_many_attacks_they_have() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.attacks", "--count"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    page = (ROOT / "docs" / "internals" / "attacks.md").read_text(encoding="utf-8")
    assert page == done.stdout, (
        "count again: python -m tests.attacks --count > docs/internals/attacks.md"
    )
    total = re.search(
        r"attacks\. Each change plays ([\d,]+) of them, and none may get through\.\*\*", page
    )
    assert total
    assert int(total[1].replace(",", "")) < 700, "leave the rows that find nothing new to the night"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("family", sampled(BREAKS, 20, 3))
def test_without_its_defence_the_attacks_of_a_family_get_through(
    family: str, tmp_path: Path
) -> None:
    assert "FAILED" in attacks_that_get_through(family, tmp_path)


def test_every_family_has_a_defence_that_can_be_taken_away() -> None:
    assert {f"test_{family}" for family in BREAKS} == set(FAMILIES)
