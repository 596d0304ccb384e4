"""Adopt as a function: record declared secrets as those of live subscriptions.

It changes nothing in Preservica. A challenge proves what the receiver has, not what Preservica has.
"""

from __future__ import annotations

from collections.abc import Sequence

from hooksync.api.inputs import Declared
from hooksync.api.opening import OpenRun, open_run
from hooksync.config.declarations import refuse_unmatched
from hooksync.core.errors import ExitCode, Problem
from hooksync.core.record import Record
from hooksync.reconcile.adopt import NEVER_ADOPTED, candidates, reason_against
from hooksync.reconcile.plan import Step
from hooksync.reconcile.probing import challenge
from hooksync.reconcile.run import Run


class Adoption(Record, frozen=True):
    """Which live subscriptions were adopted."""

    adopted: tuple[str, ...]  # addresses
    problems: tuple[Problem, ...]  # why the others were not
    errors: tuple[Problem, ...]  # of tenancies that could not be read
    warnings: tuple[Problem, ...]
    state: str | None  # the place of the state

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of `adopt`: it differs if all, some or none were adopted."""
        if not (self.problems or self.errors):
            return ExitCode.DONE
        if self.adopted:
            return ExitCode.PARTLY_APPLIED
        return ExitCode.ERROR if self.errors else ExitCode.REFUSED


def adopt(
    declared: Declared, globs: Sequence[str] = (), *, open_run: OpenRun = open_run
) -> Adoption:
    """Challenge the receivers, and record the secrets that pass. Raises HooksyncError.

    `globs`: of addresses; (): all subscriptions whose secret is unknown. A subscription is never
    adopted if it was replaced outside this state, or if its receiver is not ready.
    """
    known = []
    for tenancy in declared.tenancies:
        known += [subscription.address for subscription in tenancy.subscriptions]
    refuse_unmatched("ADDRESS", globs, known, "address")
    with open_run(declared, is_apply=True) as run:
        plans = run.plan(has_policy=bool(declared.options.policy))
        chosen = [step for plan in plans for step in candidates(plan, globs)]
        adopted, problems = _judged(declared, run, chosen)
        if adopted:
            read = [plan for plan in plans if plan.live_count is not None]
            run.open_journal().adopt(read, adopted)
        return Adoption(
            tuple(adopted),
            tuple(problems),
            tuple(
                problem
                for plan in plans
                for problem in (*plan.errors, *plan.refusals)
                if plan.live_count is None
            ),
            declared.warnings,
            declared.state,
        )


def _judged(
    declared: Declared, run: Run, chosen: Sequence[Step]
) -> tuple[list[str], list[Problem]]:
    """Challenge receivers; return the addresses that may be adopted, and why the rest may not."""
    _, not_set = run.secrets.look_up(step.new.secret for step in chosen)
    answers = challenge([step.new for step in chosen], run)
    refused = []
    for step in chosen:
        if not set(NEVER_ADOPTED).isdisjoint(step.reasons):
            refused.append(step.new.address)
    replacing = declared.options.flags.replacing(refused)
    adopted = []
    problems = []
    for step in chosen:
        why = reason_against(step, answers.get(step.new.address), not_set, replacing)
        if why:
            problems.append(why)
        else:
            adopted.append(step.new.address)
    return adopted, problems
