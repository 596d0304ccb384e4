"""The command `python -m tests.site`: it writes all generated pages and parts of pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.site import address, cli, environment, hooks_file, pipelines

WRITERS: list[Callable[[], dict[Path, str]]] = [
    address.pages,
    cli.pages,
    environment.pages,
    hooks_file.pages,
    pipelines.pages,
]

if __name__ == "__main__":
    for writer in WRITERS:
        for path, text in writer().items():
            path.write_text(text, encoding="utf-8", newline="\n")
