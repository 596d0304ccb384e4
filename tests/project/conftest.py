"""The fixture that the tests of the ready-made pipelines share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.wire import Wire, answer, saying


@pytest.fixture
def watcher() -> Iterator[Wire]:
    """Start a server that records the notices of how runs ended."""
    with Wire(saying(answer(b"ok"))) as wire:
        yield wire
