"""The cells of the fault matrix: the tables multiplied, and those of them that every run of the tests goes through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hooksync.sandbox.faults import Fault, read_fault
from tests.faults.table import (
    DOUBLED,
    FAULTS,
    FAULTS_OF_TWO,
    FEW_FAULTS,
    LIES,
    LOST_ANSWERS,
    MAIN,
    MOMENTS_OF_TWO,
    NAMED,
    POSITIONS,
    SEVERAL,
    STATES_OF_TWO,
    WAIT,
    WAYS,
    WAYS_OF_TWO,
    WAYS_WITH_WRONG_IDS,
    WRONG_IDS,
    Way,
    positions_of,
)

CALLS = sum(MAIN.calls(name) for name in ("login", "list", "subscribe", "unsubscribe"))
IN_TURN = {"one call in turn": "1", "every call from one on": "*"}  # heading -> how often
KINDS_IN_TURN = ("cut", "commit-cut")
TOGETHER, TOGETHER_COLUMN = "two or three faults together", "exit code"
BRIDGED = 16 * 60.0  # seconds after which the state counts nothing as live that no list has shown
EVERY = 7  # of the main table, one cell in so many is in every run of the tests


@dataclass(frozen=True, slots=True)
class Cell:
    """One apply that something befalls."""

    table: str  # the heading that it stands under
    row: str
    column: str
    specs: tuple[str, ...]  # of the sandbox's faults
    way: Way = MAIN
    states: str = ""  # which a second hooksync has, that runs in the middle of the first; empty: there is none
    moment: int = 0  # calls of the first one, after which the second runs

    @property
    def name(self) -> str:
        parts = [self.way.name, "+".join(self.specs)]
        parts += [self.states, f"after call {self.moment}"] if self.states else []
        return "-".join(filter(None, parts)).replace(", ", "-").replace(" ", "-")

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
    def is_doubled(self) -> bool:
        """Whether a call is carried out twice."""
        return any(spec.startswith(DOUBLED) for spec in self.specs)

    @property
    def may_double(self) -> bool:
        """Whether one may be made twice: the service does it, or shows it only when hooksync waits no more."""
        return self.is_doubled or self.way.additions > WAIT

    @property
    def seconds_to_wait(self) -> float:
        """Return for how long the next run waits: until it is listed, or what no list has shown counts no more.

        That is what the service lied about, or what another hooksync has removed before.
        """
        if self.is_lied_to or self.states == "a state each":
            return BRIDGED
        return max(self.way.additions, self.way.removals) if not self.way.uses_state else 0.0

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
    cells += _cells_with_wrong_ids()
    cells += _cells_of_two()
    return (*cells, *(Cell(TOGETHER, " with ".join(specs), TOGETHER_COLUMN, specs) for specs in SEVERAL))


def _cells_with_wrong_ids() -> Iterator[Cell]:
    """An answer tells an id that is not that of the new one, or a proxy on the way has repeated the call."""
    for way in map(NAMED.__getitem__, WAYS_WITH_WRONG_IDS):
        for kind in (*WRONG_IDS, DOUBLED):
            for position in POSITIONS:
                if position.call == "subscribe":
                    yield Cell(f"{way.name}: wrong ids", kind, position.name, (f"{kind}@{position.spec(way)}",), way)


def _cells_of_two() -> Iterator[Cell]:
    """Another hooksync runs from its beginning to its end, in the middle of the first."""
    for states in STATES_OF_TWO:
        for way in map(NAMED.__getitem__, WAYS_OF_TWO):
            for fault in FAULTS_OF_TWO:
                row = f"{way.name}: {fault}"
                specs = () if fault == "none" else (fault,)
                for moment in MOMENTS_OF_TWO:
                    yield Cell(f"two at once, {states}", row, f"after call {moment}", specs, way, states, moment)


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
