"""The command `check`: tests tenancies, secrets and receivers.

Changes nothing; prints nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, groupby

from hooksync.api.inputs import Session, open_session, prepare
from hooksync.api.options import RunOptions
from hooksync.commands.options import Format, named_receiver
from hooksync.commands.receiving import open_receiver
from hooksync.config.secret_sources import doubt_about
from hooksync.core.clock import rfc3339
from hooksync.core.errors import ExitCode, HooksyncError, SecretError
from hooksync.core.model import (
    DeclaredSubscription,
    LiveSubscription,
    Probe,
    SecretRef,
    SecretState,
    Tenancy,
)
from hooksync.core.record import Record, replace
from hooksync.output import check as report
from hooksync.output.check_json import check_json
from hooksync.reconcile.context import World
from hooksync.reconcile.plan import Keep, Resubscribe
from hooksync.reconcile.planner import Planner
from hooksync.reconcile.session import Run
from hooksync.service.receivers import ProbeResult, ProbeTarget, probe_all
from hooksync.state.history import FetchedTenancy


class CheckOptions(RunOptions, frozen=True):
    """The flags of `check`."""

    HIDDEN = ("url",)

    format: Format = "text"
    url: str | None = None  # of one receiver; None: those of hooks files
    secrets: tuple[SecretRef, ...] = ()  # of that receiver


def check(options: CheckOptions, world: World) -> ExitCode:
    """Check whether all of this can work: log in, list, challenge each receiver.

    DONE when nothing failed.
    """
    now = rfc3339(world.clock.now())
    if options.url:
        view = report.CheckView((), now, receivers=_check_receiver(options, options.url, world))
    else:
        declared = prepare(options, world, needs_login=False)
        with open_session(declared, is_apply=False) as session:
            view = report.CheckView(_look(session), now, declared.warnings)
    if options.format == "text":
        world.terminal.show(report.check_lines(view))
    else:
        world.terminal.result(check_json(view), "json")
    for warning in view.warnings:
        world.terminal.warn(warning)
    if world.stop.is_set():
        return ExitCode.INTERRUPTED
    return ExitCode.DONE if view.is_fine else ExitCode.ERROR


def _check_receiver(options: CheckOptions, url: str, world: World) -> tuple[report.HookCheck, ...]:
    """Challenge the one receiver that the command line names."""
    named = named_receiver(options, url, options.secrets, options.timeout)
    with open_receiver(named, world) as (run, declared):
        hooks = [*_hooks([declared], "auto", run)]
        return _answered(hooks, _challenge(hooks, run))


def _look(session: Session) -> tuple[report.TenancyCheck, ...]:
    """Gather the evidence and judge it."""
    run, planner = session.run, session.planner
    tenancies = run.tenancies
    hooks = [[*_hooks(one.subscriptions, one.probe, run)] for one in tenancies]
    everything = [*chain.from_iterable(hooks)]
    services = _look_at_services(run)
    answers = _challenge(everything, run)
    secrets = _secret_states(planner, tenancies, [each.live for each in services])
    checks = []
    for tenancy, service, several in zip(tenancies, services, hooks, strict=True):
        known = report.judge_secrets(secrets[tenancy.name], has_state=planner.place is not None)
        findings = (*service.findings, *known)
        found = _answered(several, answers)
        checks.append(report.TenancyCheck(run.located(tenancy), findings, found))
    return tuple(checks)


class _Service(Record, frozen=True):
    """How the service of one tenancy answered."""

    findings: tuple[report.Finding, ...]
    live: tuple[LiveSubscription, ...] = ()


def _challenge(hooks: Sequence[report.HookCheck], run: Run) -> dict[ProbeTarget, ProbeResult]:
    targets = [one.target for one in hooks if one.target]
    return probe_all(targets, run.pool, run.context)


def _answered(
    hooks: Sequence[report.HookCheck], answers: Mapping[ProbeTarget, ProbeResult]
) -> tuple[report.HookCheck, ...]:
    """Add what the receivers answered."""
    added = []
    for one in hooks:
        if one.target:
            one = replace(one, receiver=answers.get(one.target))
        added.append(one)
    return tuple(added)


def _secret_states(
    planner: Planner, tenancies: Sequence[Tenancy], live: Sequence[tuple[LiveSubscription, ...]]
) -> dict[str, dict[str, SecretState]]:
    """Compare the declared secrets with the state, by tenancy and address."""
    fetched = [
        FetchedTenancy(tenancy, found) for tenancy, found in zip(tenancies, live, strict=True)
    ]
    states: dict[str, dict[str, SecretState]] = {}
    for plan in planner.plan(fetched):
        pairs = (step for step in plan.steps if isinstance(step, Keep | Resubscribe))
        states[plan.tenancy.name] = {step.declared.address: step.secret_state for step in pairs}
    return states


def _hooks(
    subscriptions: Iterable[DeclaredSubscription], probe: Probe, run: Run
) -> Iterator[report.HookCheck]:
    """Group the subscriptions by name, each name with its secret, if that can be read."""
    for _, several in groupby(subscriptions, lambda one: one.name):
        first, *_ = group = tuple(several)
        try:
            secret = run.secrets.find(first.secret)
        except SecretError as error:
            yield report.HookCheck(group, probe, report.failure("secret", error))
            continue
        found = report.Finding("secret", "ok", str(first.secret))
        if doubt := doubt_about(secret, first.secret):
            found = report.Finding("secret", "warning", doubt.what, doubt.fix)
        yield report.HookCheck(
            group, probe, found, None if probe == "never" else (first.url, secret)
        )


def _look_at_services(run: Run) -> list[_Service]:
    """Look at the services of all tenancies, in parallel."""
    look = partial(_look_at_service, run)
    found = run.pool.run([partial(look, tenancy) for tenancy in run.tenancies])
    return [each or _Service(()) for each in found]  # None: interrupted


def _look_at_service(run: Run, tenancy: Tenancy) -> _Service:
    """Log in, and list."""
    client = run.clients[tenancy.name]
    findings = []
    subject = "log-in"
    try:
        client.log_in()
        credentials = tenancy.credentials
        login = f"username {credentials.username}, password {credentials.password}"
        findings.append(report.Finding(subject, "ok", login))
        subject = "list"
        live = client.list_subscriptions()
        findings.append(report.Finding(subject, "ok", f"{len(live)} live"))
    except HooksyncError as error:
        findings.append(report.failure(subject, error))
        live = ()
    return _Service(tuple(findings), live)
