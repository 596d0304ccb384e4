"""Explain the failures of the suite: each cause once, with the tests that have it.

A cause is stated only with what was seen. A receiver that refuses genuine events is sent these
events again, each signed with a usual mistake. If it answers one of them differently, that mistake
is its bug. The receiver's log shows how often it worked on each event.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from hooksync.core.record import Record, replace
from hooksync.receivers.diagnosis import event_mistakes
from hooksync.receivers.events import SUCCESS
from hooksync.receivers.suite import (
    FIRST,
    LATIN,
    REFUSING,
    WAITING,
    WRONG,
    WRONG_WHOLE,
    Sender,
    Trial,
    TrialKind,
    TrialState,
)
from hooksync.service.challenges import key_of
from hooksync.service.signatures import Mistake

LOG_WAIT = 15.0  # seconds for the last work to appear in the log
_LOG_FIX = "see the receiver's log"
_REFUSE_FIX = "answer 401 to what none of your secrets signed as it is"
_WORK_FIX = f"{_LOG_FIX}; if its work looks up the entity, give an event of a real one: --event"
_UNPROVED = (
    "it answers 200 to an event with a wrong signature: either it works on forged events, or it"
    " drops events and still answers 200, so its 200 proves nothing"
)
_UNPROVED_FIX = (
    f"{_REFUSE_FIX}; pyPreservica's handlers do this, and hooksync.receiver can replace them"
)
# forged events that were accepted -> what that shows, and the fix; the first row counts
_ACCEPTED = (
    ({WRONG}, _UNPROVED, _UNPROVED_FIX),
    (
        {WRONG_WHOLE},
        f"{_UNPROVED}; only in one piece: it may read chunked events alone",
        _UNPROVED_FIX,
    ),
    (
        {"without a signature", "with an empty signature"},
        "it accepts events without a signature",
        _REFUSE_FIX,
    ),
    (
        {"with a wrong last digit", "with a digit less", "with a digit more"},
        "it compares only a part of the signature",
        "compare all 64 digits, in constant time",
    ),
)
_LIMIT_FIX = "let the server, the framework and proxies take bodies of 10 MB"
# what all failed events have, and no other event has -> what it means, and the fix
_FEATURES = {
    "in chunks": (
        "all events in chunks fail, and all in one piece pass",
        "read chunked requests, or let a proxy collect them: nginx, proxy_request_buffering on",
    ),
    "in one piece": (
        "all events in one piece fail, and all in chunks pass",
        "read a body by its Content-Length, too",
    ),
    "lower-case header": (
        "it finds the header only in one spelling: names of headers have no case",
        "look for preservica-signature in any case, as the framework's own look-up does",
    ),
    "upper-case hex": ("it refuses hex in upper case", "compare the signature in lower case"),
    "other secret": (
        "it refuses what a further secret signed: late events of a rotation would be lost",
        "give the receiver this secret, too, and accept events of both",
    ),
    "of 150 kB": (
        "it takes no event of 150 kB: a limit, such as the 100 kB of Express",
        _LIMIT_FIX,
    ),
    "of 1.5 MB": ("it takes 150 kB, and no event of 1.5 MB: a limit, often 1 MiB", _LIMIT_FIX),
    "of 10 MB": ("it takes 1.5 MB, and no event of 10 MB: a limit", _LIMIT_FIX),
}
_CONTENT = {
    "unknown field": "it fails on a field that it does not know",
    "unknown trigger": "it fails on a trigger that it does not know",
    "letter outside Latin-1": "it fails on letters outside Latin-1",
    "letter": "it fails on letters outside ASCII",
    "three entities": "it fails on an event of several entities",
    "no entities": "it fails on an event without entities, as of INGEST_FAILED",
    "ends": "it fails on white space at the ends of the body, or on its line breaks",
    "at once": "it fails if the same event comes twice at once",
    "repeat": "it fails on an event that comes again: while a subscription is replaced, each does",
    "spaced": "it fails on JSON with spaces",
}
_UNAUTHORIZED = 401
_TOO_LARGE = 413
_LARGE = 100_000  # bytes, for which a search would take long
_SERVER_ERRORS = range(500, 600)
_GATEWAY = (502, 503, 504)
_GATEWAY_HINT = "as a proxy does if the receiver behind it does not answer"
_GATEWAY_FIX = "see whether the receiver behind the proxy runs, and the proxy's log"
_CONTENT_FIX = "answer 200 to each genuine event, whatever it holds"
# what the log shows -> what it means, and the fix
_IN_THE_LOG = {
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
_TOKEN = re.compile(rb"suite-[0-9a-f]{12}")  # an identifier of an entity in the suite


class Cause(Record):
    """Why tests failed, or what they warn of."""

    severity: TrialState
    what: str  # as was seen
    fix: str
    tests: tuple[str, ...]


class _Verdict:
    """The causes so far, and the failed tests and warnings that have none yet."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self.trials = trials
        # if the receiver is gone, that proves nothing about its last event
        self.genuine = [trial for trial in trials if trial.kind == "genuine" and not trial.is_last]
        self.is_all = all(trial.state == "failed" for trial in self.genuine)
        failed = [trial for trial in trials if trial.state == "failed"]
        warned = [trial for trial in trials if trial.state == "warning"]
        self.rest = {trial.name: trial for trial in (*failed, *warned)}
        self.causes: list[Cause] = []
        # the status for a wrong signature
        self.refused_with = next((trial.status for trial in trials if trial.name == WRONG), None)

    def take(self, chosen: Sequence[Trial], what: str, fix: str) -> None:
        """Explain the chosen tests, as far as they are not explained yet."""
        names = [trial.name for trial in chosen if self.rest.pop(trial.name, None)]
        if names:
            self.causes.append(Cause(chosen[0].state, what, fix, tuple(names)))

    def accepted(self) -> list[Trial]:
        """Return the forged events that the receiver took, and that have no explanation yet."""
        return [trial for trial in self.failed("forged") if trial.status in SUCCESS]

    def failed(self, kind: TrialKind = "genuine") -> list[Trial]:
        """Return the tests of a kind that have no explanation yet."""
        rest = self.rest.values()
        return [trial for trial in rest if (trial.kind, trial.state) == (kind, "failed")]


def explain(trials: Sequence[Trial], sender: Sender) -> list[Cause]:
    """Return the causes of all failures, then the warnings."""
    verdict = _Verdict(trials)
    for proofs, what, fix in _ACCEPTED:
        accepted = verdict.accepted()
        if proofs & {trial.name for trial in accepted}:
            verdict.take(accepted, what, fix)
    _explain_challenges(verdict)
    _explain_series(verdict)
    _explain_features(verdict, _FEATURES)
    _explain_signatures(verdict, sender)
    _explain_features(verdict, {name: (what, _CONTENT_FIX) for name, what in _CONTENT.items()})
    _explain_rest(verdict)
    return verdict.causes


def _explain_challenges(verdict: _Verdict) -> None:
    """Explain wrong answers to challenges. With a wrong secret, all events have the same cause."""
    for trial in verdict.failed("challenge"):
        is_refused = trial.status == verdict.refused_with
        # everything is answered alike, but not as by a receiver that verifies: e.g. a wrong path
        is_alike = is_refused and verdict.is_all and trial.status != _UNAUTHORIZED
        # if there is no answer at all, events have the same fix
        same = [
            other
            for other in verdict.rest.values()
            if other.status == trial.status and (is_alike or other.fix == trial.fix)
        ]
        if trial.probe == "wrong-secret":
            same += [
                other
                for other in verdict.failed()
                if other.status == verdict.refused_with and "other secret" not in other.features
            ]
            same += verdict.accepted()
        what = trial.detail
        fix = trial.fix
        if is_refused and trial.status in REFUSING and not verdict.is_all:
            what += (
                ": so it answers an event that it refuses. The query does not reach it, or it reads"
                " only the first parameter"
            )
            fix = "read challengeCode from the whole query; let proxies keep the query"
        verdict.take(same, what, fix)


def _explain_series(verdict: _Verdict) -> None:
    """Explain failures of the work, and a receiver that fails from the second event on."""
    failed = verdict.failed()
    if not failed:
        return
    first, *later = verdict.genuine
    errors = [trial for trial in failed if trial.status == first.status]
    if first.state != "failed" and len(failed) == len(later) > 1:
        what = f"it takes the first event, and fails from the second one on: {_answer(failed[0])}"
        verdict.take(failed, what, _LOG_FIX)
    elif first.status in _GATEWAY:
        verdict.take(errors, f"{_answer(first)}, {_GATEWAY_HINT}", _GATEWAY_FIX)
    elif first.status in _SERVER_ERRORS and verdict.refused_with in REFUSING:
        what = "it refuses forged events, so its verification is right; but its work fails"
        verdict.take(errors, f"{what}: {_answer(first)}", _WORK_FIX)


def _explain_features(verdict: _Verdict, features: dict[str, tuple[str, str]]) -> None:
    """Explain failures by something that all of these events have.

    The simplest event without it must pass.
    """
    for feature, (what, fix) in features.items():
        having = [trial for trial in verdict.genuine if feature in trial.features]
        simplest = [trial for trial in verdict.genuine if feature not in trial.features][:1]
        left = [trial for trial in having if trial.name in verdict.rest]
        is_proof = any(trial.state != "failed" for trial in simplest)
        if left and is_proof and all(trial.state == "failed" for trial in having):
            verdict.take(left, f"{what}: {_answer(left[0])}", fix)


def _explain_signatures(verdict: _Verdict, sender: Sender) -> None:
    """Search for the mistake behind events that are refused as forged ones are."""
    for trial in verdict.failed():
        if trial.name not in verdict.rest or trial.status != verdict.refused_with:
            continue
        if mistake := _find_mistake(sender, trial):
            what = f"the signature that it expects {mistake.what}"
            same = [other for other in verdict.failed() if _is_affected(sender, mistake, other)]
            verdict.take([trial, *same, *verdict.accepted()], what, mistake.fix)
        elif trial.name == FIRST:
            break


def _find_mistake(sender: Sender, trial: Trial) -> Mistake | None:
    """Return the mistake whose signature changes the receiver's answer."""
    for mistake in event_mistakes(key_of(sender.secret), trial.sent.body):
        answer = sender.send("", replace(trial.sent, signature=mistake.signature))
        if answer.status not in (None, trial.status, *WAITING):
            return mistake
    return None


def _is_affected(sender: Sender, mistake: Mistake, trial: Trial) -> bool:
    """Whether a mistake makes the signature of an event wrong."""
    if "other secret" in trial.features or trial.status == _TOO_LARGE:
        return False
    return len(trial.sent.body) > _LARGE or any(
        other.what == mistake.what and other.signature != trial.sent.signature
        for other in event_mistakes(key_of(sender.secret), trial.sent.body)
    )


def _explain_rest(verdict: _Verdict) -> None:
    """Explain what no rule explains, and what is not wrong as far as is known: each answer once."""
    for trial in [*verdict.rest.values()]:
        guess = _guess(verdict, trial)
        same = [other for other in verdict.rest.values() if _guess(verdict, other) == guess]
        verdict.take(same, *guess)


def _guess(verdict: _Verdict, trial: Trial) -> tuple[str, str]:
    """Return what was seen of a test, as far as it hints at a cause, and the fix."""
    what = _answer(trial)
    fix = trial.fix or _LOG_FIX
    if trial.state == "warning" or trial.is_last:
        what = trial.detail
    elif trial.kind == "forged" and trial.status in SUCCESS:
        what = "it accepts signatures that are not of the raw body under its secret"
        fix = _REFUSE_FIX
    elif trial.kind == "forged" and not verdict.is_all:
        what = f"it does not answer forged events with 401: {what}"
        fix = _REFUSE_FIX
    elif trial.status is None or not verdict.is_all or trial.status != verdict.refused_with:
        pass
    elif trial.status in _SERVER_ERRORS:
        what += ": it fails before it verifies; perhaps the framework gives it no raw body"
        fix = "Express: express.raw({ type: () => true }); the body is undefined without it"
    elif verdict.trials[0].probe == "ready":
        what += (
            ": its challenge passed, so the secret is right, and no known mistake in signing"
            " explains it. It does not read the header Preservica-Signature, or a proxy drops the"
            " header or changes the body"
        )
        fix = "log the header and the number of bytes as your code gets them"
    else:
        what += ": no known mistake in signing explains it; it may have a different secret"
        fix = "give `hooksync check` the same --url and --secret"
    return what, fix


def _answer(trial: Trial) -> str:
    """Return what a receiver answered, in words."""
    if trial.status is None:
        return trial.detail
    return f"it answers {trial.status}" + (f", {trial.detail}" if trial.detail else "")


def explain_refusal(sender: Sender, trial: Trial) -> list[Cause]:
    """Explain why a receiver refused a single event.

    It is first sent an event with a wrong signature, to see how it refuses.
    """
    if trial.state != "failed":
        return []
    if trial.status is None:
        return [Cause("failed", trial.detail, trial.fix, ())]
    wrong = sender.send(WRONG, replace(trial.sent, signature="0" * 64), "forged")
    causes = explain([wrong, replace(trial, name=FIRST)], sender)
    return [replace(cause, tests=()) for cause in causes if FIRST in cause.tests]


def judge_log(trials: Sequence[Trial], log: bytes) -> tuple[list[Trial], list[Cause]]:
    """Judge each event by how often its identifiers are in the log."""
    counts = Counter(_TOKEN.findall(log))
    works = {}
    for trial in trials:
        works[trial.name] = [counts[token] for token in _TOKEN.findall(trial.sent.body)]
    missing = "lost" if any(map(any, works.values())) else "silent"
    judged = []
    names: dict[str, list[str]] = {}
    for trial in trials:
        fault = _fault(trial, works, missing)
        state = trial.state
        if fault:
            names.setdefault(fault, []).append(trial.name)
            state = "failed"
        elif state == "unproved":
            state = "passed"
        judged.append(replace(trial, state=state))
    causes = [Cause("failed", *_IN_THE_LOG[fault], tuple(names[fault])) for fault in names]
    return judged, causes


def _fault(trial: Trial, works: Mapping[str, Sequence[int]], missing: str) -> str:
    """Return what the log shows against a test: a name in _IN_THE_LOG, or "".

    `works`: by test, how often the identifier of each entity is in the log. `missing`: the name if
    the log lacks one.
    """
    times = works[trial.name]
    # a log may contain an identifier several times for each work
    once = max([1, *works.get(FIRST, [])])
    if trial.kind == "forged":
        name = "latin-1" if trial.name == LATIN else "forged"
        return name if any(times) else ""
    if trial.kind != "genuine" or trial.state == "failed" or not times:
        return ""
    if not all(times):
        return missing
    return "twice" if max(times) > once else ""
