"""The benchmarks run and tell what they should; what they measure is not judged here."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.bench.box import Box
from tests.bench.figures import Figure, Found, Sample, growth
from tests.bench.measure import Failed, own_peak, run_child
from tests.bench.startup import COMMANDS, SIZE
from tests.bench.table import json_text, markdown_table, text_table
from tests.bench.workload import TENANT, hooks_file, like_live, unlike_live
from tests.command_line import ROOT, hooksync

CIRCUMSTANCES = {"hooksync": "1.2.3", "python": "3.11.0", "cores": 2, "libraries": {"PyYAML": "6.0"}}


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of the command."""

    out: str
    err: str
    document: dict[str, object]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    path = tmp_path_factory.mktemp("bench") / "result.json"
    command = [sys.executable, "-m", "tests.bench", "--quick", "--only", "startup", "--json", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    return Measured(done.stdout, done.stderr, json.loads(path.read_text(encoding="utf-8")))


def sample(cpu: float, peak: float | None = 30.0) -> Sample:
    return Sample(cpu, 2 * cpu, peak)


# the command


@pytest.mark.slow
def test_the_table_has_a_line_for_every_command_with_what_it_was_made_from(measured: Measured) -> None:
    lines = measured.out.splitlines()
    for command in COMMANDS:
        [line] = [line for line in lines if line.startswith(f"  python -m hooksync {command.name}  ")]
        assert " x " in line
        assert line.endswith(command.floor)
        assert (f"{command.limit:.2f} x" in line) if command.limit else ("OVER" not in line)


@pytest.mark.slow
def test_the_json_tells_where_and_with_what_it_was_measured(measured: Measured) -> None:
    document = measured.document
    assert document["format"] == "hooksync.bench/1"
    assert document["is_quick"] is True
    assert {"hooksync", "python", "platform", "cores", "libraries", "load", "seconds"} <= set(document)
    assert {"PyYAML", "jsonschema", "requests", "deepdiff", "pyPreservica"} <= set(document["libraries"])
    assert [len(loads) for loads in document["load"].values()] == [3, 3]


# the arithmetic


@pytest.mark.parametrize(
    ("cost", "exponent"), [(lambda n: 0.2 + 3e-5 * n, 1.0), (lambda n: 0.2 + 1e-8 * n * n, 2.0)], ids=["n", "n²"]
)
def test_growth_is_told_whatever_every_run_pays_alike(cost: Callable[[int], float], exponent: float) -> None:
    sizes = (100, 1_000, 10_000, 100_000)
    assert growth([(size, cost(size)) for size in sizes]) == pytest.approx([exponent, exponent])


def test_growth_that_noise_hides_is_not_told() -> None:
    assert [math.isnan(each) for each in growth([(1, 1.0), (10, 0.9), (100, 2.0)])] == [True]


# the harness


def test_a_process_is_measured_alone(tmp_path: Path) -> None:
    size = int(own_peak()) + 100  # MiB; a process that is no larger than we have been has no peak to tell
    idle = run_child([sys.executable, "-c", "pass"], tmp_path)
    busy = run_child([sys.executable, "-c", f"x = bytearray({size} << 20); sum(range(9_000_000))"], tmp_path)
    assert busy.cpu > idle.cpu
    assert busy.peak is not None
    assert size < busy.peak < size + 300
    assert idle.peak is None or idle.peak < size


def test_a_process_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="ended with 3: what went wrong"):
        run_child([sys.executable, "-c", "import sys; print('what went wrong'); sys.exit(3)"], tmp_path)


@pytest.mark.slow
def test_the_sandbox_tells_what_it_was_asked_since_the_last_report(tmp_path: Path) -> None:
    (tmp_path / "hooks.yaml").write_text("".join(hooks_file([(TENANT, like_live(SIZE))])))
    with Box() as box:
        run_child([sys.executable, "-m", "hooksync", "apply", "--yes", "--no-state"], tmp_path, box.environ)
        first = box.traffic()
        run_child([sys.executable, "-m", "hooksync", "plan", "--no-state"], tmp_path, box.environ)
        second = box.traffic()
    assert (first.calls, first.subscribes) == (2 + SIZE + 1, SIZE)
    assert (second.calls, second.subscribes, second.span) == (2, 0, 0.0)


# what is measured


def test_the_files_are_good_hooks_files(tmp_path: Path) -> None:
    (tmp_path / "hooks.yaml").write_text("".join(hooks_file([("A", unlike_live(100)), ("B", like_live(3))])))
    done = hooksync(["validate"], {}, tmp_path)
    assert (done.code, done.err) == (0, "")
    tenancies = yaml.safe_load((tmp_path / "hooks.yaml").read_text())["tenancies"]
    assert [len(each["subscriptions"]) for each in tenancies.values()] == [100, 3]


# the tables


def test_a_figure_over_its_limit_is_marked_in_every_form() -> None:
    over, within = Figure("slow", 2.0, "x", 1.0, "2 s over 1 s"), Figure("lean", 20.0, "MiB", 120.0)
    found = [Found("start-up", [over, within], {"slow": [sample(2.0)]})]
    text, markdown = text_table(CIRCUMSTANCES, found), markdown_table(CIRCUMSTANCES, found)
    assert "  slow  2.00 x    1.00 x   OVER  2 s over 1 s\n" in text
    assert "  lean  20 MiB    120 MiB\n" in text
    assert "| slow | 2.00 x | 1.00 x | OVER | 2 s over 1 s |\n" in markdown
    [benchmark] = json.loads(json_text(CIRCUMSTANCES, found))["benchmarks"]
    assert [figure["is_over"] for figure in benchmark["figures"]] == [True, False]
    assert benchmark["samples"] == {"slow": [{"cpu": 2.0, "wall": 4.0, "peak": 30.0}]}
