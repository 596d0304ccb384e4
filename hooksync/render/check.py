"""A check as text: a plan whose receivers were challenged, with its log-ins and lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from hooksync.core.errors import pluralised
from hooksync.core.model import NO_VALUE
from hooksync.core.record import Record
from hooksync.reconcile.plan import Plan, Step, TenancyPlan
from hooksync.render.sentences import counted
from hooksync.render.text import Line, name_width, secret_state, unstyled
from hooksync.service.challenges import doubt

_WORDS = {"ok": "ok", "failed": "failed", "warning": "with a warning", "skipped": "skipped"}


class Finding(Record):
    """The result of one check."""

    state: Literal["ok", "failed", "warning", "skipped"]
    subject: str  # what was checked: the log-in and the list, or a subscription
    detail: str
    fix: str = ""


def findings_of(tenancy: TenancyPlan) -> Iterator[Finding]:
    """Judge a tenancy, and each name in it once: all its triggers have the same receiver."""
    for problem in tenancy.errors:
        yield Finding("failed", "log-in, list", problem.what, problem.fix)
    if tenancy.live_count is not None:
        yield Finding("ok", "log-in, list", f"{tenancy.live_count} live")
    yield from dict.fromkeys(
        _finding(step) for step in tenancy.steps if step.secret or step.receiver
    )


def _finding(step: Step) -> Finding:
    """Judge a receiver by its answer to a challenge, and report what is known of its secret."""
    declared = step.declared_side
    answer = step.receiver
    if step.secret in NO_VALUE:
        return Finding("failed", declared.name, f"secret {declared.secret} {secret_state(step)}")
    if answer is None:
        return Finding("skipped", declared.name, "receiver not challenged: `probe: never`")
    if answer.state != "ready":
        fix = f"{answer.fix}; if only Preservica can reach it, declare `probe: never`"
        what = f"receiver {declared.url.shown}: {answer.detail}"
        return Finding("failed", declared.name, what, fix)
    what = f"receiver ready in {answer.seconds:.3f} s"
    if step.live:
        what += f", secret {secret_state(step)}"
    detail, fix = doubt(answer.seconds, answer.content_type)
    if detail:
        return Finding("warning", declared.name, f"{what}, but {detail}", fix)
    return Finding("ok", declared.name, what)


def has_failed(plan: Plan) -> bool:
    """Whether anything failed; a warning is no failure."""
    found = [finding for tenancy in plan.tenancies for finding in findings_of(tenancy)]
    return any(finding.state == "failed" for finding in found)


def check_lines(plan: Plan) -> Iterator[Line]:
    """Write a check for people."""
    counts = Counter[str]()
    for tenancy in plan.tenancies:
        found = [*findings_of(tenancy)]
        counts.update(finding.state for finding in found)
        if tenancy.name:
            yield from unstyled([f"{tenancy.name}   {tenancy.where}", ""])
        width = name_width(finding.subject for finding in found)
        for finding in found:
            yield finding.state, f"{finding.state:<10}{finding.subject:<{width}}{finding.detail}"
            if finding.fix:
                yield "", f"{'':<10}  fix: {finding.fix}"
        yield "", ""
    yield "", f"Check: {counted(counts, _WORDS, ('ok', 'failed'))}."
    adopted = sum(step.evidence == "adopted" for step in plan.steps)
    if adopted:
        yield "", f"{pluralised(adopted, 'secret')} as adopted: only an event proves it."
