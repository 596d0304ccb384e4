"""A notice tells a webhook or a chat how a run ended: `hooksync.notice/1`. Pure.

Every text of a notice is one printable line of limited length. In a chat, no text makes a mention
or markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any, Literal

from hooksync.core.clock import rfc3339
from hooksync.core.errors import ExitCode, Problem
from hooksync.core.origin import RunOrigin
from hooksync.core.record import Record, replace, to_builtins
from hooksync.core.redaction import cut, printable
from hooksync.reconcile.plan import TENANCY_RESULTS, Plan, TenancyPlan
from hooksync.render.json_text import digest
from hooksync.render.text import CHANGES, RESULTS, counted, failures, new_words, summary

NoticeForm = Literal["json", "slack", "teams"]
NOTICE_FORMAT = "hooksync.notice/1"

_LONGEST = 300  # characters of a line
_LONGEST_NEW = 150  # characters about new subscriptions; a notice to Teams has at most 28 kB
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
    ended: float  # seconds since 1970
    origin: RunOrigin

    @property
    def event(self) -> str | None:
        """The event that a notice reports; None: there is nothing to report."""
        plan = self.plan
        if self.code not in (ExitCode.DONE, ExitCode.CHANGES_PENDING) or plan is None:
            return _EVENTS.get(self.code, "failed")
        if plan.is_report and plan.has_changes:
            return "applied"
        if plan.has_drift and not plan.is_report:
            return "drift"
        return "new-foreign" if new_words(plan.steps) else None

    def notice(self) -> dict[str, Any]:
        """Return the notice in the format `hooksync.notice/1`.

        The fingerprint does not cover the time and the run: equal outcomes have equal fingerprints.
        """
        plan = self.plan
        problems = [*self.problems]
        tenancies: list[TenancyPlan] = []
        planned: dict[str, Any] = {"summary": "", "counts": {}}
        if plan:
            problems += (*plan.all_errors, *plan.all_refusals, *failures(plan))
            tenancies = _urgent(plan.tenancies)
            planned = {"summary": _line(summary(plan)), "counts": plan.summary}
        outcome = {
            "format": NOTICE_FORMAT,
            "event": self.event,
            "command": self.command,
            "exit_code": int(self.code),
            **planned,
            "tenancies": [*map(_tenancy, tenancies[:_MOST])],
            "tenancies_left_out": len(tenancies[_MOST:]),
            "problems": [*map(_shortened, problems[:_MOST])],
            "problems_left_out": len(problems[_MOST:]),
        }
        end = {"created_at": rfc3339(self.ended), "run": self.origin}
        return {**outcome, "fingerprint": digest(outcome), **end}

    def payload(self, form: NoticeForm) -> object:
        """Return the notice in the form that the webhook or chat accepts."""
        notice = self.notice()
        url = self.origin.url
        if form == "json":
            return to_builtins(notice)
        lines = list(_lines(notice))
        if form == "slack":
            # without `mrkdwn`, only these three characters have a meaning in Slack: & < >
            text = escape("\n".join([*lines, url or ""]).rstrip(), quote=False)
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


def _urgent(tenancies: Iterable[TenancyPlan]) -> list[TenancyPlan]:
    """Choose the tenancies that need attention, the most urgent first."""
    chosen = []
    for tenancy in tenancies:
        if tenancy.outcome != "as-declared" or new_words(tenancy.steps):
            chosen.append(tenancy)
    return sorted(chosen, key=lambda item: -TENANCY_RESULTS.index(item.outcome or "error"))


def _tenancy(tenancy: TenancyPlan) -> dict[str, Any]:
    """Write the outcome of a tenancy."""
    return {
        "name": _line(tenancy.name),
        "where": _line(tenancy.where),
        "outcome": tenancy.outcome,
        "counts": tenancy.summary,
        "reasons": dict(tenancy.reasons()),
        "new_foreign": cut(_line(new_words(tenancy.steps)), _LONGEST_NEW),
    }


def _shortened(problem: Problem) -> Problem:
    """Make the texts of a problem fit for a notice."""
    return replace(problem, what=_line(problem.what), fix=_line(problem.fix))


def _lines(notice: Mapping[str, Any]) -> Iterator[str]:
    """Write a notice for people."""
    code = f" (exit code {notice['exit_code']})" if notice["exit_code"] else ""
    yield f"hooksync {notice['command']}: {notice['event']}{code}"
    if notice["summary"]:
        yield notice["summary"]
    for tenancy in notice["tenancies"]:
        counts = counted(tenancy["counts"], {**CHANGES, **RESULTS})
        words = ", ".join(filter(None, [tenancy["outcome"], counts]))
        yield f"{tenancy['name']} ({tenancy['where']}): {words}"
        if tenancy["new_foreign"]:
            yield f"{tenancy['name']}: not in the state, {tenancy['new_foreign']}"
    if notice["tenancies_left_out"]:
        yield f"{notice['tenancies_left_out']} more tenancies"
    for problem in notice["problems"]:
        yield _line(f"{problem.headline} (fix: {problem.fix})")
    if notice["problems_left_out"]:
        yield f"{notice['problems_left_out']} more problems"


def _line(text: str) -> str:
    """Make a text one printable line of limited length."""
    return cut(printable(text), _LONGEST)
