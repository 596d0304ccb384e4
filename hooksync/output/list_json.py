"""What is live, as JSON text: `hooksync.list/1`. Pure."""

from __future__ import annotations

from hooksync.core.errors import ExitCode
from hooksync.core.model import LiveSubscription
from hooksync.output.json_text import sealed
from hooksync.output.listing import list_counts, listed
from hooksync.output.run_json import document_fields, error_text, step_fields
from hooksync.output.view import RunView, StepView, TenancyView

LIST_FORMAT = "hooksync.list/1"
# the fields of a step that the list has
_STEP_FIELDS = (
    "action",
    "address",
    "name",
    "reasons",
    "origin",
    "made_at",
    "description",
    "secret",
)


def list_json(view: RunView, exit_code: ExitCode) -> str:
    """Write what is live, with fields of its steps."""
    document = document_fields(
        view,
        LIST_FORMAT,
        exit_code,
        tenancies=list(map(_tenancy, view.tenancies)),
        summary=list_counts(view),
    )
    del document["refusals"]  # nothing is to be carried out
    return sealed(document)


def _tenancy(view: TenancyView) -> dict[str, object]:
    return {
        "name": view.tenancy.name,
        "server": view.tenancy.server.shown,
        "tenant": view.tenancy.tenant,
        "declared_count": view.declared_count,
        "subscriptions": [_listed(*pair) for pair in listed(view)],
        "error": error_text(view.error),
    }


def _listed(live: LiveSubscription, step: StepView) -> dict[str, object]:
    fields = step_fields(step)
    row = {name: fields[name] for name in _STEP_FIELDS}
    row |= {
        "id": live.id,
        "url": live.url.shown,
        "trigger": live.trigger.wire,
        "include_identifiers": live.include_identifiers,
    }
    if not live.is_listed:
        row["listed"] = False
    return row
