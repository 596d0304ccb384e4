"""Explain the failures of the suite: each cause once, with the tests that have it.

A cause is stated only with what was seen. A receiver that refuses genuine events is sent these
events again, each signed with a usual mistake. If it answers one of them differently, that mistake
is its bug.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from hooksync.core.record import Record, replace
from hooksync.receivers.challenges import key_of
from hooksync.receivers.diagnosis import Mistake, event_mistakes
from hooksync.receivers.events import TAKEN
from hooksync.receivers.suite import (
    FIRST,
    SERVER_ERRORS,
    WAITING,
    WRONG,
    WRONG_WHOLE,
    Sender,
    Trial,
)

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
    "escape": "it fails on an escaped letter",
    "at once": "it fails if the same event comes twice at once",
    "repeat": "it fails on an event that comes again: while a subscription is replaced, each does",
    "spaced": "it fails on JSON with spaces",
}
_TOO_LARGE = 413
_NOT_FOUND = 404
_GATEWAY = (502, 503, 504)
_GATEWAY_HINT = "as a proxy does if the receiver behind it does not answer"
_GATEWAY_FIX = "see whether the receiver behind the proxy runs, and the proxy's log"
_LARGE = 100_000  # bytes
_CONTENT_FIX = "answer 200 to each genuine event, whatever it holds"

Severity = Literal["failed", "unproved", "warning"]


class Cause(Record, frozen=True):
    """Why tests failed, or what they warn of."""

    severity: Severity
    what: str  # as was seen
    fix: str
    tests: tuple[str, ...]


class _Verdict:
    """The causes so far, and the failed tests that have none yet."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self.trials = trials
        self.genuine = [trial for trial in trials if trial.kind == "genuine"]
        self.rest = [trial for trial in trials if trial.state == "failed"]
        self.causes: list[Cause] = []
        forged = [trial.status for trial in trials if trial.name == WRONG]
        self.refused_with = forged[0] if forged else None  # the status for a wrong signature

    def take(self, chosen: Iterable[Trial], what: str, fix: str) -> None:
        """Explain the chosen tests, as far as they are not explained yet."""
        names = list(dict.fromkeys(trial.name for trial in chosen if trial in self.rest))
        if names:
            self.rest = [trial for trial in self.rest if trial.name not in names]
            self.causes.append(Cause("failed", what, fix, tuple(names)))

    def failed(self, kind: str = "genuine") -> list[Trial]:
        """Return the tests of a kind that have no explanation yet."""
        return [trial for trial in self.rest if trial.kind == kind]

    def is_all(self) -> bool:
        """Whether every genuine event failed."""
        return all(trial.state == "failed" for trial in self.genuine)


def explain(trials: Sequence[Trial], sender: Sender) -> list[Cause]:
    """Return the causes of all failures, then the warnings."""
    verdict = _Verdict(trials)
    _explain_end(verdict)
    _explain_forged(verdict)
    _explain_challenges(verdict)
    _explain_series(verdict)
    _explain_features(verdict, _FEATURES)
    _explain_signatures(verdict, sender)
    contents = {name: (what, _CONTENT_FIX) for name, what in _CONTENT.items()}
    _explain_features(verdict, contents)
    _explain_rest(verdict)
    return [*verdict.causes, *_warnings(trials)]


def _explain_end(verdict: _Verdict) -> None:
    """Explain why the suite ended early, if it did."""
    for trial in [trial for trial in verdict.rest if trial.is_last]:
        has_answered = any(other.status is not None for other in verdict.trials)
        before = (
            "" if trial.status or not has_answered else "it answered before, and then no more: "
        )
        verdict.take([trial], f"{before}{trial.detail}", trial.fix)


def _explain_forged(verdict: _Verdict) -> None:
    """Explain what the receiver accepts although it should not."""
    forged = verdict.failed("forged")
    taken = [trial for trial in forged if trial.status in TAKEN]
    names = {trial.name for trial in taken}
    for proofs, what, fix in _ACCEPTED:
        if names & proofs:
            verdict.take(taken, what, fix)
    if verdict.is_all():
        return
    silent = [trial for trial in forged if trial.status is None]
    verdict.take(silent, "it does not answer events that it refuses", _REFUSE_FIX)
    if verdict.refused_with in SERVER_ERRORS:
        errors = [trial for trial in forged if trial.status in SERVER_ERRORS]
        verdict.take(errors, "it answers forged events with 5xx", _REFUSE_FIX)


def _explain_challenges(verdict: _Verdict) -> None:
    """Explain wrong answers to challenges. With a wrong secret, all events have the same cause."""
    for trial in verdict.failed("challenge"):
        # if there is no answer at all, events have the same fix
        same = [
            other
            for other in verdict.rest
            if (other.status, other.fix) == (trial.status, trial.fix)
        ]
        if trial.probe == "wrong-secret":
            same += [
                other
                for other in verdict.failed()
                if other.status == verdict.refused_with and "other secret" not in other.features
            ]
            same += verdict.failed("forged")
        what = trial.detail
        fix = trial.fix
        if trial.status == _NOT_FOUND and verdict.is_all():  # a wrong path is one cause
            same += [other for other in verdict.failed() if other.status == _NOT_FOUND]
        if trial.status == verdict.refused_with and not verdict.is_all():
            what += (
                ": so it answers an event that it refuses. The query does not reach it, or it reads"
                " only the first parameter"
            )
            fix = "read challengeCode from the whole query; let proxies keep the query"
        verdict.take(same, what, fix)


def _explain_series(verdict: _Verdict) -> None:
    """Explain failures of the work, and a receiver that fails from the second event on."""
    failed = verdict.failed()
    is_refused = verdict.refused_with not in SERVER_ERRORS and verdict.refused_with is not None
    if not failed:
        return
    first, *later = verdict.genuine
    if first.state != "failed" and len(failed) == len(later) > 1:
        what = f"it takes the first event, and fails from the second one on: {_answer(failed[0])}"
        verdict.take(failed, what, _LOG_FIX)
    elif first.status in _GATEWAY:
        errors = [trial for trial in failed if trial.status == first.status]
        verdict.take(errors, f"{_answer(first)}, {_GATEWAY_HINT}", _GATEWAY_FIX)
    elif first.status in SERVER_ERRORS and is_refused:
        errors = [trial for trial in failed if trial.status == first.status]
        what = "it refuses forged events, so its verification is right; but its work fails"
        verdict.take(errors, f"{what}: {_answer(first)}", _WORK_FIX)


def _explain_features(verdict: _Verdict, features: dict[str, tuple[str, str]]) -> None:
    """Explain failures by something that all of these events have, and no accepted one has.

    The simplest event without it must pass.
    """
    accepted = {trial.name for trial in verdict.genuine if trial.state != "failed"}
    for feature, (what, fix) in features.items():
        having = [trial for trial in verdict.genuine if feature in trial.features]
        counterpart = "compact, in one piece" if feature == "in chunks" else FIRST
        if counterpart in accepted and all(trial.state == "failed" for trial in having):
            left = [trial for trial in having if trial in verdict.rest]
            answer = _answer(left[0]) if left else ""
            verdict.take(left, f"{what}: {answer}", fix)


def _explain_signatures(verdict: _Verdict, sender: Sender) -> None:
    """Search for the mistake behind events that are refused as forged ones are."""
    for trial in verdict.failed():
        if trial not in verdict.rest or trial.status != verdict.refused_with:
            continue
        if mistake := _find_mistake(sender, trial):
            what = f"the signature that it expects {mistake.what}"
            same = [other for other in verdict.failed() if _is_affected(sender, mistake, other)]
            verdict.take([trial, *same, *verdict.failed("forged")], what, mistake.fix)
        elif trial.name == FIRST:
            break
    taken = [trial for trial in verdict.failed("forged") if trial.status in TAKEN]
    what = "it accepts signatures that are not of the raw body under its secret"
    verdict.take(taken, what, _REFUSE_FIX)


def _explain_rest(verdict: _Verdict) -> None:
    """Explain what no rule explains, one cause for each answer."""
    is_challenged = verdict.trials[0].probe == "ready"
    for trial in (*verdict.failed(), *verdict.rest):
        same = [other for other in verdict.rest if _answer(other) == _answer(trial)]
        fix = trial.fix or _LOG_FIX
        what = _answer(trial)
        if trial.kind == "genuine" and trial.status == verdict.refused_with:
            if trial.status in SERVER_ERRORS:
                what += ": it fails before it verifies; perhaps the framework gives it no raw body"
                fix = "Express: express.raw({ type: () => true }); the body is undefined without it"
            elif verdict.is_all() and is_challenged:
                what += (
                    ": its challenge passed, so the secret is right, and no known mistake in"
                    " signing explains it. It does not read the header Preservica-Signature, or a"
                    " proxy drops the header or changes the body"
                )
                fix = "log the header and the number of bytes as your code gets them"
            elif verdict.is_all():
                what += ": no known mistake in signing explains it; it may have a different secret"
                fix = "give `hooksync check` the same --url and --secret"
        verdict.take(same, what, fix)


def _answer(trial: Trial) -> str:
    """Return what a receiver answered, in words."""
    if trial.status is None:
        return trial.detail
    return f"it answers {trial.status}" + (f", {trial.detail}" if trial.detail else "")


def _warnings(trials: Sequence[Trial]) -> Iterator[Cause]:
    """Yield what is not wrong as far as is known, but may lose events."""
    chosen: dict[tuple[str, str], list[str]] = {}
    for trial in trials:
        if trial.state == "warning":
            chosen.setdefault((trial.detail, trial.fix), []).append(trial.name)
    for (what, fix), names in chosen.items():
        yield Cause("warning", what, fix, tuple(names))


def _find_mistake(sender: Sender, trial: Trial) -> Mistake | None:
    """Return the mistake whose signature changes the receiver's answer."""
    for mistake in event_mistakes(key_of(sender.secret), trial.sent.body):
        answer = sender.send("", replace(trial.sent, signature=mistake.signature))
        if answer.status not in (None, trial.status, *WAITING):
            return mistake
    return None


def _is_affected(sender: Sender, mistake: Mistake, trial: Trial) -> bool:
    """Whether a mistake makes the signature of an event wrong."""
    if "other secret" in trial.features:
        return False
    if len(trial.sent.body) > _LARGE:  # it would take long
        return trial.status != _TOO_LARGE
    mistakes = event_mistakes(key_of(sender.secret), trial.sent.body)
    return any(
        other.what == mistake.what and other.signature != trial.sent.signature for other in mistakes
    )


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
