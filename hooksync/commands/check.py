"""The command `check`: tests tenancies, secrets and receivers.

Changes nothing; prints nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby, islice

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
from hooksync.core.record import replace
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
        named = named_receiver(options, options.url, options.secrets, options.timeout)
        with (
            open_receiver(named, world) as (run, declared),
            world.terminal.progress("checking", 1) as step,
        ):
            receivers = _challenged([*_hooks([declared], "auto", run)], run, step)
        view = report.CheckView((), now, receivers=tuple(receivers))
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


def _look(session: Session, world: World) -> tuple[report.TenancyCheck, ...]:
    """Gather the evidence and judge it."""
    run, planner = session.run, session.planner
    hooks = [[*_hooks(tenancy.subscriptions, tenancy.probe, run)] for tenancy in run.tenancies]
    everything = [each for several in hooks for each in several]
    total = len(run.tenancies) + len(
        {(one.target[0].full, one.target[1]) for one in everything if one.target}
    )
    with world.terminal.progress("checking", total) as step:
        look = partial(_look_at_service, run, world.origins, step)
        found = run.pool.run([partial(look, tenancy) for tenancy in run.tenancies])
        challenged = iter(_challenged(everything, run, step))
    services = [
        each or (report.judge_tenancy(one), ())
        for one, each in zip(run.tenancies, found, strict=True)
    ]
    secrets = _secret_states(planner, run.tenancies, [live for _, live in services])
    judge = partial(
        report.judge_secrets, path=planner.place, is_state_missing=planner.state is None
    )
    return tuple(
        report.TenancyCheck(
            run.located(tenancy),
            (*stages, *judge(secrets[tenancy.name])),
            tuple(islice(challenged, len(several))),
        )
        for tenancy, (stages, _), several in zip(run.tenancies, services, hooks, strict=True)
    )


def _challenged(
    hooks: Sequence[report.HookCheck], run: Run, advance: Callable[[], None]
) -> list[report.HookCheck]:
    """Challenge receivers, and add what they answered."""
    answers = probe_all([one.target for one in hooks if one.target], run.pool, run.context, advance)
    ready = [target for target, answer in answers.items() if answer.state == "ready"]
    tasks = [partial(signs_events_in_disguise, *target, run.context) for target in ready]
    signing = dict(zip(ready, run.pool.run(tasks), strict=True))
    return [
        replace(one, receiver=answers.get(target), is_forgeable=signing.get(target))
        if (target := one.target)
        else one
        for one in hooks
    ]


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


def _look_at_service(
    run: Run, origins: Mapping[str, str], advance: Callable[[], None], tenancy: Tenancy
) -> tuple[tuple[report.Finding, ...], tuple[LiveSubscription, ...]]:
    """Check whether the server answers at all; then log in and list.

    `origins`: files, by the variables they set.
    """
    refs = (tenancy.credentials.username, tenancy.credentials.password)
    login = ", ".join(
        f"{ref.noun} {ref}" + f" (of {origins.get(ref.name)})" * (ref.name in origins)
        for ref in refs
    )
    request = Request("GET", tenancy.server.base_url, "/", answer_limit=_LARGEST_ANSWER)
    client, is_logged_in = run.clients[tenancy.name], False
    try:
        answer = probe_once(
            request, run.context, f"{tenancy.name} ({tenancy.server.shown})", str(request)
        )
        reach = answer if isinstance(answer, ProbeResult) else READY
        if (
            reach.state == "unreachable" and reach.kind != "cut"
        ):  # a cut may be temporary, and the list is repeated
            return report.judge_tenancy(tenancy, reach), ()
        client.log_in()
        is_logged_in = True
        live = client.list_subscriptions()
        return report.judge_tenancy(tenancy, reach, live, login=login), live
    except HooksyncError as error:
        return report.judge_tenancy(
            tenancy, reach, None, error, is_logged_in=is_logged_in, login=login
        ), ()
    finally:
        advance()
