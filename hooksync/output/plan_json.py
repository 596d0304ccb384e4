"""A plan as JSON text, and what seals it: digests and its signature. Pure.

No value of the environment goes into a digest, except whole URLs into the digests that bind, which have a key. A
signature prevents those who can write a plan's file from redirecting events.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta

from hooksync.core.clock import rfc3339
from hooksync.core.model import DeclaredSubscription
from hooksync.core.record import to_builtins
from hooksync.core.signing import PlanKey
from hooksync.output.json_text import Lines, Sections, encode_line, json_parts, sealed
from hooksync.output.run_json import counted_steps, document_fields, step_fields, tenancy_fields
from hooksync.output.view import RunView, TenancyView
from hooksync.reconcile.diff import DiffOptions
from hooksync.reconcile.plan import ACTIONS
from hooksync.state.format import Mark

PLAN_FORMAT = "hooksync.plan/1"
SIGNED_FOR = timedelta(hours=24)  # unless --max-age says otherwise: a signed plan is not good for ever

_DOMAIN = b"hooksync.plan/1 signature\n"  # a signature of anything else under this key is never one of a plan
_URL_DOMAIN = b"hooksync.plan/1 url\n"  # nor is one a digest of a URL


def plan_json(
    view: RunView,
    options: DiffOptions,
    plan_id: str,
    key: PlanKey | None = None,
    *,
    commit: str | None = None,
    state: Mark | None = None,
) -> str:
    """Write a plan; signed, where there is a key.

    `plan_id`: 32 hexadecimal digits, random; `commit`: of the hooks file's repository; `state`: None: there was none.
    """
    end = datetime.fromisoformat(view.created_at) + SIGNED_FOR
    document = document_fields(
        view,
        PLAN_FORMAT,
        id=plan_id,
        commit=commit,
        expires_at=rfc3339(end.timestamp()) if key else None,
        options=to_builtins(options),
        state_serial=to_builtins(state),
        tenancies=Lines(_tenancy(tenancy, plan_id, key) for tenancy in view.tenancies),
        summary=counted_steps(view, view.counts(), ACTIONS),
    )
    if key:
        document["signature"] = signature_of(document, key)
    return sealed(document)


def _tenancy(view: TenancyView, plan_id: str, key: PlanKey | None) -> Sections:
    """Write a tenancy with what the environment made of server, tenant and URLs: leads it elsewhere, it is refused."""
    one = view.tenancy
    urls = {each.address: url_digest(each, plan_id, key) for each in one.subscriptions}
    return tenancy_fields(
        view,
        binding=encode_line({"server": one.server.base_url, "tenant": one.tenant, "urls": urls}),
        steps=Lines(encode_line(step_fields(step)) for step in view.steps),
        summary=counted_steps(view, view.counts(), ACTIONS),
    )


def signature_of(document: Mapping[str, object], key: PlanKey) -> str:
    """Sign all of a document but its digest and its signature."""
    rest = {name: value for name, value in document.items() if name not in ("digest", "signature")}
    return key.sign(_DOMAIN, json_parts(Sections(rest)))


def url_digest(declared: DeclaredSubscription, plan_id: str, key: PlanKey | None) -> str:
    """Return what binds a plan to the URL of a declared subscription and does not tell the URL.

    Made under the plan key; where there is none, under the plan's id, which is random: nobody can prepare for it.
    """
    bound = "\n".join((plan_id, declared.address, declared.url.full)).encode("utf-8", "surrogatepass")
    made = hmac.digest(key.value if key else bytes.fromhex(plan_id), _URL_DOMAIN + bound, "sha256")
    return f"hmac-sha256:{made.hex()}"
