"""Explain the failures of the suite: each cause once, with the tests that have it.

`_CAUSES` lists all causes: a condition, the words and the fix. A row takes the tests that it
explains, and later rows see only the others.

A cause is stated only with what was seen. A receiver that refuses genuine events is sent these
events again, each signed with a usual mistake. If it answers one of them differently, that mistake
is its bug. The receiver's log shows how often it worked on each event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Sequence
from typing import NamedTuple

from hooksync.core.record import Record, replace
from hooksync.receivers.diagnosis import event_mistakes
from hooksync.receivers.events import SUCCESS
from hooksync.receivers.suite import (
    FIRST,
    LATIN,
    REFUSING,
    TOKEN,
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
_UNAUTHORIZED = 401
_TOO_LARGE = 413
_LARGE = 100_000  # bytes, for which a search would take long
_REDIRECTS = range(300, 400)
_SERVER_ERRORS = range(500, 600)
_GATEWAY = (502, 503, 504)
# what an event must differ in, so that its loss shows how the receiver takes events for the same
_SPECIAL = frozenset(("time", "list", "entity", "different", "other entity", "repeat", "at once"))


class Cause(Record):
    """Why tests failed, or what they warn of."""

    severity: TrialState
    what: str  # as was seen
    fix: str
    tests: tuple[str, ...]


class _Verdict:
    """The causes so far, and the failed tests and warnings that have none yet."""

    def __init__(self, trials: Sequence[Trial], sender: Sender) -> None:
        self.trials = trials
        self.sender = sender
        # if the receiver is gone, that proves nothing about its last event
        self.genuine = [trial for trial in trials if trial.kind == "genuine" and not trial.is_last]
        self.is_all = all(trial.state == "failed" for trial in self.genuine)
        failed = [trial for trial in trials if trial.state == "failed"]
        warned = [trial for trial in trials if trial.state == "warning"]
        self.rest = {trial.name: trial for trial in (*failed, *warned)}
        self.causes: list[Cause] = []
        # the status for a wrong signature
        self.refused_with = next((trial.status for trial in trials if trial.name == WRONG), None)
        self.mistake: Mistake | None = None  # that the last search found

    def take(self, chosen: Sequence[Trial], what: str, fix: str) -> None:
        """Explain the chosen tests. If a challenge had the same mistake, that is the same cause."""
        first = chosen[0]
        answer = f"it answers {first.status}" + (f", {first.detail}" if first.detail else "")
        words = what.replace("{answer}", first.detail if first.status is None else answer)
        words = words.replace("{detail}", first.detail)
        fix = fix or first.fix or _LOG_FIX
        names = []
        for trial in chosen:
            if self.rest.pop(trial.name, None):
                names.append(trial.name)
        if self.mistake and "{mistake}" in what:
            words = words.replace("{mistake}", self.mistake.what)
            fix = self.mistake.fix
            for number, cause in enumerate(self.causes):
                if cause.what.endswith(self.mistake.what):
                    self.causes[number] = replace(cause, tests=(*cause.tests, *names))
                    return
        self.causes.append(Cause(first.state, words, fix, tuple(names)))

    def accepted(self) -> list[Trial]:
        """Return the forged events that the receiver took, and that have no explanation yet."""
        return [trial for trial in self.failed("forged") if trial.status in SUCCESS]

    def failed(self, kind: TrialKind = "genuine") -> list[Trial]:
        """Return the tests of a kind that have no explanation yet."""
        rest = self.rest.values()
        return [trial for trial in rest if (trial.kind, trial.state) == (kind, "failed")]


Condition = Callable[[_Verdict], Sequence[Trial]]  # returns the tests that a row explains


def _accepted(*names: str, fault: str = "") -> Condition:
    """Forged events, of which one has one of these names and this fault in the log."""

    def find(verdict: _Verdict) -> Sequence[Trial]:
        accepted = verdict.accepted()
        for trial in accepted:
            if trial.name in names and fault in ("", trial.log_fault):
                return accepted
        return []

    return find


def _in_log(fault: str, *features: str) -> Condition:
    """Events with a fault in the log, if all of these events have one of the features."""

    def find(verdict: _Verdict) -> Sequence[Trial]:
        found = [trial for trial in verdict.rest.values() if trial.log_fault == fault]
        wanted = []
        for trial in found:
            special = _SPECIAL.intersection(trial.features)
            if features and not special:
                return []
            if not features or special & {*features}:
                wanted.append(trial)
        return wanted

    return find


def _all_twice(verdict: _Verdict) -> Sequence[Trial]:
    """Every event, if each of them was worked on too often."""
    twice = [trial for trial in verdict.rest.values() if trial.log_fault == "twice"]
    worked = [trial for trial in verdict.genuine if trial.works and trial.status in SUCCESS]
    return twice if len(twice) == len(worked) else []


def _feature(feature: str, *also: str) -> Condition:
    """All events that have a feature, if all of them fail and the simplest other event passes.

    `also`: features of failed events that then have the same cause.
    """

    def find(verdict: _Verdict) -> Sequence[Trial]:
        having = [trial for trial in verdict.genuine if feature in trial.features]
        simplest = [trial for trial in verdict.genuine if feature not in trial.features][:1]
        left = [trial for trial in having if trial.name in verdict.rest]
        is_proof = any(trial.state != "failed" for trial in simplest)
        if not (left and is_proof and all(trial.state == "failed" for trial in having)):
            return []
        return [*left, *[trial for trial in verdict.failed() if {*also} & {*trial.features}]]

    return find


def _status(
    statuses: Container[int | None], refused: Container[int | None] | None = None
) -> Condition:
    """Events with the status of the first genuine one, if forged ones get one of `refused`.

    `refused`: None: no genuine event passes, and forged ones get the same status.
    """

    def find(verdict: _Verdict) -> Sequence[Trial]:
        failed = verdict.failed()
        status = verdict.genuine[0].status if failed else None
        fits = verdict.is_all and verdict.refused_with == status
        if refused is not None:
            fits = verdict.refused_with in refused
        if status not in statuses or not fits:
            return []
        return [e for e in (*failed, *verdict.failed("forged")) if e.status == status]

    return find


def _after_the_first(verdict: _Verdict) -> Sequence[Trial]:
    """All events but the first, if only the first passes."""
    failed = verdict.failed()
    is_first = bool(failed) and verdict.genuine[0].state != "failed"
    return failed if is_first and len(failed) == len(verdict.genuine) - 1 > 1 else []


def _only_other_secret(verdict: _Verdict) -> Sequence[Trial]:
    """All events under the first secret, if only those under further secrets pass."""
    passed = [trial for trial in verdict.genuine if trial.state != "failed"]
    is_other = all("other secret" in trial.features for trial in passed)
    return verdict.failed() if passed and is_other else []


def _lost_query(verdict: _Verdict) -> Sequence[Trial]:
    """Challenges that are refused as forged events are, although genuine events pass."""
    found = []
    for trial in verdict.failed("challenge"):
        if trial.status == verdict.refused_with and trial.status in REFUSING:
            found.append(trial)
    return [] if verdict.is_all else found


def _other_message(verdict: _Verdict) -> Sequence[Trial]:
    """Challenges under a different secret, although events under the declared one pass."""
    found = [trial for trial in verdict.failed("challenge") if trial.probe == "wrong-secret"]
    passed = {trial.state for trial in verdict.genuine if "other secret" not in trial.features}
    is_verified = verdict.refused_with in REFUSING
    is_plain = all("different secret" in trial.detail for trial in found)
    return found if is_verified and is_plain and "passed" in passed else []


def _challenge(verdict: _Verdict) -> Sequence[Trial]:
    """Find a wrong answer to a challenge, and what has the same cause."""
    for trial in verdict.failed("challenge"):
        is_alike = trial.status == verdict.refused_with and verdict.is_all
        is_alike = is_alike and trial.status != _UNAUTHORIZED
        same = [trial]
        for other in verdict.rest.values():
            if other.status == trial.status and (is_alike or other.fix == trial.fix):
                same.append(other)
        if trial.probe == "wrong-secret":  # then all events have the same cause
            refused = [e for e in verdict.failed() if e.status == verdict.refused_with]
            same += [*refused, *verdict.accepted()]
        return same
    return []


def _signature(verdict: _Verdict) -> Sequence[Trial]:
    """Events that are refused as forged ones are, because of a mistake that a search finds."""
    for trial in verdict.failed():
        if trial.status == verdict.refused_with and len(trial.sent.body) < 2 * _LARGE:
            verdict.mistake = _find_mistake(verdict.sender, trial)
            if verdict.mistake:
                same = [trial]
                for other in verdict.failed():
                    if _is_affected(verdict, verdict.mistake, other):
                        same.append(other)
                return [*same, *verdict.accepted()]
            if trial.name == FIRST:
                break
    return []


def _find_mistake(sender: Sender, trial: Trial) -> Mistake | None:
    """Return the mistake whose signature changes the receiver's answer."""
    tried = {trial.sent.signature}
    for mistake in event_mistakes(key_of(sender.secret), trial.sent.body):
        if mistake.signature in tried:
            continue
        tried.add(mistake.signature)
        answer = sender.send("", replace(trial.sent, signature=mistake.signature))
        if answer.status not in (None, trial.status, *WAITING):
            return mistake
    return None


def _is_affected(verdict: _Verdict, mistake: Mistake, trial: Trial) -> bool:
    """Whether a mistake makes the signature of an event wrong."""
    if "other secret" in trial.features:  # it is as simple as the first event
        return FIRST in verdict.rest
    if trial.status == _TOO_LARGE:
        return False
    return len(trial.sent.body) > _LARGE or any(
        other.what == mistake.what and other.signature != trial.sent.signature
        for other in event_mistakes(key_of(verdict.sender.secret), trial.sent.body)
    )


def _each(test: Callable[[_Verdict, Trial], bool]) -> Condition:
    """Choose tests by a function: those with the same answer as the first one."""

    def find(verdict: _Verdict) -> Sequence[Trial]:
        chosen = [trial for trial in verdict.rest.values() if test(verdict, trial)]
        answers = [(trial.status, trial.detail, trial.fix) for trial in chosen]
        return [
            trial for trial, answer in zip(chosen, answers, strict=True) if answer == answers[0]
        ]

    return find


def _is_told(_: _Verdict, trial: Trial) -> bool:
    """Whether the detail of a test explains it."""
    return trial.state == "warning" or trial.is_last or trial.kind == "code"


def _is_odd_refusal(verdict: _Verdict, trial: Trial) -> bool:
    return trial.kind == "forged" and not verdict.is_all


def _says_no(_: _Verdict, trial: Trial) -> bool:
    is_failed = (trial.kind, trial.state) == ("genuine", "failed")
    return is_failed and trial.status in SUCCESS


def _is_refused(verdict: _Verdict, trial: Trial) -> bool:
    return verdict.is_all and trial.status is not None and trial.status == verdict.refused_with


def _is_unread(verdict: _Verdict, trial: Trial) -> bool:
    return _is_refused(verdict, trial) and verdict.trials[0].probe == "ready"


def _is_rest(_: _Verdict, trial: Trial) -> bool:
    return True


class _Row(NamedTuple):
    """One cause. `{answer}`, `{detail}` and `{mistake}` are those of the first test."""

    condition: Condition
    what: str
    fix: str = ""  # "": that of the test


_LOG_FIX = "see the receiver's log"
_REFUSE_FIX = "answer 401 to what none of your secrets signed as it is"
_UNPROVED = (
    "it answers 200 to an event with a wrong signature: either it works on forged events, or it"
    " drops events and still answers 200, so its 200 proves nothing"
)
_UNPROVED_FIX = (
    f"{_REFUSE_FIX}; pyPreservica's handlers do this, and hooksync.receiver can replace them"
)
_LIMIT_FIX = (
    "let the server, the framework and proxies take bodies of 10 MB, or give --largest if the"
    " platform has a limit"
)
_CONTENT_FIX = "answer 200 to each genuine event, whatever it holds"
# the feature of all events that fail -> the words
_CONTENT = {
    "unknown field": "it fails on a field that it does not know",
    "unknown trigger": "it fails on a trigger that it does not know",
    "letter outside Latin-1": "it fails on letters outside Latin-1",
    "letter": "it fails on letters outside ASCII",
    "emoji": "it fails on characters of four bytes",
    "other entity": "it fails on folders and content objects",
    "three entities": "it fails on an event of several entities",
    "no entities": "it fails on an event without entities, as of INGEST_FAILED",
    "ends": "it fails on white space at the ends of the body, or on its line breaks",
    "spaced": "it fails on JSON with spaces",
    "time": "it fails on an event that differs from an earlier one only in its time",
    "entity": "it fails on an event that differs from an earlier one only in an entity",
    "at once": "it fails if the same event comes twice at once",
    "different": "it fails if two different events come at once",
}
_SAME_FIX = "take events for the same only if everything but subscriptionId is equal"
_WORK_FIX = "answer 2xx only after the work, or after storing the event where it lasts"


_CAUSES = (
    # forged events
    _Row(
        _accepted(WRONG, WRONG_WHOLE, fault="forged"),
        "it works on events with a wrong signature, as its log shows",
        "verify the signature before the work, and answer 401",
    ),
    _Row(_accepted(WRONG), _UNPROVED, _UNPROVED_FIX),
    _Row(
        _accepted(WRONG_WHOLE),
        f"{_UNPROVED}; only in one piece: it may read chunked events alone",
        _UNPROVED_FIX,
    ),
    _Row(
        _accepted("without a signature", "with an empty signature"),
        "it accepts events without a signature",
        _REFUSE_FIX,
    ),
    _Row(
        _accepted("with a wrong last digit", "with a digit less", "with a digit more"),
        "it compares only a part of the signature",
        "compare all 64 digits, in constant time",
    ),
    # challenges
    _Row(
        _lost_query,
        "{detail}: so it answers an event that it refuses. The query does not reach it, or it reads"
        " only the first parameter",
        "read challengeCode from the whole query; let proxies keep the query",
    ),
    _Row(
        _other_message,
        "it signs challenges with a different secret, or something other than the code; the secret"
        " of events is right",
        "sign the challengeCode of the query alone, percent-decoded, with the newest secret",
    ),
    _Row(_challenge, "{detail}"),
    # the work, as the log shows it
    _Row(
        _in_log("silent"),
        "its log has no identifier of this run: it is a different log, the work does not print"
        " identifiers, or nothing works on the events",
        "name the log of this receiver; print the identifiers of each entity as the last step of"
        " the work, and flush them",
    ),
    _Row(
        _in_log("lost", "time", "list", "entity"),
        "it drops an event that differs from an earlier one only in its time, list or entity",
        _SAME_FIX,
    ),
    _Row(
        _in_log("lost", "different"),
        "of two different events that come at once, it drops one",
        _WORK_FIX,
    ),
    _Row(
        _in_log("lost", "other entity"),
        "it works only on some types of entities: IO, SO and CO exist",
        "work on each entity, or print its identifiers if there is nothing to do",
    ),
    _Row(
        _in_log("lost"),
        f"it answered 2xx, but its log lacks the identifiers of an entity for {LOG_WAIT:g} s: the"
        " work is slow, waits in a queue, or is lost",
        f"{_WORK_FIX}; print the identifiers of each entity as the last step of the work",
    ),
    _Row(
        _all_twice,
        "its log has the identifiers of every event more than once: it works twice, or prints"
        " twice",
        "work once on each event, and print its identifiers once, as the last step",
    ),
    _Row(
        _in_log("twice"),
        "its log shows more work for an event that came twice",
        "before the work, claim the event in one step that fails for the second delivery",
    ),
    # answers to events
    _Row(
        _after_the_first,
        "it takes the first event, and fails from the second one on: {answer}",
        _LOG_FIX,
    ),
    _Row(
        _status(_GATEWAY, range(600)),
        "{answer}, as a proxy does if the receiver behind it does not answer",
        "see whether the receiver behind the proxy runs, and the proxy's log",
    ),
    _Row(
        _status(_SERVER_ERRORS, REFUSING),
        "it refuses forged events, so its verification is right; but its work fails: {answer}",
        f"{_LOG_FIX}; if its work looks up the entity, give an event of a real one: --event",
    ),
    _Row(
        _each(_says_no),
        'it answers 2xx to a genuine event, but with "success": false: {answer}',
        'answer {"success": true} after the work, and a status of 500 if it failed',
    ),
    _Row(
        _feature("in chunks"),
        "all events in chunks fail, and all in one piece pass: {answer}",
        "read chunked requests, or let a proxy collect them: nginx, proxy_request_buffering on",
    ),
    _Row(
        _feature("in one piece"),
        "all events in one piece fail, and all in chunks pass: {answer}",
        "read a body by its Content-Length, too",
    ),
    _Row(
        _feature("lower-case header"),
        "it finds the header only in one spelling: names of headers have no case: {answer}",
        "look for preservica-signature in any case, as the framework's own look-up does",
    ),
    _Row(
        _feature("upper-case hex"),
        "it refuses hex in upper case: {answer}",
        "compare the signature in lower case",
    ),
    _Row(
        _feature("other secret"),
        "it refuses what a further secret signed, so late events of a rotation would be lost:"
        " {answer}",
        "give the receiver this secret, too, and accept events of both",
    ),
    _Row(
        _only_other_secret,
        "it takes only events that a further secret signed: {answer}",
        "give the receiver the first secret, too, before Preservica signs with it",
    ),
    _Row(_signature, "the signature that it expects {mistake}"),
    _Row(
        _in_log("latin-1"),
        "it works on an event that is signed in Latin-1, as pyPreservica's handlers do. Only who"
        " knows the secret can sign one. But if Preservica signs bytes, it drops genuine events"
        " with letters outside ASCII",
        "verify the raw bytes of the body",
    ),
    _Row(
        _feature("of 150 kB"),
        "it takes no event of 150 kB: a limit, such as the 100 kB of Express: {answer}",
        _LIMIT_FIX,
    ),
    _Row(
        _feature("of 1.5 MB"),
        "it takes 150 kB, and no event of 1.5 MB: a limit, often 1 MiB: {answer}",
        _LIMIT_FIX,
    ),
    _Row(
        _feature("largest"), "it takes no event of the largest size: a limit: {answer}", _LIMIT_FIX
    ),
    _Row(
        _status(_REDIRECTS),
        "it redirects events: {answer}; nobody knows if Preservica follows",
        "subscribe the URL to which it redirects",
    ),
    _Row(
        _status((403,)),
        "it answers 403 to all events, forged or genuine: the platform forbids them before the"
        " code runs, or the code reads no signature",
        "let the platform pass a POST without credentials, or put its key into the URL",
    ),
    _Row(
        _status((404, 405)),
        "it has challenges at this URL, and no route for events: {answer}",
        "let the same function take a POST with and without challengeCode",
    ),
    _Row(
        _status((411, 415)),
        "its server refuses how events are sent: {answer}",
        "accept a body of application/json, in chunks and in one piece",
    ),
    # contents
    _Row(
        _feature("list", "entity", "repeat", "at once"),
        "it fails on an event that differs from an earlier one only in its list: {answer}",
        _SAME_FIX,
    ),
    _Row(
        _feature("repeat", "at once"),
        "it fails on an event that comes again: while a subscription is replaced, each does:"
        " {answer}",
        _CONTENT_FIX,
    ),
    *(
        _Row(_feature(feature), f"{what}: {{answer}}", _CONTENT_FIX)
        for feature, what in _CONTENT.items()
    ),
    # what no row above explains
    _Row(_each(_is_told), "{detail}"),
    _Row(
        _Verdict.accepted,
        "it accepts signatures that are not of the raw body under its secret",
        _REFUSE_FIX,
    ),
    _Row(
        _in_log("forged"),
        "its log shows work on a forged event",
        "verify the signature before the work",
    ),
    _Row(
        _each(_is_odd_refusal),
        "it does not answer forged events with 401: {answer}",
        _REFUSE_FIX,
    ),
    _Row(
        _status(_SERVER_ERRORS),
        "{answer}: it fails before it verifies; perhaps the framework gives it no raw body",
        "Express: express.raw({ type: () => true }); the body is undefined without it",
    ),
    _Row(
        _each(_is_unread),
        "{answer}: its challenge passed, so the secret is right, and no known mistake in signing"
        " explains it. It does not read the header Preservica-Signature, or a proxy drops the"
        " header or changes the body",
        "log the header and the number of bytes as your code gets them",
    ),
    _Row(
        _each(_is_refused),
        "{answer}: no known mistake in signing explains it; it may have a different secret",
        "give `hooksync check` the same --url and --secret",
    ),
    _Row(_each(_is_rest), "{answer}"),
)


def explain(trials: Sequence[Trial], sender: Sender) -> list[Cause]:
    """Return the causes of all failures, and what is not wrong as far as is known."""
    verdict = _Verdict(trials, sender)
    for row in _CAUSES:
        while chosen := row.condition(verdict):
            verdict.take(chosen, row.what, row.fix)
    return verdict.causes


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


def judge_log(trials: Sequence[Trial], log: bytes) -> list[Trial]:
    """Judge each event by how often its identifiers are in the log."""
    counts = Counter(TOKEN.findall(log))
    judged = []
    for trial in trials:
        fault = _fault(trial, counts)
        state: TrialState = "failed" if fault else trial.state
        judged.append(replace(trial, state=state, log_fault=fault))
    return judged


def _fault(trial: Trial, counts: Counter[bytes]) -> str:
    """Return what the log shows against a test, or "".

    `counts`: how often the log has each identifier.
    """
    if trial.kind == "forged":
        name = "latin-1" if trial.name == LATIN else "forged"
        is_worked_on = any(counts[token] for token in trial.works)
        return name if is_worked_on else ""
    if trial.kind != "genuine" or trial.state == "failed":
        return ""
    differences = [counts[token] - times for token, times in trial.works.items()]
    if min(differences, default=0) < 0:
        return "lost" if counts else "silent"
    return "twice" if max(differences, default=0) > 0 else ""
