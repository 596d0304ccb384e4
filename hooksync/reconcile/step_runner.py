"""One step on its way: the calls that it makes, and what became of them. Touches nothing but the service it is given.

A step makes a subscription, removes one, or does both. What became of each half is its fate: one of a few states, and
a table of the events that lead from one to another. The result of the step follows from the two fates alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Protocol, TypeAlias

from hooksync.core.errors import AnswerLost, HooksyncError, Rejected
from hooksync.core.model import DeclaredSubscription, LiveSubscription, Secret
from hooksync.reconcile.plan import Outcome, Resubscribe, Result, Subscribe, Unsubscribe

CONFLICT = 409
BROKEN = 500  # from here on the service says that it failed, not that it did nothing
NEXT_RUN = "run apply again: it starts from what is live then"
UNLISTED = "the service accepted it, but does not list it"
STILL_LISTED = "the service answered that it is removed, but still lists it"

ActiveStep: TypeAlias = Subscribe | Resubscribe | Unsubscribe


class Creation(Enum):
    """What became of the new subscription."""

    UNTRIED = auto()
    LOST = auto()  # no answer, or none that makes sense: the list will tell
    ACCEPTED = auto()  # a success answer, but no new id that the list shows
    MADE = auto()  # it exists, under an id that is known
    REFUSED = auto()  # certainly not made
    UNKNOWN = auto()  # given up: it may have been made

    @property
    def is_open(self) -> bool:
        """Whether it may exist without this run knowing its id."""
        return self in (Creation.LOST, Creation.ACCEPTED, Creation.UNKNOWN)

    def after(self, event: CreationEvent) -> Creation:
        """Return the next fate. Raises KeyError for an event that cannot happen here."""
        return CREATION[self, event]


class CreationEvent(Enum):
    """What can happen to a creation."""

    NO_ANSWER = auto()  # to the POST
    BROKE = auto()  # it was answered with a 500 or above
    REFUSED = auto()  # it was answered with a refusal, or never reached the service
    ACCEPTED = auto()  # it was answered with success, but with no new id
    FOUND = auto()  # an answer or the list told its id
    UNLISTED = auto()  # the list does not show that id
    GIVEN_UP = auto()  # the list shows nothing new, or could not be read


CREATION: Mapping[tuple[Creation, CreationEvent], Creation] = {
    (Creation.UNTRIED, CreationEvent.NO_ANSWER): Creation.LOST,
    (Creation.UNTRIED, CreationEvent.BROKE): Creation.UNKNOWN,
    (Creation.UNTRIED, CreationEvent.REFUSED): Creation.REFUSED,
    (Creation.UNTRIED, CreationEvent.ACCEPTED): Creation.ACCEPTED,
    (Creation.UNTRIED, CreationEvent.FOUND): Creation.MADE,
    # after the second try the first one may still be what got through
    (Creation.LOST, CreationEvent.NO_ANSWER): Creation.LOST,
    (Creation.LOST, CreationEvent.BROKE): Creation.UNKNOWN,
    (Creation.LOST, CreationEvent.REFUSED): Creation.UNKNOWN,
    (Creation.LOST, CreationEvent.ACCEPTED): Creation.ACCEPTED,
    (Creation.LOST, CreationEvent.FOUND): Creation.MADE,
    (Creation.LOST, CreationEvent.GIVEN_UP): Creation.UNKNOWN,
    (Creation.ACCEPTED, CreationEvent.FOUND): Creation.MADE,
    (Creation.ACCEPTED, CreationEvent.GIVEN_UP): Creation.UNKNOWN,
    (Creation.MADE, CreationEvent.UNLISTED): Creation.ACCEPTED,
    (Creation.UNKNOWN, CreationEvent.FOUND): Creation.MADE,
}


class Removal(Enum):
    """What became of the live subscription that has to go."""

    UNTRIED = auto()
    UNKNOWN = auto()  # it may be gone: the list will tell
    REFUSED = auto()  # certainly not removed
    GONE = auto()
    STILL_LISTED = auto()  # the list shows it, although the DELETE was or may have been carried out

    @property
    def is_open(self) -> bool:
        """Whether it may go, or have gone, without this run knowing."""
        return self in (Removal.UNKNOWN, Removal.STILL_LISTED)

    def after(self, event: RemovalEvent) -> Removal:
        """Return the next fate. Raises KeyError for an event that cannot happen here."""
        return REMOVAL[self, event]


class RemovalEvent(Enum):
    """What can happen to a removal."""

    NO_ANSWER = auto()  # to the DELETE, or a 500 or above
    REFUSED = auto()  # it was answered with a refusal, or never reached the service
    REMOVED = auto()  # it was answered with success
    LISTED = auto()  # the list shows what has to go
    UNLISTED = auto()  # the list does not show it


REMOVAL: Mapping[tuple[Removal, RemovalEvent], Removal] = {
    (Removal.UNTRIED, RemovalEvent.NO_ANSWER): Removal.UNKNOWN,
    (Removal.UNTRIED, RemovalEvent.REFUSED): Removal.REFUSED,
    (Removal.UNTRIED, RemovalEvent.REMOVED): Removal.GONE,
    (Removal.UNTRIED, RemovalEvent.LISTED): Removal.UNTRIED,
    (Removal.UNKNOWN, RemovalEvent.LISTED): Removal.STILL_LISTED,
    (Removal.UNKNOWN, RemovalEvent.UNLISTED): Removal.GONE,
    (Removal.REFUSED, RemovalEvent.LISTED): Removal.REFUSED,
    (Removal.REFUSED, RemovalEvent.UNLISTED): Removal.GONE,
    (Removal.GONE, RemovalEvent.LISTED): Removal.STILL_LISTED,
    (Removal.GONE, RemovalEvent.UNLISTED): Removal.GONE,
    (Removal.STILL_LISTED, RemovalEvent.NO_ANSWER): Removal.UNKNOWN,
    (Removal.STILL_LISTED, RemovalEvent.REFUSED): Removal.REFUSED,
    (Removal.STILL_LISTED, RemovalEvent.REMOVED): Removal.GONE,
    (Removal.STILL_LISTED, RemovalEvent.LISTED): Removal.STILL_LISTED,
    (Removal.STILL_LISTED, RemovalEvent.UNLISTED): Removal.GONE,
}


def result_of(step: ActiveStep, creation: Creation, removal: Removal) -> Result:
    """Return the result of a step: done if all that it needs is, half-done if one of two is."""
    is_made, is_gone = creation in (Creation.MADE, Creation.ACCEPTED), removal is Removal.GONE
    match step:
        case Subscribe():
            needed, is_tried = [is_made], creation is not Creation.UNTRIED
        case Unsubscribe():
            needed, is_tried = [is_gone], removal is not Removal.UNTRIED
        case Resubscribe():
            needed = [is_made, is_gone]
            is_tried = (creation, removal) != (Creation.UNTRIED, Removal.UNTRIED)
    if all(needed):
        return "done"
    if any(needed):
        return "half-done"
    return "failed" if is_tried else "not-attempted"


class Service(Protocol):
    """What apply needs of a tenancy's service; `client.Preservica` is one."""

    def list_subscriptions(self) -> tuple[LiveSubscription, ...]:
        """Fetch what is live."""

    def subscribe(self, declared: DeclaredSubscription, secret: Secret) -> str | None:
        """Make a subscription and return its id, or None where the service does not tell it."""

    def unsubscribe(self, identifier: str) -> None:
        """Remove a subscription."""


class StepRunner:
    """A step that has to be done, and how far it is."""

    def __init__(self, step: ActiveStep) -> None:
        self.step = step
        self.creation = Creation.UNTRIED
        self.removal = Removal.UNTRIED
        self.new_id: str | None = None  # set while the creation is MADE
        self.detail = ""  # why it is not done
        self.fix = ""
        self.warning = ""  # what was done otherwise than planned
        self.is_held = False  # its removal waits for what might replace it
        self.is_listed = False  # a list has shown the new one

    @property
    def declared(self) -> DeclaredSubscription:
        """What is to be made."""
        assert not isinstance(self.step, Unsubscribe)  # noqa: S101, it makes nothing
        return self.step.declared

    @property
    def needs_list(self) -> bool:
        """Whether only the list can tell how to go on."""
        is_stuck = self.creation is Creation.UNTRIED and self.removal is Removal.UNKNOWN
        return is_stuck or self.creation in (Creation.LOST, Creation.ACCEPTED)

    @property
    def needs_another_try(self) -> bool:
        """Whether the new one is to be made once more, or is yet to be made since the old one turned out to be gone."""
        is_freed = self.creation is Creation.UNTRIED and self.removal is Removal.GONE
        return is_freed or self.creation is Creation.LOST

    @property
    def needs_removal(self) -> bool:
        """Whether a live subscription is to go now: never the old one before the new one is known to exist."""
        is_free = isinstance(self.step, Unsubscribe)
        is_replaced = isinstance(self.step, Resubscribe) and self.creation is Creation.MADE
        return (is_free or is_replaced) and not self.is_held and self.removal in (Removal.UNTRIED, Removal.STILL_LISTED)

    @property
    def leaves_a_gap(self) -> bool:
        """Whether the declared one may be missing: neither the new one nor the old one is known to be there."""
        is_kept = isinstance(self.step, Resubscribe) and self.removal in (Removal.UNTRIED, Removal.REFUSED)
        return self.creation is not Creation.MADE and not is_kept

    @property
    def needs_confirmation(self) -> bool:
        """Whether an old one is to go of whose replacement only an answer has told."""
        return self.needs_removal and isinstance(self.step, Resubscribe) and not self.is_listed

    @property
    def result(self) -> Result:
        """What the step came to so far."""
        return result_of(self.step, self.creation, self.removal)

    def on_creation(self, event: CreationEvent) -> None:
        """Let the fate of the creation follow from an event."""
        self.creation = self.creation.after(event)

    def on_removal(self, event: RemovalEvent) -> None:
        """Let the fate of the removal follow from an event."""
        self.removal = self.removal.after(event)

    def create(self, service: Service, secret: Secret, known: frozenset[str], *, removes_first: bool) -> None:
        """Make the new subscription. `known`: ids that existed before, so that an old one is not taken for new."""
        is_replacement = isinstance(self.step, Resubscribe)
        if is_replacement and removes_first and self.removal is not Removal.GONE and not self.remove(service):
            return
        try:
            identifier = service.subscribe(self.declared, secret)
        except HooksyncError as error:
            is_conflict = isinstance(error, Rejected) and error.status == CONFLICT
            if is_conflict and is_replacement and self.removal is not Removal.GONE:
                self.warning = "the service refuses a second one for this URL and trigger: the old one is removed first"
                self.create(service, secret, known, removes_first=True)
            elif is_conflict and self.creation is Creation.LOST:
                self.detail = error.summary  # the first try may have got through: the list will tell
            else:
                self._not_created(error)
        else:
            if identifier and identifier not in known:
                self.found(identifier)
            else:
                self.on_creation(CreationEvent.ACCEPTED)

    def remove(self, service: Service) -> bool:
        """Remove the live subscription that has to go; True when the service answers that it is gone."""
        assert not isinstance(self.step, Subscribe)  # noqa: S101, it removes nothing
        try:
            service.unsubscribe(self.step.live.id)
        except HooksyncError as error:
            is_open = isinstance(error, AnswerLost) or _is_broken(error)
            self.on_removal(RemovalEvent.NO_ANSWER if is_open else RemovalEvent.REFUSED)
            self._explain(error)
            if self.creation is Creation.MADE:
                self.fix = f"run apply again: it removes the old one and keeps the new one ({self.fix})"
            return False
        self.on_removal(RemovalEvent.REMOVED)
        return True

    def hold_back(self, awaited: Sequence[str]) -> None:
        """Do not remove it in this run. `awaited`: addresses of what might replace it and is not known to be made."""
        self.is_held = True
        more = f" (and {len(awaited) - 1} more)" if len(awaited) > 1 else ""
        self.detail = f"held back: {awaited[0]}{more} is not known to be made, and may be what replaces this one"
        self.fix = "fix that, then run apply again"

    def found(self, identifier: str) -> None:
        """Note that the new subscription exists under this id."""
        self.on_creation(CreationEvent.FOUND)
        self.new_id = identifier
        self.detail = self.fix = ""

    def learn(self, ids: frozenset[str]) -> None:
        """Learn from the ids that are live what became of the calls: the live list overrides answers."""
        if self.new_id and self.new_id not in ids:
            self.on_creation(CreationEvent.UNLISTED)
            self.new_id = None
        self.is_listed = self.new_id is not None
        if isinstance(self.step, Subscribe):
            return
        if self.step.live.id in ids:
            if self.removal is Removal.GONE:
                self.detail, self.fix = STILL_LISTED, NEXT_RUN
            self.on_removal(RemovalEvent.LISTED)
        elif self.removal is not Removal.UNTRIED:  # else somebody else removed it
            self.on_removal(RemovalEvent.UNLISTED)
            if self.result == "done":
                self.detail = self.fix = ""

    def cannot_list(self, error: HooksyncError) -> None:
        """Note that the list could not tell what became of the calls. What was accepted stays accepted."""
        why = f"the list could not be read to find out: {error.summary}"
        match self.creation:
            case Creation.ACCEPTED:
                self.detail, self.fix = f"the service accepted it but told no id, and {why}", NEXT_RUN
            case Creation.LOST:
                self.give_up(f"it may have been made, and {why}")
            case _:
                self.give_up(f"the old one may have been removed, and {why}")

    def not_confirmed(self, error: HooksyncError) -> None:
        """Leave the old one alone, since no list could be read that shows the new one."""
        self.is_held = True
        self.detail = f"the old one stays: the list could not be read to see the new one: {error.summary}"
        self.fix = NEXT_RUN

    def give_up(self, why: str) -> None:
        """Note that this run will not find the new one, or find out about it."""
        if self.creation.is_open:
            self.on_creation(CreationEvent.GIVEN_UP)
        self.detail = f"{self.detail}; {why}" if self.detail else why
        self.fix = NEXT_RUN

    def explain_half(self, why: str) -> None:
        """Say why the old one is still there, where nothing else has said it."""
        if self.creation is Creation.MADE and self.result == "half-done" and not self.detail:
            self.detail, self.fix = f"{why}, the old one is still there", NEXT_RUN

    def outcome(self) -> Outcome:
        """Return what became of the step."""
        return Outcome(
            step=self.step,
            result=self.result,
            detail=self.detail,
            fix=self.fix,
            warning=self.warning,
            new_id=self.new_id,
            may_be_made=self.creation.is_open,
            may_be_removed=self.removal.is_open,
        )

    def _not_created(self, error: HooksyncError) -> None:
        self._explain(error)
        if isinstance(error, AnswerLost):
            self.on_creation(CreationEvent.NO_ANSWER)
            return
        self.on_creation(CreationEvent.BROKE if _is_broken(error) else CreationEvent.REFUSED)
        if self.removal is Removal.GONE:
            self.detail = f"the old one was removed, and the new one could not be made: {self.detail}"
            self.fix = f"this subscription is missing now: {self.fix}, then run apply again"

    def _explain(self, error: HooksyncError) -> None:
        self.detail = error.summary
        self.fix = "; ".join(problem.fix for problem in error.problems)


def _is_broken(error: HooksyncError) -> bool:
    """Whether a call was answered with an error that does not exclude that it was carried out."""
    return isinstance(error, Rejected) and error.status >= BROKEN
