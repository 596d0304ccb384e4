"""Saved plans: receipts of what a reviewer has read.

Anybody may have written the text. `apply` carries out nothing from it: it plans again, and compares
the digest of each tenancy. The selection of a saved plan chooses what is planned. Only `show`, and
the words of a refusal, use the rest.

No secret goes into a digest. A whole URL, which may hold a key, goes only into a digest with a key
or a random salt.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

from hooksync.config.files import read_named
from hooksync.core.clock import rfc3339
from hooksync.core.context import Context
from hooksync.core.errors import FileError, InvalidDocument, Problem, Refused, shortened
from hooksync.core.model import NO_VALUE
from hooksync.core.record import UNSET, convert, read_shown, replace
from hooksync.core.redaction import printable
from hooksync.core.signing import (
    PlanKey,
    is_same,
    parse_document,
    plan_key,
    signature_problem,
)
from hooksync.reconcile.diff import differing
from hooksync.reconcile.plan import (
    NEEDS_DECLARED,
    Plan,
    TenancyPlan,
    TenancyPlans,
    with_held,
)
from hooksync.render.json_text import canonical

# what a plan shows of each change, by the words that name the change
Promises = dict[str, dict[str, str]]

PLAN_FORMAT = "hooksync.plan/1"
SIGNED_FOR = timedelta(hours=24)  # unless --max-age says otherwise

_DOMAIN = b"hooksync.plan/1 signature\n"  # so that no other signature fits a plan
_TENANCY_DOMAIN = b"hooksync.plan/1 tenancy\n"  # so that no other digest fits a tenancy
_MAKE_AGAIN = "make the plan again, with --out"
_AS_THEN = (
    "create a new plan, review it, and apply that; or give it the hooks files and variables that it"
    " was made with"
)


def sealed(plan: Plan, key: PlanKey | None) -> Plan:
    """Add the digest of each tenancy; if there is a key, also the signature and its end."""
    tenancies = []
    for tenancy in plan.tenancies:
        digest = tenancy_digest(tenancy, _promises(tenancy, tenancy), plan.id, key)
        tenancies.append(replace(tenancy, digest=digest))
    plan = replace(plan, tenancies=tuple(tenancies))
    if key is None:
        return plan
    end = datetime.fromisoformat(plan.created_at) + SIGNED_FOR
    plan = replace(plan, expires_at=rfc3339(end.timestamp()), signature=UNSET)
    return replace(plan, signature=key.sign(_DOMAIN, canonical(plan)))


def tenancy_digest(
    tenancy: TenancyPlan, promises: Promises, plan_id: str, key: PlanKey | None
) -> str:
    """Return a digest of the steps that change something, and of what they depend on.

    Its key is the plan key. If there is none, it is the plan's id, which is random.
    """
    hidden = []
    for step in tenancy.steps:
        if step.is_due and step.creates:
            source = json.dumps(step.declared_side.secret.value)  # also a program's arguments
            hidden.append((f"{step.address}", step.declared_side.url.full, source))
        if step.is_due and step.removes:
            hidden.append((step.id, step.live_side.url.full, ""))
    text = canonical([plan_id, tenancy.server, tenancy.tenant, promises, sorted(hidden)])
    made_under = key or PlanKey(bytes.fromhex(plan_id))
    return made_under.sign(_TENANCY_DOMAIN, text)


def _promises(tenancy: TenancyPlan, saved: TenancyPlan) -> Promises:
    """Return what a plan shows of each change, and promises, by the words that name the change.

    The words are such as `resubscribe prod/catalogue/INDEXED, 9495ddbf`. A plan does not show whole
    URLs. A secret that was not set when the plan was saved was not compared.
    """
    not_set = {step.address for step in saved.steps if step.secret in NO_VALUE}
    promises = {}
    for step in tenancy.steps:
        if not step.is_due:
            continue
        shown = {"trigger": step.shown.trigger.shown}
        for name, value in step.shown.content.items():
            shown[name] = json.dumps(value)
        if step.action in NEEDS_DECLARED:
            shown |= {
                "url": step.declared_side.url.shown,
                "secret": str(step.declared_side.secret),
                "secret state": "not-set" if step.address in not_set else str(step.secret),
                "replacement": tenancy.replacement,
                "probe": tenancy.probe,
            }
        if step.live:
            shown |= {"live url": step.live.url.shown, "origin": str(step.origin)}
        words = f"{step.subject}, {step.id}" if step.address and step.id else step.subject
        promises[words] = shown
    return promises


def check_against(receipt: Plan, plans: TenancyPlans, key: PlanKey | None) -> Iterator[TenancyPlan]:
    """Refuse each tenancy whose plan is not the one of the receipt. `plans`: made now."""
    now = {plan.name: plan for plan in plans}
    for saved in {tenancy.name: tenancy for tenancy in receipt.ready_tenancies}.values():
        plan = now.get(saved.name) or replace(saved, steps=())
        held = {}  # nobody has reviewed the steps of what the saved plan shows as held
        for address in set(saved.held).difference(plan.held):
            held[address] = Problem(f"{address}: the saved plan holds it", _AS_THEN)
        plan = with_held(plan, held)
        found = _differences(receipt, saved, plan, key)
        if found and plan.live_count is not None:
            plan = replace(
                plan,
                refusals=(
                    Problem(
                        f"{plan.name}: the saved plan is stale: {printable(shortened(found))}",
                        _AS_THEN,
                    ),
                ),
            )
        yield plan


def _differences(
    receipt: Plan, saved: TenancyPlan, now: TenancyPlan, key: PlanKey | None
) -> list[str]:
    """Say in the words of a plan what a saved plan shows, and what would be done now."""
    found = []
    if saved.where != now.where:
        found.append(f"it was made for {saved.where}, and would change {now.where}")
    before = _promises(saved, saved)
    after = _promises(now, saved)
    for words in sorted(before | after):
        if words not in after:
            found.append(f"it would no longer {words}")
        elif words not in before:
            found.append(f"it does not show that it would {words}")
        else:
            for name in differing(before[words], after[words]):
                change = f"{name} was {before[words][name]}, and is {after[words][name]}"
                found.append(f"{words}: {change}")
    if not (found or is_same(saved.digest, tenancy_digest(now, after, receipt.id, key))):
        found.append("a value that plans do not show is different, for example in a URL")
    return found


def read_saved_plan(data: bytes, path: str, key: PlanKey | None) -> Plan:
    """Read a saved plan. If there is a key, the plan must have its signature. `path`: for messages.

    Raises FileError if the plan is not valid. Raises Refused if the key did not sign it.
    `age_problem` checks its age.
    """
    try:
        document = parse_document(data.decode("utf-8-sig"), PLAN_FORMAT)
        if key:
            signed = {name: document[name] for name in document if name != "signature"}
            computed = key.sign(_DOMAIN, canonical(signed))
            problem = signature_problem(path, document.get("signature"), computed, _MAKE_AGAIN)
            if problem:
                raise Refused.of([problem])
        plan = convert(document, Plan, dec_hook=read_shown)
        for text in (plan.created_at, plan.expires_at or plan.created_at):
            datetime.fromisoformat(text)
        bytes.fromhex(plan.id)
        return plan
    except InvalidDocument as error:
        what = str(error)
    except (ValueError, RecursionError):  # the message of a library may quote the text
        what = "it is no plan of hooksync, or it was cut short"
    raise FileError(f"{path}: {what}", _MAKE_AGAIN)


def open_saved_plan(
    path: str, max_age: timedelta | None, context: Context
) -> tuple[Plan, Problem | None]:
    """Read a saved plan with the key from the environment. Also returns why apply refuses it."""
    data = read_named(path, "plan", "name a file that `hooksync plan --out` wrote")
    context.output.public.append(data)
    key = plan_key(context.environ)
    plan = read_saved_plan(data, path, key)
    refusal = age_problem(plan, path, max_age, context.clock.now())
    if not key and not refusal:
        refusal = signature_problem(path, plan.signature, None, _MAKE_AGAIN)
    return plan, refusal


def age_problem(plan: Plan, path: str, max_age: timedelta | None, now: float) -> Problem | None:
    """Return why a plan is too old, or None. --max-age overrides its own expiry.

    `now`: in seconds since 1970.
    """
    end = datetime.fromisoformat(plan.expires_at) if plan.expires_at else None
    if max_age is not None:
        end = datetime.fromisoformat(plan.created_at) + max_age
    if end is None or now <= end.timestamp():
        return None
    return Problem(
        f"{path} expired at {rfc3339(end.timestamp())}: it was made at {plan.created_at}",
        f"{_MAKE_AGAIN}; --max-age allows an older one, e.g. --max-age 7d",
    )
