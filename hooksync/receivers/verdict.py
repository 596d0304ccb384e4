"""Explain the failures of the suite: each cause once, with the tests that have it.

`_CAUSES` lists all causes: a condition, the words and the fix. `_Verdict` names the conditions that
hold for a failed test, the most telling first. The first one in the table is its cause.

A cause is stated only with what was seen. A receiver that refuses genuine events is sent one of
them again, each time signed with a usual mistake. If it answers differently, that mistake is its
bug. The receiver's log shows how often it worked on each event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property

from hooksync.config.files import read_named
from hooksync.core.context import Context
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
    TrialState,
)
from hooksync.service.challenges import key_of
from hooksync.service.signatures import Mistake

_LOG_WAIT = 15.0  # seconds for the last work to appear in the log
_UNAUTHORIZED = 401
_TOO_LARGE = 413
_GATEWAY = (502, 503, 504)
_ERROR = range(500, 600)
_LARGEST = 200_000  # bytes of an event that is sent again to find a mistake
# features of how events are sent: no mistake in signing explains why these fail
_SENDING = ("in chunks", "in one piece", "lower-case header", "upper-case hex", "other secret")

_LOG_FIX = "see the receiver's log"
_REFUSE_FIX = "answer 401 to what none of your secrets signed as it is"
_UNPROVED = (
    "it answers 200 to an event with a wrong signature: either it works on forged events, or it"
    " drops events and still answers 200, so its 200 proves nothing"
)
_UNPROVED_FIX = (
    f"{_REFUSE_FIX}; pyPreservica's handlers do this, and hooksync.receiver can replace them"
)
_WORKS_ON_FORGED = ("it works on events with a wrong signature, as its log shows", _REFUSE_FIX)
_UNSIGNED = ("it accepts events without a signature", _REFUSE_FIX)
_PARTIAL = ("it compares only a part of the signature", "compare all 64 digits, in constant time")
_SAME_FIX = "take events for the same only if everything but subscriptionId is equal"
_ALIKE = ("it fails on an event {feature}: {answer}", _SAME_FIX)
_DROPS_ALIKE = (
    "it drops an event that differs from an earlier one only in its time, list or entity",
    _SAME_FIX,
)
_CLAIM_FIX = (
    "before the work, claim the event in one step that fails for the second delivery, in a memory"
    " that all instances share"
)
_WORK_FIX = "answer 2xx only after the work, or after storing the event where it lasts"
_NO_ROUTE = (
    "it has challenges at this URL, and no route for events: {answer}",
    "let the same function take a POST with and without challengeCode",
)
_NO_FORM = (
    "its server refuses how events are sent: {answer}",
    "accept a body of application/json, in chunks and in one piece",
)

# a condition: the words and the fix. `{answer}` is that of the first test; "": the fix of the test
_CAUSES: dict[str | int | None, tuple[str, str]] = {
    # challenges
    "refused challenge": (
        "{answer}: so it answers an event that it refuses. The query does not reach it, or it reads"
        " only the first parameter",
        "read challengeCode from the whole query; let proxies keep the query",
    ),
    "other message": (
        "it signs challenges with a different secret, or something other than the code; the secret"
        " of events is right",
        "sign the challengeCode of the query alone, percent-decoded, with the newest secret",
    ),
    # forged events: the first one that is accepted
    f"forged {WRONG}": _WORKS_ON_FORGED,
    f"forged {WRONG_WHOLE}": _WORKS_ON_FORGED,
    WRONG: (_UNPROVED, _UNPROVED_FIX),
    WRONG_WHOLE: (
        f"{_UNPROVED}; only in one piece: it may read chunked events alone",
        _UNPROVED_FIX,
    ),
    "without a signature": _UNSIGNED,
    "with an empty signature": _UNSIGNED,
    "with a wrong last digit": _PARTIAL,
    "with a digit less": _PARTIAL,
    "with a digit more": _PARTIAL,
    LATIN: (
        "it accepts an event that is signed in Latin-1, as pyPreservica's handlers do. Only who"
        " knows the secret can sign one. But if Preservica signs bytes, it drops genuine events"
        " with letters outside ASCII",
        "verify the raw bytes of the body",
    ),
    "accepted": (
        "it accepts signatures that are not of the raw body under its secret",
        _REFUSE_FIX,
    ),
    "odd refusal": ("it does not answer forged events with 401: {answer}", _REFUSE_FIX),
    # what the log shows, and the feature of the first event for which it does
    "silent": (
        "its log has no identifier of this run: it is a different log, the work does not print"
        " identifiers, or nothing works on the events",
        "name the log of this receiver; print the identifiers of each entity as the last step of"
        " the work, and flush them",
    ),
    "lost of the time of an earlier one": _DROPS_ALIKE,
    "lost with the list of an earlier one": _DROPS_ALIKE,
    "lost at the same time as a different one": (
        "of two different events that come at once, it drops one",
        _WORK_FIX,
    ),
    "lost of a folder or a content object": (
        "it works only on some types of entities: IO, SO and CO exist",
        "work on each entity, or print its identifiers if there is nothing to do",
    ),
    "lost": (
        f"it answered 2xx, but its log lacks the identifiers of an entity for {_LOG_WAIT:g} s: the"
        " work is slow, waits in a queue, or is lost",
        f"{_WORK_FIX}; print the identifiers of each entity as the last step of the work",
    ),
    "twice that comes again": (
        "its log shows more work for an event that came twice",
        _CLAIM_FIX,
    ),
    "twice that comes twice at once": (
        "its log shows work for each of two deliveries of an event that came at once",
        _CLAIM_FIX,
    ),
    "twice": (
        "its log has identifiers of events more than once: it works twice, or prints twice",
        "work once on each event, and print its identifiers once, as the last step",
    ),
    # genuine events, whatever they hold
    "second": ("it takes the first event, and fails from the second one on: {answer}", _LOG_FIX),
    "no success": (
        'it answers 2xx to a genuine event, but with "success": false: {answer}',
        'answer {"success": true} after the work, and a status of 500 if it failed',
    ),
    "gateway": (
        "{answer}, as a proxy does if the receiver behind it does not answer",
        "see whether the receiver behind the proxy runs, and the proxy's log",
    ),
    "no work": (
        "it refuses forged events, so its verification is right; but its work fails: {answer}",
        f"{_LOG_FIX}; if its work looks up the entity, give an event of a real one: --event",
    ),
    "no first secret": (
        "it takes only events that a further secret signed: {answer}",
        "give the receiver the first secret, too, before Preservica signs with it",
    ),
    "mistake": ("the signature that it expects {mistake}", ""),
    # a feature of all genuine events that fail
    "in chunks": (
        "all events in chunks fail, and all in one piece pass: {answer}",
        "read chunked requests, or let a proxy collect them: nginx, proxy_request_buffering on",
    ),
    "in one piece": (
        "all events in one piece fail, and all in chunks pass: {answer}",
        "read a body by its Content-Length, too",
    ),
    "lower-case header": (
        "it finds the header only in one spelling: names of headers have no case: {answer}",
        "look for preservica-signature in any case, as the framework's own look-up does",
    ),
    "upper-case hex": (
        "it refuses hex in upper case: {answer}",
        "compare the signature in lower case",
    ),
    "other secret": (
        "it refuses what a further secret signed, so late events of a rotation would be lost:"
        " {answer}",
        "give the receiver this secret, too, and accept events of both",
    ),
    "limit": (
        "it takes no event {feature}: {answer}",
        "let the framework (Express: 100 kB), the server and proxies (nginx: 1 MiB) take bodies of"
        " 10 MB, or give --largest if the platform has a limit",
    ),
    "of the time of an earlier one": _ALIKE,
    "with the list of an earlier one": _ALIKE,
    "any feature": (
        "it fails on an event {feature}: {answer}",
        "answer 200 to each genuine event, whatever it holds, up to the size of --largest",
    ),
    # the status of all events, or its hundreds
    3: (
        "it redirects events: {answer}; nobody knows if Preservica follows",
        "subscribe the URL to which it redirects",
    ),
    403: (
        "it answers 403 to all events, forged or genuine: the platform forbids them before the"
        " code runs, or the code reads no signature",
        "let the platform pass a POST without credentials, or put its key into the URL",
    ),
    404: _NO_ROUTE,
    405: _NO_ROUTE,
    411: _NO_FORM,
    415: _NO_FORM,
    5: (
        "{answer}: it fails before it verifies; perhaps the framework gives it no raw body",
        "Express: express.raw({ type: () => true }); the body is undefined without it",
    ),
    "unread": (
        "{answer}: its challenge passed, so the secret is right, and no known mistake in signing"
        " explains it. It does not read the header Preservica-Signature, or a proxy drops the"
        " header or changes the body",
        "log the header and the number of bytes as your code gets them",
    ),
    "refused": (
        "{answer}: no known mistake in signing explains it; it may have a different secret",
        "give `hooksync check` the same --url and --secret",
    ),
    # anything else
    "": ("{answer}", ""),
}


class Cause(Record):
    """Why tests failed, or what they warn of."""

    severity: TrialState
    what: str  # as was seen
    fix: str
    tests: tuple[str, ...]


class _Verdict:
    """What all tests together show."""

    def __init__(self, trials: Sequence[Trial], sender: Sender) -> None:
        self.sender = sender
        self.is_ready = trials[0].probe == "ready"
        # the status for a wrong signature
        self.refused_with = next((trial.status for trial in trials if trial.name == WRONG), None)
        failed = [trial for trial in trials if trial.state == "failed"]
        self.challenge = next((trial for trial in failed if trial.kind == "challenge"), None)
        self.accepted = next(filter(_is_accepted, failed), None)
        # the first test with each fault in the log
        self.at_fault = {trial.log_fault: trial for trial in reversed(failed)}
        # if the receiver is gone, that proves nothing about its last event
        self.genuine = [trial for trial in trials if trial.kind == "genuine" and not trial.is_last]
        # a fault in the log is one of an event that was answered with success
        passed = [trial for trial in self.genuine if trial.log_fault or trial.state != "failed"]
        self.passed = [trial.name for trial in passed]
        self.working = {feature for trial in passed for feature in trial.features}

    def cause(self, trial: Trial) -> tuple[str, str]:
        """Return the words and the fix for a failed test or a warning."""
        challenge = self.challenge
        if challenge and self._explains(challenge, trial):
            trial = challenge
        condition = next(filter(_CAUSES.__contains__, self._conditions(trial)))
        what, fix = _CAUSES[condition]
        if condition == "mistake" and self.mistake:
            if challenge and challenge.detail.endswith(self.mistake.what):
                return self.cause(challenge)
            return what.replace("{mistake}", self.mistake.what), self.mistake.fix
        if not (condition or trial.fix):
            what = _answer(trial)
        return what.replace("{feature}", self._broken(trial)), fix or trial.fix or _LOG_FIX

    def _explains(self, challenge: Trial, trial: Trial) -> bool:
        """Whether a test fails for the same reason as a challenge."""
        is_refused = trial.state == "failed" and trial.status == self.refused_with
        if FIRST in self.passed:
            return False
        if challenge.probe == "wrong-secret":
            return is_refused or _is_accepted(trial)
        return is_refused and challenge.status == trial.status != _UNAUTHORIZED

    def _conditions(self, trial: Trial) -> Iterator[str | int | None]:
        """Yield what holds for a test, the most telling first."""
        if trial.is_last or trial.state == "warning" or trial.kind in ("code", "method"):
            yield ""
        if trial.kind == "challenge":
            yield from self._of_challenge(trial)
        elif self.accepted and _is_accepted(trial):
            if self.mistake:
                yield "mistake"
            yield f"{self.accepted.log_fault} {self.accepted.name}"
            yield self.accepted.name
            yield "accepted"
        elif trial.kind == "forged" and self.passed:
            yield "odd refusal"
        elif trial.log_fault:
            for feature in self.at_fault[trial.log_fault].features:
                yield f"{trial.log_fault} {feature}"
            yield trial.log_fault
        else:
            yield from self._of_event(trial)
        yield ""

    def _of_challenge(self, trial: Trial) -> Iterator[str]:
        """Yield what holds for a challenge that failed."""
        if self.passed and trial.status == self.refused_with and trial.status in REFUSING:
            yield "refused challenge"
        is_other = trial.probe == "wrong-secret" and "different secret" in trial.detail
        if is_other and FIRST in self.passed and self.refused_with in REFUSING:
            yield "other message"

    def _of_event(self, trial: Trial) -> Iterator[str | int | None]:
        """Yield what holds for an event that was not answered with success."""
        status = trial.status
        if self.passed == [FIRST]:
            yield "second"
        if status in SUCCESS:
            yield "no success"
        if FIRST not in self.passed and "other secret" in self.working:
            yield "no first secret"
        if FIRST not in self.passed and status in _GATEWAY:
            yield "gateway"
        if FIRST not in self.passed and status in _ERROR and self.refused_with in REFUSING:
            yield "no work"
        feature = self._broken(trial)
        if feature in _SENDING:
            yield feature
        is_alike = self.refused and feature == self._broken(self.refused)
        if self.mistake and (is_alike or status == self.refused_with):
            yield "mistake"
        if feature and status == _TOO_LARGE:
            yield "limit"
        yield feature or None
        if feature:
            yield "any feature"
        if status == self.refused_with and status and not self.passed:
            yield status
            yield status // 100
            yield "unread" if self.is_ready else "refused"

    def _broken(self, trial: Trial) -> str:
        """Return the first feature with which all events fail, or "".

        The simplest event without it passes.
        """
        if FIRST in self.passed:
            return next((name for name in trial.features if name not in self.working), "")
        is_whole = "in one piece" in self.working and "in chunks" not in self.working
        return "in chunks" if is_whole and "in chunks" in trial.features else ""

    @cached_property
    def refused(self) -> Trial | None:
        """The first genuine event that is refused as if it were forged."""
        for trial in self.genuine:
            is_refused = trial.state == "failed" and trial.status == self.refused_with
            if is_refused and self._broken(trial) not in _SENDING:
                return trial
        return None

    @cached_property
    def mistake(self) -> Mistake | None:
        """The mistake whose signature changes the answer to the refused event."""
        refused = self.refused
        if refused is None or len(refused.sent.body) > _LARGEST:
            return None
        tried = {refused.sent.signature}
        for mistake in event_mistakes(key_of(self.sender.secret), refused.sent.body):
            if mistake.signature in tried:
                continue
            tried.add(mistake.signature)
            answer = self.sender.send("", replace(refused.sent, signature=mistake.signature))
            if answer.status not in (None, refused.status, *WAITING):
                return mistake
        return None


def _is_accepted(trial: Trial) -> bool:
    """Whether a receiver took a forged event, or worked on it."""
    return trial.kind == "forged" and bool(trial.status in SUCCESS or trial.log_fault)


def _answer(trial: Trial) -> str:
    """Write what a receiver answered."""
    if trial.status is None or trial.fix:
        return trial.detail
    return f"it answers {trial.status}" + (f", {trial.detail}" if trial.detail else "")


def explain(trials: Sequence[Trial], sender: Sender) -> list[Cause]:
    """Return the causes of all failures and warnings."""
    verdict = _Verdict(trials, sender)
    found: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        if trial.state in ("failed", "warning"):
            found.setdefault(verdict.cause(trial), []).append(trial)
    causes = []
    for (what, fix), having in found.items():
        first = having[0]
        words = what.replace("{answer}", _answer(first))
        causes.append(Cause(first.state, words, fix, tuple(trial.name for trial in having)))
    return causes


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


def judge_log(path: str, trials: Sequence[Trial], context: Context) -> list[Trial]:
    """Judge each event by how often its identifiers are in the receiver's log.

    Reads it until it shows no fault, or the wait for the work is over. Raises FileError.
    """
    fix = "name the file into which the receiver prints the identifiers of each entity"
    ends = context.clock.monotonic() + _LOG_WAIT
    while True:
        counts = Counter(TOKEN.findall(read_named(path, "log", fix)))
        judged = []
        for trial in trials:
            fault = _fault(trial, counts)
            state: TrialState = "failed" if fault else trial.state
            judged.append(replace(trial, state=state, log_fault=fault))
        is_over = not any(trial.log_fault for trial in judged) or context.clock.monotonic() > ends
        if is_over or context.clock.wait(context.stop, 0.2):
            return judged


def _fault(trial: Trial, counts: Counter[bytes]) -> str:
    """Return what the log shows against a test, or "".

    `counts`: how often the log has each identifier.
    """
    differences = [counts[token] - times for token, times in trial.works.items()]
    is_twice = max(differences, default=0) > 0
    if trial.kind == "forged":
        return "forged" if is_twice else ""
    if trial.kind != "genuine" or trial.state == "failed":
        return ""
    if min(differences, default=0) < 0:
        return "lost" if counts else "silent"
    return "twice" if is_twice else ""
