"""The benchmarks run, and they mark each figure that is over its limit. These tests do not judge
the figures.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.bench.measure import Figure
from tests.command_line import ROOT

PAGE = ROOT / "docs" / "internals" / "performance.md"


@pytest.mark.slow
@pytest.mark.nightly
def test_a_quick_run_of_the_benchmarks_prints_as_many_rows_as_the_page_on_performance_has() -> None:
    command = [sys.executable, "-m", "tests.bench", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    measured = [line for line in done.stdout.splitlines() if line.startswith("|")]
    written = [
        line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")
    ]
    assert len(measured) == len(written)


@pytest.mark.parametrize(("value", "cell"), [(1.2, "1.20 x"), (1.3, "**1.30 x**")])
def test_only_a_figure_above_its_limit_is_marked(value: float, cell: str) -> None:
    assert str(Figure("plan", value, "x", 1.2, "of two")) == f"| plan | {cell} | 1.20 x | of two |"
