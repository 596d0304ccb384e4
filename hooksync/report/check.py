"""Can this work? What was found of tenancies, receivers and secrets, judged. Pure: evidence in, findings out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from hooksync.core.errors import HooksyncError, Problem, Rejected, SecretError
from hooksync.core.model import DeclaredSubscription, Probe, Tenancy
from hooksync.core.record import Record
from hooksync.service.challenge import Kind, ProbeResult

Mark = Literal["ok", "warning", "failed", "skipped"]
MARKS: tuple[Mark, ...] = ("ok", "warning", "failed", "skipped")
_FORBIDDEN = 403

_STAGES = ("name", "connection", "tls", "log-in", "role", "list")  # each needs those before it
_STAGE_OF_KIND: dict[Kind, str] = {
    **dict.fromkeys(("no-name", "proxy"), "name"),  # a proxy looks the name up, if it can be used
    **dict.fromkeys(("refused", "no-route", "time-out", "cut"), "connection"),
    "tls": "tls",
}
_DISGUISE = "it also signs a challenge code that begins as a signed event does"
_DISGUISE_FIX = (
    "let it refuse codes that begin with preservica-webhook-auth: its answer to one is the valid signature of an event "
    "that whoever sent the code has made up"
)


class Finding(Record, frozen=True):
    """One thing that was looked at."""

    subject: str  # "name", "connection", "tls", "log-in", "role", "list"; "secret", "receiver", "event-signing"
    mark: Mark
    detail: str = ""  # one line, fit to show
    fix: str = ""


class TenancyEvidence(Record, frozen=True):
    """What the service did."""

    reach: ProbeResult | None  # how it answers at all; None: interrupted before
    listed: int | HooksyncError | None  # live subscriptions, or why they cannot be listed; None: not tried


class HookEvidence(Record, frozen=True):
    """What the receiver of one declared name did, and whether its secret can be had."""

    subscriptions: tuple[DeclaredSubscription, ...]  # one for each trigger; URL and secret are the same
    probe: Probe  # "never": the receiver was not challenged
    secret_error: SecretError | None = None
    doubts: tuple[Problem, ...] = ()  # about the secret
    reading: ProbeResult | None = None  # None: not challenged
    signs_in_disguise: bool | None = None  # None: no clear answer


class HookCheck(Record, frozen=True):
    """One declared name with what was found of it."""

    evidence: HookEvidence
    findings: tuple[Finding, ...]

    @property
    def subscription(self) -> DeclaredSubscription:
        """One of its subscriptions, for what all have in common."""
        return self.evidence.subscriptions[0]

    @property
    def mark(self) -> Mark:
        """The worst of its findings."""
        return max((finding.mark for finding in self.findings), key=("ok", "skipped", "warning", "failed").index)


class TenancyCheck(Record, frozen=True):
    """One tenancy with what was found of it."""

    tenancy: Tenancy
    findings: tuple[Finding, ...]
    hooks: tuple[HookCheck, ...]

    def all_findings(self) -> Iterator[Finding]:
        """Give the findings of the tenancy, then those of its receivers."""
        yield from self.findings
        for hook in self.hooks:
            yield from hook.findings


class CheckView(Record, frozen=True):
    """A whole check, fit to be shown."""

    tenancies: tuple[TenancyCheck, ...]
    created_at: str  # RFC 3339
    warnings: tuple[Problem, ...] = ()  # of the files

    def counts(self) -> Counter[str]:
        """Count the findings by their marks."""
        return Counter(finding.mark for tenancy in self.tenancies for finding in tenancy.all_findings())

    @property
    def is_fine(self) -> bool:
        """Whether nothing failed; a warning is no failure."""
        return not self.counts()["failed"]


def judge_tenancy(tenancy: Tenancy, evidence: TenancyEvidence) -> tuple[Finding, ...]:
    """Say of each stage, from the name to the list, whether it works. What comes after a failure is skipped."""
    broken = _broken_stage(evidence)
    findings = []
    for stage in _STAGES:
        if broken and stage == broken.subject:
            findings.append(broken)
        elif broken and _STAGES.index(stage) > _STAGES.index(broken.subject):
            findings.append(Finding(stage, "skipped"))
        elif stage == "role" and broken and broken.subject == "list":
            findings.append(Finding(stage, "skipped", "only a list would tell"))
        elif stage == "tls" and tenancy.server.base_url.startswith("http:"):
            findings.append(Finding(stage, "skipped", "plain http, as declared"))
        elif stage == "list" and isinstance(evidence.listed, int):
            findings.append(Finding(stage, "ok", f"{evidence.listed} live"))
        else:
            findings.append(Finding(stage, "ok"))
    return tuple(findings)


def judge_hook(evidence: HookEvidence) -> HookCheck:
    """Say of one declared name whether its secret can be had, and whether its receiver is ready for it."""
    findings = [_secret_finding(evidence), _receiver_finding(evidence)]
    if evidence.reading is not None and evidence.reading.state == "ready":
        findings.append(_disguise_finding(evidence.signs_in_disguise))
    return HookCheck(evidence, tuple(findings))


def _broken_stage(evidence: TenancyEvidence) -> Finding | None:
    """Find the first stage that does not work."""
    if isinstance(evidence.listed, int):
        return None
    if evidence.reach is None:
        return Finding("name", "skipped", "interrupted")
    if stage := _STAGE_OF_KIND.get(evidence.reach.kind):
        return Finding(stage, "failed", evidence.reach.detail, evidence.reach.fix)
    if evidence.listed is None:
        return Finding("log-in", "skipped", "interrupted")
    return _refused_stage(evidence.listed)


def _refused_stage(error: HooksyncError) -> Finding:
    """Tell a log-in that is refused from a list that is: the list is the only call that gets anything."""
    stage = "log-in"
    if error.summary.startswith("GET "):
        is_role = isinstance(error, Rejected) and error.status == _FORBIDDEN
        stage = "role" if is_role else "list"
    return Finding(stage, "failed", error.summary, "; ".join(dict.fromkeys(problem.fix for problem in error.problems)))


def _secret_finding(evidence: HookEvidence) -> Finding:
    if evidence.secret_error is not None:
        problem = evidence.secret_error.problems[0]
        return Finding("secret", "failed", evidence.secret_error.summary, problem.fix)
    if evidence.doubts:
        what = "; ".join(problem.what for problem in evidence.doubts)
        return Finding("secret", "warning", what, evidence.doubts[0].fix)
    return Finding("secret", "ok", str(evidence.subscriptions[0].secret))


def _receiver_finding(evidence: HookEvidence) -> Finding:
    reading = evidence.reading
    if reading is not None:
        if reading.state == "ready":
            return Finding("receiver", "ok", "ready")
        hint = "; if only Preservica can reach it, `probe: never` says so" if reading.state == "unreachable" else ""
        return Finding("receiver", "failed", reading.detail, reading.fix + hint)
    if evidence.probe == "never":
        return Finding("receiver", "skipped", "not challenged: probe: never")
    why = "interrupted" if evidence.secret_error is None else "not challenged: no secret to check its answer with"
    return Finding("receiver", "skipped", why)


def _disguise_finding(signs: bool | None) -> Finding:
    match signs:
        case True:
            return Finding("event-signing", "warning", _DISGUISE, _DISGUISE_FIX)
        case False:
            return Finding(
                "event-signing", "ok", "it does not sign a challenge code that begins as a signed event does"
            )
        case None:
            return Finding("event-signing", "skipped", "no clear answer")
