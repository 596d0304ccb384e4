"""Decide why a plan may not be carried out, and warn of what its steps show. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from math import inf

from hooksync.core.errors import Problem, Problems, shortened
from hooksync.core.flags import CommandOptions
from hooksync.core.model import PlainSettings, Tenancy, UnsubscribeLimit
from hooksync.core.record import replace
from hooksync.reconcile.diff import Comparison
from hooksync.reconcile.plan import (
    NAMED_BY_REMOVE,
    PAUSED,
    REPLACED_OUTSIDE,
    REQUESTED,
    SECRET_UNKNOWN,
    URL_CHANGED,
    Step,
    TenancyPlan,
    TenancyPlans,
    with_held,
)
from hooksync.state.history import MOST_OPEN

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
_UNKNOWN = SECRET_UNKNOWN.text
_OUTSIDE = f"{REPLACED_OUTSIDE.text} (somebody else made it, or hooksync with a different state)"
_TRIED = "two attempts are open, so it is not created again"
_PAUSED = "live although paused, and left alone"
_TWICE = "live more than once (the receiver gets each event again), and left alone"
_WRONG_ID_FIX = (
    "correct the value of the URL (a variable?), or the id: `hooksync list` shows what is live"
)
Addresses = Mapping[str, list[str]]  # by the tenancy's name

_MOST_ADDRESSES = 2  # that a fix names one by one if a glob can name all


def judged(comparison: Comparison) -> TenancyPlan:
    """Plan a tenancy, with the reasons not to carry it out, and what a person should know."""
    plan = comparison.plan()
    tenancy = comparison.tenancy
    owned = len({live.key for live in comparison.live if comparison.is_owned(live)})
    removals = _removals(plan, tenancy)
    over_limit = tuple(_over_limit(removals[""], tenancy, owned))
    refusals = [*over_limit, *_wrong_removals(plan, comparison.basis.selection.remove)]
    if tenancy.enabled:  # otherwise, only the limits for all tenancies together apply
        refusals += _excesses(removals, tenancy.ceilings, plan, owned)
    wrong, ignored = _judge_ids(comparison)
    warnings = [*_emptied(comparison, plan), *ignored]
    if tenancy.limit.most(owned) > _DEFAULT_LIMIT.most(owned):
        what = f"limits.unsubscribe is {tenancy.limit}, above the default of {_DEFAULT_LIMIT}"
        warnings.append(
            Problem(
                f"{tenancy.name}: {what}",
                "remove this limit once the removal is done",
                tenancy.location,
            )
        )
    if plan.open_attempts:
        warnings.append(
            Problem(
                f"an earlier run may have made what no list shows: {shortened(plan.open_attempts)}",
                "apply again: it waits for the list, and then continues",
            )
        )
    plan = replace(plan, refusals=tuple(refusals), over_limit=over_limit, warnings=tuple(warnings))
    return with_held(plan, wrong, is_error=True)


def _emptied(comparison: Comparison, plan: TenancyPlan) -> Iterator[Problem]:
    """Warn if the list is empty, and was not when the state was written."""
    records = comparison.records
    number = len(records.entries) + len(records.foreign or ())
    if number and not comparison.live:
        yield Problem(
            f"{plan.name}: the list is empty; the last apply saw {number}",
            "check `server`, `tenant` and the role of the user before you apply",
            plan.location,
        )


def _judge_ids(comparison: Comparison) -> tuple[dict[str, Problem], Problems]:
    """Judge the ids to adopt. Return wrong ones by address, and problems of ids that are ignored.

    A wrong id is live with a different URL or trigger than declared. After a lost state, an ignored
    id would vouch for any secret.
    """
    live = {subscription.id: subscription for subscription in comparison.live}
    keys = {(declared.name, declared.key) for declared, _ in comparison.pairs}
    wrong = {}
    ignored = {}  # all triggers of a name have the same ids
    for declared in comparison.tenancy.subscriptions:
        for identifier in declared.adopt:
            found = live.get(identifier)
            what = f"{declared.tenancy}/{declared.name}: `adopt` names {identifier}, which is"
            if found is None or comparison.record(identifier):
                what += f" ignored: {'the state has it' if found else 'it is not live'}"
                ignored[what] = Problem(what, "remove the id from the file", declared.location)
            elif (declared.name, found.key) not in keys:
                there = f"{found.url.shown} {found.trigger!s}"  # as the service names it
                what += (
                    f" live as {there}, and {declared.url.shown} {declared.trigger!s} is declared"
                )
                wrong[declared.address] = Problem(what, _WRONG_ID_FIX, declared.location)
    return wrong, tuple(ignored.values())


def _over_limit(number: int, tenancy: Tenancy, owned: int) -> Iterator[Problem]:
    """Refuse to remove more than the limit of the file allows, or all if none is declared."""
    most = tenancy.limit.most(owned)
    why = f"limits.unsubscribe is {tenancy.limit}"
    to_allow = f"{number}"
    if number == owned and most < inf and not (tenancy.subscriptions or tenancy.not_selected):
        most = 0
        why = "none is declared"
        to_allow = "100%"
    if number > most:
        fix = _LIMIT_FIX.format(number=to_allow, tenancy=tenancy.name)
        yield Problem(
            f"{tenancy.name}: would unsubscribe {number} of the {owned} it owns: {why}",
            fix,
            tenancy.location,
        )


def run_reasons(
    plans: TenancyPlans, tenancies: Iterable[Tenancy], limits: Mapping[str, UnsubscribeLimit]
) -> Problems:
    """List the limits of a policy that the tenancies of a run exceed together."""
    by_name = {tenancy.name: tenancy for tenancy in tenancies}
    counts = Counter[str]()
    for plan in plans:
        if plan.is_ready:
            counts += _removals(plan, by_name[plan.name])
    return tuple(_excesses(counts, limits))


def _excesses(
    counts: Counter[str],
    limits: Mapping[str, UnsubscribeLimit],
    plan: TenancyPlan | None = None,  # None: all of a run
    owned: int = 0,
) -> Iterator[Problem]:
    """Word each limit of a policy that is exceeded."""
    who = f"{plan.name}: would" if plan else "the run would"
    whole = f" of the {owned} it owns" if plan else ""
    for field, limit in limits.items():
        if counts[field] > limit.most(owned):
            name = field if plan else f"{field}_run"
            what = f"{who} {_DOES[field]} {counts[field]}{whole}: the policy has {name}: {limit}"
            yield Problem(
                f"{what} ({limit.policy})",
                f"do less in one run, or ask the owners of the policy to allow it, under {name}",
                plan.location if plan else None,
            )


def _removals(plan: TenancyPlan, tenancy: Tenancy) -> Counter[str]:
    """Count the live identities that a plan ends, by the field of a policy; "": for the file.

    For the file, replaced and duplicate subscriptions do not count as removed, and neither do those
    that `remove` names; paused ones count in a disabled tenancy alone. For a policy, a live URL is
    moved if a different one replaces it. Without a limit for moves, it counts as unsubscribed, too.
    """
    found = set()
    for step in plan.steps:
        if not step.removes:
            continue
        key = step.live_side.key
        is_paused = PAUSED in step.reasons
        if step.declared is None or is_paused:
            found.add(("max_unsubscribe", key))
            if NAMED_BY_REMOVE not in step.reasons and not (is_paused and tenancy.enabled):
                found.add(("", key))
        # what is resubscribed may be spelled differently
        elif URL_CHANGED in step.reasons or (
            step.action == "unsubscribe" and key.url != step.declared.url.identity
        ):
            found.add(("max_move", key))
        elif step.action == "resubscribe":
            found.add(("max_resubscribe", key))
    counts = Counter(field for field, _ in found)
    if "max_move" not in tenancy.ceilings:
        counts["max_unsubscribe"] += counts["max_move"]
    return counts


def _wrong_removals(plan: TenancyPlan, named: Container[str]) -> Iterator[Problem]:
    """Refuse to remove by id what an address keeps, and what is protected.

    `named`: the ids that `remove` names.
    """
    for step in plan.steps:
        if step.id in named and step.action != "unsubscribe":
            yield Problem(
                f"{plan.name}: {step.id} is not removed: {step.reason}",
                "leave out this id; to remove what a file declares, remove it from the file",
                plan.location,
            )


def hold_unproven(
    plans: TenancyPlans,
    comparisons: Mapping[str, Comparison],
    flags: CommandOptions,
    *,
    is_empty: bool,
    is_part: bool,
) -> TenancyPlans:
    """Hold the addresses of what is not known, or paused and left. Warn of other duplicates.

    One command names all that need the same. `comparisons`: by the tenancy's name. `is_empty`: the
    state has no records. `is_part`: an apply would also read what this run does not.
    """
    held = {plan.name: plan for plan in plans}
    for why, steps in _sort_out(plans, comparisons).items():
        addresses = defaultdict[str, list[str]](list)  # by the tenancy's name
        for step in steps:
            addresses[step.declared_side.tenancy].append(step.declared_side.address)
        fix = _fix(why, steps, addresses, plans, flags, is_empty=is_empty, is_part=is_part)
        for name, alike in addresses.items():
            plan = held[name]
            what = f"{name}: {why}: {shortened([*dict.fromkeys(alike)])}"
            problem = Problem(what, fix, plan.location)
            if why == _TWICE:
                held[name] = replace(plan, warnings=(*plan.warnings, problem))
            elif _concerns_all(why, comparisons[name]):
                held[name] = replace(plan, refusals=(*plan.refusals, problem))
            else:
                held[name] = with_held(plan, dict.fromkeys(alike, problem))
    return [*held.values()]


def _concerns_all(why: str, comparison: Comparison) -> bool:
    """Whether a refusal concerns a tenancy: it is disabled, or its state may be a wrong one."""
    if why == _PAUSED:
        return not comparison.tenancy.enabled
    return why == _UNKNOWN and not comparison.records.subscriptions


def _sort_out(
    plans: TenancyPlans, comparisons: Mapping[str, Comparison]
) -> Mapping[str, list[Step]]:
    """Return the steps that hooksync does not do, and those of what it leaves, by the reason.

    A duplicate that is left is not reported of an address that is held.
    """
    found = defaultdict[str, list[Step]](list)
    held = set()
    for step in [step for plan in plans for step in plan.steps]:
        if REPLACED_OUTSIDE in step.reasons:
            why = _OUTSIDE
        elif SECRET_UNKNOWN in step.reasons:
            why = _UNKNOWN
        elif step.creates and REQUESTED not in step.reasons:
            needed = comparisons[step.declared_side.tenancy].needed
            if needed[step.declared_side.address] < MOST_OPEN:
                continue
            why = _TRIED
        elif step.action == "leave" and PAUSED in step.reasons:
            why = _PAUSED
        elif step.action == "leave" and step.declared and step.address not in held:
            found[_TWICE].append(step)
            continue
        else:
            continue
        held.add(step.address)
        found[why].append(step)
    return found


def _fix(
    why: str,
    steps: Sequence[Step],
    addresses: Addresses,
    plans: TenancyPlans,
    flags: CommandOptions,
    *,
    is_empty: bool,
    is_part: bool,
) -> str:
    """Word what a person can do, in commands that name all steps."""
    if why in (_PAUSED, _TWICE):
        removing = flags.command("remove", *(step.id for step in steps))
        return f"ask who made it; `{removing}` if nobody needs it"
    globs = _smallest_globs(addresses, plans, is_part=is_part)
    replacing = flags.applying("--replace", globs)
    fix = f"`{replacing}` makes new subscriptions with the declared secrets"
    if why == _TRIED:
        return f"look at what is live with `{flags.command('list')}`; then {fix}"
    if why == _UNKNOWN:
        if len(steps) > _MOST_ADDRESSES and not is_part:
            globs = ["*/*"]  # --adopt takes nothing else
        adopting = flags.applying("--adopt", globs)
        fix = f"`{adopting}` if the receivers accept events with these secrets; otherwise {fix}"
        if is_empty:
            push = flags.command("state push", "FILE")
            fix = f"if the state is elsewhere, `{push}` first; otherwise {fix}"
    return fix


def _smallest_globs(addresses: Addresses, plans: TenancyPlans, *, is_part: bool) -> list[str]:
    """Name addresses by as few globs as possible, which match no others."""
    number = sum(map(len, addresses.values()))
    declared = sum(plan.declared_count for plan in plans)
    if declared == number > _MOST_ADDRESSES and not is_part:
        return ["*/*"]
    globs = []
    for plan in plans:
        named = addresses.get(plan.name, [])
        is_all = len(named) == plan.declared_count > _MOST_ADDRESSES
        globs += [f"{plan.name}/*"] if is_all else named
    return globs
