"""A plan, a report or a list as JSON text, versioned; and what seals a plan: digests, its signature. Pure.

Adding a field makes no new version; changing one does. The formats are described in `schemas/`. Each step is on one
line: it can be read and compared, and is encoded once, for the text and the digest. No value of the environment goes
into a digest, but whole URLs into those that bind, which have a key. A signature prevents those who can write a plan's
file from redirecting events.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from os.path import join
from typing import Any

import msgspec.json

from hooksync import __version__
from hooksync.core.clock import rfc3339
from hooksync.core.errors import HooksyncError
from hooksync.core.model import CREDENTIALS, DeclaredSubscription, LiveSubscription, PlainSettings, SecretRef
from hooksync.core.record import asdict, fields_of, to_builtins
from hooksync.core.signing import PlanKey
from hooksync.core.urls import masked_url
from hooksync.reconcile.context import Origin
from hooksync.reconcile.diff import DiffOptions
from hooksync.reconcile.plan import ACTIONS, RESULTS
from hooksync.report.view import RunView, StepView, TenancyView
from hooksync.state.format import Mark

PLAN_FORMAT = "hooksync.plan/1"
REPORT_FORMAT = "hooksync.report/1"
LIST_FORMAT = "hooksync.list/1"
_ABOUT = ("action", "address", "name", "reasons", "description", "owner", "secret")  # what a list tells of a step
_NOT_CHECKED = {"state": "not-checked", "detail": None}  # of a receiver
SIGNED_FOR = timedelta(hours=24)  # unless --max-age says otherwise: a signed plan is not good for ever

encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode  # canonical JSON
_encode_fast = msgspec.json.Encoder(order="sorted").encode

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
    document = _document(
        view,
        PLAN_FORMAT,
        id=plan_id,
        commit=commit,
        expires_at=rfc3339(end.timestamp()) if key else None,
        options=to_builtins(options),
        state_serial=to_builtins(state),
        tenancies=Lines(_tenancy(tenancy, plan_id, key) for tenancy in view.tenancies),
        summary=_counted(view, view.counts(), ACTIONS),
    )
    if key:
        document["signature"] = signature_of(document, key)
    return _sealed(document)


def report_json(view: RunView, origin: Origin) -> str:
    """Write the result of a plan."""
    told = view.adopted
    document = _document(
        view,
        REPORT_FORMAT,
        tenancies=Lines(_applied_tenancy(tenancy) for tenancy in view.tenancies),
        summary=_counted(view, view.results(), RESULTS),
        adopted=told and {"asked": told.asked, "adopted": len(told.adopted), "unchallenged": told.unchallenged},
        error=None if view.state_error is None else _error(view.state_error),
        run=to_builtins(origin),
    )
    return _sealed(document)


def list_json(view: RunView) -> str:
    """Write what is live, with what the plan says of it, and who subscribes to which trigger."""
    from hooksync.report.listing import coverage, list_counts, listed  # only here: a plan does without

    document = _document(view, LIST_FORMAT)
    del document["refusals"]  # nothing is to be carried out
    document["tenancies"] = Lines(
        Sections(
            name=one.tenancy.name,
            server=one.tenancy.server.shown,
            tenant=one.tenancy.tenant,
            declared_count=len(one.tenancy.subscriptions),
            subscriptions=Lines(encode_line(_listed(*pair)) for pair in listed(one)),
            error=None if one.error is None else _error(one.error),
        )
        for one in view.tenancies
    )
    document["coverage"] = Lines(encode_line({**asdict(one), "trigger": one.trigger.wire}) for one in coverage(view))
    document["summary"] = list_counts(view)
    return _sealed(document)


def _listed(live: LiveSubscription, step: StepView) -> dict[str, object]:
    fields = _step(step)
    return {**{name: fields[name] for name in _ABOUT}, **live_row(live)}


def _document(view: RunView, form: str, **fields: object) -> Sections:
    return Sections(
        format=form,
        created_at=view.created_at,
        hooksync_version=__version__,
        state=view.state,
        state_missing=view.is_state_missing,
        sources=view.sources,
        refusals=Lines(encode_line(problem.line) for problem in view.refusals),
        warnings=Lines(encode_line(problem.line) for problem in view.all_warnings),
        undeclared=[problem.line for problem in view.undeclared],
        **fields,
    )


def _sealed(document: Sections) -> str:
    """Add the digest of everything else and write it all."""
    document["digest"] = digest(document)
    return b"".join((*json_parts(document, b"\n"), b"\n")).decode()  # a line break added to the whole would copy it


def _tenancy(view: TenancyView, plan_id: str, key: PlanKey | None) -> Sections:
    """Write a tenancy with what the environment made of server, tenant and URLs: leads it elsewhere, it is refused."""
    one = view.tenancy
    urls = {each.address: url_digest(each, plan_id, key) for each in one.subscriptions}
    return _tenancy_fields(
        view,
        binding=encode_line({"server": one.server.base_url, "tenant": one.tenant, "urls": urls}),
        steps=Lines(encode_line(_step(step)) for step in view.steps),
        summary=_counted(view, view.counts(), ACTIONS),
    )


def _tenancy_fields(view: TenancyView, **fields: object) -> Sections:
    """Write what plan and report hold of a tenancy, and besides its steps and their counts."""
    tenancy, refs = view.tenancy, view.tenancy.credentials
    live = None if view.live is None else sorted(view.live, key=lambda one: one.id)
    fields |= {
        **fields_of(PlainSettings, tenancy),
        "name": tenancy.name,
        "server": tenancy.server.shown,
        "tenant": tenancy.tenant,
        "server_declared": tenancy.server.declared,
        "tenant_declared": tenancy.tenant_declared,
        "place": str(tenancy.location),
        "credentials": {name: reference(getattr(refs, name)) for name in CREDENTIALS},
        "owns": "all" if tenancy.owns is None else list(tenancy.owns),
        "limit": asdict(tenancy.limit),
        "live": None if live is None else Lines(encode_line(live_row(one)) for one in live),
        "live_digest": None if view.live is None else live_digest(view.live),
        "live_count": None if view.live is None else len(view.live),
        "declared_count": len(tenancy.subscriptions),
        "error": None if view.error is None else _error(view.error),
    }
    return Sections(fields)


def _applied_tenancy(view: TenancyView) -> Sections:
    return _tenancy_fields(
        view,
        steps=Lines(encode_line({**_step(step), **_outcome(step)}) for step in view.steps),
        summary=_counted(view, view.results(), RESULTS),
        differences=Lines(encode_line(_step(step)) for step in view.differences),
        not_verified=(view.outcome.not_verified or None) if view.outcome else None,
    )


def _step(step: StepView) -> dict[str, object]:
    asked = step.receiver
    return {
        "action": step.action,
        "address": step.address,
        "changes": [asdict(change) for change in step.changes],
        "description": step.description,
        "id": step.id,
        "include_identifiers": step.include_identifiers,
        "name": step.name,
        "owner": step.owner,
        "place": str(step.place) if step.place else None,
        "reasons": step.reasons,
        "receiver": {"state": asked.state, "detail": asked.detail or None} if asked else _NOT_CHECKED,
        "replaces_url": step.replaces_url,
        "secret": {"ref": reference(step.secret), "state": step.secret_state} if step.secret else None,
        "trigger": step.trigger.wire,
        "url": step.url,
    }


def live_row(live: LiveSubscription) -> dict[str, object]:
    """Write a live subscription as it may be shown."""
    return {
        "id": live.id,
        "url": live.url.shown,
        "trigger": live.trigger.wire,
        "include_identifiers": live.include_identifiers,
        **({} if live.is_listed else {"listed": False}),
    }


def _outcome(step: StepView) -> dict[str, object]:
    outcome = step.outcome
    if outcome is None:
        return {"outcome": "not-attempted", "detail": None, "new_id": None}
    said = "; ".join(filter(None, (outcome.detail, *(warning.what for warning in outcome.warnings))))
    detail = f"{said} (fix: {outcome.fix})" if outcome.fix else said
    return {"outcome": outcome.result, "detail": detail or None, "new_id": outcome.new_id}


def _counted(view: RunView | TenancyView, counts: Mapping[str, int], names: tuple[str, ...]) -> dict[str, int]:
    return {**{name: counts.get(name, 0) for name in names}, "secret_unknown": view.secret_unknown}


def _error(error: HooksyncError) -> str:
    return "; ".join(problem.line for problem in error.problems)


class Sections(dict[str, object]):
    """An object of a document, each of whose fields starts a line."""


class Lines(list[Any]):
    """A list, each of whose items starts a line."""


def encode_line(data: object) -> bytes:
    """Write data without floats as canonical JSON, five times as fast where nothing in it is escaped."""
    try:
        line = _encode_fast(data)
    except (UnicodeEncodeError, OverflowError):  # half a surrogate pair, or a number of many digits
        return encode(data).encode()
    return line if line.isascii() and b"\\" not in line else encode(data).encode()


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


def live_digest(live: Iterable[LiveSubscription]) -> str:
    """Return the digest of what was live, in any order. What may be a key in a URL is left out."""
    rows = sorted((s.id, masked_url(s.url.full), s.trigger.wire, str(s.include_identifiers)) for s in live)
    return digest(encode_line(rows))


def digest(data: object) -> str:
    """Return the SHA-256 of data in its canonical JSON."""
    made = hashlib.sha256()
    for part in json_parts(data):
        made.update(part)
    return "sha256:" + made.hexdigest()


def json_parts(data: object, margin: bytes | None = None) -> Iterator[bytes]:
    """Write data as JSON, in parts: a document of ten thousand steps is not held a second time for its digest.

    Bytes are JSON already: encoded once, for the text and the digest. `margin`: a line break and the blanks that indent
    the data; None: the canonical text, of which digests are made.
    """
    if not isinstance(data, Sections | Lines):
        yield data if isinstance(data, bytes) else encode(data).encode()
        return
    inner = None if margin is None else margin + b"  "
    between, colon = b"," + (inner or b""), b":" if margin is None else b": "
    opening, closing = (b"{", b"}") if isinstance(data, Sections) else (b"[", b"]")
    begin = opening + (inner or b"")
    if isinstance(data, Sections):
        for number, name in enumerate(sorted(data)):
            yield (between if number else begin) + encode(name).encode() + colon
            yield from json_parts(data[name], inner)
    elif margin is None and data and isinstance(data[0], bytes):  # many at once: a part has its price
        for start in range(0, len(data), 100):
            yield (between if start else begin) + between.join(data[start : start + 100])
    else:
        for number, each in enumerate(data):
            yield between if number else begin
            yield from json_parts(each, inner)
    yield (margin or b"") + closing if data else opening + closing


def reference(ref: SecretRef) -> dict[str, object]:
    """Write a reference that holds without the hooks file: a relative path starts at the current folder."""
    is_relative = ref.base and not ref.name.startswith("~")
    return {ref.kind: join(ref.base, ref.name)} if is_relative else ref.written()
