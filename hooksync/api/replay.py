"""Saved steps + what is live now -> the plan to carry out, or why it may not be. Pure.

No new plan is made: what was reviewed is done, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from hooksync.api.saved_plan import SavedPlan, SavedTenancy
from hooksync.config.declarations import Written
from hooksync.core.errors import Problem, some_of
from hooksync.core.model import LiveSubscription, Tenancy
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.core.signing import PlanKey
from hooksync.core.urls import owns_url, shown_server
from hooksync.output.plan_json import url_digest
from hooksync.output.run_json import live_digest, live_row
from hooksync.output.view import StepView
from hooksync.reconcile.plan import Keep, Leave, Resubscribe, Step, Subscribe, TenancyPlan, Unsubscribe
from hooksync.state.history import FetchedTenancy, History

_PLAN_ANEW = "create a new plan, review it, and apply that"


def rebuild(
    saved: SavedTenancy,
    fetched: FetchedTenancy,
    history: History,
    reasons_against: Callable[[TenancyPlan], Iterable[Problem]],
) -> TenancyPlan:
    """Make the saved plan again from what is live now. Refused where that is not what the plan was made for."""
    tenancy, live = fetched.tenancy, {each.id: each for each in fetched.live}
    refusals = [*_another_tenant(saved, fetched), *_moved(saved, fetched), *_not_owned(saved, fetched)]
    found = {**saved.live, **live}  # what is gone is in it, too, so that the report can show a refused plan
    plan = TenancyPlan(tenancy, fetched.live, tuple(_steps(saved, tenancy, found, history)), history)
    if not refusals:
        refusals = [*_rotated(plan), *reasons_against(plan)]
    return replace(plan, refusals=tuple(refusals))


def elsewhere(saved: SavedPlan, tenancies: Sequence[Tenancy], key: PlanKey | None) -> Iterator[Problem]:
    """Say where this environment leads elsewhere than that in which the plan was made.

    A tenant that is not declared is known after the log-in only, and judged then, by `rebuild`.
    """
    for one, tenancy in zip(saved.tenancies, tenancies, strict=True):
        bound = one.binding
        is_other = tenancy.tenant is not None and not _is_same_tenant(bound.tenant, tenancy.tenant)
        if tenancy.server.base_url != bound.server or is_other:
            then = " / ".join(filter(None, (shown_server(bound.server), bound.tenant)))
            what = f"{tenancy.name}: the plan was made for {then}, and this environment leads to {tenancy.where}"
            settings = one.entry.settings
            yield Problem(what, _as_it_was(settings.server, settings.tenant), tenancy.location)
        elif key or not saved.is_signed:  # else the digests of URLs cannot be made here, and a warning says so
            yield from _other_urls(one, tenancy, saved.id, key)


def _other_urls(saved: SavedTenancy, tenancy: Tenancy, plan_id: str, key: PlanKey | None) -> Iterator[Problem]:
    pairs = zip(saved.entry.subscriptions, tenancy.subscriptions, strict=True)
    digests = saved.binding.urls
    other = {one.address: entry.url for entry, one in pairs if digests[one.address] != url_digest(one, plan_id, key)}
    if other:
        what = f"{tenancy.name}: the plan was made for other URLs than this environment leads to"
        yield Problem(f"{what}: {_listed('see', other)}", _as_it_was(*other.values()), tenancy.location)


def _as_it_was(*texts: Written | None) -> str:
    """Advise on texts that lead elsewhere, by their variables."""
    names = list(dict.fromkeys(f"${{{name}}}" for text in texts if text for name in text.template.names))
    return f"set {some_of(names)} as when the plan was made, or {_PLAN_ANEW}" if names else _PLAN_ANEW


def _is_same_tenant(one: str | None, other: str | None) -> bool:
    return (one or "").casefold() == (other or "").casefold()


def _another_tenant(saved: SavedTenancy, fetched: FetchedTenancy) -> Iterable[Problem]:
    """Refuse a log-in that led to another tenant than that of the plan."""
    tenancy, then = fetched.tenancy, saved.binding.tenant
    if not _is_same_tenant(then, tenancy.tenant):
        then, now = (f"the tenant {name}" if name else "an unknown tenant" for name in (then, tenancy.tenant))
        what = f"{tenancy.name}: the plan was made for {then}, and this log-in led to {now}"
        yield Problem(what, f"log in as when the plan was made, or {_PLAN_ANEW}", tenancy.location)


def _moved(saved: SavedTenancy, fetched: FetchedTenancy) -> Iterable[Problem]:
    """Say what is no longer live as it was when the plan was made."""
    live = {each.id: each for each in fetched.live}
    if saved.live_digest != live_digest(fetched.live) or saved.live.keys() != live.keys():
        changes = _differences(saved.live, live) or "a URL, trigger or flag"
        what = f"{fetched.tenancy.name}: what is live has changed since the plan was made: {changes}"
        yield Problem(what, _PLAN_ANEW, fetched.tenancy.location)


def _differences(then: Mapping[str, LiveSubscription], now: Mapping[str, LiveSubscription]) -> str:
    """Name the ids that were added, are gone, and have changed, these with their fields."""
    changed = []
    for id_ in then.keys() & now.keys():
        before, after = live_row(then[id_]), live_row(now[id_])
        if names := [name for name in ("include_identifiers", "trigger", "url") if before[name] != after[name]]:
            changed.append(f"{id_} ({', '.join(names)})")
    found = (("added", now.keys() - then.keys()), ("gone", then.keys() - now.keys()), ("changed", changed))
    return "; ".join(_listed(word, ids) for word, ids in found if ids)


def _rotated(plan: TenancyPlan) -> Iterable[Problem]:
    """Refuse to keep what the plan keeps, where its secret is known to be another one by now."""
    kept = [step for step in plan.steps if isinstance(step, Keep) and step.secret_state == "changed"]
    if kept:
        addresses = some_of([step.declared.address for step in kept])
        what = (
            f"{plan.tenancy.name}: the plan keeps subscriptions whose secrets differ in this environment: {addresses}"
        )
        yield Problem(what, f"{_PLAN_ANEW}, with the secrets set", plan.tenancy.location)


def _not_owned(saved: SavedTenancy, fetched: FetchedTenancy) -> Iterable[Problem]:
    """Refuse to remove what the tenancy does not own, whatever the plan says."""
    tenancy = fetched.tenancy
    removed = {step.id for step in saved.steps if step.action in ("resubscribe", "unsubscribe")}
    not_ours = {each.id for each in fetched.live if each.id in removed and not owns_url(tenancy.owns, each.url.full)}
    if not_ours:
        what = f"{tenancy.name}: the plan would remove what lies outside `owns`: {_listed('not ours', not_ours)}"
        yield Problem(what, _PLAN_ANEW, tenancy.location)


def _steps(
    saved: SavedTenancy, tenancy: Tenancy, found: Mapping[str, LiveSubscription], history: History
) -> Iterable[Step]:
    declared = {each.address: each for each in tenancy.subscriptions}
    for step in saved.steps:
        match step:
            case StepView("subscribe", str(address)):
                yield Subscribe(declared[address], step.secret_state)
            case StepView("resubscribe", str(address), id=str(id_)):
                one, old, is_move = declared[address], found[id_], step.replaces_url is not None
                yield Resubscribe(one, old, step.reasons, step.changes, step.secret_state, is_move)
            case StepView("keep", str(address), id=str(id_)):  # its state is what this machine's state and secrets say
                yield Keep(declared[address], found[id_], history.state_of(declared[address], found[id_]))
            case StepView("unsubscribe", address, id=str(id_)):
                yield Unsubscribe(found[id_], step.reasons[0], declared[address] if address else None)
            case StepView("leave", id=str(id_)):
                yield Leave(found[id_], step.reasons[0])
            case _:
                raise AssertionError(step.action)  # `reader` refuses all others


def _listed(word: str, ids: Iterable[str]) -> str:
    return f"{word} {some_of(sorted(map(printable, ids)))}"
