"""The execution of one step: its calls, and their results.

This module uses only the service that it is given.

A step makes a subscription, removes one, or does both. Each of these calls ends in one of a few
states (`Call`). The result of the step follows from these states, the responses and the lists.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum, auto
from typing import Protocol

from hooksync.core.errors import AnswerLost, HooksyncError, Problem, Rejected
from hooksync.core.model import DeclaredSubscription, LiveSubscriptions, Secret
from hooksync.core.record import replace
from hooksync.reconcile.journal import Ledger
from hooksync.reconcile.plan import NEXT_RUN, UNLISTED, Outcome, Result, Step

CONFLICT = 409
_INVALID = (400, 422)  # the service refuses the subscription, or the receiver failed its challenge


class Call(Enum):
    """The state of the call that makes a subscription, or of the call that removes one."""

    UNTRIED = auto()
    UNCLEAR = auto()  # may be done: the response was lost, or contained no new id
    REFUSED = auto()  # certainly not done
    DONE = auto()


class Service(Protocol):
    """The calls to a tenancy that an apply needs; `client.Preservica` implements them."""

    def list_subscriptions(self) -> LiveSubscriptions:
        """Fetch the live subscriptions."""

    def subscribe(self, declared: DeclaredSubscription, secret: Secret) -> str | None:
        """Make a subscription and return its id, or None if the response has none."""

    def unsubscribe(self, identifier: str) -> None:
        """Remove a subscription."""


class StepRunner:
    """Executes one step that needs calls, and keeps their results."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.creation = Call.UNTRIED
        self.removal = Call.UNTRIED
        self.new_id: str | None = None  # set if `creation` is DONE
        self.has_conflict = False  # 409: the service says that the subscription exists already
        self.is_invalid = False  # 400 or 422
        self.is_success = False  # the response to the creation
        self.response_id: str | None = None  # in a success response
        self.is_certain = False  # the new one is an entry: a response proves it, a list shows it
        self.is_found = False  # a list shows the new one, and no response proves its secret
        self.is_still_listed = False  # the last list shows the old one
        self.detail = ""  # why the step is not done
        self.fix = ""

    @property
    def must_remove(self) -> bool:
        """Whether the step removes a live subscription, and has not tried to yet."""
        return self.step.removes and self.removal is Call.UNTRIED

    @property
    def is_barred(self) -> bool:
        """Whether the step cannot remove the old subscription, because no new one was made."""
        return self.step.creates and self.creation in (Call.UNTRIED, Call.REFUSED)

    @property
    def is_unlisted(self) -> bool:
        """Whether a response contained the id of the new one, and no list has shown it."""
        return self.creation is Call.DONE and not (self.is_certain or self.is_found)

    @property
    def awaits_list(self) -> bool:
        """Whether the list does not match the responses yet."""
        return self.is_unlisted or (self.removal is Call.DONE and self.is_still_listed)

    def _result(self) -> Result:
        """Return the result so far, which is "unsettled" as long as anything is not known.

        Otherwise it is "done" if all calls succeeded, and "half-done" if one of two did.
        """
        if self._why_unsettled():
            return "unsettled"
        halves = []
        if self.step.creates:
            halves.append(self.creation)
        if self.step.removes:
            halves.append(self.removal)
        if Call.DONE in halves:
            return "done" if halves.count(Call.DONE) == len(halves) else "half-done"
        return "failed" if Call.REFUSED in halves else "not-attempted"

    def create(self, service: Service, secret: Secret) -> None:
        """Make the new subscription."""
        self.creation = Call.UNCLEAR  # until a response says something else
        try:
            self.response_id = service.subscribe(self.step.new, secret)
        except HooksyncError as error:
            self.creation = self._failed(error)
            status = error.status if isinstance(error, Rejected) else 0
            self.has_conflict = status == CONFLICT
            self.is_invalid = status in _INVALID
        else:
            self.is_success = True

    def record_response(self, ledger: Ledger) -> None:
        """Record what the response to the creation says."""
        if self.is_success and ledger.accept(self.step.new, self.response_id):
            self.creation = Call.DONE
            self.new_id = self.response_id
        elif self.creation is not Call.UNCLEAR and not self.has_conflict:
            ledger.close(self.step.new)

    def remove(self, service: Service) -> None:
        """Remove the live subscription."""
        self.removal = Call.UNCLEAR  # until a response says something else
        try:
            service.unsubscribe(self.step.id)
            self.removal = Call.DONE
        except HooksyncError as error:
            self.removal = self._failed(error)

    def _failed(self, error: HooksyncError) -> Call:
        """Keep the error of a call, and return the call's state."""
        self.explain(error.summary, "; ".join(problem.fix for problem in error.problems))
        return Call.UNCLEAR if isinstance(error, AnswerLost) else Call.REFUSED

    def explain(self, why: str, fix: str = NEXT_RUN) -> None:
        """Keep the reason why the step is not done."""
        self.detail = why
        self.fix = fix

    def learn(self, listed: Collection[str], ledger: Ledger) -> None:
        """Update the results from a list.

        `listed`: the ids in it; `ledger`: has settled the attempts by it.
        """
        if self.step.creates:
            self._learn_new(ledger)
        if self.step.removes:
            self.is_still_listed = self.step.id in listed
            if self.removal is not Call.UNTRIED and not self.is_still_listed:
                self.removal = Call.DONE  # whatever the response was

    def _learn_new(self, ledger: Ledger) -> None:
        """Update what is known of the new subscription."""
        entry = ledger.entry(self.step.new)
        attempt = ledger.attempt(self.step.new)
        self.is_certain = entry is not None
        self.is_found = bool(attempt and attempt.id and not attempt.fingerprint)
        record = entry or attempt
        if record and record.id:
            self.creation = Call.DONE
            self.new_id = record.id

    def finished(self) -> Step:
        """Return the step with its outcome."""
        detail = self.detail
        fix = self.fix
        result = self._result()
        if result == "unsettled":
            detail = "; ".join(filter(None, (detail, self._why_unsettled())))
            fix = NEXT_RUN
        elif result == "done":
            detail = ""
        elif result == "failed" and self.step.action == "resubscribe":
            detail = f"{detail}; the old subscription {self._old_text()}"
        elif result == "half-done" and self.removal is Call.DONE:
            detail = f"the old one is removed, and nothing is live in its place: {detail}"
            fix = f"{fix}; {NEXT_RUN}"
        elif result == "half-done" and not detail:
            detail = "interrupted: the new one is made, the old one is still there"
            fix = NEXT_RUN
        problem = Problem(detail, fix) if detail else None
        return replace(self.step, outcome=Outcome(result, problem, self.new_id))

    def _old_text(self) -> str:
        """Report what is known of the old subscription, which was not removed."""
        return "is still live" if self.is_still_listed else "was not removed"

    def _why_unsettled(self) -> str:
        """Return why the result of the step is not known; "" if it is known."""
        if self.creation is Call.UNCLEAR:
            start = "the response has no new id, and " if self.is_success else ""
            if self.removal is Call.DONE:
                start = f"the old one is removed, and {start}"
            return f"{start}the list does not show what was made"
        if self.is_found:
            return f"the list shows {self.new_id}, and no response proves its secret"
        if self.is_unlisted:
            return UNLISTED
        if self.removal is Call.UNCLEAR:
            return "it may be removed"
        if self.removal is Call.DONE and self.is_still_listed:
            return "the service reported the removal, and the list still shows the subscription"
        return ""
