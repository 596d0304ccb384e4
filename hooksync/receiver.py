"""Receive webhooks of Preservica: answer challenges, verify events, drop repeated ones.

    receiver = Receiver({name: os.environ.get(name) for name in ("HOOK_SECRET", "HOOK_SECRET_OLD")})
    answer = receiver.receive(method, query, headers, body, work)  # work(event) is yours; send back
    what answer holds

Pure, and of the standard library alone: this one file may be copied. By semantic versioning, what
has no underscore changes with a major version (before 1.0: a minor one). Source: pyPreservica
4.2.2, webHooksAPI.py; not verified live.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs

EVENT_PREFIX = b"preservica-webhook-auth"  # goes before the body of an event when it is signed

Event = dict[str, Any]  # the JSON object that Preservica sent, as it came

_PLAIN_CODE = re.compile("[0-9A-Za-z][ -~]*")  # no JSON object, array or string in any encoding


class Refused(ValueError):
    """What came is not signed, or not taken; the text says why and quotes nothing of it."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status  # of the HTTP answer


class Answer(NamedTuple):
    """What to send back, and what came."""

    status: int
    headers: dict[str, str]
    body: bytes  # JSON
    kind: Literal["challenge", "event", "duplicate", "refused"]
    event: Event | None = None  # genuine and not seen before
    signed_with: str | None = None  # the name of the secret that an event was signed with
    reason: str = ""  # why it was refused, for the log


def sign_challenge(secret: bytes, code: bytes) -> str:
    """Sign any challenge code: lower-case hex HMAC-SHA256 of the code under the secret."""
    return hmac.new(secret, code, hashlib.sha256).hexdigest()


def sign_event(secret: bytes, body: bytes) -> str:
    """Sign an event: lower-case hex HMAC-SHA256 of the prefix and the body (raw bytes, as sent)."""
    return hmac.new(secret, EVENT_PREFIX + body, hashlib.sha256).hexdigest()


def answer_challenge(secret: bytes, code: str) -> dict[str, str]:
    """Make the document that answers a challenge, which anybody can send.

    Raises `Refused` for a code whose signature could be that of a forged event, or of a message
    in JSON to a different service that has the same secret. Only plain codes are signed: ASCII
    that begins with a letter or a digit, and not with the prefix of an event.
    """
    if not _PLAIN_CODE.fullmatch(code):
        raise Refused("the challenge code is not printable ASCII beginning with a letter or digit")
    signed = code.encode("ascii")
    if signed.startswith(EVENT_PREFIX):
        raise Refused("the challenge code begins like a signed event; the answer could forge one")
    return {"challengeCode": code, "challengeResponse": sign_challenge(secret, signed)}


def verify_event(secrets: Mapping[str, bytes], body: bytes, signature: str) -> str | None:
    """Tell the name of the secret that an event was signed with; None: none of them.

    In constant time.

    `body`: raw bytes, as received. `signature`: the header `Preservica-Signature`; hex in upper
    case is taken too.
    """
    given = signature.strip().lower().encode("utf-8", "replace")
    fitting = [
        name
        for name, key in secrets.items()
        if hmac.compare_digest(sign_event(key, body).encode(), given)
    ]
    return fitting[0] if fitting else None


def event_key(event: Event) -> str:
    """Identify an event by all but its subscription's id: during a replacement, two deliver it."""
    # whether both tell one timestamp is not known, so work that is done twice must do no harm
    told = {name: value for name, value in event.items() if name != "subscriptionId"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


class Memory:
    """The keys of the last events, thread-safe.

    Where processes share a store, override both methods, `add` atomic.
    """

    def __init__(self, size: int = 10_000) -> None:
        # events, about 150 bytes each; the oldest goes first. 0: no event is a duplicate
        self._size = size
        self._keys: dict[str, None] = {}
        self._lock = threading.Lock()

    def add(self, key: str) -> bool:
        """Remember an event; False: it was remembered already."""
        with self._lock:
            if key in self._keys:
                return False
            self._keys[key] = None
            if len(self._keys) > self._size:
                del self._keys[next(iter(self._keys))]
            return True

    def discard(self, key: str) -> None:
        """Forget an event, so that it is new when it comes again."""
        with self._lock:
            self._keys.pop(key, None)


class Receiver:
    """Answers what comes to one URL. Thread-safe.

    `secrets`: by name, as text or bytes. The first answers challenges, and events may be signed
    with any, so that a secret can be rotated. Empty ones are left out; raises `ValueError` if the
    first is, or if one is not Latin-1.
    """

    def __init__(
        self, secrets: Mapping[str, str | bytes | None], memory: Memory | None = None
    ) -> None:
        self._first = next(iter(secrets), "the secret")
        if not secrets.get(self._first):
            raise ValueError(
                f"{self._first} is not set, or is empty; everybody could sign with an empty secret"
            )
        self._secrets: dict[str, bytes] = {}
        for name, secret in secrets.items():
            try:
                key = secret.encode("latin-1") if isinstance(secret, str) else secret
            except UnicodeEncodeError:
                raise ValueError(f"{name} has characters outside Latin-1") from None
            if key:
                self._secrets[name] = key
        self._memory = Memory() if memory is None else memory

    def receive(
        self,
        method: str,
        query: str | bytes,
        headers: Mapping[str, str],
        body: bytes,
        work: Callable[[Event], object] = lambda event: None,
    ) -> Answer:
        """Take a request.

        `query`: as sent, not decoded. `body`: raw bytes; the server must limit its size.

        `work` is called with a genuine and new event before that is answered. What it raises comes
        through, so that the server answers 500; the event is then forgotten, and worked on when it
        comes again.
        """
        if method != "POST":
            return _answer(405, {"message": "only POST is answered"}, Allow="POST")
        try:
            text = query.decode("latin-1") if isinstance(query, bytes) else query
            if code := parse_qs(text.removeprefix("?")).get("challengeCode", [""])[0]:
                return _answer(200, answer_challenge(self._secrets[self._first], code))._replace(
                    kind="challenge"
                )
            secret, event, key = self._read(headers, body)
        except Refused as refusal:
            return _answer(refusal.status, {"message": str(refusal)})
        taken = _answer(200, {"success": True})._replace(signed_with=secret)
        if not self._memory.add(key):
            return taken._replace(kind="duplicate")
        try:
            work(event)
        except BaseException:
            self._memory.discard(key)
            raise
        return taken._replace(kind="event", event=event)

    def _read(self, headers: Mapping[str, str], body: bytes) -> tuple[str, Event, str]:
        signature = ",".join(
            value for name, value in headers.items() if name.lower() == "preservica-signature"
        )
        if not signature:
            raise Refused("the header Preservica-Signature is missing", 401)
        secret = verify_event(self._secrets, body, signature)
        if secret is None:
            raise Refused(
                "the signature is wrong: another secret, or the body was changed on its way", 401
            )
        try:
            event = json.loads(body)
            return secret, event, event_key(event)
        except (ValueError, RecursionError, AttributeError):
            raise Refused("the event is not a JSON object") from None


def _answer(status: int, document: dict[str, str] | dict[str, bool], **headers: str) -> Answer:
    headers = {"Content-Type": "application/json", **headers}
    return Answer(
        status,
        headers,
        json.dumps(document).encode(),
        "refused",
        reason=str(document.get("message", "")),
    )
