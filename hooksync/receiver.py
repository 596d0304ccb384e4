# hooksync.receiver 0.9.0. SPDX-License-Identifier: Apache-2.0
"""Receive webhooks of Preservica: answer challenges, verify events, work once on each event.

    receiver = Receiver("catalogue", {"HOOK_SECRET": os.environ["HOOK_SECRET"]})
    answer = receiver.receive(method, query, headers, body, work)  # you write work(event)
    # send back answer.status, answer.headers and answer.body

You may copy this one file: it needs only Python 3.9 or later, and makes no network calls.
Names without an underscore follow semantic versioning: only a major version changes them (before
1.0, a minor one).

Source: pyPreservica 4.2.2, webHooksAPI.py; not verified on a live tenancy.
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

EVENT_PREFIX = b"preservica-webhook-auth"  # an event is signed as this and its body
SHORTEST_SECRET = 16  # bytes

# a code that matches is not a JSON object, array or string in any encoding
_PLAIN_CODE = re.compile("[0-9A-Za-z][ -~]*")
_RETRY_AFTER = "30"  # seconds


class Entity(TypedDict, total=False):
    """What happened to one entity."""

    event: str
    entityType: str  # IO: an asset, SO: a folder, CO: a content object
    entityRef: str
    identifiers: list[dict[str, str]]


class Event(TypedDict, total=False):
    """The JSON object that Preservica sent. No field is checked, and there may be more fields."""

    subscriptionId: str
    timestamp: str  # without a time zone
    tenant: str
    version: str
    trigger: str  # as on the wire, e.g. FULL_TEXT_INDEXED
    events: list[Entity]


Work = Callable[[Event], object]
Progress = Literal["new", "busy", "done"]  # the state of work on an event
Kind = Literal["challenge", "event", "duplicate", "busy", "refused"]  # of request


class Refused(ValueError):
    """A request is refused. The text says why, and quotes nothing of the request."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status  # of the HTTP answer


class Answer(NamedTuple):
    """The HTTP answer to send back, and the kind of request that it answers."""

    status: int
    headers: dict[str, str]
    body: bytes  # JSON
    kind: Kind
    event: Event | None = None  # only if `kind` is "event": it is genuine and new
    signed_with: str | None = None  # the name of the secret that signed the event
    reason: str = ""  # for the log: why it is "refused" or "busy"
    key: str = ""  # identifies a genuine event in the memory


def sign_challenge(secret: bytes, code: bytes) -> str:
    """Sign a challenge code, without any check, as HMAC-SHA256 in lower-case hex."""
    return hmac.new(secret, code, hashlib.sha256).hexdigest()


def sign_event(secret: bytes, body: bytes) -> str:
    """Sign `EVENT_PREFIX` and the body (raw bytes, as sent), as HMAC-SHA256 in lower-case hex."""
    return hmac.new(secret, EVENT_PREFIX + body, hashlib.sha256).hexdigest()


def answer_challenge(secret: bytes, code: str) -> dict[str, str]:
    """Make the JSON document that answers a challenge. Anybody can send a challenge.

    So not every code is signed. Otherwise the answer could be the signature of a forged event, or
    of a JSON message to a different service with the same secret. Raises `Refused` unless the code
    is printable ASCII, begins with a letter or a digit, and does not begin with `EVENT_PREFIX`.
    """
    if not _PLAIN_CODE.fullmatch(code):
        raise Refused("the challenge code is not printable ASCII beginning with a letter or digit")
    signed = code.encode("ascii")
    if signed.startswith(EVENT_PREFIX):
        raise Refused("the challenge code begins like a signed event; the answer could forge one")
    return {"challengeCode": code, "challengeResponse": sign_challenge(secret, signed)}


def verify_event(secrets: Mapping[str, bytes], body: bytes, signature: str) -> str | None:
    """Return the name of the secret that signed an event, or None if it is not in `secrets`.

    Compares in constant time.

    `secrets`: by name. `body`: raw bytes, as received. `signature`: the value of the header
    `Preservica-Signature`, in lower or upper case.
    """
    given = signature.strip().lower().encode("utf-8", "replace")
    fitting = None
    for name, key in secrets.items():
        if hmac.compare_digest(sign_event(key, body).encode(), given) and fitting is None:
            fitting = name
    return fitting


def event_key(event: Event) -> str:
    """Return a key that identifies an event. Raises RecursionError if it is nested too deeply.

    It ignores the id of the subscription, because two subscriptions deliver each event during a
    replacement.
    """
    # it is not known if both send the same timestamp, so work that is done twice must do no harm
    content = {name: value for name, value in event.items() if name != "subscriptionId"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Memory:
    """Remembers in this process which events are in progress and which are done. Thread-safe.

    To share a memory between processes, use `SQLiteMemory`, or write a class with the same three
    methods, each of them atomic. `claim` identifies one delivery. After a crash, an event stays in
    progress until its claim expires, after `expiry` seconds. Then the next delivery may work on it.
    Choose more seconds than the longest work takes.
    """

    def __init__(self, size: int = 10_000, expiry: float = 900.0) -> None:
        # the number of done events to remember (about 150 bytes each): the newest ones;
        # 0: remember no events at all
        self._size = size
        self.expiry = expiry  # seconds
        self._busy: dict[str, tuple[str, float]] = {}  # claim, and when it expires
        self._done: dict[str, None] = {}
        self._lock = threading.Lock()

    def begin(self, key: str, claim: str) -> Progress:
        """Claim an event, unless it is done, or an earlier claim on it has not expired."""
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
        """Record that work on an event has succeeded, even if its claim has expired."""
        with self._lock:
            self._busy.pop(key, None)
            self._done[key] = None
            if len(self._done) > self._size:
                del self._done[next(iter(self._done))]

    def failed(self, key: str, claim: str) -> None:
        """Give up a claim, so that the event is new when it is delivered again."""
        with self._lock:
            holder, _ = self._busy.get(key, ("", 0.0))
            if holder == claim:
                del self._busy[key]


class SQLiteMemory:
    """Like `Memory`, but in an SQLite file that all processes of a machine share.

    The file keeps its records even if a process is ended by `kill -9`.
    """

    def __init__(self, path: str, keep: float = 30 * 86_400.0, expiry: float = 900.0) -> None:
        self._path = path
        self._keep = keep  # seconds that a done event is remembered
        self.expiry = expiry  # seconds
        # claim is NULL once the event is done
        columns = "key TEXT PRIMARY KEY, claim TEXT, until REAL NOT NULL"
        self._run(f"CREATE TABLE IF NOT EXISTS events ({columns})")

    def begin(self, key: str, claim: str) -> Progress:
        """Claim an event, unless it is done, or an earlier claim on it has not expired."""
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
        """Record that work on an event has succeeded, even if its claim has expired."""
        until = time.time() + self._keep
        self._run("INSERT OR REPLACE INTO events VALUES (?, NULL, ?)", key, until)

    def failed(self, key: str, claim: str) -> None:
        """Give up a claim, so that the event is new when it is delivered again."""
        self._run("DELETE FROM events WHERE key = ? AND claim = ?", key, claim)

    def _run(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Carry out one statement, which is its own transaction."""
        import sqlite3  # not every receiver needs it

        with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as store:
            return store.execute(statement, values).fetchall()


class Receiver:
    """Answers the requests to one URL. Thread-safe.

    `name`: of the receiver, part of the keys of its events. So receivers with different names may
    share a memory: each of them works on an event that all of them get.

    `secrets`: by name, as text or bytes. The first one signs the answers to challenges. Events may
    be signed with any of them, so that you can rotate a secret. Empty ones after the first are
    ignored. Raises `ValueError` if the first one is empty, or if one is shorter than `shortest`
    bytes, ends with a line break or is not Latin-1. Allow short secrets only while you replace one.

    `memory`: of events; if None, a new `Memory`.
    """

    def __init__(
        self,
        name: str,
        secrets: Mapping[str, str | bytes | None],
        memory: Memory | SQLiteMemory | None = None,
        shortest: int = SHORTEST_SECRET,
    ) -> None:
        self._name = name
        self._first = next(iter(secrets), "the secret")
        if not secrets.get(self._first):
            raise ValueError(
                f"{self._first} is not set, or is empty; everybody could sign with an empty secret"
            )
        self._secrets = {
            name: _key(name, secret, shortest) for name, secret in secrets.items() if secret
        }
        self._memory = Memory() if memory is None else memory

    def receive(
        self,
        method: str,
        query: str | bytes,
        headers: Mapping[str, str],
        body: bytes,
        work: Work = lambda event: None,
    ) -> Answer:
        """Return the answer to a request.

        `query`: as sent, not decoded. `body`: raw bytes; your server must limit their number.

        `work` is called with each genuine and new event before the event is answered. `receive`
        lets an exception of `work` through: your server must then answer 500. Later, `work` is
        called again if the event is delivered again. While `work` runs, a second delivery of the
        same event is answered with 503. Raises TypeError if `work` or the memory is asynchronous.
        """
        answer = self._judge(method, query, headers, body)
        if answer.event is None:
            return answer
        with self._working(answer.key) as progress:
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
        """Return the answer to a request, as `receive` does. `work` may be asynchronous.

        A `work` that is not asynchronous runs in a thread, so it does not block the event loop.
        """
        import asyncio  # not every receiver needs it

        answer = self._judge(method, query, headers, body)
        if answer.event is None:
            return answer
        with self._working(answer.key) as progress:
            if progress == "new":
                result = await asyncio.to_thread(work, answer.event)
                if isinstance(result, Awaitable):
                    await result
        return _after(progress, answer)

    @contextmanager
    def _working(self, key: str) -> Iterator[Progress]:
        """Claim an event, and record how work on it ends.

        If a delivery is cancelled, its work may still run in a thread. So its claim stays until it
        expires.
        """
        claim = random_texts.token_hex(16)
        progress = self._memory.begin(key, claim)
        if isinstance(progress, Coroutine):
            progress.close()  # or Python warns that it was never awaited
        if progress not in ("new", "busy", "done"):
            what = type(progress).__name__
            raise TypeError(
                f'begin() of the memory must return "new", "busy" or "done", not {what}'
            )
        if progress != "new":
            yield progress
            return
        try:
            yield progress
        except Exception:
            self._memory.failed(key, claim)
            raise
        self._memory.done(key, claim)

    def _judge(
        self, method: str, query: str | bytes, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """Return the answer to a request, as if every event were new."""
        if method != "POST":
            return _answer("refused", 405, {"message": "only POST is answered"}, Allow="POST")
        text = query.decode("latin-1") if isinstance(query, bytes) else query
        [code, *_] = parse_qs(text.removeprefix("?")).get("challengeCode", [""])
        try:
            if code:
                document = answer_challenge(self._secrets[self._first], code)
                return _answer("challenge", 200, document)
            name, event, key = self._read(headers, body)
        except Refused as refusal:
            return _answer("refused", refusal.status, {"message": str(refusal)})
        answer = _answer("event", 200, {"success": True})
        return answer._replace(event=event, signed_with=name, key=key)

    def _read(self, headers: Mapping[str, str], body: bytes) -> tuple[str, Event, str]:
        """Verify an event. Returns the name of its secret, the event, and its key."""
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
            if isinstance(event, dict):
                return name, cast(Event, event), f"{self._name}/{event_key(cast(Event, event))}"
        except (ValueError, RecursionError):
            pass
        raise Refused("the event is not a JSON object, or is nested too deeply")


def _key(name: str, secret: str | bytes, shortest: int) -> bytes:
    """Return a secret as bytes. Raises ValueError if it should not be used."""
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
