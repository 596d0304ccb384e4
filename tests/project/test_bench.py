"""The benchmarks run and mark what is over its limit; what they measure is not judged here."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.measure import Figure, Sample, growth, interleave
from tests.bench.workload import write_hooks
from tests.command_line import ROOT, hooksync

PAGE = ROOT / "docs" / "internals" / "performance.md"


@pytest.mark.skipif(os.name != "posix", reason="the use of a process is measured on POSIX alone")
@pytest.mark.slow
def test_a_quick_run_measures_each_row_of_the_page() -> None:
    command = [sys.executable, "-m", "tests.bench", "--quick"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    measured = [line for line in done.stdout.splitlines() if line.startswith("|")]
    written = [
        line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")
    ]
    assert len(measured) == len(written)


@pytest.mark.parametrize(("value", "cell"), [(1.2, "1.20 x"), (1.3, "**1.30 x**")])
def test_only_what_exceeds_its_limit_is_marked(value: float, cell: str) -> None:
    assert str(Figure("plan", value, "x", 1.2, "of two")) == f"| plan | {cell} | 1.20 x | of two |"


@pytest.mark.parametrize(
    ("cost", "exponent"),
    [(lambda n: 0.2 + 3e-5 * n, 1.0), (lambda n: 0.2 + 1e-8 * n * n, 2.0)],
    ids=["n", "n²"],
)
def test_growth_leaves_out_what_every_run_pays(
    cost: Callable[[int], float], exponent: float
) -> None:
    assert growth({size: cost(size) for size in (1_000, 10_000, 100_000)}) == pytest.approx(
        exponent
    )


def test_growth_is_not_a_number_if_noise_hides_a_step() -> None:
    assert math.isnan(growth({1: 1.0, 10: 0.9, 100: 2.0}))


def test_subjects_take_turns_and_every_other_round_goes_backwards() -> None:
    order: list[str] = []

    def subject(name: str) -> Callable[[], Sample]:
        return lambda: order.append(name) or Sample(1, 1, 1)

    samples = interleave({name: subject(name) for name in "abc"}, 3)
    assert "".join(order) == "abc" + "abc" + "cba" + "abc"  # the first round does not count
    assert {name: len(each) for name, each in samples.items()} == {"a": 3, "b": 3, "c": 3}


def test_the_declared_file_is_good_and_differs_in_3_of_100(tmp_path: Path) -> None:
    write_hooks(tmp_path / "same.yaml", 1_000, differs=False)
    write_hooks(tmp_path / "hooks.yaml", 1_000, differs=True)
    done = hooksync(["validate"], {}, tmp_path)
    assert (done.code, done.err) == (0, "")
    same = (tmp_path / "same.yaml").read_text().splitlines()
    other = (tmp_path / "hooks.yaml").read_text().splitlines()
    assert sum("url:" in line for line in set(other) - set(same)) == 10
    assert other.count("        include_identifiers: false") == 10
