"""One HTTP call, with its time-outs and bounds, and what went wrong with it in our own words.

Only this room imports requests; its exceptions, whose texts hold whole URLs, stop here. No retry and no meaning.
"""

from __future__ import annotations

import errno
import os
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import certifi
import requests
import requests.adapters
import requests.cookies
import requests.utils
import urllib3.exceptions

from hooksync import __version__
from hooksync.errors import AnswerLost, Problem, ServiceError
from hooksync.urls import is_loopback

USER_AGENT = f"hooksync/{__version__}"
_CHUNK = 65536  # bytes
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # as requests itself reads them


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a call may take, in seconds."""

    connect: float = 10.0
    call: float = 30.0  # from the connection to the last byte of the answer


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. Its repr shows neither headers nor body: both may hold secrets."""

    method: str
    base_url: str
    path: str  # percent-encoded
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    answer_limit: int = 1024 * 1024  # bytes of the answer's body

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, read whole."""

    status: int
    body: bytes = field(repr=False)
    retry_after: str | None = None  # the header as sent

    @property
    def text(self) -> str:
        """The body for a human eye; foreign text, to be redacted before it is shown."""
        return self.body.decode("utf-8", "replace")


class Transport:
    """Keeps the connections of a run: one pool for all threads, at most `connections` to a host."""

    def __init__(self, timeouts: Timeouts, connections: int, environ: Mapping[str, str]) -> None:
        self._timeouts = timeouts
        self._environ = environ
        self._proxies: dict[str, Mapping[str, str]] = {}
        self._session = requests.Session()
        self._session.trust_env = False  # settled once, below, not again for every call
        self._session.cookies = requests.cookies.RequestsCookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.clear()
        self._session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
        adapter = _SharedTlsAdapter(self, pool_maxsize=connections, pool_block=True)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, adapter)

    def close(self) -> None:
        """Close every connection."""
        self._session.close()

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """One context for all connections: the system's roots, certifi's, and those of REQUESTS_CA_BUNDLE."""
        context = ssl.create_default_context()
        for place in (certifi.where(), *filter(None, map(self._environ.get, _CA_VARIABLES))):
            try:
                context.load_verify_locations(**{"capath" if os.path.isdir(place) else "cafile": place})
            except OSError as error:
                problem = Problem(
                    f"the certificate bundle {place} cannot be used: {error.strerror or 'it holds no certificate'}",
                    "point REQUESTS_CA_BUNDLE at a PEM file or a folder of them, or unset it",
                )
                raise ServiceError(problem) from error
        return context

    def send(self, request: Request) -> Answer:
        """Make one call. Redirects are not followed: they would carry token and secret elsewhere.

        Raises AnswerLost when the call may have been carried out, Unreachable when it never was.
        """
        deadline = time.monotonic() + self._timeouts.call
        try:
            response = self._session.request(
                request.method,
                request.base_url + request.path,
                headers=dict(request.headers),
                data=request.body,
                timeout=(min(self._timeouts.connect, self._timeouts.call), self._timeouts.call),
                allow_redirects=False,
                stream=True,
                proxies=dict(self._proxies_for(request.base_url)),
            )
            with response:
                body = b"".join(self._read(response, request, deadline))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._in_our_words(request, error) from None  # the chained text would hold URLs with keys
        return Answer(response.status_code, body, response.headers.get("Retry-After"))

    def _read(self, response: requests.Response, request: Request, deadline: float) -> Iterator[bytes]:
        size = 0
        for chunk in response.iter_content(_CHUNK):
            size += len(chunk)
            if size > request.answer_limit:
                raise ServiceError(
                    Problem(
                        f"{request} -> {response.status_code}: the answer is larger than {request.answer_limit} bytes",
                        "check that the server is a Preservica server, not a portal or a proxy in front of it",
                    )
                )
            if time.monotonic() > deadline:
                raise requests.ReadTimeout
            yield chunk

    def _proxies_for(self, base_url: str) -> Mapping[str, str]:
        if base_url not in self._proxies:
            host = urlsplit(base_url).hostname or ""
            found = {} if is_loopback(host) else requests.utils.get_environ_proxies(base_url)
            self._proxies[base_url] = found
        return self._proxies[base_url]

    def _in_our_words(self, request: Request, error: Exception) -> ServiceError:
        kind, what, fix = _explain(error, self._timeouts)
        return kind(Problem(f"{request}: {what}", fix))


class Unreachable(ServiceError):
    """The call was never sent: no name, no connection, no trust."""


class _SharedTlsAdapter(requests.adapters.HTTPAdapter):
    """Gives every https connection the same TLS context; requests would load the roots again for each."""

    def __init__(self, transport: Transport, **settings: Any) -> None:
        self._transport = transport
        super().__init__(**settings)

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        host, tls = super().build_connection_pool_key_attributes(request, True, cert)
        if host["scheme"] == "https":
            return host, {"ssl_context": self._transport.tls, "cert_reqs": "CERT_REQUIRED"}
        return host, tls

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave the pool alone: its context already holds the roots and demands a certificate."""


def _explain(error: Exception, timeouts: Timeouts) -> tuple[type[ServiceError], str, str]:
    """Say what an exception means: the kind of failure, what happened, how to mend it."""
    causes = tuple(_causes(error))
    network = "check the network, the proxy settings and the server's name"
    for cause in causes:
        match cause:
            case ssl.SSLCertVerificationError():
                what = f"the server's certificate is not trusted: {cause.verify_message}"
                return Unreachable, what, "if the server has a private root, point REQUESTS_CA_BUNDLE at it"
            case urllib3.exceptions.NameResolutionError():
                return Unreachable, "the server's name does not resolve", network
            case ConnectionRefusedError():
                return Unreachable, "the server refuses connections", network
            case OSError(errno=errno.ENETUNREACH | errno.EHOSTUNREACH):
                return Unreachable, "the server cannot be reached from this network", network
    if isinstance(error, requests.exceptions.ProxyError):
        return Unreachable, "the proxy cannot be used", "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return AnswerLost, f"no connection within {timeouts.connect:g} s", network
    if isinstance(error, requests.exceptions.Timeout) or any(isinstance(cause, TimeoutError) for cause in causes):
        return AnswerLost, f"no whole answer within {timeouts.call:g} s", "try again, or give more --timeout"
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return Unreachable, "no TLS connection could be made", "check that the server speaks https on this port"
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader):
        return Unreachable, "the server's address cannot be used", "check `server` in the file"
    return AnswerLost, "the connection was cut before the answer was whole", network


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Walk an exception, what it wraps, and what it was raised from."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__cause__, current.__context__, getattr(current, "reason", None)]
        waiting += [argument for argument in current.args if isinstance(argument, BaseException)]
