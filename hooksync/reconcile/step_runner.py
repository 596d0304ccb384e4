"""The execution of one step: its calls, and their results.

A step makes a subscription, removes one, or does both. Each of these calls ends in one of a few
states (`CallState`). The outcome of the step follows from these, the responses and the lists.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum, auto

from hooksync.core.errors import AnswerLost, HooksyncError, Problem, Rejected
from hooksync.core.model import Secret
from hooksync.core.record import replace
from hooksync.reconcile.journal import Ledger
from hooksync.reconcile.plan import NEXT_RUN, UNLISTED, Outcome, Result, Step
from hooksync.service.client import Preservica
from hooksync.service.responses import CONFLICT
from hooksync.state.model import StateEntry

_INVALID = (400, 422)  # the service refuses the subscription, or the receiver failed its challenge
_PROVED_FIX = (
    "read the service's answer above; the receiver has just answered hooksync's challenge with the"
    " declared secret"
)


class CallState(Enum):
    """The state of the call that makes a subscription, or of the call that removes one."""

    UNTRIED = auto()
    UNCLEAR = auto()  # may be done: the response was lost, or contained no new id
    UNLISTED = auto()  # a response contained the id of the new one, and no list has shown it
    FOUND = auto()  # a list shows the new one, and no response proves its secret
    STILL_LISTED = auto()  # a response reported the removal, and the list shows the old one
    # 409: the service has one already, and a list may show that an earlier try has made it
    CONFLICT = auto()
    REFUSED = auto()  # certainly not done
    DONE = auto()  # a new one: a response proves it, and a list shows it


_NOTHING_MADE = (CallState.UNTRIED, CallState.REFUSED)
_SETTLED = {*_NOTHING_MADE, CallState.DONE}


class StepRunner:
    """Executes one step, and keeps the results of its calls."""

    def __init__(self, step: Step, service: Preservica, ledger: Ledger) -> None:
        self.step = step
        self.creation = CallState.UNTRIED
        self.removal = CallState.UNTRIED
        self._service = service
        self._ledger = ledger
        self._is_success = False  # the response to the creation
        self._response_id: str | None = None  # in a success response
        self._new_id: str | None = None
        self._is_old_listed = False  # in the last list
        self._why = ""  # the step is not done
        self._fix = ""

    @property
    def must_remove(self) -> bool:
        """Whether the step still has to remove a live subscription.

        It does not if a new one was to be made, and certainly was not.
        """
        if self.step.outcome or not self.step.removes:
            return False
        is_barred = self.step.creates and self.creation in (*_NOTHING_MADE, CallState.CONFLICT)
        return self.removal is CallState.UNTRIED and not is_barred

    def create(self, secret: Secret) -> None:
        """Make the new subscription."""
        self.creation = CallState.UNCLEAR  # until a response says something else
        try:
            self._response_id = self._service.subscribe(self.step.declared_side, secret)
            self._is_success = True
        except HooksyncError as error:
            self.creation = self._failed(error)
            status = error.status if isinstance(error, Rejected) else 0
            receiver = self.step.receiver
            if status == CONFLICT:
                self.creation = CallState.CONFLICT
            elif status in _INVALID and receiver:
                self._fix = receiver.fix or _PROVED_FIX

    def record_response(self) -> None:
        """Record what the response to the creation says."""
        if self._is_success:
            self._ledger.accept(self.step.declared_side, self._response_id)
            self._learn_new()
        elif self.creation in _NOTHING_MADE:
            self._ledger.close(self.step.declared_side)

    def remove(self) -> None:
        """Remove the live subscription."""
        self.removal = CallState.UNCLEAR  # until a response says something else
        try:
            self._service.unsubscribe(self.step.id)
            self.removal = CallState.DONE
        except HooksyncError as error:
            self.removal = self._failed(error)

    def _failed(self, error: HooksyncError) -> CallState:
        """Keep the error of a call, and return the call's state."""
        self.explain(error.summary, "; ".join(problem.fix for problem in error.problems))
        return CallState.UNCLEAR if isinstance(error, AnswerLost) else CallState.REFUSED

    def explain(self, why: str, fix: str = NEXT_RUN) -> None:
        """Keep the reason why the step is not done."""
        self._why = why
        self._fix = fix

    def learn(self, listed: Collection[str]) -> None:
        """Update the results from a list, by which the ledger has settled the attempts.

        `listed`: the ids in it.
        """
        if self.step.creates:
            self._learn_new()
        self._is_old_listed = self.step.id in listed
        if self.removal is CallState.UNTRIED:
            return
        if not self._is_old_listed:
            self.removal = CallState.DONE  # whatever the response was
        elif self.removal is CallState.DONE:
            self.removal = CallState.STILL_LISTED

    def _learn_new(self) -> None:
        """Update what is known of the new subscription."""
        record = self._ledger.record(self.step.declared_side)
        if record is None or not record.id:
            return
        self._new_id = record.id
        if isinstance(record, StateEntry):
            self.creation = CallState.DONE
        else:
            self.creation = CallState.UNLISTED if record.fingerprint else CallState.FOUND

    def finish(self) -> Step:
        """Return the step with its outcome. No list will be read any more."""
        if self.step.outcome:
            return self.step
        if self.creation is CallState.CONFLICT:
            self.creation = CallState.REFUSED
            self._ledger.close(self.step.declared_side)
        result = self._result()
        return replace(self.step, outcome=Outcome(result, self._problem(result), self._new_id))

    def _result(self) -> Result:
        """Return the result, which is "unsettled" as long as anything is not known.

        Otherwise it is "done" if all calls succeeded, and "half-done" if one of two did.
        """
        if not self.step.is_change:
            return "unchanged"
        calls = []
        if self.step.creates:
            calls.append(self.creation)
        if self.step.removes:
            calls.append(self.removal)
        if not _SETTLED.issuperset(calls):
            return "unsettled"
        if calls.count(CallState.DONE) == len(calls):
            return "done"  # also an adoption, which needs no call: the journal records it
        if CallState.DONE in calls:
            return "half-done"
        return "failed" if CallState.REFUSED in calls else "not-attempted"

    def _problem(self, result: Result) -> Problem | None:
        """Return why the step is not done, and the fix."""
        why = self._why
        fix = self._fix
        if result == "unsettled":
            why = "; ".join(filter(None, (why, self._why_unsettled())))
            fix = NEXT_RUN
        elif result == "failed" and self.step.action == "resubscribe":
            is_live = "is still live" if self._is_old_listed else "was not removed"
            why = f"{why}; the old subscription {is_live}"
        elif result == "half-done" and self.removal is CallState.DONE:
            why = f"the old one is removed, and nothing is live in its place: {why}"
            fix = f"{fix}; {NEXT_RUN}"
        elif result == "half-done" and not why:
            why = "interrupted: the new one is made, the old one is still there"
            fix = NEXT_RUN
        return Problem(why, fix) if why and result != "done" else None

    def _why_unsettled(self) -> str:
        """Return why the result of the step is not known."""
        match self.creation:
            case CallState.UNCLEAR:
                start = "the response has no new id, and " if self._is_success else ""
                if self.removal is CallState.DONE:
                    start = f"the old one is removed, and {start}"
                return f"{start}the list does not show what was made"
            case CallState.FOUND:
                return f"the list shows {self._new_id}, and no response proves its secret"
            case CallState.UNLISTED:
                return UNLISTED
        if self.removal is CallState.UNCLEAR:
            return "it may be removed"
        return "the service reported the removal, and the list still shows the subscription"
