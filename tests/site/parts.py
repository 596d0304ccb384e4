"""Parts of pages that are generated: each stands between two marks in a page that is written by
hand otherwise.
"""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def with_part(page: str, name: str, text: str) -> str:
    """Give a page its part: what stands between `<!-- made by python -m tests.site: NAME -->` and
    its end.

    Raises ValueError where the page has not exactly one place for it.
    """
    begin, end = f"<!-- made by python -m tests.site: {name} -->\n", f"<!-- end of {name} -->"
    before, first, rest = page.partition(begin)
    _, last, after = rest.partition(end)
    if not (first and last) or begin in after:
        raise ValueError(f"there must be one place for the part {name}")
    return f"{before}{begin}{text.rstrip()}\n{end}{after}"


def page_with(name: str, **parts: str) -> dict[Path, str]:
    """Give a page of docs/ with these parts as they must be."""
    path = DOCS / name
    text = path.read_text(encoding="utf-8")
    for part, made in parts.items():
        text = with_part(text, part, made)
    return {path: text}
