"""What became of a plan: one outcome for each step. Pure nouns, made by `apply`, read by `report`."""

from __future__ import annotations

from typing import Literal

from hooksync.core.model import LiveSubscription
from hooksync.core.record import Record
from hooksync.reconcile.plan import Step, TenancyPlan, is_idle

Result = Literal["done", "failed", "half-done", "not-attempted", "unchanged"]
RESULTS: tuple[Result, ...] = ("done", "failed", "half-done", "not-attempted", "unchanged")


class Outcome(Record, frozen=True):
    """What became of one step."""

    step: Step
    result: Result
    detail: str = ""  # why it is not done
    fix: str = ""
    warning: str = ""  # what was done otherwise than planned
    new_id: str | None = None
    may_be_made: bool = False  # a subscription without an answer that says so, whatever the result is
    may_be_removed: bool = False  # likewise

    @property
    def is_open(self) -> bool:
        """Whether more of it may have been carried out than the result says."""
        return self.may_be_made or self.may_be_removed


class TenancyOutcome(Record, frozen=True):
    """What became of a tenancy's plan."""

    plan: TenancyPlan
    outcomes: tuple[Outcome, ...]  # in the order of the plan's steps
    differences: tuple[Step, ...] = ()  # the steps that the last look would still ask for
    not_verified: str = ""  # why there was no last look; empty where there was one, or no need of one
    last_live: tuple[LiveSubscription, ...] | None = None  # what the last look saw; None: there was none

    @property
    def has_changed(self) -> bool:
        """Whether anything in the tenancy is not as it was, or may not be: what is open, the last look tells."""
        if any(outcome.result in ("done", "half-done") for outcome in self.outcomes):
            return True
        if self.last_live is None:
            return any(outcome.is_open for outcome in self.outcomes)
        return {live.id for live in self.last_live} != {live.id for live in self.plan.live} and any(
            outcome.is_open for outcome in self.outcomes
        )

    @property
    def is_as_declared(self) -> bool:
        """Whether every step was done and the last look found nothing amiss."""
        return (
            all(outcome.result in ("done", "unchanged") for outcome in self.outcomes)
            and not self.differences
            and not self.not_verified
        )


def not_attempted(plan: TenancyPlan) -> TenancyOutcome:
    """Make the outcome of a plan that was not begun: nothing was touched."""
    outcomes = tuple(Outcome(step, "unchanged" if is_idle(step) else "not-attempted") for step in plan.steps)
    return TenancyOutcome(plan, outcomes)
