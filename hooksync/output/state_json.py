"""What the state contains, as JSON text: `hooksync.state-list/1`. Pure."""

from __future__ import annotations

from hooksync.core.clock import rfc3339
from hooksync.output.json_text import to_text
from hooksync.state.contract import Holder
from hooksync.state.format import STATE_FORMAT
from hooksync.state.model import AnyRecord, Intent, State, Unsettled

LIST_FORMAT = "hooksync.state-list/1"


def state_json(where: str, state: State, holder: Holder | None, *, is_signed: bool) -> str:
    """Write the entries of a state, without what only hooksync can read.

    `holder`: of the run lock.
    """
    document = {
        "format": LIST_FORMAT,
        "state": where,
        "state_format": STATE_FORMAT,
        "serial": state.serial,
        "signed": is_signed,
        "entries": list(map(entry_fields, state.entries)),
        "intents": list(map(entry_fields, state.intents)),
        "unsettled": list(map(entry_fields, state.unsettled)),
        "run_lock": _holder_fields(holder) if holder else None,
    }
    return to_text(document)


def _holder_fields(holder: Holder) -> dict[str, object]:
    return {
        "user": holder.user,
        "host": holder.host,
        "ci_run": holder.ci_run,
        "since": time_text(holder.since),
        "process": holder.process,
        "id": holder.id,
    }


def entry_fields(each: AnyRecord) -> dict[str, object]:
    """Give what may be shown of a record."""
    fields: dict[str, object] = {
        "server": each.server,
        "tenant": each.tenant,
        "address": each.address,
    }
    if isinstance(each, Unsettled):
        return {**fields, "applies": each.applies}
    fields |= {"run": each.run, "at": time_text(each.at)}
    if isinstance(each, Intent):
        return fields
    return {
        **fields,
        "id": each.id,
        "adopted": each.is_adopted,
        "listed": each.is_listed,
        "confirmed": each.is_confirmed,
    }


def time_text(seconds: int) -> str:
    """Write a time. `seconds`: since 1970."""
    try:
        return rfc3339(seconds)
    except (OverflowError, ValueError, OSError):  # by a wrong clock
        return str(seconds)
