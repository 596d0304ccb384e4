"""The receiver of `listen`: it shows each request, and forwards and records events.

One thread of the server at a time shows its event and answers. A sender without a secret cannot
fill the memory. At most MOST_REFUSED of its events are recorded.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping

from hooksync.config.files import HEADERS
from hooksync.core.clock import rfc3339
from hooksync.core.context import Context
from hooksync.core.errors import FileError, Problem, os_reason
from hooksync.core.model import ProbeResult, SecretRef, Trigger
from hooksync.core.redaction import printable
from hooksync.receiver import Answer, ProcessMemory, Receiver
from hooksync.receivers.challenges import challenge, key_of
from hooksync.receivers.events import (
    SIGNATURE,
    Delivery,
    KnownSecrets,
    explain_signature,
    find_signers,
    pass_on,
)
from hooksync.receivers.http_server import Connection, IncomingRequest, LoopbackServer, Reply
from hooksync.receivers.suite import Sender
from hooksync.receivers.verdict import explain_refusal
from hooksync.service.http import LISTEN

MOST_REFUSED = 100  # refused events that are recorded in a run: anybody can send them

_LONGEST = 64  # characters of a name or an id in a line
_MOST_ENTITIES = 3  # in a line
_WRONG_SIGNATURE = 401
_NO_ANSWER = 502
_LONGEST_BODY = 100_000  # characters that are shown


class Listener(LoopbackServer):
    """Answers requests under any host name, because a tunnel's requests name the tunnel.

    `target`: the receiver to which it forwards genuine events. `folder`: where it records events;
    it is made if it does not exist. `done`: set if no more requests can be shown.
    """

    def __init__(
        self,
        port: int,
        known: KnownSecrets,
        context: Context,
        done: threading.Event,
        *,
        target: Sender | None = None,
        folder: str | None = None,
        shows_body: bool = False,
    ) -> None:
        keys = {}
        for number, ref in enumerate(known.accepted):  # two references may have the same text
            keys[str(number)] = key_of(known.secrets[ref])
        # remembers no event, so one that comes again is shown again
        self._receiver = Receiver("listen", keys, ProcessMemory(0), shortest=1)
        self._known = known
        self._context = context
        self._done = done
        self._target = target
        self._folder = folder
        self._shows_body = shows_body
        self._recorded: Counter[str] = Counter()  # by kind
        self._sending = threading.Lock()
        if folder is not None:
            try:
                if not os.path.isdir(folder):
                    os.mkdir(folder, mode=0o700)
            except (OSError, ValueError) as error:  # ValueError: a null character in a path
                what = f"the folder {folder} cannot be made: {os_reason(error)}"
                raise FileError(Problem(what, "make it, or name a different one")) from error
        super().__init__(port, self._respond)

    def close(self) -> None:
        """Stop after the answer that is being sent."""
        with self._sending:
            pass
        super().close()

    def check_host(self, host: str) -> None:
        """Accept any host name."""

    def _respond(self, connection: Connection, request: IncomingRequest) -> None:
        answer = request.hand_to(self._receiver)
        ref = None
        passed_on = ""
        is_own = self._target is not None and answer.signed_with is None
        if answer.signed_with is not None:
            ref = self._known.accepted[int(answer.signed_with)]
            if self._target:
                target = Sender(self._target.url, self._known.secrets[ref], self._target.caller)
                answer, passed_on = _forward(target, request, answer)
        with self._sending:  # so that requests are shown in the order of the answers
            try:
                self._show(request, answer, ref, passed_on)
            except Exception:  # mostly a closed standard output; `close` raises it
                self._done.set()
                raise
            connection.close_connection = True  # so a client that reads no answer blocks nothing
            headers = ((LISTEN, "1"),) if is_own else ()
            connection.send(Reply(answer.status, answer.body, headers=headers))

    def _show(
        self, request: IncomingRequest, answer: Answer, ref: SecretRef | None, passed_on: str
    ) -> None:
        """Record one request if it is to be recorded, and show it on standard output."""
        at = rfc3339(self._context.clock.now())
        path = self._record(request, answer.kind, at)
        words = [at[11:], str(answer.status), *self._facts(answer)]
        if ref:
            words.append(f"signed with {ref}")
        elif answer.status == _WRONG_SIGNATURE:
            words.append(self._reason(request))
        elif answer.reason:
            words.append(answer.reason)
        lines = ["  ".join(words)]
        if passed_on:
            lines.append(f"passed on: {passed_on}")
        if path:
            lines.append(f"recorded: {printable(path)}")
        if self._shows_body and answer.event is not None:
            lines.append(self._shown(request.body.decode("utf-8", "replace"), _LONGEST_BODY))
        self._context.terminal.result("\n  ".join(lines) + "\n")

    def _facts(self, answer: Answer) -> Iterator[str]:
        """Name the kind of a request, or trigger, entities and subscription of an event.

        The fields of an event may have any type.
        """
        if answer.event is None:
            yield answer.kind
            return
        event: Mapping[str, object] = answer.event
        events = event.get("events")
        entities: list[dict[str, object]] = []
        if isinstance(events, list):
            entities = [item for item in events if isinstance(item, dict)]
        yield self._shown(Trigger(str(event.get("trigger"))).short)
        for entity in entities[:_MOST_ENTITIES]:
            yield self._shown(f"{entity.get('entityType')} {entity.get('entityRef')}")
        if len(entities) > _MOST_ENTITIES:
            yield f"and {len(entities) - _MOST_ENTITIES} more"
        yield f"subscription {self._shown(str(event.get('subscriptionId')))}"

    def _shown(self, text: str, longest: int = _LONGEST) -> str:
        return printable(self._context.output.redactor.clean(text)[:longest])

    def _reason(self, request: IncomingRequest) -> str:
        """Say why no accepted secret fits a signature, as far as that is known."""
        signature = request.headers.get(SIGNATURE.lower(), "")
        if others := find_signers(self._known.secrets, request.body, signature):
            return f"signed with {others[0]}, which --secret does not name"
        return explain_signature(self._known.secrets, request.body, signature)

    def _record(self, request: IncomingRequest, kind: str, at: str) -> str | None:
        """Write an event and its headers. Returns the path of the body, or None if not recorded."""
        if self._folder is None or kind == "challenge" or not request.body:
            return None
        self._recorded[kind] += 1
        if kind == "refused" and self._recorded[kind] > MOST_REFUSED:
            return None
        stamp = "".join(filter(str.isalnum, at))
        path = f"{self._folder}/{stamp}-{self._recorded.total():04}-{kind}.json"
        headers = "".join(f"{name}: {value}\n" for name, value in request.headers.items())
        create_file = self._context.output.create_file
        try:
            create_file(path + HEADERS, headers.encode("latin-1"), mode=0o600)
            create_file(path, request.body, mode=0o600)
        except (FileExistsError, FileError) as error:
            self._context.terminal.message(f"error: {printable(path)} was not recorded: {error}")
            return None
        return path


def _forward(target: Sender, request: IncomingRequest, answer: Answer) -> tuple[Answer, str]:
    """Forward a genuine event. Returns the target's answer, and the same in words."""
    found = pass_on(target.url, request.headers, request.body, target.caller)
    if isinstance(found, ProbeResult):
        what = f"the receiver of --forward is down: {found.detail}; the sender got {_NO_ANSWER}"
        document = b'{"message": "the receiver did not answer"}'
        return answer._replace(status=_NO_ANSWER, body=document), what
    answer = answer._replace(status=found.status, body=found.body)
    signature = request.headers.get(SIGNATURE.lower(), "")
    sent = Delivery(request.body, signature, "transfer-encoding" in request.headers)
    causes = explain_refusal(target, target.judge("", sent, found))
    if not causes:
        return answer, str(found.status)
    why = "; ".join(f"{cause.what}; fix: {cause.fix}" for cause in causes)
    return answer, f"{found.status}, it refuses a genuine event: {why}"


def warn_unless_ready(target: Sender) -> None:
    """Challenge the receiver of --forward once: `listen` answers the challenges of senders."""
    found = challenge(target.url, target.secret, target.caller)
    if found.state != "ready":
        problem = f"the receiver of --forward is not ready: {found.detail}"
        target.caller.context.terminal.warn(Problem(problem, found.fix))
