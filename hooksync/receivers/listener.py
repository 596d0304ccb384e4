"""The receiver of `listen`: it shows each request, and forwards and records events.

One thread of the server at a time shows its event and answers. A sender without a secret cannot
fill the memory. At most MOST_REFUSED of its events are recorded.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from typing import Any

from hooksync.core.clock import rfc3339
from hooksync.core.context import Context
from hooksync.core.errors import FileError, Problem, os_reason
from hooksync.core.model import ReceiverResult, Secrets, Trigger
from hooksync.core.redaction import printable
from hooksync.receiver import Answer, ProcessMemory, Receiver
from hooksync.receivers.events import (
    HEADERS,
    LISTEN,
    SIGNATURE,
    deliver,
    explain_signature,
    forwarded,
)
from hooksync.receivers.http_server import (
    Connection,
    IncomingRequest,
    LoopbackServer,
    Reply,
    json_answer,
)
from hooksync.receivers.suite import Sender
from hooksync.receivers.verdict import explain_refusal
from hooksync.service.challenges import challenge, key_of

MOST_REFUSED = 100  # refused events that are recorded in a run: anybody can send them

_LONGEST = 300  # characters of an event in a line
_WRONG_SIGNATURE = 401


class Listener(LoopbackServer):
    """Answers requests under any host name, because a tunnel's requests name the tunnel.

    `known`: the secrets that events may be signed with; the first one answers challenges.
    `target`: the receiver to which it forwards genuine events. `folder`: where it records events;
    it is made if it does not exist.
    """

    def __init__(
        self,
        port: int,
        known: Secrets,
        context: Context,
        *,
        target: Sender | None = None,
        folder: str | None = None,
        shows_body: bool = False,
    ) -> None:
        # two references may have the same text
        keys = {str(number): key_of(secret) for number, secret in enumerate(known.values())}
        # remembers no event, so one that comes again is shown again
        self._receiver = Receiver("listen", keys, ProcessMemory(0), shortest=1)
        self._known = known
        self._context = context
        self._target = target
        self._folder = folder
        self._shows_body = shows_body
        self._recorded: Counter[str] = Counter()  # by kind
        self._sending = threading.Lock()
        try:
            if folder is not None and not os.path.isdir(folder):
                os.mkdir(folder, mode=0o700)
        except OSError as error:
            raise FileError(
                f"the folder {folder} cannot be made: {os_reason(error)}",
                "make it, or name a different one",
            ) from error
        super().__init__(port, self._respond)

    def check_host(self, host: str) -> None:
        """Accept any host name."""

    def _respond(self, connection: Connection, request: IncomingRequest) -> None:
        """Verify a request, forward a genuine event, answer, and show all of it."""
        answer = request.hand_to(self._receiver)
        reply = Reply(answer.status, answer.body, headers=((LISTEN, "1"),))
        reason = answer.reason
        passed_on = ""
        if answer.signed_with is not None:
            ref = [*self._known][int(answer.signed_with)]
            reason = f"signed with {ref}"
            if self._target:
                target = Sender(self._target.url, self._known[ref], self._target.caller)
                reply, passed_on = _forward(target, request)
        elif answer.status == _WRONG_SIGNATURE:
            signature = request.headers.get(SIGNATURE.lower(), "")
            reason = explain_signature(self._known, request.body, signature)
        with self._sending:  # so that requests are shown in the order of the answers
            try:
                self._show(
                    request, answer, [str(reply.status), self._name(answer), reason], passed_on
                )
            except Exception:  # mostly a closed standard output; `close` raises it
                self._context.stop.set()
                raise
            connection.close_connection = True  # so a client that reads no answer blocks nothing
            connection.send(reply)

    def _show(
        self, request: IncomingRequest, answer: Answer, words: list[str], passed_on: str
    ) -> None:
        """Record one request if it is to be recorded, and show it on standard output."""
        at = rfc3339(self._context.clock.now())
        lines = ["  ".join(filter(None, [at[11:], *words])), passed_on]
        lines.append(self._record(request, answer.kind, at))
        if self._shows_body and answer.event is not None:
            lines.append(self._shown(request.body.decode("utf-8", "replace")))
        self._context.terminal.result("\n  ".join(filter(None, lines)) + "\n")

    def _name(self, answer: Answer) -> str:
        """Name the kind of a request, or trigger, entities and subscription of an event.

        The fields of an event may have any type.
        """
        if answer.event is None:
            return answer.kind
        event: Any = answer.event
        names = [Trigger(str(event.get("trigger"))).short]
        entities = event.get("events")
        for entity in entities if isinstance(entities, list) else []:
            if isinstance(entity, dict):
                names.append(f"{entity.get('entityType')} {entity.get('entityRef')}")
        names.append(f"subscription {event.get('subscriptionId')}")
        return self._shown("  ".join(names))[:_LONGEST]

    def _shown(self, text: str) -> str:
        return printable(self._context.output.redactor.clean(text))

    def _record(self, request: IncomingRequest, kind: str, at: str) -> str:
        """Write an event and its headers, if it is to be recorded. Returns a line that says so."""
        if self._folder is None or kind == "challenge" or not request.body:
            return ""
        self._recorded[kind] += 1
        if kind == "refused" and self._recorded[kind] > MOST_REFUSED:
            return ""
        stamp = "".join(filter(str.isalnum, at))
        path = f"{self._folder}/{stamp}-{self._recorded.total():04}-{kind}.json"
        headers = "".join(f"{name}: {value}\n" for name, value in request.headers.items())
        create_file = self._context.output.create_file
        create_file(path + HEADERS, headers.encode("latin-1"), mode=0o600)
        create_file(path, request.body, mode=0o600)
        return f"recorded: {printable(path)}"


def _forward(target: Sender, request: IncomingRequest) -> tuple[Reply, str]:
    """Forward a genuine event. Returns the target's answer, and the same in words."""
    sent = forwarded(request.headers, request.body)
    found = deliver(target.url, sent, target.caller)
    if isinstance(found, ReceiverResult):
        what = f"passed on: the receiver of --forward is down: {found.detail}; the sender got 502"
        return json_answer(502, {"message": "the receiver did not answer"}), what
    words = f"passed on: {found.status}"
    if causes := explain_refusal(target, target.judge("", sent, found)):
        why = "; ".join(f"{cause.what}; fix: {cause.fix}" for cause in causes)
        words += f", it refuses a genuine event: {why}"
    return Reply(found.status, found.body), words


def warn_unless_ready(target: Sender) -> None:
    """Challenge the receiver of --forward once: `listen` answers the challenges of senders."""
    found = challenge(target.url, target.secret, target.caller)
    if found.state != "ready":
        problem = f"the receiver of --forward is not ready: {found.detail}"
        target.caller.context.terminal.warn(Problem(problem, found.fix))
