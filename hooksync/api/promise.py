"""A promise is what a plan showed. A plan that is made now is compared with it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hooksync.core.errors import Problem, some_of
from hooksync.core.model import NO_VALUE
from hooksync.core.record import Record
from hooksync.core.redaction import printable
from hooksync.core.signing import PlanKey
from hooksync.output.plan_json import plan_tenancy
from hooksync.output.text import yes_no
from hooksync.output.view import RunView
from hooksync.reconcile.diff import compare

PLAN_ANEW = "create a new plan, review it, and apply that"

_AS_THEN = f"{PLAN_ANEW}; or give it the hooks files and variables that it was made with"
_MAKING = ("subscribe", "resubscribe")
_COMPARED = ("action", "address", "trigger", "id", "include_identifiers", "url_digest")

Fields = Mapping[str, Any]  # an object of a document


class Promise(Record, frozen=True):
    """The steps that a plan showed, as data to compare a new plan with."""

    HIDDEN = ("key",)

    plan_id: str
    key: PlanKey | None  # for the digests of URLs; None: the plan's id is used
    tenancies: Mapping[str, Fields]  # by name


def promise_of(view: RunView, plan_id: str, key: PlanKey | None = None) -> Promise:
    """Return the promise of a plan. A tenancy that could not be read has no entry."""
    tenancies = {}
    for one in view.tenancies:
        if one.live is not None:
            tenancies[one.name] = promised(plan_tenancy(one, plan_id, key))
    return Promise(plan_id, key, tenancies)


def promised(tenancy: Fields) -> Fields:
    """Return the data to compare: server, tenant, and the steps that change something.

    `tenancy`: one tenancy of a plan's document. The steps are listed by live id, or by address.
    A field that the document lacks is not compared: it is new in a later version.
    """
    steps = {}
    for row in tenancy["steps"]:
        if row["action"] in ("keep", "leave"):
            continue
        step = {name: row[name] for name in _COMPARED if name in row}
        if row["action"] in _MAKING:
            for name in ("replacement", "probe"):
                if name in tenancy:
                    step[name] = tenancy[name]
        secret = row.get("secret")
        if secret:
            step["secret"] = secret["ref"]
            if secret["state"] not in NO_VALUE:  # a plan may be made without the secrets
                step["secret_state"] = secret["state"]
        steps[row.get("id") or row.get("address")] = step
    return {"server": tenancy.get("server"), "tenant": tenancy.get("tenant"), "steps": steps}


def differences(promise: Promise, view: RunView) -> Iterator[Problem]:
    """Report, for each tenancy, how a plan made now differs from the promise."""
    now = promise_of(view, promise.plan_id, promise.key).tenancies
    unread = {one.name for one in view.tenancies if one.live is None}
    for name in sorted({*promise.tenancies, *now, *unread}):
        if name in unread:
            found = ["it could not be read, so it cannot be compared"]
        elif name not in now:
            found = ["it is in the plan, and no hooks file declares it"]
        elif name not in promise.tenancies:
            found = ["it is not in the plan, and the hooks files declare it"]
        else:
            found = list(_tenancy_differences(promise.tenancies[name], now[name]))
        if found:
            what = f"{name}: the plan does not show what would be done now: "
            yield Problem(what + printable(some_of(found)), _AS_THEN)


def _tenancy_differences(then: Fields, now: Fields) -> Iterator[str]:
    for field in ("server", "tenant"):
        if then[field] != now[field]:
            yield f"{field} {then[field]} -> {now[field]}"
    steps = {}
    for key, step in now["steps"].items():
        planned = then["steps"].get(key, step)
        steps[key] = {name: step.get(name) for name in planned}
    for path, before, after in compare(then["steps"], steps):
        if len(path) > 1:
            yield f"{_step_text(then['steps'][path[0]])}: {_change_text(path[1:], before, after)}"
        elif before is None:
            yield f"not in the plan: {_step_text(after)}"
        else:
            yield f"only in the plan: {_step_text(before)}"


def _step_text(step: Fields) -> str:
    """Name a step, e.g. `resubscribe prod/catalogue/INDEXED, replaces 9495ddbf`."""
    if step["action"] == "resubscribe":
        return f"resubscribe {step.get('address')}, replaces {step.get('id')}"
    return f"{step['action']} {step.get('id') or step.get('address')}"


def _change_text(path: Sequence[str | int], before: object, after: object) -> str:
    if path[0] == "url_digest":
        return "the URL differs"
    if isinstance(before, bool) and isinstance(after, bool):
        return f"{path[0]} {yes_no(before)} -> {yes_no(after)}"
    return f"{path[0]} {before} -> {after}"
