"""The commands `fire`, `catch-up` and `verify`: they send events to a receiver, or judge an event.

`catch-up` sends an event for each entity that was updated since an outage.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

from hooksync.api.inputs import Declared, prepare, read_files
from hooksync.api.run import open_run
from hooksync.commands.problems import confirm
from hooksync.commands.receiving import (
    ReceiverOptions,
    SecretOptions,
    declared_receiver,
    find_secrets,
    named_receiver,
    open_receiver,
)
from hooksync.config.declarations import TenancyDeclaration, addresses
from hooksync.config.files import read_event, read_named, recorded_events
from hooksync.core.clock import rfc3339
from hooksync.core.context import Context
from hooksync.core.errors import (
    ExitCode,
    FileError,
    Problem,
    UsageError,
    pluralised,
    suggestion,
)
from hooksync.core.model import TRIGGER_NAMES, Secret, SecretRef, Tenancy, Trigger
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.receivers.catch_up import LIMITS, send_again, updated_entities
from hooksync.receivers.events import (
    SIGNATURE,
    Delivery,
    NewEvents,
    explain_signature,
    find_signers,
    signed,
)
from hooksync.receivers.suite import Sender, Suite, Trial
from hooksync.receivers.verdict import LOG_WAIT, Cause, explain, explain_refusal, judge_log
from hooksync.reconcile.run import Run
from hooksync.render.suite import cause_lines, suite_json, suite_junit, summary, trial_line

_NO_RECEIVER = Problem(
    "no receiver is named", "name an address (tenancy/name), or give --url and --secret"
)
_NO_SIGNATURE = Problem(
    "there is no signature to verify",
    f"give --signature with the value of the header {SIGNATURE}; `listen --record` keeps it",
)
_LOG_FIX = "name the file into which the receiver prints the identifiers of each entity"
_NOT_TESTED = "Not tested: whether signatures are compared in constant time"
_NO_LOG = "; without --log, whether each entity of an event is worked on, and only once"


class FireOptions(ReceiverOptions, frozen=True):
    """The flags of `fire`. Of several secrets, the first one signs."""

    trigger: str | None = None
    event: str | None = None  # path of an event to send; with --suite, new events resemble it
    is_suite: bool = False
    format: Literal["text", "json", "junit"] = "text"  # of the suite
    log: str | None = None  # path of the receiver's log, in which the suite looks for its events
    replay: str | None = None  # path of a recorded event, or of a folder of them


def fire(options: FireOptions, context: Context) -> ExitCode:
    """Send one event, the suite of tests, or recorded events.

    Returns DONE if the receiver accepted and refused everything as it should.
    """
    with open_receiver(_find_receiver(options, context), options, context) as (run, receiver):
        secrets = run.secrets.find_all(options.secrets or (receiver.secret,))
        sender = Sender(receiver.url, next(iter(secrets.values())), run.caller)
        if options.replay is not None:
            return _replay(options.replay, sender, secrets)
        body = None
        if options.event is not None:
            body, _ = read_event(options.event, context.stdin)
        if body is None or options.is_suite:
            events = _new_events(options, body, receiver.trigger, context)
            if options.is_suite:
                return _run_suite(options, sender, events, secrets)
            body = json.dumps(events.make()).encode()
        trial = sender.send("event", signed(body, sender.secret))
        return _show_answer(sender, trial, secrets)


def _find_receiver(options: FireOptions, context: Context) -> TenancyDeclaration:
    """Find the receiver. Raises UsageError if none is named, or flags contradict each other."""
    if options.replay is not None and (options.is_suite or options.event or options.trigger):
        what = "--replay cannot be combined with --suite, --event or --trigger"
        raise UsageError(Problem(what, "send recorded events, or new ones"))
    if not options.is_suite and (options.log or options.format != "text"):
        raise UsageError(Problem("--log and --format need --suite", "add --suite"))
    if tenancy := named_receiver(options):
        return tenancy
    if not options.address:
        raise UsageError(_NO_RECEIVER)
    return declared_receiver(read_files(options, context), options.address)


def _new_events(
    options: FireOptions, body: bytes | None, declared: Trigger, context: Context
) -> NewEvents:
    """Return a maker of new events. They resemble the event `body`, if there is one."""
    trigger = Trigger.named(options.trigger) if options.trigger else declared
    if options.trigger and trigger not in TRIGGER_NAMES.values():
        fix = suggestion(options.trigger, [*TRIGGER_NAMES], "it is sent as it is written")
        context.terminal.warn(Problem(f"unknown trigger {printable(options.trigger)}", fix))
    now = datetime.fromtimestamp(context.clock.now(), UTC)
    if body is None:
        return NewEvents(now, trigger)
    try:
        template = dict(json.loads(body))
    except (ValueError, TypeError, RecursionError):
        fix = "give the body of an event, as `hooksync listen --record` writes one"
        raise FileError(Problem(f"{options.event} is not a JSON object", fix)) from None
    if options.trigger:
        template["trigger"] = trigger
    return NewEvents(now, trigger, template)


def _show_answer(sender: Sender, trial: Trial, secrets: Mapping[SecretRef, Secret]) -> ExitCode:
    """Show the answer to one event. It does not prove that the receiver worked on the event.

    A receiver is right to refuse a recorded event that none of the secrets signed.
    """
    terminal = sender.caller.context.terminal
    if trial.state != "failed":
        terminal.show([trial_line(trial, "answered")])
        return ExitCode.DONE
    terminal.show([trial_line(trial)])
    body = trial.sent.body
    signature = trial.sent.signature or ""
    if not find_signers(secrets, body, signature):
        reason = explain_signature(secrets, body, signature)
        terminal.result(f"          its recorded signature: {reason}\n")
        return ExitCode.ERROR
    before = sender.sent
    terminal.show(cause_lines(explain_refusal(sender, trial)))
    if number := sender.sent - before:
        sent = pluralised(number, "further event")
        terminal.message(f"to find the cause, hooksync sent {sent} with wrong signatures")
    return ExitCode.ERROR


def _run_suite(
    options: FireOptions, sender: Sender, events: NewEvents, secrets: Mapping[SecretRef, Secret]
) -> ExitCode:
    context = sender.caller.context
    others = {str(ref): other for ref, other in secrets.items() if other is not sender.secret}
    trials: list[Trial] = []
    for trial in Suite(sender, events).run(others):
        trials.append(trial)
        if options.format == "text":
            context.terminal.show([trial_line(trial)])
        if context.stop.is_set():
            return context.terminal.interrupt_code
        if trial.is_last:
            break
    causes = explain(trials, sender)
    if options.log is not None:
        trials, found = _judge_log(options.log, trials, context)
        causes += found
    return _show_suite(options, trials, causes, context)


def _show_suite(
    options: FireOptions, trials: Sequence[Trial], causes: Sequence[Cause], context: Context
) -> ExitCode:
    """Show the result of the suite in the format that is asked for."""
    is_right = all(trial.state in ("passed", "warning") for trial in trials)
    code = ExitCode.DONE if is_right else ExitCode.ERROR
    if options.format == "json":
        created_at = rfc3339(context.clock.now())
        context.terminal.result(suite_json(trials, causes, created_at, code), "json")
    elif options.format == "junit":
        context.terminal.result(suite_junit(trials, causes))
    else:
        context.terminal.show(cause_lines(causes))
        untested = _NOT_TESTED if options.log else f"{_NOT_TESTED}{_NO_LOG}"
        context.terminal.result(f"\n{summary(trials)}\n{untested}.\n")
    return code


def _judge_log(path: str, trials: list[Trial], context: Context) -> tuple[list[Trial], list[Cause]]:
    """Judge the receiver's log as soon as it shows no fault, or the wait for the work is over."""
    ends = context.clock.monotonic() + LOG_WAIT
    while True:
        judged, causes = judge_log(trials, read_named(path, "log", _LOG_FIX))
        is_over = not causes or context.clock.monotonic() > ends
        if is_over or context.clock.wait(context.stop, 0.2):
            return judged, causes


def _replay(place: str, sender: Sender, secrets: Mapping[SecretRef, Secret]) -> ExitCode:
    """Send the events that `listen --record` wrote, with their recorded signatures."""
    context = sender.caller.context
    codes = []
    paths, refused = recorded_events(place)
    for path in paths:
        body, headers = read_event(path)
        signature = headers.get(SIGNATURE.lower(), "")
        sent = Delivery(body, signature, is_chunked="transfer-encoding" in headers)
        codes.append(_show_answer(sender, sender.send(os.path.basename(path), sent), secrets))
        if context.stop.is_set():
            return context.terminal.interrupt_code
    failed = codes.count(ExitCode.ERROR)
    left_out = f", {refused} recorded as refused left out" if refused else ""
    answered = len(codes) - failed
    context.terminal.result(f"\nReplay: {answered} answered, {failed} failed{left_out}.\n")
    return ExitCode.ERROR if failed else ExitCode.DONE


class CatchUpOptions(ReceiverOptions, frozen=True):
    """The flags of `catch-up`."""

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
        return _send_missed(run, tenancy, moment, entities)


def _declared(options: CatchUpOptions, context: Context) -> Declared:
    """Read what the files declare for INDEXED at the address. An update proves no other trigger."""
    entries = read_files(options, context)
    address = str(options.address)
    declared_receiver(entries, address)
    target = f"{address.removesuffix('/INDEXED')}/INDEXED"
    if target not in addresses(entries):
        what = f"{address} is not declared for INDEXED: an update proves no other trigger"
        raise UsageError(Problem(what, "name an address whose trigger is INDEXED"))
    options = replace(options, targets=(target,), uses_state=False)
    return prepare(options, context, entries=entries)


def _moment(since: str, now: float) -> str:
    """Return the time in UTC. Raises UsageError if it is none, has no zone, or is not past."""
    with suppress(ValueError):
        moment = datetime.fromisoformat(since)
        if moment.tzinfo and moment.timestamp() < now:
            return moment.astimezone(UTC).isoformat(timespec="milliseconds")
    what = f'--since "{since}" is not a time in the past with its time zone'
    raise UsageError(Problem(what, "write a time such as 2026-11-30T14:00Z"))


def _send_missed(
    run: Run, tenancy: Tenancy, moment: str, entities: list[tuple[str, str]]
) -> ExitCode:
    [subscription] = tenancy.subscriptions
    secret = run.secrets.find_all((subscription.secret,))[subscription.secret]
    sender = Sender(subscription.url, secret, run.caller)
    tenant = run.clients[tenancy.name].tenant or ""
    return _show_refused(send_again(sender, tenant, moment, entities), sender, len(entities))


def _show_refused(trials: Iterable[Trial], sender: Sender, number: int) -> ExitCode:
    """Send events, and show those that the receiver refused. `number`: of all events."""
    context = sender.caller.context
    failed = 0
    with context.terminal.progress("sending", number) as advance:
        for trial in trials:
            advance()
            if trial.state == "failed":
                failed += 1
                causes = [Cause("failed", trial.detail, trial.fix, ())] if trial.fix else []
                context.terminal.show([trial_line(trial), *cause_lines(causes)])
            if context.stop.is_set():
                return context.terminal.interrupt_code
    unsent = number - sender.sent
    rest = f", {unsent} not sent" if unsent else ""
    taken = sender.sent - failed
    context.terminal.result(f"{taken} answered with success, {failed} failed{rest}.\n")
    return ExitCode.ERROR if failed else ExitCode.DONE


class VerifyOptions(SecretOptions, frozen=True):
    """The flags of `verify`."""

    path: str = "-"  # of the event
    signature: str | None = None  # None: the recorded one


def verify(options: VerifyOptions, context: Context) -> ExitCode:
    """Report which of the secrets signed an event. Returns ERROR if none did."""
    known = find_secrets(options, context)
    body, headers = read_event(options.path, context.stdin)
    signature = options.signature or headers.get(SIGNATURE.lower())
    if signature is None:
        raise UsageError(_NO_SIGNATURE)
    signers = find_signers(known, body, signature)
    if signers:
        names = " and ".join(map(str, signers))
        context.terminal.result(f"signed with {names}\n")
        return ExitCode.DONE
    tried = ", ".join(map(str, known))
    reason = explain_signature(known, body, signature)
    context.terminal.result(f"signed with none of {tried}\n  {reason}\n")
    return ExitCode.ERROR
