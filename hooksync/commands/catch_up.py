"""The command `catch-up`: after an outage, send an event for each entity that was updated since."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from hooksync.api.inputs import prepare, read_files
from hooksync.api.options import YES, RunOptions
from hooksync.api.run import open_run
from hooksync.commands.problems import confirm
from hooksync.commands.receiving import RECEIVER, SENT, declared_receiver
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, UsageError, pluralised
from hooksync.core.flags import flag
from hooksync.core.model import Globs
from hooksync.receivers.catch_up import LIMITS, EntityRef, send_again, updated_entities
from hooksync.receivers.suite import Sender
from hooksync.receivers.verdict import Cause
from hooksync.render.suite import cause_lines, trial_line


class CatchUpOptions(RunOptions):
    """The flags of `catch-up`."""

    address: str = flag("ADDRESS", "declared in hooks files: tenancy/name[/INDEXED]", RECEIVER)
    moment: str = flag("--since TIME", "send what was updated since, e.g. 2026-11-30T14:00Z", SENT)
    is_dry_run: bool = flag(
        "--dry-run", "list what would be sent, and send nothing", SENT, default=False
    )
    is_confirmed: bool = YES
    # no flags of `catch-up`
    parallelism: int = 8
    state: str | None = None
    uses_state: bool = False
    tenancies: Globs = ()
    targets: Globs = ()


def catch_up(options: CatchUpOptions, context: Context) -> ExitCode:
    """List what was updated since a time, and after a prompt send an event for each entity."""
    moment = _moment(options.moment, context.clock.now())
    entries = read_files(options, context)
    target = f"{options.address.removesuffix('/INDEXED')}/INDEXED"
    declared_receiver(entries, target)  # an update proves no other trigger
    inputs = prepare(options.changed(targets=(target,)), context, entries=entries)
    [tenancy] = inputs.tenancies
    [subscription] = tenancy.subscriptions
    with open_run(inputs) as run:
        client = run.clients[tenancy.name]
        entities = updated_entities(client, moment)
        missed = (
            f"{pluralised(len(entities), 'entity')} updated since {moment},"
            f" for {subscription.url.shown}"
        )
        context.terminal.message(f"{missed}. {LIMITS}")
        if options.is_dry_run or not entities:
            context.terminal.result("".join(f"{kind} {ref}\n" for kind, ref in entities))
            return ExitCode.DONE
        confirm(f"{tenancy.where}: send {missed}.", context, is_confirmed=options.is_confirmed)
        [secret] = run.secrets.find_all((subscription.secret,)).values()
        sender = Sender(subscription.url, secret, run.caller)
        return _send(sender, client.tenant or "", moment, entities)


def _moment(since: str, now: float) -> str:
    """Return the time in UTC. Raises UsageError if it is none, has no zone, or is not past."""
    with suppress(ValueError, OverflowError):  # of a time before year 1 in UTC
        moment = datetime.fromisoformat(since)
        if moment.tzinfo and moment.timestamp() < now:
            return moment.astimezone(UTC).isoformat(timespec="milliseconds")
    what = f'--since "{since}" is not a time in the past with its time zone'
    raise UsageError(what, "write a time such as 2026-11-30T14:00Z")


def _send(sender: Sender, tenant: str, moment: str, entities: Sequence[EntityRef]) -> ExitCode:
    """Send an event for each entity, until the receiver cannot be reached. Show those refused."""
    context = sender.caller.context
    failed = 0
    advance = context.terminal.progress("sending", len(entities))
    for entity in entities:
        trial = send_again(sender, tenant, moment, entity)
        advance()
        if trial.state == "failed":
            failed += 1
            causes = [Cause("failed", trial.detail, trial.fix, ())] if trial.fix else []
            context.terminal.show([trial_line(trial), *cause_lines(causes)])
        if context.stop.is_set():
            return context.terminal.interrupt_code
        if trial.is_last:
            break
    unsent = len(entities) - sender.sent
    rest = f", {unsent} not sent" if unsent else ""
    context.terminal.result(
        f"{sender.sent - failed} answered with success, {failed} failed{rest}.\n"
    )
    return ExitCode.ERROR if failed else ExitCode.DONE
