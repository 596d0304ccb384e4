"""Compares what a report says of each step with what the sandbox holds right after the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hooksync.sandbox.tenancies import Subscription
from tests.faults.cells import Cell
from tests.faults.run import Came
from tests.faults.scene import SECRET, ours, same_url, wanted
from tests.faults.table import WAIT

NOT_DONE = ("failed", "not-attempted")
UNLISTED = "not listed yet"  # what a report says of what it knows by an answer alone
STILL_LISTED = "still listed"  # likewise, of a removal
AMBIGUOUS = "no answer told which one is"  # and of two that a proxy made


@dataclass(slots=True)
class Steps:
    """What the comparison came to."""

    compared: int = 0
    unknown: int = 0  # steps that more came of than could be known, and of which the report says so
    half_done: int = 0
    is_verified: bool = True
    broken: list[str] = field(default_factory=list)


def judge_steps(cell: Cell, came: Came) -> Steps:
    """Compare every outcome, and the differences that the verification found."""
    steps = Steps()
    try:
        [tenancy] = json.loads(came.out)["tenancies"]
    except (ValueError, KeyError):
        return steps  # no whole report: told elsewhere
    steps.is_verified = tenancy["not_verified"] is None
    for step in tenancy["steps"]:
        _judge(step, cell, came, steps)
    steps.broken += tells_what_it_sees(cell, came)
    return steps


def tells_what_it_sees(cell: Cell, came: Came) -> Iterator[str]:
    """Compare the differences that the verification of a report tells with those that there are."""
    for tenancy in came.run.told:
        is_idle = all(step["outcome"] == "unchanged" for step in tenancy["steps"])
        if tenancy["not_verified"] is not None or tenancy["error"] or is_idle or cell.way.tells_no_flag:
            continue
        is_as_declared = ours(came.live) == wanted(cell.way)
        is_lied_to = (cell.is_lied_to or bool(cell.states)) and (UNLISTED in came.out or STILL_LISTED in came.out)
        if is_as_declared == bool(tenancy["differences"]) and not is_lied_to:
            told = [f"{one['action']} {one['url']} {one['trigger']}" for one in tenancy["differences"]]
            yield f"the verification tells of {told}, and live is as declared: {is_as_declared}"


def _judge(step: dict[str, Any], cell: Cell, came: Came, steps: Steps) -> None:
    """Compare one outcome with what is there."""
    steps.compared += 1
    said, is_made, is_gone = step["outcome"], _made(step, came), step["id"] not in {one.id for one in came.live}
    steps.half_done += said == "half-done"
    shown = f"{step['action']} {step['url']} {step['trigger']} is said to be {said}"
    true = _true_outcomes(step["action"], is_made=is_made is not None, is_gone=is_gone)
    detail = step["detail"] or ""
    is_believed = cell.is_lied_to and (UNLISTED in detail or STILL_LISTED in detail)
    is_believed |= cell.is_doubled and AMBIGUOUS in detail
    is_believed |= cell.way.removals > WAIT and said == "failed" and detail != ""  # the list cannot tell it any sooner
    if step["new_id"] and (is_made is None or is_made.id != step["new_id"]) and not is_believed:
        steps.broken.append(f"{shown}, with a new id that is not there")
    if said in true:
        if said not in ("done", "unchanged", "not-attempted") and not step["detail"]:
            steps.broken.append(f"{shown}, and not why")
        return
    did_more = said in NOT_DONE or (said == "half-done" and true == ("done",))
    if is_believed or (not steps.is_verified and ((did_more and step["detail"]) or cell.is_lied_to)):
        steps.unknown += 1  # nobody could look, or the list may lag: it says what it knew, and that this is all
        return
    steps.broken.append(f"{shown}, and is {' or '.join(true)}")


def _made(step: dict[str, Any], came: Came) -> Subscription | None:
    """Find what a step has made: not there before, of the declared content."""
    if step["action"] not in ("subscribe", "resubscribe"):
        return None
    earlier = {one.id for one in came.before}
    place = same_url(step["url"]), step["trigger"], step["include_identifiers"], SECRET
    found = [
        one
        for one in came.live
        if one.id not in earlier and (one.url, one.trigger, one.include_identifiers, one.secret) == place
    ]
    return next((one for one in found if one.id == step["new_id"]), found[0] if found else None)


def _true_outcomes(action: str, *, is_made: bool, is_gone: bool) -> tuple[str, ...]:
    """Say which outcomes are true of a step."""
    match action:
        case "subscribe":
            return ("done",) if is_made else NOT_DONE
        case "unsubscribe":
            return ("done",) if is_gone else NOT_DONE
        case "resubscribe":
            if is_made != is_gone:
                return ("half-done",)
            return ("done",) if is_made else NOT_DONE
        case _:
            return ("lost",) if is_gone else ("unchanged",)
