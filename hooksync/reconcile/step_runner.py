"""One step on its way: the calls that it makes, and what became of them.

Touches only the service it is given.

A step makes a subscription, removes one, or does both. What became of each half is its fate, one of
a few; the result of the step follows from the two fates alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Protocol, TypeAlias

from hooksync.core.errors import AnswerLost, HooksyncError, Problem, Rejected
from hooksync.core.model import DeclaredSubscription, LiveSubscription, Secret
from hooksync.core.record import replace
from hooksync.core.urls import is_respelling
from hooksync.reconcile.plan import Outcome, Resubscribe, Result, Subscribe, Unsubscribe

CONFLICT = 409
BROKEN = 500  # from here on the service says that it failed, not that it did nothing
NEXT_RUN = "run apply again: it starts from what is live then"
UNCONFIRMED = "the old one stays until a list shows the new one"
CONFLICTS = Problem(
    "the service refuses a second one for this URL and trigger: the old one is removed first",
    "declare `replacement: remove-first` to plan it this way",
)
FOUND = Problem(
    "no answer told its id, only the list shows it: its secret is unknown",
    "`hooksync apply --adopt` asks the receiver and records it; `--replace ADDRESS` re-creates it",
)
UNLISTED = Problem(
    "the service accepted it, and it is not listed yet",
    "plan again in a while: hooksync counts it as live for 15 minutes, and makes it again if it is"
    " not listed then",
)
STILL_LISTED = Problem(
    "the service answered that it is removed, and it is still listed",
    "plan again in a while: hooksync counts it as gone for 15 minutes, and removes it again if it"
    " is listed then",
)


ActiveStep: TypeAlias = Subscribe | Resubscribe | Unsubscribe


class Creation(Enum):
    """What became of the new subscription."""

    UNTRIED = auto()
    LOST = auto()  # no answer, or none that makes sense: the list will tell
    ACCEPTED = auto()  # a success answer, but no id that can be believed
    MADE = auto()  # it exists, under an id that an answer or the list told
    REFUSED = auto()  # certainly not made
    # it may have been made: a server error was the answer, or the list did not tell
    UNKNOWN = auto()

    @property
    def is_open(self) -> bool:
        """Whether it may exist without this run knowing its id."""
        return self in (Creation.LOST, Creation.ACCEPTED, Creation.UNKNOWN)


class Removal(Enum):
    """What became of the live subscription that has to go."""

    UNTRIED = auto()
    UNKNOWN = auto()  # it may be gone, or may go yet: the list will tell
    REFUSED = auto()  # certainly not removed
    GONE = auto()  # by an answer or by the list; the list may lag behind the answer


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
        self.told_id: str | None = None  # by an answer, whether it can be believed or not
        self.is_found = False  # only the list told that id: it may be somebody else's
        self.is_listed = False  # the last list shows the new one
        self.was_listed = False  # some list has shown it
        self.is_still_listed = False  # the last list shows the old one, although it is gone
        # some list has shown the old one
        self.old_was_listed = not isinstance(step, Subscribe) and step.live.is_listed
        self.has_conflict = False  # the service answered, at last, that there is one already
        self.is_held = False  # its removal waits for what might replace it
        self.detail = ""  # why it is not done
        self.fix = ""
        self.warnings: tuple[Problem, ...] = ()  # what was done otherwise than planned

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
    def needs_list(self) -> bool:
        """Whether only the list can tell how to go on."""
        is_stuck = self.creation is Creation.UNTRIED and self.removal is Removal.UNKNOWN
        return is_stuck or self.creation in (Creation.LOST, Creation.ACCEPTED)

    @property
    def needs_another_try(self) -> bool:
        """Whether the new one is to be made now, again or because the old one is gone."""
        is_freed = self.creation is Creation.UNTRIED and self.removal is Removal.GONE
        return is_freed or (self.creation is Creation.LOST and not self.has_conflict)

    @property
    def needs_removal(self) -> bool:
        """Whether to remove the live one now: never before the new one is known to exist."""
        is_free = isinstance(self.step, Unsubscribe)
        is_replaced = isinstance(self.step, Resubscribe) and self.creation is Creation.MADE
        return (is_free or is_replaced) and not self.is_held and self.removal is Removal.UNTRIED

    @property
    def needs_confirmation(self) -> bool:
        """Whether an old one is to go of whose replacement no list has told."""
        return self.needs_removal and isinstance(self.step, Resubscribe) and not self.is_listed

    @property
    def leaves_the_old_one(self) -> bool:
        """Whether an old one is to be replaced and is not gone."""
        return isinstance(self.step, Resubscribe) and self.removal is not Removal.GONE

    @property
    def is_unlisted(self) -> bool:
        """Whether an answer told that the new one is made, and no list has shown it."""
        return self.creation is Creation.MADE and not self.was_listed

    @property
    def is_behind(self) -> bool:
        """Whether the list does not show what was answered, and may do so yet."""
        return not self.is_held and (
            self.is_unlisted or self.is_still_listed or self.removal is Removal.UNKNOWN
        )

    @property
    def result(self) -> Result:
        """The result so far: done if all calls succeeded, half-done if one of two did."""
        halves = []
        if not isinstance(self.step, Unsubscribe):
            halves.append(self.creation in (Creation.MADE, Creation.ACCEPTED))
        if not isinstance(self.step, Subscribe):
            halves.append(self.removal is Removal.GONE)
        if any(halves):
            return "done" if all(halves) else "half-done"
        is_tried = (self.creation, self.removal) != (Creation.UNTRIED, Removal.UNTRIED)
        return "failed" if is_tried else "not-attempted"

    def create(
        self, service: Service, secret: Secret, known: frozenset[str], *, removes_first: bool
    ) -> None:
        """Make the new subscription.

        `known`: ids that existed before, so that an old one is not taken for new.
        """
        is_replacement = isinstance(self.step, Resubscribe)
        if (
            is_replacement
            and removes_first
            and self.removal is not Removal.GONE
            and not self.remove(service)
        ):
            return
        self.has_conflict = False
        try:
            identifier = service.subscribe(self.declared, secret)
            if identifier and identifier not in known:
                self.told(identifier)
            else:
                self.creation = Creation.ACCEPTED
        except HooksyncError as error:
            self._explain(error)
            self.has_conflict = isinstance(error, Rejected) and error.status == CONFLICT
            if not self.has_conflict:
                self._not_created(error)

    def remove(self, service: Service) -> bool:
        """Remove the live subscription; True if the service answers that it is gone."""
        assert not isinstance(self.step, Subscribe)  # noqa: S101, it removes nothing
        try:
            service.unsubscribe(self.step.live.id)
        except HooksyncError as error:
            if self.removal is Removal.GONE:
                return True  # the first answer stands
            is_open = isinstance(error, AnswerLost) or _is_broken(error)
            self.removal = Removal.UNKNOWN if is_open else Removal.REFUSED
            self._explain(error)
            if self.creation is Creation.MADE:
                self.fix = (
                    f"run apply again: it removes the old one and keeps the new one ({self.fix})"
                )
            return False
        self.removal = Removal.GONE
        return True

    def hold(self, why: str, fix: str = NEXT_RUN) -> None:
        """Do not remove it in this run."""
        self.is_held = True
        self.detail, self.fix = why, fix

    def told(self, identifier: str) -> None:
        """Note that an answer told this id for the new subscription."""
        self.creation = Creation.MADE
        self.new_id = self.told_id = identifier
        self.detail = self.fix = ""

    def found(self, identifier: str) -> None:
        """Note that the list shows the new subscription under this id."""
        self.creation = Creation.MADE
        self.new_id = identifier
        self.is_listed = self.was_listed = True
        self.is_found = identifier != self.told_id
        self.detail = self.fix = ""
        if self.is_found:
            self.warnings += (FOUND,)

    def make_room(self) -> None:
        """Note that what has to go is removed first, because the service refuses a second one."""
        if self.leaves_the_old_one and CONFLICTS not in self.warnings:
            self.warnings += (CONFLICTS,)

    def disprove(self) -> None:
        """Note that the id which an answer told cannot be believed."""
        self.creation = Creation.ACCEPTED
        self.new_id = None

    def learn(self, live: Mapping[str, LiveSubscription]) -> None:
        """Learn from what the list shows, by id, what became of the calls."""
        if self.new_id:
            shown = live.get(self.new_id)
            self.is_listed = shown is not None
            self.was_listed |= self.is_listed
            if shown and not fills(shown, self.declared):
                self.disprove()
        if isinstance(self.step, Subscribe):
            return
        is_there = self.step.live.id in live
        self.old_was_listed |= is_there
        if self.removal is Removal.UNTRIED:
            return  # where it is not there, somebody else removed it
        if (
            self.old_was_listed and not is_there
        ):  # that a list lacks what no list has shown says nothing
            self.removal = Removal.GONE
        self.is_still_listed = is_there and self.removal is Removal.GONE
        if self.removal is Removal.GONE and self.result == "done":
            self.detail = self.fix = ""

    def cannot_list(self, error: HooksyncError) -> None:
        """Note that the list could not tell what became of the calls.

        What was accepted stays accepted.
        """
        why = f"the list could not be read to find out: {error.summary}"
        if self.creation is Creation.ACCEPTED:
            self.detail, self.fix = f"the service accepted it but told no id, and {why}", NEXT_RUN
        else:
            fate = (
                "it may have been made"
                if self.creation is Creation.LOST
                else "the old one may have been removed"
            )
            self.give_up(f"{fate}, and {why}")

    def give_up(self, why: str) -> None:
        """Note that this run will not find the new one, or find out about it."""
        if self.creation.is_open:
            self.creation = Creation.UNKNOWN
        self.detail = f"{self.detail}; {why}" if self.detail else why
        self.fix = NEXT_RUN

    def explain_half(self, why: str) -> None:
        """Say why the old one is still there, where nothing else has said it."""
        if self.creation is Creation.MADE and self.result == "half-done" and not self.detail:
            self.detail, self.fix = f"{why}, the old one is still there", NEXT_RUN

    def outcome(self) -> Outcome:
        """Return what became of the step."""
        behind = [UNLISTED] if self.is_unlisted or self.creation is Creation.ACCEPTED else []
        if self.is_still_listed:
            old = f"the old one, {self.live_id}: " if isinstance(self.step, Resubscribe) else ""
            behind.append(replace(STILL_LISTED, what=f"{old}{STILL_LISTED.what}"))
        return Outcome(
            step=self.step,
            result=self.result,
            detail=self.detail,
            fix=self.fix,
            warnings=(*self.warnings, *behind),
            new_id=self.new_id,
            is_found=self.is_found,
            is_unlisted=self.is_unlisted,
            is_removed=self.removal is Removal.GONE,
            may_be_made=self.creation.is_open,
            may_be_removed=self.removal is Removal.UNKNOWN,
        )

    def _not_created(self, error: HooksyncError) -> None:
        if isinstance(error, AnswerLost):
            self.creation = Creation.LOST
            return
        is_first = self.creation is Creation.UNTRIED  # else the first try may have got through
        self.creation = Creation.REFUSED if is_first and not _is_broken(error) else Creation.UNKNOWN
        if self.removal is Removal.GONE:
            self.detail = (
                f"the old one was removed, and the new one could not be made: {self.detail}"
            )
            self.fix = f"this subscription is missing now: {self.fix}, then run apply again"

    def _explain(self, error: HooksyncError) -> None:
        self.detail = error.summary
        self.fix = "; ".join(problem.fix for problem in error.problems)


def fills(live: LiveSubscription, declared: DeclaredSubscription) -> bool:
    """Whether a live one may be what is declared; the service may spell its URL in another way."""
    return live.trigger == declared.trigger and is_respelling(live.url.full, declared.url.full)


def _is_broken(error: HooksyncError) -> bool:
    """Whether a call was answered with an error that does not exclude that it was carried out."""
    return isinstance(error, Rejected) and error.status >= BROKEN
