"""Judges what a cell of the fault matrix came to. What does not hold is named; nothing is forgiven.

The laws are asked of every run. What a report says of each step is compared with what the sandbox then holds, and what
the state says as well. Then one run without faults must have put everything right.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema

from hooksync.core.errors import ExitCode
from tests.command_line import ROOT
from tests.faults.cells import Cell
from tests.faults.posts import expected_posts
from tests.faults.run import Came, Result
from tests.faults.scene import OURS, What, ours, wanted
from tests.faults.state import untruths_of_the_state
from tests.faults.steps import judge_steps, tells_what_it_sees
from tests.faults.table import Way
from tests.laws import broken_by, broken_when_settled

ENDS = (ExitCode.DONE, ExitCode.ERROR, ExitCode.PARTLY_APPLIED)
LOOKS = ["login", "list"]  # the calls of a plan


def find_broken(result: Result) -> tuple[str, ...]:
    """Name what does not hold."""
    return tuple(_find_broken(result))


def _find_broken(result: Result) -> Iterator[str]:
    cell, first = result.cell, result.first
    if cell.states:
        yield from _broken_of_two(result)
    else:
        yield from judge_apply(cell, first)
    for fault in cell.faults:
        if fault.call != "any" and first.count(fault.call) <= fault.skip:
            yield f"the fault never happened: there were {first.count(fault.call)} calls of {fault.call}"
    posts, expected = first.count("subscribe"), expected_posts(cell)
    if expected is not None and posts != expected:
        yield f"{posts} POSTs, where {expected} were to be made"
    for came in result.between:
        yield from (f"the apply in between: {law}: {how}" for law, how in broken_by(came.run))
    yield from (f"the apply without faults: {text}" for text in _unsettled(cell.way, result.second))
    yield from (f"the apply without faults: {text}" for text in judge_steps(cell, result.second).broken)
    yield from (f"the plan at the end: {text}" for text in _unsettled(cell.way, result.third, is_second=True))
    if [call.name for call in result.third.calls] != LOOKS:
        yield f"the plan at the end calls {', '.join(call.name for call in result.third.calls)}"
    if cell.way.uses_state:
        yield from untruths_of_the_state(result)


def judge_apply(cell: Cell, came: Came) -> Iterator[str]:
    """Name what does not hold of one apply, faulty or not."""
    yield from (f"{law}: {how}" for law, how in broken_by(came.run))
    yield from schema_errors(came, "report")
    if came.code not in ENDS:
        yield f"exit code {came.code}"
    yield from judge_steps(cell, came).broken
    yield from _lost_or_doubled(cell, came)


def _broken_of_two(result: Result) -> Iterator[str]:
    """Name what does not hold of two at once, and of what those with a state of their own do one by one after it."""
    cell, first, other = result.cell, result.first, result.other
    for came in (first, *([other] if other else ())):
        yield from (f"{came.run.name}: {law}: {how}" for law, how in broken_by(came.run))
        yield from (f"{came.run.name}: {text}" for text in schema_errors(came, "report") if came.out)
    yield from tells_what_it_sees(cell, first)
    if other is None:
        yield "the other never ran"
    elif cell.states == "one state":
        if other.code != ExitCode.REFUSED or other.calls:
            yield f"the other ran beside the first, with exit code {other.code}"
    else:
        yield from tells_what_it_sees(cell, other)
    for number, came in enumerate(result.others):
        is_plan = came.run.verb == "plan"
        yield from (f"{came.run.name}: {text}" for text in _unsettled(cell.way, came, is_second=is_plan or number > 1))


def schema_errors(came: Came, kind: str) -> list[str]:
    """Name what is wrong with a result: it is to be one whole document, of its schema."""
    try:
        document = json.loads(came.out)
    except ValueError:
        return [f"its result is no JSON: {came.out[:80]!r}"]
    return [f"its JSON is not of the schema: {error.json_path}" for error in _validator(kind).iter_errors(document)]


@cache
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((ROOT / "schemas" / f"{kind}.schema.json").read_text("utf-8")))


def tenancies(came: Came) -> list[dict[str, Any]]:
    """Give what a report tells of the tenancies; nothing where there is no whole report, which is told elsewhere."""
    return [dict(one) for one in came.run.told]


def _lost_or_doubled(cell: Cell, came: Came) -> Iterator[str]:
    """Name what should have stayed and went, and what came more often than it should."""
    there = ours(came.live)
    for url, trigger, flag, secret in wanted(cell.way):
        if url == f"{OURS}/steady" and not there[url, trigger, flag, secret]:
            yield f"{url} {trigger} was to be kept and is lost"
    earlier = {one.id for one in came.before}
    for (url, trigger), number in Counter((one.url, one.trigger) for one in came.live if one.id not in earlier).items():
        if number > 1 and not cell.may_double:
            yield f"{url} {trigger} was made {number} times"


def _unsettled(way: Way, came: Came, *, is_second: bool = False) -> Iterator[str]:
    """Name what a run without faults has not put right."""
    yield from (f"{law}: {how}" for law, how in broken_when_settled(came.run, is_second=is_second))
    yield from schema_errors(came, "report" if came.run.verb == "apply" else "plan")
    if ours(came.live) != wanted(way):
        yield f"it leaves {difference(ours(came.live), wanted(way))}"


def difference(there: Counter[What], meant: Counter[What]) -> str:
    """Say what is too much and what is missing."""
    parts = [f"{count} x {url} {trigger} too much" for (url, trigger, *_), count in (there - meant).items()]
    parts += [f"{count} x {url} {trigger} missing" for (url, trigger, *_), count in (meant - there).items()]
    return ", ".join(parts)
