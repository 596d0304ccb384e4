"""The cells of the fault matrix: the tables multiplied, and those of them that every run of the tests goes through."""

from __future__ import annotations

from dataclasses import dataclass

from hooksync.sandbox.faults import Fault, read_fault
from tests.faults.table import FAULTS, FEW_FAULTS, LIES, LOST_ANSWERS, MAIN, POSITIONS, SEVERAL, WAYS, Way, positions_of

CALLS = sum(MAIN.calls(name) for name in ("login", "list", "subscribe", "unsubscribe"))
IN_TURN = {"one call in turn": "1", "every call from one on": "*"}  # heading -> how often
KINDS_IN_TURN = ("cut", "commit-cut")
TOGETHER, TOGETHER_COLUMN = "two or three faults together", "exit code"
EVERY = 7  # of the main table, one cell in so many is in every run of the tests


@dataclass(frozen=True, slots=True)
class Cell:
    """One apply that something befalls."""

    table: str  # the heading that it stands under
    row: str
    column: str
    specs: tuple[str, ...]  # of the sandbox's faults
    way: Way = MAIN

    @property
    def name(self) -> str:
        return f"{self.way.name}-{'+'.join(self.specs)}".replace(", ", "-").replace(" ", "-")

    @property
    def faults(self) -> tuple[Fault, ...]:
        return tuple(map(read_fault, self.specs))

    @property
    def is_slow(self) -> bool:
        return any("slow" in spec for spec in self.specs)

    @property
    def is_late(self) -> bool:
        """Whether a call may be carried out after hooksync has stopped waiting for it, and has looked."""
        return any(spec.startswith("slow") for spec in self.specs)

    @property
    def is_lied_to(self) -> bool:
        """Whether the service answers a change with success, and does not make it."""
        return any(spec.startswith(lie) for spec in self.specs for lie in LIES)

    @property
    def may_conflict(self) -> bool:
        """Whether the service may say that the old one has to go before there is a new one."""
        return self.way.refuses_duplicates or any(spec.startswith("status-409@subscribe") for spec in self.specs)


def make_cells() -> tuple[Cell, ...]:
    """Multiply the tables."""
    cells = [
        Cell(way.name, kind, position.name, (f"{kind}@{position.spec(way)}",), way)
        for way in WAYS
        for kind in (FAULTS if way == MAIN else FEW_FAULTS)
        for position in positions_of(way)
    ]
    cells += [
        Cell(heading, kind, f"call {number + 1}", (f"{kind}@any:{times}:{number}",))
        for heading, times in IN_TURN.items()
        for kind in KINDS_IN_TURN
        for number in range(CALLS)
    ]
    return (*cells, *(Cell(TOGETHER, " with ".join(specs), TOGETHER_COLUMN, specs) for specs in SEVERAL))


def few_cells() -> tuple[Cell, ...]:
    """Choose those that every run of the tests goes through: every row, column and way, and every lost answer."""
    chosen = []
    columns = [position.name for position in POSITIONS]
    for number, cell in enumerate(make_cells()):
        if cell.table == MAIN.name:
            row, column = list(FAULTS).index(cell.row), columns.index(cell.column)
            is_lost_answer = cell.row in LOST_ANSWERS and cell.column.startswith("subscribe")
            if is_lost_answer or (row + column) % EVERY == 0:
                chosen.append(cell)
        elif cell.table == TOGETHER or number % (2 * EVERY + 1) == 0:
            chosen.append(cell)
    return tuple(chosen)
