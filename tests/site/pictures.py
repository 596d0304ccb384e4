"""A picture of a real run: a plan in a terminal."""

from __future__ import annotations

import re
import tempfile
from html import escape
from pathlib import Path

from hooksync.sandbox.server import Sandbox
from hooksync.sandbox.tenancies import SandboxOptions
from tests.command_line import LOG_IN, ROOT, hooksync
from tests.conftest import unprobed
from tests.site.parts import DOCS

PICTURES = DOCS / "pictures"
SHOWN = "eu.preservica.com / BRAMA"  # replaces the address of the sandbox
# the colours of a terminal, by the numbers in its escape sequences
COLOURS = {
    "": "#e6edf3",
    "32": "#3fb950",
    "33": "#d29922",
    "31": "#ff7b72",
    "2": "#8b949e",
}
SIZE, STEP, MARGIN = 13, 20, 20  # of the font, of a line, around the picture
COLUMN = 0.6  # the width of a character in a fixed-width font, as a part of its size
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace"


def hooks_file() -> str:
    """Return the hooks file that the README shows."""
    [text] = re.findall(
        r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    return text


def with_fixed_ids(text: str) -> str:
    """Replace the ids, which are random, by fixed ones, in the order of their appearance."""
    ids: dict[str, str] = {}
    fixed = "7c1f03ae", "b2459d60", "e83a6f17", "05d2c9b4"
    return re.sub(r"\b[0-9a-f]{8}\b", lambda found: ids.setdefault(found[0], fixed[len(ids)]), text)


def plan() -> str:
    """Return a plan as text. Before it, a trigger was added, a secret was rotated, and a
    subscription was made by hand.
    """
    with (
        tempfile.TemporaryDirectory() as name,
        Sandbox(SandboxOptions(traits=frozenset({"no-challenge"}))) as box,
    ):
        folder = Path(name)
        environ = {
            **LOG_IN,
            "PRESERVICA_SERVER": box.url,
            "PRESERVICA_TENANT": "DEMO",
            "CATALOGUE_KEY": "key",
        }
        environ |= {
            "CATALOGUE_SECRET": "a-secret-of-this-run",
            "SEARCH_SECRET": "another-secret-of-this-run",
        }
        (folder / "hooks.yaml").write_text(
            unprobed(hooks_file()).replace("[INDEXED, MOVED]", "[INDEXED]"), encoding="utf-8"
        )
        applied = hooksync(["apply", "--yes"], environ, folder)
        box.seed(
            "DEMO", "https://old.example.net/hook?code=1", "INGEST_FAILED", "a-secret-of-others"
        )
        (folder / "hooks.yaml").write_text(hooks_file(), encoding="utf-8")
        environ["SEARCH_SECRET"] = "a-rotated-secret-of-this-run"
        text = hooksync(["plan"], {**environ, "FORCE_COLOR": "1"}, folder)
        if (applied.code, text.code, text.err) != (0, 0, ""):
            raise RuntimeError(f"the example does not run: {applied}, {text}")
    return with_fixed_ids(text.out.replace(f"{box.url} / DEMO", SHOWN))


def plain(text: str) -> str:
    return re.sub(r"\x1b\[\d+m", "", text)


def line_of_text(number: int, line: str) -> str:
    """Draw a line in its colour. Its columns have the same width in every font."""
    found = re.fullmatch(r"(?:\x1b\[(\d+)m)?( *)([^\x1b]*)(?:\x1b\[0m)?", line)
    assert found
    colour, indent, words = found.groups()
    x = MARGIN + len(indent) * SIZE * COLUMN
    return (
        f'<text x="{x:g}" y="{MARGIN + 36 + number * STEP}" fill="{COLOURS[colour or ""]}"'
        f' textLength="{len(words) * SIZE * COLUMN:.1f}" lengthAdjust="spacingAndGlyphs"'
        f' xml:space="preserve">{escape(words)}</text>'
    )


def terminal(command: str, said: str) -> str:
    """Draw a terminal with a command and its output, in the colours of the output. Its description
    is for people who cannot see it.
    """
    lines = [f"$ {command}", *said.splitlines()]
    width = 2 * MARGIN + max(len(plain(line)) for line in lines) * SIZE * COLUMN
    height = 2 * MARGIN + 24 + len(lines) * STEP
    texts = [line_of_text(number, line) for number, line in enumerate(lines) if line]
    return "\n".join(
        [
            "<!-- Made by `python -m tests.site`; not to be edited. -->",
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" width="700"'
            f' role="img" aria-labelledby="title description" font-family="{MONO}"'
            f' font-size="{SIZE}">',
            f'<title id="title">{escape(command)}, in a terminal</title>',
            f'<desc id="description">{escape(plain(said))}</desc>',
            f'<rect width="{width:g}" height="{height}" rx="8" fill="#0d1117"/>',
            *texts,
            "</svg>\n",
        ]
    )


def pages() -> dict[Path, str]:
    return {PICTURES / "plan.svg": terminal("hooksync plan", plan())}
