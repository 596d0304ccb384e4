"""The command `check`: tests tenancies, secrets and receivers.

Changes nothing; prints nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, groupby

from hooksync.api.inputs import Session, open_session, prepare
from hooksync.api.options import RunOptions
from hooksync.commands.options import Format, named_receiver
from hooksync.commands.receiving import open_receiver
from hooksync.config.secret_sources import doubts_about
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
from hooksync.reconcile.plan import Keep, Resubscribe, TenancyPlan
from hooksync.reconcile.planner import Planner
from hooksync.reconcile.session import Run
from hooksync.service.http import Request
from hooksync.service.receivers import (
    READY,
    ProbeResult,
    probe_all,
    probe_once,
    signs_events_in_disguise,
)
from hooksync.state.history import FetchedTenancy

_LARGEST_ANSWER = 64 * 1024  # bytes of a page that only shows that the server answers


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
        with open_session(prepare(options, world, needs_login=False), is_apply=False) as session:
            view = report.CheckView(_look(session, world), now, session.warnings)
    if options.format == "text":
        world.terminal.show(report.check_lines(view))
    elif options.format == "json":
        world.terminal.result(check_json(view), "json")
    else:
        world.terminal.result(report.check_markdown(view), "markdown")
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
        with world.terminal.progress("checking", len(hooks)) as step:
            return _Challenges(hooks, run, step).answered(hooks)


def _look(session: Session, world: World) -> tuple[report.TenancyCheck, ...]:
    """Gather the evidence and judge it."""
    run, planner = session.run, session.planner
    tenancies = run.tenancies
    hooks = [[*_hooks(one.subscriptions, one.probe, run)] for one in tenancies]
    everything = [*chain.from_iterable(hooks)]
    with world.terminal.progress("checking", len(tenancies) + _calls(everything)) as step:
        services = _look_at_services(run, world.origins, step)
        challenges = _Challenges(everything, run, step)
    secrets = _secret_states(planner, tenancies, [each.live for each in services])
    checks = []
    for tenancy, service, several in zip(tenancies, services, hooks, strict=True):
        known = _judge_secrets(secrets[tenancy.name], planner)
        findings = (*service.findings, *known)
        answered = challenges.answered(several)
        checks.append(report.TenancyCheck(run.located(tenancy), findings, answered))
    return tuple(checks)


def _calls(hooks: Sequence[report.HookCheck]) -> int:
    """Count the receivers to challenge: each URL and secret once."""
    return len({(one.target[0].full, one.target[1]) for one in hooks if one.target})


def _judge_secrets(states: Mapping[str, SecretState], planner: Planner) -> Iterator[report.Finding]:
    is_missing = planner.state is None
    return report.judge_secrets(states, planner.place, is_state_missing=is_missing)


class _Service(Record, frozen=True):
    """How the service of one tenancy answered."""

    findings: tuple[report.Finding, ...]
    live: tuple[LiveSubscription, ...] = ()


class _Challenges:
    """What receivers answered to a challenge, and to a code that could forge an event."""

    def __init__(
        self, hooks: Sequence[report.HookCheck], run: Run, advance: Callable[[], None]
    ) -> None:
        targets = [one.target for one in hooks if one.target]
        self._answers = probe_all(targets, run.pool, run.context, advance)
        ready = [target for target, answer in self._answers.items() if answer.state == "ready"]
        tasks = [partial(signs_events_in_disguise, *target, run.context) for target in ready]
        self._signing = dict(zip(ready, run.pool.run(tasks), strict=True))

    def answered(self, hooks: Sequence[report.HookCheck]) -> tuple[report.HookCheck, ...]:
        """Add the answers."""
        added = []
        for one in hooks:
            if one.target:
                signs = self._signing.get(one.target)
                answer = self._answers.get(one.target)
                one = replace(one, receiver=answer, is_forgeable=signs)
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
        steps = plan.steps if isinstance(plan, TenancyPlan) else ()
        pairs = (step for step in steps if isinstance(step, Keep | Resubscribe))
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
            failure = report.Finding("secret", "failed", error.summary, error.problems[0].fix)
            yield report.HookCheck(group, probe, failure)
            continue
        found = report.Finding("secret", "ok", str(first.secret))
        if doubts := doubts_about(secret, first.secret):
            found = report.Finding(
                "secret", "warning", "; ".join(each.what for each in doubts), doubts[0].fix
            )
        yield report.HookCheck(
            group, probe, found, None if probe == "never" else (first.url, secret)
        )


def _look_at_services(
    run: Run, origins: Mapping[str, str], advance: Callable[[], None]
) -> list[_Service]:
    """Look at the services of all tenancies, in parallel."""
    look = partial(_look_at_service, run, origins, advance)
    found = run.pool.run([partial(look, tenancy) for tenancy in run.tenancies])
    services = []
    for tenancy, each in zip(run.tenancies, found, strict=True):
        services.append(each or _Service(report.judge_tenancy(tenancy)))  # None: interrupted
    return services


def _look_at_service(
    run: Run, origins: Mapping[str, str], advance: Callable[[], None], tenancy: Tenancy
) -> _Service:
    """Check whether the server answers at all; then log in and list.

    `origins`: files, by the variables they set.
    """
    client = run.clients[tenancy.name]
    is_logged_in = False
    login = _login_of(tenancy, origins)
    reach = _reach(run, tenancy)
    if reach.state == "unreachable" and reach.kind != "cut":  # a cut may be temporary
        advance()
        return _Service(report.judge_tenancy(tenancy, reach))
    try:
        client.log_in()
        is_logged_in = True
        live = client.list_subscriptions()
    except HooksyncError as error:
        failed = report.judge_tenancy(
            tenancy, reach, None, error, is_logged_in=is_logged_in, login=login
        )
        return _Service(failed)
    finally:
        advance()
    return _Service(report.judge_tenancy(tenancy, reach, live, login=login), live)


def _reach(run: Run, tenancy: Tenancy) -> ProbeResult:
    """Call the server without a log-in: whatever it answers, it is there."""
    server = tenancy.server
    request = Request("GET", server.base_url, "/", answer_limit=_LARGEST_ANSWER)
    peer = f"{tenancy.name} ({server.shown})"
    answer = probe_once(request, run.context, peer, str(request))
    return answer if isinstance(answer, ProbeResult) else READY


def _login_of(tenancy: Tenancy, origins: Mapping[str, str]) -> str:
    """Write where the log-in comes from."""
    told = []
    for ref in (tenancy.credentials.username, tenancy.credentials.password):
        origin = f" (of {origins[ref.name]})" if ref.name in origins else ""
        told.append(f"{ref.noun} {ref}{origin}")
    return ", ".join(told)
