"""The command `fire`: send a new event, the suite, or recorded events to a receiver."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Literal

from hooksync.api.inputs import read_files
from hooksync.api.options import FORMAT, CallOptions
from hooksync.commands.receiving import (
    RECEIVER,
    SECRETS,
    SENT,
    URL,
    declared_receiver,
    named_receiver,
    open_receiver,
)
from hooksync.config.declarations import TenancyDeclaration
from hooksync.core.clock import rfc3339
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, UsageError
from hooksync.core.flags import flag, number_between
from hooksync.core.model import SecretRef, Secrets, Trigger
from hooksync.receivers.events import (
    NewEvents,
    explain_signature,
    forwarded,
    read_event,
    recorded_events,
    signed,
)
from hooksync.receivers.suite import UNTESTED, Sender, Suite, Trial
from hooksync.receivers.verdict import Cause, explain, explain_refusal, judge_log
from hooksync.render.suite import cause_lines, suite_json, suite_junit, summary, trial_line

_NO_LOG = "without --log: whether each entity of an event is worked on, and only once"


class FireOptions(CallOptions):
    """The flags of `fire`. Of several secrets, the first one signs."""

    address: str | None = flag(
        "ADDRESS", "declared in hooks files: tenancy/name[/TRIGGER]", RECEIVER, default=None
    )
    url: str | None = URL
    secrets: tuple[SecretRef, ...] = SECRETS
    is_suite: bool = flag(
        "--suite",
        "send everything that a receiver must handle: different bytes and signatures, chunks,"
        " repeated events, two at once, challenges",
        SENT,
        default=False,
    )
    log: str | None = flag(
        "--log FILE",
        "for --suite: the receiver's log shows what was done",
        SENT,
        default=None,
    )
    largest: float = flag(
        "--largest SIZE",
        "for --suite: the largest event in MB (default: 10)",
        SENT,
        number_between(float, 0.001, 1000),
        default=10.0,
    )
    trigger: str | None = flag(
        "--trigger NAME", "of the event (default: the declared one, or INDEXED)", SENT, default=None
    )
    replay: str | None = flag(
        "--replay PATH",
        "resend what `listen --record` wrote: a folder, or an event",
        SENT,
        default=None,
    )
    event: str | None = flag(
        "--event FILE", "send this document, newly signed; --suite varies it", SENT, default=None
    )
    format: Literal["text", "json", "junit"] = FORMAT  # of the suite


def fire(options: FireOptions, context: Context) -> ExitCode:
    """Send one event, the suite of tests, or recorded events.

    Returns DONE if the receiver accepted and refused everything as it should.
    """
    declared = _find_receiver(options, context)
    with open_receiver(declared, options, context) as (sender, receiver, secrets):
        if options.replay is not None:
            return _replay(options.replay, sender, secrets)
        body = b""
        if options.event is not None:
            body, _ = read_event(options.event, context.stdin)
        if options.is_suite or not body:
            trigger = Trigger.named(options.trigger) if options.trigger else receiver.trigger
            events = NewEvents(context.clock.now(), trigger, body)
            if options.is_suite:
                return _run_suite(options, sender, events, secrets)
            body = json.dumps(events.make()).encode()
        trial = sender.send("event", signed(body, sender.secret))
        return _show_answer(sender, trial, secrets)


def _find_receiver(options: FireOptions, context: Context) -> TenancyDeclaration:
    """Find the receiver. Raises UsageError if none is named, or flags contradict each other."""
    given = options.given
    if "--replay" in given and given & {"--suite", "--event", "--trigger"}:
        raise UsageError(
            "--replay cannot be combined with --suite, --event or --trigger",
            "send recorded events, or new ones",
        )
    if given & {"--log", "--largest", "--format"} and not options.is_suite:
        raise UsageError("--log, --largest and --format need --suite", "add --suite")
    has_other = options.names_files or bool(options.address)
    if tenancy := named_receiver(options.url, options.secrets, has_other=has_other):
        return tenancy
    if not options.address:
        raise UsageError(
            "no receiver is named", "name an address (tenancy/name), or give --url and --secret"
        )
    return declared_receiver(read_files(options, context), options.address)


def _show_answer(sender: Sender, trial: Trial, secrets: Secrets) -> ExitCode:
    """Show the answer to one event. It does not prove that the receiver worked on the event.

    A receiver is right to refuse a recorded event that none of the secrets signed.
    """
    terminal = sender.caller.context.terminal
    if trial.state != "failed":
        terminal.show([trial_line(trial, "answered")])
        return ExitCode.DONE
    terminal.show([trial_line(trial)])
    if reason := explain_signature(secrets, trial.sent.body, trial.sent.signature or ""):
        terminal.result(f"          its recorded signature: {reason}\n")
        return ExitCode.ERROR
    terminal.show(cause_lines(explain_refusal(sender, trial)))
    return ExitCode.ERROR


def _run_suite(
    options: FireOptions, sender: Sender, events: NewEvents, secrets: Secrets
) -> ExitCode:
    """Send the suite, and show each answer, then its causes. A signal ends it after the answer."""
    context = sender.caller.context
    others = {str(ref): other for ref, other in secrets.items() if other is not sender.secret}
    trials: list[Trial] = []
    for trial in Suite(sender, events, int(options.largest * 1_000_000), others).run():
        trials.append(trial)
        if options.format == "text":
            context.terminal.show([trial_line(trial)])
        if context.stop.is_set():
            return context.terminal.interrupt_code
        if trial.is_last:
            break
    if options.log is not None:
        trials = judge_log(options.log, trials, context)
    return _show_suite(options, trials, explain(trials, sender), context)


def _show_suite(
    options: FireOptions, trials: Sequence[Trial], causes: Sequence[Cause], context: Context
) -> ExitCode:
    """Show the result of the suite in the format that is asked for."""
    is_right = all(trial.state in ("passed", "warning") for trial in trials)
    code = ExitCode.DONE if is_right else ExitCode.ERROR
    untested = UNTESTED if options.log else (*UNTESTED, _NO_LOG)
    if options.format == "json":
        created_at = rfc3339(context.clock.now())
        document = suite_json(trials, causes, untested, created_at, code)
        context.terminal.result(document, "json")
    elif options.format == "junit":
        context.terminal.result(suite_junit(trials, causes))
    else:
        context.terminal.show(cause_lines(causes))
        lines = "".join(f"  {thing}\n" for thing in untested)
        text = f"\n{summary(trials)}\nNot visible from outside, so not tested:\n{lines}"
        context.terminal.result(text)
    return code


def _replay(place: str, sender: Sender, secrets: Secrets) -> ExitCode:
    """Send the events that `listen --record` wrote, as they came."""
    context = sender.caller.context
    paths = recorded_events(place)
    failed = 0
    for path in paths:
        body, headers = read_event(path)
        trial = sender.send(os.path.basename(path), forwarded(headers, body))
        failed += _show_answer(sender, trial, secrets) == ExitCode.ERROR
        if context.stop.is_set():
            return context.terminal.interrupt_code
    context.terminal.result(f"\nReplay: {len(paths) - failed} answered, {failed} failed.\n")
    return ExitCode.ERROR if failed else ExitCode.DONE
