"""One step under way: the calls it makes and what came of them. Touches nothing but the service it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from hooksync.errors import AnswerLost, HooksyncError, Rejected
from hooksync.model import DeclaredSubscription, LiveSubscription, Secret
from hooksync.outcomes import Outcome, Result
from hooksync.plan import Resubscribe, Step, Subscribe, Unsubscribe

CONFLICT = 409
BROKEN = 500  # from here on the service says that it failed, not that it did nothing

# waiting: not begun.  lost: no answer, or none that makes sense.  accepted: a yes without a new id.
# made: the new subscription is known to exist.  failed: it will not be made.  removed: an unsubscribe is through.
State = Literal["waiting", "lost", "accepted", "made", "failed", "removed"]


class Service(Protocol):
    """What apply needs of a tenancy's service; `preservica.Preservica` is one."""

    def list_subscriptions(self) -> tuple[LiveSubscription, ...]:
        """Fetch what is live."""

    def subscribe(self, declared: DeclaredSubscription, secret: Secret) -> str | None:
        """Make a subscription; give its id where the service tells it."""

    def unsubscribe(self, identifier: str) -> None:
        """Remove a subscription."""


@dataclass(slots=True)
class Attempt:
    """A step that has to be done, and how far it is."""

    step: Step
    state: State = "waiting"
    is_old_gone: bool = False  # resubscribe: the old one was removed
    new_id: str | None = None
    detail: str = ""
    fix: str = ""
    warning: str = ""  # what was done otherwise than planned
    is_open: bool = False  # the call may have been carried out all the same

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
            self._note("lost", error)
        except Rejected as error:
            self._rejected(error, service, secret, known)
        except HooksyncError as error:
            self._note("failed", error)
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
            self._note("failed", error)

    def remove(self, service: Service) -> None:
        """Remove what the step says must go."""
        match self.step:
            case Unsubscribe(live):
                try:
                    service.unsubscribe(live.id)
                except HooksyncError as error:
                    self._note("failed", error)
                else:
                    self.state = "removed"
            case Resubscribe() as step:
                self._remove_old(service, step)

    def found(self, identifier: str) -> None:
        """Note that the new subscription exists under this id."""
        self.state, self.new_id, self.is_open = "made", identifier, False
        self.detail = self.fix = ""

    def give_up(self, why: str, fix: str) -> None:
        """Note that this run will not find it, or find out about it."""
        self.state = "failed"
        self.is_open = True
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
            is_open=self.is_open,
        )

    def _result(self) -> Result:
        is_resubscribe = isinstance(self.step, Resubscribe)
        match self.state:
            case "waiting":
                return "half-done" if self.is_old_gone else "not-attempted"
            case "removed":
                return "done"
            case "made":
                return "half-done" if is_resubscribe and not self.is_old_gone else "done"
            case "failed" | "lost":
                return "half-done" if self.is_old_gone else "failed"
            case "accepted":
                return "half-done" if is_resubscribe and not self.is_old_gone else "done"

    def _remove_old(self, service: Service, step: Resubscribe) -> bool:
        try:
            service.unsubscribe(step.live.id)
        except HooksyncError as error:
            self._note("made" if self.state == "made" else "failed", error)
            return False
        self.is_old_gone = True
        return True

    def _note(self, state: State, error: HooksyncError) -> None:
        self.state = state
        self.is_open = isinstance(error, AnswerLost) or (isinstance(error, Rejected) and error.status >= BROKEN)
        self.detail = error.summary
        self.fix = "; ".join(problem.fix for problem in error.problems)
        if state == "made":
            self.fix = f"run apply again: it removes the old one and keeps the new one ({self.fix})"
        elif self.is_old_gone and state == "failed":
            self.detail = f"the old one was removed, and the new one could not be made: {self.detail}"
            self.fix = f"this subscription is missing now: {self.fix}, then run apply again"
