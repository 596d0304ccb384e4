"""The command `check`: tests tenancies, secrets and receivers. Changes nothing; prints nothing itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from hooksync.commands.options import Options
from hooksync.commands.setup import prepare, read_state, timestamp
from hooksync.config.secret_sources import doubts_about
from hooksync.core.errors import ExitCode, HooksyncError, SecretError
from hooksync.core.model import DeclaredSubscription, LiveSubscription, SecretState, Tenancy
from hooksync.core.record import replace
from hooksync.reconcile.context import World, find_store
from hooksync.reconcile.diff import DiffOptions
from hooksync.reconcile.plan import Keep, Resubscribe, TenancyPlan
from hooksync.reconcile.planner import FetchedTenancy, Planner
from hooksync.reconcile.session import Run, open_run
from hooksync.report.check import (
    CheckView,
    HookCheck,
    TenancyCheck,
    TenancyEvidence,
    check_json,
    check_lines,
    check_markdown,
    judge_secrets,
    judge_tenancy,
)
from hooksync.service.http import Request
from hooksync.service.receivers import READY, ProbeResult, ProbeTarget, probe_all, probe_once, signs_events_in_disguise
from hooksync.state.backends import state_place
from hooksync.state.fingerprints import KeyRing
from hooksync.state.model import State

_LARGEST_ANSWER = 64 * 1024  # bytes of a page that only shows that the server answers


def check(options: Options, world: World) -> ExitCode:
    """Check whether all of this can work: log in, list, challenge each receiver. DONE when nothing failed."""
    prepared = prepare(options, world)
    path = state_place(options.files, options.state, disabled=not options.uses_state)
    found, _ = read_state(find_store(path, options.files[0], world), options, world)
    timeout, parallelism = options.timeout, options.parallelism
    private = prepared.private_receivers
    with open_run(prepared.tenancies, world, timeout=timeout, parallelism=parallelism, private=private) as run:
        checks = _look(run, world, path, found.state)
    view = CheckView(checks, timestamp(world), (*prepared.warnings, *found.warnings))
    if options.format == "text":
        world.terminal.show(check_lines(view))
    else:
        world.terminal.result(check_json(view) if options.format == "json" else check_markdown(view), options.format)
    for warning in view.warnings:
        world.terminal.warn(warning)
    if world.stop.is_set():
        return ExitCode.INTERRUPTED
    return ExitCode.DONE if view.is_fine else ExitCode.ERROR


def _look(run: Run, world: World, path: str | None, known: State | None) -> tuple[TenancyCheck, ...]:
    """Gather the evidence and judge it. `path`: of the state, None: without one; `known`: None: there is none yet."""
    hooks = {tenancy.name: tuple(_hooks(tenancy, run)) for tenancy in run.tenancies}
    wanted = (pair for several in hooks.values() for hook, pair in several if pair and hook.probe != "never")
    pairs = list(dict.fromkeys(wanted))
    with world.terminal.progress("checking", len(run.tenancies) + len({(url.full, key) for url, key in pairs})) as step:
        tasks = [partial(_service_evidence, tenancy, run, step) for tenancy in run.tenancies]
        services = run.pool.run("tenancies", tasks)
        answers = probe_all(pairs, run.pool, run.context, step)
        ready = [pair for pair, answer in answers.items() if answer.state == "ready"]
        forgeries = [partial(signs_events_in_disguise, *pair, run.context) for pair in ready]
        forgeable = dict(zip(ready, run.pool.run("receivers", forgeries), strict=True))
    secrets = _secret_states(run, [(each and each.live) or () for each in services], known, path)

    def check_of(hook: HookCheck, pair: ProbeTarget | None) -> HookCheck:
        answer = answers.get(pair) if pair and hook.probe != "never" else None
        return replace(hook, receiver=answer, is_forgeable=forgeable.get(pair) if pair else None)

    return tuple(
        TenancyCheck(
            run.located(tenancy),
            (
                *judge_tenancy(tenancy, service or TenancyEvidence()),
                *judge_secrets(secrets[tenancy.name], path, is_state_missing=known is None),
            ),
            tuple(check_of(hook, pair) for hook, pair in hooks[tenancy.name]),
        )
        for tenancy, service in zip(run.tenancies, services, strict=True)
    )


def _secret_states(
    run: Run, live: Sequence[tuple[LiveSubscription, ...]], known: State | None, path: str | None
) -> dict[str, dict[str, SecretState]]:
    """Compare the declared secrets with what the state knows of the live ones, by tenancy and address."""
    fetched = [FetchedTenancy(tenancy, found) for tenancy, found in zip(run.tenancies, live, strict=True)]
    planner = Planner(
        DiffOptions(),
        allows_mass_unsubscribe=True,
        state=known,
        secrets=run.secrets,
        ring=KeyRing(run.parallelism),
        place=path,
        clock=run.context.clock,
    )
    states: dict[str, dict[str, SecretState]] = {}
    for plan in planner.plan(planner.bridge(fetched)):
        steps = plan.steps if isinstance(plan, TenancyPlan) else ()
        pairs = (step for step in steps if isinstance(step, Keep | Resubscribe))
        states[plan.tenancy.name] = {step.declared.address: step.secret_state for step in pairs}
    return states


def _hooks(tenancy: Tenancy, run: Run) -> Iterator[tuple[HookCheck, ProbeTarget | None]]:
    """Group the subscriptions by name; each name with what its receiver is challenged with, where it has a secret."""
    names: defaultdict[str, list[DeclaredSubscription]] = defaultdict(list)
    for subscription in tenancy.subscriptions:
        names[subscription.name].append(subscription)
    for several in map(tuple, names.values()):
        one = several[0]
        try:
            secret = run.secrets.find(one.secret)
        except SecretError as error:
            yield HookCheck(several, tenancy.probe, error), None
        else:
            yield HookCheck(several, tenancy.probe, None, doubts_about(secret, one.secret)), (one.url, secret)


def _service_evidence(tenancy: Tenancy, run: Run, advance: Callable[[], None]) -> TenancyEvidence:
    """Check whether the server answers at all, without credentials; then log in and list."""
    request = Request("GET", tenancy.server.base_url, "/", answer_limit=_LARGEST_ANSWER)
    client, is_logged_in = run.clients[tenancy.name], False
    try:
        answer = probe_once(request, run.context, f"{tenancy.name} ({tenancy.server.shown})", str(request))
        reach = answer if isinstance(answer, ProbeResult) else READY
        if reach.state == "unreachable" and reach.kind != "cut":  # a cut may be temporary, and the list is repeated
            return TenancyEvidence(reach)
        client.log_in()
        is_logged_in = True
        return TenancyEvidence(reach, client.list_subscriptions(), is_logged_in=True)
    except HooksyncError as error:
        return TenancyEvidence(reach, None, error, is_logged_in)
    finally:
        advance()
