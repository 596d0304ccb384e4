"""Cells of the fault matrix: whatever goes wrong, hooksync keeps its word, and the next run puts things right.

Every run goes through a choice of cells that has every fault, position, way and lost answer in it; all of them take
some minutes: `python -m tests.faults`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from hooksync.core.errors import ExitCode
from hooksync.sandbox.faults import KINDS
from hooksync.sandbox.tenancies import Trait
from tests.boxes import Sandbox
from tests.command_line import ROOT, hooksync
from tests.faults.cells import Cell, few_cells, make_cells
from tests.faults.judge import find_broken
from tests.faults.pool import Verdict, under_way
from tests.faults.report import outline, read
from tests.faults.run import run_cell
from tests.faults.scene import TENANT, environ, options_of, ours, prepare
from tests.faults.table import FAULTS, MAIN, POSITIONS, SEVERAL, WAYS, Way
from tests.lanes import sampled

pytestmark = pytest.mark.timeout(600)

PAGE = (ROOT / "docs" / "fault-matrix.md").read_text(encoding="utf-8")
TABLES = read(PAGE)
HOW = "write the page again: python -m tests.faults > docs/fault-matrix.md"
OTHER_TRAITS = {Trait.NO_CHALLENGE, Trait.TOTP_ONCE, Trait.REPEAT_EVENTS}  # have their tests elsewhere
CALLS = ("login", "list", "subscribe", "unsubscribe")


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Verdict]]]:
    """The cells that are asked for, under way side by side."""
    params = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    with under_way(each["cell"] for each in params if isinstance(each.get("cell"), Cell)) as futures:
        yield futures


@pytest.mark.parametrize("cell", sampled(few_cells(), 20), ids=lambda cell: cell.name)
def test_whatever_goes_wrong_it_keeps_its_word_and_the_next_run_puts_things_right(
    verdicts: dict[str, Future[Verdict]], cell: Cell
) -> None:
    verdict = verdicts[cell.name].result()
    assert not verdict.broken, "\n".join([*verdict.broken, verdict.said])
    assert str(verdict) == TABLES[cell.table][cell.row][cell.column], HOW


@pytest.mark.parametrize("spec", ["commit-cut@subscribe:*:0", "status-409@subscribe:1:4", "status-500@list:1:1"])
def test_the_command_itself_comes_to_the_same(spec: str, tmp_path: Path) -> None:
    [cell] = [each for each in make_cells() if (each.way, each.specs) == (MAIN, (spec,))]
    prepare(cell.way, tmp_path)
    with Sandbox(options_of(cell.way, tmp_path / "held.json")) as box:
        box.faults.add(spec)
        command = ["apply", "--yes", "--format", "json", "--no-probe", "--parallelism", "1"]
        done = hooksync(command, environ(box.url), tmp_path)
        live = ours(box.subscriptions(TENANT))
    came = run_cell(cell).first
    assert (done.code, live, outcomes(done.out)) == (came.code, ours(came.live), outcomes(came.out))


def outcomes(report: str) -> list[tuple[str, str]]:
    return [(step["action"], step["outcome"]) for step in json.loads(report)["tenancies"][0]["steps"]]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name.replace(" ", "-"))
def test_without_a_fault_an_apply_does_every_kind_of_step_and_makes_the_calls_that_faults_are_placed_by(
    way: Way,
) -> None:
    result = run_cell(Cell(way.name, "none", "none", (), way))
    assert find_broken(result) == ()
    code = ExitCode.PARTLY_APPLIED if way.lags_for_long else ExitCode.DONE  # the old ones wait for the list
    assert (result.first.code, [result.first.count(name) for name in CALLS]) == (code, [*map(way.calls, CALLS)])
    actions = {step["action"] for step in json.loads(result.first.out)["tenancies"][0]["steps"]}
    assert actions == {"resubscribe", "unsubscribe", "keep", "leave"} | ({"subscribe"} if way.subscribes else set())


def kinds(cells: tuple[Cell, ...]) -> set[str]:
    return {fault.kind for cell in cells for fault in cell.faults}


@pytest.mark.parametrize("cells", [make_cells(), few_cells()], ids=["all", "few"])
def test_every_fault_and_every_trait_that_the_sandbox_knows_is_in_the_matrix(cells: tuple[Cell, ...]) -> None:
    assert kinds(cells) == KINDS.keys()
    assert {trait for cell in cells for trait in cell.way.traits} | OTHER_TRAITS == set(Trait)
    assert {cell.way for cell in cells} == set(WAYS)
    main = [cell for cell in cells if cell.table == MAIN.name]
    assert {cell.row for cell in main} == set(FAULTS)
    assert {cell.column for cell in main} == {position.name for position in POSITIONS}
    assert {cell.specs for cell in cells} >= set(SEVERAL)


def test_the_matrix_is_large_and_no_cell_is_in_it_twice() -> None:
    assert len(few_cells()) >= 150
    assert len(make_cells()) >= 2500
    assert set(few_cells()) < set(make_cells())
    assert len({cell.name for cell in make_cells()}) == len(make_cells())


def test_the_page_has_the_rows_and_columns_of_the_tables() -> None:
    shown = {heading: (list(table), list(next(iter(table.values())))) for heading, table in TABLES.items()}
    assert shown == outline(make_cells()), HOW


def test_the_page_counts_what_it_shows() -> None:
    shown = [text for table in TABLES.values() for row in table.values() for text in row.values()]
    cells, broken = re.findall(r"\*\*(\d+) cells, (\d+) broken\*\*", PAGE)[0]
    assert (int(cells), int(broken)) == (len(shown), sum("broken" in text for text in shown)) == (len(make_cells()), 0)
    counted = {int(code): int(number) for number, code in re.findall(r"(\d+) exited with (\d+)", PAGE)}
    assert counted == Counter(int(text.split()[0]) for text in shown)


def test_the_page_on_testing_tells_the_number_of_cells() -> None:
    text = (ROOT / "docs" / "how-it-is-tested.md").read_text(encoding="utf-8")
    assert f"| {len(make_cells()):,} cells, 0 broken." in text
