"""The command `state`: shows and changes the state, on any backend.

It never reads the hooks file. All output goes through `context.terminal`.
"""

from __future__ import annotations

import re

from hooksync.api.options import HOOKS_FILES, LOCK_TIMEOUT, STATE, YES
from hooksync.commands.problems import confirm
from hooksync.config.declarations import refuse_unmatched
from hooksync.config.files import read_named
from hooksync.core.clock import rfc3339
from hooksync.core.context import Context
from hooksync.core.errors import (
    ExitCode,
    Refused,
    StateError,
    UsageError,
)
from hooksync.core.flags import READ, SAFETY, SELECT, CommandOptions, flag
from hooksync.core.model import Globs, TenancyKey, matches_any
from hooksync.core.output import Format
from hooksync.core.record import replace
from hooksync.state.format import read_state, reason_against
from hooksync.state.model import NO_STATE, State, StateEntry, SubscriptionRecord, TenancyRecords
from hooksync.state.store import (
    StateStore,
    open_store,
    run_lock,
    state_place,
    update,
    written_text,
)

_MOVE = re.compile(r"[\w-]+/[\w-]+/(\w+) [\w-]+/[\w-]+/\1", re.ASCII)  # OLD and NEW


class StateOptions(CommandOptions):
    """The flags of all actions of `state`."""

    files: tuple[str, ...] = HOOKS_FILES
    state: str | None = STATE  # None: beside the first hooks file


class PushOptions(StateOptions):
    """The flags of `state push`."""

    path: str = flag("FILE", "a state that was pulled or kept; - for stdin", READ)
    is_forced: bool = flag(
        "--force",
        "push even an older or an unrelated state; the records of all later runs are lost, so"
        " hooksync may miss rotations, or make subscriptions twice; without"
        " HOOKSYNC_PLAN_KEY, the signature is lost, too",
        SAFETY,
        default=False,
    )
    lock_timeout: float | None = LOCK_TIMEOUT


class UnlockOptions(StateOptions):
    """The flags of `state unlock`."""

    id: str = flag("ID", "the id of the run, from `hooksync state show`", SELECT)
    is_confirmed: bool = YES


class MoveOptions(StateOptions):
    """The flags of `state move`."""

    old: str = flag("OLD", "an address (tenancy/name/TRIGGER) in the state", SELECT)
    new: str = flag("NEW", "its new address: a different name in the same tenancy", SELECT)
    lock_timeout: float | None = LOCK_TIMEOUT


class ForgetOptions(StateOptions):
    """The flags of `state forget`."""

    globs: Globs = flag("GLOB ...", "addresses (tenancy/name/TRIGGER) in the state", SELECT)
    # None: any
    server: str | None = flag(
        "--server HOST", "only what is recorded for this server", SELECT, default=None
    )
    tenant: str | None = flag(
        "--tenant NAME", "only what is recorded for this tenant", SELECT, default=None
    )
    is_confirmed: bool = YES
    lock_timeout: float | None = LOCK_TIMEOUT


def _open(options: StateOptions, context: Context) -> StateStore:
    """Find the state. Raises UsageError if it has no place."""
    place = state_place(options.files[0], options.state)
    if place is None:
        raise UsageError(
            "a hooks file on standard input has no state beside it",
            "name the state with --state or HOOKSYNC_STATE",
        )
    return open_store(place, options.files[0], context)


def show(options: StateOptions, context: Context) -> ExitCode:
    """List what the state contains, and who holds the run lock."""
    store = _open(options, context)
    state = read_state(_read(store), store.where)
    if problem := reason_against(state, store):
        context.terminal.warn(problem)
    holder = store.holder()
    held = f"{holder.id}: {holder}" if holder else "not held"
    lines = [
        f"state     {store.where}",
        f"serial    {state.serial}",
        f"signed    {'yes' if state.signature else 'no'}",
        f"run lock  {held}",
        "",
    ]
    for records in state.tenancies:
        lines += [_line(record, records) for record in records.subscriptions]
    context.terminal.show(lines)
    return ExitCode.DONE


def pull(options: StateOptions, context: Context) -> ExitCode:
    """Print the text of the state as it is stored.

    An invalid state only causes a warning: the user may pull it to repair it.
    """
    store = _open(options, context)
    text = _read(store)
    form: Format = "json"
    try:
        read_state(text, store.where)
    except StateError as error:
        form = "text"  # perhaps it is no JSON
        context.terminal.warn(*error.problems)
    context.terminal.result(text, form)
    return ExitCode.DONE


def push(options: PushOptions, context: Context) -> ExitCode:
    """Replace the state with a file. Without --force, the file must not be older or unrelated."""
    store = _open(options, context)
    data = read_named(
        options.path, "state", "name one that `hooksync state pull` wrote, or -", context.stdin
    )
    # a text that is not UTF-8 is refused, because it is not JSON
    given = read_state(data.decode("utf-8-sig", "backslashreplace"), options.path)
    with run_lock(store, options.lock_timeout, context):
        text = store.read()
        before = NO_STATE
        try:
            before = read_state(text, store.where) if text is not None else NO_STATE
        except StateError:
            if not options.is_forced:
                raise
        if not options.is_forced:
            _check_push(given, before, store)
        after = replace(given, serial=max(given.serial, before.serial) + 1)
        store.write(written_text(after, store), text, "state push")
    context.terminal.result(f"pushed to {store.where}: serial {after.serial}\n")
    return ExitCode.DONE


def _check_push(given: State, before: State, store: StateStore) -> None:
    """Raise Refused for an older or unrelated state, StateError if a signature would be lost."""
    problem = reason_against(before, store, writes=True)
    if problem and not store.key:
        raise StateError.of([problem])
    is_later = given.url_salt == before.url_salt and given.serial >= before.serial
    if before != NO_STATE and not is_later:
        raise Refused(
            f"the state to push is older than {store.where}, or not a version of it",
            "compare both; --force replaces what is there, and loses the records that only it has",
        )


def unlock(options: UnlockOptions, context: Context) -> ExitCode:
    """Take the run lock away from its holder, which can no longer write the state."""
    store = _open(options, context)
    store.read()
    holder = store.holder()
    if holder and holder.id == options.id:
        question = f"Take the run lock of {store.where} away from {holder}?"
        confirm(question, context, is_confirmed=options.is_confirmed)
    store.unlock(options.id)
    context.terminal.result(f"the run lock of {store.where} was taken away\n")
    return ExitCode.DONE


def move(options: MoveOptions, context: Context) -> ExitCode:
    """Give the entries and attempts of one address a different address."""
    store = _open(options, context)
    old = options.old
    new = options.new
    if not _MOVE.fullmatch(f"{old} {new}"):
        raise UsageError(
            f'"{old}" and "{new}" are not two addresses with the same trigger',
            "write both as tenancy/name/TRIGGER",
        )

    def moved(record: SubscriptionRecord) -> SubscriptionRecord:
        return replace(record, address=new) if record.address == old else record

    def change(state: State) -> State:
        refuse_unmatched("OLD", [old], state.addresses, "address in the state")
        if new in state.addresses:
            raise Refused(
                f"the state {store.where} already contains {new}",
                "choose a different name, or forget that one first",
            )
        return state.with_records(records.mapped(moved) for records in state.tenancies)

    _read(store)  # before the run lock, which creates files
    with run_lock(store, options.lock_timeout, context):
        update(store, change, f"state move {old} {new}")
    context.terminal.result(f"moved {old} to {new}\n")
    return ExitCode.DONE


def forget(options: ForgetOptions, context: Context) -> ExitCode:
    """Remove entries and attempts."""
    store = _open(options, context)
    _read(store)  # before the run lock, which creates files
    with run_lock(store, options.lock_timeout, context):
        addresses = []
        lines = []
        rest = []

        def kept(record: SubscriptionRecord) -> SubscriptionRecord | None:
            return None if matches_any(record.address, options.globs) else record

        for records in read_state(_read(store), store.where).tenancies:
            tenant = options.tenant or records.tenant
            if records.key == TenancyKey.of(options.server or records.server, tenant):
                addresses += [record.address for record in records.subscriptions]
                forgotten = [record for record in records.subscriptions if not kept(record)]
                lines += [_line(record, records) for record in forgotten]
                rest.append(records.mapped(kept))
        refuse_unmatched("GLOB", options.globs, addresses, "address in the state")
        asked = "Forget these? They then count as not in the state, and their secrets as unknown."
        question = "\n".join([*lines, asked])
        confirm(question, context, is_confirmed=options.is_confirmed)
        update(store, lambda now: now.with_records(rest), "state forget")
    context.terminal.result("".join(f"forgot {line}\n" for line in lines))
    return ExitCode.DONE


def _read(store: StateStore) -> str:
    """Read a state's text. Raises StateError if there is no state."""
    text = store.read()
    if text is None:
        raise StateError(
            f"there is no state at {store.where}",
            "name it with --state; the first `hooksync apply` writes it",
        )
    return text


def _line(record: SubscriptionRecord, records: TenancyRecords) -> str:
    """Write a record for people."""
    verb = "may have been made"
    if isinstance(record, StateEntry):
        verb = "adopted" if record.is_adopted else "made"
    parts = [f"{records.key}", record.address, record.id, f"{verb} {rfc3339(record.at)}"]
    return "  ".join(filter(None, parts))
