"""A sandbox and receivers that record their requests, so that tests can count them."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from hooksync.receiver import sign_event
from hooksync.receivers.http_server import Connection, IncomingRequest, Log, Reply
from hooksync.sandbox import faults, receiver, server
from hooksync.sandbox.faults import Fault, call_name, read_fault
from hooksync.sandbox.tenancies import SandboxOptions
from tests import sandbox_faults
from tests.sandbox_faults import Half, OddRules, send_half

MOVED = {
    "event": "Moved",
    "entityType": "IO",
    "entityRef": "7fdea7e0-1e72-4fb1-aadb-d7f9ee6ed8c2",
    "identifiers": [],
}


@dataclass(slots=True, eq=False)
class Call:
    """One request that came in, without its secrets and its query."""

    name: str  # one of `faults.CALL_NAMES`, or "unknown"
    method: str
    path: str  # without its query
    connection: int  # 1 for the first connection, and so on
    arrived: float  # seconds on the monotonic clock
    status: int | None = None  # of the answer; None: not answered yet, or cut instead


class Faults(list[Fault]):
    """The faults that are still to happen."""

    def add(self, spec: str) -> None:
        """Add one more fault."""
        self.append(read_fault(spec, sandbox_faults.KINDS))

    def end(self) -> None:
        """Drop all faults that are still to happen."""
        self.clear()


class Sandbox(server.Sandbox):
    """The sandbox, with more faults and traits, and with a record of its requests."""

    kinds = sandbox_faults.KINDS
    make_rules = OddRules
    faults: Faults

    def __init__(self, options: SandboxOptions | None = None) -> None:
        self.connections = 0  # accepted so far
        self.max_in_flight = 0  # the most requests that were under way at once
        self.latency = 0.0  # seconds that each call takes at least
        self._in_flight = 0
        self._calls: list[Call] = []
        self._numbers: dict[Any, int] = {}  # by connection
        super().__init__(options)
        self.faults = Faults(self.faults)
        self._pass_on, self.respond = self.respond, self._keep  # no client can call it yet

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every request so far, in the order of arrival."""
        with self.lock:
            return tuple(self._calls)

    @property
    def call_names(self) -> list[str]:
        """The name of every request so far."""
        return [call.name for call in self.calls]

    def fire(self, trigger: str, events: Sequence[object] = (MOVED,)) -> list[int]:
        """Send an event to each subscription of DEMO for a trigger, and return the statuses of the
        answers. As at Preservica, the event is signed and sent in chunks.
        """
        document = {"tenant": "DEMO", "trigger": trigger, "events": list(events)}
        statuses = []
        for each in self.subscriptions("DEMO"):
            if each.trigger == trigger:
                body = json.dumps({"subscriptionId": each.id, **document}).encode()
                signature = sign_event(each.secret.encode("latin-1"), body)
                headers = {
                    "Content-Type": "application/json",
                    "Preservica-Signature": signature,
                }
                with requests.Session() as session:
                    session.trust_env = False
                    sent = iter([body[:64], body[64:]])
                    answer = session.post(each.url, data=sent, headers=headers)
                statuses.append(answer.status_code)
        return statuses

    def misbehave(self, fault: Fault, request: IncomingRequest) -> Reply | None:
        """Let a fault happen to a call."""
        if fault.kind in faults.KINDS:
            return super().misbehave(fault, request)
        return sandbox_faults.misbehave(self, fault, request)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count a connection, which socketserver calls a request."""
        self.connections += 1
        self._numbers[request] = self.connections
        super().process_request(request, client_address)

    def end(self, call: Call, status: int | None) -> None:
        """Record how a call ends."""
        with self.lock:
            call.status = status
            self._in_flight -= 1

    def _keep(self, connection: Connection, request: IncomingRequest) -> None:
        number = self._numbers[connection.connection]
        call = Call(call_name(request), request.method, request.path, number, time.monotonic())
        with self.lock:
            self._calls.append(call)
            self._in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self._in_flight)
        ending = _Ending(self, call, connection)
        if self.stopping.wait(self.latency):
            ending.cut()
        else:
            self._pass_on(ending, request)


class _Ending:
    """A connection that records the end of a call before it sends the answer, so that no client can
    see the answer first.
    """

    def __init__(self, box: Sandbox, call: Call, connection: Connection) -> None:
        self._box = box
        self._call = call
        self._inner = connection

    @property
    def connection(self) -> socket.socket:
        return self._inner.connection

    def send(self, answer: Reply) -> None:
        self._box.end(self._call, answer.status)
        if isinstance(answer, Half):
            send_half(self._inner, answer)
        else:
            self._inner.send(answer)

    def cut(self) -> None:
        self._box.end(self._call, None)
        self._inner.cut()


class Receiver(receiver.ReceiverServer):
    """The sandbox's receivers, with the number of their answers so far."""

    def __init__(
        self,
        secrets: Mapping[str, Sequence[str]],
        port: int = 0,
        log: Log = lambda kind, what, result: None,
    ) -> None:
        # by the receiver and the kind of the answer
        self.answers: Counter[tuple[str, str]] = Counter()
        self.last: dict[str, bytes] = {}  # the last body that each receiver got
        self._counting = threading.Lock()
        self._tell = log
        super().__init__(secrets, port, self._count)
        self._answer, self.respond = self.respond, self._keep  # no client can call it yet

    def _count(self, kind: str, name: str, result: object) -> None:
        answer = str(result) if result in ("challenge", "event") else "refused"
        with self._counting:  # before the answer is sent, so that no client can see it first
            self.answers[name, answer] += 1
        self._tell(kind, name, result)

    def _keep(self, connection: Connection, request: IncomingRequest) -> None:
        if request.body:
            self.last[request.path.removeprefix("/")] = request.body
        self._answer(connection, request)
