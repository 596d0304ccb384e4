"""Writes what came of the fault matrix as a page, and reads the tables of such a page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tests.faults.cells import Cell
from tests.faults.pool import Verdict

Table = dict[str, dict[str, str]]  # by row, by column

HEAD = """\
# The fault matrix

<!-- Made by `python -m tests.faults`; not to be edited. -->

This page shows how `hooksync apply` ends when the service fails. In each cell, one apply runs against a sandbox of
its own, by real HTTP, and something goes wrong: the row says what, the column says with which call, and how often.
The apply has to make three subscriptions, to replace two, to remove three, one of them a duplicate, to keep two and
to leave two alone.

The first table has all faults, with a state, and with each new subscription made before its old one is removed. The
other tables have some of the faults. Their headings say how hooksync is run (`remove-first`, the state) or how the
service behaves (all others, traits of the sandbox):

- *Receivers move*: two are replaced because their URL was edited. Of the four that are kept, one has a new name, and
  two have swapped their URLs.
- *Told by a sibling*: only another subscription of the same secret reference shows that the secret of one has
  changed.
- *A flag is edited*: only the state knows the flag that was sent.
- *The list lags*: it shows what was made or removed five seconds later, or a minute later where it lags for long. An
  apply waits for half a minute.
- *Wrong ids*: an answer has an id that does not exist, or that of another subscription, or a proxy repeats a call.
- *Two at once*: another hooksync runs from its beginning to its end in the middle of the first, with the same state
  or with a state of its own.
"""
LEGEND = """\
After each cell, this is checked:

- There is no traceback, no secret is shown, and the report is whole JSON of
  [its schema](../schemas/report.schema.json).
- It exits with 0 only where live is as declared, or where it says what a list does not show yet, or still shows; with 1
  only where nothing was changed; and with 4 only where something was, or may have been.
- What the report says of each step is what the tenancy holds: done is done, half-done is one half, failed is not done;
  and the verification tells of a difference exactly where there is one. What only an answer has told is said to be so.
- Nothing that is to stay is lost, nothing of others is touched, nothing is made twice, unless the list shows a lost one
  only when nobody waits any more. After no call is an address without a live subscription that had one before, unless
  the old one has to go first.
- A subscribe whose answer was lost is found in the list, and there is no second one; one that was not carried out is
  tried once more. How many there may be is known for each cell.
- The state knows what was made, with the right secret; where only a list told of it, the secret is unknown.
- Of two at once with one state, the second is refused. With a state each, the one that looks last tells what it sees,
  and once both have run again, each subscription is there once.
- One more apply, without faults, exits with 0 and leaves exactly what is declared; a plan after it is empty. Where the
  service lied, or another one removed what no list had shown, that is a quarter of an hour later.

A cell shows the exit code of the apply with the fault, and

- `+N`: it made N more POSTs than an apply without faults;
- `½`: the report tells of steps that are half-done;
- `?`: the verification could not be made, and the report says so; steps are told as far as was known without it;
- **broken**: something of the above did not hold. The end of the page says what.

A `slow` call is carried out after the verification, when nobody waits for it any more. If hooksync has made the
subscription once more by then, there is a duplicate that no list has shown yet. The next apply removes it.

The faults are those of `hooksync sandbox`, whose help explains them; times are in seconds. This page is written by
`python -m tests.faults > docs/fault-matrix.md` in some minutes; the tests run a part of the cells and compare.
"""


def write(verdicts: Sequence[Verdict]) -> str:
    """Write the page."""
    parts = [HEAD, summary(verdicts), LEGEND]
    for heading, table in tables_of(verdicts).items():
        columns = list(dict.fromkeys(column for row in table.values() for column in row))
        lines = [
            f"## {heading[0].upper()}{heading[1:]}",
            "",
            f"| | {' | '.join(columns)} |",
            f"|---{'|---' * len(columns)}|",
        ]
        lines += [
            f"| `{row}` | {' | '.join(cells.get(column, '') for column in columns)} |" for row, cells in table.items()
        ]
        parts.append("\n".join(lines) + "\n")
    broken = [f"- `{one.cell.name}`: {text}" for one in verdicts for text in one.broken]
    return "\n".join([*parts, *(["## Broken\n", *broken, ""] if broken else [])])


def summary(verdicts: Sequence[Verdict]) -> str:
    """Count the cells and what was compared in them."""
    codes = Counter(one.code for one in verdicts)
    told = ", ".join(f"{number} exited with {code}" for code, number in sorted(codes.items()))
    compared, unknown = (sum(getattr(one, name) for one in verdicts) for name in ("compared", "unknown"))
    broken = sum(bool(one.broken) for one in verdicts)
    return (
        f"**{len(verdicts)} cells, {broken} broken**: {told}.\n\n"
        f"{compared} outcomes of steps were compared with what the tenancy then held. {unknown} of them were another:\n"
        "nobody could look, or all that there was is an answer, and the report said that, too.\n"
    )


def tables_of(verdicts: Iterable[Verdict]) -> dict[str, Table]:
    """Bring cells into tables."""
    tables: dict[str, Table] = {}
    for one in verdicts:
        tables.setdefault(one.cell.table, {}).setdefault(one.cell.row, {})[one.cell.column] = str(one)
    return tables


def outline(cells: Iterable[Cell]) -> dict[str, tuple[list[str], list[str]]]:
    """Give the rows and the columns of each table."""
    outline: dict[str, tuple[list[str], list[str]]] = {}
    for cell in cells:
        rows, columns = outline.setdefault(cell.table, ([], []))
        rows += [cell.row] if cell.row not in rows else []
        columns += [cell.column] if cell.column not in columns else []
    return outline


def read(page: str) -> dict[str, Table]:
    """Read the tables of a page; the headings begin in lower case, as in the data."""
    tables: dict[str, Table] = {}
    for section in page.split("\n## ")[1:]:
        heading, _, body = section.partition("\n")
        rows = [[each.strip(" `") for each in line.strip("|").split("|")] for line in re.findall(r"^\|.*$", body, re.M)]
        if rows:
            columns = rows[0][1:]
            table = {row[0]: dict(zip(columns, row[1:], strict=True)) for row in rows[2:]}
            tables[heading[0].lower() + heading[1:]] = table
    return tables
