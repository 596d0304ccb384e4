"""What tests of ready-made pipelines share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.wire import Wire, answer, saying


@pytest.fixture
def watcher() -> Iterator[Wire]:
    """What is told how runs ended."""
    with Wire(saying(answer(b"ok"))) as wire:
        yield wire
