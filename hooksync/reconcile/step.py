"""The execution of one step: its calls, their results, and the outcome that follows from them.

A step makes a subscription, removes one, or does both. What became of it also follows from the
records of the run (`reconcile.journal.Ledger`), which its last list has settled.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from hooksync.core.errors import AnswerLost, HooksyncError, Problem, Rejected
from hooksync.core.model import Secret
from hooksync.reconcile.plan import NEXT_RUN, UNLISTED, Outcome, Result, Step
from hooksync.service.client import CONFLICT, CONFLICT_FIX, Preservica
from hooksync.state.model import Attempt, StateEntry

# unclear: the service may have carried it out; refused: it certainly has not; conflict: 409, and a
# list may show that an earlier try has made it
CallResult = Literal["not-sent", "unclear", "refused", "conflict", "done"]

_INVALID = (400, 422)  # the service refuses the subscription, or the receiver failed its challenge
_PROVED_FIX = (
    "read the service's answer above; the receiver has just answered hooksync's challenge with the"
    " declared secret"
)
_INTERRUPTED = "interrupted: the new one is made, the old one is still there"
_STILL_LISTED = "the service reported the removal, and the list still shows the subscription"


class StepRunner:
    """Executes one step, and keeps the results of its calls."""

    def __init__(self, step: Step, service: Preservica) -> None:
        self.step = step
        self.creation: CallResult = "not-sent"
        self.removal: CallResult = "not-sent"
        self.response_id: str | None = None  # in a success response to the creation
        self._service = service
        self._problem = Problem("", NEXT_RUN)  # why the step is not done

    @property
    def may_remove(self) -> bool:
        """Whether the step still has a live subscription to remove, as far as its calls show."""
        may_be_made = self.creation in ("unclear", "done") or not self.step.creates
        return self.step.removes and self.removal == "not-sent" and may_be_made

    @property
    def is_removed(self) -> bool:
        """Whether the service has removed the live subscription, or may have."""
        return self.removal in ("unclear", "done")

    def create(self, secret: Secret) -> None:
        """Make the new subscription."""
        self.creation = "unclear"  # until a response says something else
        try:
            self.response_id = self._service.subscribe(self.step.declared_side, secret)
            self.creation = "done"
        except HooksyncError as error:
            self.creation = self._failed(error)
            status = error.status if isinstance(error, Rejected) else 0
            receiver = self.step.receiver
            if status == CONFLICT:
                self.creation = "conflict"
            if status in _INVALID and receiver:
                self.explain(error.summary, receiver.fix or _PROVED_FIX)

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

    def outcome(
        self,
        record: StateEntry | Attempt | None,
        listed: Collection[str] | None,
        next_fix: str = NEXT_RUN,
    ) -> Outcome:
        """Return what became of the step. No list will be read any more.

        `record`: of what it made; an attempt: that is not certain. `listed`: the ids in the last
        list; None: it could not be read. `next_fix`: what to do if the step is not settled.
        """
        step = self.step
        problem = self._problem
        new_id = record.id if record else None
        is_made = isinstance(record, StateEntry)
        is_gone = self.removal == "done" if listed is None else step.id not in listed
        if (is_made or not step.creates) and (is_gone or not step.removes):
            return Outcome("done", None, new_id)
        if isinstance(record, Attempt) or (self.is_removed and not is_gone):
            return Outcome("unsettled", self._doubt(record, next_fix), new_id)
        result: Result = "half-done" if is_made or self.is_removed else "failed"
        if is_made:
            problem = problem if problem.what else Problem(_INTERRUPTED, NEXT_RUN)
        elif self.is_removed:
            problem = Problem(
                f"the old one is removed, and nothing is live in its place: {problem.what}",
                f"{problem.fix}; {NEXT_RUN}",
            )
        elif self.creation == self.removal == "not-sent":
            result = "not-attempted"
        elif step.creates and listed and step.id in listed:
            problem = Problem(f"{problem.what}; the old subscription is still live", problem.fix)
        return Outcome(result, problem if problem.what else None, new_id)

    def _doubt(self, record: StateEntry | Attempt | None, fix: str) -> Problem:
        """Return what is not known of an unsettled step."""
        if not isinstance(record, Attempt):
            doubt = _STILL_LISTED if self.removal == "done" else "it may be removed"
        elif record.is_proven:
            doubt = UNLISTED
        else:
            removed = "the old one is removed, and " if self.removal == "done" else ""
            doubt = f"{removed}the list does not show what was made"
            if record.id:
                doubt = f"the list shows {record.id}, and no response proves its secret"
            if self.response_id:
                fix = CONFLICT_FIX  # it is the id of a different subscription
        return Problem(f"{self._problem.what}; {doubt}".removeprefix("; "), fix)
