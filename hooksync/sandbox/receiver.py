"""Both ends of a challenge: receivers on 127.0.0.1, each at `/NAME`, and the call to them.

Receivers answer challenges and accept events. They sign no challenge code that could pass for an
event, and accept no event without a valid signature. A challenge follows no redirect.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress

import requests

from hooksync import receiver
from hooksync.receivers.http_server import (
    Connection,
    IncomingRequest,
    Log,
    LoopbackServer,
    Reply,
    json_answer,
)
from hooksync.sandbox.faults import SandboxError


class ReceiverServer(LoopbackServer):
    """A server with named receivers. The constructor starts it and `close` stops it.

    It is also a context manager. `secrets` has one or more secrets for each name: the first one
    signs the answers to challenges, and events may be signed with any. Raises `SandboxError` if the
    port or a secret cannot be used.
    """

    def __init__(
        self,
        secrets: Mapping[str, Sequence[str]],
        port: int = 0,
        log: Log = lambda kind, what, result: None,
    ) -> None:
        self._log = log
        self._receivers: dict[str, receiver.Receiver] = {}
        for name, values in secrets.items():
            self.set_secret(name, *values)
        super().__init__(port, self._respond)

    def url(self, name: str) -> str:
        """Return the URL of a receiver."""
        return f"http://127.0.0.1:{self.port}/{name}"

    def set_secret(self, name: str, *secrets: str) -> None:
        """Give a receiver different secrets, or add a receiver.

        Raises `SandboxError` if a secret cannot be used.
        """
        named = {f"secret {number}": secret for number, secret in enumerate(secrets, start=1)}
        try:
            made = receiver.Receiver(name, named, receiver.ProcessMemory(0), shortest=1)
        except ValueError as error:  # it quotes no secret
            raise SandboxError(f"receiver {name}: {error}") from None
        self._receivers[name] = made

    def _respond(self, connection: Connection, request: IncomingRequest) -> None:
        """Answer as the receiver whose name is the path."""
        name = request.path.removeprefix("/")
        found = self._receivers.get(name)
        if found is None:
            connection.send(json_answer(404, {"message": "there is no such receiver"}))
            return
        answer = request.hand_to(found)
        self._log("receiver", name, answer.reason or answer.kind)
        connection.send(Reply(answer.status, answer.body))


def challenge_receiver(url: str, secret: str, timeout: float) -> str | None:
    """Challenge a receiver as the service does. Returns why it failed, or None if it passed.

    `timeout`: seconds for each wait on the socket. Source: pyPreservica 4.2.2; not verified on a
    live tenancy.
    """
    code = secrets.token_hex(16)
    response = receiver.sign_challenge(secret.encode("latin-1"), code.encode())
    expected = {"challengeCode": code, "challengeResponse": response}
    try:
        with requests.Session() as session:
            session.trust_env = False
            query = {"challengeCode": code}
            answer = session.post(url, params=query, timeout=timeout, allow_redirects=False)
    except (OSError, ValueError) as error:  # its text may quote the URL, with a key
        return f"it could not be called ({type(error).__name__})"
    with suppress(ValueError, TypeError, RecursionError):
        document = dict(answer.json())
        if answer.status_code == 200 and document | expected == document:
            return None
    return f"its answer ({answer.status_code}) is wrong; it may use a different secret"
