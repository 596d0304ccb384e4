"""The command `fire`: sends signed events to one receiver, and judges how it takes them. Prints nothing itself."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Literal

from hooksync.commands.options import Options
from hooksync.commands.receiving import NamedReceiver, open_receiver
from hooksync.config.files import read_event
from hooksync.config.secret_sources import SecretSources, generate_secret
from hooksync.core.errors import ExitCode
from hooksync.core.model import Secret, SecretRef, Trigger
from hooksync.core.record import Record, asdict
from hooksync.reconcile.context import World
from hooksync.reconcile.session import Run
from hooksync.service.events import Delivery, deliver, make_event, sign
from hooksync.service.receivers import ProbeResult, probe_all, quoted_answer, signs_events_in_disguise

FORMAT = "hooksync.fire/1"

_LARGE = 1_000_000  # bytes of a large event
_PAUSE, _SHORT_PAUSE = 0.5, 0.1  # seconds before each piece of a slow event, alone and in the suite
_TAKE_FIX = "answer genuine events with 200, whatever they hold; see the receiver's log"
_REFUSE_FIX = "answer 401 to what none of your secrets signed: anybody could send it"
_FORGE_FIX = "refuse challenge codes that begin with preservica-webhook-auth"


class Result(Record, frozen=True):
    """How a receiver took one thing that was sent."""

    name: str
    state: Literal["passed", "failed"]
    status: int | None
    seconds: float
    detail: str  # one line, safe to show
    fix: str


class _Sender(Record, frozen=True):
    """Sends to one receiver."""

    run: Run
    named: NamedReceiver
    is_telling: bool  # what it answers, where it passed too

    def send(self, name: str, sent: Delivery, *, is_wanted: bool = True) -> Result:
        """Send an event that is to be taken, or not."""
        context = self.run.context
        begun = context.clock.monotonic()
        answer = deliver(self.named.declared.url, sent, context)
        seconds = context.clock.monotonic() - begun
        if isinstance(answer, ProbeResult):
            return Result(name, "failed", None, seconds, answer.detail, answer.fix)
        right, fix = (range(200, 300), _TAKE_FIX) if is_wanted else (range(400, 500), _REFUSE_FIX)
        is_right = answer.status in right
        said = (quoted_answer(answer, context) or "") if self.is_telling or not is_right else ""
        return Result(name, "passed" if is_right else "failed", answer.status, seconds, said, "" if is_right else fix)

    def challenge(self, secret: Secret) -> Iterator[Result]:
        """Challenge it with a code, and with one that could forge an event."""
        clock, url = self.run.context.clock, self.named.declared.url
        begun = clock.monotonic()
        for found in probe_all([(url, secret)], self.run.pool, self.run.context).values():
            state: Literal["passed", "failed"] = "passed" if found.state == "ready" else "failed"
            yield Result("challenge", state, None, clock.monotonic() - begun, found.detail, found.fix)
        begun = clock.monotonic()
        is_signed = signs_events_in_disguise(url, secret, self.run.context)
        detail = {True: "it signs one", None: "no clear answer"}.get(is_signed, "")
        state = "failed" if detail else "passed"
        yield Result("code that could forge", state, None, clock.monotonic() - begun, detail, detail and _FORGE_FIX)


def fire(options: Options, world: World) -> ExitCode:
    """Send an event, or all that a receiver must bear. DONE: all was taken, or refused, as it should be."""
    given = read_event(options.event, world.stdin)[0] if options.event else None
    with open_receiver(options, world) as (run, receiver):
        secrets = list(run.secrets.find_all(receiver.secrets).items())
        world.output.redactor.learn(SecretSources(world.environ).values(receiver.secrets))
        named = Trigger.named(options.trigger).wire if options.trigger else receiver.declared.trigger.wire
        make = partial(make_event, named or "FULL_TEXT_INDEXED", datetime.fromtimestamp(world.clock.now(), UTC))
        sender = _Sender(run, receiver, not options.is_suite)
        if options.is_suite:
            results = _suite(sender, secrets, make)
        else:
            results = _repeated(sender, secrets[0][1], given if given is not None else make(), options)
        found = []
        for each in results:
            found.append(each)
            if options.format == "text":
                world.terminal.show([*_lines(each)])
            if world.stop.is_set():
                return ExitCode.INTERRUPTED
    counts: Counter[str] = Counter(each.state for each in found)
    if options.format == "json":
        world.terminal.result(_json(found, receiver.declared.url.shown, counts), "json")
    elif options.is_suite:
        world.terminal.show([("", ""), ("", f"Suite: {counts['passed']} passed, {counts['failed']} failed.")])
    return ExitCode.ERROR if counts["failed"] else ExitCode.DONE


def _repeated(sender: _Sender, secret: Secret, body: bytes, options: Options) -> Iterator[Result]:
    signed = sign(Secret(generate_secret()) if options.is_badly_signed else secret, body)
    sent = Delivery(body, signed, pause=_PAUSE if options.is_slow else 0.0)
    name = "event, signed wrong" if options.is_badly_signed else "event"
    for _ in range(options.repeat):
        yield sender.send(name, sent, is_wanted=not options.is_badly_signed)


def _suite(sender: _Sender, secrets: Sequence[tuple[SecretRef, Secret]], make: partial[bytes]) -> Iterator[Result]:
    (_, secret), *others = secrets
    first, whole, slow, large, wrong, unsigned, changed = (make(filling=_LARGE * (number == 3)) for number in range(7))
    unknown = make_event("A_TRIGGER_THAT_IS_NEW", *make.args[1:])
    genuine = {
        "event in chunks": Delivery(first, sign(secret, first)),
        "the same again": Delivery(first, sign(secret, first)),
        "event as a whole": Delivery(whole, sign(secret, whole), is_chunked=False),
        "slow event": Delivery(slow, sign(secret, slow), pause=_SHORT_PAUSE),
        "event of 1 MB": Delivery(large, sign(secret, large)),
        "unknown trigger": Delivery(unknown, sign(secret, unknown)),
    }
    for ref, other in others:
        body = make()
        genuine[f"signed with {ref}"] = Delivery(body, sign(other, body))
    for name, sent in genuine.items():
        yield sender.send(name, sent)
    forged = {
        "wrong signature": Delivery(wrong, sign(Secret(generate_secret()), wrong)),
        "no signature": Delivery(unsigned, None),
        "changed body": Delivery(changed + b" ", sign(secret, changed)),
    }
    for name, sent in forged.items():
        yield sender.send(name, sent, is_wanted=False)
    yield from sender.challenge(secret)


def _lines(each: Result) -> Iterator[tuple[str, str]]:
    took = f"{each.status or ''} in {each.seconds:.3f} s".strip()
    yield "green" if each.state == "passed" else "red", f"{each.state:<10}{each.name:<26}{took}"
    for text in (each.detail, each.fix and f"  fix: {each.fix}"):
        if text:
            yield "", f"            {text}"


def _json(found: Sequence[Result], url: str, counts: Mapping[str, int]) -> str:
    results = [
        {**asdict(each), "seconds": round(each.seconds, 3), "detail": each.detail or None, "fix": each.fix or None}
        for each in found
    ]
    summary = {state: counts[state] for state in ("passed", "failed")}
    document = {"format": FORMAT, "url": url, "is_fine": not counts["failed"], "results": results, "summary": summary}
    return json.dumps(document, indent=2, sort_keys=True) + "\n"
