"""The command `fire`: sends events to a receiver, and reports its answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from hooksync.api.inputs import read_files
from hooksync.commands.receiving import (
    ReceiverOptions,
    declared_receiver,
    named_receiver,
    open_receiver,
)
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
from hooksync.core.model import TRIGGER_NAMES, Secret, SecretRef, Trigger
from hooksync.core.redaction import printable
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
from hooksync.render.suite import cause_lines, suite_json, suite_junit, summary, trial_line

_NO_RECEIVER = Problem(
    "no receiver is named", "name an address (tenancy/name), or give --url and --secret"
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
    _refuse_combinations(options)
    tenancy = named_receiver(options)
    if tenancy is None and options.address:
        tenancy = declared_receiver(read_files(options, context), options.address)
    if tenancy is None:
        raise UsageError(_NO_RECEIVER)
    with open_receiver(tenancy, options, context) as (run, receiver):
        secrets = run.secrets.find_all(options.secrets or (receiver.secret,))
        first = next(iter(secrets.values()))
        sender = Sender(receiver.url, first, run.caller)
        if options.replay is not None:
            return _replay(options.replay, sender, secrets)
        others = {}
        for ref, other in secrets.items():
            if other is not first:
                others[str(ref)] = other
        return _send_new(options, sender, receiver.trigger, others)


def _refuse_combinations(options: FireOptions) -> None:
    """Raise UsageError for flags that contradict each other."""
    if options.replay is not None and (options.is_suite or options.event or options.trigger):
        what = "--replay cannot be combined with --suite, --event or --trigger"
        raise UsageError(Problem(what, "send recorded events, or new ones"))
    if not options.is_suite and (options.log or options.format != "text"):
        raise UsageError(Problem("--log and --format need --suite", "add --suite"))


def _send_new(
    options: FireOptions, sender: Sender, declared: Trigger, others: Mapping[str, Secret]
) -> ExitCode:
    """Send the event of --event, a new event, or the suite."""
    context = sender.caller.context
    body = None
    if options.event is not None:
        body, _ = read_event(options.event, context.stdin)
    if body is None or options.is_suite:
        events = _new_events(options, body, declared, context)
        if options.is_suite:
            return _run_suite(options, sender, events, others)
        body = json.dumps(events.make()).encode()
    return _show_answer(sender, sender.send("event", signed(body, sender.secret)))


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


def _show_answer(sender: Sender, trial: Trial, reason: str = "") -> ExitCode:
    """Show the answer to one event. It does not prove that the receiver worked on the event.

    `reason`: why the receiver was right to refuse it, or "".
    """
    terminal = sender.caller.context.terminal
    if trial.state != "failed":
        terminal.show([trial_line(trial, "answered")])
        return ExitCode.DONE
    terminal.show([trial_line(trial)])
    if reason:
        terminal.result(f"          its recorded signature: {reason}\n")
        return ExitCode.ERROR
    before = sender.sent
    terminal.show(cause_lines(explain_refusal(sender, trial)))
    if number := sender.sent - before:
        sent = pluralised(number, "further event")
        terminal.message(f"to find the cause, hooksync sent {sent} with wrong signatures")
    return ExitCode.ERROR


def _run_suite(
    options: FireOptions, sender: Sender, events: NewEvents, others: Mapping[str, Secret]
) -> ExitCode:
    context = sender.caller.context
    trials: list[Trial] = []
    for trial in Suite(sender, events).run(others):
        trials.append(trial)
        if options.format == "text":
            context.terminal.show([trial_line(trial)])
        if context.stop.is_set():
            return context.terminal.interrupt_code
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
    for path in recorded_events(place):
        body, headers = read_event(path)
        signature = headers.get(SIGNATURE.lower(), "")
        sent = Delivery(body, signature, is_chunked="transfer-encoding" in headers)
        trial = sender.send(path.rpartition("/")[2], sent)
        reason = ""
        if trial.state == "failed" and not find_signers(secrets, body, signature):
            reason = explain_signature(secrets, body, signature)
        codes.append(_show_answer(sender, trial, reason))
        if context.stop.is_set():
            return context.terminal.interrupt_code
    failed = codes.count(ExitCode.ERROR)
    context.terminal.result(f"\nReplay: {len(codes) - failed} answered, {failed} failed.\n")
    return ExitCode.ERROR if failed else ExitCode.DONE
