"""Which run of the tests plays what: the fast lane, all tests, and the campaigns at night.

The fast lane leaves out what is marked `slow`. Tables that are multiplied are played whole only by
a campaign, and the lanes keep so many of their rows that each value of each column is in one of
them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import pytest


def sampled(cases: Iterable[Any], every: int, nightly: int = 1) -> list[Any]:
    """Mark as slow all cases but the first, and one in so many after it. A tuple holds the values
    of several names.

    `nightly`: of so many, one is in the lanes.
    """
    marks = {
        "slow": lambda number: number % every or number % nightly,
        "nightly": lambda number: number % nightly,
    }
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=[getattr(pytest.mark, name) for name, is_so in marks.items() if is_so(number)],
        )
        for number, case in enumerate(cases)
    ]


def nightly(cases: Iterable[Any]) -> list[Any]:
    """Leave all cases to the campaigns. A tuple holds the values of several names."""
    return [_marked(case, pytest.mark.slow, pytest.mark.nightly) for case in cases]


def covering(
    cases: Iterable[Any], *, every: int = 1, key: Callable[[Any], Sequence[object]] | None = None
) -> list[Any]:
    """Keep so many cases that each value of each column is in one of them, and leave the others to
    the campaigns.

    `every`: of the kept ones, one in so many is in the fast lane. `key`: the columns of a case that
    is no tuple.
    """
    rows = list(cases)
    kept = _covering(rows, key or _values)
    params = []
    for row in rows:
        if row not in kept:
            params += nightly([row])
        elif kept.index(row) % every:
            params.append(_marked(row, pytest.mark.slow))
        else:
            params.append(_marked(row))
    return params


def _covering(rows: Sequence[Any], key: Callable[[Any], Sequence[object]]) -> list[Any]:
    """Take the row that brings the most new values, and of several the one whose other values were
    taken least.
    """
    values = [tuple(enumerate(key(row))) for row in rows]
    missing = set(chain.from_iterable(values))
    taken: Counter[object] = Counter()

    def rank(number: int) -> tuple[int, int]:
        return -len(missing.intersection(values[number])), sum(
            taken[each] for each in values[number]
        )

    kept = []
    while missing:
        best = min(range(len(rows)), key=rank)
        kept.append(rows[best])
        missing.difference_update(values[best])
        taken.update(values[best])
    return kept


def _values(case: Any) -> tuple[Any, ...]:
    return case if isinstance(case, tuple) else (case,)


def _marked(case: Any, *marks: pytest.MarkDecorator) -> Any:
    return pytest.param(*_values(case), marks=marks)
