"""Decide why a plan may not be carried out, and warn of what its steps show. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from hooksync.core.errors import Problem, pluralised, shortened
from hooksync.core.model import (
    DeclaredSubscription,
    LiveSubscription,
    SubscriptionKey,
    Tenancy,
    UnsubscribeLimit,
)
from hooksync.core.run_flags import NO_FLAGS, RunFlags
from hooksync.reconcile.plan import (
    NAMED_BY_REMOVE,
    PAUSED,
    PROTECTED,
    REPLACED_OUTSIDE,
    REQUESTED,
    SECRET_UNKNOWN,
    URL_CHANGED,
    Plan,
    Step,
    TenancyPlan,
)
from hooksync.state.history import History

_LIMIT_FIX = (
    "check what `owns` covers, and the subscriptions of the file; if all of this is to be removed,"
    " set `limits: {{unsubscribe: {number}}}` under `{tenancy}` for one apply"
)
_OUTSIDE = f"{REPLACED_OUTSIDE.text} (somebody else made it, or hooksync with a different state)"
_MOST_ADDRESSES = 5  # that a fix names one by one if a glob can name all
_CEILING_FIX = (
    "remove fewer in one run, or ask the owners of the policy to allow it, under max_unsubscribe"
)


def misplaced(plan: TenancyPlan, tenancy: Tenancy, history: History) -> Iterator[Problem]:
    """Warn if the state has none of the declared addresses, and the plan moves or removes.

    Then the file may belong to a different tenancy.
    """
    changed = 0
    for step in plan.steps:
        changed += step.action == "unsubscribe" or _moves_url(step)
    recorded = {entry.address for entry in history.entries.values()}
    declared = {
        subscription.address for subscription in (*tenancy.subscriptions, *tenancy.not_selected)
    }
    if changed and recorded and declared and recorded.isdisjoint(declared):
        what = (
            f"{tenancy.name}: the state has none of this file's addresses for {tenancy.where},"
            f" and the plan moves or removes {pluralised(changed, 'subscription')}"
        )
        fix = "check that `server` and `tenant` are those that this file is meant for"
        yield Problem(what, fix, tenancy.location)


def wrong_ids(tenancy: Tenancy, live: Iterable[LiveSubscription]) -> Iterator[Problem]:
    """Report each id to adopt that is live with a different URL or trigger than declared."""
    shown = {subscription.id: subscription for subscription in live}
    declared_keys: dict[str, set[SubscriptionKey]] = {}
    for declared in tenancy.subscriptions:
        declared_keys.setdefault(declared.name, set()).add(declared.key)
    for declared in _one_of_each_name(tenancy):
        for identifier in declared.adopt:
            found = shown.get(identifier)
            if found and found.key not in declared_keys[declared.name]:
                there = f"{found.url.shown} {found.trigger.shown}"
                name = f"{tenancy.name}/{declared.name}"
                what = (
                    f"{name}: `adopt` names {identifier}, which is live as {there}, and"
                    f" {declared.url.shown} is declared"
                )
                fix = "remove the id, or declare what is live; `hooksync list` shows the ids"
                yield Problem(what, fix, declared.location)


def needless_ids(
    tenancy: Tenancy, live: Iterable[LiveSubscription], history: History
) -> Iterator[Problem]:
    """Name the ids to adopt that are ignored. After a lost state, they would vouch for any secret.

    `live`: what counts as live.
    """
    shown = {subscription.id for subscription in live}
    for declared in _one_of_each_name(tenancy):
        for identifier in declared.adopt if history.has_state else ():
            why = "the state has it" if history.record(identifier) else ""
            if identifier not in shown:
                why = "it is not live"
            if why:
                name = f"{tenancy.name}/{declared.name}"
                what = f"{name}: `adopt` names {identifier}, which is ignored: {why}"
                yield Problem(what, "remove the id from the file", declared.location)


def _one_of_each_name(tenancy: Tenancy) -> Iterable[DeclaredSubscription]:
    """Return one declared subscription of each name: those of one name have the same ids."""
    return {declared.name: declared for declared in tenancy.subscriptions}.values()


def reasons_against(
    plan: TenancyPlan,
    tenancy: Tenancy,
    owned: int,
    blocked: Container[str] = (),
    flags: RunFlags = NO_FLAGS,
    *,
    is_missing: bool = False,
) -> tuple[Problem, ...]:
    """List why a plan may not be carried out.

    `owned`: the number of live subscriptions that hooksync owns. `blocked`: the addresses under
    which too many attempts are open. `is_missing`: whether no state exists at its place.
    """
    limits = [tenancy.limit, tenancy.ceiling] if tenancy.ceiling else [tenancy.limit]
    exceeded = [problem for each in limits for problem in limit_reasons(plan, tenancy, owned, each)]
    return (
        *exceeded,
        *_unproven_reasons(plan, tenancy, blocked, flags, is_missing=is_missing),
    )


def limit_reasons(
    plan: TenancyPlan, tenancy: Tenancy, owned: int, limit: UnsubscribeLimit
) -> tuple[Problem, ...]:
    """Return how a plan violates a limit of the file or of the policy.

    Duplicate, paused and replaced subscriptions, and those that `remove` names, do not count. For a
    policy, all whose URL ends do.
    """
    removed = 0
    ended = 0
    for step in plan.steps:
        is_undeclared = step.action == "unsubscribe" and step.declared is None
        removed += is_undeclared and NAMED_BY_REMOVE not in step.reasons
        ended += _ends_url(step)
    number = ended if limit.policy else removed
    is_emptied = removed == owned and not (tenancy.subscriptions or tenancy.not_selected)
    excess = _excess(limit, number, owned, is_emptied=is_emptied)
    if not excess:
        return ()
    fix = _CEILING_FIX
    if not limit.policy:
        needed = "100%" if is_emptied else number
        fix = _LIMIT_FIX.format(number=needed, tenancy=tenancy.name)
    return (Problem(f"{tenancy.name}: would {excess}", fix, tenancy.location),)


def raised_limit(tenancy: Tenancy, owned: int) -> Iterator[Problem]:
    """Warn while the limit of the file allows more removals than the default does."""
    default = UnsubscribeLimit(percent=50)
    allowed = owned
    while allowed and _excess(default, allowed, owned, is_emptied=False):
        allowed -= 1
    if allowed < owned and not _excess(tenancy.limit, allowed + 1, owned, is_emptied=False):
        what = f"{tenancy.name}: limits.unsubscribe is {tenancy.limit}, above the default of 50%"
        yield Problem(what, "remove this limit once the removal is done", tenancy.location)


def wrong_removals(plan: TenancyPlan, tenancy: Tenancy, named: Container[str]) -> Iterator[Problem]:
    """Refuse to remove by id what an address keeps, and what is protected.

    `named`: the ids that `remove` names.
    """
    for step in plan.steps:
        if step.id in named and step.action != "unsubscribe":
            fix = "remove the subscription from the file instead, and apply"
            if PROTECTED in step.reasons:
                fix = "leave out this id: `protect` overrides everything"
            what = f"{tenancy.name}: {step.id} is not removed: {step.reason}"
            yield Problem(what, fix, tenancy.location)


def run_reasons(
    plans: Sequence[TenancyPlan], limits: Mapping[str, tuple[int, str]]
) -> tuple[Problem, ...]:
    """List the limits of a policy that the tenancies of a run exceed together.

    `limits`: number and place by field.
    """
    steps = [step for plan in plans if plan.is_ready for step in plan.steps]
    counts = {
        "max_unsubscribe_run": ("remove or move", sum(map(_ends_url, steps))),
        "max_resubscribe": ("resubscribe", sum(step.action == "resubscribe" for step in steps)),
    }
    problems = []
    for field, (most, place) in limits.items():
        does, number = counts[field]
        if number > most:
            what = f"the run would {does} {number}: the policy has {field}: {most} ({place})"
            fix = f"do less in one run, or ask the owners of the policy to allow it, under {field}"
            problems.append(Problem(what, fix))
    return tuple(problems)


def _ends_url(step: Step) -> bool:
    """Whether a live URL ends by a step: a policy counts this as an unsubscribe."""
    is_undeclared = step.action == "unsubscribe" and step.declared is None
    return is_undeclared or _moves_url(step) or (step.removes and PAUSED in step.reasons)


def _moves_url(step: Step) -> bool:
    """Whether a step removes a live URL, and the declared subscription has a different one."""
    if not step.removes or step.declared is None:
        return False
    return URL_CHANGED in step.reasons or (
        step.action == "unsubscribe" and step.old.url.identity != step.declared.url.identity
    )


def _excess(limit: UnsubscribeLimit, removed: int, owned: int, *, is_emptied: bool) -> str:
    """Describe how a plan violates a limit; empty if it does not.

    `is_emptied`: whether none is declared, and the plan removes all that hooksync owns.
    """
    if limit.percent == 100 or not removed:
        return ""
    if limit.number is not None:
        is_over = removed > limit.number
    else:
        percent = limit.percent or 0
        is_over = removed * 100 >= owned * percent and (removed >= 2 or percent == 0)
    does = "unsubscribe"
    setting = f": limits.unsubscribe is {limit}" if is_over else ""
    if limit.policy:
        does = "remove or move"
        setting = f": the policy has max_unsubscribe: {limit} ({limit.policy})"
    if is_emptied:
        return f"{does} all it owns ({removed}), since none is declared{setting}"
    return f"{does} {removed} of the {owned} it owns{setting}" if is_over else ""


def _unproven_reasons(
    plan: TenancyPlan,
    tenancy: Tenancy,
    blocked: Container[str],
    flags: RunFlags,
    *,
    is_missing: bool,
) -> Iterator[Problem]:
    """Report unknown secrets, and the addresses with two open attempts.

    One command replaces all of them: hooksync would refuse a part of them because of the others.
    """
    outside, unknown = _unknown_secrets(plan)
    tried = _tried_twice(plan, blocked)
    again = flags.applying(_globs(tenancy, [*outside, *unknown, *tried]))
    if outside:
        what = f"{shortened(outside)}: {_OUTSIDE}"
        fix = f"`{again}` replaces it, with the declared secret"
        yield Problem(what, fix, tenancy.location)
    if unknown:
        others = _globs(tenancy, [*outside, *tried])
        adopting = flags.applying(others, _globs(tenancy, unknown))
        what = f"{tenancy.name}: {SECRET_UNKNOWN.text}: {shortened(unknown)}"
        fix = unknown_fix(adopting, again, is_missing=is_missing)
        yield Problem(what, fix, tenancy.location)
    if tried:
        what = f"{shortened(tried)}: two attempts are open, so it is not created again"
        fix = f"look at what is live with `{flags.command('list')}`, then `{again}`"
        yield Problem(what, fix, tenancy.location)


def _unknown_secrets(plan: TenancyPlan) -> tuple[list[str], list[str]]:
    """List what was replaced outside this state, and the other addresses with unknown secrets."""
    unknown: list[str] = []
    outside: list[str] = []
    for step in plan.steps:
        if step.action == "keep" and step.live and step.reasons:
            addresses = outside if REPLACED_OUTSIDE in step.reasons else unknown
            addresses.append(step.new.address)
    return outside, unknown


def _tried_twice(plan: TenancyPlan, blocked: Container[str]) -> list[str]:
    """List the addresses that the plan would create again, although two attempts are open."""
    addresses = []
    for step in plan.creations:
        address = step.new.address
        if address in blocked and REQUESTED not in step.reasons:
            addresses.append(address)
    return addresses


def unknown_fix(adopting: str, replacing: str, *, is_missing: bool) -> str:
    """Word the choice of a person who has unknown secrets.

    `adopting`, `replacing`: commands; `is_missing`: whether no state exists at its place.
    """
    elsewhere = "if a state exists elsewhere, name it with --state; " if is_missing else ""
    return elsewhere + (
        f"`{adopting}` if the receivers accept events with these secrets;"
        f" otherwise `{replacing}`, which sets the declared secrets"
    )


def _globs(tenancy: Tenancy, addresses: Sequence[str]) -> Sequence[str]:
    """Return the addresses, or one glob if they are many and all that the tenancy has."""
    selected = {declared.address for declared in tenancy.subscriptions}
    is_all = len(addresses) > _MOST_ADDRESSES and selected == set(addresses)
    return [f"{tenancy.name}/*"] if is_all else addresses


def step_warnings(plan: Plan, flags: RunFlags) -> Iterator[Problem]:
    """Warn of unknown secrets, of duplicates that are left, and of open attempts."""
    unknown = []
    for tenancy in plan.tenancies:
        if tenancy.refusals and plan.state is not None:
            continue  # a refusal names them
        for step in tenancy.steps:
            # a secret that has no value has its own warning, with its place
            if step.has_unknown_secret and step.secret == "unknown":
                unknown.append(step.new.address)
    if unknown and plan.state is None:
        what = f"secrets of {len(unknown)} not compared: the run has no state"
        yield Problem(what, "leave out --no-state, or name the state with --state")
    elif unknown:
        replacing = flags.applying(unknown)
        adopting = flags.applying((), unknown)
        fix = unknown_fix(adopting, replacing, is_missing=plan.state_missing)
        yield Problem(f"secret unknown: {shortened(unknown)}", fix)
    yield from _duplicate_warnings(plan, flags)
    yield from _paused_warnings(plan, flags)
    tried = plan.open_attempts
    if tried:
        what = f"an earlier run may have made what no list shows: {shortened(tried)}"
        yield Problem(what, "plan again later: a list may still show it")


def _paused_warnings(plan: Plan, flags: RunFlags) -> Iterator[Problem]:
    for step in plan.left_drift:
        if PAUSED in step.reasons:
            removing = flags.command("remove", step.id)
            what = f"{step.address} is paused, and live as {step.id}, which the state does not have"
            yield Problem(what, f"`{removing}` if nobody needs it")


def _duplicate_warnings(plan: Plan, flags: RunFlags) -> Iterator[Problem]:
    left: dict[str, list[str]] = {}
    for step in plan.left_duplicates:
        left.setdefault(step.address or "", []).append(step.id)
    for address, ids in left.items():
        times = "twice" if len(ids) == 1 else f"{len(ids) + 1} times"
        what = f"{address} is live {times}: the receiver gets each event {times}"
        replacing = flags.applying([address])
        fix = f"ask who made them; `{replacing}` replaces all of them by one"
        yield Problem(f"{what}, and hooksync does not own {shortened(ids)}", fix)
