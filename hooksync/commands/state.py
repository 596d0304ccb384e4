"""The command `state`: shows and changes the state, on any backend.

It never reads the hooks file. All output goes through `context.terminal`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from hooksync.commands.problems import confirm
from hooksync.config.declarations import refuse_unmatched
from hooksync.core.clock import rfc3339
from hooksync.core.context import Context
from hooksync.core.errors import (
    ExitCode,
    Problem,
    Refused,
    StateError,
    UsageError,
    pluralised,
)
from hooksync.core.model import Globs, matches_any
from hooksync.core.output import Format
from hooksync.core.record import Record, replace
from hooksync.state.contract import MOST_BYTES
from hooksync.state.format import STATE_FORMAT, read_state, reason_against
from hooksync.state.local import LocalStore
from hooksync.state.model import NO_STATE, State, StateEntry, SubscriptionRecord, TenancyRecords
from hooksync.state.store import (
    OpenStore,
    StateStore,
    open_store,
    run_lock,
    state_place,
    update,
    written_text,
)

_ADDRESS = re.compile(r"[\w-]+/[\w-]+/(\w+)", re.ASCII)


class StateOptions(Record):
    """The flags of all actions of `state`."""

    action: Literal["show", "pull", "push", "unlock", "move", "forget"]
    files: tuple[str, ...]  # hooks files; the default state is beside the first one
    state: str | None = None  # where the state is; None: beside the first hooks file
    lock_timeout: float | None = None  # seconds
    is_confirmed: bool = False
    path: str = "-"  # of the state to push
    is_forced: bool = False  # push even an older or an unrelated state
    id: str = ""  # of the run to take the run lock away from
    old: str = ""  # the address to rename
    new: str = ""  # its new address
    globs: Globs = ()  # of the addresses to forget
    server: str | None = None  # forget only what is recorded for this host; None: any
    tenant: str | None = None  # forget only what is recorded for this tenant; None: any


def run_action(
    options: StateOptions, context: Context, open_store: OpenStore = open_store
) -> ExitCode:
    """Carry out an action. Raises UsageError if the state has no place."""
    place = state_place(options.files[0], options.state)
    if place is None:
        what = "a hooks file on standard input has no state beside it"
        raise UsageError(Problem(what, "name the state with --state or HOOKSYNC_STATE"))
    act = _ACTIONS[options.action]
    act(options, open_store(place, options.files[0], context), context)
    return ExitCode.DONE


def show(_: StateOptions, store: StateStore, context: Context) -> None:
    """List what the state contains, and who holds the run lock."""
    state = _inspected(_read(store), store, context)
    holder = store.holder()
    held = f"{holder.id}: {holder}" if holder else "not held"
    lines = [
        f"state         {store.where}",
        f"state format  {STATE_FORMAT}",
        f"serial        {state.serial}",
        f"signed        {'yes' if state.signature else 'no'}",
        f"run lock      {held}",
        "",
    ]
    entries: list[str] = []
    attempts: list[str] = []
    for records in state.tenancies:
        entries += [_line(entry, records) for entry in records.entries]
        attempts += [_line(attempt, records) for attempt in records.attempts]
    lines += entries or ["no entries"]
    if attempts:
        attempted = "may have been made: a run has not ended, or did not learn the result:"
        lines += ["", attempted, *attempts]
    context.terminal.show([("", line) for line in lines])


def pull(_: StateOptions, store: StateStore, context: Context) -> None:
    """Print the text of the state as it is stored.

    An invalid state only causes warnings: the user may pull it to repair it.
    """
    text = _read(store)
    form: Format = "json"
    try:
        _inspected(text, store, context)
    except StateError as error:
        form = "text"  # perhaps it is no JSON
        context.terminal.warn(*error.problems)
    context.terminal.result(text, form)


def push(options: StateOptions, store: StateStore, context: Context) -> None:
    """Replace the state with a file. Without --force, the file must not be older or unrelated."""
    given = _given(options.path, context)
    with run_lock(store, options.lock_timeout, context):
        text = store.read()
        before = NO_STATE
        try:
            before = read_state(text, store.where) if text is not None else NO_STATE
        except StateError:
            if not options.is_forced:
                raise
        same = replace(given, serial=before.serial, signature=before.signature)
        if same == before and not reason_against(before, store.where, store.key):
            context.terminal.result(f"nothing to do: {store.where} contains the same state\n")
            return
        if not options.is_forced:
            _check_push(given, before, store)
        after = replace(given, serial=max(given.serial, before.serial) + 1)
        store.write(written_text(after, store), text, "state push")
    context.terminal.result(f"pushed to {store.where}: serial {after.serial}\n")


def unlock(options: StateOptions, store: StateStore, context: Context) -> None:
    """Take the run lock away from its holder, which can no longer write the state."""
    store.read()
    holder = store.holder()
    if holder and holder.id == options.id:
        question = f"Take the run lock of {store.where} away from {holder}?"
        confirm(question, context, is_confirmed=options.is_confirmed)
    store.unlock(options.id)
    held = holder or "an unknown run"
    context.terminal.result(f"the run lock of {store.where} was taken away from {held}\n")


def move(options: StateOptions, store: StateStore, context: Context) -> None:
    """Give the entries and attempts of one address a different address."""
    old = options.old
    new = options.new
    for address in (old, new):
        found = _ADDRESS.fullmatch(address)
        if not found or found[1] != old.rpartition("/")[2]:
            what = f'"{address}" is not an address with the trigger that OLD and NEW share'
            fix = "write tenancy/name/TRIGGER, e.g. archive/catalogue/INDEXED"
            raise UsageError(Problem(what, fix))

    def moved(record: SubscriptionRecord) -> SubscriptionRecord:
        return replace(record, address=new) if record.address == old else record

    def change(state: State) -> State:
        refuse_unmatched("OLD", [old], state.addresses, "address in the state")
        if new in state.addresses:
            fix = "choose a different name, or remove its entry with `hooksync state forget`"
            raise Refused(Problem(f"the state {store.where} already contains {new}", fix))
        return state.with_records(records.mapped(moved) for records in state.tenancies)

    _read(store)  # before the run lock, which creates files
    with run_lock(store, options.lock_timeout, context):
        update(store, change, f"state move {old} {new}")
    context.terminal.result(f"moved {old} to {new}\n")


def forget(options: StateOptions, store: StateStore, context: Context) -> None:
    """Remove entries and attempts."""
    _read(store)  # before the run lock, which creates files
    with run_lock(store, options.lock_timeout, context):
        tenancies, names = _selected(read_state(_read(store), store.where), options)

        def kept(record: SubscriptionRecord) -> SubscriptionRecord | None:
            return None if record.address in names else record

        lines = []
        for records in tenancies:
            forgotten = [record for record in records.subscriptions if record.address in names]
            lines += [_line(record, records) for record in forgotten]
        number = pluralised(len(lines), "entry")
        loss = "What is live then counts as not in the state, and its secret as unknown."
        question = "\n".join([*lines, f"Forget {number}? {loss}"])
        confirm(question, context, is_confirmed=options.is_confirmed)
        rest = [records.mapped(kept) for records in tenancies]
        update(store, lambda now: now.with_records(rest), f"state forget: {number}")
    context.terminal.result("".join(f"forgot {line}\n" for line in lines))


def _selected(state: State, options: StateOptions) -> tuple[Sequence[TenancyRecords], set[str]]:
    """Find the tenancies, and the addresses to forget there. Raises UsageError for a vain glob."""
    tenancies = []
    for records in state.tenancies:
        is_server = options.server in (None, records.server)
        if is_server and (not options.tenant or records.tenant == options.tenant.casefold()):
            tenancies.append(records)
    names = replace(state, tenancies=tuple(tenancies)).addresses
    refuse_unmatched("GLOB", options.globs, names, "address in the state")
    return tenancies, {name for name in names if matches_any(name, options.globs)}


def _read(store: StateStore) -> str:
    """Read a state's text.

    Raises StateError if there is no state. The error also names the holder of the run lock, if any.
    """
    if (text := store.read()) is not None:
        return text
    what = f"there is no state at {store.where}"
    if holder := store.holder():
        what += f"; its run lock is held by {holder}, with the id {holder.id}"
    fix = "name it with --state; the first `hooksync apply` writes it"
    raise StateError(Problem(what, fix))


def _inspected(text: str, store: StateStore, context: Context) -> State:
    """Read a state to show it. Warn if there is a key that did not sign it. Raises StateError."""
    state = read_state(text, store.where)
    problem = reason_against(state, store.where, store.key)
    if problem:
        context.terminal.warn(problem)
    return state


def _given(path: str, context: Context) -> State:
    """Read the state that is to be pushed. Raises StateError."""
    if path == "-":  # a text that is cut off or is not UTF-8 is refused, because it is not JSON
        data = context.stdin.read(MOST_BYTES + 1)
        return read_state(data.decode("utf-8-sig", "backslashreplace"), "<stdin>")
    text = LocalStore(path).read()
    if text is None:
        fix = "name one that `hooksync state pull` wrote, or -"
        raise StateError(Problem(f"there is no file {path}", fix))
    return read_state(text, path)


def _check_push(given: State, before: State, store: StateStore) -> None:
    """Raise Refused for an older or unrelated state, StateError if a signature would be lost."""
    problem = reason_against(before, store.where, store.key, writes=True)
    if problem and not store.key:
        raise StateError(problem)
    is_later = given.url_salt == before.url_salt and given.serial >= before.serial
    if before == NO_STATE or is_later:
        return
    what = f"the state to push is older than {store.where}, or not a version of it"
    fix = "compare both with `hooksync state show`; --force replaces what is there"
    raise Refused(Problem(what, fix))


def _line(record: SubscriptionRecord, records: TenancyRecords) -> str:
    """Write a record for people."""
    verb = "tried"
    if isinstance(record, StateEntry):
        verb = "adopted" if record.is_adopted else "made"
    parts = [f"{records.key}", record.address, record.id, f"{verb} {rfc3339(record.at)}"]
    return "  ".join(filter(None, parts))


_ACTIONS = {
    "show": show,
    "pull": pull,
    "push": push,
    "unlock": unlock,
    "move": move,
    "forget": forget,
}
