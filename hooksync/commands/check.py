"""The command `check`: tests the log-in and the list of each tenancy, secrets and receivers.

It changes nothing. All output goes through `context.terminal`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import partial

from hooksync.api.inputs import prepare
from hooksync.api.run import open_run
from hooksync.commands.receiving import ReceiverOptions, named_receiver, open_receiver
from hooksync.config.secret_sources import doubt_about
from hooksync.core.clock import rfc3339
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, HooksyncError, Problem
from hooksync.core.model import DeclaredSubscription, Tenancy
from hooksync.core.output import Format
from hooksync.core.record import replace
from hooksync.receivers.challenges import probe_all
from hooksync.reconcile.run import Run
from hooksync.render.check import Finding, check_json, check_lines, receiver_finding, secret_finding


class CheckOptions(ReceiverOptions, frozen=True):
    """The flags of `check`."""

    format: Format = "text"


def check(options: CheckOptions, context: Context) -> ExitCode:
    """Check each tenancy and each receiver; with --url, only that receiver."""
    begun = rfc3339(context.clock.now())
    findings: list[Finding] = []
    places: dict[str, str] = {}  # server and tenant
    warnings: tuple[Problem, ...] = ()
    if named := named_receiver(options):
        with open_receiver(named, options, context) as (run, receiver):
            findings += _check_receivers([receiver], (), run)
    else:
        declared = prepare(replace(options, uses_state=False), context, needs_login=False)
        warnings = declared.warnings
        with open_run(declared) as run:
            _check_tenancies(run, findings, places)
    code = _exit_code(findings, context)
    if options.format == "text":
        context.terminal.show([*check_lines(findings, places)])
    else:
        context.terminal.result(check_json(findings, places, warnings, begun, code), "json")
    for warning in warnings:
        context.terminal.warn(warning)
    return code


def _exit_code(findings: Iterable[Finding], context: Context) -> ExitCode:
    if context.stop.is_set():
        return context.terminal.interrupt_code
    has_failed = any(finding.state == "failed" for finding in findings)
    return ExitCode.ERROR if has_failed else ExitCode.DONE


def _check_tenancies(run: Run, findings: list[Finding], places: dict[str, str]) -> None:
    """Check all tenancies in parallel, then all receivers. Adds findings and places."""
    checks = [partial(_check_service, run, tenancy) for tenancy in run.tenancies]
    for several in run.pool.run(checks):
        findings += several or ()  # None: interrupted
    subscriptions: list[DeclaredSubscription] = []
    never = set()
    for tenancy in run.tenancies:
        places[tenancy.name] = run.located(tenancy).where
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
        client.log_in()
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
        if secret is None:
            yield secret_finding(declared, "failed", missing[declared.secret])
            continue
        if doubt := doubt_about(secret, declared.secret):
            yield secret_finding(declared, "warning", doubt)
        answer = answers.get((declared.url, secret))
        yield receiver_finding(declared, answer, is_asked=declared.tenancy not in never)
