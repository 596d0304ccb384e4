"""The pictures are shown, and whoever cannot see one is told the same."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from tests.command_line import ROOT
from tests.site import diagrams, pictures

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def shown() -> list[tuple[str, str]]:
    """Give the words and the name of each picture on a page."""
    texts = (page.read_text(encoding="utf-8") for page in PAGES)
    found = [
        each
        for text in texts
        for each in re.findall(r"!\[([^\]]*)\]\((?:docs/|\.\./)?pictures/([^)]+)\)", text)
    ]
    return [(" ".join(words.split()), name) for words, name in found]


@pytest.mark.parametrize(
    ("path", "picture"), diagrams.pages().items(), ids=lambda value: getattr(value, "name", "")
)
def test_a_diagram_says_the_same_in_words(path: Path, picture: str) -> None:
    [description] = re.findall("<desc[^>]*>([^<]+)</desc>", picture)
    assert {words for words, name in shown() if name == path.name} == {unescape(description)}


def test_every_picture_is_made_and_shown() -> None:
    there = {path.name for path in pictures.PICTURES.iterdir()}
    assert there == {name for _, name in shown()}
    assert there == {path.name for path in (*diagrams.pages(), *pictures.pages())}
