"""The connections of a run: a pool for all threads, one TLS context, and bounds on the time and size of one call.

requests and urllib3 bound each read, not a call: a byte every few seconds, or headers without an end, would keep a run
busy for ever. The bounds are here because only a socket sees every read. No call is repeated or understood here.
"""

from __future__ import annotations

import math
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Literal

import certifi
import requests.adapters
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions
import urllib3.util.connection

from hooksync.core.clock import within
from hooksync.core.errors import Problem, os_reason
from hooksync.service.responses import AddressRefused, Flood, SlowLookUp, Unreachable

_SERVERS = 1024  # whose connections are kept; dropping a pool would fail the calls that have just taken it
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # as requests itself reads them
_HEAD = 1024 * 1024  # bytes that the head of an answer may add to its body
_REFUSED_FIXES = {
    "link-local": "use another host: at such addresses, clouds give keys to their own machines",
    "private": "if that is intended, write `allow_private_receivers: true` into the policy",
}

# where clouds give their machines keys and settings, besides the link-local addresses
_METADATA = tuple(
    map(
        ip_network,
        (
            "100.100.100.200",  # Alibaba
            "168.63.129.16",  # Azure
            "192.0.0.192",  # Oracle
            "fd00:100::100:200",  # Alibaba
            "fd00:42::42",  # Scaleway
            "fd00:a9fe:a9fe::1",  # Akamai
            "fd00:c1::a9fe:a9fe",  # Oracle
            "fd00:ec2::/32",  # Amazon, with the agent for the identity of pods
            "fd20:ce::254",  # Google
        ),
    )
)
_HOLDING_IPV4 = (IPv6Network("::/96"), IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))  # in the last 32 bits
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")  # RFC 8215

LookUp = Callable[..., Sequence[tuple[Any, ...]]]  # takes and returns what socket.getaddrinfo does
Reach = Literal["public", "private", "link-local"]  # of an address; private: loopback and all else that is not routed


def reach_of(text: str) -> Reach:
    """Judge an address as a socket has it; one that holds another, for a translator on the way, by that."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        if address in _LOCAL_NAT64:
            is_metadata = any(map(_is_metadata, _translated(address)))
            return "link-local" if is_metadata else "private"
        if any(address in each for each in _HOLDING_IPV4):
            address = IPv4Address(address.packed[12:])  # of :: and ::1, one of 0.0.0.0/8: private
        else:
            address = address.sixtofour or address
    if _is_metadata(address):
        return "link-local"
    is_site = isinstance(address, IPv6Address) and address.is_site_local
    return "public" if address.is_global and not address.is_multicast and not is_site else "private"


def _is_metadata(address: IPv4Address | IPv6Address) -> bool:
    return address.is_link_local or any(address in each for each in _METADATA)


def _translated(address: IPv6Address) -> list[IPv4Address]:
    """Read the IPv4 address in each way of RFC 6052 that fits: prefixes of 48, 56, 64 and 96 bits."""
    octets = address.packed
    ways = (octets[6:8] + octets[9:11], octets[7:8] + octets[9:12], octets[9:13], octets[12:16])
    return [IPv4Address(each) for each in ways]


class Call(threading.local):
    """The call that this thread is making."""

    deadline = math.inf  # on the monotonic clock
    bytes_left = math.inf
    is_connected = False  # True once anything of the request may have reached the server
    may_be_private = True  # whether it may go to a private address
    reach: Reach = "public"  # of the address that it goes to, as far as that is known: behind a proxy it is not
    look_up: LookUp = staticmethod(socket.getaddrinfo)

    def seconds_left(self) -> float:
        """Return what is left. Raises TimeoutError when nothing is."""
        left = min(self.deadline - time.monotonic(), threading.TIMEOUT_MAX)
        if left <= 0:
            raise TimeoutError
        return left

    def judge(self, address: str) -> None:
        """Note the address that the call goes to. Raises AddressRefused where it may not."""
        self.reach = reach_of(address)
        if self.reach == "link-local" or (self.reach == "private" and not self.may_be_private):
            raise AddressRefused(self.reach, _REFUSED_FIXES[self.reach])

    def count(self, size: int) -> None:
        """Count bytes that came in. Raises Flood for more than any answer of the wanted size can need."""
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise Flood


_CALL = Call()


@contextmanager
def bounded_call(seconds: float, answer_limit: int, look_up: LookUp = socket.getaddrinfo) -> Iterator[Call]:
    """Bound what this thread reads and how long it takes. `answer_limit`: bytes; chunks may double a body."""
    _CALL.look_up = look_up
    _CALL.deadline = time.monotonic() + seconds
    _CALL.bytes_left = 2 * answer_limit + _HEAD
    try:
        yield _CALL
    finally:
        vars(_CALL).clear()  # as at first


class _Bounded(socket.socket):
    """A socket that keeps to the bounds of the call it is used for."""

    def recv_into(self, *arguments: Any) -> int:
        self.settimeout(_CALL.seconds_left())
        size = super().recv_into(*arguments)
        _CALL.count(size)
        return size

    def recv(self, *arguments: Any) -> bytes:
        self.settimeout(_CALL.seconds_left())
        data = super().recv(*arguments)
        _CALL.count(len(data))
        return data

    def sendall(self, *arguments: Any) -> None:
        self.settimeout(_CALL.seconds_left())
        super().sendall(*arguments)


class _TlsSocket(_Bounded, ssl.SSLSocket):
    pass


class _HttpConnection(urllib3.connection.HTTPConnection):
    """A connection on such a socket, which tells the call once it is open."""

    address = ""  # of the server; "" behind a proxy, which alone knows it

    def _new_conn(self) -> socket.socket:
        """Connect to the first of the server's addresses that takes the connection."""
        try:
            addresses = self._addresses()
        except socket.gaierror as error:
            raise urllib3.exceptions.NameResolutionError(self.host, self, error) from error
        except OSError as error:
            raise urllib3.exceptions.NewConnectionError(self, "no address") from error
        failure = OSError("no address")
        for family, kind, protocol, _, address in addresses:
            try:
                return self._connected(_Bounded(family, kind, protocol), address)
            except OSError as error:
                failure = error
        raise urllib3.exceptions.NewConnectionError(self, "no address takes a connection") from failure

    def _connected(self, bounded: _Bounded, address: Any) -> socket.socket:
        try:
            for option in self.socket_options or ():
                bounded.setsockopt(*option)
            bounded.settimeout(self._seconds())
            if self.proxy is None:
                _CALL.judge(address[0])  # the very one that is connected to: its name is not looked up again
                self.address = address[0]
            bounded.connect(address)
        except BaseException:
            bounded.close()
            raise
        return bounded

    def _addresses(self) -> Sequence[tuple[Any, ...]]:
        """Resolve the server's name. Raises SlowLookUp when that takes too long."""
        host, look_up, family = self._dns_host.strip("[]"), _CALL.look_up, urllib3.util.connection.allowed_gai_family()
        seconds = self._seconds()
        try:
            return within(seconds, lambda: look_up(host, self.port, family, socket.SOCK_STREAM))
        except UnicodeError:
            raise urllib3.exceptions.LocationParseError(host) from None
        except TimeoutError:
            raise SlowLookUp from None

    def _seconds(self) -> float:
        """Return how long a step of connecting may take."""
        left = _CALL.seconds_left()
        return min(left, self.timeout) if isinstance(self.timeout, int | float) else left

    def connect(self) -> None:
        super().connect()
        _CALL.is_connected = True

    def request(self, *arguments: Any, **settings: Any) -> None:
        if self.sock is not None and self.address:  # it was opened for another call
            _CALL.judge(self.address)
        _CALL.is_connected = self.sock is not None  # False: it connects on the way
        super().request(*arguments, **settings)


class _HttpsConnection(_HttpConnection, urllib3.connection.HTTPSConnection):
    pass


class _HttpPool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


_POOLS = {"http": _HttpPool, "https": _HttpsPool}


class Connections(requests.adapters.HTTPAdapter):
    """At most `each` connections to a server. All https shares one TLS context, because loading roots is slow."""

    def __init__(self, each: int, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._made: ssl.SSLContext | None = None
        self._mutex = threading.Lock()
        super().__init__(pool_connections=_SERVERS, pool_maxsize=each, pool_block=True)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def tls(self) -> ssl.SSLContext:
        """Return the one context of all connections, made when it is first needed. Raises Unreachable."""
        with self._mutex:
            self._made = self._made or make_tls(self._environ)
            return self._made

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Give every https pool the shared context."""
        host, tls = super().build_connection_pool_key_attributes(request, True, cert)
        if host["scheme"] == "https":
            return host, {"ssl_context": self.tls(), "cert_reqs": "CERT_REQUIRED"}
        return host, tls

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the pool's context already holds the roots and requires a certificate."""

    def proxy_manager_for(self, proxy: str, **settings: Any) -> Any:
        """Make the pools behind a proxy, once; the certificate of an https proxy is verified like a server's."""
        if proxy.lower().startswith("https:"):
            settings["proxy_ssl_context"] = self.tls()
        with self._mutex:
            manager = super().proxy_manager_for(proxy, **settings)
            if not proxy.lower().startswith("socks"):  # these have pools of their own, which look names up unbounded
                manager.pool_classes_by_scheme = _POOLS
        return manager


def make_tls(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Make a context with the system's roots, certifi's, and those of REQUESTS_CA_BUNDLE. Raises Unreachable."""
    context = ssl.create_default_context()
    context.sslsocket_class = _TlsSocket
    context.hostname_checks_common_name = False  # names stand in subjectAltName alone (RFC 9525), as for urllib3
    context.load_verify_locations(certifi.where())
    for name in _CA_VARIABLES:
        if not (place := environ.get(name)):
            continue
        try:
            context.load_verify_locations(**{"capath" if os.path.isdir(place) else "cafile": place})
        except (OSError, ValueError) as error:
            is_missing = isinstance(error, OSError) and not isinstance(error, ssl.SSLError)
            reason = os_reason(error) if is_missing else "it holds no certificate in PEM format"
            what = f"the certificate bundle {place} of {name} cannot be used: {reason}"
            fix = f"point {name} at a PEM file, or at a folder prepared with `openssl rehash`, or unset it"
            raise Unreachable(Problem(what, fix), kind="tls") from None
    return context
