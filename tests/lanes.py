"""Two lanes: all tests, and those not marked `slow`. Of what is slow, the fast lane keeps a sample of each kind.

Of a kind with a thousand and more, some are marked `nightly`: a campaign plays these as well, no lane does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(cases: Iterable[Any], every: int, nightly: int = 1) -> list[Any]:
    """Mark as slow all cases but the first, and one in so many after it. A tuple holds the values of several names.

    `nightly`: of so many, one is in the lanes.
    """
    marks = {"slow": lambda number: number % every or number % nightly, "nightly": lambda number: number % nightly}
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=[getattr(pytest.mark, name) for name, is_so in marks.items() if is_so(number)],
        )
        for number, case in enumerate(cases)
    ]
