"""Make Markdown from a plan or a run, for a comment in a pull request, or a mail.

Pure: it makes strings and prints nothing.

No text from outside can end or start a block, or make a link or a mention. A comment never grows
larger than GitHub allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from hooksync.core.errors import Problem
from hooksync.core.redaction import cut, printable
from hooksync.reconcile.plan import Plan
from hooksync.render.text import (
    Line,
    headline,
    problem_groups,
    sentences,
    step_lines,
    tenancy_table,
    verification,
)

LIMIT = 65_536  # bytes of UTF-8 that a comment on GitHub may have
# bytes for our text: a workflow adds lines of its own, and Windows ends each line with two bytes
_ROOM = LIMIT - 4_096

_PROBLEMS_ROOM = 14_000  # bytes of each list of problems
_LONGEST = 1_000  # characters of a line or of a problem
_REPLACED_MARK = "!   "
_PLAIN = re.compile(r"([A-Za-z]([0-9A-Za-z ,;.()-]|: )*)?")
_AUTOLINKED = re.compile(r"www\.|\bgh-[0-9]", re.IGNORECASE)
_BACKTICKS = re.compile("`+")


def markdown(plan: Plan, *, shows_kept: bool = False) -> str:
    """Write a plan: its summary and problems first, then as many steps as there is room for."""
    kind = "apply" if plan.is_report else "plan"
    # bots find their earlier notes by the comment
    lines = [f"<!-- hooksync:{kind} -->", f"### {in_markdown(headline(plan))}", ""]
    for text in sentences(plan):
        lines += [in_markdown(text), ""]
    for title, fixes in problem_groups(plan).items():
        lines += _problem_list(title, fixes)
    steps = [*verification(plan), ("", "")]
    if len(steps) == 1:
        steps = []
    steps = [*tenancy_table(plan), *steps, *step_lines(plan, shows_kept=shows_kept)]
    lines += _steps_block([*map(_line, steps)], _ROOM - _size(lines))
    return "\n".join(lines).rstrip("\n") + "\n"


def _steps_block(steps: Sequence[Line], room: int) -> list[str]:
    """Write as many steps as there is room for, in a code block that no text in them can end."""
    mark = fence("\n".join(text for _, text in steps))
    shown, more = _fitted(steps, room - _size([f"{mark}diff", mark]))
    while shown and not shown[-1]:
        shown.pop()
    return [f"{mark}diff", *shown, mark, *more] if shown else more


def _problem_list(title: str, fixes: Mapping[str, list[Problem]]) -> list[str]:
    """Write a list of problems, and count those for which there is no room."""
    items: list[Line] = []
    for fix, alike in fixes.items():
        items += [("problem", f"- {in_markdown(problem.headline)}") for problem in alike]
        items.append(("", f"  fix: {in_markdown(fix)}"))
    lines, more = _fitted(items, _PROBLEMS_ROOM)
    return [f"**{title}**", "", *lines, *(f"- {text}" for text in more), ""]


def _line(line: Line) -> Line:
    """Make a line fit for a block of changes."""
    kind, text = line
    if kind in ("resubscribe", "adopt"):
        # a diff block shows `!` in its own colour; `+/-` would be green, as if added only
        text = _REPLACED_MARK + text[len(_REPLACED_MARK) :]
    return kind, printable(cut(text, _LONGEST))


def in_markdown(text: str) -> str:
    """Write any text on one line, so that it makes no link, no mention and no markup.

    Plain words stay unchanged. Any other text is a code span, which people can read in a mail too.
    """
    text = printable(cut(text, _LONGEST))
    if _PLAIN.fullmatch(text) and not _AUTOLINKED.search(text):
        return text
    mark = fence(text, shortest=1)
    space = " " if text.strip("`") != text else ""  # it keeps the backticks apart
    return f"{mark}{space}{text}{space}{mark}"


def fence(text: str, shortest: int = 3) -> str:
    """Return more backticks in a row than the text contains: it cannot end code between two."""
    longest = max(map(len, _BACKTICKS.findall(text)), default=0)
    return "`" * max(shortest, longest + 1)


def _size(lines: Iterable[str]) -> int:
    """Count the bytes that lines take, with their line breaks."""
    return sum(len(line.encode()) + 1 for line in lines)


def _fitted(lines: Sequence[Line], room: int) -> tuple[list[str], list[str]]:
    """Return the lines that fit into `room` bytes, and a line that counts the items in the rest.

    A line of a kind begins an item, which is shown completely or not at all.
    """
    shown: list[str] = []
    complete = 0
    for kind, text in lines:
        if kind:
            complete = len(shown)
        room -= _size([text])
        if room < 0:
            left = sum(bool(kind) for kind, _ in lines[complete:])
            return shown[:complete], [f"{left} more left out here."]
        shown.append(text)
    return shown, []
