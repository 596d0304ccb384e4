"""What can become of the two halves of a step: a table of events for each. Pure.

A step makes a subscription, removes one, or does both. What became of each half is its fate: one of a few states, and
a table of the events that lead from one to another. The result of the step follows from the two fates alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import TypeAlias

from hooksync.reconcile.plan import Resubscribe, Result, Subscribe, Unsubscribe

ActiveStep: TypeAlias = Subscribe | Resubscribe | Unsubscribe


class Creation(Enum):
    """What became of the new subscription."""

    UNTRIED = auto()
    LOST = auto()  # no answer, or none that makes sense: the list will tell
    ACCEPTED = auto()  # a success answer, but no id that can be believed
    MADE = auto()  # it exists, under an id that an answer or the list told
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
    DISPROVED = auto()  # that id was told for another one, too, or the list shows another one under it
    GIVEN_UP = auto()  # the list shows nothing new, more than one, or could not be read


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
    (Creation.MADE, CreationEvent.DISPROVED): Creation.ACCEPTED,
    (Creation.UNKNOWN, CreationEvent.FOUND): Creation.MADE,
}


class Removal(Enum):
    """What became of the live subscription that has to go."""

    UNTRIED = auto()
    UNKNOWN = auto()  # it may be gone: the list will tell
    REFUSED = auto()  # certainly not removed
    GONE = auto()
    STILL_LISTED = auto()  # the list shows it, although the DELETE may have been carried out

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
    (Removal.UNKNOWN, RemovalEvent.LISTED): Removal.STILL_LISTED,
    (Removal.UNKNOWN, RemovalEvent.UNLISTED): Removal.GONE,
    (Removal.REFUSED, RemovalEvent.LISTED): Removal.REFUSED,
    (Removal.REFUSED, RemovalEvent.UNLISTED): Removal.GONE,
    # the list may lag behind the answer, and what is still listed is removed a second time
    **{(Removal.GONE, event): Removal.GONE for event in RemovalEvent},
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
