"""A plan or a report as JSON text, versioned: `hooksync.plan/1` and `hooksync.report/1`. Pure.

Adding a field makes no new version; changing one does. The formats are described in `schemas/`. Each step is on one
line: it can be read and compared, and is encoded once, for the text and the digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from hooksync import __version__
from hooksync.core.clock import rfc3339
from hooksync.core.errors import HooksyncError
from hooksync.core.model import LiveSubscription, PlainSettings, Tenancy
from hooksync.core.record import Record, asdict, fields_of
from hooksync.core.signing import PlanKey
from hooksync.documents import sealing
from hooksync.documents.sealing import Blocks, Lines, Pairs, Sections, encode, encode_line, reference
from hooksync.reconcile.context import Origin
from hooksync.reconcile.plan import ACTIONS, RESULTS
from hooksync.report.view import RunView, StepView, TenancyView
from hooksync.state.integrity import Mark

PLAN_FORMAT = "hooksync.plan/1"
REPORT_FORMAT = "hooksync.report/1"


class PlannedWith(Record, frozen=True):
    """What a plan was made with, for the run that carries it out: its flags, and what tells it from other plans."""

    id: str  # 32 hexadecimal digits, random
    commit: str | None  # of the hooks file's repository
    prunes: bool
    replace: tuple[str, ...]
    is_targeted: bool
    allows_mass_unsubscribe: bool
    state: Mark | None = None  # of the state; None: there was none


def plan_json(view: RunView, options: PlannedWith, key: PlanKey | None = None) -> str:
    """Write a plan; signed, where there is a key."""
    document = _head(view, PLAN_FORMAT)
    document["id"] = options.id
    document["commit"] = options.commit
    end = datetime.fromisoformat(view.created_at) + sealing.SIGNED_FOR
    document["expires_at"] = rfc3339(end.timestamp()) if key else None
    document["options"] = {
        "prune": options.prunes,
        "replace": list(options.replace),
        "targeted": options.is_targeted,
        "allow_mass_unsubscribe": options.allows_mass_unsubscribe,
    }
    document["state_serial"] = asdict(options.state) if options.state else None
    document["tenancies"] = Blocks(_tenancy(tenancy, options.id, key) for tenancy in view.tenancies)
    document["summary"] = _counted(view, view.counts(), ACTIONS)
    if key:
        document["signature"] = sealing.signature_of(document, key)
    return _sealed(document)


def report_json(view: RunView, origin: Origin) -> str:
    """Write the result of a plan."""
    document = _head(view, REPORT_FORMAT)
    document["tenancies"] = Blocks(_applied_tenancy(tenancy) for tenancy in view.tenancies)
    document["summary"] = _counted(view, view.results(), RESULTS)
    document["adopted"] = asdict(view.adopted) if view.adopted else None
    document["error"] = None if view.state_error is None else _error(view.state_error)
    document["run"] = asdict(origin)
    return _sealed(document)


def _head(view: RunView, form: str) -> Sections:
    fields = {
        "format": form,
        "created_at": view.created_at,
        "hooksync_version": __version__,
        "state": view.state,
        "state_missing": view.is_state_missing,
        "refusals": Lines(encode(problem.line) for problem in view.refusals),
        "warnings": Lines(encode(problem.line) for problem in view.all_warnings),
    }
    return Sections(fields)


def _sealed(document: Sections) -> str:
    """Add the digest of everything else and write it all."""
    document["digest"] = sealing.digest(document)
    return "".join((*sealing.json_parts(document, "\n"), "\n"))  # a line break added to the whole would copy it


def _tenancy(view: TenancyView, plan_id: str, key: PlanKey | None) -> Sections:
    fields = _tenancy_fields(view)
    fields["binding"] = _binding(view.tenancy, plan_id, key)
    fields["steps"] = Lines(encode_line(_step(step)) for step in view.steps)
    fields["summary"] = _counted(view, view.counts(), ACTIONS)
    return fields


def _binding(tenancy: Tenancy, plan_id: str, key: PlanKey | None) -> Sections:
    """Write what the environment made of server, tenant and URLs: where it leads elsewhere, the plan is refused."""
    urls = sorted((one.address, sealing.url_digest(one, plan_id, key)) for one in tenancy.subscriptions)
    pairs = Pairs(  # both are plain text: names, and hexadecimal digits
        f'"{address}":"{digest_of_url}"' for address, digest_of_url in urls
    )
    return Sections({"server": tenancy.server.base_url, "tenant": tenancy.tenant, "urls": pairs})


def _tenancy_fields(view: TenancyView) -> Sections:
    """Write what plan and report hold of a tenancy besides its steps and their counts."""
    tenancy = view.tenancy
    live = None if view.live is None else sorted(view.live, key=lambda one: one.id)
    fields = {
        **fields_of(PlainSettings, tenancy),
        "name": tenancy.name,
        "server": tenancy.server.shown,
        "tenant": tenancy.tenant,
        "server_declared": tenancy.server.declared,
        "tenant_declared": tenancy.tenant_declared,
        "place": str(tenancy.location),
        "credentials": sealing.credential_references(tenancy.credentials),
        "owns": "all" if tenancy.owns is None else list(tenancy.owns),
        "limit": asdict(tenancy.limit),
        "live": None if live is None else Lines(encode_line(_live(one)) for one in live),
        "live_digest": None if view.live is None else sealing.live_digest(view.live),
        "live_count": None if view.live is None else len(view.live),
        "declared_count": len(tenancy.subscriptions),
        "error": None if view.error is None else _error(view.error),
    }
    return Sections(fields)


def _applied_tenancy(view: TenancyView) -> Sections:
    fields, outcome = _tenancy_fields(view), view.outcome
    fields["steps"] = Lines(encode_line({**_step(step), **_outcome(step)}) for step in view.steps)
    fields["summary"] = _counted(view, view.results(), RESULTS)
    fields["differences"] = Lines(encode_line(_step(step)) for step in view.differences)
    fields["not_verified"] = (outcome.not_verified or None) if outcome else None
    return fields


def _step(step: StepView) -> dict[str, object]:
    return {
        "action": step.action,
        "address": step.address,
        "name": step.name,
        "url": step.url,
        "replaces_url": step.replaces_url,
        "trigger": step.trigger.wire,
        "id": step.id,
        "include_identifiers": step.include_identifiers,
        "reasons": list(step.reasons),
        "changes": [asdict(change) for change in step.changes],
        "secret": {"ref": reference(step.secret), "state": step.secret_state} if step.secret else None,
        "receiver": {
            "state": step.receiver.state if step.receiver else "not-checked",
            "detail": (step.receiver.detail or None) if step.receiver else None,
        },
        "place": str(step.place) if step.place else None,
        "description": step.description,
        "owner": step.owner,
    }


def _live(live: LiveSubscription) -> dict[str, object]:
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
