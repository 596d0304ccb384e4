"""What is live, as JSON text: `hooksync.list/1`. Pure."""

from __future__ import annotations

from hooksync.core.errors import ExitCode
from hooksync.core.model import LiveSubscription
from hooksync.core.record import asdict
from hooksync.output.json_text import Lines, Sections, encode_line, sealed
from hooksync.output.listing import coverage, list_counts, listed
from hooksync.output.run_json import document_fields, error_text, step_fields
from hooksync.output.view import RunView, StepView

LIST_FORMAT = "hooksync.list/1"
# of a step
_ABOUT = (
    "action",
    "address",
    "name",
    "reasons",
    "origin",
    "made_at",
    "description",
    "owner",
    "secret",
)


def list_json(view: RunView, exit_code: ExitCode) -> str:
    """Write what is live, with what the plan says of it, and who subscribes to which trigger."""
    document = document_fields(view, LIST_FORMAT, exit_code)
    del document["refusals"]  # nothing is to be carried out
    document["tenancies"] = Lines(
        Sections(
            name=one.tenancy.name,
            server=one.tenancy.server.shown,
            tenant=one.tenancy.tenant,
            declared_count=one.declared_count,
            subscriptions=Lines(encode_line(_listed(*pair)) for pair in listed(one)),
            error=None if one.error is None else error_text(one.error),
        )
        for one in view.tenancies
    )
    document["coverage"] = Lines(
        encode_line({**asdict(one), "trigger": one.trigger.wire}) for one in coverage(view)
    )
    document["summary"] = list_counts(view)
    return sealed(document)


def _listed(live: LiveSubscription, step: StepView) -> dict[str, object]:
    fields = step_fields(step)
    row = {name: fields[name] for name in _ABOUT}
    row["id"] = live.id
    row["url"] = live.url.shown
    row["trigger"] = live.trigger.wire
    row["include_identifiers"] = live.include_identifiers
    if not live.is_listed:
        row["listed"] = False
    return row
