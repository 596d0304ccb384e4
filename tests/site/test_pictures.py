"""Every picture is on a page, where the alternative text of a diagram is its description."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from tests.command_line import ROOT
from tests.site import pictures

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def shown() -> list[tuple[str, str]]:
    """Return the text and the file name of each picture on a page."""
    texts = (page.read_text(encoding="utf-8") for page in PAGES)
    found = [
        each
        for text in texts
        for each in re.findall(r"!\[([^\]]*)\]\((?:docs/|\.\./)?pictures/([^)]+)\)", text)
    ]
    return [(" ".join(words.split()), name) for words, name in found]


@pytest.mark.parametrize("path", sorted(pictures.PICTURES.iterdir()), ids=lambda path: path.stem)
def test_every_picture_is_on_a_page_and_the_text_of_a_diagram_is_its_description(
    path: Path,
) -> None:
    words = {words for words, name in shown() if name == path.name}
    assert words
    text = path.read_text(encoding="utf-8")
    if "Made by" not in text:
        assert words == {unescape(each) for each in re.findall("<desc[^>]*>([^<]+)</desc>", text)}
