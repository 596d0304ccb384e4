"""How a run ended: a notice to a webhook or a chat, and metrics for Prometheus. Pure.

Every text of a notice is one printable line of limited length. In a chat, no text makes a mention
or markup.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, Literal

from hooksync.core.clock import rfc3339
from hooksync.core.errors import ExitCode, Problem, Problems, limited
from hooksync.core.record import Record, replace, to_builtins
from hooksync.core.redaction import cut, printable
from hooksync.core.starter import Starter
from hooksync.reconcile.plan import CONCLUSIONS, Plan, TenancyPlan, conclusion_of
from hooksync.render.json_text import canonical
from hooksync.render.sentences import (
    CHANGES,
    RESULT_WORDS,
    counted,
    new_words,
    problems_of,
    summaries,
)

NoticeForm = Literal["json", "slack", "teams"]
JsonObject = dict[str, Any]  # of a notice or a part of it, by name
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


def event_of(plan: Plan | None, code: int) -> str | None:
    """Name what a run has to report; None: nothing. `code`: its exit code."""
    if plan is None or code not in (ExitCode.DONE, ExitCode.CHANGES_PENDING):
        return _EVENTS.get(ExitCode(code), "failed")
    if plan.is_result:
        return "applied"
    if plan.differs and not plan.is_report:
        conclusions = set(map(conclusion_of, plan.tenancies))
        is_begun = not plan.undeclared and conclusions <= {"in-progress", "as-declared"}
        return "in-progress" if is_begun else "drift"
    return "new-foreign" if new_words(plan.steps) else None


class RunSummary(Record):
    """How a command ended."""

    command: str
    code: ExitCode
    plan: Plan | None  # None: the command failed before it had a plan
    problems: Problems  # if there is no plan
    ended: float  # seconds since 1970
    started_by: Starter

    def notice(self) -> JsonObject:
        """Return the notice in the format `hooksync.notice/1`.

        The fingerprint does not cover the time and `started_by`: equal results have equal ones.
        """
        plan = self.plan
        problems: Sequence[Problem] = self.problems
        tenancies: list[TenancyPlan] = []
        planned: JsonObject = {"summary": "", "counts": {}}
        if plan:
            problems = [problem for _, problem in problems_of(plan)]
            tenancies = _urgent(plan)
            planned = {"summary": _line(summaries(plan)[0]), "counts": plan.summarised()}
        told = {
            "format": NOTICE_FORMAT,
            "event": event_of(plan, self.code),
            "command": self.command,
            "exit_code": int(self.code),
            **planned,
            "tenancies": [*map(_tenancy, tenancies[:_MOST])],
            "tenancies_left_out": len(tenancies[_MOST:]),
            "problems": [
                replace(problem, what=_line(problem.what), fix=_line(problem.fix))
                for problem in limited(problems, _MOST)
            ],
        }
        fingerprint = hashlib.sha256(canonical(told)).hexdigest()
        end = {"created_at": rfc3339(self.ended), "started_by": self.started_by}
        return {**told, "fingerprint": f"sha256:{fingerprint}", **end}

    def payload(self, form: NoticeForm) -> object:
        """Return the notice in the form that the webhook or chat accepts."""
        notice = self.notice()
        url = self.started_by.url
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


def _urgent(plan: Plan) -> list[TenancyPlan]:
    """Choose the tenancies that need attention, the most urgent first."""
    chosen = [
        tenancy
        for tenancy in plan.tenancies
        if conclusion_of(tenancy) != "as-declared" or new_words(tenancy.steps)
    ]
    return sorted(chosen, key=lambda item: -CONCLUSIONS.index(conclusion_of(item)))


def _tenancy(tenancy: TenancyPlan) -> JsonObject:
    """Write how a tenancy ended."""
    return {
        "name": _line(tenancy.name),
        "where": _line(tenancy.where),
        "conclusion": conclusion_of(tenancy),
        "counts": tenancy.summarised(),
        "reasons": dict(tenancy.reasons()),
        "new_foreign": cut(_line(new_words(tenancy.steps)), _LONGEST_NEW),
    }


def _lines(notice: JsonObject) -> Iterator[str]:
    """Write a notice for people."""
    code = f" (exit code {notice['exit_code']})" if notice["exit_code"] else ""
    yield f"hooksync {notice['command']}: {notice['event']}{code}"
    if notice["summary"]:
        yield notice["summary"]
    for tenancy in notice["tenancies"]:
        counts = counted(tenancy["counts"], {**CHANGES, **RESULT_WORDS})
        words = [tenancy["conclusion"], counts, *tenancy["reasons"], tenancy["new_foreign"]]
        yield f"{tenancy['name']} ({tenancy['where']}): {', '.join(filter(None, words))}"
    if more := notice["tenancies_left_out"]:
        yield f"{more} more tenancies"
    for problem in notice["problems"]:
        yield _line(f"{problem.headline} (fix: {problem.fix})")


def _line(text: str) -> str:
    """Make a text one printable line of limited length."""
    return cut(printable(text), _LONGEST)


_LAST_SUCCESS = "hooksync_last_success_time_seconds"
_FORMER = re.compile(rf'^{_LAST_SUCCESS}{{tenancy="([^"\\]*)".*}} ([0-9.]+)$', re.MULTILINE)

_HELP = {
    "hooksync_pending_steps": "Steps that a plan contains, or that an apply did not complete.",
    "hooksync_steps": "Steps that are not as declared or not known, by the code of their reason.",
    "hooksync_unknown_secrets": "Kept subscriptions whose secret may not be the declared one.",
    "hooksync_live_subscriptions": "Live subscriptions, as listed last.",
    "hooksync_new_foreign_subscriptions": "Live ones that the state lacks, and no apply has seen.",
    "hooksync_declared_subscriptions": "Declared subscriptions.",
    "hooksync_undeclared_subscriptions": "Those of the state in a tenancy that no file declares.",
    "hooksync_tenancy_conclusion": "1, with the conclusion of the tenancy as in a plan or report.",
    "hooksync_exit_code": "Exit code of the run.",
    _LAST_SUCCESS: "When the last run ended that planned or applied the tenancy; 0: none is known.",
}

Figure = tuple[str, object, dict[str, str]]  # the name of a metric, its value, and its labels


def metrics_text(ending: RunSummary, file: str, before: str = "") -> str:
    """Return metrics in the text format of Prometheus.

    `file`: a label, so that the series differ from those of other files. `before`: the metrics of
    the last run, whose times of the last success are kept for tenancies that failed.
    """
    values = defaultdict[str, list[str]](list)
    for name, value, labels in _figures(ending, before):
        pairs = []
        # JSON escapes backslashes and quotes as it should be
        for label, text in {**labels, "command": ending.command, "file": file}.items():
            pairs.append(f"{label}={json.dumps(printable(text), ensure_ascii=False)}")
        values[name].append(f"{name}{{{','.join(pairs)}}} {value}")
    lines = []
    for name, what in _HELP.items():
        lines += [f"# HELP {name} {what}", f"# TYPE {name} gauge", *values[name]]
    return "\n".join([*lines, ""])


def _figures(ending: RunSummary, before: str) -> Iterator[Figure]:
    """Yield the metrics of a run. `before`: those of the last one, as text."""
    plan = ending.plan
    yield "hooksync_exit_code", int(ending.code), {}
    last = dict[str, object](_FORMER.findall(before))
    if plan:
        former, last = last, {}
        is_whole = not (plan.errors or plan.refusals or plan.is_interrupted)
        for tenancy in plan.tenancies:
            yield from _tenancy_figures(tenancy)
            has_ended = is_whole and (tenancy.is_as_declared or not plan.is_report)
            last[tenancy.name] = former.get(tenancy.name, 0)
            if has_ended and conclusion_of(tenancy) not in ("error", "refused"):
                last[tenancy.name] = f"{ending.ended:.3f}"
        for item in plan.undeclared:
            yield "hooksync_undeclared_subscriptions", item.recorded, {"tenancy": item.name}
    # without one, no run has read the hooks files yet
    for name, when in (last or {"": 0}).items():
        yield _LAST_SUCCESS, when, {"tenancy": name}


def _tenancy_figures(tenancy: TenancyPlan) -> Iterator[Figure]:
    """Yield the metrics of one tenancy."""
    named = {"tenancy": tenancy.name}
    if tenancy.live_count is not None:
        pending = Counter[str](
            step.action
            for step in tenancy.steps
            if step.outcome is None or step.outcome.result != "done"
        )
        for action in CHANGES:
            yield "hooksync_pending_steps", pending[action], {**named, "action": action}
        new = sum(step.is_new for step in tenancy.steps)
        yield "hooksync_unknown_secrets", tenancy.secret_unknown, named
        yield "hooksync_live_subscriptions", tenancy.live_count, named
        yield "hooksync_new_foreign_subscriptions", new, named
    for code, number in sorted(tenancy.reasons().items()):
        yield "hooksync_steps", number, {**named, "reason": code}
    yield "hooksync_declared_subscriptions", tenancy.declared_count, named
    yield "hooksync_tenancy_conclusion", 1, {**named, "conclusion": conclusion_of(tenancy)}
