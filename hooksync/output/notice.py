"""How a run ended, for those who watch it: `hooksync.notice/1`, for a webhook or a chat. Pure.

Every text of a notice is one printable line of bounded length, which makes no mention and no
markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from hooksync.core.clock import rfc3339
from hooksync.core.errors import ExitCode, Problem
from hooksync.core.record import Record, asdict
from hooksync.core.redaction import printable
from hooksync.output.text import applied_summary, failures, plan_summary
from hooksync.output.view import RunView, TenancyView
from hooksync.reconcile.context import Origin

NoticeForm = Literal["json", "slack", "teams"]
NOTICE_FORMAT = "hooksync.notice/1"

_LONGEST = 300  # characters of a line
_MOST = 10  # tenancies, and problems
SUCCESSES = (ExitCode.DONE, ExitCode.CHANGES_PENDING)
_EVENTS = {
    ExitCode.REFUSED: "refused",
    ExitCode.PARTLY_APPLIED: "partly-applied",
    ExitCode.INTERRUPTED: "interrupted",
}
_CARD = "application/vnd.microsoft.card.adaptive"


class Ending(Record, frozen=True):
    """How a command ended."""

    command: str
    code: ExitCode
    view: RunView | None  # None: it failed before there was one
    problems: tuple[Problem, ...]  # that are not in the view
    begun: float  # as the next, in seconds since 1970
    ended: float
    origin: Origin

    @property
    def event(self) -> str | None:
        """What there is to tell; None: nothing."""
        if self.code not in SUCCESSES:
            return _EVENTS.get(self.code, "failed")
        if self.view is None:
            return None
        if self.command == "plan":
            return "drift" if self.view.has_drift else None
        return "applied" if self.view.has_changes else None

    def notice(self) -> dict[str, Any]:
        """Write it as `hooksync.notice/1`."""
        view = self.view
        problems = [
            *self.problems,
            *((*view.error_problems, *view.refusals, *failures(view)) if view else ()),
        ]
        concerned = (
            [one for one in view.tenancies if one.has_drift or one.error or one.refusals]
            if view
            else []
        )
        summary = (
            applied_summary
            if self.command == "apply" and view and view.has_changes
            else plan_summary
        )
        return {
            "format": NOTICE_FORMAT,
            "event": self.event,
            "command": self.command,
            "exit_code": int(self.code),
            "created_at": rfc3339(self.ended),
            "summary": _line(summary(view)) if view else "",
            "counts": dict(view.results() or view.counts()) if view else {},
            "tenancies": [_tenancy(one) for one in concerned[:_MOST]],
            "tenancies_left_out": len(concerned[_MOST:]),
            "problems": [_line(each.line) for each in problems[:_MOST]],
            "problems_left_out": len(problems[_MOST:]),
            "run": asdict(self.origin),
        }

    def payload(self, form: NoticeForm) -> object:
        """Write it as its receiver takes it."""
        told, url = self.notice(), self.origin.url
        if form == "json":
            return told
        lines = [*_lines(told)]
        if form == "slack":  # these three are all that has a meaning there where `mrkdwn` is off
            text = "\n".join([*lines, *([url] if url else [])])
            text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            return {"text": text, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
        # what a workflow of Teams takes; a TextBlock would be read as Markdown
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


def _tenancy(one: TenancyView) -> dict[str, object]:
    counts = {
        name: number
        for name, number in (one.results() or one.counts()).items()
        if name != "unchanged"
    }
    state = (
        "unreadable" if one.live is None else "refused" if one.refusals or one.error else "planned"
    )
    return {
        "name": _line(one.tenancy.name),
        "where": _line(one.tenancy.where),
        "state": state,
        "counts": counts,
    }


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    """Write a notice in words."""
    yield f"hooksync {told['command']}: {told['event']} (exit code {told['exit_code']})"
    yield from filter(None, [told["summary"]])
    for one in told["tenancies"]:
        counts = [f"{number} {name}" for name, number in one["counts"].items()] or [one["state"]]
        yield f"{one['name']} ({one['where']}): {', '.join(counts)}"
    yield from told["problems"]
    for what in ("tenancies", "problems"):
        if left := told[f"{what}_left_out"]:
            yield f"{left} more {what}"


def _line(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
