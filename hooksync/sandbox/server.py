"""The sandbox: an HTTP server on 127.0.0.1 that answers by rules, or lets faults happen.

Use it as a context, `with Sandbox(SandboxOptions(faults=["cut@list"])) as box`, and point a client
at `box.url`.
"""

from __future__ import annotations

from hooksync.receivers.http_server import (
    Connection,
    IncomingRequest,
    LoopbackServer,
    Reply,
    json_answer,
)
from hooksync.sandbox.faults import KINDS, Fault, call_name, next_fault, read_fault
from hooksync.sandbox.receiver import challenge_receiver
from hooksync.sandbox.tenancies import LocalService, SandboxOptions, Subscription

_CHALLENGE_TIMEOUT = 5.0  # seconds


class Sandbox(LoopbackServer):
    """A local service. The constructor starts it and `close` stops it.

    It is also a context manager. Raises `SandboxError` if it cannot start.
    """

    kinds = KINDS  # of faults, in the form of `faults.KINDS`
    make_rules = LocalService

    def __init__(self, options: SandboxOptions | None = None) -> None:
        options = options or SandboxOptions()
        self.faults = [read_fault(spec, self.kinds) for spec in options.faults]
        self._log = options.log
        self.rules = self.make_rules(options, self._challenge)
        super().__init__(options.port, self._respond)
        self.url = f"http://127.0.0.1:{self.port}"

    def subscriptions(self, tenant: str) -> tuple[Subscription, ...]:
        """Return the subscriptions of a tenant, oldest first, even if the list lags."""
        return self.rules.held_by(tenant)

    def seed(
        self, tenant: str, url: str, trigger: str, secret: str, include_identifiers: bool = True
    ) -> str:
        """Add a subscription by hand, without a challenge, and return its id.

        `trigger`: as on the wire.
        """
        made = Subscription(url, trigger, secret, include_identifiers)
        return self.rules.keep(tenant, made).id

    def remove(self, tenant: str, subscription_id: str) -> None:
        """Remove a subscription by hand. Raises `Refusal` if the id is unknown."""
        self.rules.remove(tenant, subscription_id)

    def _challenge(self, url: str, secret: str) -> str | None:
        reason = challenge_receiver(url, secret, _CHALLENGE_TIMEOUT)
        self._log("challenge", url, reason or "passed")
        return reason

    def _respond(self, connection: Connection, request: IncomingRequest) -> None:
        """Answer one request, or let a fault happen if one is due."""
        with self.lock:
            fault = next_fault(self.faults, call_name(request))
        answer = self.misbehave(fault, request) if fault else self.rules.answer(request)
        result = answer.status if answer else "cut"
        self._log("call", f"{request.method} {request.path}", result)
        if answer is None:
            connection.cut()
        else:
            connection.send(answer)

    def misbehave(self, fault: Fault, request: IncomingRequest) -> Reply | None:
        """Let a fault happen to a call. Returns the answer, or None to cut the connection."""
        match fault.kind:
            case "status":
                return status_answer(fault.number)
            case "retry-after":
                return status_answer(429, ("Retry-After", f"{fault.number:g}"))
            case "slow":
                answer = self.rules.answer(request)
                return None if self.stopping.wait(fault.number) else answer
            case "commit-cut":
                self.rules.answer(request)
        return None


def status_answer(status: float, *headers: tuple[str, str]) -> Reply:
    """Make an answer with the status that a fault asks for."""
    return json_answer(int(status), {"message": f"the sandbox answers {status:g}"}, *headers)
