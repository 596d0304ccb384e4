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
from hooksync.service.responses import CONFLICT
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
        self._why = ""  # the step is not done
        self._fix = ""

    @property
    def may_remove(self) -> bool:
        """Whether the step still has a live subscription to remove, as far as its calls show."""
        is_failed = self.step.creates and self.creation in ("not-sent", "refused")
        return self.step.removes and self.removal == "not-sent" and not is_failed

    @property
    def attempt(self) -> Attempt | None:
        """The attempt of the step, if the last list does not show what it may have made."""
        if not self.step.creates or self.creation not in ("unclear", "done"):
            return None
        record = self._ledger.record(self.step.declared_side)
        is_open = isinstance(record, Attempt) and record.id not in self._ledger.shown
        return record if isinstance(record, Attempt) and is_open else None

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
                self._fix = receiver.fix or _PROVED_FIX

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
        self._why = why
        self._fix = fix

    def finish(self, listed: Collection[str] | None) -> Step:
        """Return the step with its outcome. No list will be read any more.

        `listed`: the ids in the last list; None: it could not be read.
        """
        if self.step.outcome:
            return self.step
        if not self.step.is_due:
            result: Result = "not-attempted" if self.step.is_change else "unchanged"
            return replace(self.step, outcome=Outcome(result))
        record = self._ledger.record(self.step.declared_side) if self.step.creates else None
        if self._is_conflict and isinstance(record, Attempt) and not record.id:
            self._ledger.close(self.step.declared_side)
            record = None
        results = []
        if self.step.creates:
            results.append(self._creation_result(record))
        if self.step.removes:
            results.append(self._removal_result(listed, is_replaced=isinstance(record, StateEntry)))
        result = _combined(results)
        problem = self._problem(result, record, listed)
        return replace(self.step, outcome=Outcome(result, problem, record.id if record else None))

    def _creation_result(self, record: StateEntry | Attempt | None) -> Result:
        """Return what became of the creation. `record`: of the new subscription."""
        if record:
            return "done" if isinstance(record, StateEntry) else "unsettled"
        return "failed" if self.creation == "refused" else "not-attempted"

    def _removal_result(self, listed: Collection[str] | None, *, is_replaced: bool) -> Result:
        """Return what became of the removal. A list overrides the response."""
        is_listed = listed is None or self.step.id in listed
        match self.removal:
            case "not-sent":
                is_due = is_replaced or not self.step.creates
                return "done" if is_due and not is_listed else "not-attempted"
            case "done":
                return "unsettled" if listed is not None and is_listed else "done"
            case "unclear":
                return "unsettled" if is_listed else "done"
            case "refused":
                return "failed" if is_listed else "done"

    def _problem(
        self,
        result: Result,
        record: StateEntry | Attempt | None,
        listed: Collection[str] | None,
    ) -> Problem | None:
        """Return why the step is not done, and the fix."""
        why = self._why
        fix = self._fix
        if result == "unsettled":
            why = "; ".join(filter(None, (why, self._why_unsettled(record))))
            fix = NEXT_RUN
        elif result == "failed" and self.step.action == "resubscribe":
            is_live = listed is not None and self.step.id in listed
            why = f"{why}; the old subscription {'is still live' if is_live else 'was not removed'}"
        elif result == "half-done" and self.removal in ("done", "unclear"):
            why = f"the old one is removed, and nothing is live in its place: {why}"
            fix = f"{fix}; {NEXT_RUN}"
        elif result == "half-done" and not why:
            why = "interrupted: the new one is made, the old one is still there"
            fix = NEXT_RUN
        return Problem(why, fix) if why and result != "done" else None

    def _why_unsettled(self, record: StateEntry | Attempt | None) -> str:
        """Return why the result of the step is not known."""
        if isinstance(record, Attempt) and record.is_proven:
            return UNLISTED
        if isinstance(record, Attempt) and record.id:
            return f"the list shows {record.id}, and no response proves its secret"
        if isinstance(record, Attempt):
            start = "the response has no new id, and " if self.creation == "done" else ""
            if self.removal == "done":
                start = f"the old one is removed, and {start}"
            return f"{start}the list does not show what was made"
        return _STILL_LISTED if self.removal == "done" else "it may be removed"


def _combined(results: list[Result]) -> Result:
    """Return the result of a step from those of its calls. An adoption has none, and is done."""
    if "unsettled" in results:
        return "unsettled"
    if results.count("done") == len(results):
        return "done"
    if "done" in results:
        return "half-done"
    return "failed" if "failed" in results else "not-attempted"
