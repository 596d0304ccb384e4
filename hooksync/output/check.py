"""`hooksync check`: findings about tenancies, receivers and secrets, and their renderings.

Pure: evidence in, findings out, as text and Markdown; as JSON in check_json.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from hooksync.core.errors import HooksyncError, Problem, Rejected, counted, some_of
from hooksync.core.model import DeclaredSubscription, LiveSubscription, Probe, SecretState, Tenancy
from hooksync.core.record import Record
from hooksync.core.redaction import printable
from hooksync.output.markdown import table_page
from hooksync.output.text import Line, Style
from hooksync.reconcile.plan import ADOPT_FIX
from hooksync.service.receivers import Kind, ProbeResult, ProbeTarget

Mark = Literal["ok", "warning", "failed", "skipped"]
MARKS: tuple[Mark, ...] = ("ok", "warning", "failed", "skipped")
_FORBIDDEN = 403
SLOW, TOO_SLOW = 3.0, 10.0  # seconds for the answer to a challenge, by our own judgement
_SLOW_FIX = "let the receiver answer first and work afterwards; keep an instance of it warm"

_STYLES: dict[Mark, Style] = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "dim"}
_MARK = 10  # columns of a mark
_NAME = 20  # columns of a name, at least
_INDENT = " " * _MARK
_HEAD = ("tenancy", "subscription", "looked at", "state", "found", "fix")

_STAGES = ("name", "connection", "tls", "log-in", "role", "list")  # each needs those before it
_STAGE_OF_KIND: dict[Kind, str] = {
    **dict.fromkeys(("no-name", "proxy"), "name"),  # a proxy looks the name up
    **dict.fromkeys(("refused", "no-route", "no-connection", "time-out", "cut"), "connection"),
    "tls": "tls",
}


class Finding(Record, frozen=True, rename={"mark": "state"}):
    """One thing that was checked. In JSON as it is here."""

    # of a tenancy: "name", "connection", "tls", "log-in", "role", "list", "live secrets"; of a
    subject: str
    # receiver: "secret", "receiver", "event-signing"
    mark: Mark
    detail: str | None = None  # one line, safe to show
    fix: str | None = None


_SIGNING = {  # by whether a receiver signs a challenge code that is an event; None: no clear answer
    None: Finding("event-signing", "skipped", "no clear answer"),
    True: Finding(
        "event-signing",
        "warning",
        "it also signs a challenge code that looks like a signed event",
        "let it refuse codes that begin with preservica-webhook-auth: its answer to such a code is"
        " the valid signature of a forged event",
    ),
    False: Finding(
        "event-signing", "ok", "it does not sign a challenge code that looks like a signed event"
    ),
}


def _judge_time(seconds: float) -> Finding:
    """Judge how long a right answer to a challenge took."""
    if seconds <= SLOW:
        return Finding("receiver", "ok", f"ready in {seconds:.3f} s")
    detail = f"its answer is right, but took {seconds:.3f} s; Preservica's limit is not known"
    return Finding("receiver", "failed" if seconds > TOO_SLOW else "warning", detail, _SLOW_FIX)


class HookCheck(Record, frozen=True):
    """How the receiver of one declared name answered, and whether its secret can be read."""

    # one for each trigger; URL and secret are the same
    subscriptions: tuple[DeclaredSubscription, ...]
    probe: Probe
    secret: Finding
    # what is to be challenged; None: nothing, or there is no secret for it
    target: ProbeTarget | None = None
    receiver: ProbeResult | None = None  # None: not challenged
    # whether it signs a challenge code that is an event; None: no clear answer
    is_forgeable: bool | None = None

    @property
    def subscription(self) -> DeclaredSubscription:
        """One of its subscriptions, for the fields that all have in common."""
        return self.subscriptions[0]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Judge whether its secret can be read, and whether its receiver is ready for it."""
        answer = self.receiver
        if answer is None:
            because = (
                "probe: never" if self.probe == "never" else "no secret to check its answer with"
            )
            why = "interrupted" if self.target else f"not challenged: {because}"
            return self.secret, Finding("receiver", "skipped", why)
        if answer.state == "ready":
            return self.secret, _judge_time(answer.seconds), _SIGNING[self.is_forgeable]
        may_be_hidden = answer.state == "unreachable" and self.subscription.tenancy
        hint = "; if only Preservica can reach it, declare `probe: never`" if may_be_hidden else ""
        return self.secret, Finding("receiver", "failed", answer.detail, answer.fix + hint)

    @property
    def mark(self) -> Mark:
        """The worst of its findings."""
        return max(
            (finding.mark for finding in self.findings),
            key=("ok", "skipped", "warning", "failed").index,
        )


class TenancyCheck(Record, frozen=True):
    """One tenancy with its findings."""

    tenancy: Tenancy
    findings: tuple[Finding, ...]
    hooks: tuple[HookCheck, ...]


class CheckView(Record, frozen=True):
    """A whole check, safe to show."""

    tenancies: tuple[TenancyCheck, ...]
    created_at: str  # RFC 3339
    warnings: tuple[Problem, ...] = ()  # of the files
    receivers: tuple[HookCheck, ...] = ()  # of no tenancy

    def counts(self) -> Counter[str]:
        """Count the findings by their marks."""
        return Counter(each.mark for _, _, findings in self.parts() for each in findings)

    def parts(self) -> Iterator[tuple[str, str, tuple[Finding, ...]]]:
        """Iterate over all that was looked at: where it belongs, what it is, and what was found."""
        for one in self.tenancies:
            name = f"{one.tenancy.name}, {one.tenancy.where}"
            yield name, "", one.findings
            yield from (
                (name, f"{_title(hook)} {hook.subscription.url.shown}", hook.findings)
                for hook in one.hooks
            )
        yield from (("", hook.subscription.url.shown, hook.findings) for hook in self.receivers)

    @property
    def is_fine(self) -> bool:
        """Whether nothing failed. A warning is not a failure."""
        return not self.counts()["failed"]


def judge_tenancy(
    tenancy: Tenancy,
    reach: ProbeResult | None = None,
    live: Sequence[LiveSubscription] | None = None,
    error: HooksyncError | None = None,
    *,
    is_logged_in: bool = False,
    login: str = "",
) -> tuple[Finding, ...]:
    """Judge each stage, from the name to the list. The stages after a failure are skipped.

    `reach`: whether the server answers at all; None: interrupted before. `live`: None: not listed.
    `error`: of the log-in, or then of the list. `login`: where its credentials come from.
    """
    broken = _broken_stage(reach, error, is_logged_in=is_logged_in) if live is None else None
    found = {stage: Finding(stage, "ok") for stage in _STAGES}
    if tenancy.server.base_url.startswith("http:"):
        found["tls"] = Finding("tls", "skipped", "plain http, as declared")
    if live is not None:
        found["list"] = Finding("list", "ok", f"{len(live)} live")
    found["log-in"] = Finding("log-in", "ok", login or None)
    if broken:
        later = _STAGES[_STAGES.index(broken.subject) + 1 :]
        found |= {broken.subject: broken, **{stage: Finding(stage, "skipped") for stage in later}}
        if broken.subject == "list":
            found["role"] = Finding("role", "skipped", "only the list can show it")
    return tuple(found.values())


def judge_secrets(
    states: Mapping[str, SecretState], path: str | None, *, is_state_missing: bool
) -> Iterator[Finding]:
    """Report how many live subscriptions have a known secret, and which have not.

    `states`: by the declared address; `path`: of the state; None: without one.
    """
    counts = Counter(states.values())
    unknown = [address for address, state in states.items() if state == "unknown"]
    known = ", ".join(f"{counts[state]} {state}" for state in ("same", "changed") if counts[state])
    which = f"{len(unknown)} unknown: {some_of(unknown)}"
    if path is None and unknown:
        yield Finding("live secrets", "skipped", f"without a state: {which}")
    elif unknown:
        detail = (
            f"there is no state at {path}: {which}"
            if is_state_missing
            else ", ".join(filter(None, (known, which)))
        )
        yield Finding("live secrets", "warning", detail, ADOPT_FIX)
    elif known:
        yield Finding("live secrets", "ok", known)


def _broken_stage(
    reach: ProbeResult | None, error: HooksyncError | None, *, is_logged_in: bool
) -> Finding:
    """Find the first stage that does not work."""
    if reach and (stage := _STAGE_OF_KIND.get(reach.kind)):
        return Finding(stage, "failed", reach.detail, reach.fix)
    if error is None:
        return Finding("log-in" if reach else "name", "skipped", "interrupted")
    is_role = isinstance(error, Rejected) and error.status == _FORBIDDEN
    if not is_logged_in:
        stage = "log-in"
    elif is_role:
        stage = "role"
    else:
        stage = "list"
    fixes = dict.fromkeys(problem.fix for problem in error.problems)
    return Finding(stage, "failed", error.summary, "; ".join(fixes))


def check_lines(view: CheckView) -> list[Line]:
    """Write a check for people: the stages of a tenancy, a line a receiver, details if not ok."""
    lines = [line for tenancy in view.tenancies for line in _tenancy_lines(tenancy)]
    for hook in view.receivers:
        lines += [*_hook_lines(hook, _NAME), ("", "")]
    return [*lines, ("", _summary(view))]


def check_markdown(view: CheckView) -> str:
    """Write a check as one table; if it is too large, the findings that are not ok come first."""
    rows = (
        (name, subject, each.subject, each.mark, each.detail or "", each.fix or "")
        for name, subject, several in view.parts()
        for each in several
    )
    return table_page("check", (_HEAD, *rows), _summary(view), fine="ok")


def _tenancy_lines(check: TenancyCheck) -> Iterator[Line]:
    yield "", printable(f"{check.tenancy.name}   {check.tenancy.where}")
    yield "", ""
    for finding in check.findings:
        line = f"{finding.mark:<{_MARK}}{finding.subject:<{_NAME}}{printable(finding.detail or '')}"
        yield _STYLES[finding.mark], line.rstrip()
        if finding.fix:
            yield "", f"{_INDENT}  fix: {printable(finding.fix)}"
    if check.hooks:
        yield "", ""
    width = max((_NAME, *(len(hook.subscription.name) + 2 for hook in check.hooks)))
    for hook in check.hooks:
        yield from _hook_lines(hook, width)
    yield "", ""


def _hook_lines(check: HookCheck, width: int) -> Iterator[Line]:
    name, _, triggers = _title(check).partition(" ")
    is_fine = check.mark == "ok"
    remark = check.subscription.url.shown
    if is_fine and check.receiver:
        remark = f"receiver ready in {check.receiver.seconds:.3f} s"
    yield (
        _STYLES[check.mark],
        printable(f"{check.mark:<{_MARK}}{name:<{width}}{triggers}   {remark}"),
    )
    for finding in check.findings if not is_fine else ():
        if finding.mark != "ok":
            # its detail begins with the word
            subject = "" if finding.subject == "secret" else f"{finding.subject}: "
            yield "", printable(f"{_INDENT}  {subject}{finding.detail}")
        if finding.fix:
            yield "", printable(f"{_INDENT}    fix: {finding.fix}")


def _title(check: HookCheck) -> str:
    return (
        f"{check.subscription.name} {', '.join(each.trigger.short for each in check.subscriptions)}"
    )


def _summary(view: CheckView) -> str:
    counts = view.counts()
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    return (
        f"Check: {counts['ok']} ok, {counted(counts['warning'], 'warning')}, {counts['failed']}"
        f" failed{skipped}."
    )
