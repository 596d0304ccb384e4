"""The generated pages and parts of pages are current."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.site.__main__ import WRITERS

HOW = "write it again: python -m tests.site"


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.__module__.rpartition(".")[2])
def test_a_generated_page_is_current(writer: Callable[[], dict[Path, str]]) -> None:
    for path, made in writer().items():
        assert path.read_text(encoding="utf-8") == made, HOW
