"""The command `fire`: sends events to a receiver, and reports its answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from hooksync.api.options import FileOptions
from hooksync.commands.receiving import declared_receiver, open_receiver, receiver_at
from hooksync.config.files import read_event, recorded_events
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, FileError, Problem
from hooksync.core.model import Secret, SecretRef, Trigger
from hooksync.core.record import replace
from hooksync.receivers.events import (
    SIGNATURE,
    Delivery,
    NewEvents,
    explain_signature,
    find_signers,
    signed,
)
from hooksync.receivers.suite import Result, Sender, Suite
from hooksync.render.text import Line, Style

_NOT_TESTED = (
    'Not tested: whether work is done twice. Look for the identifiers "the same twice",'
    ' "with two subscriptionIds" and "two at once" in the receiver\'s log.'
)
_INDENT = " " * 12


class FireOptions(FileOptions, frozen=True):
    """The flags of `fire`."""

    HIDDEN = ("url",)

    url: str | None = None  # of the receiver; None: that of `address`
    secrets: tuple[SecretRef, ...] = ()  # the first one signs
    address: str | None = None  # of a declared subscription
    timeout: float = 30.0  # seconds
    trigger: str | None = None
    event: str | None = None  # path of an event to send; with --suite, new events resemble it
    is_suite: bool = False
    replay: str | None = None  # path of a folder


def fire(options: FireOptions, context: Context) -> ExitCode:
    """Send one event, the suite of tests, or recorded events.

    Returns DONE if the receiver accepted and refused everything as it should.
    """
    if options.url:
        tenancy = receiver_at(options.url, options.secrets)
    else:
        tenancy = declared_receiver(options, options.address, context)
    with open_receiver(tenancy, options, options.timeout, context) as (run, receiver):
        secrets = run.secrets.find_all(options.secrets or (receiver.secret,))
        first = next(iter(secrets.values()))
        sender = Sender(receiver.url, first, run.caller)
        counts = Counter[str]()
        for result in _results(options, context, sender, secrets, receiver.trigger):
            counts[result.state] += 1
            context.terminal.show(_result_lines(result))
            if context.stop.is_set():
                return context.terminal.interrupt_code
    if options.is_suite or options.replay is not None:
        context.terminal.result(_summary(counts, is_suite=options.is_suite))
    return ExitCode.ERROR if counts["failed"] else ExitCode.DONE


def _results(
    options: FireOptions,
    context: Context,
    sender: Sender,
    secrets: Mapping[SecretRef, Secret],
    declared: Trigger,
) -> Iterator[Result]:
    """Send what the flags ask for."""
    if options.replay is not None:
        yield from _replayed(options.replay, sender, secrets)
    elif options.is_suite:
        events = _new_events(options, context, declared)
        others = {str(ref): each for ref, each in secrets.items() if each is not sender.secret}
        yield from Suite(sender, events).run(others)
    else:
        if options.event is None:
            body = json.dumps(_new_events(options, context, declared).make()).encode()
        else:
            body, _ = read_event(options.event, context.stdin)
        yield sender.send("event", signed(body, sender.secret))


def _result_lines(result: Result) -> list[Line]:
    """Return the lines that show one result."""
    took = f"{result.status or ''} in {result.seconds:.3f} s".strip()
    style: Style = "red" if result.fix else "green"
    lines: list[Line] = [(style, f"{result.state:<10}{result.name:<24}  {took}")]
    if result.detail:
        lines.append(("", f"{_INDENT}{result.detail}"))
    if result.meaning:
        lines.append(("", f"{_INDENT}so {result.meaning}"))
    if result.fix:
        lines.append(("", f"{_INDENT}  fix: {result.fix}"))
    return lines


def _summary(counts: Counter[str], *, is_suite: bool) -> str:
    text = f": {counts['passed']} passed, {counts['failed']} failed.\n"
    return f"\nSuite{text}{_NOT_TESTED}\n" if is_suite else f"\nReplay{text}"


def _new_events(options: FireOptions, context: Context, declared: Trigger) -> NewEvents:
    """Return a maker of new events. They resemble the event that --event names, if it is given."""
    trigger = Trigger.named(options.trigger).wire if options.trigger else declared.wire
    now = datetime.fromtimestamp(context.clock.now(), UTC)
    if options.event is None:
        return NewEvents(now, trigger)
    body, _ = read_event(options.event, context.stdin)
    try:
        template = dict(json.loads(body))
    except (ValueError, TypeError, RecursionError):
        fix = "give the body of an event, as `hooksync listen --record` writes one"
        raise FileError(Problem(f"{options.event} is not a JSON object", fix)) from None
    if options.trigger:
        template["trigger"] = trigger
    return NewEvents(now, trigger, template)


def _replayed(folder: str, sender: Sender, secrets: Mapping[SecretRef, Secret]) -> Iterator[Result]:
    """Send the events that `listen --record` wrote, with their recorded signatures."""
    for path in recorded_events(folder):
        body, headers = read_event(path)
        signature = headers.get(SIGNATURE.lower(), "")
        sent = Delivery(body, signature, is_chunked="transfer-encoding" in headers)
        result = sender.send(path.rpartition("/")[2], sent, "this event would be lost")
        if result.fix and not find_signers(secrets, body, signature):
            reason = explain_signature(secrets, body, signature)
            result = replace(result, detail=f"its recorded signature: {reason}")
        yield result
