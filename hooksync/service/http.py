"""Calls over HTTP: one call with its time-outs and bounds, and which kind of call is repeated, when, and how often.

What a call means, and what its answer does, is not known here. The exceptions of requests, whose texts hold whole URLs,
stop here.
"""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Literal, get_args
from urllib.parse import urlsplit

import requests
import requests.utils
import urllib3.exceptions
import urllib3.util

from hooksync import __version__
from hooksync.core.clock import SYSTEM_CLOCK, Clock
from hooksync.core.errors import AnswerLost, MaybeSent, Problem, ServiceError
from hooksync.core.record import Record, field, replace
from hooksync.core.redaction import Redactor
from hooksync.core.urls import is_loopback, literal_address, shown_server, split_port
from hooksync.service.connections import Connections, LookUp, Reach, bounded_call
from hooksync.service.responses import BUSY_STATUSES, TOO_MANY, Flood, Interim, Unreachable, explain

PrivateReceivers = Literal["challenged", "quoted", "refused"]  # challenged: but what they answer is not quoted

USER_AGENT = f"hooksync/{__version__}"
_CHUNK = 65536  # bytes
_LONGEST_NUMBER = 9  # digits; a longer Retry-After is longer than any wait
_NO_WAY = ("no-name", "no-route", "refused")  # kinds that pass where there was a way before
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_HEADERS = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}


class Request(Record, frozen=True):
    """What is sent. Its repr shows neither headers nor body: both may hold secrets."""

    HIDDEN = ("headers", "body")

    method: str
    base_url: str  # scheme, host and port
    path: str  # percent-encoded; sent as it is, dot segments included
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] | None = None  # what is no bytes is sent in chunks
    answer_limit: int = 1024 * 1024  # bytes of the answer's body
    may_be_private: bool = True  # whether it may go to a private address

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Answer(Record, frozen=True):
    """What came back, read to its end."""

    HIDDEN = ("body",)

    status: int
    body: bytes
    retry_after: str | None = None  # the header as sent
    reach: Reach = "public"  # of the address that it came from
    follows_lost: bool = False  # an earlier try of the same call may have been carried out

    @property
    def text(self) -> str:
        """The body as text of the service: to be redacted before it is shown."""
        return self.body.decode("utf-8", "replace")


class Transport:
    """Keeps the connections of a run: one pool for all threads, at most `connections` to a server.

    There is no session of requests: it would read netrc, keep cookies, and work out where a redirect leads.
    """

    def __init__(
        self,
        timeout: float,  # seconds that a call may take, to the last byte of the answer
        connections: int,
        environ: Mapping[str, str],
        look_up: LookUp = socket.getaddrinfo,
        connect: float = 10.0,  # seconds for the look-up of a server's name, and for each of its addresses
    ) -> None:
        self._timeout = timeout
        self._connect = min(connect, timeout)
        self._look_up = look_up
        self._proxies: dict[str, dict[str, str]] = {}
        self._connections = Connections(connections, environ)

    def close(self) -> None:
        """Close every connection."""
        self._connections.close()

    def send(self, request: Request) -> Answer:
        """Make one call, and follow no redirect: token and secret would go along. Raises AnswerLost, Unreachable."""
        with bounded_call(self._timeout, request.answer_limit, self._look_up) as call:
            call.may_be_private = request.may_be_private
            try:
                if address := literal_address(split_port(request.base_url.partition("://")[2])[0]):
                    call.judge(str(address))  # the only thing that can be judged behind a proxy
                with self._respond(request) as response:
                    if response.status_code < 200:
                        raise Interim  # this closes the connection, so that no other call reads the answer that follows
                    body = b"".join(_read(response, request.answer_limit))
                    return Answer(response.status_code, body, response.headers.get("Retry-After"), call.reach)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                failure = self._failure(request, error, is_connected=call.is_connected)
        raise failure  # out here, so that no exception that holds the request is chained to it

    def _respond(self, request: Request) -> requests.Response:
        """Send a request and wait for the head of its answer."""
        prepared = requests.Request(
            request.method, request.base_url, {**_HEADERS, **request.headers}, data=request.body
        ).prepare()
        prepared.url = f"{prepared.url}".removesuffix("/") + request.path  # requests would undo `%2E%2E`
        timeouts, proxies = (self._connect, self._timeout), self._proxies_for(request.base_url)
        return self._connections.send(prepared, stream=True, timeout=timeouts, proxies=proxies)

    def _proxies_for(self, base_url: str) -> dict[str, str]:
        """Find the proxies for a server as requests does; loopback has none. Raises Unreachable for an invalid one."""
        if base_url not in self._proxies:
            host = urlsplit(base_url).hostname or ""
            is_local = is_loopback(f"[{host}]" if ":" in host else host)
            found = {} if is_local else requests.utils.get_environ_proxies(base_url)
            proxy = requests.utils.select_proxy(base_url, found)
            if proxy and not _is_proxy(proxy):
                what = "the proxy cannot be used: its address is invalid"
                fix = "set HTTPS_PROXY and HTTP_PROXY like http://proxy.example.org:3128"
                raise Unreachable(Problem(what, fix), kind="proxy")
            self._proxies[base_url] = found
        return self._proxies[base_url]

    def _failure(self, request: Request, error: Exception, *, is_connected: bool) -> ServiceError:
        limits = (self._connect, self._timeout, request.answer_limit)
        kind, what, fix = explain(error, limits, is_connected=is_connected)
        failure = AnswerLost if kind in get_args(MaybeSent) else Unreachable
        return failure(Problem(f"{request}: {what}", fix), reason=what, kind=kind)


def _read(response: requests.Response, limit: int) -> Iterator[bytes]:
    """Read a body, decompressed. Raises Flood when there is more than `limit` bytes."""
    size = 0
    for chunk in response.iter_content(_CHUNK):
        size += len(chunk)
        if size > limit:
            raise Flood
        yield chunk


def proxy_credentials(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield names and passwords of the proxies that the environment names."""
    for name, url in environ.items():
        if name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            credentials = (url.partition("://")[2] or url).rpartition("@")[0]
            yield from (credentials, *credentials.split(":", 1))


def _is_proxy(url: str) -> bool:
    try:
        parts = urllib3.util.parse_url(url if "://" in url else f"http://{url}")
        (parts.host or "").encode("idna")
    except ValueError:
        return False
    return parts.scheme in _PROXY_SCHEMES and bool(parts.host)


class RetryPolicy(Record, frozen=True):
    """How often calls are repeated, and for how long; all times in seconds."""

    repeats: int = 4  # after the first try
    window: float = 120.0  # from the first try to the last
    first_wait: float = 0.5  # doubled each time
    longest_wait: float = 60.0  # however long a Retry-After asks for
    dice: Callable[[], float] = random.random  # 0 to 1, spreads callers out

    def wait(self, repeat: int, elapsed: float, retry_after: float | None) -> float | None:
        """Return the seconds to wait before a repeat (0: the first); None: give up. `retry_after`: what it asks for."""
        if repeat >= self.repeats:
            return None
        wait = self.first_wait * 2**repeat * (0.5 + self.dice() / 2)
        if retry_after is not None:
            wait = max(wait, retry_after)  # never sooner than it asks, nor at once because it asks for nothing
        wait = min(wait, self.longest_wait)
        return wait if elapsed + wait <= self.window else None


class RetryRule(Record, frozen=True):
    """When a kind of call is made again."""

    statuses: frozenset[int]  # answers after which it is repeated
    repeats_lost: bool  # whether it may be repeated when its answer was lost, and so be carried out twice
    is_change: bool  # one of many calls; False: a read or a log-in, on which all others depend


READ = RetryRule(BUSY_STATUSES, repeats_lost=True, is_change=False)  # and log-in
REMOVAL = RetryRule(BUSY_STATUSES, repeats_lost=True, is_change=True)
CREATION = RetryRule(frozenset({TOO_MANY}), repeats_lost=False, is_change=True)  # after 429 alone, nothing was created


class CallRecord(Record, frozen=True):
    """One call that was made, for progress and logs."""

    peer: str  # who was called: "archive-prod (eu.preservica.com)", or "receiver"
    request: str  # method and path
    result: str  # the status, or what happened instead of an answer
    seconds: float


class CallContext(Record, frozen=True):
    """What all calls of a run share."""

    transport: Transport
    redactor: Redactor
    stop: threading.Event  # set: no more repeats
    watch: Callable[[CallRecord], None]  # is told of every call
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    clock: Clock = SYSTEM_CLOCK
    private_receivers: PrivateReceivers = "challenged"

    def send(self, request: Request, peer: str, shown: str) -> Answer:
        """Make one call and record it. `shown`: the request as it is recorded, without any key. Raises ServiceError."""
        start = self.clock.monotonic()
        result = "failed"
        try:
            answer = self.transport.send(request)
            result = str(answer.status)
        except ServiceError as error:
            result = self.redactor.quote(error.reason)  # it may quote a certificate
            raise
        finally:
            self.watch(CallRecord(peer, shown, result, self.clock.monotonic() - start))
        return answer


class Caller:
    """Makes the calls to one tenancy's service. Thread-safe."""

    def __init__(self, tenancy: str, context: CallContext) -> None:
        self.tenancy = tenancy
        self.context = context
        self._was_reached = False  # it has answered before: a refused connection is likely to be temporary
        self._is_out = False  # a change failed in all its tries: the next ones are tried once, until one is answered

    def send(self, request: Request, rule: RetryRule) -> Answer:
        """Make a call until its answer is not busy, or it may not be repeated. Raises AnswerLost, Unreachable."""
        clock = self.context.clock
        start = clock.monotonic()
        follows_lost = False
        for repeat in count():
            last = self._try(request)
            if not self._may_repeat(last, rule):
                self._is_out &= not (isinstance(last, Answer) and last.status not in BUSY_STATUSES)
                break
            now = datetime.fromtimestamp(clock.now(), UTC)
            asked = read_retry_after(last.retry_after, now) if isinstance(last, Answer) else None
            wait = self.context.policy.wait(repeat, clock.monotonic() - start, asked)
            if rule.is_change and (self._is_out or wait is None):
                self._is_out = True
                wait = None
            may_be_done = last.status != TOO_MANY if isinstance(last, Answer) else isinstance(last, AnswerLost)
            follows_lost |= may_be_done
            if wait is None or clock.wait(self.context.stop, wait):
                break
        if isinstance(last, ServiceError):
            raise last
        return replace(last, follows_lost=follows_lost)

    def _may_repeat(self, last: Answer | ServiceError, rule: RetryRule) -> bool:
        if isinstance(last, Answer):
            return last.status in rule.statuses
        if last.kind in _NO_WAY:
            return self._was_reached
        return rule.repeats_lost and isinstance(last, AnswerLost) and last.kind != "too-large"  # it would be so again

    def _try(self, request: Request) -> Answer | ServiceError:
        peer = f"{self.tenancy} ({shown_server(request.base_url)})"
        try:
            answer = self.context.send(request, peer, str(request))
        except ServiceError as error:
            return error
        self._was_reached = True
        return answer


def read_retry_after(header: str | None, now: datetime) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date; None where it is missing or cannot be read."""
    if header is None:
        return None
    header = header.strip()
    if header.isdecimal() and header.isascii():
        return float(header) if len(header) <= _LONGEST_NUMBER else float("inf")
    try:
        moment = parsedate_to_datetime(header)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, TypeError, LookupError, OverflowError):  # odd dates break the parser in all these ways
        return None
