"""What the documents of plans, reports and lists have in common. Pure.

A field may be added without a new version of the format; a changed meaning needs one. The formats
are described in `schemas/`.
"""

from __future__ import annotations

from collections.abc import Mapping

from hooksync import __version__
from hooksync.core.errors import HooksyncError
from hooksync.core.record import asdict
from hooksync.output.json_text import Lines, Sections, encode_line
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
    tenancy = view.tenancy
    fields |= {
        "name": tenancy.name,
        "server": tenancy.server.shown,
        "tenant": tenancy.tenant,
        "place": str(tenancy.location),
        "replacement": tenancy.replacement,
        "probe": tenancy.probe,
        "unknown_secret": tenancy.unknown_secret,
        "live_count": None if view.live is None else len(view.live),
        "declared_count": view.declared_count,
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
        "listed": not step.is_awaited,
        "name": step.name,
        "origin": step.origin,
        "owner": step.owner,
        "place": str(step.place) if step.place else None,
        "reasons": step.reasons,
        "receiver": {"state": asked.state, "detail": asked.detail or None}
        if asked
        else _NOT_CHECKED,
        "replaces_url": step.replaces_url,
        "secret": {"ref": step.secret.written(), "state": step.secret_state}
        if step.secret
        else None,
        "trigger": step.trigger.wire,
        "url": step.url,
    }


def counted_steps(
    view: RunView | TenancyView, counts: Mapping[str, int], names: tuple[str, ...]
) -> dict[str, int]:
    """Write the counts of all these names, and how many secrets are unknown."""
    return {**{name: counts.get(name, 0) for name in names}, "secret_unknown": view.secret_unknown}


def error_text(error: HooksyncError) -> str:
    """Write an error on a line."""
    return "; ".join(problem.line for problem in error.problems)
