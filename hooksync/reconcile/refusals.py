"""Decide why a plan may not be carried out, and warn of what its steps show. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence

from hooksync.core.errors import Problem, pluralised, shortened
from hooksync.core.model import Tenancy, UnsubscribeLimit
from hooksync.core.record import replace
from hooksync.core.run_flags import RunFlags
from hooksync.core.urls import QUERY_VALUE
from hooksync.reconcile.diff import Comparison
from hooksync.reconcile.plan import (
    NAMED_BY_REMOVE,
    NO_LONGER_DECLARED,
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

_DEFAULT_LIMIT = UnsubscribeLimit(percent=50)
_LIMIT_FIX = (
    "check what `owns` covers, and the subscriptions of the file; if all of this is to be removed,"
    " set `limits: {{unsubscribe: {number}}}` under `{tenancy}` for one apply"
)
_OUTSIDE = f"{REPLACED_OUTSIDE.text} (somebody else made it, or hooksync with a different state)"
_TRIED = "two attempts are open, so it is not created again"
_NEAR_FIX = (
    "if the receiver is the same, correct this value before you apply: otherwise it gets each event"
    " twice"
)
_LEFT_PAUSED = "paused, but live, and the state does not have it"
_LEFT_TWIN = "live more than once: the receiver gets each event again, and hooksync does not own it"
_MOST_ADDRESSES = 5  # that a fix names one by one if globs can name all
_CEILING_FIX = (
    "remove fewer in one run, or ask the owners of the policy to allow it, under max_unsubscribe"
)


def misplaced(plan: TenancyPlan, comparison: Comparison, flags: RunFlags) -> Iterator[Problem]:
    """Warn if the state has none of the declared addresses, and the plan moves or removes.

    Then the file may belong to a different tenancy; or a name and its URL changed at once.
    """
    tenancy = comparison.tenancy
    changed = sum(step.action == "unsubscribe" or _moves_url(step) for step in plan.steps)
    recorded = {entry.address for entry in comparison.history.entries.values()}
    if not (changed and recorded and comparison.pairs):
        return
    if recorded.isdisjoint(subscription.address for subscription, _ in comparison.pairs):
        what = (
            f"{tenancy.name}: the state has none of this file's addresses for {tenancy.where},"
            f" and the plan moves or removes {pluralised(changed, 'subscription')}"
        )
        fix = "check that `server` and `tenant` are those that this file is meant for"
        if moves := _renames(plan, flags):
            fix = f"if a name and its URL changed at once: {' and '.join(moves)}; otherwise {fix}"
        yield Problem(what, fix, tenancy.location)


def _renames(plan: TenancyPlan, flags: RunFlags) -> list[str]:
    """Word the commands that rename what was removed, if what is new has one other name."""
    gone = {step.trigger: step for step in plan.steps if NO_LONGER_DECLARED in step.reasons}
    new = [step for step in plan.steps if step.action == "subscribe" and step.trigger in gone]
    moves = []
    for step in new:
        former = f"{plan.name}/{gone[step.trigger].name}/{step.trigger.short}"
        moves.append(f"`{flags.command('state move', former, step.new.address)}`")
    names = {(gone[step.trigger].name, step.name) for step in new}
    return moves if len(names) == 1 else []


def wrong_ids(comparison: Comparison) -> Iterator[Problem]:
    """Report each id to adopt that is live with a different URL or trigger than declared.

    The subscriptions of one name have the same ids, and so the same problems.
    """
    live = {subscription.id: subscription for subscription in comparison.live}
    keys = {(declared.name, declared.key) for declared in comparison.tenancy.subscriptions}
    for declared in comparison.tenancy.subscriptions:
        for identifier in declared.adopt:
            found = live.get(identifier)
            is_recorded = comparison.history.record(identifier) is not None
            if found and not is_recorded and (declared.name, found.key) not in keys:
                start = f"{declared.tenancy}/{declared.name}: `adopt` names {identifier}, "
                what = (
                    f"which is live as {found.url.shown} {found.trigger.shown}, and"
                    f" {declared.url.shown} is declared"
                )
                fix = "declare what is live, or correct the id; `hooksync list` shows the ids"
                if values := declared.url.differing_values(found.url):
                    what = f"whose live URL has a different value for {values}"
                    fix = "correct this value: copy it from where the receiver is deployed"
                yield Problem(start + what, fix, declared.location)


def near_duplicates(plan: TenancyPlan) -> Iterator[Problem]:
    """Warn if a new subscription differs from a foreign one only in values of its URL's query.

    Then a value may be wrong, and the receiver would get each event twice.
    """
    new = [step for step in plan.steps if step.action == "subscribe"]
    foreign = {}
    for step in plan.steps:
        if new and step.declared is None and step.origin == "foreign":
            foreign[QUERY_VALUE.sub("", step.old.url.identity), step.trigger] = step.old
    for step in new:
        live = foreign.get((QUERY_VALUE.sub("", step.new.url.identity), step.trigger))
        # `wrong_ids` reports an id to adopt
        if live and live.id not in step.new.adopt:
            values = step.new.url.differing_values(live.url)
            what = f"{step.address} is new, but {live.id} differs from it only in {values}"
            yield Problem(what, _NEAR_FIX, plan.location)


def needless_ids(comparison: Comparison) -> Iterator[Problem]:
    """Name the ids to adopt that are ignored.

    After a lost state, they would vouch for any secret.
    """
    live_ids = {subscription.id for subscription in comparison.live}
    for declared in comparison.tenancy.subscriptions:
        for identifier in declared.adopt:
            is_live = identifier in live_ids
            if not is_live or comparison.history.record(identifier):
                why = "the state has it" if is_live else "it is not live"
                name = f"{declared.tenancy}/{declared.name}"
                what = f"{name}: `adopt` names {identifier}, which is ignored: {why}"
                yield Problem(what, "remove the id from the file", declared.location)


def limit_reasons(
    plan: TenancyPlan, tenancy: Tenancy, owned: int, limit: UnsubscribeLimit
) -> list[Problem]:
    """Return how a plan violates a limit of the file or of the policy.

    `owned`: the number of subscriptions that hooksync owns, without duplicates.
    """
    number = _number_removed(plan, limit)
    is_over = _exceeds(limit, number, owned)
    is_named = any(NAMED_BY_REMOVE in step.reasons for step in plan.steps)
    is_kept = is_named or tenancy.subscriptions or tenancy.not_selected
    is_emptied = number == owned and not is_kept
    if not number or limit.percent == 100 or not (is_over or is_emptied):
        return []
    fix = _CEILING_FIX
    does = "remove or move"
    setting = f": the policy has max_unsubscribe: {limit} ({limit.policy})"
    if not limit.policy:
        needed = "100%" if is_emptied else number
        fix = _LIMIT_FIX.format(number=needed, tenancy=tenancy.name)
        does = "unsubscribe"
        setting = f": limits.unsubscribe is {limit}" if is_over else ""
    removed = f"{number} of the {owned} it owns"
    if is_emptied:
        removed = f"all it owns ({number}), since none is declared"
    return [Problem(f"{tenancy.name}: would {does} {removed}{setting}", fix, tenancy.location)]


def _number_removed(plan: TenancyPlan, limit: UnsubscribeLimit) -> int:
    """Count the removals to which a limit applies; a duplicate is not counted again.

    Paused and replaced subscriptions, and those that `remove` names, do not count. For a policy,
    all whose URL ends do.
    """
    counts = _ends_url if limit.policy else _counts
    return len({step.old.key for step in plan.steps if counts(step)})


def _exceeds(limit: UnsubscribeLimit, removed: int, owned: int) -> bool:
    """Whether so many removals exceed a number, or reach a share of those that hooksync owns."""
    if limit.number is not None:
        return removed > limit.number
    percent = limit.percent or 0
    # one removal is within every share above 0%
    return removed * 100 >= owned * percent and (removed >= 2 or percent == 0)


def raised_limit(tenancy: Tenancy, owned: int) -> Iterator[Problem]:
    """Warn while the limit of the file allows more removals than the default does."""
    limit = tenancy.limit
    if limit.number is None:
        is_raised = (limit.percent or 0) > 50
    else:
        is_raised = _exceeds(_DEFAULT_LIMIT, min(limit.number, owned), owned)
    if is_raised:
        what = f"{tenancy.name}: limits.unsubscribe is {limit}, above the default of 50%"
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
    is_paused = step.removes and PAUSED in step.reasons
    return _removes_undeclared(step) or _moves_url(step) or is_paused


def _counts(step: Step) -> bool:
    return _removes_undeclared(step) and NAMED_BY_REMOVE not in step.reasons


def _removes_undeclared(step: Step) -> bool:
    return step.action == "unsubscribe" and step.declared is None


def _moves_url(step: Step) -> bool:
    """Whether a step removes a live URL, and the declared subscription has a different one."""
    if not step.removes or step.declared is None:
        return False
    return URL_CHANGED in step.reasons or (
        step.action == "unsubscribe" and step.old.url.identity != step.declared.url.identity
    )


def refuse_unproven(
    plans: Sequence[TenancyPlan],
    blocked: Mapping[str, Container[str | None]],
    flags: RunFlags,
    *,
    is_empty: bool,
) -> list[TenancyPlan]:
    """Refuse unknown secrets, and what would be created under two open attempts.

    One command names all addresses of a tenancy: hooksync would refuse a part of them because of
    the others. It also names those of the other tenancies with the same kinds of problems.
    `blocked`: the addresses under which too many attempts are open, by tenancy. `is_empty`:
    whether the state has no subscription.
    """
    unproven = {plan.name: _unproven(plan, blocked) for plan in plans}
    alike = defaultdict[frozenset[str], list[TenancyPlan]](list)
    for plan in plans:
        alike[frozenset(unproven[plan.name])].append(plan)
    refused = {}
    for group in alike.values():
        fix = _unproven_fix(_globs(group, unproven), flags, is_empty=is_empty)
        for plan in group:
            problems = []
            for why, addresses in unproven[plan.name].items():
                what = f"{plan.name}: {why}: {shortened(addresses)}"
                problems.append(Problem(what, fix, plan.location))
            refused[plan.name] = replace(plan, refusals=(*plan.refusals, *problems))
    return [refused[plan.name] for plan in plans]


def _globs(
    group: Sequence[TenancyPlan], unproven: Mapping[str, Mapping[str, list[str]]]
) -> Mapping[str, list[str]]:
    """Return the addresses of several tenancies, by what is not known.

    If they are many, and all that a tenancy has are of one kind, a glob replaces them.
    """
    globs = defaultdict[str, list[str]](list)
    for plan in group:
        declared = {step.address for step in plan.steps if step.address}
        for why, addresses in unproven[plan.name].items():
            is_all = len(addresses) == len(declared)
            is_many = len(group) * len(addresses) > _MOST_ADDRESSES
            globs[why] += [f"{plan.name}/*"] if is_all and is_many else addresses
    return globs


def _unproven(
    plan: TenancyPlan, blocked: Mapping[str, Container[str | None]]
) -> Mapping[str, list[str]]:
    """List the addresses of a plan about which too little is known, by what is not known."""
    tried = blocked.get(plan.name, ())
    unproven = defaultdict[str, list[str]](list)
    for step in plan.steps:
        if REPLACED_OUTSIDE in step.reasons:
            unproven[_OUTSIDE].append(step.new.address)
        elif SECRET_UNKNOWN in step.reasons:
            unproven[SECRET_UNKNOWN.text].append(step.new.address)
        elif step.creates and REQUESTED not in step.reasons and step.address in tried:
            unproven[_TRIED].append(step.new.address)
    return unproven


def _unproven_fix(globs: Mapping[str, list[str]], flags: RunFlags, *, is_empty: bool) -> str:
    """Word what a person can do. `globs`: of addresses, by what is not known."""
    outside = globs.get(_OUTSIDE, [])
    unknown = globs.get(SECRET_UNKNOWN.text, [])
    tried = globs.get(_TRIED, [])
    again = flags.applying([*outside, *unknown, *tried])
    fix = f"`{again}` makes new subscriptions with the declared secrets"
    if unknown:
        adopting = flags.applying([*outside, *tried], unknown)
        fix = f"`{adopting}` if the receivers accept events with these secrets; otherwise {fix}"
    if unknown and is_empty:
        fix = f"if a state exists elsewhere, name it with --state; {fix}"
    if tried:
        fix = f"look at what is live with `{flags.command('list')}`; then {fix}"
    return fix


def step_warnings(plan: Plan, flags: RunFlags) -> Iterator[Problem]:
    """Warn of duplicate and paused subscriptions that are left, and of open attempts."""
    if plan.state is None and plan.secret_unknown:
        what = f"secrets of {plan.secret_unknown} not compared: the run has no state"
        yield Problem(what, "leave out --no-state, or name the state with --state")
    yield from _left_warnings(plan, flags)
    if plan.open_attempts:
        what = f"an earlier run may have made what no list shows: {shortened(plan.open_attempts)}"
        yield Problem(what, "plan again later: a list may still show it")


def _left_warnings(plan: Plan, flags: RunFlags) -> Iterator[Problem]:
    left = defaultdict[str, list[Step]](list)
    for step in plan.left_drift:
        left[_LEFT_PAUSED if PAUSED in step.reasons else _LEFT_TWIN].append(step)
    for what, steps in left.items():
        which = [f"{step.address} as {step.id}" for step in steps]
        removing = flags.command("remove", *(step.id for step in steps))
        fix = f"ask who made it; `{removing}` if nobody needs it"
        yield Problem(f"{what}: {shortened(which)}", fix)
