"""What the documents of plans, reports and lists have in common. Pure.

A field may be added without a new version of the format; a changed meaning needs one. The formats are described in
`schemas/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os.path import join

from hooksync import __version__
from hooksync.core.errors import HooksyncError
from hooksync.core.model import CREDENTIALS, LiveSubscription, PlainSettings, SecretRef
from hooksync.core.record import asdict, fields_of
from hooksync.core.urls import masked_url
from hooksync.output.json_text import Lines, Sections, digest, encode_line
from hooksync.output.view import RunView, StepView, TenancyView

_NOT_CHECKED = {"state": "not-checked", "detail": None}  # of a receiver


def document_fields(view: RunView, form: str, **fields: object) -> Sections:
    """Give what all documents about a run begin with."""
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


def tenancy_fields(view: TenancyView, **fields: object) -> Sections:
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
        "owns": "all" if tenancy.owns is None else sorted(tenancy.owns),
        "limit": asdict(tenancy.limit),
        "live": None if live is None else Lines(encode_line(live_row(one)) for one in live),
        "live_digest": None if view.live is None else live_digest(view.live),
        "live_count": None if view.live is None else len(view.live),
        "declared_count": len(tenancy.subscriptions),
        "error": None if view.error is None else error_text(view.error),
    }
    return Sections(fields)


def step_fields(step: StepView) -> dict[str, object]:
    """Write one step."""
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


def counted_steps(view: RunView | TenancyView, counts: Mapping[str, int], names: tuple[str, ...]) -> dict[str, int]:
    """Write the counts of all these names, and how many secrets are unknown."""
    return {**{name: counts.get(name, 0) for name in names}, "secret_unknown": view.secret_unknown}


def error_text(error: HooksyncError) -> str:
    """Write an error on a line."""
    return "; ".join(problem.line for problem in error.problems)


def reference(ref: SecretRef) -> dict[str, object]:
    """Write a reference that holds without the hooks file: a relative path starts at the current folder."""
    is_relative = ref.base and not ref.name.startswith("~")
    return {ref.kind: join(ref.base, ref.name)} if is_relative else ref.written()


def live_digest(live: Iterable[LiveSubscription]) -> str:
    """Return the digest of what was live, in any order. What may be a key in a URL is left out."""
    rows = sorted((s.id, masked_url(s.url.full), s.trigger.wire, str(s.include_identifiers)) for s in live)
    return digest(encode_line(rows))
