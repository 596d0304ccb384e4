"""Calls over HTTP: connections, one call with its timeouts and limits, and which are repeated.

This module does not know what a call or its answer means. It lets no exception of the library
`requests` out, because their texts hold whole URLs; it describes failures in our own words.

All threads share the connections of a run, and one TLS context. Without a proxy, nothing is sent to
an address that a call may not go to. `requests` limits the time of each read, so a response that
comes byte by byte could take for ever. `_TimedResponse` limits the time of the whole response.
"""

from __future__ import annotations

import errno
import io
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from http.client import HTTPException, HTTPResponse
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Literal

import requests
import requests.adapters
import urllib3.connection
from requests.utils import DEFAULT_CA_BUNDLE_PATH, should_bypass_proxies
from urllib3.exceptions import HTTPError
from urllib3.util import Retry, Timeout

from hooksync import __version__
from hooksync.core.clock import MOST_ASKED, Backoff
from hooksync.core.context import Context
from hooksync.core.errors import AnswerLost, ServiceError, os_reason
from hooksync.core.model import KEY_VARIABLE, Variables, process_environ
from hooksync.core.record import Record, field, replace
from hooksync.core.redaction import Redactor
from hooksync.core.timed_reader import TimedReader
from hooksync.core.urls import is_loopback, literal_address, split_port, split_url

TOO_MANY = 429
SERVER_ERROR = 500  # with this status or a higher one, the service may have carried out the call
_NETWORK = (
    "check that the server runs, its name and port, whether it speaks http or https there, and the"
    " network and proxy settings"
)
PROXY_FIX = (
    "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY, e.g. http://proxy.example.org:3128; at 407, the"
    " proxy needs a name and a password"
)
_CERTIFICATE = (
    "if it has expired, ask whoever runs the server to renew it; otherwise check the server's name"
    " and this machine's clock, or set REQUESTS_CA_BUNDLE to the certificate of its own authority"
)
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (\d{3})\b")  # as http.client words it
_CHUNK = 65536  # bytes
_HEADERS = {"User-Agent": f"hooksync/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
_CONNECT = 10.0  # seconds to resolve a server's name and connect to one of its addresses
# a call is repeated so many times at most, until so many seconds have passed
_REPEATS = 4
_WINDOW = 120.0
_ENVIRON = threading.Lock()  # requests changes os.environ while it reads a NO_PROXY
# pools to keep, one for each server; to drop a pool would fail the calls that have just taken it
_SERVERS = 1024
_CA_VARIABLE = "REQUESTS_CA_BUNDLE"
# where clouds give their machines keys and settings, besides the link-local addresses
_METADATA = (
    "100.100.100.200",  # Alibaba
    "168.63.129.16",  # Azure
    "192.0.0.192",  # Oracle
    "fd00:ec2::254",  # Amazon
    "fd20:ce::254",  # Google
)
# not all versions of Python know these: for translation within a site, and site-local
_LOCAL = (IPv6Network("64:ff9b:1::/48"), IPv6Network("fec0::/10"))
# the last four bytes are an IPv4 address: compatible, mapped, and translated (RFC 6052)
_EMBEDDING = (*_LOCAL[:1], *map(IPv6Network, ("::/96", "::ffff:0:0/96", "64:ff9b::/96")))


def explain(error: Exception, seconds: float) -> AnswerLost:
    """Explain an exception that came after the connection was made."""
    cause: BaseException | None = error
    while cause and not isinstance(cause, TimeoutError | requests.exceptions.Timeout):
        cause = cause.__cause__ or cause.__context__
    if cause:
        return AnswerLost(
            f"no complete answer within {seconds:g} s",
            "try again, or give a longer --timeout",
            "time-out",
        )
    return AnswerLost(
        "the connection was cut before the answer was complete",
        "see the log of the server, or of a gateway before it",
        "cut",
    )


def explain_connecting(error: BaseException, seconds: float, *, is_proxy: bool) -> ServiceError:
    """Explain an exception that came before the connection was made.

    `is_proxy`: the connection was to the proxy, not to the server.
    """
    reason = "it was cut"
    fix = _NETWORK
    refused = _TUNNEL_REFUSED.match(str(error))
    if refused:
        reason = f"it answers {refused[1]}"
    elif isinstance(error, TimeoutError):
        reason = f"no answer within {seconds:g} s"
    elif isinstance(error, ssl.SSLCertVerificationError):
        reason = f"its certificate is not trusted: {error.verify_message}"
        fix = _CERTIFICATE
    elif isinstance(error, ValueError):
        reason = "its address is invalid"
    elif isinstance(error, OSError):
        reason = error.strerror or reason
    if is_proxy or refused:
        return ServiceError(f"no connection to the proxy: {reason}", PROXY_FIX)
    what = f"no connection to the server: {reason}"
    if isinstance(error, TimeoutError):
        return AnswerLost(what, fix, "time-out")
    if isinstance(error, ConnectionError | ssl.SSLEOFError) and error.errno != errno.ECONNREFUSED:
        return AnswerLost(what, fix, "cut")
    return ServiceError(what, fix)


def check_address(text: str, *, may_be_private: bool) -> None:
    """Raise ServiceError if no call may go to an address.

    Private: not global, or multicast. Link-local addresses and those of `_METADATA` are always
    refused.
    """
    address = ip_address(text.partition("%")[0])
    is_local = any(address in network for network in _LOCAL)
    if any(address in network for network in _EMBEDDING):
        address = IPv4Address(address.packed[-4:])
    elif isinstance(address, IPv6Address):
        address = address.sixtofour or address
    if address.is_link_local or str(address) in _METADATA:
        what = "the address is link-local: no call is made to it"
        fix = "use a different host: at such addresses, clouds give keys to their own machines"
    elif may_be_private or not (is_local or address.is_multicast or not address.is_global):
        return
    else:
        what = "the address is private: no call is made to it"
        fix = "if that is intended, write `allow_private_receivers: true` into the policy"
    raise ServiceError(what, fix)


class _TimedResponse(HTTPResponse):
    """A response that must be complete within the timeout of its connection."""

    def __init__(self, sock: socket.socket, *arguments: Any, **settings: Any) -> None:
        super().__init__(sock, *arguments, **settings)
        self.fp = io.BufferedReader(TimedReader(sock, self.fp.detach()))


class _LastResponse(_TimedResponse):
    """A response after which the client closes the connection, whatever the server does."""

    def begin(self) -> None:
        """Read the head of the response."""
        super().begin()
        self.will_close = True


class _HttpConnection(urllib3.connection.HTTPConnection):
    """A connection to an address that its calls may go to."""

    response_class = _TimedResponse
    may_be_private = True  # whether its calls may go to a private address

    def connect(self) -> None:
        """Connect. Raises ServiceError instead of exceptions of urllib3: no request was sent."""
        try:
            super().connect()
            return
        except (OSError, UnicodeError, HTTPException, HTTPError) as error:
            is_proxy = self.proxy is not None and not self.has_connected_to_proxy
            cause = error.__cause__ or error
            failed = explain_connecting(cause, self.timeout or 0, is_proxy=is_proxy)
        raise failed

    def _new_conn(self) -> socket.socket:
        """Connect. Without a proxy, judge the address of the server before anything is sent."""
        connected = super()._new_conn()
        if self.proxy is None:
            try:
                check_address(connected.getpeername()[0], may_be_private=self.may_be_private)
            except ServiceError:
                connected.close()
                raise
        return connected


class Adapter(requests.adapters.HTTPAdapter):
    """Keeps at most `size` connections to each server, or to each receiver. Thread-safe.

    All https connections share one TLS context. A connection to a receiver has one response.
    """

    def __init__(
        self, size: int, environ: Variables, *, is_for_receivers: bool, may_be_private: bool
    ) -> None:
        self.may_be_private = is_open = may_be_private
        self._environ = environ
        self._context: ssl.SSLContext | None = None
        self._mutex = threading.Lock()

        class HttpConnection(_HttpConnection):
            may_be_private = is_open
            response_class = _LastResponse if is_for_receivers else _TimedResponse

        class HttpsConnection(HttpConnection, urllib3.connection.HTTPSConnection):
            pass

        self._connections = {"http": HttpConnection, "https": HttpsConnection}
        super().__init__(pool_connections=_SERVERS, pool_maxsize=size, pool_block=True)

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Let a pool make our connections, and give https the shared TLS context.

        The first https call makes it: to load root certificates is slow. Raises ServiceError if a
        certificate bundle cannot be used.
        """
        pool: Any = super().get_connection_with_tls_context(request, True, proxies, cert)
        pool.ConnectionCls = self._connections[pool.scheme]
        if pool.scheme == "https":
            with self._mutex:
                self._context = self._context or _make_tls(self._environ)
            pool.conn_kw["ssl_context"] = self._context
        return pool

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing. `requests` would load the root certificates again for each connection."""


def _make_tls(environ: Variables) -> ssl.SSLContext:
    """Make a context with the root certificates of the system, of `requests` and of a bundle.

    `environ` names the bundle. Raises ServiceError if it cannot be used.
    """
    context = ssl.create_default_context()
    # as in urllib3, only the names in subjectAltName count (RFC 9525)
    context.hostname_checks_common_name = False
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    place = environ.get(_CA_VARIABLE)
    if not place:
        return context
    at = "capath" if os.path.isdir(place) else "cafile"
    try:
        context.load_verify_locations(**{at: place})
    except (OSError, ValueError) as error:  # exceptions of ssl are OSErrors
        raise ServiceError(
            f"the certificate bundle {place} of {_CA_VARIABLE} cannot be used: {os_reason(error)}",
            f"point {_CA_VARIABLE} at certificates in PEM format, or a folder with hashed names",
        ) from error
    return context


# What a call is for. A log-in is a read. A creation is not repeated after a lost answer: it could
# be carried out twice.
Purpose = Literal["read", "removal", "creation"]


class Request(Record):
    """What is sent. Its repr shows neither URL, headers nor body: all may hold secrets."""

    method: str
    url: str  # `requests` encodes its path where needed, and resolves its dot segments
    headers: Mapping[str, str] = {}
    body: bytes | Iterable[bytes] | None = None  # an iterable is sent in chunks
    purpose: Purpose = "read"
    answer_limit: int = 1024 * 1024  # bytes of the answer's body
    is_for_receiver: bool = False

    def __str__(self) -> str:
        return f"{self.method} {split_url(self.url)[2]}"


class Response(Record):
    """What came back, read to its end."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}
    has_next_page: bool = False  # a Link header names a next page
    seconds: float = 0.0  # that the call took

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
        environ: Variables,
        *,
        private_receivers: bool = True,  # whether receivers may be called at private addresses
    ) -> None:
        self._seconds = timeout
        self._timeout: Any = Timeout(total=timeout, connect=_CONNECT)
        # capitals come first, so small letters win, as in requests
        self._environ = {name.lower(): environ[name] for name in sorted(environ)}
        self._services = Adapter(connections, environ, is_for_receivers=False, may_be_private=True)
        self._receivers = Adapter(
            connections, environ, is_for_receivers=True, may_be_private=private_receivers
        )

    def close(self) -> None:
        """Close every connection."""
        self._services.close()
        self._receivers.close()

    def send(self, request: Request) -> Response:
        """Make one call, and follow no redirect: it would pass on the token and the secret.

        Raises AnswerLost if a failed call may have been carried out, otherwise ServiceError.
        """
        scheme, netloc, _ = split_url(request.url)
        host, _ = split_port(netloc)
        proxies = self._proxies_for(request.url, scheme, host)
        adapter = self._receivers if request.is_for_receiver else self._services
        address = literal_address(host)
        if address is not None:  # behind a proxy, no other host can be judged
            check_address(str(address), may_be_private=adapter.may_be_private)
        # no session of `requests`: it reads the environment and netrc, and it follows redirects
        wanted = requests.Request(request.method, request.url, _HEADERS | {**request.headers})
        wanted.data = request.body
        try:
            with adapter.send(
                wanted.prepare(), stream=True, timeout=self._timeout, proxies=proxies
            ) as response:
                if response.status_code < 200:
                    # the final response would follow on this connection: raising closes it
                    raise ConnectionError
                body = _read(response, request.answer_limit)
                return Response(
                    response.status_code, body, response.headers, "next" in response.links
                )
        except requests.exceptions.InvalidURL as error:
            failed = explain_connecting(error, self._seconds, is_proxy=bool(proxies))
        except (HTTPError, OSError, ValueError) as error:  # exceptions of requests are OSErrors
            failed = explain(error, self._seconds)
        # outside the `except` clauses, so that no exception that holds the request is chained to it
        raise failed

    def _proxies_for(self, url: str, scheme: str, host: str) -> dict[str, str]:
        """Return the proxy for a server, by scheme; none for loopback and NO_PROXY.

        Raises ServiceError for a SOCKS or https proxy.
        """
        proxy = self._environ.get(f"{scheme}_proxy") or self._environ.get("all_proxy")
        if not proxy or is_loopback(host):
            return {}
        with _ENVIRON:
            if should_bypass_proxies(url, self._environ.get("no_proxy", "")):
                return {}
        if proxy.lower().startswith(("socks", "https:")):
            raise explain_connecting(ValueError(), 0, is_proxy=True)
        return {scheme: proxy}


def _read(response: requests.Response, limit: int) -> bytes:
    """Read a body, decompressed. Raises AnswerLost if it has more than `limit` bytes."""
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) > limit:
            raise AnswerLost(
                f"the answer is larger than {limit} bytes",
                "check the address: this looks like a page or a download",
                "too-large",
            )
    return bytes(body)


class Caller(Record):
    """What all calls of a run share."""

    transport: Transport
    context: Context
    before_change: Callable[[], None] = lambda: None  # raises LockLost: then nothing is changed
    busy: set[str] = field(default_factory=set)  # the peers that were reported as busy

    def __post_init__(self) -> None:
        """Teach the redactor what errors of calls may quote."""
        environ = self.context.environ
        known = [environ.get(KEY_VARIABLE, "")]
        for name, url in process_environ(environ).items():
            if name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
                credentials = url.rpartition("@")[0].rpartition("://")[2]
                known += (credentials, *credentials.split(":", 1))
        self.redactor.learn(known)

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
            result = error.summary
            raise
        finally:
            seconds = self.context.clock.monotonic() - start
            self.context.terminal.watch(f"{peer}: {shown} -> {result} ({seconds:.3f} s)")
        return replace(response, seconds=seconds)

    def repeat(self, request: Request, peer: str) -> Response:
        """Make a call, and repeat it if it failed, as far as its purpose and the policy allow.

        A 429 means that nothing was done, so any call is repeated after it. Raises ServiceError.
        """
        backoff = Backoff(_WINDOW, self.context.clock, self.context.stop)
        may_repeat = request.purpose != "creation"
        for repeats_left in range(_REPEATS, -1, -1):
            if request.purpose != "read":
                self.before_change()
            try:
                response = self.send(request, peer, str(request))
            except AnswerLost as error:
                may_help = may_repeat and error.kind != "too-large"
                if not (may_help and repeats_left and backoff.wait()):
                    raise
                continue
            is_busy = response.status == TOO_MANY
            may_help = is_busy or (may_repeat and response.status >= SERVER_ERROR)
            if not (may_help and repeats_left):
                break
            if is_busy and peer not in self.busy:
                self.busy.add(peer)
                most = f"hooksync waits as long as it asks, at most {MOST_ASKED:g} s for each call"
                self.context.terminal.message(f"{peer} is busy (429): {most}")
            if not backoff.wait(read_retry_after(response.headers.get("Retry-After"))):
                break
        return response

    def quote(self, request: Request, response: Response) -> str:
        """Quote an answer that cannot be used."""
        quoted = self.redactor.quote(response.text) or "(an empty answer)"
        return f"{request} -> {response.status}: {quoted}"


def read_retry_after(header: str | None) -> float:
    """Return the seconds until a Retry-After header, seconds or an HTTP date; 0 if it has none."""
    try:
        return float(Retry().parse_retry_after(header or ""))
    except Exception:  # odd dates raise exceptions of many kinds
        return 0.0
