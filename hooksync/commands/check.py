"""The command `check`: tests the log-in and the list of each tenancy, secrets and receivers.

It changes nothing. All output goes through `context.terminal`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Literal

from hooksync.api.inputs import prepare
from hooksync.api.options import FORMAT, RunOptions
from hooksync.api.run import open_run
from hooksync.commands.receiving import SECRETS, URL, named_receiver, open_receiver
from hooksync.config.secret_sources import doubt_about
from hooksync.core.clock import rfc3339
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, HooksyncError, Problems
from hooksync.core.model import DeclaredSubscription, ReceiverResult, SecretRef, Tenancy
from hooksync.core.record import Record
from hooksync.reconcile.plan import Selection
from hooksync.reconcile.run import Run
from hooksync.render.json_text import result_json
from hooksync.render.sentences import counted, state_counts
from hooksync.render.text import Line, name_width, unstyled
from hooksync.service.challenges import doubt, probe_all

_DOCUMENT = "hooksync.check/1"

Places = list[dict[str, str]]  # name, server and tenant of each tenancy
FindingState = Literal["ok", "failed", "warning", "skipped"]
_WORDS = {"ok": "ok", "failed": "failed", "warning": "with a warning", "skipped": "skipped"}


class Finding(Record):
    """The result of one check."""

    tenancy: str  # its name; "" for the receiver that the command line names
    subject: str  # "log-in", "list", or the name of a subscription
    state: FindingState
    detail: str  # one line, safe to show
    fix: str | None = None
    seconds: float | None = None  # that the receiver took to answer a challenge


class CheckOptions(RunOptions):
    """The flags of `check`."""

    HIDDEN = ("url",)

    url: str | None = URL
    secrets: tuple[SecretRef, ...] = SECRETS
    format: Literal["text", "json"] = FORMAT
    # no flags of `check`
    state: str | None = None
    uses_state: bool = False


def check(options: CheckOptions, context: Context) -> ExitCode:
    """Check each tenancy and each receiver; with --url, only that receiver."""
    begun = rfc3339(context.clock.now())
    findings: list[Finding] = []
    places: Places = []
    warnings: Problems = ()
    has_other = options.names_files or bool(options.tenancies or options.targets)
    if named := named_receiver(options.url, options.secrets, has_other=has_other):
        with open_receiver(named, options, context) as (run, receiver):
            findings += _check_receivers([receiver], (), run)
    else:
        inputs = prepare(
            options,
            Selection(options.tenancies, options.targets),
            context,
            needs_login=False,
        )
        warnings = inputs.warnings
        with open_run(inputs) as run:
            _check_tenancies(run, findings, places)
    code = _exit_code(findings, context)
    if options.format == "text":
        context.terminal.show([*check_lines(findings, places)])
    else:
        document = result_json(
            _DOCUMENT,
            code,
            created_at=begun,
            tenancies=places,
            findings=findings,
            summary=state_counts(findings, _WORDS),
            warnings=warnings,
        )
        context.terminal.result(document, "json")
    context.terminal.warn(*warnings)
    return code


def _exit_code(findings: Iterable[Finding], context: Context) -> ExitCode:
    """Return ERROR if anything failed; a warning is no failure."""
    if context.stop.is_set():
        return context.terminal.interrupt_code
    return ExitCode.ERROR if state_counts(findings, _WORDS)["failed"] else ExitCode.DONE


def _check_tenancies(run: Run, findings: list[Finding], places: Places) -> None:
    """Check all tenancies in parallel, then all receivers. Adds findings and places."""
    checks = [partial(_check_service, run, tenancy) for tenancy in run.tenancies]
    for several in run.pool.run(checks):
        findings += several or ()  # None: interrupted
    subscriptions: list[DeclaredSubscription] = []
    never = set()
    for tenancy in run.tenancies:
        places.append({"name": tenancy.name, "where": run.located(tenancy).where})
        subscriptions += tenancy.subscriptions
        if tenancy.probe == "never":
            never.add(tenancy.name)
    findings += _check_receivers(subscriptions, never, run)


def _check_service(run: Run, tenancy: Tenancy) -> list[Finding]:
    """Log in to a tenancy, and list its subscriptions."""
    client = run.clients[tenancy.name]
    credentials = tenancy.credentials
    findings = []
    subject = "log-in"
    try:
        client.token()  # to report a failed log-in as such
        detail = f"username {credentials.username}, password {credentials.password}"
        findings.append(Finding(tenancy.name, subject, "ok", detail))
        subject = "list"
        live = client.list_subscriptions()
        findings.append(Finding(tenancy.name, subject, "ok", f"{len(live)} live"))
    except HooksyncError as error:
        fixes = "; ".join(dict.fromkeys(problem.fix for problem in error.problems))
        findings.append(Finding(tenancy.name, subject, "failed", error.summary, fixes))
    return findings


def _check_receivers(
    subscriptions: Iterable[DeclaredSubscription], never: Collection[str], run: Run
) -> Iterator[Finding]:
    """Check each name once: all its triggers have the same secret and receiver.

    `never`: the names of tenancies whose receivers must not be challenged.
    """
    by_name = {(declared.tenancy, declared.name): declared for declared in subscriptions}
    named = by_name.values()
    secrets, missing = run.secrets.look_up(declared.secret for declared in named)
    targets = []
    for declared in named:
        if declared.tenancy not in never and declared.secret in secrets:
            targets.append((declared.url, secrets[declared.secret]))
    answers = probe_all(targets, run.pool, run.caller)
    for declared in named:
        secret = secrets.get(declared.secret)
        state: FindingState = "warning" if secret else "failed"
        problem = missing.get(declared.secret)
        if secret:
            problem = doubt_about(secret, declared.secret)
        if problem:
            yield Finding(declared.tenancy, declared.name, state, problem.what, problem.fix)
        if secret:
            yield receiver_finding(declared, answers.get((declared.url, secret)))


def receiver_finding(declared: DeclaredSubscription, answer: ReceiverResult | None) -> Finding:
    """Judge a receiver's answer to a challenge, and its time. `answer`: None: not challenged."""
    if answer is None:
        why = "receiver not challenged: probe: never, or an interrupt"
        return Finding(declared.tenancy, declared.name, "skipped", why)
    seconds = round(answer.seconds, 3)
    state: FindingState = "ok"
    what = f"receiver ready in {seconds:.3f} s"
    detail, fix = doubt(answer.seconds, answer.content_type)
    if answer.state != "ready":
        state = "failed"
        what = f"receiver {declared.url.shown}: {answer.detail}"
        fix = answer.fix
        if answer.state == "unreachable" and declared.tenancy:
            fix += "; if only Preservica can reach it, declare `probe: never`"
    elif detail:
        state = "warning"
        what += f", but {detail}"
    return Finding(declared.tenancy, declared.name, state, what, fix or None, seconds)


def check_lines(findings: Sequence[Finding], places: Places) -> Iterator[Line]:
    """Write a check for people."""
    where = {place["name"]: place["where"] for place in places}
    width = name_width(finding.subject for finding in findings)
    tenancy_of = attrgetter("tenancy")
    for name, group in groupby(sorted(findings, key=tenancy_of), tenancy_of):
        if name:
            yield from unstyled([f"{name}   {where[name]}", ""])
        for finding in group:
            yield finding.state, f"{finding.state:<10}{finding.subject:<{width}}{finding.detail}"
            if finding.fix:
                yield "", f"{'':<10}  fix: {finding.fix}"
        yield "", ""
    yield "", f"Check: {counted(state_counts(findings, _WORDS), _WORDS, ('ok', 'failed'))}."
