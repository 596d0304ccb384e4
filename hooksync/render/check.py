"""The findings of `hooksync check`, as text and as JSON. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from hooksync.core.errors import ExitCode, Problem, pluralised
from hooksync.core.model import DeclaredSubscription, ProbeResult
from hooksync.core.record import Record
from hooksync.core.redaction import printable
from hooksync.receivers.challenges import SLOW, TOO_SLOW
from hooksync.render.json_text import result_json
from hooksync.render.text import Line, Style

FORMAT = "hooksync.check/1"

FindingState = Literal["ok", "warning", "failed", "skipped"]
_STYLES: dict[FindingState, Style] = {
    "ok": "green",
    "warning": "yellow",
    "failed": "red",
    "skipped": "dim",
}
_SLOW_FIX = "let the receiver answer first and work afterwards; keep an instance of it warm"
_NARROWEST_SUBJECT = 20  # columns


class Finding(Record, frozen=True, rename={"mark": "state"}):
    """The result of one check. In JSON, it has the same fields, but `mark` is named `state`."""

    tenancy: str  # its name; "" for the receiver that the command line names
    subject: str  # "log-in", "list", or the name of a subscription
    mark: FindingState
    detail: str  # one line, safe to show
    fix: str | None = None
    seconds: float | None = None  # that the receiver took to answer a challenge


def found_problem(declared: DeclaredSubscription, mark: FindingState, problem: Problem) -> Finding:
    """Make the finding of a problem with a secret."""
    return Finding(declared.tenancy, declared.name, mark, problem.what, problem.fix)


def receiver_finding(
    declared: DeclaredSubscription, answer: ProbeResult | None, *, is_asked: bool
) -> Finding:
    """Judge a receiver's answer to a challenge, and its time. `answer`: None: not challenged."""
    if answer is None:
        why = "interrupted" if is_asked else "receiver not challenged: probe: never"
        return Finding(declared.tenancy, declared.name, "skipped", why)
    mark: FindingState = "ok"
    seconds = round(answer.seconds, 3)
    detail = f"receiver ready in {seconds:.3f} s"
    fix = None
    if answer.state != "ready":
        mark = "failed"
        detail = f"receiver {declared.url.shown}: {answer.detail}"
        fix = answer.fix
        if answer.state == "unreachable" and declared.tenancy:
            fix += "; if only Preservica can reach it, declare `probe: never`"
    elif seconds > SLOW:
        mark = "failed" if seconds > TOO_SLOW else "warning"
        detail = (
            f"the receiver's answer is right, but took {seconds:.3f} s;"
            " Preservica's limit is not known"
        )
        fix = _SLOW_FIX
    return Finding(declared.tenancy, declared.name, mark, detail, fix, seconds)


def check_lines(findings: Sequence[Finding], places: Mapping[str, str]) -> Iterator[Line]:
    """Write a check for people. `places`: server and tenant, by the names of the tenancies."""
    width = max((_NARROWEST_SUBJECT, *(len(finding.subject) + 2 for finding in findings)))
    for name in dict.fromkeys(finding.tenancy for finding in findings):
        if name:
            yield "", printable(f"{name}   {places[name]}")
            yield "", ""
        for finding in findings:
            if finding.tenancy == name:
                yield from _finding_lines(finding, width)
        yield "", ""
    counts = _counts(findings)
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    warnings = pluralised(counts["warning"], "warning")
    yield "", f"Check: {counts['ok']} ok, {warnings}, {counts['failed']} failed{skipped}."


def _finding_lines(finding: Finding, width: int) -> Iterator[Line]:
    text = f"{finding.mark:<10}{finding.subject:<{width}}{finding.detail}"
    yield _STYLES[finding.mark], printable(text)
    if finding.fix:
        yield "", printable(f"{'':<10}  fix: {finding.fix}")


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
        summary=_counts(findings),
        warnings=warnings,
    )


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    counts = Counter(finding.mark for finding in findings)
    return {mark: counts[mark] for mark in _STYLES}
