"""A check as text: a plan whose receivers were challenged, with its log-ins and lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hooksync.core.model import NO_VALUE
from hooksync.reconcile.plan import Plan, Step, TenancyPlan
from hooksync.render.sentences import adopted, counted
from hooksync.render.text import column_width, secret_state
from hooksync.service.challenges import doubt

_WORDS = {"ok": "ok", "failed": "failed", "warning": "with a warning", "skipped": "skipped"}

Finding = tuple[str, str, str]  # one of these words, what was checked, and what was found


def _findings_of(tenancy: TenancyPlan) -> Iterator[Finding]:
    """Judge a tenancy, and each name in it once: all its triggers have the same receiver."""
    for problem in tenancy.errors:
        yield "failed", "log-in, list", problem.what
    if tenancy.live_count is not None:
        yield "ok", "log-in, list", f"{tenancy.live_count} live"
    yield from dict.fromkeys(
        _finding(step) for step in tenancy.steps if step.secret or step.receiver
    )


def _finding(step: Step) -> Finding:
    """Judge a receiver by its answer to a challenge, and report what is known of its secret."""
    declared = step.declared_side
    answer = step.receiver
    if step.secret in NO_VALUE:
        return "failed", declared.name, f"secret {declared.secret} {secret_state(step)}"
    if answer is None:
        return "skipped", declared.name, "receiver not challenged: `probe: never`"
    if answer.state != "ready":
        return "failed", declared.name, f"receiver {declared.url.shown}: {answer.detail}"
    what = f"receiver ready in {answer.seconds:.3f} s"
    if step.live:
        what += f", secret {secret_state(step)}"
    concern, _ = doubt(answer.seconds)
    if concern:
        return "warning", declared.name, f"{what}, but {concern}"
    return "ok", declared.name, what


def has_failed(plan: Plan) -> bool:
    """Whether anything failed; a warning is no failure."""
    found = [state for tenancy in plan.tenancies for state, _, _ in _findings_of(tenancy)]
    return "failed" in found


def check_lines(plan: Plan) -> Iterator[str]:
    """Write a check for people."""
    counts = Counter[str]()
    for tenancy in plan.tenancies:
        found = [*_findings_of(tenancy)]
        if tenancy.name:
            yield from (f"{tenancy.name}   {tenancy.where}", "")
        names = column_width(subject for _, subject, _ in found)
        for state, subject, detail in found:
            counts[state] += 1
            yield f"{state:<10}{subject:<{names}}{detail}"
        yield ""
    yield f"Check: {counted(counts, _WORDS, ('ok', 'failed'))}."
    yield from adopted(plan)
