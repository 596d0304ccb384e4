"""The fault matrix by command: all cells and a page that tells what came of them, or one cell and what it said.

    python -m tests.faults > docs/fault-matrix.md
    python -m tests.faults --cell create-first-commit-cut@subscribe:1:4

Exits with 1 when anything did not hold. The data are in `table`, the judgement in `judge`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.faults.cells import make_cells
from tests.faults.pool import judge_cell, under_way
from tests.faults.report import write


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--cell", metavar="NAME", help="run this one, and show what hooksync said and called")
    name = parser.parse_args(argv).cell
    if name is not None:
        return run_one(name)
    cells = make_cells()
    with under_way(cells) as futures:
        verdicts = [futures[cell.name].result() for cell in cells]
    sys.stdout.write(write(verdicts))
    return int(any(one.broken for one in verdicts))


def run_one(name: str) -> int:
    """Run the cell of this name."""
    found = [cell for cell in make_cells() if cell.name == name]
    if not found:
        sys.stderr.write(f"there is no cell {name}; a name is the way and the faults, as in the tests' ids\n")
        return 2
    verdict = judge_cell(found[0])
    sys.stdout.write(f"{verdict.said}\n\n{verdict}\n" + "".join(f"broken: {text}\n" for text in verdict.broken))
    return int(bool(verdict.broken))


if __name__ == "__main__":
    sys.exit(main())
