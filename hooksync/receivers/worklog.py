"""Look up in a receiver's log how often it worked on each event of the suite. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from hooksync.core.record import replace
from hooksync.receivers.suite import LATIN, Trial
from hooksync.receivers.verdict import Cause

LOG_WAIT = 15.0  # seconds for the last work to appear in the log
_CAUSES = {  # what was seen, and the fix
    "silent": (
        "its log has no identifier of this run: it is a different log, the work does not print"
        " identifiers, or nothing works on the events",
        "name the log of this receiver; print the identifiers of each entity as the last step of"
        " the work, and flush them",
    ),
    "lost": (
        "it answered 2xx, but its log lacks the identifiers of an entity for"
        f" {LOG_WAIT:g} s: the work is slow, waits in a queue, or is lost",
        "answer 2xx only after the work, or after storing the event where it lasts; print the"
        " identifiers of each entity as the last step of the work",
    ),
    "twice": (
        "its log shows more work for an event that came twice",
        "before the work, claim the event in one step that fails for the second delivery",
    ),
    "latin-1": (
        "it works on an event that is signed in Latin-1, as pyPreservica's handlers do. Only who"
        " knows the secret can sign one. But if Preservica signs bytes, it drops genuine events"
        " with letters outside ASCII",
        "verify the raw bytes of the body",
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
    works = list(_count_works(trials, log))
    missing = "lost" if any(map(any, works)) else "silent"
    for trial, times in zip(trials, works, strict=True):
        fault = _fault(trial, times, missing)
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


def _fault(trial: Trial, times: Sequence[float], missing: str) -> str:
    """Return what the log shows against a test: a name in _CAUSES, or "".

    `times`: how often each entity was worked on. `missing`: the name if the log lacks one.
    """
    if trial.kind == "forged":
        name = "latin-1" if trial.name == LATIN else "forged"
        return name if any(times) else ""
    if trial.kind != "genuine" or trial.state == "failed" or not times:
        return ""
    if not all(times):
        return missing
    return "twice" if max(times) > 1.5 else ""
