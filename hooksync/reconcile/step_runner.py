"""One step on its way: the calls that it makes, and what became of them.

Touches only the service it is given.

A step makes a subscription, removes one, or does both. What became of each half is one of a few
values; the result of the step follows from the two alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Protocol, TypeAlias

from hooksync.core.errors import AnswerLost, HooksyncError, Problem, Rejected
from hooksync.core.model import DeclaredSubscription, LiveSubscription, Secret
from hooksync.reconcile.plan import (
    NEXT_RUN,
    UNLISTED,
    Outcome,
    Resubscribe,
    Result,
    Subscribe,
    Unsubscribe,
)

CONFLICT = 409

ActiveStep: TypeAlias = Subscribe | Resubscribe | Unsubscribe


class Creation(Enum):
    """What became of the new subscription."""

    UNTRIED = auto()
    UNCLEAR = auto()  # no response, or none that makes sense: it may have been made
    NAMELESS = auto()  # a success response without the id of a new one
    MADE = auto()  # it exists, under an id that a response or a list has shown
    REFUSED = auto()  # certainly not made


class Removal(Enum):
    """What became of the live subscription that has to go."""

    UNTRIED = auto()
    UNCLEAR = auto()  # it may be gone
    REFUSED = auto()  # certainly not removed
    GONE = auto()  # by a response


class Service(Protocol):
    """What apply needs of a tenancy's service; `client.Preservica` is one."""

    def list_subscriptions(self) -> tuple[LiveSubscription, ...]:
        """Fetch what is live."""

    def subscribe(self, declared: DeclaredSubscription, secret: Secret) -> str | None:
        """Make a subscription and return its id, or None if the response has none."""

    def unsubscribe(self, identifier: str) -> None:
        """Remove a subscription."""


class StepRunner:
    """A step that has to be done, and how far it is."""

    def __init__(self, step: ActiveStep) -> None:
        self.step = step
        self.creation = Creation.UNTRIED
        self.removal = Removal.UNTRIED
        self.new_id: str | None = None  # set if the creation is MADE
        self.has_conflict = False  # the service responded that there is one already
        self.is_confirmed = False  # a success response vouches for the new one
        self.was_listed = False  # a list has shown the new one
        self.is_still_listed = False  # the last list shows the old one
        self.detail = ""  # why it is not done
        self.fix = ""

    @property
    def declared(self) -> DeclaredSubscription:
        """What is to be made."""
        assert not isinstance(self.step, Unsubscribe)  # noqa: S101, it makes nothing
        return self.step.declared

    @property
    def live_id(self) -> str | None:
        """The id of what has to go."""
        return None if isinstance(self.step, Subscribe) else self.step.live.id

    @property
    def is_open(self) -> bool:
        """Whether the new one may exist under an id that is not known."""
        return self.creation in (Creation.UNCLEAR, Creation.NAMELESS)

    @property
    def is_replaced(self) -> bool:
        """Whether a response vouches for the new one, and a list has shown it."""
        return self.creation is Creation.MADE and self.is_confirmed and self.was_listed

    @property
    def is_unlisted(self) -> bool:
        """Whether a response contained the id of the new one, and no list has shown it."""
        return self.creation is Creation.MADE and not self.was_listed

    @property
    def is_behind(self) -> bool:
        """Whether the list does not match the responses yet."""
        return self.is_unlisted or (self.removal is Removal.GONE and self.is_still_listed)

    @property
    def is_unsettled(self) -> bool:
        """Whether it is not known what became of it."""
        is_unconfirmed = self.creation is Creation.MADE and not self.is_confirmed
        is_unclear = self.is_open or self.removal is Removal.UNCLEAR
        return is_unclear or is_unconfirmed or self.is_behind

    @property
    def result(self) -> Result:
        """The result so far: done if all calls succeeded, half-done if one of two did."""
        if self.is_unsettled:
            return "unsettled"
        halves = []
        if not isinstance(self.step, Unsubscribe):
            halves.append(self.creation is Creation.MADE)
        if not isinstance(self.step, Subscribe):
            halves.append(self.removal is Removal.GONE)
        if any(halves):
            return "done" if all(halves) else "half-done"
        is_tried = Creation.REFUSED is self.creation or Removal.REFUSED is self.removal
        return "failed" if is_tried else "not-attempted"

    def create(self, service: Service, secret: Secret, known: frozenset[str]) -> None:
        """Make the new subscription. `known`: ids that were live before."""
        self.creation = Creation.UNCLEAR  # until a response says something else
        try:
            identifier = service.subscribe(self.declared, secret)
        except AnswerLost as error:
            self._explain(error)
        except HooksyncError as error:
            self.creation = Creation.REFUSED
            self._explain(error)
            if isinstance(error, Rejected) and error.status == CONFLICT:
                self.has_conflict = True
                if isinstance(self.step, Subscribe):  # none was live: it may be this very one
                    self.creation = Creation.UNCLEAR
            if self.removal is Removal.GONE:
                self.detail = f"the old one was removed, the new one was refused: {self.detail}"
                self.fix = f"nothing is live in its place now: {self.fix}, then run apply again"
        else:
            self.is_confirmed = True
            if identifier and identifier not in known:
                self.creation = Creation.MADE
                self.new_id = identifier
            else:
                self.creation = Creation.NAMELESS

    def remove(self, service: Service) -> None:
        """Remove the live subscription."""
        assert not isinstance(self.step, Subscribe)  # noqa: S101, it removes nothing
        self.removal = Removal.UNCLEAR  # until a response says something else
        try:
            service.unsubscribe(self.step.live.id)
        except AnswerLost as error:
            self._explain(error)
        except HooksyncError as error:
            self.removal = Removal.REFUSED
            self._explain(error)
        else:
            self.removal = Removal.GONE

    def hold(self, why: str) -> None:
        """Note why the old one is not removed in this run."""
        self.detail = why
        self.fix = NEXT_RUN

    def break_off(self, problem: Problem) -> None:
        """Note that an error ended it that no code is made for."""
        self.detail = problem.what
        self.fix = problem.fix

    def learn(self, listed: Mapping[str, LiveSubscription], new_ids: list[str]) -> None:
        """Learn from a list, by id. `new_ids`: what is new in it under the declared identity."""
        if (self.is_open or self.has_conflict) and len(new_ids) == 1:
            self.creation = Creation.MADE
            self.new_id = new_ids[0]
        if self.new_id in listed:
            self.was_listed = True
        self.is_still_listed = self.live_id in listed
        if isinstance(self.step, Subscribe) or not self.step.live.is_listed:
            return  # that a list lacks what no list has shown says nothing
        if self.removal is not Removal.UNTRIED and not self.is_still_listed:
            self.removal = Removal.GONE  # whatever the response was

    def outcome(self) -> Outcome:
        """Return what became of the step."""
        detail = self.detail
        fix = self.fix
        if self.is_unsettled:
            detail = "; ".join(filter(None, (detail, self._why_unsettled())))
            fix = NEXT_RUN
        elif self.result == "done":
            detail = fix = ""
        elif self.result == "half-done" and self.creation is Creation.UNTRIED:
            detail = "the old one is removed, and the new one is not made yet"
            fix = NEXT_RUN
        elif self.result == "half-done" and not detail:
            detail = "interrupted: the new one is made, the old one is still there"
            fix = NEXT_RUN
        return Outcome(
            self.step,
            self.result,
            detail,
            fix,
            self.new_id,
            self.is_confirmed,
            self.was_listed,
            is_removed=self.removal is Removal.GONE and not self.is_still_listed,
            may_be_made=self.is_open,
        )

    def _why_unsettled(self) -> str:
        if self.is_open:
            start = "the response has no new id, and " if self.is_confirmed else ""
            return f"{start}the list does not show what was made"
        if self.creation is Creation.MADE and not self.is_confirmed:
            return f"the list shows {self.new_id}, which no response confirmed"
        if self.is_unlisted:
            return UNLISTED
        if self.removal is Removal.UNCLEAR:
            return "it may be removed"
        return f"the service reported {self.live_id} as removed, and the list still shows it"

    def _explain(self, error: HooksyncError) -> None:
        self.detail = error.summary
        self.fix = "; ".join(problem.fix for problem in error.problems)
