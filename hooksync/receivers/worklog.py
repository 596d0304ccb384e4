"""Look up in a receiver's log how often it worked on each event of the suite. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from statistics import median

from hooksync.core.record import replace
from hooksync.receivers.suite import Trial
from hooksync.receivers.verdict import Cause

_CAUSES = {  # what was seen, what it means, and the fix
    "lost": (
        "it answered 2xx, but its log lacks the identifiers of an entity",
        "this work was lost, or the log does not show it",
        "answer 2xx only after the work, or after storing the event where it lasts; print the"
        " identifiers of each entity",
    ),
    "twice": (
        "its log shows more work for an event that came twice",
        "work is done twice",
        "before the work, claim the event in one step that fails for the second delivery",
    ),
    "forged": (
        "its log shows work on a forged event",
        "anybody who knows the URL could send it events",
        "verify the signature before the work",
    ),
}
_TOKEN = re.compile(r"suite-[0-9a-f]{6}-\d+")


def judge_log(trials: Sequence[Trial], log: str) -> tuple[list[Trial], list[Cause]]:
    """Judge each event by how often its identifiers are in the log.

    A log may contain an identifier several times for each work: the median counts as once.
    """
    counts = Counter(_TOKEN.findall(log))
    found = [counts[token] for trial in trials for token in trial.tokens if counts[token]]
    once = median(found) if found else 1
    judged = []
    names: dict[str, list[str]] = {}
    for trial in trials:
        fault = _fault(trial, [counts[token] / once for token in trial.tokens])
        if fault:
            names.setdefault(fault, []).append(trial.name)
            trial = replace(trial, state="failed")
        elif trial.state == "unproved" and trial.tokens:
            trial = replace(trial, state="passed")
        judged.append(trial)
    return judged, [
        Cause("failed", *_CAUSES[fault], tuple(tests)) for fault, tests in names.items()
    ]


def _fault(trial: Trial, times: Sequence[float]) -> str:
    """Return what the log shows against a test: a name in _CAUSES, or "".

    `times`: how often each entity was worked on.
    """
    if trial.kind == "forged":
        return "forged" if any(times) else ""
    if trial.kind != "genuine" or trial.state == "failed" or not times:
        return ""
    if not all(times):
        return "lost"
    return "twice" if max(times) > 1.5 else ""
