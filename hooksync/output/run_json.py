"""The fields that the JSON documents of plans, reports and lists share. Pure.

A field may be added without a new version of the format; a changed meaning needs one. The formats
are described in `schemas/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hooksync import __version__
from hooksync.core.clock import rfc3339
from hooksync.core.errors import ExitCode, HooksyncError, Problem
from hooksync.core.model import Notes
from hooksync.core.record import fields_of
from hooksync.output.view import RunView, StepView, TenancyView

_NOT_CHALLENGED: dict[str, object] = {"state": "not-checked", "detail": None}


def document_fields(
    view: RunView, form: str, exit_code: ExitCode, **fields: object
) -> dict[str, object]:
    """Return the fields of a document: first those that all documents share, then `fields`."""
    return {
        "format": form,
        "exit_code": int(exit_code),
        "created_at": view.created_at,
        "hooksync_version": __version__,
        "state": view.state,
        "state_missing": view.is_state_missing,
        "running": view.running.what if view.running else None,
        "sources": view.sources,
        "refusals": _lines(view.refusals),
        "warnings": _lines(view.all_warnings),
        "undeclared": _lines(view.undeclared),
        **fields,
    }


def _lines(problems: Iterable[Problem]) -> list[str]:
    return [problem.line for problem in problems]


def tenancy_fields(view: TenancyView, **fields: object) -> dict[str, object]:
    """Return the fields of a tenancy that plans and reports share. `fields`: its other fields."""
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
        "error": error_text(view.error),
        "outcome": view.summary.replace(" ", "-"),
    }
    return fields


def step_fields(step: StepView) -> dict[str, object]:
    """Write one step."""
    made_at = rfc3339(step.made_at) if step.made_at else None
    return {
        **fields_of(Notes, step),
        "action": step.action,
        "address": step.address,
        "changes": step.changes,
        "id": step.id,
        "include_identifiers": step.include_identifiers,
        "listed": step.is_listed,
        "made_at": made_at,
        "name": step.name,
        "origin": step.origin,
        "place": str(step.place) if step.place else None,
        "reasons": step.reasons,
        "receiver": _receiver(step),
        "replaces_url": step.replaces_url,
        "secret": _secret(step),
        "trigger": step.trigger.wire,
        "url": step.url,
    }


def _receiver(step: StepView) -> dict[str, object]:
    if step.receiver is None:
        return _NOT_CHALLENGED
    return {"state": step.receiver.state, "detail": step.receiver.detail or None}


def _secret(step: StepView) -> dict[str, object] | None:
    if step.secret is None:
        return None
    return {"ref": step.secret.written(), "state": step.secret_state}


def counted_steps(
    view: RunView | TenancyView, counts: Mapping[str, int], names: tuple[str, ...]
) -> dict[str, int]:
    """Write the counts of all these names, and how many secrets are unknown."""
    return {**{name: counts.get(name, 0) for name in names}, "secret_unknown": view.secret_unknown}


def error_text(error: HooksyncError | None) -> str | None:
    """Write an error on a line; None: there is none."""
    if error is None:
        return None
    return "; ".join(problem.line for problem in error.problems)
