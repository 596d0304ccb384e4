"""The diagrams of the documentation: boxes, arrows and bars, drawn so that a phone shows them large
enough to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.site.drawing import Drawing
from tests.site.parts import DOCS

PICTURES = DOCS / "pictures"
WIDTH, SHOWN_WIDTH = 420, 560  # so that text of 13 units is 11 pixels or more on a phone
SIZE, STEP = 13, 17  # of a font, of a line
INK, QUIET, LINE = "#1f2328", "#57606a", "#6e7781"
FILLS = {  # of a box, by what it stands for
    "file": ("#fff8c5", "#bf8700"),
    "hooksync": ("#ddf4ff", "#0969da"),
    "service": ("#dafbe1", "#1a7f37"),
    "stop": ("#ffebe9", "#cf222e"),
    "plain": ("#f6f8fa", "#6e7781"),
}
HEAD = (
    '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7"'
    ' markerHeight="7" orient="auto-start-reverse"><path d="M0,0 L10,5 L0,10 z"'
    f' fill="{LINE}"/></marker></defs>'
)


class Diagram(Drawing):
    """A drawing on a light card, which a dark page shows as well."""

    def __init__(self) -> None:
        super().__init__(WIDTH)

    def words(
        self, x: float, y: float, lines: Sequence[str], *, colour: str = INK, anchor: str = "start"
    ) -> None:
        """Write lines; the first lies with its middle at `y`."""
        for number, line in enumerate(lines):
            bold = ' font-weight="600"' if line.startswith("*") else ""
            style = f'fill="{colour}" text-anchor="{anchor}"{bold}'
            self.text(x, y + 4.5 + number * STEP, line.removeprefix("*"), SIZE, style)

    def node(self, x: float, y: float, width: float, kind: str, *lines: str) -> float:
        """Draw a box with text, and give where it ends; a line that begins with `*` is bold."""
        fill, stroke = FILLS[kind]
        height = len(lines) * STEP + 14
        self.box(x, y, width, height, f'fill="{fill}" stroke="{stroke}"', corner=6)
        self.words(x + width / 2, y + 7 + STEP / 2, lines, anchor="middle")
        return y + height

    def arrow(self, *points: tuple[float, float], dashed: bool = False) -> None:
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self.line(points, f'stroke="{LINE}" stroke-width="1.5"{dashes} marker-end="url(#head)"')

    def picture(self, height: float, title: str, description: str) -> str:
        """Give the picture, with the card beneath it."""
        drawn = self.parts
        self.parts = [HEAD]
        self.box(0.5, 0.5, WIDTH - 1, height - 1, 'fill="#ffffff" stroke="#d0d7de"', corner=8)
        self.parts += drawn
        return self.svg(height, title, description, SHOWN_WIDTH)


class Bar(NamedTuple):
    """From which row to which something is there."""

    column: int
    first: int
    last: int
    kind: str


NEW_FIRST = (
    Bar(0, 1, 4, "file"),
    Bar(1, 2, 5, "hooksync"),
    Bar(2, 1, 3, "file"),
    Bar(3, 3, 5, "hooksync"),
)


def life() -> str:
    drawing = Diagram()
    x, width = 14, 262
    middle, right = x + width / 2, x + width
    y = 14.0
    steps = [
        ("file", ["*Declared", "in hooks.yaml"], "hooksync plan shows it: +"),
        (
            "hooksync",
            ["*Asked", "hooksync challenges the receiver"],
            "hooksync apply asks you: yes",
        ),
        ("hooksync", ["*Noted", "the state says what will be made"], "POST"),
        (
            "service",
            ["*Challenged", "Preservica asks the receiver, too"],
            "it has the right secret",
        ),
        (
            "service",
            ["*Live", "each event is signed with the secret"],
            "it is not declared any more: -",
        ),
        ("plain", ["*Removed", "the state forgets it"], ""),
    ]
    tops = []
    for kind, lines, label in steps:
        tops.append(y)
        y = drawing.node(x, y, width, kind, *lines)
        if label:
            drawing.arrow((middle, y), (middle, y + 34))
            drawing.words(middle + 10, y + 16, [label], colour=QUIET)
            y += 36
    live, asked = tops[4] + 24, tops[1] + 24
    drawing.arrow((right, live), (390, live), (390, asked), (right + 2, asked))
    drawing.words(
        383,
        (live + asked) / 2 - 66,
        ["another", "URL, flag", "or secret:", "+/-"],
        colour=QUIET,
        anchor="end",
    )
    return drawing.picture(
        y + 14,
        "The life of a subscription",
        "A subscription is declared in hooks.yaml, and hooksync plan shows it with a plus. hooksync"
        " apply challenges the receiver, notes in the state what it will make, and calls"
        " Preservica, which challenges the receiver, too. Then the subscription is live. If its"
        " URL, its flag or its secret becomes another one, a new subscription goes the same way,"
        " and the old one is removed when the list shows the new one. If it is not declared any"
        " more, it is removed.",
    )


def bars(
    title: str,
    description: str,
    groups: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> str:
    """Draw which of old and new is there at which of five steps, the new one first; time goes
    downwards.
    """
    left, wide, top, tall = 176, 58, 70, 74
    drawing = Diagram()
    for number, group in enumerate(groups):
        drawing.words(left + wide + number * 2 * wide, 20, [f"*{group}"], anchor="middle")
    for number, column in enumerate(("old", "new") * len(groups)):
        drawing.words(left + wide / 2 + number * wide, 48, [column], colour=QUIET, anchor="middle")
    for number, lines in enumerate(rows):
        y = top + number * tall
        drawing.line([(10, y), (WIDTH - 10, y)], 'stroke="#d0d7de"')
        drawing.words(14, y + 20, [f"*{number + 1}. {lines[0]}", *lines[1:]])
    for bar in NEW_FIRST:
        fill, stroke = FILLS[bar.kind]
        y = top + (bar.first - 1) * tall + 6
        end = top + bar.last * tall - 6
        x = left + bar.column * wide + 12
        drawing.box(x, y, wide - 24, end - y, f'fill="{fill}" stroke="{stroke}"', corner=6)
    bottom = top + len(rows) * tall
    drawing.line([(10, bottom), (WIDTH - 10, bottom)], 'stroke="#d0d7de"')
    key = [
        "At every step there is a subscription whose events",
        "a receiver takes: two bars of the same colour.",
    ]
    drawing.words(14, bottom + 18, key, colour=QUIET)
    return drawing.picture(bottom + 36 + STEP, title, description)


def rotation() -> str:
    return bars(
        "Rotating a secret without a gap",
        "Five steps. 1: the receiver takes the old secret, the subscription has the old secret. 2:"
        " the receiver takes both. 3: apply makes a subscription with the new secret, beside the"
        " old one. 4: the list shows the new one, and apply removes the old one. 5: the old secret"
        " is taken from the receiver. At each step a subscription is there whose secret the"
        " receiver takes.",
        ["receiver takes", "subscriptions"],
        [
            ["Before"],
            ["Give the receiver", "both secrets"],
            ["Apply: the new", "one is made"],
            ["The list shows it:", "the old one goes"],
            ["Take the old secret", "from the receiver"],
        ],
    )


def move() -> str:
    return bars(
        "Moving a receiver without a gap",
        "Five steps. 1: the receiver runs at the old URL, the subscription has the old URL. 2: the"
        " receiver runs at both URLs. 3: url is edited, and apply makes a subscription with the new"
        " URL, beside the old one. 4: the list shows the new one, and apply removes the old one. 5:"
        " the receiver at the old URL is stopped. At each step a subscription is there whose"
        " receiver runs.",
        ["receiver at URL", "subscriptions"],
        [
            ["Before"],
            ["Start the receiver", "at the new URL"],
            ["Edit url, apply:", "the new one is made"],
            ["The list shows it:", "the old one goes"],
            ["Stop the receiver", "at the old URL"],
        ],
    )


def run_lock() -> str:
    drawing = Diagram()
    a, lock, b = 76, 210, 344
    held = 'fill="#ddf4ff" stroke="#0969da"'
    for x, name, kind in (
        (a, "*apply A", "hooksync"),
        (lock, "*run lock", "file"),
        (b, "*apply B", "hooksync"),
    ):
        drawing.node(x - 62, 14, 124, kind, name)
        drawing.line([(x, 45), (x, 436)], f'stroke="{LINE}" stroke-dasharray="2 4"')
    drawing.box(lock - 9, 74, 18, 252, held, corner=4)
    drawing.arrow((a, 80), (lock - 10, 80))
    drawing.words(a + 8, 66, ["takes it"])
    drawing.node(a - 62, 96, 124, "service", "lists, changes,", "verifies")
    drawing.arrow((b, 130), (lock + 10, 130))
    drawing.words(b - 8, 116, ["asks for it"], anchor="end")
    drawing.node(b - 62, 146, 124, "plain", "waits for", "--lock-timeout")
    drawing.arrow((b, 194), (b, 218))
    drawing.node(b - 62, 220, 124, "stop", "refused, exit 3;", "is told who", "holds it")
    drawing.arrow((a, 320), (lock - 10, 320))
    drawing.words(a + 8, 289, ["writes the", "state, returns it"])
    drawing.node(b - 62, 342, 124, "hooksync", "*a later apply")
    drawing.box(lock - 9, 384, 18, 50, held, corner=4)
    drawing.arrow((b, 390), (lock + 10, 390))
    drawing.words(b - 8, 404, ["takes it"], anchor="end")
    drawing.words(
        14,
        458,
        ["On a branch or in a bucket, the lock of a killed run", "expires after a minute."],
        colour=QUIET,
    )
    return drawing.picture(
        494,
        "The run lock of the state",
        "Apply A takes the run lock, lists, changes and verifies, writes the state and returns the"
        " lock. Meanwhile apply B asks for the lock, waits for --lock-timeout, and is refused with"
        " exit code 3; the message names the holder. A later apply takes it. On a branch or in a"
        " bucket, the lock of a killed run expires after a minute.",
    )


def gitops() -> str:
    drawing = Diagram()
    x, width = 14, 270
    middle, right = x + width / 2, x + width
    y = 14.0
    steps = [
        ("file", ["*Pull request", "somebody edits hooks.yaml"]),
        ("hooksync", ["*hooksync plan", "writes a comment, saves the plan"]),
        ("plain", ["*Review", "people read the plan, and merge"]),
        ("hooksync", ["*hooksync apply", "does what was reviewed, or refuses"]),
        ("service", ["*Live", "as declared, and verified"]),
        ("hooksync", ["*Every night: hooksync plan", "exit code 0: nothing has changed"]),
    ]
    tops = []
    for number, (kind, lines) in enumerate(steps):
        if number:
            drawing.arrow((middle, y), (middle, y + 24))
            y += 26
        tops.append(y)
        y = drawing.node(x, y, width, kind, *lines)
    first, last = tops[0] + 24, tops[-1] + 24
    drawing.arrow((right, last), (400, last), (400, first), (right + 2, first))
    drawing.words(
        393,
        (first + last) / 2 - 26,
        ["*exit code 2:", "somebody", "changed it", "by hand"],
        anchor="end",
    )
    return drawing.picture(
        y + 14,
        "The loop of a pipeline",
        "Somebody edits hooks.yaml in a pull request. hooksync plan writes a comment and saves the"
        " plan. People read the plan and merge. hooksync apply does what was reviewed, or refuses."
        " What is live is as declared, and verified. Every night, hooksync plan looks again. Exit"
        " code 0: nothing has changed. Exit code 2: somebody changed it by hand, which leads to the"
        " next pull request.",
    )


def layers() -> str:
    drawing = Diagram()
    x, width, beside = 14, 282, 314
    middle, right = x + width / 2, x + width
    y = 14.0
    for name, what in (
        ("cli", "argv, terminal, signals, exit code"),
        ("commands", "one module a command"),
        ("api", "what import hooksync gives"),
        ("output", "one view, its renderings, all JSON"),
        ("reconcile", "diff, plan, apply, journal"),
    ):
        y = drawing.node(x, y, width, "hooksync", f"*{name}", what)
        drawing.arrow((middle, y), (middle, y + 18))
        y += 20
    third = (width - 16) / 3
    below = y
    for number, (kind, *lines) in enumerate(
        [
            ("file", "*config", "what is", "declared"),
            ("file", "*state", "what was", "made"),
            ("service", "*service", "Preservica,", "by HTTP"),
        ]
    ):
        left = x + number * (third + 8)
        y = drawing.node(left, below, third, kind, *lines)
        drawing.arrow((left + third / 2, y), (left + third / 2, y + 18))
    drawing.node(beside, below, 92, "plain", "*receiver", "challenge,", "events")
    drawing.arrow((right, below + 32), (beside - 2, below + 32))
    drawing.node(beside, 14, 92, "plain", "*sandbox", "a local", "Preservica")
    drawing.arrow((right, 34), (beside - 2, 34))
    drawing.arrow((beside + 46, 79), (beside + 46, below - 2))
    y = drawing.node(x, y + 20, width, "hooksync", "*core", "nouns, errors, URLs, redaction")
    return drawing.picture(
        y + 14,
        "The packages of hooksync, and which imports which",
        "From top to bottom, each imports what is below it: cli, commands, api, output, reconcile;"
        " then config, state and service side by side, which do not import each other; then core."
        " cli starts the sandbox. service and the sandbox import receiver, the public module of the"
        " handshake, and share nothing else.",
    )


def pages() -> dict[Path, str]:
    drawn = {
        "life.svg": life(),
        "rotation.svg": rotation(),
        "move.svg": move(),
        "run-lock.svg": run_lock(),
        "gitops.svg": gitops(),
        "layers.svg": layers(),
    }
    return {PICTURES / name: text for name, text in drawn.items()}
