"""One step under way: the calls it makes and what came of them. Touches nothing but the service it is given."""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

from hooksync.core.errors import AnswerLost, HooksyncError, Rejected
from hooksync.core.model import DeclaredSubscription, LiveSubscription, Secret
from hooksync.reconcile.plan import Outcome, Resubscribe, Result, Step, Subscribe, Unsubscribe

CONFLICT = 409
NEXT_RUN = "run apply again: it looks afresh at what is there"
BROKEN = 500  # from here on the service says that it failed, not that it did nothing

# waiting: not begun.  stuck: the old one has to go first, and it is not known whether it went.
# lost: no answer, or none that makes sense.  accepted: a yes without a new id.
# made: the new subscription is known to exist.  failed: it will not be made.  removed: an unsubscribe is through.
State = Literal["waiting", "stuck", "lost", "accepted", "made", "failed", "removed"]


class Service(Protocol):
    """What apply needs of a tenancy's service; `preservica.Preservica` is one."""

    def list_subscriptions(self) -> tuple[LiveSubscription, ...]:
        """Fetch what is live."""

    def subscribe(self, declared: DeclaredSubscription, secret: Secret) -> str | None:
        """Make a subscription; give its id where the service tells it."""

    def unsubscribe(self, identifier: str) -> None:
        """Remove a subscription."""


class Attempt(Struct):
    """A step that has to be done, and how far it is."""

    step: Step
    state: State = "waiting"
    is_old_gone: bool = False  # resubscribe: the old one was removed
    new_id: str | None = None
    detail: str = ""
    fix: str = ""
    warning: str = ""  # what was done otherwise than planned
    may_be_made: bool = False  # although no answer said so
    may_be_removed: bool = False  # likewise

    @property
    def needs_removal(self) -> bool:
        """Whether a live subscription is to go now: never the old half before the new one is known to exist."""
        match self.step:
            case Unsubscribe():
                return self.state == "waiting"
            case Resubscribe():
                return self.state == "made" and not self.is_old_gone
            case _:
                return False

    def make(self, service: Service, secret: Secret, known: frozenset[str], *, removes_first: bool) -> None:
        """Make the new subscription. `known`: ids that existed before, so that an old one is not taken for new."""
        step = self.step
        assert isinstance(step, Subscribe | Resubscribe)  # noqa: S101, the others make nothing
        if (
            removes_first
            and isinstance(step, Resubscribe)
            and not self.is_old_gone
            and not self._remove_old(service, step)
        ):
            return
        try:
            identifier = service.subscribe(step.declared, secret)
        except AnswerLost as error:
            self._not_made("lost", error)
        except Rejected as error:
            self._rejected(error, service, secret, known)
        except HooksyncError as error:
            self._not_made("failed", error)
        else:
            self.state = "accepted"
            if identifier and identifier not in known:
                self.found(identifier)

    def _rejected(self, error: Rejected, service: Service, secret: Secret, known: frozenset[str]) -> None:
        """Judge a refusal: a conflict may mean that the old one must go first, or that an earlier try got through."""
        if error.status == CONFLICT and isinstance(self.step, Resubscribe) and not self.is_old_gone:
            self.warning = "the service refuses a second one for this URL and trigger: the old one is removed first"
            self.make(service, secret, known, removes_first=True)
        elif error.status == CONFLICT and self.state == "lost":
            self.detail = error.summary  # the first try may have come through: the list will tell
        else:
            self._not_made("failed", error)

    def remove(self, service: Service) -> None:
        """Remove what the step says must go."""
        match self.step:
            case Unsubscribe(live):
                try:
                    service.unsubscribe(live.id)
                except HooksyncError as error:
                    self.state, self.may_be_removed = "failed", _is_open(error)
                    self._explain(error)
                else:
                    self.state = "removed"
            case Resubscribe() as step:
                self._remove_old(service, step)

    def found(self, identifier: str) -> None:
        """Note that the new subscription exists under this id."""
        self.state, self.new_id, self.may_be_made = "made", identifier, False
        self.detail = self.fix = ""

    def learn(self, ids: frozenset[str]) -> None:
        """Learn from what is live what came of calls, whatever was answered: gone is gone, and a yes may not be so."""
        if self.new_id and self.new_id not in ids:
            self.state, self.new_id = "accepted", None
        match self.step:
            case Unsubscribe(live):
                self._learn_of_removal(is_gone=live.id not in ids)
            case Resubscribe() as step:
                self._learn_of_old(is_gone=step.live.id not in ids)

    def _learn_of_removal(self, *, is_gone: bool) -> None:
        if is_gone and self.state == "failed":
            self.state, self.may_be_removed = "removed", False
            self.detail = self.fix = ""
        elif not is_gone and self.state == "removed":
            self.state = "failed"
            self._still_listed()

    def _learn_of_old(self, *, is_gone: bool) -> None:
        if is_gone and (self.may_be_removed or self.state == "made"):
            self.is_old_gone, self.may_be_removed = True, False
            if self.state == "stuck":
                self.state = "waiting"
            elif self.state == "made":
                self.detail = self.fix = ""
        elif self.state == "stuck":
            self.state = "failed"
        elif not is_gone and self.is_old_gone:
            self.is_old_gone = False
            self._still_listed()

    def _still_listed(self) -> None:
        self.may_be_removed = True
        self.detail, self.fix = "the service said that it is gone, and still lists it", NEXT_RUN

    def give_up(self, why: str, fix: str) -> None:
        """Note that this run will not find it, or find out about it."""
        self.may_be_made |= self.state == "accepted"
        self.state = "failed"
        self.detail = f"{self.detail}; {why}" if self.detail else why
        self.fix = fix

    def outcome(self) -> Outcome:
        """Say what became of it."""
        return Outcome(
            step=self.step,
            result=self._result(),
            detail=self.detail,
            fix=self.fix,
            warning=self.warning,
            new_id=self.new_id,
            may_be_made=self.may_be_made,
            may_be_removed=self.may_be_removed,
        )

    def _result(self) -> Result:
        is_resubscribe = isinstance(self.step, Resubscribe)
        match self.state:
            case "waiting":
                return "half-done" if self.is_old_gone else "not-attempted"
            case "removed":
                return "done"
            case "made" | "accepted":
                return "half-done" if is_resubscribe and not self.is_old_gone else "done"
            case _:
                return "half-done" if self.is_old_gone else "failed"

    def _remove_old(self, service: Service, step: Resubscribe) -> bool:
        try:
            service.unsubscribe(step.live.id)
        except HooksyncError as error:
            self.may_be_removed = _is_open(error)
            self._explain(error)
            if self.state == "made":
                self.fix = f"run apply again: it removes the old one and keeps the new one ({self.fix})"
            else:
                self.state = "stuck" if self.may_be_removed else "failed"
            return False
        self.is_old_gone, self.may_be_removed = True, False
        return True

    def _not_made(self, state: State, error: HooksyncError) -> None:
        self.state, self.may_be_made = state, self.may_be_made or _is_open(error)  # an earlier try, too
        self._explain(error)
        if self.is_old_gone and state == "failed":
            self.detail = f"the old one was removed, and the new one could not be made: {self.detail}"
            self.fix = f"this subscription is missing now: {self.fix}, then run apply again"

    def _explain(self, error: HooksyncError) -> None:
        self.detail = error.summary
        self.fix = "; ".join(problem.fix for problem in error.problems)


def _is_open(error: HooksyncError) -> bool:
    """Say whether the call may have been carried out all the same."""
    return isinstance(error, AnswerLost) or (isinstance(error, Rejected) and error.status >= BROKEN)
