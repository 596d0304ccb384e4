"""What went wrong with a call, in our own words: the texts of requests and urllib3 hold whole URLs, keys included.

Reads exceptions; makes no call. Unreachable: nothing was sent. AnswerLost: the call may have been carried out.
"""

from __future__ import annotations

import errno
import re
import ssl
from collections.abc import Iterator

import requests.exceptions
import urllib3.exceptions

from hooksync.core.errors import FailureKind, ServiceError

_NETWORK = "check the network, the proxy settings and the server's name"
_RESOLVER = "check this machine's DNS"
PROXY_FIX = "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
_GATEWAYS = "check the proxies and gateways in front of the server"
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (\d{3})\b")  # as http.client words it
_WRONG_NAME = frozenset({62, 64})  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_WRONG_TIME = frozenset({9, 10})  # OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED

Explanation = tuple[FailureKind, str, str]  # the kind of failure, what happened, how to fix it


class Unreachable(ServiceError):
    """The call was never sent: no name, no connection, no trust."""


class Flood(OSError):
    """More came in than may be read."""

    def __init__(self) -> None:
        super().__init__(errno.EFBIG, "more came in than may be read")  # readers of sockets look at the number


class AddressRefused(OSError):
    """An address is one that a call may not go to: its `args` say what kind of address that is, and how to fix it."""


class SlowLookUp(OSError):
    """A name was not resolved in time."""


class Interim(OSError):
    """An answer that announces another one (1xx). Only after 100 does Python's http.client wait for the real one."""


def explain(error: Exception, limits: tuple[float, float, int], *, is_connected: bool) -> Explanation:
    """Return what an exception means.

    `limits`: seconds of a connection and of the whole call, bytes of the answer; `is_connected`: the request may have
    reached the server.
    """
    causes, (connect, call, answer_limit) = tuple(_causes(error)), limits
    if is_connected:
        return _after_sending(causes, call, answer_limit)
    return _proxy_trouble(causes, connect) or _before_sending(causes, connect)


def _after_sending(causes: tuple[BaseException, ...], call: float, answer_limit: int) -> Explanation:
    for cause in causes:
        match cause:
            case Flood():
                what = f"the answer is larger than {answer_limit} bytes"
                return "too-large", what, "check the address: this looks like a page or a download"
            case Interim():
                what = "only an interim answer (1xx) came, and hooksync does not wait for the one after it"
                return "cut", what, _GATEWAYS
            case TimeoutError() | urllib3.exceptions.ReadTimeoutError():
                return "time-out", f"no complete answer within {call:g} s", "try again, or give a longer --timeout"
            case ssl.SSLError():
                return "cut", f"the TLS connection broke{_reason(cause)}", _NETWORK
            case urllib3.exceptions.DecodeError():
                return "cut", "the answer's compression is broken", _GATEWAYS
            case urllib3.exceptions.InvalidHeader():
                return "cut", "the answer's headers are invalid", "check that the server speaks http on this port"
    return "cut", "the connection was cut before the answer was complete", _NETWORK


def _before_sending(causes: tuple[BaseException, ...], connect: float) -> Explanation:
    for cause in causes:
        match cause:
            case ssl.SSLCertVerificationError():
                what = f"the certificate is not trusted: {cause.verify_message}"
                return "tls", what, _fix_for_certificate(cause.verify_code)
            case AddressRefused(args=(kind, fix)):
                return "no-route", f"the address is {kind}: no call is made to it", fix
            case SlowLookUp():
                return "no-name", f"the server's name was not resolved within {connect:g} s", _RESOLVER
            case urllib3.exceptions.NameResolutionError():
                return "no-name", "the server's name does not resolve", _NETWORK
            case ConnectionRefusedError():
                return (
                    "refused",
                    "the server refuses connections",
                    "check that it runs, the port, and the proxies",
                )
            case OSError(errno=errno.ENETUNREACH | errno.EHOSTUNREACH):
                return "no-route", "the server cannot be reached from this network", _NETWORK
            case TimeoutError():
                return "no-connection", f"no connection within {connect:g} s", _NETWORK
            case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
                return "cut", "no TLS connection could be made: it was cut", _NETWORK
            case ssl.SSLError():
                what = f"no TLS connection could be made{_reason(cause)}"
                return "tls", what, "check that the server speaks https on this port"
            case urllib3.exceptions.LocationValueError() | requests.exceptions.InvalidURL():
                return "no-name", "the server's address cannot be used", "check the address in the file"
    system = next((c for c in causes if isinstance(c, OSError) and c.errno and c.strerror), None)
    if system is not None and not isinstance(system, ConnectionError):
        return "cut", f"no connection could be made: {system.strerror}", _NETWORK
    if isinstance(causes[0], ValueError):
        return "bug", f"the call could not be made ({type(causes[0]).__name__})", "report this as a bug"
    return "cut", "the connection was cut before the answer was complete", _NETWORK


def _proxy_trouble(causes: tuple[BaseException, ...], connect: float) -> Explanation | None:
    """Return what an exception means if the proxy failed, not the server."""
    for cause in causes:
        if isinstance(cause, requests.exceptions.InvalidSchema):
            what = "the proxy cannot be used: SOCKS needs PySocks, which is not installed"
            return "proxy", what, "pip install 'requests[socks]', or name an http proxy"
        if isinstance(cause, OSError) and (refused := _TUNNEL_REFUSED.match(str(cause))):
            what = f"the proxy cannot be used: it answers {refused[1]}"
            wants_password = refused[1] == "407"
            return "proxy", what, f"{PROXY_FIX}; it wants a name and a password" if wants_password else PROXY_FIX
    if not any(isinstance(c, urllib3.exceptions.ProxyError | requests.exceptions.ProxyError) for c in causes):
        return None
    for cause in causes:
        match cause:
            case ssl.SSLCertVerificationError():
                what = f"the proxy cannot be used: its certificate is not trusted: {cause.verify_message}"
                return "proxy", what, _fix_for_certificate(cause.verify_code)
            case SlowLookUp():
                what = f"the proxy cannot be used: its name was not resolved within {connect:g} s"
                return "proxy", what, f"{PROXY_FIX}, and {_RESOLVER}"
            case urllib3.exceptions.NameResolutionError():
                return "proxy", "the proxy cannot be used: its name does not resolve", PROXY_FIX
            case ConnectionRefusedError():
                return "proxy", "the proxy cannot be used: it refuses connections", PROXY_FIX
    return "proxy", "the proxy cannot be used", PROXY_FIX


def _fix_for_certificate(code: int) -> str:
    if code in _WRONG_NAME:
        return "write the server's name as it is in its certificate"
    if code in _WRONG_TIME:
        return "check this machine's clock; if it is right, the server needs a new certificate"
    return "if a private authority signed it, set REQUESTS_CA_BUNDLE to that authority's certificate"


def _reason(error: ssl.SSLError) -> str:
    """Return OpenSSL's name of what happened, if it has one: ` (WRONG_VERSION_NUMBER)`."""
    reason = getattr(error, "reason", None)  # only OpenSSL's own errors have one
    return f" ({reason})" if reason else ""


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
        waiting += [current.__cause__, current.__context__]
        wrapped = (getattr(current, "reason", None), *current.args)
        waiting += [each for each in wrapped if isinstance(each, BaseException)]
