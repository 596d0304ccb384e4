"""`hooksync check`: findings about tenancies, receivers and secrets, and their text.

Pure: evidence in, findings out; as JSON in check_json.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal

from hooksync.core.errors import HooksyncError, Problem, counted, some_of
from hooksync.core.model import DeclaredSubscription, Probe, SecretState, Tenancy
from hooksync.core.record import Record
from hooksync.core.redaction import printable
from hooksync.output.text import Line, Style
from hooksync.reconcile.plan import ADOPT_FIX
from hooksync.service.receivers import ProbeResult, ProbeTarget

Mark = Literal["ok", "warning", "failed", "skipped"]
MARKS: tuple[Mark, ...] = ("ok", "warning", "failed", "skipped")
SLOW, TOO_SLOW = 3.0, 10.0  # seconds for the answer to a challenge, by our own judgement
_SLOW_FIX = "let the receiver answer first and work afterwards; keep an instance of it warm"

_STYLES: dict[Mark, Style] = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "dim"}
_MARK = 10  # columns of a mark
_NAME = 20  # columns of a name, at least
_INDENT = " " * _MARK


class Finding(Record, frozen=True, rename={"mark": "state"}):
    """One thing that was checked. In JSON as it is here."""

    # of a tenancy: "log-in", "list", "live secrets"; of a receiver: "secret", "receiver"
    subject: str
    mark: Mark
    detail: str | None = None  # one line, safe to show
    fix: str | None = None


def failure(subject: str, error: HooksyncError) -> Finding:
    """Find that something failed, as its error says it."""
    fixes = dict.fromkeys(problem.fix for problem in error.problems)
    return Finding(subject, "failed", error.summary, "; ".join(fixes))


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
            return self.secret, _judge_time(answer.seconds)
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
        return Counter(each.mark for each in self._findings())

    def _findings(self) -> Iterator[Finding]:
        for one in self.tenancies:
            yield from one.findings
            for hook in one.hooks:
                yield from hook.findings
        for hook in self.receivers:
            yield from hook.findings

    @property
    def is_fine(self) -> bool:
        """Whether nothing failed. A warning is not a failure."""
        return not self.counts()["failed"]


def judge_secrets(states: Mapping[str, SecretState], *, has_state: bool) -> Iterator[Finding]:
    """Report how many live subscriptions have a known secret, and which have not.

    `states`: by the declared address.
    """
    counts = Counter(states.values())
    unknown = [address for address, state in states.items() if state == "unknown"]
    facts = [f"{counts[state]} {state}" for state in ("same", "changed") if counts[state]]
    if unknown:
        facts.append(f"{len(unknown)} unknown: {some_of(unknown)}")
    detail = ", ".join(facts)
    if unknown and not has_state:
        yield Finding("live secrets", "skipped", f"without a state: {detail}")
    elif unknown:
        yield Finding("live secrets", "warning", detail, ADOPT_FIX)
    elif facts:
        yield Finding("live secrets", "ok", detail)


def check_lines(view: CheckView) -> list[Line]:
    """Write a check for people: the findings of a tenancy, a line a receiver, details if not ok."""
    lines = [line for tenancy in view.tenancies for line in _tenancy_lines(tenancy)]
    for hook in view.receivers:
        lines += [*_hook_lines(hook, _NAME), ("", "")]
    return [*lines, ("", _summary(view))]


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
