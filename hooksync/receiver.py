# hooksync.receiver 0.9.0. SPDX-License-Identifier: Apache-2.0
"""Receive webhooks of Preservica: answer challenges, verify events, work once on each event.

    inbox = Inbox("/var/lib/hook/events.sqlite")
    receiver = Receiver("catalogue", {"HOOK_SECRET": os.environ["HOOK_SECRET"]}, inbox=inbox)
    app = wsgi(receiver)  # stores each event, and answers 200
    inbox.run(work)  # in a thread or a process of its own; you write work(event)

You may copy this one file: it needs only Python 3.9 or later, and makes no network calls.
Names without an underscore follow semantic versioning: only a major version changes them (before
1.0, a minor one).

Source: pyPreservica 4.2.2, webHooksAPI.py; not verified on a live tenancy.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import secrets as random_texts
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypedDict, cast
from urllib.parse import parse_qs, quote

__version__ = "0.9.0"

EVENT_PREFIX = b"preservica-webhook-auth"  # an event is signed as this and its body
SHORTEST_SECRET = 16  # bytes
MAX_BODY = 10 * 1024 * 1024  # bytes of a request that `wsgi` and `asgi` read; of more: 413

# a code that matches is not a JSON object, array or string in any encoding
_PLAIN_CODE = re.compile("[0-9A-Za-z][ -~]*")
_MOST_LEVELS = 50  # of an event; Preservica's have five, and `json` fails at about 1,000
_RETRY_AFTER = "30"  # seconds
_LONGEST_WAIT = 3600.0  # seconds between two tries of an event in an inbox
_PAUSE = 0.5  # seconds between two looks into an inbox without work
_CLEANING = 60.0  # seconds between two deletions of old rows
_ASYNCHRONOUS = "work is asynchronous: give run(lambda event: asyncio.run(work(event)))"
_LOG = logging.getLogger("hooksync.receiver")


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
Progress = Literal["new", "busy", "done"]  # what a memory records of an event
Kind = Literal["challenge", "event", "duplicate", "busy", "refused"]  # of request


class BadRequest(ValueError):
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
    return sign_challenge(secret, EVENT_PREFIX + body)


def answer_challenge(secret: bytes, code: str) -> dict[str, str]:
    """Make the JSON document that answers a challenge. Anybody can send a challenge.

    So not every code is signed. Otherwise the answer could be the signature of a forged event, or
    of a JSON message to a different service with the same secret. Raises `BadRequest` unless the
    code is printable ASCII that begins with a letter or a digit, and not with `EVENT_PREFIX`.
    """
    signed = code.encode("utf-8", "replace")
    if not _PLAIN_CODE.fullmatch(code) or signed.startswith(EVENT_PREFIX):
        raise BadRequest(
            "the challenge code is not printable ASCII beginning with a letter or digit, or it"
            " begins like a signed event; the answer could forge one"
        )
    return {"challengeCode": code, "challengeResponse": sign_challenge(secret, signed)}


def verify_event(secrets: Mapping[str, bytes], body: bytes, signature: str) -> str | None:
    """Return the name of the secret that signed an event, or None if it is not in `secrets`.

    Compares in constant time.

    `secrets`: by name. `body`: raw bytes, as received. `signature`: the value of the header
    `Preservica-Signature`, in lower or upper case.
    """
    given = signature.strip().lower().encode("utf-8", "replace")
    fitting = [
        name
        for name, key in secrets.items()
        if hmac.compare_digest(sign_event(key, body).encode(), given)
    ]
    return fitting[0] if fitting else None


def event_key(event: Event) -> str:
    """Return a key that identifies an event. Raises RecursionError if it is nested too deeply.

    It ignores the id of the subscription, because two subscriptions deliver each event during a
    replacement.
    """
    # it is not known if both send the same timestamp, so work that is done twice must do no harm
    content = {name: value for name, value in event.items() if name != "subscriptionId"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Memory(Protocol):
    """What a receiver records about events, so that it works once on each.

    Give `Receiver` any object with these three methods, each of them atomic. They may be
    asynchronous if you await `receive_async`; then no `await` may separate the look-up and the
    claim. `claim` is a new random text for each delivery. After a crash, or if `done` raises, an
    event stays in progress until its claim expires. Then the next delivery may work on it. So a
    claim must last longer than the longest work.
    """

    def begin(self, key: str, claim: str, /) -> Progress | Awaitable[Progress]:
        """Claim an event, and return "new". Return "done" if it is done.

        Return "busy" if an earlier claim on it has not expired.
        """

    def done(self, key: str, claim: str, /) -> object:
        """Record that work on an event has succeeded, even if its claim has expired."""

    def failed(self, key: str, claim: str, /) -> object:
        """Give up a claim, so that the event is new when it is delivered again.

        Do nothing if the event has a different claim by now.
        """


class ProcessMemory:
    """A memory in this process, which is lost when the process ends. Thread-safe.

    `size`: the number of done events to remember (about 150 bytes each), the newest ones; 0: it
    remembers no events at all. `expiry`: seconds until a claim expires.
    """

    def __init__(self, size: int = 10_000, expiry: float = 900.0) -> None:
        self._size = size
        self.expiry = expiry
        self._busy: dict[str, tuple[str, float]] = {}  # claim, and when it expires
        self._done: dict[str, None] = {}
        self._lock = threading.Lock()

    def begin(self, key: str, claim: str, /) -> Progress:
        """See `Memory.begin`."""
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

    def done(self, key: str, claim: str, /) -> None:
        """See `Memory.done`."""
        with self._lock:
            self._busy.pop(key, None)
            self._done[key] = None
            if len(self._done) > self._size:
                del self._done[next(iter(self._done))]

    def failed(self, key: str, claim: str, /) -> None:
        """See `Memory.failed`."""
        with self._lock:
            holder, _ = self._busy.get(key, ("", 0.0))
            if holder == claim:
                del self._busy[key]


class _Store:
    """An SQLite file with a table `events`, on a local disk. Thread-safe.

    Only SQLite opens the file: to close any descriptor of it would drop the locks of the whole
    process. SQLite also counts these locks in memory, which a forked process would inherit. So the
    connection is closed before each fork, and opened again when it is needed.
    """

    def __init__(self, path: str, columns: str, durability: str) -> None:
        self._connection: Any = None
        self._path = Path(path).absolute()
        self._durability = durability  # SQLite's `synchronous`
        self._cleaned = 0.0  # when old rows were deleted last
        _STORES.add(self)
        self.run(f"CREATE TABLE IF NOT EXISTS events (key TEXT PRIMARY KEY, until REAL, {columns})")
        self.run("CREATE INDEX IF NOT EXISTS until ON events (until)")

    def run(self, statement: str, *values: object) -> tuple[int, list[Any]]:
        """Carry out one statement in its own transaction.

        Returns how many rows it changed, and the rows that it found.
        """
        with _STORES_LOCK:
            self._connection = self._connection or self._open()
            cursor = self._connection.execute(statement, values)
            return cursor.rowcount, cursor.fetchall()

    def clean(self) -> None:
        """Delete rows that are too old, if that was not done in the last minute."""
        now = time.monotonic()
        if now > self._cleaned + _CLEANING:
            self._cleaned = now
            self.run(
                "DELETE FROM events WHERE key IN"
                " (SELECT key FROM events WHERE until <= ? LIMIT 10000)",
                time.time(),
            )

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def __del__(self) -> None:
        """Close the connection: Python 3.13 warns of one that was not closed."""
        self.close()

    def _open(self) -> Any:
        """Open the file for events; several threads and processes may have it open.

        A new file gets the mode of a temporary file, 0600.
        """
        import sqlite3  # some builds of Python lack it
        from tempfile import NamedTemporaryFile

        with NamedTemporaryFile(dir=self._path.parent) as model:
            connection = sqlite3.connect(
                f"{self._path.as_uri()}?modeof={quote(model.name)}",
                timeout=30,
                isolation_level=None,
                check_same_thread=False,
                uri=True,
            )
        connection.execute(f"PRAGMA synchronous = {self._durability}")
        connection.execute("PRAGMA auto_vacuum = FULL")  # gives space back to the disk
        connection.execute("PRAGMA journal_size_limit = 1000000")  # bytes
        for _ in range(3000):
            with suppress(sqlite3.OperationalError):  # a different process is just doing the same
                connection.execute("PRAGMA journal_mode = WAL")  # quicker, but not needed
                break
            time.sleep(0.01)
        return connection


_STORES: weakref.WeakSet[_Store] = weakref.WeakSet()  # of this process
_STORES_LOCK = threading.Lock()  # held while a store is used, and during a fork


def _close_stores() -> None:
    """Close the connections of this process, and let no thread open one before the fork."""
    _STORES_LOCK.acquire()
    for store in list(_STORES):
        store.close()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=_close_stores,
        after_in_parent=_STORES_LOCK.release,
        after_in_child=_STORES_LOCK.release,
    )


class SQLiteMemory:
    """A memory in an SQLite file, which all processes of a machine share. Thread-safe.

    The file keeps its records even if a process is ended by `kill -9`. `keep`: seconds that a done
    event is remembered. `expiry`: seconds until a claim expires.
    """

    def __init__(self, path: str, keep: float = 30 * 86_400.0, expiry: float = 900.0) -> None:
        self._keep = keep
        self.expiry = expiry
        # claim is NULL once the event is done
        self._store = _Store(path, "claim TEXT", "NORMAL")

    def begin(self, key: str, claim: str, /) -> Progress:
        """See `Memory.begin`."""
        self._store.clean()
        now = time.time()
        self._store.run(
            "INSERT INTO events (key, claim, until) VALUES (?, ?, ?) ON CONFLICT (key)"
            " DO UPDATE SET claim = excluded.claim, until = excluded.until WHERE until <= ?",
            *(key, claim, now + self.expiry, now),
        )
        _, found = self._store.run("SELECT claim FROM events WHERE key = ?", key)
        if not found:  # the other delivery has failed meanwhile; this one will be sent again
            return "busy"
        [[holder]] = found
        if holder is None:
            return "done"
        return "new" if holder == claim else "busy"

    def done(self, key: str, claim: str, /) -> None:
        """See `Memory.done`."""
        until = time.time() + self._keep
        self._store.run("INSERT OR REPLACE INTO events (key, until) VALUES (?, ?)", key, until)

    def failed(self, key: str, claim: str, /) -> None:
        """See `Memory.failed`."""
        self._store.run("DELETE FROM events WHERE key = ? AND claim = ?", key, claim)


class Stored(NamedTuple):
    """An event in an inbox."""

    key: str
    event: Event
    tries: int  # so far
    error: str  # of the last try
    came: float  # seconds since 1970


class Inbox:
    """Stores each event in an SQLite file, and works on it after it is answered. Thread-safe.

    What `put` has stored survives a crash of the process and of the machine. So the file must be on
    a local disk that lasts (not in a Lambda). Its mode is 0600. Any number of objects and processes
    may share it, also after a fork. Use one inbox for each kind of work.

    `tries`: how often work on an event is tried. `first_wait`: seconds between the first two tries;
    each further wait is four times as long, up to an hour. `keep`: seconds that the key of a done
    event is remembered. `expiry`: seconds until the work of a process that died is tried again;
    choose more than the longest work takes.
    """

    def __init__(
        self,
        path: str,
        tries: int = 8,
        first_wait: float = 1.0,
        *,
        keep: float = 30 * 86_400.0,
        expiry: float = 900.0,
    ) -> None:
        self.tries = tries
        self.first_wait = first_wait
        self.keep = keep
        self.expiry = expiry
        # event: JSON, NULL once it is done; due: when to try it, NULL if it is done or given up
        columns = "event TEXT, due REAL, tries INTEGER, error TEXT, came REAL"
        self._store = _Store(path, columns, "FULL")
        self._store.run("CREATE INDEX IF NOT EXISTS due ON events (due)")

    def put(self, key: str, event: Event) -> bool:
        """Store an event. Returns whether it is new. `Receiver` calls this."""
        now = time.time()
        changed, _ = self._store.run(
            "INSERT OR IGNORE INTO events (key, event, due, tries, error, came)"
            " VALUES (?, ?, ?, 0, '', ?)",
            *(key, json.dumps(event), now, now),
        )
        return changed == 1

    def run(self, work: Callable[[Event], None], stop: threading.Event | None = None) -> None:
        """Call `work` with each event, until `stop` is set. An exception means: try again later.

        One call works on one event at a time; more threads may call it, too. After `stop` is set,
        it ends with the work on the current event. If a process ends during the work, that counts
        as a try, and the event is tried again after `expiry` seconds. So work that is done twice
        must do no harm. If `work` is asynchronous, give `lambda event: asyncio.run(work(event))`.
        """
        stop = stop or threading.Event()
        while not stop.is_set():
            try:
                is_idle = not self._work_on_next(work)
            except Exception:  # e.g. the disk is full; the event is tried again
                _LOG.exception("the inbox failed")
                is_idle = True
            if is_idle:
                stop.wait(_PAUSE)

    def given_up(self) -> list[Stored]:
        """Return the events whose work failed at each try, oldest first."""
        _, found = self._store.run(
            "SELECT key, event, tries, error, came FROM events"
            " WHERE due IS NULL AND event IS NOT NULL ORDER BY came"
        )
        return [Stored(key, json.loads(event), *others) for key, event, *others in found]

    def retry(self, key: str | None = None) -> None:
        """Try an event again that was given up, or all of them if `key` is None.

        Raises KeyError if no event that was given up has this key.
        """
        changed, _ = self._store.run(
            "UPDATE events SET due = ?, tries = 0"
            " WHERE coalesce(key = ?, TRUE) AND due IS NULL AND event IS NOT NULL",
            *(time.time(), key),
        )
        if key is not None and not changed:
            raise KeyError(f"no event that was given up has the key {key}")

    def drop(self, key: str) -> None:
        """Delete an event that waits or was given up. If it is sent again, it is a duplicate.

        Raises KeyError if no such event has this key.
        """
        if not self._finish(key):
            raise KeyError(f"no event that waits or was given up has the key {key}")

    def waiting(self) -> int:
        """Count the events that wait for work, and those at work."""
        _, [[number]] = self._store.run("SELECT count(*) FROM events WHERE due IS NOT NULL")
        return int(number)

    def _work_on_next(self, work: Work) -> bool:
        """Work on the event that is due first. Returns False if no event is due."""
        self._store.clean()
        now = time.time()
        _, found = self._store.run(
            "SELECT key, event, tries, due FROM events WHERE due <= ? ORDER BY due LIMIT 1", now
        )
        for key, event, tries, due in found:
            # without a try left, it is given up: the process of the last try has died
            taken, _ = self._store.run(
                "UPDATE events SET due = CASE WHEN tries < ? THEN ? END,"
                " tries = min(tries + 1, ?), error = ? WHERE key = ? AND due = ?",
                *(self.tries, now + self.expiry, self.tries),
                *("the process ended during the work", key, due),
            )
            if taken and tries < self.tries:  # and not by a different process
                self._try(work, key, json.loads(event), tries + 1)
        return bool(found)

    def _try(self, work: Work, key: str, event: Event, tries: int) -> None:
        """Work on an event, and record the result."""
        try:
            _refuse_awaitable(work(event), _ASYNCHRONOUS)
        except Exception as error:
            end = "" if tries < self.tries else "; given up"
            _LOG.exception("try %s of %s failed: event %s%s", tries, self.tries, key, end)
            wait = min(_LONGEST_WAIT, self.first_wait * 4.0 ** (tries - 1))
            due = None if end else time.time() + wait
            text = f"{type(error).__name__}: {error}"
            self._store.run(
                "UPDATE events SET due = ?, error = ? WHERE key = ? AND event IS NOT NULL",
                *(due, text, key),
            )
        else:
            self._finish(key)

    def _finish(self, key: str) -> int:
        """Delete an event, and keep its key. Returns how many events that were."""
        changed, _ = self._store.run(
            "UPDATE events SET event = NULL, due = NULL, until = ?"
            " WHERE key = ? AND event IS NOT NULL",
            *(time.time() + self.keep, key),
        )
        return changed


class Receiver:
    """Answers the requests to one URL. Thread-safe.

    `name`: of the receiver, part of the keys of its events. So receivers with different names may
    share a memory: each of them works on an event that all of them get.

    `secrets`: by name, as text or bytes. The first one signs the answers to challenges. Events may
    be signed with any of them, so that you can rotate a secret. Empty ones after the first are
    ignored. Raises `ValueError` if the first one is empty, or if one is shorter than `shortest`
    bytes, ends with a line break or is not Latin-1. Allow short secrets only while you replace one.

    `memory`: of events; if None, a new `ProcessMemory`. `inbox`: stores events instead of working
    on them before the answer. Raises `ValueError` if there are both: an inbox has its own memory.
    """

    def __init__(
        self,
        name: str,
        secrets: Mapping[str, str | bytes | None],
        memory: Memory | None = None,
        *,
        inbox: Inbox | None = None,
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
        if memory is not None and inbox is not None:
            raise ValueError("give a memory or an inbox: an inbox has its own memory")
        self._memory = ProcessMemory() if memory is None else memory
        self._inbox = inbox

    def receive(
        self,
        method: str,
        query: str | bytes,
        headers: Mapping[str, str],
        body: bytes,
        work: Work | None = None,
    ) -> Answer:
        """Return the answer to a request.

        `query`: as sent, not decoded. `body`: raw bytes; your server must limit their number.

        With an inbox, `receive` stores a genuine and new event. Otherwise it calls `work` with the
        event, and lets an exception of `work` through: your server must then answer 500. Later,
        `work` is called again if the event is delivered again. While `work` runs, a second delivery
        of the same event is answered with 503.

        Raises TypeError if there is neither `work` nor an inbox, or both; or if `work` or the
        memory is asynchronous.
        """
        answer = self._judge(method, query, headers, body)
        steps = self._deliver(answer, work, _called)
        try:
            steps.send(None)
        except StopIteration as end:  # always, because `_called` waits for nothing
            return cast(Answer, end.value)
        raise AssertionError

    async def receive_async(
        self,
        method: str,
        query: str | bytes,
        headers: Mapping[str, str],
        body: bytes,
        work: Work | None = None,
    ) -> Answer:
        """Return the answer to a request, as `receive` does. `work` and memory may be asynchronous.

        What is not asynchronous runs in a thread, so it does not block the event loop. If the
        delivery is cancelled, such `work` still runs. So the event stays in progress until its
        claim expires.
        """
        answer = self._judge(method, query, headers, body)
        return await self._deliver(answer, work, _awaited)

    async def _deliver(
        self,
        answer: Answer,
        work: Work | None,
        call: Callable[..., Coroutine[Any, Any, object]],
    ) -> Answer:
        """Store or work on an event, if it is new. `call`: calls work, the memory and the inbox."""
        if (work is None) == (self._inbox is None):
            raise TypeError("give work to receive, or give an inbox to Receiver; not both")
        if answer.event is None:
            return answer
        if self._inbox is not None:
            is_new = await call(self._inbox.put, answer.key, answer.event)
            return _after("new" if is_new else "done", answer)
        claim = random_texts.token_hex(16)
        progress = _checked(await call(self._memory.begin, answer.key, claim))
        if work is not None and progress == "new":
            try:
                await call(work, answer.event)
            except Exception:
                with suppress(Exception):  # the claim then stays until it expires
                    await call(self._memory.failed, answer.key, claim)
                raise
            await call(self._memory.done, answer.key, claim)
        return _after(progress, answer)

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
            return self._verify(headers, body)
        except BadRequest as refusal:
            return _answer("refused", refusal.status, {"message": str(refusal)})

    def _verify(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Return the answer to an event if it is genuine and new."""
        signature = ",".join(
            value for name, value in headers.items() if name.lower() == "preservica-signature"
        )
        if not signature:
            raise BadRequest("the header Preservica-Signature is missing", 401)
        name = verify_event(self._secrets, body, signature)
        if name is None:
            raise BadRequest(
                "the signature is wrong: signed with a different secret, or the body was changed",
                401,
            )
        try:
            document = json.loads(body)
            if isinstance(document, dict) and not _is_too_deep(document):
                event = cast(Event, document)
                answer = _answer("event", 200, {"success": True})
                key = f"{self._name}/{event_key(event)}"
                return answer._replace(event=event, signed_with=name, key=key)
        except (ValueError, RecursionError):  # of `json`
            pass
        raise BadRequest("the event is not a JSON object, or is nested too deeply")


def _is_too_deep(value: object, levels: int = _MOST_LEVELS) -> bool:
    """Whether a value has so many levels that a deeper stack could fail to read or write it."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return False
    return levels == 0 or any(_is_too_deep(below, levels - 1) for below in value)


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


async def _called(function: Callable[..., object], *values: object) -> object:
    """Call a function. Raises TypeError if it is asynchronous."""
    result = function(*values)
    cure = "work or the memory is asynchronous: await receive_async(...) instead"
    _refuse_awaitable(result, cure)
    return result


def _refuse_awaitable(result: object, message: str) -> None:
    """Raise TypeError if a function of the user that must not be asynchronous is."""
    if isinstance(result, Coroutine):
        result.close()  # or Python warns that it was never awaited
    if isinstance(result, Awaitable):
        raise TypeError(message)


async def _awaited(function: Callable[..., object], *values: object) -> object:
    """Call a function in a thread, so that it does not block, and await its result if it can."""
    import asyncio  # here, because it takes 30 ms, and the commands of hooksync do not need it

    result = await asyncio.to_thread(function, *values)
    return await result if isinstance(result, Awaitable) else result


def _checked(progress: object) -> Progress:
    """Return what a memory returned. Raises TypeError if that is none of the three words."""
    if progress not in ("new", "busy", "done"):
        what = type(progress).__name__
        raise TypeError(f'begin() of the memory must return "new", "busy" or "done", not {what}')
    return progress


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
    """Make an answer in JSON."""
    headers = {"Content-Type": "application/json", **headers}
    reason = str(document.get("message", ""))
    return Answer(status, headers, json.dumps(document).encode(), kind, reason=reason)


def wsgi(
    receiver: Receiver, work: Work | None = None, limit: int = MAX_BODY
) -> Callable[[dict[str, Any], Callable[..., object]], Iterable[bytes]]:
    """Make a WSGI application of a receiver, for gunicorn, waitress or mod_wsgi.

    It logs each answer to the logger `hooksync.receiver`: refused requests as warnings, others as
    information. A body of more than `limit` bytes is answered with 413.
    """

    def application(
        request: dict[str, Any], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        """Answer one request of WSGI."""
        body, refusal = _read_wsgi(request, limit)
        headers = {"Preservica-Signature": request.get("HTTP_PRESERVICA_SIGNATURE", "")}
        query = request.get("QUERY_STRING", "")
        answer = refusal or receiver.receive(request["REQUEST_METHOD"], query, headers, body, work)
        _log(answer)
        status = f"{answer.status} {HTTPStatus(answer.status).phrase}"
        start_response(status, list(answer.headers.items()))
        return [answer.body]

    return application


def _read_wsgi(request: Mapping[str, Any], limit: int) -> tuple[bytes, Answer | None]:
    """Read a body, or return why it is not read."""
    length = request.get("CONTENT_LENGTH") or ""
    if length.isdigit() and int(length) > limit:
        return b"", _too_large(limit)
    if request.get("wsgi.input_terminated"):  # the server ends the body where the request ends
        length = str(limit + 1)
    elif not length and request.get("HTTP_TRANSFER_ENCODING"):
        message = "this server does not decode chunked requests: use gunicorn or waitress"
        return b"", _answer("refused", 411, {"message": message})
    size = int(length) if length.isdigit() else 0
    body = request["wsgi.input"].read(size)
    return body, _too_large(limit) if len(body) > limit else None


def asgi(
    receiver: Receiver, work: Work | None = None, limit: int = MAX_BODY
) -> Callable[[Any, Any, Any], Coroutine[Any, Any, None]]:
    """Make an ASGI application of a receiver, for uvicorn or hypercorn. It is like `wsgi`."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError(f"only http is supported, not {scope['type']}")
        body = await _read_asgi(receive, limit)
        if body is None:
            return
        if len(body) > limit:
            answer = _too_large(limit)
        else:
            given = [value for name, value in scope["headers"] if name == b"preservica-signature"]
            headers = {"Preservica-Signature": b",".join(given).decode("latin-1")}
            answer = await receiver.receive_async(
                scope["method"], scope["query_string"], headers, body, work
            )
        _log(answer)
        pairs = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
        await send({"type": "http.response.body", "body": answer.body})

    return application


async def _read_asgi(receive: Any, limit: int) -> bytes | None:
    """Read a body, to a little more than the limit. Returns None if the client has gone."""
    body = bytearray()
    has_more = True
    while has_more and len(body) <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        has_more = message.get("more_body", False)
    return bytes(body)


def _too_large(limit: int) -> Answer:
    return _answer("refused", 413, {"message": f"the body is longer than {limit} bytes"})


def _log(answer: Answer) -> None:
    """Log what an answer says; nothing of a request but the name of a secret."""
    level = logging.WARNING if answer.kind == "refused" else logging.INFO
    said = answer.signed_with or answer.reason
    _LOG.log(level, "%s %s %s", answer.status, answer.kind, said)
