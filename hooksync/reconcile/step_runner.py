"""The execution of one step: its calls, their results, and the outcome that follows from them.

A step makes a subscription, removes one, or does both. What became of it also depends on the
records of the run (`reconcile.journal.Ledger`), which its last list has settled.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from hooksync.core.errors import AnswerLost, HooksyncError, Problem, Rejected
from hooksync.core.model import Secret
from hooksync.core.record import replace
from hooksync.reconcile.journal import Ledger
from hooksync.reconcile.plan import NEXT_RUN, UNLISTED, Outcome, Result, Step
from hooksync.service.client import Preservica
from hooksync.service.responses import CONFLICT, CONFLICT_FIX
from hooksync.state.model import Attempt, StateEntry

# unclear: the service may have carried it out; refused: it certainly has not
CallResult = Literal["not-sent", "unclear", "refused", "done"]

_INVALID = (400, 422)  # the service refuses the subscription, or the receiver failed its challenge
_PROVED_FIX = (
    "read the service's answer above; the receiver has just answered hooksync's challenge with the"
    " declared secret"
)
_STILL_LISTED = "the service reported the removal, and the list still shows the subscription"


class StepRunner:
    """Executes one step, and keeps the results of its calls."""

    def __init__(self, step: Step, service: Preservica, ledger: Ledger) -> None:
        self.step = step
        self.creation: CallResult = "not-sent"
        self.removal: CallResult = "not-sent"
        self._service = service
        self._ledger = ledger
        self._response_id: str | None = None  # in a success response to the creation
        self._is_conflict = False  # 409: a list may show that an earlier try has made it
        self._problem = Problem("", NEXT_RUN)  # why the step is not done

    @property
    def may_remove(self) -> bool:
        """Whether the step still has a live subscription to remove, as far as its calls show."""
        is_failed = self.step.creates and self.creation in ("not-sent", "refused")
        return self.step.removes and self.removal == "not-sent" and not is_failed

    @property
    def unlisted(self) -> Attempt | None:
        """The attempt of the step, if the last list does not show what it may have made."""
        if not self.step.creates or self._is_conflict:
            return None
        record = self._ledger.record(self.step.declared_side)
        if isinstance(record, Attempt) and record.id not in self._ledger.shown:
            return record
        return None

    @property
    def is_still_listed(self) -> bool:
        """Whether the last list shows what the service reported as removed."""
        return self.removal == "done" and self.step.id in self._ledger.shown

    def create(self, secret: Secret) -> None:
        """Make the new subscription."""
        self.creation = "unclear"  # until a response says something else
        try:
            self._response_id = self._service.subscribe(self.step.declared_side, secret)
            self.creation = "done"
        except HooksyncError as error:
            self.creation = self._failed(error)
            status = error.status if isinstance(error, Rejected) else 0
            receiver = self.step.receiver
            self._is_conflict = status == CONFLICT
            if status in _INVALID and receiver:
                self.explain(error.summary, receiver.fix or _PROVED_FIX)

    def record_response(self) -> None:
        """Record what the response to the creation says."""
        if self.creation == "done":
            self._ledger.accept(self.step.declared_side, self._response_id)
        elif self.creation != "unclear" and not self._is_conflict:
            self._ledger.close(self.step.declared_side)

    def remove(self) -> None:
        """Remove the live subscription."""
        self.removal = "unclear"  # until a response says something else
        try:
            self._service.unsubscribe(self.step.id)
            self.removal = "done"
        except HooksyncError as error:
            self.removal = self._failed(error)

    def _failed(self, error: HooksyncError) -> CallResult:
        """Keep the error of a call, and return the result of the call."""
        self.explain(error.summary, "; ".join(problem.fix for problem in error.problems))
        return "unclear" if isinstance(error, AnswerLost) else "refused"

    def explain(self, why: str, fix: str = NEXT_RUN) -> None:
        """Keep the reason why the step is not done."""
        self._problem = Problem(why, fix)

    def finish(self, listed: Collection[str] | None) -> Step:
        """Return the step with its outcome. No list will be read any more.

        `listed`: the ids in the last list; None: it could not be read.
        """
        step = self.step
        if not step.is_due:
            return step.not_begun()
        record = self._ledger.record(step.declared_side) if step.creates else None
        if self._is_conflict and record and not record.id:
            self._ledger.close(step.declared_side)
            record = None
        is_gone = self.removal == "done" if listed is None else step.id not in listed
        result = self._result(record, is_gone=is_gone)
        problem = None if result == "done" else self._reason(result, record, listed)
        return replace(step, outcome=Outcome(result, problem, record.id if record else None))

    def _result(self, record: StateEntry | Attempt | None, *, is_gone: bool) -> Result:
        """Sum up the calls. `record`: of the new one. `is_gone`: whether the old one is."""
        is_made = isinstance(record, StateEntry)
        is_sent = self.removal in ("done", "unclear")
        if (is_made or not self.step.creates) and (is_gone or not self.step.removes):
            return "done"
        if isinstance(record, Attempt) or (is_sent and not is_gone):
            return "unsettled"
        if is_made or (is_gone and is_sent):
            return "half-done"
        return "failed" if "refused" in (self.creation, self.removal) else "not-attempted"

    def _reason(
        self,
        result: Result,
        record: StateEntry | Attempt | None,
        listed: Collection[str] | None,
    ) -> Problem | None:
        """Return why the step is not done, and the fix."""
        why = self._problem.what
        fix = self._problem.fix
        if result == "unsettled":
            why = "; ".join(filter(None, (why, self._doubt(record))))
            fix = self._ledger.next_fix(self.step)
            if self._response_id and isinstance(record, Attempt) and not record.is_proven:
                fix = CONFLICT_FIX  # the response contains the id of a different subscription
        elif result == "failed" and self.step.action == "resubscribe":
            is_live = listed is not None and self.step.id in listed
            why += f"; the old subscription {'is still live' if is_live else 'was not removed'}"
        elif result == "half-done" and isinstance(record, StateEntry):
            why = why or "interrupted: the new one is made, the old one is still there"
        elif result == "half-done":
            why = f"the old one is removed, and nothing is live in its place: {why}"
            fix = f"{fix}; {NEXT_RUN}"
        return Problem(why, fix) if why else None

    def _doubt(self, record: StateEntry | Attempt | None) -> str:
        """Return what is not known of an unsettled step."""
        if not isinstance(record, Attempt):
            return _STILL_LISTED if self.removal == "done" else "it may be removed"
        if record.is_proven:
            return UNLISTED
        if record.id:
            return f"the list shows {record.id}, and no response proves its secret"
        removed = "the old one is removed, and " if self.removal == "done" else ""
        nameless = "the response has no new id, and " if self.creation == "done" else ""
        return f"{removed}{nameless}the list does not show what was made"
