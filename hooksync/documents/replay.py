"""Saved steps + what is live now -> the plan to carry out, or why it may not be. Pure.

No new plan is made: what was reviewed is done, or nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn

from hooksync.core.errors import Problem
from hooksync.core.model import HookUrl, LiveSubscription, Tenancy, Trigger
from hooksync.core.record import asdict, replace
from hooksync.core.redaction import printable
from hooksync.core.urls import owns_url
from hooksync.documents.reader import LiveRow, SavedStep, SavedTenancy
from hooksync.documents.sealing import live_digest
from hooksync.reconcile.diff import compare
from hooksync.reconcile.plan import Keep, Leave, Resubscribe, Step, Subscribe, TenancyPlan, Unsubscribe
from hooksync.reconcile.planner import FetchedTenancy
from hooksync.state.history import History

_MOST_IDS = 5  # that a message names
_UNKNOWN = LiveRow("unknown", "unknown", None)
_PLAN_ANEW = "create a new plan, review it, and apply that"


def rebuild(
    saved: SavedTenancy,
    fetched: FetchedTenancy,
    history: History,
    reasons_against: Callable[[TenancyPlan], Iterable[Problem]],
) -> TenancyPlan:
    """Make the saved plan again from what is live now. Refused where that is not what the plan was made for."""
    tenancy, live = fetched.tenancy, {each.id: each for each in fetched.live}
    refusals = [*_moved(saved, fetched), *_not_owned(saved, fetched)]
    found = {identifier: live.get(identifier) or _placeholder(saved, identifier) for identifier in _ids(saved)}
    plan = TenancyPlan(tenancy, fetched.live, tuple(_steps(saved, tenancy, found, history)), history)
    if not refusals:
        refusals += reasons_against(plan)
    return replace(plan, refusals=tuple(refusals))


def _moved(saved: SavedTenancy, fetched: FetchedTenancy) -> Iterable[Problem]:
    """Say what is no longer live as it was when the plan was made."""
    name = fetched.tenancy.name
    live = {each.id: _row(each) for each in fetched.live}
    if saved.live_digest != live_digest(fetched.live):
        what = f"{name}: what is live has changed since the plan was made: {_differences(saved, live)}"
        yield Problem(what, _PLAN_ANEW, fetched.tenancy.location)
    elif set(_ids(saved)) != live.keys():
        strange = set(_ids(saved)) ^ live.keys()
        what = f"{name}: the plan's steps are not about what is live: {_listed('differs', strange)}"
        yield Problem(what, _PLAN_ANEW, fetched.tenancy.location)


def _differences(saved: SavedTenancy, live: Mapping[str, LiveRow]) -> str:
    """Name the ids that were added, are gone, and have changed, these with their fields."""
    then = saved.live if saved.live is not None else {id_: live.get(id_) or _UNKNOWN for id_ in _ids(saved)}
    added, gone, changed = list[str](), list[str](), defaultdict[str, list[str]](list)
    for (id_, *field), _, _ in compare(*({id_: asdict(row) for id_, row in rows.items()} for rows in (then, live))):
        if field:
            changed[str(id_)].append(".".join(map(str, field)))
        else:
            (added if id_ in live else gone).append(str(id_))
    fields = [f"{id_} ({', '.join(names)})" for id_, names in changed.items()]
    said = [_listed(word, ids) for word, ids in (("added", added), ("gone", gone), ("changed", fields)) if ids]
    return "; ".join(said) or "a URL, trigger or flag"


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
            case SavedStep("subscribe", str(address)):
                yield Subscribe(declared[address], step.secret_state)
            case SavedStep("resubscribe", str(address), str(id_)):
                one, old = declared[address], found[id_]
                yield Resubscribe(one, old, step.reasons, step.changes, step.secret_state, is_move=step.is_move)
            case SavedStep("keep", str(address), str(id_)):  # its state is what this machine's state and secrets say
                yield Keep(declared[address], found[id_], history.state_of(declared[address], found[id_]))
            case SavedStep("unsubscribe", address, str(id_)):
                yield Unsubscribe(found[id_], step.reasons[0], declared[address] if address else None)
            case SavedStep("leave", _, str(id_)):
                yield Leave(found[id_], step.reasons[0])
            case _:
                _unreachable(step)


def _unreachable(step: SavedStep) -> NoReturn:
    raise AssertionError(step.action)  # `reader` refuses all others


def _ids(saved: SavedTenancy) -> list[str]:
    return [step.id for step in saved.steps if step.id is not None]


def _placeholder(saved: SavedTenancy, identifier: str) -> LiveSubscription:
    """Return what stands for a subscription that is gone, so that the report can show a refused plan."""
    row = (saved.live or {}).get(identifier) or _UNKNOWN
    return LiveSubscription(identifier, HookUrl(row.url, row.url), Trigger(row.trigger), row.include_identifiers)


def _row(live: LiveSubscription) -> LiveRow:
    return LiveRow(live.url.shown, live.trigger.wire, live.include_identifiers)


def _listed(word: str, ids: Iterable[str]) -> str:
    names = sorted(map(printable, ids))
    more = f" and {len(names) - _MOST_IDS} more" if len(names) > _MOST_IDS else ""
    return f"{word} {', '.join(names[:_MOST_IDS])}{more}"
