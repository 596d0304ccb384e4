"""Make Markdown from a plan or a run, for a comment in a pull request, or a mail.

Pure: it makes strings and prints nothing.

No text from outside can end or start a block, or make a link or a mention. A comment never grows
larger than GitHub allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hooksync.core.redaction import cut, printable
from hooksync.reconcile.plan import Plan
from hooksync.render.sentences import (
    CHANGES,
    by_fix,
    counted,
    headline,
    selection_sentences,
    summaries,
)
from hooksync.render.text import tenancy_lines

LIMIT = 65_536  # bytes of UTF-8 that a comment on GitHub may have
# bytes for our text: a workflow adds lines of its own, and Windows ends each line with two bytes
_ROOM = LIMIT - 4_096

_MANY_TENANCIES = 5  # with so many, a line for each sums it up
_PROBLEMS_ROOM = 40_000  # bytes of the list of problems
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
    for text in (*selection_sentences(plan), *summaries(plan)):
        lines += [in_markdown(text), ""]
    problems = []
    for fix, heads in by_fix(plan):
        problems += [*(f"- {in_markdown(head)}" for head in heads), f"  {in_markdown(fix)}"]
    lines += [*_fitted(problems, _PROBLEMS_ROOM), ""]
    texts: list[str] = []
    if not plan.is_result:
        steps = [*_sums(plan), *tenancy_lines(plan, shows_kept=shows_kept)]
        texts = "\n".join(map(_line, steps)).rstrip().splitlines()
    if texts:
        mark = fence("\n".join(texts))
        lines += [f"{mark}diff", *_fitted(texts, _ROOM - _size([*lines, mark, mark])), mark]
    return "\n".join(lines).rstrip("\n") + "\n"


def _sums(plan: Plan) -> list[str]:
    """Sum up each tenancy that differs, if there are many: steps may be left out."""
    texts = []
    for tenancy in plan.tenancies:
        if tenancy.has_changes:
            texts.append(f"{tenancy.name}: {counted(tenancy.counts(), CHANGES)}")
    return [*texts, ""] if len(texts) >= _MANY_TENANCIES else []


def _line(text: str) -> str:
    """Make a line fit for a block of changes."""
    if text.startswith(("+/-", "-/+")):
        # a diff block shows `!` in its own colour; `+/-` would be green, as if added only
        text = _REPLACED_MARK + text[len(_REPLACED_MARK) :]
    return printable(cut(text, _LONGEST))


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


def _fitted(lines: Sequence[str], room: int) -> list[str]:
    """Return the lines that fit into `room` bytes, and a line that counts the rest."""
    for number, text in enumerate(lines):
        room -= _size([text])
        if room < 0:
            return [*lines[:number], "", f"{len(lines) - number} more lines left out here."]
    return [*lines]
