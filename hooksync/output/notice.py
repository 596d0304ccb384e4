"""How a run ended, for those who watch it: `hooksync.notice/1`, for a webhook or a chat. Pure.

Every text of a notice is one printable line of bounded length, which makes no mention and no
markup.
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
}
_CARD = "application/vnd.microsoft.card.adaptive"

_OUTCOMES: tuple[Summary, ...] = get_args(Summary)  # the most urgent last


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
        """What a notice reports; None: nothing."""
        if self.code not in SUCCESSES:
            return _EVENTS.get(self.code, "failed")
        if self.view is None:
            return None
        if self.command == "apply":
            return "applied" if self.view.has_changes else None
        return "drift" if self.view.has_drift else None

    def notice(self) -> dict[str, Any]:
        """Write it as `hooksync.notice/1`."""
        told = self._outcome()
        when = rfc3339(self.ended)
        run = asdict(self.origin)
        return {**told, "fingerprint": digest(told), "created_at": when, "run": run}

    def _outcome(self) -> dict[str, Any]:
        """Write what the fingerprint covers: the same outcome has the same."""
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
        """Write it as its receiver takes it."""
        told = self.notice()
        url = self.origin.url
        if form == "json":
            return told
        lines = [*_lines(told)]
        if form == "slack":
            if url:
                lines.append(url)
            text = "\n".join(lines)
            # these three are all that has a meaning there if `mrkdwn` is off
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


def _listed(tenancies: Sequence[TenancyView]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Write those that failed first, and count the rest by their outcome."""
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


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    code = f" (exit code {told['exit_code']})" if told["exit_code"] else ""
    yield f"hooksync {told['command']}: {told['event']}{code}"
    yield from filter(None, [told["summary"]])
    for one in told["tenancies"]:
        yield f"{one['name']} ({one['where']}): {_counted({one['outcome']: '', **one['counts']})}"
    if told["other_tenancies"]:
        yield f"other tenancies: {_counted(told['other_tenancies'])}"
    yield from told["problems"]
    if told["problems_left_out"]:
        yield f"{told['problems_left_out']} more problems"


def _counted(counts: Mapping[str, object]) -> str:
    return ", ".join(f"{number} {name}".strip() for name, number in counts.items())


def _line(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
