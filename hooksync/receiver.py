# hooksync.receiver 0.9.0. SPDX-License-Identifier: Apache-2.0
"""Receive webhooks of Preservica: answer challenges, verify events, work once on each event.

    receiver = Receiver({name: os.environ.get(name) for name in ("HOOK_SECRET", "HOOK_SECRET_OLD")})
    answer = receiver.receive(method, query, headers, body, work)  # work(event) is yours; send back
    what answer holds

Pure, and of the standard library alone: this one file may be copied; it needs Python 3.9. By
semantic versioning, what has no underscore changes with a major version (before 1.0: a minor one).
Source: pyPreservica 4.2.2, webHooksAPI.py; not verified live.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets as random_texts
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Literal, NamedTuple, TypedDict, cast
from urllib.parse import parse_qs

__version__ = "0.9.0"

EVENT_PREFIX = b"preservica-webhook-auth"  # goes before the body of an event when it is signed
SHORTEST_SECRET = 16  # bytes

_PLAIN_CODE = re.compile("[0-9A-Za-z][ -~]*")  # no JSON object, array or string in any encoding
_RETRY_AFTER = "30"  # seconds


class Entity(TypedDict, total=False):
    """What happened to one entity."""

    event: str
    entityType: str  # IO: an asset, SO: a folder, CO: a content object
    entityRef: str
    identifiers: list[dict[str, str]]


class Event(TypedDict, total=False):
    """The JSON object that Preservica sent, as it came: no field is checked, more may come."""

    subscriptionId: str
    timestamp: str  # without a time zone
    tenant: str
    version: str
    trigger: str  # as on the wire, e.g. FULL_TEXT_INDEXED
    events: list[Entity]


Work = Callable[[Event], object]
Progress = Literal["new", "busy", "done"]  # of an event that was delivered
Kind = Literal["challenge", "event", "duplicate", "busy", "refused"]  # of what came


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
    kind: Kind
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
    fitting = None
    for name, key in secrets.items():
        if hmac.compare_digest(sign_event(key, body).encode(), given) and fitting is None:
            fitting = name
    return fitting


def event_key(event: Event) -> str:
    """Identify an event by all but its subscription's id: during a replacement, two deliver it."""
    # whether both tell one timestamp is not known, so work that is done twice must do no harm
    told = {name: value for name, value in event.items() if name != "subscriptionId"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


class Memory:
    """Which events are in progress and which are done: in this process, and thread-safe.

    A store that processes share has the same three methods, each of them atomic. `claim` names one
    delivery. A crash leaves an event in progress; after `expiry` seconds the next delivery may work
    on it. Choose more seconds than the longest work takes.
    """

    def __init__(self, size: int = 10_000, expiry: float = 900.0) -> None:
        # done events, about 150 bytes each; the oldest is forgotten. 0: no event is remembered
        self._size = size
        self.expiry = expiry  # seconds
        self._busy: dict[str, tuple[str, float]] = {}  # claim, and when it expires
        self._done: dict[str, None] = {}
        self._lock = threading.Lock()

    def begin(self, key: str, claim: str) -> Progress:
        """Claim an event, unless it is done, or a claim on it has not expired."""
        now = time.monotonic()
        with self._lock:
            if key in self._done:
                return "done"
            _, until = self._busy.get(key, ("", now))
            if until > now:
                return "busy"
            if self._size:
                self._busy[key] = (claim, now + self.expiry)
            return "new"

    def done(self, key: str, claim: str) -> None:
        """Record that work on an event has ended well, also if its claim has expired."""
        with self._lock:
            self._busy.pop(key, None)
            self._done[key] = None
            if len(self._done) > self._size:
                del self._done[next(iter(self._done))]

    def failed(self, key: str, claim: str) -> None:
        """Give up a claim, so that the event is new when it comes again."""
        with self._lock:
            holder, _ = self._busy.get(key, ("", 0.0))
            if holder == claim:
                del self._busy[key]


class SQLiteMemory:
    """The same for all processes of one machine, in a file of SQLite; it survives kill -9."""

    def __init__(self, path: str, keep: float = 30 * 86_400.0, expiry: float = 900.0) -> None:
        self._path = path
        self._keep = keep  # seconds that a done event is remembered
        self.expiry = expiry  # seconds
        # claim is NULL once the event is done
        columns = "key TEXT PRIMARY KEY, claim TEXT, until REAL NOT NULL"
        self._run(f"CREATE TABLE IF NOT EXISTS events ({columns})")

    def begin(self, key: str, claim: str) -> Progress:
        """Claim an event, unless it is done, or a claim on it has not expired."""
        now = time.time()
        self._run("DELETE FROM events WHERE until <= ?", now)
        until = now + self.expiry
        self._run("INSERT OR IGNORE INTO events VALUES (?, ?, ?)", key, claim, until)
        found = self._run("SELECT claim FROM events WHERE key = ?", key)
        if not found:  # the other delivery has failed meanwhile; this one will be sent again
            return "busy"
        [[holder]] = found
        if holder is None:
            return "done"
        return "new" if holder == claim else "busy"

    def done(self, key: str, claim: str) -> None:
        """Record that work on an event has ended well, also if its claim has expired."""
        until = time.time() + self._keep
        self._run("INSERT OR REPLACE INTO events VALUES (?, NULL, ?)", key, until)

    def failed(self, key: str, claim: str) -> None:
        """Give up a claim, so that the event is new when it comes again."""
        self._run("DELETE FROM events WHERE key = ? AND claim = ?", key, claim)

    def _run(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Carry out one statement, which is its own transaction."""
        import sqlite3  # not every receiver needs it

        with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as store:
            return store.execute(statement, values).fetchall()


class Receiver:
    """Answers what comes to one URL. Thread-safe.

    `secrets`: by name, as text or bytes. The first answers challenges, and events may be signed
    with any, so that a secret can be rotated. Empty ones are left out. Raises `ValueError` if the
    first is empty, or if one is shorter than `shortest` bytes, ends with a line break or is not
    Latin-1. Allow short secrets only while you replace one.
    """

    def __init__(
        self,
        secrets: Mapping[str, str | bytes | None],
        remember: Memory | SQLiteMemory | None = None,
        shortest: int = SHORTEST_SECRET,
    ) -> None:
        self._first = next(iter(secrets), "the secret")
        if not secrets.get(self._first):
            raise ValueError(
                f"{self._first} is not set, or is empty; everybody could sign with an empty secret"
            )
        self._secrets = {
            name: _key(name, secret, shortest) for name, secret in secrets.items() if secret
        }
        self._memory = Memory() if remember is None else remember

    def receive(
        self,
        method: str,
        query: str | bytes,
        headers: Mapping[str, str],
        body: bytes,
        work: Work = lambda event: None,
    ) -> Answer:
        """Take a request.

        `query`: as sent, not decoded. `body`: raw bytes; the server must limit its size.

        `work` is called with a genuine and new event before that is answered. What it raises comes
        through, so that the server answers 500; the event is then worked on when it comes again.
        While `work` runs, a second delivery of its event is answered 503. Raises TypeError if
        `work` is asynchronous.
        """
        answer = self._judge(method, query, headers, body)
        if answer.event is None:
            return answer
        with self._working(answer.event) as progress:
            if progress == "new":
                result = work(answer.event)
                if isinstance(result, Coroutine):
                    result.close()  # or Python warns that it was never awaited
                if isinstance(result, Awaitable):
                    raise TypeError("work is asynchronous: await receive_async(...) instead")
        return _after(progress, answer)

    async def receive_async(
        self,
        method: str,
        query: str | bytes,
        headers: Mapping[str, str],
        body: bytes,
        work: Work = lambda event: None,
    ) -> Answer:
        """Take a request as `receive` does, with a `work` that is asynchronous or not.

        A `work` that is not asynchronous runs in a thread, so that it does not hold up the loop.
        """
        import asyncio  # not every receiver needs it

        answer = self._judge(method, query, headers, body)
        if answer.event is None:
            return answer
        with self._working(answer.event) as progress:
            if progress == "new":
                result = await asyncio.to_thread(work, answer.event)
                if isinstance(result, Awaitable):
                    await result
        return _after(progress, answer)

    @contextmanager
    def _working(self, event: Event) -> Iterator[Progress]:
        """Claim an event, and record how work on it ends."""
        key = event_key(event)
        claim = random_texts.token_hex(16)
        progress = self._memory.begin(key, claim)
        if progress != "new":
            yield progress
            return
        try:
            yield progress
        except BaseException:
            self._memory.failed(key, claim)
            raise
        self._memory.done(key, claim)

    def _judge(
        self, method: str, query: str | bytes, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """Return the answer, without regard to what the memory holds."""
        if method != "POST":
            return _answer("refused", 405, {"message": "only POST is answered"}, Allow="POST")
        text = query.decode("latin-1") if isinstance(query, bytes) else query
        [code, *_] = parse_qs(text.removeprefix("?")).get("challengeCode", [""])
        try:
            if code:
                document = answer_challenge(self._secrets[self._first], code)
                return _answer("challenge", 200, document)
            name, event = self._read(headers, body)
        except Refused as refusal:
            return _answer("refused", refusal.status, {"message": str(refusal)})
        return _answer("event", 200, {"success": True})._replace(event=event, signed_with=name)

    def _read(self, headers: Mapping[str, str], body: bytes) -> tuple[str, Event]:
        """Verify an event; returns the name of its secret, and the event."""
        signature = ",".join(
            value for name, value in headers.items() if name.lower() == "preservica-signature"
        )
        if not signature:
            raise Refused("the header Preservica-Signature is missing", 401)
        name = verify_event(self._secrets, body, signature)
        if name is None:
            raise Refused(
                "the signature is wrong: signed with a different secret, or the body was changed",
                401,
            )
        try:
            event = json.loads(body)
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict):
            raise Refused("the event is not a JSON object")
        return name, cast(Event, event)


def _key(name: str, secret: str | bytes, shortest: int) -> bytes:
    """Return a secret as bytes. Raises ValueError for one that should not be used."""
    try:
        key = secret.encode("latin-1") if isinstance(secret, str) else secret
    except UnicodeEncodeError:
        raise ValueError(f"{name} has characters outside Latin-1") from None
    if key.endswith((b"\n", b"\r")):
        raise ValueError(f"{name} ends with a line break; set it without one, as with printf %s")
    if len(key) < shortest:
        raise ValueError(
            f"{name} is shorter than {shortest} bytes; `openssl rand -hex 32` makes one"
        )
    return key


def _after(progress: Progress, answer: Answer) -> Answer:
    """Return the answer to a genuine event."""
    if progress == "done":
        return answer._replace(kind="duplicate", event=None)
    if progress == "busy":
        document = {"message": "this event is in progress: send it again later"}
        return _answer("busy", 503, document, **{"Retry-After": _RETRY_AFTER})
    return answer


def _answer(
    kind: Kind, status: int, document: dict[str, str] | dict[str, bool], **headers: str
) -> Answer:
    headers = {"Content-Type": "application/json", **headers}
    reason = str(document.get("message", ""))
    return Answer(status, headers, json.dumps(document).encode(), kind, reason=reason)
