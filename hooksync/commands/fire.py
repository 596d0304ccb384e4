"""The command `fire`: sends signed events to one receiver, and judges how it takes them. Prints nothing itself."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial

from hooksync.commands.options import Options
from hooksync.commands.receiving import open_receiver
from hooksync.config.files import read_event
from hooksync.config.secret_sources import generate_secret
from hooksync.core.errors import ExitCode
from hooksync.core.model import HookUrl, Secret, SecretRef, Trigger
from hooksync.core.record import Record, asdict, replace
from hooksync.reconcile.context import World
from hooksync.reconcile.session import Run
from hooksync.service.events import Delivery, deliver, make_event, signed
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
    status: int | None
    seconds: float
    detail: str  # one line, safe to show
    fix: str  # "": it took it as it should

    @property
    def state(self) -> str:
        """Whether it took it as it should."""
        return "failed" if self.fix else "passed"


class _Sender(Record, frozen=True):
    """Sends to one receiver."""

    run: Run
    url: HookUrl
    is_telling: bool  # what it answers, where it passed too

    def send(self, name: str, sent: Delivery, *, is_wanted: bool = True) -> Result:
        """Send an event that is to be taken, or not."""
        context = self.run.context
        begun = context.clock.monotonic()
        answer = deliver(self.url, sent, context)
        seconds = context.clock.monotonic() - begun
        if isinstance(answer, ProbeResult):
            return Result(name, None, seconds, answer.detail, answer.fix)
        right, fix = (range(200, 300), _TAKE_FIX) if is_wanted else (range(400, 500), _REFUSE_FIX)
        is_right = answer.status in right
        said = (quoted_answer(answer, context) or "") if self.is_telling or not is_right else ""
        return Result(name, answer.status, seconds, said, "" if is_right else fix)

    def challenge(self, secret: Secret) -> Iterator[Result]:
        """Challenge it with a code, and with one that could forge an event."""
        clock = self.run.context.clock
        begun = clock.monotonic()
        for found in probe_all([(self.url, secret)], self.run.pool, self.run.context).values():
            yield Result("challenge", None, clock.monotonic() - begun, found.detail, found.fix)
        begun = clock.monotonic()
        is_signed = signs_events_in_disguise(self.url, secret, self.run.context)
        detail = {True: "it signs one", None: "no clear answer"}.get(is_signed, "")
        yield Result("code that could forge", None, clock.monotonic() - begun, detail, detail and _FORGE_FIX)


def fire(options: Options, world: World) -> ExitCode:
    """Send an event, or all that a receiver must bear. DONE: all was taken, or refused, as it should be."""
    given = read_event(options.event, world.stdin)[0] if options.event else None
    with open_receiver(options, world) as (run, receiver):
        secrets = run.secrets.find_all(options.secrets or (receiver.secret,))
        world.output.redactor.learn(run.secrets.values())
        trigger = Trigger.named(options.trigger) if options.trigger else receiver.trigger
        now = datetime.fromtimestamp(world.clock.now(), UTC)
        make = partial(make_event, trigger.wire or "FULL_TEXT_INDEXED", now)
        sender = _Sender(run, receiver.url, not options.is_suite)
        if options.is_suite:
            results = _suite(sender, secrets, make)
        else:
            results = _repeated(sender, next(iter(secrets.values())), given if given is not None else make(), options)
        found = []
        for each in results:
            found.append(each)
            if options.format == "text":
                world.terminal.show([*_lines(each)])
            if world.stop.is_set():
                return ExitCode.INTERRUPTED
    counts = Counter(each.state for each in found)
    if options.format == "json":
        document = {"format": FORMAT, "url": receiver.url.shown, "is_fine": not counts["failed"]}
        document |= {"results": [*map(_fields, found)], "summary": {"passed": 0, "failed": 0, **counts}}
        world.terminal.result(json.dumps(document, indent=2, sort_keys=True) + "\n", "json")
    elif options.is_suite:
        world.terminal.show([("", ""), ("", f"Suite: {counts['passed']} passed, {counts['failed']} failed.")])
    return ExitCode.ERROR if counts["failed"] else ExitCode.DONE


def _repeated(sender: _Sender, secret: Secret, body: bytes, options: Options) -> Iterator[Result]:
    is_wrong = options.is_badly_signed
    sent = signed(body, Secret(generate_secret()) if is_wrong else secret, pause=_PAUSE if options.is_slow else 0.0)
    for _ in range(options.repeat):
        yield sender.send("event, signed wrong" if is_wrong else "event", sent, is_wanted=not is_wrong)


def _suite(sender: _Sender, secrets: Mapping[SecretRef, Secret], make: partial[bytes]) -> Iterator[Result]:
    (_, secret), *others = secrets.items()
    first = signed(make(), secret)
    genuine = {
        "event in chunks": first,
        "the same again": first,
        "event as a whole": signed(make(), secret, is_chunked=False),
        "slow event": signed(make(), secret, pause=_SHORT_PAUSE),
        "event of 1 MB": signed(make(filling=_LARGE), secret),
        "unknown trigger": signed(make_event("A_TRIGGER_THAT_IS_NEW", *make.args[1:]), secret),
        **{f"signed with {ref}": signed(make(), other) for ref, other in others},
    }
    for name, sent in genuine.items():
        yield sender.send(name, sent)
    another = signed(make(), secret)
    forged = {
        "wrong signature": signed(make(), Secret(generate_secret())),
        "no signature": Delivery(make(), None),
        "changed body": replace(another, body=another.body + b" "),
    }
    for name, sent in forged.items():
        yield sender.send(name, sent, is_wanted=False)
    yield from sender.challenge(secret)


def _lines(each: Result) -> Iterator[tuple[str, str]]:
    took = f"{each.status or ''} in {each.seconds:.3f} s".strip()
    yield "red" if each.fix else "green", f"{each.state:<10}{each.name:<26}{took}"
    for text in (each.detail, each.fix and f"  fix: {each.fix}"):
        if text:
            yield "", f"            {text}"


def _fields(each: Result) -> dict[str, object]:
    told = {"state": each.state, "seconds": round(each.seconds, 3), "detail": each.detail or None}
    return {**asdict(each), **told, "fix": each.fix or None}
