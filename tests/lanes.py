"""Two lanes: all tests, and those not marked `slow`. Of what is slow, the fast lane keeps a sample of each kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(cases: Iterable[Any], every: int) -> list[Any]:
    """Mark as slow all cases but the first, and one in so many after it. A tuple holds the values of several names."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow if number % every else ())
        for number, case in enumerate(cases)
    ]
