"""A notice tells a webhook or a chat how a run ended: `hooksync.notice/1`. Pure.

Every text of a notice is one printable line of limited length. In a chat, no text makes a mention
or markup.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

from hooksync.core.clock import rfc3339
from hooksync.core.errors import ExitCode, Problem
from hooksync.core.record import Record, asdict
from hooksync.core.redaction import printable
from hooksync.output.json_text import digest
from hooksync.output.text import failures, summary
from hooksync.output.view import RunView, Summary, TenancyView
from hooksync.reconcile.context import Origin

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

_OUTCOMES: tuple[Summary, ...] = get_args(Summary)  # the most urgent last


class Ending(Record, frozen=True):
    """How a command ended."""

    command: str
    code: ExitCode
    view: RunView | None  # None: the command failed before it had a view
    problems: tuple[Problem, ...]  # that are not in the view
    begun: float  # seconds since 1970
    ended: float  # seconds since 1970
    origin: Origin

    @property
    def event(self) -> str | None:
        """The event that a notice reports; None: there is nothing to report."""
        if self.code not in SUCCESSES:
            return _EVENTS.get(self.code, "failed")
        if self.view is None:
            return None
        if self.command == "apply":
            return "applied" if self.view.has_changes else None
        return "drift" if self.view.has_drift else None

    def notice(self) -> dict[str, Any]:
        """Return the notice in the format `hooksync.notice/1`."""
        outcome = self._outcome()
        when = rfc3339(self.ended)
        run = asdict(self.origin)
        return {**outcome, "fingerprint": digest(outcome), "created_at": when, "run": run}

    def _outcome(self) -> dict[str, Any]:
        """Return the fields that the fingerprint covers. Equal outcomes have equal fingerprints."""
        view = self.view
        problems = list(self.problems)
        tenancies: Sequence[TenancyView] = ()
        counts: Mapping[str, int] = {}
        in_words = ""
        if view:
            problems += (*view.error_problems, *view.refusals, *failures(view))
            tenancies = view.tenancies
            counts = view.results() or view.counts()
            in_words = _line(summary(view))
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
            "problems": [_line(each.line) for each in problems[:_MOST]],
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


def _listed(tenancies: Sequence[TenancyView]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return the most urgent tenancies that are not as declared, and count the rest by outcome."""
    ordered = sorted(tenancies, key=lambda each: -_OUTCOMES.index(each.summary))
    listed = [each for each in ordered if each.summary != "as declared"][:_MOST]
    others = Counter(each.summary for each in ordered)
    others.subtract(each.summary for each in listed)
    counts = {outcome.replace(" ", "-"): number for outcome, number in (+others).items()}
    return [_tenancy(each) for each in listed], counts


def _tenancy(one: TenancyView) -> dict[str, Any]:
    counts = one.results() or one.counts()
    return {
        "name": _line(one.name),
        "where": _line(one.tenancy.where),
        "outcome": one.summary.replace(" ", "-"),
        "counts": {name: counts[name] for name in counts if name not in ("keep", "unchanged")},
        "reasons": dict(one.reasons()),
    }


def _lines(notice: Mapping[str, Any]) -> Iterator[str]:
    code = f" (exit code {notice['exit_code']})" if notice["exit_code"] else ""
    yield f"hooksync {notice['command']}: {notice['event']}{code}"
    yield from filter(None, [notice["summary"]])
    for one in notice["tenancies"]:
        yield f"{one['name']} ({one['where']}): {_counted({one['outcome']: '', **one['counts']})}"
    if notice["other_tenancies"]:
        yield f"other tenancies: {_counted(notice['other_tenancies'])}"
    yield from notice["problems"]
    if notice["problems_left_out"]:
        yield f"{notice['problems_left_out']} more problems"


def _counted(counts: Mapping[str, object]) -> str:
    return ", ".join(f"{number} {name}".strip() for name, number in counts.items())


def _line(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
