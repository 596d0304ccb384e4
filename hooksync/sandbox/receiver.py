"""Webhooks, both ends: receivers on 127.0.0.1, each at `/NAME`, and what calls them.

Receivers answer challenges and accept events. They sign no challenge code that could pass for an
event, and accept no event without a valid signature. The sender challenges before a subscription
and sends events afterwards. It follows no redirect, reads a bounded answer, and ends after a time
limit.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

from hooksync import receiver
from hooksync.sandbox import http_server
from hooksync.sandbox.tenancies import Subscription

_MAX_ANSWER = 64 * 1024  # bytes of a receiver's answer; a longer one fails the challenge
# statuses by which an event is taken; which these are for the real service is not known
TAKEN = range(200, 300)
_CHUNK = 64  # bytes; small, so that an event comes in several chunks as it does from the service


class Receiver(http_server.LoopbackServer):
    """Named receivers that run from construction to `close`, or as a context.

    `secrets` has one or more for each name: challenges are answered with the first, events may be
    signed with any, so that a secret can be rotated while both are in use. Raises `SandboxError` if
    the port cannot be used.
    """

    def __init__(
        self,
        secrets: Mapping[str, Sequence[str]],
        port: int = 0,
        log: http_server.Log = lambda entry: None,
    ) -> None:
        self._lock = threading.Lock()
        self._log = log
        self._receivers: dict[str, receiver.Receiver] = {}
        for name, values in secrets.items():
            self.set_secret(name, *values)
        super().__init__(port, self._respond)

    def url(self, name: str) -> str:
        """Return the URL of a receiver."""
        return f"http://127.0.0.1:{self.port}/{name}"

    def set_secret(self, name: str, *secrets: str) -> None:
        """Give a receiver other secrets, or add a receiver.

        Raises `SandboxError` for unusable secrets.
        """
        named = {f"secret {number}": secret for number, secret in enumerate(secrets, start=1)}
        try:
            made = receiver.Receiver(named, receiver.Memory(0), shortest=1)
        except ValueError as error:  # it quotes no secret
            raise http_server.SandboxError(f"receiver {name}: {error}") from None
        with self._lock:
            self._receivers[name] = made

    def _respond(self, connection: http_server.Connection, request: http_server.Request) -> None:
        name = request.path.removeprefix("/")
        if name not in self._receivers:
            connection.send(http_server.json_answer(404, {"message": "there is no such receiver"}))
            return
        with self._lock:  # nothing in here waits
            answer = self._receivers[name].receive(
                request.method, request.query, request.headers, request.body
            )
        self._log({"kind": "receiver", "what": name, "result": answer.reason or answer.kind})
        connection.send(http_server.Answer(answer.status, answer.body))


class WebhookSender:
    """Calls receivers. Thread-safe."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout  # seconds, for one call as a whole

    def challenge(self, url: str, secret: str) -> str | None:
        """Challenge a receiver; returns why it failed, or None.

        Source: pyPreservica 4.2.2, not verified live.
        """
        code = secrets.token_hex(16)
        answer = self.post(url, b"", {}, f"challengeCode={code}")
        return answer if isinstance(answer, str) else judge(*answer, code, secret)

    def deliver(self, subscription: Subscription, body: bytes) -> int | str:
        """Send an event, signed and in chunks.

        Returns the status of the receiver, or why it did not answer.
        """
        headers = {
            "Content-Type": "application/json",
            "Transfer-Encoding": "chunked",
            "Preservica-Signature": receiver.sign_event(
                subscription.secret.encode("latin-1"), body
            ),
        }
        answer = self.post(subscription.url, body, headers)
        return answer if isinstance(answer, str) else answer[0]

    def post(
        self, url: str, body: bytes, headers: dict[str, str], query: str = ""
    ) -> tuple[int, bytes] | str:
        """Return the status and the body of an answer, or why there is none.

        `query`: added to that of the URL.
        """
        ends = time.monotonic() + self._timeout
        try:
            parts = urlsplit(url)
            kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
            query = "&".join(filter(None, (parts.query, query)))
            target = f"{parts.path or '/'}{'?' if query else ''}{query}"
            pieces = (body[start : start + _CHUNK] for start in range(0, len(body), _CHUNK))
            host = kind(parts.hostname or "", parts.port, timeout=self._timeout)
            with closing(host) as connection:
                connection.request(
                    "POST", target, pieces if body else b"", headers, encode_chunked=bool(body)
                )
                with connection.getresponse() as response:
                    return response.status, _read(response, ends)
        except (OSError, HTTPException, ValueError) as error:
            return _why(error)


def judge(status: int, body: bytes, code: str, secret: str) -> str | None:
    """Judge a receiver's answer to a challenge: returns why it fails, or None if it passes."""
    if status != 200:
        return f"it answered {status}, not 200"
    try:
        document = dict(json.loads(body))
    except (ValueError, TypeError, RecursionError):
        return "its answer is not a JSON object"
    if document.get("challengeCode") != code:
        return "its answer does not repeat the challengeCode"
    response = document.get("challengeResponse")
    expected = receiver.sign_challenge(secret.encode("latin-1"), code.encode("latin-1"))
    if not isinstance(response, str) or not hmac.compare_digest(
        response.encode(errors="replace"), expected.encode()
    ):
        return "its challengeResponse is wrong; it may use a different secret"
    return None


def event_body(
    tenant: str, subscription: Subscription, events: Sequence[Mapping[str, object]]
) -> bytes:
    """Write an event's JSON, as jcarr.org.uk/2023/06/10/webhooks shows one."""
    if not subscription.include_identifiers:
        events = [{**event, "identifiers": []} for event in events]
    document = {
        "subscriptionId": subscription.id,
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3],
        "tenant": tenant,
        "version": "6.10",
        "events": list(events),
        "trigger": subscription.trigger,
    }
    return json.dumps(document).encode()


def sample_events(trigger: str) -> list[dict[str, object]]:
    """Make up what happens to one asset.

    For other triggers than FULL_TEXT_INDEXED, no event is public.
    """
    name = trigger.title().replace("_", "")
    identifiers = [{"type": "BatchId", "value": "sandbox"}]
    return [
        {
            "event": name,
            "entityType": "IO",
            "entityRef": str(uuid.uuid4()),
            "identifiers": identifiers,
        }
    ]


def _read(response: HTTPResponse, ends: float) -> bytes:
    """Read a bounded answer.

    `ends`: on the monotonic clock. Raises OSError for a slow or long answer.
    """
    body = b""
    while piece := response.read1(_MAX_ANSWER):
        body += piece
        if len(body) > _MAX_ANSWER:
            raise OSError(f"its answer is longer than {_MAX_ANSWER} bytes")
        if time.monotonic() > ends:
            raise TimeoutError
    return body


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    # the text of other errors quotes the URL, where a key may be
    detail = str(error) if isinstance(error, OSError) else ""
    return f"it could not be called ({detail or type(error).__name__})"
