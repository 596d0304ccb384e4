"""Results as text, as Markdown, as JSON. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from tests.bench.figures import Figure, Found

OVER = "OVER"
COLUMNS = ("what", "measured", "limit", "", "made from")


def text_table(circumstances: Mapping[str, object], found: Iterable[Found]) -> str:
    """Write the tables for people, with the budget's limits beside, and a mark where one is exceeded."""
    blocks = [_headline(circumstances)]
    for each in found:
        rows = [COLUMNS, *map(_row, each.figures)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        blocks.append("\n".join([each.title, *(f"  {line}" for line in lines)]))
    return "\n\n".join(blocks) + "\n"


def markdown_table(circumstances: Mapping[str, object], found: Iterable[Found]) -> str:
    """Write the same for a page."""
    blocks = [_headline(circumstances)]
    for each in found:
        rows = [[cell.strip() or " " for cell in row] for row in map(_row, each.figures)]
        table = [COLUMNS, ["---"] * len(COLUMNS), *rows]
        blocks.append(f"**{each.title}**\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in table))
    return "\n\n".join(blocks) + "\n"


def json_text(circumstances: Mapping[str, object], found: Iterable[Found]) -> str:
    """Write every figure, and every sample behind it."""
    benchmarks = [
        {
            "title": each.title,
            "figures": [_figure(figure) for figure in each.figures],
            "samples": {name: [asdict(sample) for sample in samples] for name, samples in each.samples.items()},
        }
        for each in found
    ]
    document = {"format": "hooksync.bench/1", **circumstances, "benchmarks": benchmarks}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _figure(figure: Figure) -> dict[str, object]:
    value = None if math.isnan(figure.value) else figure.value
    return asdict(figure) | {"name": figure.name.strip(), "value": value, "is_over": figure.is_over}


def _headline(circumstances: Mapping[str, object]) -> str:
    libraries = circumstances["libraries"]
    assert isinstance(libraries, Mapping)
    named = ", ".join(f"{name} {version}" for name, version in libraries.items())
    return "hooksync {hooksync}, Python {python}, {cores} cores; ".format_map(circumstances) + named


def _row(figure: Figure) -> Sequence[str]:
    limit = "" if figure.limit is None else _number(figure.limit, figure.unit)
    return figure.name, _number(figure.value, figure.unit), limit, OVER if figure.is_over else "", figure.detail


def _number(value: float, unit: str) -> str:
    if math.isnan(value):
        return "unclear"
    digits = f"{value:,.0f}" if unit.startswith(("calls", "connections", "MiB")) else f"{value:.2f}"
    return f"{digits} {unit}".rstrip()
