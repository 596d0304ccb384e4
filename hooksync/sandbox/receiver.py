"""Receivers of webhooks behind one HTTP server on 127.0.0.1, each at `/NAME`. They answer challenges and accept events.

They sign no challenge code that could pass for an event, and accept no event without a valid signature.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import parse_qs

from hooksync.core import handshake
from hooksync.sandbox.http_server import Answer, Connection, LoopbackServer, Refusal, Request, SandboxError, json_answer


@dataclass(slots=True)
class Inbox:
    """One receiver: its secrets, and what it got so far."""

    secrets: tuple[bytes, ...] = field(repr=False)  # the first one answers challenges
    challenges: int = 0  # answered
    refused: int = 0  # challenges and events
    events: list[object] = field(default_factory=list)  # the JSON documents of those that were accepted


class Receiver:
    """Named receivers that run from construction to `close`, or as a context.

    `secrets` has one or more for each name: challenges are answered with the first, events may be signed with any, so
    that a secret can be rotated while both are in use. Raises `SandboxError` if the port cannot be used.
    """

    def __init__(self, secrets: Mapping[str, Sequence[str]], port: int = 0) -> None:
        self._lock = threading.Lock()
        self._inboxes: dict[str, Inbox] = {}
        for name, values in secrets.items():
            self.set_secret(name, *values)
        self._server = LoopbackServer(port, self._respond)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cut every connection and wait for every thread."""
        self._server.close()

    def url(self, name: str) -> str:
        """Return the URL of a receiver."""
        return f"http://127.0.0.1:{self._server.port}/{name}"

    def set_secret(self, name: str, *secrets: str) -> None:
        """Give a receiver other secrets, or add a receiver. Raises `SandboxError` for unusable secrets."""
        if not secrets or not all(secrets):
            raise SandboxError(f"receiver {name} needs a secret that is not empty")
        try:
            keys = tuple(secret.encode("latin-1") for secret in secrets)
        except UnicodeEncodeError:
            raise SandboxError(f"a secret of receiver {name} has characters outside Latin-1") from None
        with self._lock:
            self._inboxes.setdefault(name, Inbox(keys)).secrets = keys

    def inbox(self, name: str) -> Inbox:
        """Return what a receiver got so far, as a copy."""
        with self._lock:
            inbox = self._inboxes[name]
            return replace(inbox, events=list(inbox.events))

    def _respond(self, connection: Connection, request: Request) -> None:
        with self._lock:  # nothing in here waits
            answer = self._receive(request)
        connection.send(answer)

    def _receive(self, request: Request) -> Answer:
        inbox = self._inboxes.get(request.path.removeprefix("/"))
        if inbox is None:
            return json_answer(404, {"message": "there is no such receiver"})
        try:
            return _take(inbox, request)
        except Refusal as refusal:
            inbox.refused += 1
            return refusal.answer


def _take(inbox: Inbox, request: Request) -> Answer:
    if request.method != "POST":
        raise Refusal(405, "a receiver accepts only POST")
    code = parse_qs(request.query).get("challengeCode", [""])[0]
    if code:
        document = _answer_challenge(inbox.secrets[0], code)
        inbox.challenges += 1
        return json_answer(200, document)
    inbox.events.append(_read_event(inbox.secrets, request))
    return json_answer(200, {"success": True})


def _answer_challenge(secret: bytes, code: str) -> object:
    try:
        signed = code.encode("latin-1")
    except UnicodeEncodeError:
        raise Refusal(400, "the challenge code has characters outside Latin-1") from None
    if handshake.is_event_in_disguise(signed):
        raise Refusal(400, "the challenge code begins like a signed event; the answer to it could be used to forge one")
    return {"challengeCode": code, "challengeResponse": handshake.answer_challenge(secret, signed)}


def _read_event(secrets: tuple[bytes, ...], request: Request) -> object:
    signature = request.headers.get("preservica-signature", "")
    if not any(handshake.verify_event(secret, request.body, signature) for secret in secrets):
        raise Refusal(401, "the signature is wrong")
    try:
        return json.loads(request.body)
    except (ValueError, RecursionError):
        raise Refusal(400, "the event is not JSON") from None
