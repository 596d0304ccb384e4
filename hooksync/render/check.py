"""The findings of `hooksync check`, as text and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Literal

from hooksync.core.errors import ExitCode, Problem
from hooksync.core.model import DeclaredSubscription, ProbeResult
from hooksync.core.record import Record
from hooksync.receivers.challenges import doubt
from hooksync.render.json_text import result_json
from hooksync.render.text import Line, counted, name_width, state_counts, unstyled

FORMAT = "hooksync.check/1"

FindingState = Literal["ok", "failed", "warning", "skipped"]
_WORDS = {"ok": "ok", "failed": "failed", "warning": "with a warning", "skipped": "skipped"}


class Finding(Record, frozen=True):
    """The result of one check."""

    tenancy: str  # its name; "" for the receiver that the command line names
    subject: str  # "log-in", "list", or the name of a subscription
    state: FindingState
    detail: str  # one line, safe to show
    fix: str | None = None
    seconds: float | None = None  # that the receiver took to answer a challenge


def secret_finding(
    declared: DeclaredSubscription, state: FindingState, problem: Problem
) -> Finding:
    """Make the finding of a problem with a secret."""
    return Finding(declared.tenancy, declared.name, state, problem.what, problem.fix)


def receiver_finding(
    declared: DeclaredSubscription, answer: ProbeResult | None, *, is_asked: bool
) -> Finding:
    """Judge a receiver's answer to a challenge, and its time. `answer`: None: not challenged."""
    subject = (declared.tenancy, declared.name)
    if answer is None:
        why = "interrupted" if is_asked else "receiver not challenged: probe: never"
        return Finding(*subject, "skipped", why)
    seconds = round(answer.seconds, 3)
    if answer.state != "ready":
        fix = answer.fix
        if answer.state == "unreachable" and declared.tenancy:
            fix += "; if only Preservica can reach it, declare `probe: never`"
        what = f"receiver {declared.url.shown}: {answer.detail}"
        return Finding(*subject, "failed", what, fix, seconds)
    detail, fix = doubt(answer.seconds, answer.content_type)
    if detail:
        what = f"receiver ready in {seconds:.3f} s, but {detail}"
        return Finding(*subject, "warning", what, fix, seconds)
    return Finding(*subject, "ok", f"receiver ready in {seconds:.3f} s", None, seconds)


def check_lines(findings: Sequence[Finding], places: Mapping[str, str]) -> Iterator[Line]:
    """Write a check for people. `places`: server and tenant, by the names of the tenancies."""
    width = name_width(finding.subject for finding in findings)
    tenancy_of = attrgetter("tenancy")
    for name, group in groupby(sorted(findings, key=tenancy_of), tenancy_of):
        if name:
            yield from unstyled([f"{name}   {places[name]}", ""])
        for finding in group:
            yield finding.state, f"{finding.state:<10}{finding.subject:<{width}}{finding.detail}"
            if finding.fix:
                yield "", f"{'':<10}  fix: {finding.fix}"
        yield "", ""
    yield "", f"Check: {counted(state_counts(findings, _WORDS), _WORDS, ('ok', 'failed'))}."


def check_json(
    findings: Sequence[Finding],
    places: Mapping[str, str],
    warnings: Sequence[Problem],
    created_at: str,
    exit_code: ExitCode,
) -> str:
    """Write a check as JSON. `warnings`: of the hooks files; `created_at`: RFC 3339."""
    tenancies = [{"name": name, "where": where} for name, where in places.items()]
    return result_json(
        FORMAT,
        exit_code,
        created_at=created_at,
        tenancies=tenancies,
        findings=findings,
        summary=state_counts(findings, _WORDS),
        warnings=warnings,
    )
