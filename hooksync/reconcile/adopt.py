"""Decide which live subscriptions with an unknown secret may be adopted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hooksync.core.errors import Problem
from hooksync.core.model import ProbeResult, SecretRef, matches_any
from hooksync.reconcile.plan import REPLACED_OUTSIDE, UNCONFIRMED, Step, TenancyPlan

NEVER_ADOPTED = (UNCONFIRMED, REPLACED_OUTSIDE)  # their secrets are certainly not known


def candidates(plan: TenancyPlan, globs: Sequence[str]) -> list[Step]:
    """List the steps whose live subscription has no confirmed entry in the state.

    `globs`: globs of the addresses to consider; (): all.
    """
    found = []
    for step in plan.steps:
        is_paired = step.action in ("keep", "resubscribe")
        if not is_paired or step.origin in ("made", "adopted"):
            continue
        if not globs or matches_any(step.new.address, globs):
            found.append(step)
    return found


def reason_against(
    step: Step,
    answer: ProbeResult | None,
    not_set: Mapping[SecretRef, Problem],
    replacing: str,
) -> Problem | None:
    """Return why a subscription may not be adopted; None if it may be.

    `answer`: the receiver's; None: the run was interrupted before the challenge; `not_set`:
    secrets that cannot be used; `replacing`: the command that replaces what is never adopted.
    """
    declared = step.new
    address = declared.address
    if declared.secret in not_set:
        return Problem(f"{address}: {not_set[declared.secret].what}", "set it and adopt again")
    for reason in step.reasons:
        if reason in NEVER_ADOPTED:
            fix = f"`{replacing}` replaces it, with the declared secret"
            return Problem(f"{address}: {reason.text}", fix, declared.location)
    if answer is None:
        return Problem(f"{address}: interrupted before the challenge", "adopt again")
    if answer.state == "wrong-secret":
        return Problem(f"{address}: {answer.detail}", answer.fix, declared.location)
    if answer.state != "ready":
        what = f"{address}: the receiver at {declared.url.shown} is not ready: {answer.detail}"
        return Problem(what, answer.fix, declared.location)
    return None
