"""SVG pictures that load nothing. They use the reader's own fonts and no script, and have colours
for light and dark pages.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

SANS = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace"
# the colours of a picture on a dark page, by those on a light one
DARK_FILLS = {
    "#ffffff": "#161b22",
    "#1f2328": "#e6edf3",
    "#57606a": "#9da7b3",
    "#6e7781": "#8b949e",
    "#f6f8fa": "#21262d",
    "#ddf4ff": "#0c2d4d",
    "#fff8c5": "#3a2d05",
    "#dafbe1": "#0f3a1e",
    "#ffebe9": "#4a1215",
    "#ffe2cc": "#4a2410",
    "#7a2e00": "#ffb77c",
    "#116329": "#7ee787",
    "#82071e": "#ffa198",
    "#424a53": "#c9d1d9",
}
DARK_STROKES = {
    "#6e7781": "#8b949e",
    "#d0d7de": "#3d444d",
    "#0969da": "#4493f8",
    "#bf8700": "#d29922",
    "#1a7f37": "#3fb950",
    "#cf222e": "#f85149",
}
COLUMN = 0.6  # the width of a character in a fixed-width font, as a part of its size


def dark_style() -> str:
    """Return the style that gives a picture different colours on a dark page."""
    rules = [f'[fill="{light}"]{{fill:{dark}}}' for light, dark in DARK_FILLS.items()]
    rules += [f'[stroke="{light}"]{{stroke:{dark}}}' for light, dark in DARK_STROKES.items()]
    return f"<style>@media (prefers-color-scheme:dark){{{''.join(rules)}}}</style>"


class Drawing:
    """A drawing, in which later parts cover earlier ones. Lengths are in units of the drawing."""

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
        """Write text in columns that have the same width in every font."""
        shown = words.lstrip(" ")
        x += (len(words) - len(shown)) * size * COLUMN
        wide = f'textLength="{len(shown) * size * COLUMN:.1f}" lengthAdjust="spacingAndGlyphs"'
        style = f'{wide} xml:space="preserve" font-family="{MONO}" fill="{colour}"'
        self.text(x, y, shown, size, style)

    def svg(self, height: float, title: str, description: str, shown_width: float) -> str:
        """Return the picture. `description` is a text for people who cannot see the picture."""
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
                dark_style(),
                *self.parts,
                "</svg>\n",
            ]
        )
