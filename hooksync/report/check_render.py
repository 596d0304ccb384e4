"""A check as text, as JSON (`hooksync.check/1`) and as Markdown. Pure: it makes strings and prints nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

from hooksync import __version__
from hooksync.core.errors import Problem
from hooksync.core.redaction import printable
from hooksync.report.check import MARKS, CheckView, Finding, HookCheck, TenancyCheck
from hooksync.report.markup import ROOM, escaped, fitting, marker, size

FORMAT = "hooksync.check/1"

_MARK = 10  # columns that a mark takes
_NAME = 20  # columns that a name takes, at least
_WORD_ROOM = 100  # bytes of the words that tell what is left out
_INDENT = " " * _MARK
_HEAD = ("tenancy", "subscription", "looked at", "state", "found", "fix")


def check_text(view: CheckView) -> str:
    """Write a check for people: every stage of a tenancy, a line for each receiver, more where it is not fine."""
    blocks = ["\n".join(_tenancy_lines(tenancy)) + "\n" for tenancy in view.tenancies]
    return "\n".join([*blocks, f"{_summary(view)}\n"])


def check_json(view: CheckView) -> str:
    """Write a check for machines."""
    document = {
        "format": FORMAT,
        "created_at": view.created_at,
        "hooksync_version": __version__,
        "is_fine": view.is_fine,
        "tenancies": [_tenancy_json(tenancy) for tenancy in view.tenancies],
        "summary": {mark: view.counts()[mark] for mark in MARKS},
        "warnings": [_line(problem) for problem in view.warnings],
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def check_markdown(view: CheckView) -> str:
    """Write a check as one table; where it would grow too large, what is not fine comes first."""
    findings = list(_findings(view))
    head = [marker("check"), "### hooksync check", "", _row(*_HEAD), _row(*("---" for _ in _HEAD))]
    room = ROOM - size(head) - size([_summary(view)]) - _WORD_ROOM
    if size(row for _, row in findings) > room:
        findings.sort(key=lambda pair: pair[0].mark == "ok")
    number = fitting(([row] for _, row in findings), room)
    left = len(findings) - number
    more = [f"{left} more left out here.", ""] if left else []
    return "\n".join([*head, *(row for _, row in findings[:number]), "", *more, _summary(view)]) + "\n"


def _findings(view: CheckView) -> Iterator[tuple[Finding, str]]:
    """Give every finding with its row."""
    for tenancy in view.tenancies:
        name = tenancy.tenancy.name
        yield from ((finding, _finding_row(name, "", finding)) for finding in tenancy.findings)
        for hook in tenancy.hooks:
            subject = f"{_title(hook)} {hook.subscription.url.shown}"
            yield from ((finding, _finding_row(name, subject, finding)) for finding in hook.findings)


def _tenancy_lines(check: TenancyCheck) -> Iterator[str]:
    tenancy = check.tenancy
    where = tenancy.server.shown + (f" / {tenancy.tenant_shown}" if tenancy.tenant_shown else "")
    yield printable(f"{tenancy.name}   {where}")
    yield ""
    for finding in check.findings:
        yield f"{finding.mark:<{_MARK}}{finding.subject:<{_NAME}}{printable(finding.detail)}".rstrip()
        if finding.fix:
            yield f"{_INDENT}  fix: {printable(finding.fix)}"
    if check.hooks:
        yield ""
    width = max((_NAME, *(len(hook.subscription.name) + 2 for hook in check.hooks)))
    for hook in check.hooks:
        yield from _hook_lines(hook, width)


def _hook_lines(check: HookCheck, width: int) -> Iterator[str]:
    name, _, triggers = _title(check).partition(" ")
    is_fine = check.mark == "ok"
    remark = "receiver ready" if is_fine else check.subscription.url.shown
    yield printable(f"{check.mark:<{_MARK}}{name:<{width}}{triggers}   {remark}")
    for finding in check.findings if not is_fine else ():
        if finding.mark != "ok":
            subject = "" if finding.subject == "secret" else f"{finding.subject}: "  # its detail begins with the word
            yield printable(f"{_INDENT}  {subject}{finding.detail}")
        if finding.fix:
            yield printable(f"{_INDENT}    fix: {finding.fix}")


def _title(check: HookCheck) -> str:
    return f"{check.subscription.name} {', '.join(each.trigger.short for each in check.evidence.subscriptions)}"


def _summary(view: CheckView) -> str:
    counts = view.counts()
    plural = "" if counts["warning"] == 1 else "s"
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    return f"Check: {counts['ok']} ok, {counts['warning']} warning{plural}, {counts['failed']} failed{skipped}."


def _tenancy_json(check: TenancyCheck) -> dict[str, object]:
    tenancy = check.tenancy
    return {
        "name": tenancy.name,
        "server": tenancy.server.shown,
        "tenant": tenancy.tenant_shown,
        "findings": [_finding_json(finding) for finding in check.findings],
        "subscriptions": [_hook_json(hook) for hook in check.hooks],
    }


def _hook_json(check: HookCheck) -> dict[str, object]:
    subscription, reading = check.subscription, check.evidence.reading
    return {
        "name": subscription.name,
        "addresses": [each.address for each in check.evidence.subscriptions],
        "url": subscription.url.shown,
        "secret": {subscription.secret.kind: subscription.secret.name},
        "receiver": {
            "state": reading.state if reading else "not-checked",
            "kind": reading.kind if reading else None,
            "detail": (reading.detail or None) if reading else None,
        },
        "signs_events_in_disguise": check.evidence.signs_in_disguise,
        "findings": [_finding_json(finding) for finding in check.findings],
    }


def _finding_json(finding: Finding) -> dict[str, object]:
    return {
        "subject": finding.subject,
        "state": finding.mark,
        "detail": finding.detail or None,
        "fix": finding.fix or None,
    }


def _line(problem: Problem) -> str:
    place = f"{problem.where}: " if problem.where else ""
    return f"{place}{problem.what} (fix: {problem.fix})"


def _finding_row(tenancy: str, subscription: str, finding: Finding) -> str:
    texts = (tenancy, subscription, finding.subject, finding.mark, finding.detail, finding.fix)
    return _row(*map(escaped, texts))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
