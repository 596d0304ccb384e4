"""The command `catch-up`: sends an event for each entity that was updated since an outage."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from hooksync.api.inputs import Declared, prepare, read_files
from hooksync.api.options import RunOptions
from hooksync.api.run import open_run
from hooksync.commands.problems import confirm
from hooksync.commands.receiving import declared_receiver
from hooksync.config.declarations import addresses
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, Problem, UsageError, pluralised
from hooksync.core.model import Tenancy
from hooksync.core.record import replace
from hooksync.receivers.catch_up import LIMITS, send_again, updated_entities
from hooksync.receivers.suite import Sender, Trial
from hooksync.receivers.verdict import Cause
from hooksync.reconcile.run import Run
from hooksync.render.suite import cause_lines, trial_line


class CatchUpOptions(RunOptions, frozen=True):
    """The flags of `catch-up`."""

    address: str = ""  # of a declared subscription
    moment: str = ""  # ISO 8601, of --since
    is_dry_run: bool = False  # list, and send nothing


def catch_up(options: CatchUpOptions, context: Context) -> ExitCode:
    """List what was updated since a time, and after a prompt send an event for each entity."""
    moment = _moment(options.moment, context.clock.now())
    declared = _declared(options, context)
    [tenancy] = declared.tenancies
    [subscription] = tenancy.subscriptions
    with open_run(declared) as run:
        entities = updated_entities(run.clients[tenancy.name], moment)
        number = pluralised(len(entities), "entity")
        receiver = subscription.url.shown
        context.terminal.message(f"{number} updated since {moment}, for {receiver}. {LIMITS}")
        if options.is_dry_run or not entities:
            context.terminal.result("".join(f"{kind} {ref}\n" for kind, ref in entities))
            return ExitCode.DONE
        question = f"{tenancy.where}: send {number} to {receiver}."
        confirm(question, context, is_confirmed=options.is_confirmed)
        return _send(run, tenancy, moment, entities)


def _declared(options: CatchUpOptions, context: Context) -> Declared:
    """Read what the files declare for INDEXED at the address. An update proves no other trigger."""
    document = read_files(options, context)
    declared_receiver(document, options.address)
    target = f"{options.address.removesuffix('/INDEXED')}/INDEXED"
    if target not in addresses(document.tenancies):
        what = f"{options.address} is not declared for INDEXED: an update proves no other trigger"
        raise UsageError(Problem(what, "name an address whose trigger is INDEXED"))
    options = replace(options, targets=(target,), uses_state=False)
    return prepare(options, context, document=document)


def _moment(since: str, now: float) -> str:
    """Return the time in UTC. Raises UsageError if it is none, has no zone, or is not past."""
    with suppress(ValueError):
        moment = datetime.fromisoformat(since)
        if moment.tzinfo and moment.timestamp() < now:
            return moment.astimezone(UTC).isoformat(timespec="milliseconds")
    what = f'--since "{since}" is not a time in the past with its time zone'
    raise UsageError(Problem(what, "write a time such as 2026-11-30T14:00Z"))


def _send(run: Run, tenancy: Tenancy, moment: str, entities: list[tuple[str, str]]) -> ExitCode:
    """Send an event for each entity, and show those that the receiver refused."""
    [subscription] = tenancy.subscriptions
    context = run.context
    secret = run.secrets.find_all((subscription.secret,))[subscription.secret]
    sender = Sender(subscription.url, secret, run.caller)
    tenant = run.clients[tenancy.name].tenant or ""
    failed = 0
    with context.terminal.progress("sending", len(entities)) as advance:
        for trial in send_again(sender, tenant, moment, entities):
            advance()
            if trial.state == "failed":
                failed += 1
                _show(trial, context)
            if context.stop.is_set():
                return context.terminal.interrupt_code
    taken = sender.sent - failed
    unsent = len(entities) - sender.sent
    rest = f", {unsent} not sent" if unsent else ""
    context.terminal.result(f"{taken} answered with success, {failed} failed{rest}.\n")
    return ExitCode.ERROR if failed else ExitCode.DONE


def _show(trial: Trial, context: Context) -> None:
    """Show an event that failed, and why if that is known."""
    context.terminal.show([trial_line(trial)])
    if trial.fix:
        context.terminal.show(cause_lines([Cause("failed", trial.detail, trial.fix, ())]))
