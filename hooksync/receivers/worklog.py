"""Look up in a receiver's log how often it worked on each event of the suite. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from hooksync.core.record import replace
from hooksync.receivers.suite import Trial
from hooksync.receivers.verdict import Cause

_CAUSES = {  # what was seen, and the fix
    "lost": (
        "it answered 2xx, but its log lacks the identifiers of an entity: this work was lost, or"
        " the log does not show it",
        "answer 2xx only after the work, or after storing the event where it lasts; print the"
        " identifiers of each entity",
    ),
    "twice": (
        "its log shows more work for an event that came twice",
        "before the work, claim the event in one step that fails for the second delivery",
    ),
    "forged": (
        "its log shows work on a forged event",
        "verify the signature before the work",
    ),
}
_TOKEN = re.compile(rb"suite-[0-9a-f]{6}-\d+")  # an identifier of an entity in the suite


def judge_log(trials: Sequence[Trial], log: bytes) -> tuple[list[Trial], list[Cause]]:
    """Judge each event by how often its identifiers are in the log."""
    judged = []
    names: dict[str, list[str]] = {}
    for trial, times in zip(trials, _count_works(trials, log), strict=True):
        fault = _fault(trial, times)
        if fault:
            names.setdefault(fault, []).append(trial.name)
            trial = replace(trial, state="failed")
        elif trial.state == "unproved":
            trial = replace(trial, state="passed")
        judged.append(trial)
    causes = [Cause("failed", *_CAUSES[fault], tuple(names[fault])) for fault in names]
    return judged, causes


def _count_works(trials: Sequence[Trial], log: bytes) -> Iterator[list[float]]:
    """Yield how often each entity of each event was worked on.

    A log may contain an identifier several times for each work: the median counts as once.
    """
    counts = Counter(_TOKEN.findall(log))
    sent = [_TOKEN.findall(trial.sent.body) for trial in trials]
    once = median([counts[token] for found in sent for token in found if token in counts] or [1])
    for found in sent:
        yield [counts[token] / once for token in found]


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
