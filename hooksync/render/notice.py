"""A notice tells a webhook or a chat how a run ended: `hooksync.notice/1`. Pure.

Every text of a notice is one printable line of limited length. In a chat, no text makes a mention
or markup.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from hooksync.core.clock import rfc3339
from hooksync.core.errors import ExitCode, Problem
from hooksync.core.origin import RunOrigin
from hooksync.core.record import Record, asdict
from hooksync.core.redaction import printable
from hooksync.reconcile.plan import TENANCY_RESULTS, Plan, TenancyPlan
from hooksync.render.json_text import digest
from hooksync.render.text import failures, summary

NoticeForm = Literal["json", "slack", "teams"]
NOTICE_FORMAT = "hooksync.notice/1"

SUCCESSES = (ExitCode.DONE, ExitCode.CHANGES_PENDING)
_LONGEST = 300  # characters of a line
_MOST = 10  # tenancies, and problems
_EVENTS = {
    ExitCode.REFUSED: "refused",
    ExitCode.PARTLY_APPLIED: "partly-applied",
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.TERMINATED: "interrupted",
}
_CARD = "application/vnd.microsoft.card.adaptive"


class RunSummary(Record, frozen=True):
    """How a command ended."""

    command: str
    code: ExitCode
    plan: Plan | None  # None: the command failed before it had a plan
    problems: tuple[Problem, ...]  # that are not in the plan
    begun: float  # seconds since 1970
    ended: float  # seconds since 1970
    origin: RunOrigin

    @property
    def event(self) -> str | None:
        """The event that a notice reports; None: there is nothing to report."""
        if self.code not in SUCCESSES:
            return _EVENTS.get(self.code, "failed")
        if self.plan is None:
            return None
        if self.command == "apply":
            return "applied" if self.plan.has_changes else None
        return "drift" if self.plan.has_drift else None

    def notice(self) -> dict[str, Any]:
        """Return the notice in the format `hooksync.notice/1`."""
        outcome = self._outcome()
        when = rfc3339(self.ended)
        run = asdict(self.origin)
        return {**outcome, "fingerprint": digest(outcome), "created_at": when, "run": run}

    def _outcome(self) -> dict[str, Any]:
        """Return the fields that the fingerprint covers. Equal outcomes have equal fingerprints."""
        plan = self.plan
        problems = list(self.problems)
        tenancies: Sequence[TenancyPlan] = ()
        counts: Mapping[str, int] = {}
        in_words = ""
        if plan:
            problems += (*plan.all_errors, *plan.all_refusals, *failures(plan))
            tenancies = plan.tenancies
            counts = plan.results() or plan.counts()
            in_words = _line(summary(plan))
        listed, others = _listed(tenancies)
        return {
            "format": NOTICE_FORMAT,
            "event": self.event,
            "command": self.command,
            "exit_code": int(self.code),
            "summary": in_words,
            "counts": dict(counts),
            "tenancies": listed,
            "other_tenancies": others,
            "problems": [_problem(problem) for problem in problems[:_MOST]],
            "problems_left_out": len(problems[_MOST:]),
        }

    def payload(self, form: NoticeForm) -> object:
        """Return the notice in the form that the webhook or chat accepts."""
        notice = self.notice()
        url = self.origin.url
        if form == "json":
            return notice
        lines = list(_lines(notice))
        if form == "slack":
            if url:
                lines.append(url)
            text = "\n".join(lines)
            # without `mrkdwn`, only these three characters have a meaning in Slack
            text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            return {"text": text, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
        # a workflow of Teams accepts this; it would read a TextBlock as Markdown
        body = [
            {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": line}]}
            for line in lines
        ]
        actions = [{"type": "Action.OpenUrl", "title": "Open the run", "url": url}] if url else []
        card = {"type": "AdaptiveCard", "version": "1.4", "body": body, "actions": actions}
        return {
            "type": "message",
            "attachments": [{"contentType": _CARD, "contentUrl": None, "content": card}],
        }


def _problem(problem: Problem) -> dict[str, Any]:
    return {"what": _line(problem.headline), "fix": _line(problem.fix)}


def _listed(tenancies: Sequence[TenancyPlan]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return the most urgent tenancies that are not as declared, and count the rest by outcome."""
    ordered = sorted(tenancies, key=_urgency)
    listed = [tenancy for tenancy in ordered if tenancy.outcome != "as-declared"][:_MOST]
    others: Counter[str] = Counter(tenancy.outcome or "" for tenancy in ordered)
    others.subtract(tenancy.outcome or "" for tenancy in listed)
    counts = {outcome: number for outcome, number in others.items() if number}
    return [_tenancy(tenancy) for tenancy in listed], counts


def _urgency(tenancy: TenancyPlan) -> int:
    """Return a sort key: the most urgent tenancies come first."""
    return -TENANCY_RESULTS.index(tenancy.outcome or "as-declared")


def _tenancy(tenancy: TenancyPlan) -> dict[str, Any]:
    counts = tenancy.results() or tenancy.counts()
    return {
        "name": _line(tenancy.name),
        "where": _line(tenancy.where),
        "outcome": tenancy.outcome,
        "counts": {name: counts[name] for name in counts if name not in ("keep", "unchanged")},
        "reasons": dict(tenancy.reasons()),
    }


def _lines(notice: Mapping[str, Any]) -> Iterator[str]:
    code = f" (exit code {notice['exit_code']})" if notice["exit_code"] else ""
    yield f"hooksync {notice['command']}: {notice['event']}{code}"
    yield from filter(None, [notice["summary"]])
    for tenancy in notice["tenancies"]:
        counts = _counted({tenancy["outcome"]: "", **tenancy["counts"]})
        yield f"{tenancy['name']} ({tenancy['where']}): {counts}"
    if notice["other_tenancies"]:
        yield f"other tenancies: {_counted(notice['other_tenancies'])}"
    for problem in notice["problems"]:
        yield _line(f"{problem['what']} (fix: {problem['fix']})")
    if notice["problems_left_out"]:
        yield f"{notice['problems_left_out']} more problems"


def _counted(counts: Mapping[str, object]) -> str:
    return ", ".join(f"{number} {name}".strip() for name, number in counts.items())


def _line(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
