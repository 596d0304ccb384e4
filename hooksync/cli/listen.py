"""The command `listen`: a receiver on this machine that shows each request, until a signal.

It uses the sandbox's server, which only the command line may start. One thread of that server at a
time shows its event and answers. A sender without a secret cannot fill the memory. At most
MOST_REFUSED of its events are recorded.
"""

from __future__ import annotations

import gc
import math
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

from hooksync.cli.terminal import catch_signals
from hooksync.commands.receiving import (
    KnownSecrets,
    SecretOptions,
    find_secrets,
    open_receiver,
    receiver_at,
)
from hooksync.config.files import HEADERS
from hooksync.core.clock import SYSTEM_CLOCK, rfc3339
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, FileError, Problem, StartError, os_reason
from hooksync.core.model import DeclaredSubscription, ProbeResult, Secret, SecretRef, Trigger
from hooksync.core.record import Record
from hooksync.core.redaction import printable
from hooksync.receiver import Answer, Event, ProcessMemory, Receiver
from hooksync.receivers.challenges import challenge, key_of
from hooksync.receivers.events import (
    SIGNATURE,
    Delivery,
    explain_signature,
    find_signers,
    pass_on,
)
from hooksync.receivers.suite import Sender
from hooksync.receivers.verdict import explain_refusal
from hooksync.reconcile.run import Run
from hooksync.sandbox import http_server

MOST_REFUSED = 100  # refused events that are recorded in a run: anybody can send them

_LONGEST = 64  # characters of a name or an id in a line
_MOST_ENTITIES = 3  # in a line
_WRONG_SIGNATURE = 401
_NO_ANSWER = 502
_LONGEST_BODY = 100_000  # characters that are shown


class ListenOptions(SecretOptions, frozen=True):
    """The flags of `listen`."""

    port: int = 0  # 0: any free one
    forward: str | None = None  # a URL
    record: str | None = None  # a folder; it is made if it does not exist
    shows_body: bool = False  # show the document of each event
    timeout: float = 30.0  # seconds


class Seen(Record, frozen=True):
    """One request, with its answer."""

    at: str  # RFC 3339, UTC
    answer: Answer
    request: http_server.IncomingRequest
    signed_with: SecretRef | None
    forwarded: str | None  # the answer of the receiver of --forward, in words


class _Listener(http_server.LoopbackServer):
    """Answers requests, shows them, and forwards genuine events.

    It accepts any host name, because requests through a tunnel name the tunnel's host.
    """

    def __init__(self, log: _Log, forward: _Forward, done: threading.Event) -> None:
        keys = {}
        for number, ref in enumerate(log.known.accepted):  # two references may have the same text
            keys[str(number)] = key_of(log.known.secrets[ref])
        # remembers no event, so one that comes again is shown again
        self._receiver = Receiver("listen", keys, ProcessMemory(0), shortest=1)
        self._log = log
        self._forward = forward
        self._done = done
        self._sending = threading.Lock()
        super().__init__(log.options.port, self._respond)

    def close(self) -> None:
        """Stop after the answer that is being sent."""
        with self._sending:
            pass
        super().close()

    def check_host(self, host: str) -> None:
        """Accept any host name."""

    def _respond(
        self, connection: http_server.Connection, request: http_server.IncomingRequest
    ) -> None:
        answer = self._receiver.receive(
            request.method, request.query, request.headers, request.body, lambda event: None
        )
        ref = None
        forwarded = None
        if answer.signed_with is not None:
            ref = self._log.known.accepted[int(answer.signed_with)]
            if self._forward:
                secret = self._log.known.secrets[ref]
                answer, forwarded = _pass_on(*self._forward, request, answer, secret)
        with self._sending:  # so that requests are shown in the order of the answers
            at = rfc3339(self._log.context.clock.now())
            try:
                self._log.show(Seen(at, answer, request, ref, forwarded))
            except Exception:  # mostly a closed standard output; `close` raises it
                self._done.set()
                raise
            connection.close_connection = True  # so a client that reads no answer blocks nothing
            connection.send(http_server.Reply(answer.status, answer.body))


def _pass_on(
    run: Run,
    declared: DeclaredSubscription,
    request: http_server.IncomingRequest,
    answer: Answer,
    secret: Secret,
) -> tuple[Answer, str]:
    """Forward a genuine event. Returns the receiver's answer, and the same in words."""
    found = pass_on(declared.url, request.headers, request.body, run.caller)
    if isinstance(found, ProbeResult):
        what = f"the receiver of --forward is down: {found.detail}; the sender got {_NO_ANSWER}"
        document = b'{"message": "the receiver did not answer"}'
        return answer._replace(status=_NO_ANSWER, body=document), what
    answer = answer._replace(status=found.status, body=found.body)
    sender = Sender(declared.url, secret, run.caller)
    signature = request.headers.get(SIGNATURE.lower(), "")
    sent = Delivery(request.body, signature, "transfer-encoding" in request.headers)
    causes, _ = explain_refusal(sender, sender.judge("", sent, found))
    if not causes:
        return answer, str(found.status)
    why = "; ".join(f"{cause.what}; fix: {cause.fix}" for cause in causes)
    return answer, f"{found.status}, it refuses a genuine event: {why}"


class _Log(Record, frozen=True):
    """Shows requests, and records events."""

    options: ListenOptions
    context: Context
    known: KnownSecrets
    recorded: Counter[str]  # by kind

    def show(self, seen: Seen) -> None:
        """Record one request if it is to be recorded, and show it on standard output."""
        path = self._record(seen)
        answer = seen.answer
        words = [seen.at[11:], str(answer.status)]
        if answer.event is None:
            words.append(answer.kind)
        else:
            words += self._facts(answer.event)
        if seen.signed_with:
            words.append(f"signed with {seen.signed_with}")
        if reason := self._reason(seen):
            words.append(reason)
        text = "  ".join(words) + "\n"
        if seen.forwarded:
            text += f"  passed on: {seen.forwarded}\n"
        if path:
            text += f"  recorded: {printable(path)}\n"
        if self.options.shows_body and answer.event is not None:
            body = seen.request.body.decode("utf-8", "replace")
            text += f"  {printable(self.context.output.redactor.clean(body)[:_LONGEST_BODY])}\n"
        self.context.terminal.result(text)

    def _facts(self, event: Event) -> Iterator[str]:
        """Name trigger, entities and subscription of an event, whose fields may have any type."""
        events: object = event.get("events")
        if not isinstance(events, list):
            events = []
        entities = [item for item in events if isinstance(item, dict)]
        yield self._shown(Trigger(str(event.get("trigger"))).short)
        for entity in entities[:_MOST_ENTITIES]:
            yield self._shown(f"{entity.get('entityType')} {entity.get('entityRef')}")
        if len(entities) > _MOST_ENTITIES:
            yield f"and {len(entities) - _MOST_ENTITIES} more"
        yield f"subscription {self._shown(str(event.get('subscriptionId')))}"

    def _shown(self, text: str) -> str:
        return printable(self.context.output.redactor.clean(text)[:_LONGEST])

    def _reason(self, seen: Seen) -> str:
        """Say why a request was refused, as far as that is known."""
        if seen.answer.status != _WRONG_SIGNATURE or seen.signed_with:
            return seen.answer.reason
        signature = seen.request.headers.get(SIGNATURE.lower(), "")
        body = seen.request.body
        if others := find_signers(self.known.secrets, body, signature):
            return f"signed with {others[0]}, which --secret does not name"
        return explain_signature(self.known.secrets, body, signature)

    def _record(self, seen: Seen) -> str | None:
        """Write an event and its headers. Returns the path of the body, or None if not recorded."""
        kind = seen.answer.kind
        folder = self.options.record
        if folder is None or kind == "challenge" or not seen.request.body:
            return None
        self.recorded[kind] += 1
        if kind == "refused" and self.recorded[kind] > MOST_REFUSED:
            return None
        stamp = "".join(filter(str.isalnum, seen.at))
        path = f"{folder.rstrip('/')}/{stamp}-{self.recorded.total():04}-{kind}.json"
        headers = "".join(f"{name}: {value}\n" for name, value in seen.request.headers.items())
        create_file = self.context.output.create_file
        try:
            create_file(path + HEADERS, headers.encode("latin-1"), mode=0o600)
            create_file(path, seen.request.body, mode=0o600)
        except (FileExistsError, FileError) as error:
            self.context.terminal.message(f"error: {printable(path)} was not recorded: {error}")
            return None
        return path


_Forward = tuple[Run, DeclaredSubscription] | None


def _report_target(
    run: Run, declared: DeclaredSubscription, known: KnownSecrets, context: Context
) -> None:
    """Challenge the receiver of --forward once: `listen` answers the challenges of senders."""
    secret = known.secrets[known.accepted[0]]
    found = challenge(declared.url, secret, run.caller)
    if found.state != "ready":
        problem = f"the receiver of --forward is not ready: {found.detail}"
        context.terminal.warn(Problem(problem, found.fix))


def _make_folder(path: str) -> None:
    """Make a folder that only this user may read, unless it exists already. Raises FileError."""
    if os.path.isdir(path):
        return
    try:
        os.mkdir(path, mode=0o700)
    except (OSError, ValueError) as error:  # ValueError: a null character in a path
        what = f"the folder {path} cannot be made: {os_reason(error)}"
        raise FileError(Problem(what, "make it, or name a different one")) from error


def listen(options: ListenOptions, context: Context) -> ExitCode:
    """Receive events until a signal comes."""
    gc.enable()  # `main` turned it off for short runs, and this one is long
    known = find_secrets(options, context)
    if options.record is not None:
        _make_folder(options.record)
    done = threading.Event()
    with catch_signals(lambda _: done.set()), ExitStack() as running:
        forward: _Forward = None
        if options.forward:
            named = receiver_at(options.forward, known.accepted)
            receiver = open_receiver(named, options, options.timeout, context)
            forward = running.enter_context(receiver)
        try:
            log = _Log(options, context, known, Counter())
            server = running.enter_context(_Listener(log, forward, done))
        except http_server.PortError as error:
            fix = "stop that program, or choose a different port with --port; 0 is any free one"
            raise StartError(Problem(str(error), fix)) from None
        first = known.accepted[0]
        context.terminal.message(
            f"listening on http://127.0.0.1:{server.port}, challenges are answered with {first}"
        )
        if forward:
            _report_target(*forward, known, context)
        SYSTEM_CLOCK.wait(done, math.inf)
    return ExitCode.DONE
