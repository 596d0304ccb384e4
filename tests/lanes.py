"""Marks that decide which cases run in the fast lane, in a run of all tests, and in the campaigns.

The fast lane leaves out cases that are marked `slow`. Only campaigns run cases that are marked
`nightly`. A table that is a product of lists runs whole only in a campaign. The other lanes run
enough of its rows that each value of each column is in at least one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heapreplace
from itertools import chain
from typing import Any

import pytest

is_campaign = True  # whether nightly cases are made; tests/conftest.py sets it by the value of -m


def sampled(cases: Iterable[Any], every: int, nightly: int = 1) -> list[Any]:
    """Return the cases, with all but one in `every` marked as slow. The first case has no mark.

    `nightly`: all but one in so many are marked as slow and nightly. A case is a tuple if a test
    has several parameters.
    """
    params = []
    for number, case in enumerate(cases):
        if number % nightly:
            params += [_marked(case, pytest.mark.slow, pytest.mark.nightly)] if is_campaign else []
        else:
            params.append(_marked(case, *([pytest.mark.slow] if number % every else [])))
    return params


def nightly(cases: Iterable[Any]) -> list[Any]:
    """Return the cases for campaigns only. A case is a tuple if a test has several parameters.

    In the other lanes, return only the first case, because no table may be empty.
    """
    made = list(cases) if is_campaign else list(cases)[:1]
    return [_marked(case, pytest.mark.slow, pytest.mark.nightly) for case in made]


def covering(
    cases: Iterable[Any], *, every: int = 1, key: Callable[[Any], Sequence[object]] | None = None
) -> list[Any]:
    """Return the cases. Keep enough of them that each value of each column is in at least one, and
    leave the others to the campaigns.

    `every`: one in so many of the kept cases is in the fast lane. `key`: returns the columns of a
    case that is no tuple.
    """
    rows = list(cases)
    kept = _covering(rows, key or _values)
    params = []
    for row in rows:
        if row not in kept:
            params += nightly([row]) if is_campaign else []
        elif kept.index(row) % every:
            params.append(_marked(row, pytest.mark.slow))
        else:
            params.append(_marked(row))
    return params


def _covering(rows: Sequence[Any], key: Callable[[Any], Sequence[object]]) -> list[Any]:
    """Return rows that contain every value. The next row is always the one with the most new
    values. If several have as many, it is the one whose values were taken least.

    A row never rises in this order, so only those at the top are ranked again.
    """
    values = [tuple(enumerate(key(row))) for row in rows]
    missing = set(chain.from_iterable(values))
    taken: Counter[object] = Counter()

    def rank(number: int) -> tuple[int, int]:
        return -len(missing.intersection(values[number])), sum(
            taken[each] for each in values[number]
        )

    kept = []
    order = [(rank(number), number) for number in range(len(rows))]
    heapify(order)
    while missing:
        best = order[0][1]
        if rank(best) > order[0][0]:
            heapreplace(order, (rank(best), best))
            continue
        kept.append(rows[best])
        missing.difference_update(values[best])
        taken.update(values[best])
    return kept


def _values(case: Any) -> tuple[Any, ...]:
    return case if isinstance(case, tuple) else (case,)


def _marked(case: Any, *marks: pytest.MarkDecorator) -> Any:
    return pytest.param(*_values(case), marks=marks)
