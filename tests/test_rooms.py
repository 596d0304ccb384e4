"""Holds docs/rooms.md, the map of the modules, to the modules; `python -m tests.test_rooms` writes it anew."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.command_line import ROOT
from tests.test_architecture import PACKAGE, ROOMS

PAGE = ROOT / "docs" / "rooms.md"
HEAD = """\
# The rooms of hooksync

Each module is a room with one purpose. This is the first line of each, in the order in which data goes through them;
what a room may import and touch stands in [the table of a test](../tests/test_architecture.py). This page is written by
`python -m tests.test_rooms`.
"""
_SOURCE = ROOT / "tests" / "test_architecture.py"


def groups() -> Iterator[tuple[str, list[str]]]:
    """Give the headings of the table of rooms, each with its rooms."""
    table = _SOURCE.read_text("utf-8").partition("\nROOMS = {\n")[2].partition("\n}\n")[0]
    for part in re.split(r"^    # ", table, flags=re.MULTILINE)[1:]:
        heading, _, lines = part.partition("\n")
        yield heading, re.findall(r'^    "(\w*)": Room', lines, re.MULTILINE)


def purpose(name: str) -> str:
    """Give the first line of a module's docstring."""
    tree = ast.parse((PACKAGE / f"{name or '__init__'}.py").read_text("utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0].replace("|", "\\|")


def page() -> str:
    parts = [HEAD]
    for heading, names in groups():
        rows = "".join(f"| `{name or '__init__'}` | {purpose(name)} |\n" for name in names)
        parts.append(f"\n## {heading[0].upper()}{heading[1:]}\n\n| room | |\n|---|---|\n{rows}")
    return "".join(parts)


def test_every_room_stands_under_a_heading() -> None:
    assert [name for _, names in groups() for name in names] == list(ROOMS)


def test_the_map_is_that_of_the_modules() -> None:
    assert PAGE.read_text("utf-8") == page()


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
