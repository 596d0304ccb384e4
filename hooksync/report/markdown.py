"""A plan or a run as Markdown, for a comment of a pull request. Pure: it makes strings and prints nothing.

Nothing that a text holds ends a block, begins another, links or mentions; and no comment grows past what GitHub takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from hooksync.core.errors import Problem
from hooksync.core.record import Record
from hooksync.core.redaction import printable
from hooksync.report.markup import ROOM, escaped, fenced, fitting, marker, sentence, shares, size
from hooksync.report.text import (
    applied_summary,
    field_line,
    name_width,
    plan_summary,
    shown_steps,
    step_lines,
    verification,
)
from hooksync.report.view import RunView, StepView, TenancyView

_FOLDED_FROM = 200  # lines of all blocks together
_PROBLEMS_ROOM = 14_000  # bytes of each list of problems
_LONGEST = 1_000  # characters of a line or of a problem
_WORD_ROOM = 100  # bytes of the words that tell what is left out
_REPLACED = "!   "  # what a diff block shows in a colour of its own: `+/-` would be green, as if nothing went


class _Block(Record, frozen=True):
    """What is shown of one tenancy."""

    title: str  # safe
    items: tuple[tuple[str, ...], ...]  # the lines of each step, safe within a fence

    def lines(self, number: int, *, is_folded: bool) -> list[str]:
        """Write the first items, and say how many are left out."""
        shown = [line for item in self.items[:number] for line in item]
        left = len(self.items) - number
        body = [*(fenced("diff", shown) if shown else []), *([f"{left} more left out here."] if left else [])]
        if is_folded:
            return [f"<details><summary>{self.title}</summary>", "", *body, "", "</details>", ""]
        return [f"#### {self.title}", "", *body, ""]


def plan_markdown(view: RunView, *, shows_kept: bool = False) -> str:
    """Write a plan: what it comes to, what stands in its way, and a block for each tenancy."""
    blocks = [block for tenancy in view.tenancies if (block := _tenancy_block(tenancy, shows_kept=shows_kept))]
    return _page("plan", plan_summary(view), _problems(view, "apply would refuse"), blocks)


def report_markdown(view: RunView, *, shows_kept: bool = False) -> str:
    """Write what became of a plan: the same, each step with its outcome, and what the last look found."""
    blocks = [block for tenancy in view.tenancies if (block := _tenancy_block(tenancy, shows_kept=shows_kept))]
    if found := tuple((_line(line),) for line in verification(view)):
        blocks.insert(0, _Block("what is live now", found))
    summary = applied_summary(view) if view.has_changes else plan_summary(view)
    return _page("apply", summary, _problems(view, "refused"), blocks)


def _page(kind: str, summary: str, problems: Iterable[tuple[str, list[list[str]]]], blocks: Sequence[_Block]) -> str:
    """Put the parts together: what is short and must be seen first, then as much of the blocks as there is room."""
    lines = [marker(kind), f"### hooksync {kind}", "", sentence(_cut(summary)), ""]
    for title, items in problems:
        lines += _listed(title, items)
    lines += _fitted(blocks, ROOM - size(lines))
    return "\n".join(lines).rstrip("\n") + "\n"


def _fitted(blocks: Sequence[_Block], room: int) -> Iterator[str]:
    """Give each block its share of the room; one that has none is counted."""
    is_folded = sum(len(item) for block in blocks for item in block.items) >= _FOLDED_FROM
    needs = [size(block.lines(len(block.items), is_folded=is_folded)) for block in blocks]
    left = 0
    for block, need, share in zip(blocks, needs, shares(needs, room - _WORD_ROOM), strict=True):
        number = len(block.items)
        if need > share:
            frame = need - sum(map(size, block.items)) + _WORD_ROOM
            number = fitting(block.items, share - frame)
        lines = block.lines(number, is_folded=is_folded)
        if size(lines) <= share:
            yield from lines
        else:
            left += 1
    if left:
        yield f"Tenancies with changes that are left out here: {left}."


def _tenancy_block(view: TenancyView, *, shows_kept: bool) -> _Block | None:
    steps = shown_steps(view, shows_kept=shows_kept)
    if not steps and view.error is None:
        return None
    tenancy = view.tenancy
    where = tenancy.server.shown + (f" / {tenancy.tenant_shown}" if tenancy.tenant_shown else "")
    live = "not read" if view.live is None else f"{len(view.live)} live"
    title = f"{escaped(_cut(tenancy.name))}, {escaped(_cut(where))}: {live}, {len(tenancy.subscriptions)} declared"
    width = name_width(steps)
    return _Block(title, tuple(_item(step, view, width) for step in steps) or (("!   nothing planned",),))


def _item(step: StepView, view: TenancyView, width: int) -> tuple[str, ...]:
    first, *rest = step_lines(step, view, min(width, _LONGEST))
    if step.action == "resubscribe":
        first = _REPLACED + first[len(_REPLACED) :]
    return tuple(map(_line, (first, *rest, *_outcome_lines(step))))


def _outcome_lines(step: StepView) -> Iterator[str]:
    """Tell what became of a step; what is not done is marked, for its first line has the colour of what was planned."""
    outcome = step.outcome
    if outcome is None or outcome.result == "unchanged":
        return
    words = "not tried" if outcome.result == "not-attempted" else outcome.result.replace("-", " ")
    line = field_line("outcome", f"{words}: {outcome.detail}" if outcome.detail else words)
    yield line if outcome.result == "done" else f"!{line[1:]}"


def _problems(view: RunView, refused: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Gather what must be known, most urgent first."""
    errors = [_listed_item(problem, t.tenancy.name) for t in view.tenancies if t.error for problem in t.error.problems]
    for tenancy in view.tenancies:
        for step in tenancy.steps:
            if step.outcome and step.outcome.result in ("failed", "half-done"):
                subject = step.address or f"{tenancy.tenancy.name}: {step.id}"
                what = f"{step.outcome.result.replace('-', ' ')}: {step.action} {subject}: {step.outcome.detail}"
                errors.append(_listed_item(Problem(what, step.outcome.fix)))
    errors += [_listed_item(problem) for problem in (view.state_error.problems if view.state_error else ())]
    yield "errors", errors
    yield refused, [_listed_item(problem) for problem in view.refusals]
    yield "warnings", [_listed_item(problem) for problem in view.all_warnings]


def _listed_item(problem: Problem, subject: str = "") -> list[str]:
    place = f"{problem.where}: " if problem.where else ""
    what = _cut(f"{subject}: {place}{problem.what}" if subject else f"{place}{problem.what}")
    return [f"- {escaped(what)}", *([f"  fix: {escaped(_cut(problem.fix))}"] if problem.fix else [])]


def _listed(title: str, items: list[list[str]]) -> list[str]:
    """Write a list of problems; what there is no room for is counted."""
    if not items:
        return []
    number = fitting(items, _PROBLEMS_ROOM)
    left = len(items) - number
    more = [f"- {left} more left out here"] if left else []
    return [f"**{title}**", "", *(line for item in items[:number] for line in item), *more, ""]


def _line(text: str) -> str:
    return printable(_cut(text))


def _cut(text: str) -> str:
    """Keep one text from taking all the room, and tell that it went on."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}... ({len(text) - _LONGEST} more characters)"
