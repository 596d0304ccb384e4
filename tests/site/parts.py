"""Generated parts of pages, each between two marks in a page that people otherwise write by hand. Also
the pages in the navigation.
"""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
NAVIGATION = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")


def with_part(page: str, name: str, text: str) -> str:
    """Return a page with a new text between the marks of a part. The marks are `<!-- made by python
    -m tests.site: NAME -->` and `<!-- end of NAME -->`.

    Raises ValueError if the page does not have exactly one place for the part.
    """
    begin, end = f"<!-- made by python -m tests.site: {name} -->\n", f"<!-- end of {name} -->"
    before, first, rest = page.partition(begin)
    _, last, after = rest.partition(end)
    if not (first and last) or begin in after:
        raise ValueError(f"there must be one place for the part {name}")
    return f"{before}{begin}{text.rstrip()}\n{end}{after}"


def page_with(name: str, **parts: str) -> dict[Path, str]:
    """Return the path of a page of docs/, and its text with these parts replaced."""
    path = DOCS / name
    text = path.read_text(encoding="utf-8")
    for part, made in parts.items():
        text = with_part(text, part, made)
    return {path: text}


def in_navigation(part: str) -> list[str]:
    """Return the pages of a part of the navigation, without their endings."""
    found = re.findall(rf"^  - {part}:\n((?:      .*\n)+)", NAVIGATION, re.MULTILINE)
    return re.findall(r": ([\w-]+)\.md$", "".join(found), re.MULTILINE)
