"""The result of an apply, as JSON text: `hooksync.report/1`. Pure."""

from __future__ import annotations

from hooksync.core.errors import ExitCode
from hooksync.core.record import to_builtins
from hooksync.output.json_text import sealed
from hooksync.output.run_json import (
    counted_steps,
    document_fields,
    error_text,
    step_fields,
    tenancy_fields,
)
from hooksync.output.view import RunView, StepView, TenancyView
from hooksync.reconcile.context import Origin
from hooksync.reconcile.plan import RESULTS

REPORT_FORMAT = "hooksync.report/1"


def report_json(view: RunView, origin: Origin, exit_code: ExitCode) -> str:
    """Write the result of a plan."""
    document = document_fields(
        view,
        REPORT_FORMAT,
        exit_code,
        tenancies=[_applied_tenancy(tenancy) for tenancy in view.tenancies],
        summary=counted_steps(view, view.results(), RESULTS),
        error=error_text(view.state_error),
        run=to_builtins(origin),
    )
    return sealed(document)


def _applied_tenancy(view: TenancyView) -> dict[str, object]:
    steps = [{**step_fields(step), **_outcome(step)} for step in view.steps]
    differences = [step_fields(step) for step in view.differences]
    not_verified = view.outcome.not_verified if view.outcome else ""
    return tenancy_fields(
        view,
        steps=steps,
        summary=counted_steps(view, view.results(), RESULTS),
        differences=differences,
        not_verified=not_verified or None,
    )


def _outcome(step: StepView) -> dict[str, object]:
    outcome = step.outcome
    if outcome is None:
        return {"outcome": "not-attempted", "detail": None, "new_id": None}
    detail = outcome.detail
    if outcome.fix:
        detail = f"{detail} (fix: {outcome.fix})"
    return {"outcome": outcome.result, "detail": detail or None, "new_id": outcome.new_id}
