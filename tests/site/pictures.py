"""Two pictures of real runs: a plan in a terminal, and the same plan as the comment of a pull
request.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from html import unescape
from pathlib import Path

from hooksync.sandbox.server import Sandbox
from hooksync.sandbox.tenancies import SandboxOptions
from tests.command_line import LOG_IN, ROOT, hooksync
from tests.site.drawing import COLUMN, Drawing
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
# the background and the colour of a line of a diff, by its first character
MARKED = {
    "+": ("#dafbe1", "#116329"),
    "-": ("#ffebe9", "#82071e"),
    "!": ("#ffe2cc", "#7a2e00"),
}
SIZE, STEP, MARGIN = 13, 20, 20  # of the font, of a line, around the picture


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


def plans() -> tuple[str, str]:
    """Return a plan as text and as Markdown. Before it, a trigger was added, a secret was rotated,
    and a subscription was made by hand.
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
            hooks_file().replace("[INDEXED, MOVED]", "[INDEXED]"), encoding="utf-8"
        )
        applied = hooksync(["apply", "--yes", "--no-probe"], environ, folder)
        box.seed(
            "DEMO", "https://old.example.net/hook?code=1", "INGEST_FAILED", "a-secret-of-others"
        )
        (folder / "hooks.yaml").write_text(hooks_file(), encoding="utf-8")
        environ["SEARCH_SECRET"] = "a-rotated-secret-of-this-run"
        text = hooksync(["plan", "--color", "always"], environ, folder)
        markdown = hooksync(["plan", "--format", "markdown"], environ, folder)
        if (applied.code, text.code, markdown.code, text.err, markdown.err) != (0, 0, 0, "", ""):
            raise RuntimeError(f"the example does not run: {applied}, {text}, {markdown}")
    where = unescape(markdown.out).replace(f"{box.url} / DEMO", SHOWN)
    return with_fixed_ids(text.out.replace(f"{box.url} / DEMO", SHOWN)), with_fixed_ids(where)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[\d+m", "", text)


def terminal(command: str, said: str) -> str:
    """Draw a terminal with a command and its output, in the colours of the output."""
    lines = [f"$ {command}", *said.splitlines()]
    drawing = Drawing(2 * MARGIN + max(len(plain(line)) for line in lines) * SIZE * COLUMN)
    height = 2 * MARGIN + 24 + len(lines) * STEP
    drawing.box(
        0.5, 0.5, drawing.width - 1, height - 1, 'fill="#0d1117" stroke="#57606a"', corner=8
    )
    for number, colour in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        drawing.parts.append(
            f'<circle cx="{MARGIN + 6 + 18 * number}" cy="20" r="5.5" fill="{colour}"/>'
        )
    for number, line in enumerate(lines):
        if not line:
            continue
        colour, words = re.fullmatch(r"(?:\x1b\[(\d+)m)?([^\x1b]*)(?:\x1b\[0m)?", line).groups()  # type: ignore[union-attr]
        drawing.code(MARGIN, MARGIN + 36 + number * STEP, words, SIZE, COLOURS[colour or ""])
    return drawing.svg(height, f"{command}, in a terminal", plain(said), 700)


def blocks_of(markdown: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the titles, sentences and diffs of a plan in Markdown, each with its kind.

    Raises ValueError if the plan has a block of a different kind.
    """
    body = re.sub(r"^<!--.*?-->\n", "", markdown)
    for block in re.findall("^```diff\n(?:.*\n)+?```$|^.+$", body, re.MULTILINE):
        lines = block.splitlines()
        if lines[0] == "```diff" and lines[-1] == "```":
            yield "diff", lines[1:-1]
        elif title := re.fullmatch(r"(#{3,4}) (.*)", block):
            yield title[1], [title[2]]
        elif re.match(r"[A-Z]", block) and len(lines) == 1:
            yield "", lines
        else:
            raise ValueError(f"no way to draw {block!r}")


def comment(markdown: str) -> str:
    """Draw a plan in Markdown as a forge shows it beneath a pull request."""
    blocks = list(blocks_of(markdown))
    widest = max(len(line) for kind, lines in blocks if kind == "diff" for line in lines)
    drawing = Drawing(4 * MARGIN + widest * SIZE * COLUMN)
    drawing.text(
        MARGIN,
        27,
        "A comment on the pull request, kept up to date by the pipeline",
        14,
        'fill="#424a53"',
    )
    drawing.line([(0.5, 43.5), (drawing.width - 0.5, 43.5)], 'stroke="#d0d7de"')
    y: float = 44
    for kind, lines in blocks:
        if kind == "diff":
            drawing.box(
                MARGIN,
                y + 12,
                drawing.width - 2 * MARGIN,
                len(lines) * STEP + 20,
                'fill="#f6f8fa"',
                corner=6,
            )
            for number, line in enumerate(lines):
                top = y + 22 + number * STEP
                back, colour = MARKED.get(line[:1], ("", "#1f2328"))
                if back:
                    drawing.box(MARGIN, top, drawing.width - 2 * MARGIN, STEP, f'fill="{back}"')
                drawing.code(2 * MARGIN, top + 14.5, line, SIZE, colour)
            y += len(lines) * STEP + 32
        else:
            size = {"###": 19, "####": 15, "": 14}[kind]
            weight = ' font-weight="600"' if kind else ""
            x: float = MARGIN
            y += size + 18
            words = re.sub(r"</?code>", "", lines[0])
            drawing.text(x, y, words, size, f'fill="#1f2328"{weight}')
    height = y + MARGIN
    frame = f'<rect x="0.5" y="0.5" width="{drawing.width - 1:g}" height="{height - 1:g}" rx="8" '
    drawing.parts.insert(0, f'{frame}fill="#ffffff" stroke="#d0d7de"/>')
    return drawing.svg(height, "hooksync plan, as a comment of a pull request", markdown, 700)


def pages() -> dict[Path, str]:
    text, markdown = plans()
    return {
        PICTURES / "plan.svg": terminal("hooksync plan", text),
        PICTURES / "pull-request.svg": comment(markdown),
    }
