"""A plan as JSON text, with its digests and its signature. Pure.

No secret goes into a digest. A whole URL, which may hold a key, goes only into a digest with a key
or a random salt.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta

from hooksync.core.clock import rfc3339
from hooksync.core.errors import ExitCode
from hooksync.core.model import DeclaredSubscription
from hooksync.core.signing import PlanKey
from hooksync.output.json_text import canonical, sealed
from hooksync.output.run_json import counted_steps, document_fields, step_fields, tenancy_fields
from hooksync.output.view import RunView, TenancyView
from hooksync.reconcile.plan import ACTIONS

PLAN_FORMAT = "hooksync.plan/1"
SIGNED_FOR = timedelta(hours=24)  # unless --max-age says otherwise

_DOMAIN = b"hooksync.plan/1 signature\n"  # so that no other signature fits a plan
_URL_DOMAIN = b"hooksync.plan/1 url\n"  # so that no other digest fits a URL


def plan_json(
    view: RunView,
    selection: Mapping[str, object],
    plan_id: str,
    key: PlanKey | None = None,
    *,
    exit_code: ExitCode = ExitCode.DONE,
    commit: str | None = None,
) -> str:
    """Return a plan as JSON text, signed if there is a key.

    `selection`: the globs, by the names of their flags. `plan_id`: 32 random hexadecimal digits.
    `commit`: of the hooks file's repository.
    """
    end = datetime.fromisoformat(view.created_at) + SIGNED_FOR
    document = document_fields(
        view,
        PLAN_FORMAT,
        exit_code,
        id=plan_id,
        commit=commit,
        expires_at=rfc3339(end.timestamp()) if key else None,
        selection=selection,
        tenancies=[plan_tenancy(tenancy, plan_id, key) for tenancy in view.tenancies],
        summary=counted_steps(view, view.counts(), ACTIONS),
    )
    if key:
        document["signature"] = signature_of(document, key)
    return sealed(document)


def plan_tenancy(view: TenancyView, plan_id: str, key: PlanKey | None) -> dict[str, object]:
    """Write one tenancy of a plan."""
    return tenancy_fields(
        view,
        steps=_steps(view, plan_id, key),
        summary=counted_steps(view, view.counts(), ACTIONS),
    )


def _steps(view: TenancyView, plan_id: str, key: PlanKey | None) -> list[dict[str, object]]:
    """Return the steps of a plan. A step that subscribes has a digest of its whole URL."""
    declared = {one.address: one for one in view.tenancy.subscriptions}
    rows = []
    for step in view.steps:
        row = step_fields(step)
        if step.action in ("subscribe", "resubscribe") and step.address:
            row["url_digest"] = url_digest(declared[step.address], plan_id, key)
        rows.append(row)
    return rows


def signature_of(document: Mapping[str, object], key: PlanKey) -> str:
    """Sign all of a document but its digest and its signature."""
    rest = {name: each for name, each in document.items() if name not in ("digest", "signature")}
    return key.sign(_DOMAIN, [canonical(rest)])


def url_digest(declared: DeclaredSubscription, plan_id: str, key: PlanKey | None) -> str:
    """Return a digest that shows whether a declared URL was changed, but not the URL itself.

    Its key is the plan key. If there is none, it is the plan's id, which is random.
    """
    text = "\n".join((plan_id, declared.address, declared.url.full))
    made_under = key.value if key else bytes.fromhex(plan_id)
    bound = _URL_DOMAIN + text.encode("utf-8", "surrogatepass")
    return f"hmac-sha256:{hmac.digest(made_under, bound, 'sha256').hex()}"
