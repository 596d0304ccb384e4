"""Calls over HTTP: one call with its timeouts and limits, and which calls are repeated.

This module does not know what a call or its answer means. It lets no exception of the library
`requests` out, because their texts hold whole URLs.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import requests
from requests.utils import should_bypass_proxies
from urllib3.exceptions import HTTPError
from urllib3.util import Retry, Timeout

from hooksync import __version__
from hooksync.core.clock import Backoff, Pauses
from hooksync.core.context import CallRecord, Context
from hooksync.core.errors import AnswerLost, Problem, ServiceError
from hooksync.core.record import Record, field
from hooksync.core.redaction import Redactor
from hooksync.core.urls import is_loopback, literal_address, split_port, split_url
from hooksync.service.connections import Adapter, check_address
from hooksync.service.responses import (
    SERVER_ERROR,
    TOO_MANY,
    explain,
    explain_connecting,
    failed_call,
)

_CHUNK = 65536  # bytes
_HEADERS = {"User-Agent": f"hooksync/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
_CONNECT = 10.0  # seconds to resolve a server's name and connect to one of its addresses
# a call is repeated so many times at most, until so many seconds have passed
_REPEATS = 4
_WINDOW = 120.0
PAUSES = Pauses(first=0.5, longest=60.0, jitter=random.random)
_ENVIRON = threading.Lock()  # requests changes os.environ while it reads a NO_PROXY


# What a call is for. A log-in is a read. A creation is not repeated after a lost answer: it could
# be carried out twice.
Purpose = Literal["read", "removal", "creation"]


class Request(Record, frozen=True):
    """What is sent. Its repr shows neither headers nor body: both may hold secrets."""

    HIDDEN = ("headers", "body")

    method: str
    base_url: str  # scheme, host and port
    path: str  # `requests` encodes it where needed, and resolves its dot segments
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] | None = None  # an iterable is sent in chunks
    purpose: Purpose = "read"
    answer_limit: int = 1024 * 1024  # bytes of the answer's body
    may_be_private: bool = True  # whether it may go to a private address

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


LISTEN = "Hooksync-Listen"  # the header of an answer that is not of the receiver behind `listen`


class Response(Record, frozen=True):
    """What came back, read to its end."""

    HIDDEN = ("body", "location")

    status: int
    body: bytes
    retry_after: str | None = None  # the header as sent
    location: str | None = None  # the header as sent: where a redirect leads to
    has_next_page: bool = False  # a Link header names a next page
    content_type: str = ""  # the header as sent
    is_of_listen: bool = False  # `hooksync listen` gave the answer, not the receiver behind it

    @property
    def text(self) -> str:
        """The body as text of the service: to be redacted before it is shown."""
        return self.body.decode("utf-8", "replace")


class Transport:
    """Keeps the connections of a run: at most `connections` to each server, for all threads."""

    def __init__(
        self,
        timeout: float,  # seconds that a call may take, to the last byte of the answer
        connections: int,
        environ: Mapping[str, str],
    ) -> None:
        self._seconds = timeout
        self._timeout: Any = Timeout(total=timeout, connect=_CONNECT)
        # capitals come first, so small letters win, as in requests
        self._environ = {name.lower(): environ[name] for name in sorted(environ)}
        self._adapters = {
            may_be_private: Adapter(connections, environ, may_be_private=may_be_private)
            for may_be_private in (False, True)
        }

    def close(self) -> None:
        """Close every connection."""
        for adapter in self._adapters.values():
            adapter.close()

    def send(self, request: Request) -> Response:
        """Make one call, and follow no redirect: it would pass on the token and the secret.

        Raises AnswerLost if a failed call may have been carried out, otherwise ServiceError.
        """
        proxies = self._proxies_for(request.base_url)
        try:
            return self._send(request, proxies)
        except requests.exceptions.InvalidURL as error:
            failed = explain_connecting(error, self._seconds, is_proxy=bool(proxies))
        except (HTTPError, OSError, ValueError) as error:  # exceptions of requests are OSErrors
            failed = explain(error, self._seconds)
        # outside the `except` clauses, so that no exception that holds the request is chained to it
        raise failed

    def _proxies_for(self, base_url: str) -> dict[str, str]:
        """Return the proxy for a server, by scheme; none for loopback and NO_PROXY."""
        scheme, netloc, _ = split_url(base_url)
        host, _ = split_port(netloc)
        proxy = self._environ.get(f"{scheme}_proxy") or self._environ.get("all_proxy")
        if not proxy or is_loopback(host):
            return {}
        with _ENVIRON:
            if should_bypass_proxies(base_url, self._environ.get("no_proxy", "")):
                return {}
        return {scheme: proxy}

    def _send(self, request: Request, proxies: dict[str, str]) -> Response:
        host, _ = split_port(request.base_url.partition("://")[2])
        address = literal_address(host)
        if address is not None:  # behind a proxy, no other host can be judged
            check_address(str(address), may_be_private=request.may_be_private, is_written=True)
        # no session of `requests`: it reads the environment and netrc, and it follows redirects
        url = request.base_url + request.path
        wanted = requests.Request(request.method, url, _HEADERS | {**request.headers})
        wanted.data = request.body
        adapter = self._adapters[request.may_be_private]
        with adapter.send(
            wanted.prepare(), stream=True, timeout=self._timeout, proxies=proxies
        ) as response:
            if response.status_code < 200:
                # the final response would follow on this connection: raising closes it
                raise ConnectionError
            body = _read(response, request.answer_limit)
        return Response(
            response.status_code,
            body,
            response.headers.get("Retry-After"),
            response.headers.get("Location"),
            has_next_page="next" in response.links,
            content_type=response.headers.get("Content-Type", ""),
            is_of_listen=LISTEN in response.headers,
        )


def _read(response: requests.Response, limit: int) -> bytes:
    """Read a body, decompressed. Raises AnswerLost if it has more than `limit` bytes."""
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) > limit:
            what = f"the answer is larger than {limit} bytes"
            fix = "check the address: this looks like a page or a download"
            raise failed_call("too-large", what, fix)
    return bytes(body)


def proxy_credentials(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the credentials of each proxy in the environment, as a whole and in parts."""
    for name, url in environ.items():
        if name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            credentials = (url.partition("://")[2] or url).rpartition("@")[0]
            yield from (credentials, *credentials.split(":", 1))


class Caller(Record, frozen=True):
    """What all calls of a run share."""

    transport: Transport
    context: Context
    pauses: Pauses = PAUSES
    private_receivers: bool = True  # whether receivers may be called at private addresses
    before_change: Callable[[], None] = lambda: None  # raises LockLost: then nothing is changed

    @property
    def redactor(self) -> Redactor:
        """The redactor of the run."""
        return self.context.output.redactor

    def send(self, request: Request, peer: str, shown: str) -> Response:
        """Make one call and record it.

        `shown`: the request as it is recorded, without any key. Raises ServiceError.
        """
        start = self.context.clock.monotonic()
        result = "failed"
        try:
            response = self.transport.send(request)
            result = str(response.status)
        except ServiceError as error:
            result = self.redactor.quote(error.summary)  # it may quote a certificate
            raise
        finally:
            seconds = self.context.clock.monotonic() - start
            self.context.terminal.watch(CallRecord(peer, shown, result, seconds))
        return response

    def repeat(self, request: Request, peer: str) -> Response:
        """Make a call, and repeat it if it failed, as far as its purpose and the policy allow.

        A 429 means that nothing was done, so any call is repeated after it. Raises ServiceError.
        """
        backoff = Backoff(_WINDOW, self.context.clock, self.context.stop, self.pauses)
        for repeats_left in range(_REPEATS, -1, -1):
            if request.purpose != "read":
                self.before_change()
            try:
                response = self.send(request, peer, str(request))
            except AnswerLost as error:
                may_help = request.purpose != "creation" and error.kind != "too-large"
                if not (may_help and repeats_left and backoff.wait()):
                    raise
                continue
            is_busy = response.status == TOO_MANY
            is_broken = request.purpose != "creation" and response.status >= SERVER_ERROR
            may_help = repeats_left > 0 and (is_busy or is_broken)
            if not (may_help and backoff.wait(read_retry_after(response.retry_after))):
                break
        return response

    def problem(self, request: Request, response: Response, fix: str, remark: str = "") -> Problem:
        """Return a problem that quotes an answer, because the answer cannot be used."""
        quoted = self.redactor.quote(response.text) or "(an empty answer)"
        if remark:
            quoted = f"{remark}: {quoted}"
        return Problem(f"{request} -> {response.status}: {quoted}", fix)


def read_retry_after(header: str | None) -> float:
    """Return the seconds until a Retry-After header, seconds or an HTTP date; 0 if it has none."""
    try:
        return float(Retry().parse_retry_after(header or ""))
    except Exception:  # odd dates raise exceptions of many kinds
        return 0.0
