"""Compares what a report says of each step with what the sandbox holds right after the run."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from hooksync.sandbox.tenancies import Subscription
from tests.faults.cells import Cell
from tests.faults.run import Came
from tests.faults.scene import SECRET, ours, same_url, wanted

NOT_DONE = ("failed", "not-attempted")


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
    is_idle = all(step["outcome"] == "unchanged" for step in tenancy["steps"])
    if steps.is_verified and not tenancy["error"] and not is_idle and not cell.way.tells_no_flag:
        is_as_declared = ours(came.live) == wanted(cell.way)
        if is_as_declared == bool(tenancy["differences"]):
            told = [f"{one['action']} {one['url']} {one['trigger']}" for one in tenancy["differences"]]
            steps.broken.append(f"the verification tells of {told}, and live is as declared: {is_as_declared}")
    return steps


def _judge(step: dict[str, Any], cell: Cell, came: Came, steps: Steps) -> None:
    """Compare one outcome with what is there."""
    steps.compared += 1
    said, is_made, is_gone = step["outcome"], _made(step, came), step["id"] not in {one.id for one in came.live}
    steps.half_done += said == "half-done"
    shown = f"{step['action']} {step['url']} {step['trigger']} is said to be {said}"
    true = _true_outcomes(step["action"], is_made=is_made is not None, is_gone=is_gone)
    if step["new_id"] and (is_made is None or is_made.id != step["new_id"]):
        steps.broken.append(f"{shown}, with a new id that is not there")
    if said in true:
        if said not in ("done", "unchanged", "not-attempted") and not step["detail"]:
            steps.broken.append(f"{shown}, and not why")
        return
    did_more = said in NOT_DONE or (said == "half-done" and true == ("done",))
    if not steps.is_verified and ((did_more and step["detail"]) or cell.is_lied_to):
        steps.unknown += 1  # nobody could look: it says what it knew, and that there was no look
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
