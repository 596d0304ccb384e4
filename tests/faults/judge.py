"""Judges what a cell of the fault matrix came to. What does not hold is named; nothing is forgiven.

What a report says is compared with what the sandbox then holds: exit code, each step's outcome, the differences, the
state. Then one run without faults must have put everything right.
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
from tests.faults.scene import HIDDEN, OURS, What, declared_places, ours, theirs, wanted
from tests.faults.state import untruths_of_the_state
from tests.faults.steps import judge_steps
from tests.laws import gaps, served

ENDS = (ExitCode.DONE, ExitCode.ERROR, ExitCode.PARTLY_APPLIED)


def find_broken(result: Result) -> tuple[str, ...]:
    """Name what does not hold."""
    return tuple(_find_broken(result))


def _find_broken(result: Result) -> Iterator[str]:
    cell, first = result.cell, result.first
    yield from judge_apply(cell, first)
    for fault in cell.faults:
        if fault.call != "any" and first.count(fault.call) <= fault.skip:
            yield f"the fault never happened: there were {first.count(fault.call)} calls of {fault.call}"
    posts, expected = first.count("subscribe"), expected_posts(cell)
    if expected is not None and posts != expected:
        yield f"{posts} POSTs, where {expected} were to be made"
    yield from (f"the apply without faults: {text}" for text in judge_apply(cell, result.second))
    yield from (
        f"the plan at the end: {text}" for text in (*_broken_words(result.third), *schema_errors(result.third, "plan"))
    )
    yield from _unsettled(result)


def judge_apply(cell: Cell, came: Came) -> Iterator[str]:
    """Name what does not hold of one apply, faulty or not."""
    yield from _broken_words(came)
    yield from schema_errors(came, "report")
    yield from _dishonest_code(cell, came)
    yield from judge_steps(cell, came).broken
    yield from _lost_or_doubled(cell, came)
    yield from _gaps(cell, came)


def _broken_words(came: Came) -> Iterator[str]:
    """Name tracebacks and secrets."""
    if came.crash:
        yield came.crash
    if "Traceback" in came.out + came.err:
        yield "it shows a traceback"
    if "unforeseen: " in came.err:
        yield "it meets an error that no code is made for"
    for number, hidden in enumerate(HIDDEN):
        if hidden in came.out or hidden in came.err:
            yield f"it shows the secret number {number}"


@cache
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((ROOT / "schemas" / f"{kind}.schema.json").read_text("utf-8")))


def schema_errors(came: Came, kind: str) -> list[str]:
    """Name what is wrong with a result: it is to be one whole document, of its schema."""
    try:
        document = json.loads(came.out)
    except ValueError:
        return [f"its result is no JSON: {came.out[:80]!r}"]
    return [f"its JSON is not of the schema: {error.json_path}" for error in _validator(kind).iter_errors(document)]


def _dishonest_code(cell: Cell, came: Came) -> Iterator[str]:
    """Hold the exit code against what was there and is there."""
    has_changed, is_as_declared = came.before != came.live, ours(came.live) == wanted(cell.way)
    [tenancy] = tenancies(came) or [{}]
    not_verified = tenancy.get("not_verified")
    if came.code not in ENDS:
        yield f"exit code {came.code}"
    if came.code == ExitCode.DONE and not is_as_declared:
        yield f"exit 0, and live is not as declared: {_difference(ours(came.live), wanted(cell.way))}"
    if came.code == ExitCode.ERROR and has_changed:
        yield "exit 1, and something was changed"
    if came.code == ExitCode.PARTLY_APPLIED and not has_changed:
        # something may have, as far as hooksync can know: a change without a clear no, and no look afterwards
        may_have = any(
            call.name in ("subscribe", "unsubscribe") and not _is_clear_no(call.status) for call in came.calls
        )
        if not (not_verified and may_have):
            yield "exit 4, and nothing was changed, nor may have been"
    if came.code != ExitCode.DONE and tenancy and not tenancy["error"] and not not_verified:
        results = {step["outcome"] for step in tenancy["steps"]}
        if results <= {"done", "unchanged"} and not tenancy["differences"]:
            yield f"exit {came.code}, and the report knows of nothing amiss"


def _is_clear_no(status: int | None) -> bool:
    """Whether an answer says that nothing was done: a cut says nothing, a 500 that it went wrong."""
    return status is not None and 300 <= status < 500


def tenancies(came: Came) -> list[dict[str, Any]]:
    """Give what a report tells of the tenancies; nothing where there is no whole report, which is told elsewhere."""
    try:
        return list(json.loads(came.out)["tenancies"])
    except (ValueError, KeyError):
        return []


def warnings_of(came: Came) -> list[str]:
    """Give the warnings of a report; none where there is no whole one, which is told elsewhere."""
    try:
        return list(json.loads(came.out)["warnings"])
    except (ValueError, KeyError):
        return []


def _lost_or_doubled(cell: Cell, came: Came) -> Iterator[str]:
    """Name what should have stayed and went, and what came more often than it should."""
    if theirs(came.before) != theirs(came.live):
        yield "what belongs to others is not as it was"
    there = ours(came.live)
    for url, trigger, flag, secret in wanted(cell.way):
        if url == f"{OURS}/steady" and not there[url, trigger, flag, secret]:
            yield f"{url} {trigger} was to be kept and is lost"
    earlier = {one.id for one in came.before}
    for (url, trigger), number in Counter((one.url, one.trigger) for one in came.live if one.id not in earlier).items():
        if number > 1:
            yield f"{url} {trigger} was made {number} times"


def _gaps(cell: Cell, came: Came) -> Iterator[str]:
    """Name the addresses that lost their place before there was a new one, though nobody asked for it."""
    if cell.way.replacement == "remove-first":
        return
    declared = declared_places(cell.way)
    moments = [{one.id: (one.url, one.trigger) for one in live} for live in (came.before, *came.moments)]
    said = [text for text in warnings_of(came) if "the old one is removed first" in text] if cell.may_conflict else []
    for address in sorted(gaps(declared, served(declared, moments[0], came.remembered), moments)):
        if not any(text.startswith(f"{address}: ") for text in said):
            yield f"{address} lost its old half before there was a new one"


def _unsettled(result: Result) -> Iterator[str]:
    """Name what the run without faults has not put right."""
    way, second, third = result.cell.way, result.second, result.third
    if second.code != ExitCode.DONE:
        yield f"the apply without faults exits {second.code}: {second.err[-400:]}"
    if ours(second.live) != wanted(way):
        yield f"the apply without faults leaves {_difference(ours(second.live), wanted(way))}"
    if third.code != ExitCode.DONE or [call.name for call in third.calls] != ["login", "list"]:
        yield f"the plan at the end exits {third.code}, after {', '.join(call.name for call in third.calls)}"
    if way.uses_state:
        yield from untruths_of_the_state(result)


def _difference(there: Counter[What], meant: Counter[What]) -> str:
    parts = [f"{count} x {url} {trigger} too much" for (url, trigger, *_), count in (there - meant).items()]
    parts += [f"{count} x {url} {trigger} missing" for (url, trigger, *_), count in (meant - there).items()]
    return ", ".join(parts)
