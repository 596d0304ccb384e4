"""Decide why a plan may not be carried out, and warn of what its steps show. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import partial

from hooksync.core.errors import Problem, Problems, shortened
from hooksync.core.flags import CommandOptions
from hooksync.core.model import (
    DeclaredSubscription,
    PlainSettings,
    Tenancy,
    UnsubscribeLimit,
)
from hooksync.core.record import replace
from hooksync.reconcile.diff import Comparison
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
    TenancyPlans,
    with_held,
)
from hooksync.state.model import TenancyRecords

_DOES = {
    "max_unsubscribe": "remove or move",
    "max_move": "move",
    "max_resubscribe": "resubscribe",
}
_DEFAULT_LIMIT = PlainSettings().limit
_LIMIT_FIX = (
    "check what `owns` covers, and the subscriptions of the file; if all of this is to be removed,"
    " set `limits: {{unsubscribe: {number}}}` under `{tenancy}` for one apply"
)
_OUTSIDE = f"{REPLACED_OUTSIDE.text} (somebody else made it, or hooksync with a different state)"
_TRIED = "two attempts are open, so it is not created again"
_LEFT = "live more than once (the receiver gets each event again), and left alone"
_WRONG_ID_FIX = (
    "correct the value of the URL (a variable?), or the id: `hooksync list` shows what is live"
)
_MOST_ADDRESSES = 2  # of a tenancy, that a fix names one by one if a glob can name all


def emptied(plan: TenancyPlan, records: TenancyRecords) -> Iterator[Problem]:
    """Warn if the list is empty, and was not when the state was written."""
    number = len(records.entries) + len(records.foreign or ())
    if number and plan.live_count == 0:
        what = f"{plan.name}: the list is empty; the last apply saw {number}"
        fix = "check `server`, `tenant` and the role of the user before you apply"
        yield Problem(what, fix, plan.location)


def judge_ids(comparison: Comparison) -> tuple[dict[str, Problem], list[Problem]]:
    """Judge the ids to adopt. Return wrong ones by address, and problems of ids that are ignored.

    A wrong id is live with a different URL or trigger than declared. After a lost state, an ignored
    id would vouch for any secret.
    """
    live = {subscription.id: subscription for subscription in comparison.live}
    keys = {(declared.name, declared.key) for declared, _ in comparison.pairs}
    wrong = {}
    ignored = []
    for declared, identifier in _ids_to_adopt(comparison.tenancy):
        found = live.get(identifier)
        what = f"{declared.tenancy}/{declared.name}: `adopt` names {identifier}, which is"
        if found is None or comparison.history.record(identifier):
            what += f" ignored: {'the state has it' if found else 'it is not live'}"
            ignored.append(Problem(what, "remove the id from the file", declared.location))
        elif (declared.name, found.key) not in keys:
            there = f"{found.url.shown} {found.trigger!s}"  # as the service names it
            what += f" live as {there}, and {declared.url.shown} {declared.trigger!s} is declared"
            problem = Problem(what, _WRONG_ID_FIX, declared.location)
            for other in comparison.tenancy.subscriptions:
                if other.name == declared.name:
                    wrong[other.address] = problem
    return wrong, ignored


def _ids_to_adopt(tenancy: Tenancy) -> Iterator[tuple[DeclaredSubscription, str]]:
    """Yield each id with one subscription of its name: all of a name have the same ids."""
    names = {declared.name: declared for declared in tenancy.subscriptions}
    for declared in names.values():
        for identifier in declared.adopt:
            yield declared, identifier


def limit_reasons(plan: TenancyPlan, tenancy: Tenancy, owned: int) -> list[Problem]:
    """Return how a plan violates the limit of the file.

    `owned`: the number of subscriptions that hooksync owns, without duplicates. Replaced and
    duplicate subscriptions do not count as removed, and neither do those that `remove` names.
    Paused ones count in a disabled tenancy alone.
    """
    limit = tenancy.limit
    counts = partial(_counts, counts_paused=not tenancy.enabled)
    number = len({step.live_side.key for step in plan.steps if counts(step)})
    if not number or limit.percent == 100:
        return []
    if number == owned and not (tenancy.subscriptions or tenancy.not_selected):
        what = f"unsubscribe all it owns ({number}), since none is declared"
        fix = _LIMIT_FIX.format(number="100%", tenancy=tenancy.name)
    elif _exceeds(limit, number, owned):
        what = f"unsubscribe {number} of the {owned} it owns: limits.unsubscribe is {limit}"
        fix = _LIMIT_FIX.format(number=number, tenancy=tenancy.name)
    else:
        return []
    return [Problem(f"{tenancy.name}: would {what}", fix, tenancy.location)]


def policy_reasons(plan: TenancyPlan, tenancy: Tenancy, owned: int) -> Iterator[Problem]:
    """Return how a plan violates the limits of a policy for each tenancy.

    In a disabled tenancy, only the limits for all tenancies together apply.
    """
    if tenancy.enabled:
        yield from _excesses(_limited(plan, tenancy), tenancy.ceilings, plan, owned)


def run_reasons(
    plans: TenancyPlans, tenancies: Iterable[Tenancy], limits: Mapping[str, UnsubscribeLimit]
) -> Problems:
    """List the limits of a policy that the tenancies of a run exceed together."""
    by_name = {tenancy.name: tenancy for tenancy in tenancies}
    counts = Counter[str]()
    for plan in plans:
        if plan.is_ready:
            counts += _limited(plan, by_name[plan.name])
    return tuple(_excesses(counts, limits))


def _excesses(
    counts: Counter[str],
    limits: Mapping[str, UnsubscribeLimit],
    plan: TenancyPlan | None = None,  # None: all of a run
    owned: int = 0,
) -> Iterator[Problem]:
    """Word each limit of a policy that is exceeded."""
    for field, limit in limits.items():
        if limit.percent == 100 or not _exceeds(limit, counts[field], owned):
            continue
        who = f"{plan.name}: would" if plan else "the run would"
        whole = f" of the {owned} it owns" if plan else ""
        name = field if plan else f"{field}_run"
        what = f"{who} {_DOES[field]} {counts[field]}{whole}: the policy has {name}: {limit}"
        fix = f"do less in one run, or ask the owners of the policy to allow it, under {name}"
        yield Problem(f"{what} ({limit.policy})", fix, plan.location if plan else None)


def _limited(plan: TenancyPlan, tenancy: Tenancy) -> Counter[str]:
    """Count the steps that each field of a policy limits, each live identity once.

    A live URL that ends is moved if a different one replaces it. If the policy does not limit the
    moves of its tenancy, it counts as unsubscribed as well.
    """
    found = {(_limited_by(step), step.live_side.key) for step in plan.steps if step.removes}
    counts = Counter(field for field, _ in found)
    if "max_move" not in tenancy.ceilings:
        counts["max_unsubscribe"] += counts["max_move"]
    return counts


def _limited_by(step: Step) -> str:
    """Return the field of a policy that limits a removal; "": none does."""
    if step.declared is None or PAUSED in step.reasons:
        return "max_unsubscribe"
    # what is resubscribed may be spelled differently
    has_moved = step.live_side.url.identity != step.declared.url.identity
    if URL_CHANGED in step.reasons or (step.action == "unsubscribe" and has_moved):
        return "max_move"
    return "max_resubscribe" if step.action == "resubscribe" else ""


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
        what = (
            f"{tenancy.name}: limits.unsubscribe is {limit}, above the default of {_DEFAULT_LIMIT}"
        )
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


def _counts(step: Step, *, counts_paused: bool) -> bool:
    """Whether a step counts for the limit of the file."""
    is_counted = step.declared is None or (counts_paused and PAUSED in step.reasons)
    return step.action == "unsubscribe" and is_counted and NAMED_BY_REMOVE not in step.reasons


def hold_unproven(
    plans: TenancyPlans,
    tried: Mapping[str, Container[str]],
    flags: CommandOptions,
    *,
    recorded: Container[str],
    is_empty: bool,
) -> TenancyPlans:
    """Hold the addresses of what is not known. One command names all that need the same.

    If the state has no record of a tenancy with an unknown secret, the state may be a wrong one, so
    the tenancy is refused. `tried`: the addresses under which too many attempts are open, by
    tenancy. `recorded`: the tenancies that the state has. `is_empty`: whether it has none.
    """
    unproven: defaultdict[str, list[str]] = defaultdict(list)
    for plan in plans:
        for why, addresses in _list_unproven(plan, tried.get(plan.name, ())).items():
            unproven[why] += addresses
    fixes = _unproven_fixes(plans, unproven, flags, is_empty=is_empty)
    held = []
    for plan in plans:
        for why, addresses in _list_unproven(plan, tried.get(plan.name, ())).items():
            what = f"{plan.name}: {why}: {shortened(addresses)}"
            problem = Problem(what, fixes[why], plan.location)
            if why == SECRET_UNKNOWN.text and plan.name not in recorded:
                plan = replace(plan, refusals=(*plan.refusals, problem))
            else:
                plan = with_held(plan, dict.fromkeys(addresses, problem))
        held.append(plan)
    return held


def _unproven_fixes(
    plans: TenancyPlans,
    unproven: Mapping[str, list[str]],
    flags: CommandOptions,
    *,
    is_empty: bool,
) -> Mapping[str, str]:
    """Word a fix for each kind of what is not known. `unproven`: addresses by kind."""
    declared = Counter({plan.name: plan.declared_count for plan in plans})
    # how many addresses --adopt would take: a tenancy that could not be read may have more
    unknown = Counter(
        address.partition("/")[0] for address in unproven.get(SECRET_UNKNOWN.text, ())
    )
    unread = [plan for plan in plans if plan.live_count is None]
    unknown += Counter({plan.name: plan.declared_count for plan in unread})
    fixes = {}
    for why, addresses in unproven.items():
        adopted = _smallest_globs(addresses, unknown)
        replaced = _smallest_globs(addresses, declared)
        fixes[why] = _unproven_fix(why, adopted, replaced, flags, is_empty=is_empty)
    return fixes


def refuse_paused(
    plan: TenancyPlan, tenancy: Tenancy, flags: CommandOptions, *, is_trusted: bool
) -> TenancyPlan:
    """Refuse what is paused and live, and what no trusted state has: hooksync cannot remove it.

    This refuses a disabled tenancy as a whole, and otherwise holds the addresses.
    """
    left = [step for step in plan.steps if step.action == "leave" and PAUSED in step.reasons]
    if not left:
        return plan
    which = shortened([f"{step.address} as {step.id}" for step in left])
    removing = flags.command("remove", *(step.id for step in left))
    fix = f"ask who made it; `{removing}` if nobody needs it"
    if not is_trusted:
        pull = flags.command("state pull")
        fix = f"sign the state: `{pull} > FILE`, `{flags.command('state push', 'FILE')}`; or {fix}"
    what = f"{plan.name}: live although paused, and left alone: {which}"
    problem = Problem(what, fix, plan.location)
    if not tenancy.enabled:
        return replace(plan, refusals=(*plan.refusals, problem))
    return with_held(plan, {step.address or "": problem for step in left})


def _smallest_globs(addresses: list[str], counts: Counter[str]) -> list[str]:
    """Name addresses by as few globs as possible.

    `counts`: how many addresses a glob of each tenancy would affect.
    """
    named = Counter(address.partition("/")[0] for address in addresses)
    if named == counts and len(addresses) > _MOST_ADDRESSES:
        return ["*/*"]
    globs = []
    for address in addresses:
        name = address.partition("/")[0]
        is_all = named[name] == counts[name] > _MOST_ADDRESSES
        globs.append(f"{name}/*" if is_all else address)
    return list(dict.fromkeys(globs))


def _list_unproven(plan: TenancyPlan, tried: Container[str]) -> Mapping[str, list[str]]:
    """List the addresses whose secrets are unknown, and those not to be created again."""
    unproven = defaultdict(list)
    for step in plan.steps:
        if REPLACED_OUTSIDE in step.reasons:
            unproven[_OUTSIDE].append(step.declared_side.address)
        elif SECRET_UNKNOWN in step.reasons:
            unproven[SECRET_UNKNOWN.text].append(step.declared_side.address)
        elif step.creates and REQUESTED not in step.reasons and step.declared_side.address in tried:
            unproven[_TRIED].append(step.declared_side.address)
    return unproven


def _unproven_fix(
    why: str, adopted: list[str], replaced: list[str], flags: CommandOptions, *, is_empty: bool
) -> str:
    """Word what a person can do. `adopted`, `replaced`: globs of the same addresses."""
    fix = f"`{flags.applying(replaced)}` makes new subscriptions with the declared secrets"
    if why == _TRIED:
        return f"look at what is live with `{flags.command('list')}`; then {fix}"
    if why == SECRET_UNKNOWN.text:
        adopting = flags.applying([], adopted)
        fix = f"`{adopting}` if the receivers accept events with these secrets; otherwise {fix}"
        if is_empty:
            push = flags.command("state push", "FILE")
            fix = f"if the state is elsewhere, `{push}` first; otherwise {fix}"
    return fix


def step_warnings(plan: Plan, flags: CommandOptions) -> Iterator[Problem]:
    """Warn of duplicates that are left, and of open attempts."""
    if plan.state is None and plan.secret_unknown:
        what = f"secrets of {plan.secret_unknown} not compared: the run has no state"
        yield Problem(what, "leave out --no-state, or name the state with --state")
    left = [step for step in plan.left_drift if not step.is_held]
    if left:
        which = [f"{step.address} as {step.id} ({step.reason})" for step in left]
        removing = flags.command("remove", *(step.id for step in left))
        fix = f"ask who made it; `{removing}` if nobody needs it"
        yield Problem(f"{_LEFT}: {shortened(which)}", fix)
    if plan.open_attempts:
        what = f"an earlier run may have made what no list shows: {shortened(plan.open_attempts)}"
        yield Problem(what, "apply again: it waits for the list, and then continues")
