"""The generated pages and parts of pages are current."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.site.__main__ import WRITERS
from tests.site.parts import with_part

HOW = "write it again: python -m tests.site"


def of_any_python(text: str) -> list[list[str]]:
    """Return the words of each line. Write `-f PATH, --file PATH` as Python 3.13 does: `-f, --file
    PATH`.
    """
    return [re.sub(r"-(\w) [A-Z]+, --", r"-\1, --", line).split() for line in text.splitlines()]


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.__module__.rpartition(".")[2])
def test_a_generated_page_is_current(writer: Callable[[], dict[Path, str]]) -> None:
    for path, made in writer().items():
        assert of_any_python(path.read_text(encoding="utf-8")) == of_any_python(made), HOW


def test_a_part_replaces_the_text_between_its_marks() -> None:
    page = "a\n<!-- made by python -m tests.site: x -->\nold\n<!-- end of x -->\nb\n"
    assert with_part(page, "x", "new\n") == page.replace("old", "new")
