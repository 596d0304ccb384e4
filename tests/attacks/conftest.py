"""Whole processes against peers that misbehave, for all families. The cases of a file run side by
side.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.attacks.peers import AT_REST, SIDE_BY_SIDE, Case, complaints, play

Withstands = Callable[[Case], None]


def chosen(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Yield the parameters of the selected tests of this file."""
    for item in request.session.items:
        if item.path == request.path and (spec := getattr(item, "callspec", None)):
            yield spec.params


@pytest.fixture(scope="module", autouse=True)
def withstands(request: pytest.FixtureRequest) -> Iterator[Withstands]:
    """Yield a function that asserts that a whole process survives a case.

    The process must end, need little memory, and show no secret.
    """
    cases = {each["case"] for each in chosen(request) if isinstance(each.get("case"), Case)}
    pool = ThreadPoolExecutor(SIDE_BY_SIDE)

    def withstands(case: Case) -> None:
        if not hasattr(os, "wait4"):
            pytest.skip("a child's memory cannot be measured here")
        measured = found[case].result()
        complained = complaints(case, measured, found[AT_REST[case.call]].result().mib)
        assert not complained, f"{complained}\n{measured.err}\n{measured.out}"

    try:
        rest = {AT_REST[case.call] for case in cases}
        found = {
            case: pool.submit(play, case)
            for case in sorted(cases | rest, key=lambda case: -case.tries)
        }
        yield withstands
    finally:
        pool.shutdown(cancel_futures=True)
