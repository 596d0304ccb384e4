"""One HTTP call, with its time-outs and bounds. It repeats nothing and does not know what a call means.

The exceptions of requests, whose texts hold whole URLs, stop here.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, get_args
from urllib.parse import urlsplit

import requests
import requests.utils
import urllib3.exceptions
import urllib3.util

from hooksync import __version__
from hooksync.core.errors import AnswerLost, Problem, ServiceError
from hooksync.core.record import Record, field
from hooksync.core.urls import is_loopback, literal_address, split_port
from hooksync.service.connections import Connections, LookUp, Reach, bounded_call
from hooksync.service.http_errors import Flood, Interim, MaybeSent, Unreachable, explain

USER_AGENT = f"hooksync/{__version__}"
_CHUNK = 65536  # bytes
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_HEADERS = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}


class Timeouts(Record, frozen=True):
    """How long a call may take, in seconds."""

    connect: float = 10.0  # for the look-up of the server's name, and for each of its addresses
    call: float = 30.0  # to the last byte of the answer


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
    repeats: int = 0  # tries of the same call before the one that got this answer
    follows_lost: bool = False  # one of them may have been carried out

    @property
    def text(self) -> str:
        """The body as text of the service: to be redacted before it is shown."""
        return self.body.decode("utf-8", "replace")


class Network(Protocol):
    """What makes single calls; `Transport` is the real one."""

    def send(self, request: Request) -> Answer:
        """Make one call. Raises AnswerLost when it may have been carried out, Unreachable when it never was."""

    def close(self) -> None:
        """End all connections."""


class Transport:
    """Keeps the connections of a run: one pool for all threads, at most `connections` to a server.

    There is no session of requests: it would read netrc, keep cookies, and work out where a redirect leads.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        connections: int,
        environ: Mapping[str, str],
        look_up: LookUp = socket.getaddrinfo,
    ) -> None:
        """`look_up`: resolves names."""
        self._timeouts = timeouts
        self._look_up = look_up
        self._proxies: dict[str, dict[str, str]] = {}
        self._connections = Connections(connections, environ)

    def close(self) -> None:
        """Close every connection."""
        self._connections.close()

    def send(self, request: Request) -> Answer:
        """Make one call. Redirects are not followed: they would carry token and secret elsewhere.

        Raises AnswerLost when the call may have been carried out, Unreachable when it never was.
        """
        with bounded_call(self._timeouts.call, request.answer_limit, self._look_up) as call:
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
        timeout = (min(self._timeouts.connect, self._timeouts.call), self._timeouts.call)
        proxies = self._proxies_for(request.base_url)
        return self._connections.send(prepared, stream=True, timeout=timeout, proxies=proxies)

    def _proxies_for(self, base_url: str) -> dict[str, str]:
        """Find the proxies for a server, as requests does: in the process's environment and the system's settings.

        Loopback has none, whatever the environment says. Raises Unreachable for an invalid address.
        """
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
        connect, call = min(self._timeouts.connect, self._timeouts.call), self._timeouts.call
        kind, what, fix = explain(error, (connect, call, request.answer_limit), is_connected=is_connected)
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
