"""SVG that needs nothing from elsewhere: the reader's own fonts, no script, and colours for light
and dark pages.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

SANS = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace"
COLUMN = 0.6  # the width of a character in a fixed-width font, as a part of its size


class Drawing:
    """What is drawn so far; later things lie above earlier ones. Lengths are in units of the
    drawing.
    """

    def __init__(self, width: float) -> None:
        self.width = width
        self.parts: list[str] = []

    def box(
        self, x: float, y: float, width: float, height: float, style: str, corner: float = 0
    ) -> None:
        rounded = f' rx="{corner:g}"' if corner else ""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"{rounded} {style}/>'
        )

    def line(self, points: Iterable[tuple[float, float]], style: str) -> None:
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" {style}/>')

    def text(self, x: float, y: float, words: str, size: float, style: str) -> None:
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" {style}>{escape(words)}</text>'
        )

    def code(self, x: float, y: float, words: str, size: float, colour: str) -> None:
        """Write in columns, which are as wide in every font."""
        shown = words.lstrip(" ")
        x += (len(words) - len(shown)) * size * COLUMN
        wide = f'textLength="{len(shown) * size * COLUMN:.1f}" lengthAdjust="spacingAndGlyphs"'
        style = f'{wide} xml:space="preserve" font-family="{MONO}" fill="{colour}"'
        self.text(x, y, shown, size, style)

    def svg(self, height: float, title: str, description: str, shown_width: float) -> str:
        """Give the picture; `description` says in words what it shows."""
        size = f'width="{shown_width:g}" height="{height * shown_width / self.width:.0f}"'
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {height:g}"'
            f' {size} role="img"'
        )
        return "\n".join(
            [
                "<!-- Made by `python -m tests.site`; not to be edited. -->",
                f'{head} aria-labelledby="title description" font-family="{SANS}">',
                f'<title id="title">{escape(title)}</title>',
                f'<desc id="description">{escape(description)}</desc>',
                *self.parts,
                "</svg>\n",
            ]
        )
