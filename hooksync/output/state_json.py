"""What the state contains, as JSON text: `hooksync.state-list/1`. Pure."""

from __future__ import annotations

from hooksync.core.clock import rfc3339
from hooksync.core.record import fields_of
from hooksync.output.json_text import to_text
from hooksync.state.contract import Holder
from hooksync.state.format import STATE_FORMAT
from hooksync.state.model import Intent, State, StateEntry

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
        "last_run": state.last_run,
        "signed": is_signed,
        "entries": list(map(entry_fields, state.entries)),
        "intents": list(map(entry_fields, state.intents)),
        "run_lock": _holder_fields(holder) if holder else None,
    }
    return to_text(document)


def _holder_fields(holder: Holder) -> dict[str, object]:
    return {**fields_of(Holder, holder), "since": time_text(holder.since)}


def entry_fields(each: StateEntry | Intent) -> dict[str, object]:
    """Give what may be shown of an entry or an intent."""
    fields: dict[str, object] = {"tenancy": each.tenancy, "address": each.address, "run": each.run}
    if isinstance(each, Intent):
        return {**fields, "at": time_text(each.at)}
    return {
        **fields,
        "id": each.id,
        "found": each.is_found,
        "unlisted_since": time_text(each.unlisted_since),
    }


def time_text(seconds: int) -> str | None:
    """Write a time, if it is known. `seconds`: since 1970; 0: not known."""
    try:
        return rfc3339(seconds) if seconds else None
    except (OverflowError, ValueError, OSError):  # by a wrong clock
        return str(seconds)
