"""The connections of a run, as requests keeps them: one pool for all threads, and one TLS context.

A connection goes only to addresses that its call may go to. requests bounds each read, not a
response: a byte every few seconds would keep a run busy for ever. `_Response` bounds the whole
response. Nothing here repeats a call.
"""

from __future__ import annotations

import io
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException, HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, ClassVar, Literal

import requests
import requests.adapters
import requests.utils
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions
from urllib3.util.connection import create_connection

from hooksync import __version__
from hooksync.core.errors import os_reason
from hooksync.service.responses import NotConnected, explain_connecting

# whose connections are kept; dropping a pool would fail the calls that have just taken it
_SERVERS = 1024
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # as requests itself reads them
_HEADERS = {"User-Agent": f"hooksync/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
_REFUSED_FIXES = {
    "link-local": "use another host: at such addresses, clouds give keys to their own machines",
    "private": "if that is intended, write `allow_private_receivers: true` into the policy",
}

# where clouds give their machines keys and settings, besides the link-local addresses
_METADATA = [
    ip_network("100.100.100.200"),  # Alibaba
    ip_network("168.63.129.16"),  # Azure
    ip_network("192.0.0.192"),  # Oracle
    ip_network("fd00:100::100:200"),  # Alibaba
    ip_network("fd00:42::42"),  # Scaleway
    ip_network("fd00:a9fe:a9fe::1"),  # Akamai
    ip_network("fd00:c1::a9fe:a9fe"),  # Oracle
    ip_network("fd00:ec2::/32"),  # Amazon, with the agent for the identity of pods
    ip_network("fd20:ce::254"),  # Google
]
# in the last 32 bits
_HOLDING_IPV4 = (
    IPv6Network("::/96"),
    IPv6Network("::ffff:0:0/96"),
    IPv6Network("64:ff9b::/96"),
)
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")  # RFC 8215

LookUp = Callable[..., Sequence[tuple[Any, ...]]]  # takes and returns what socket.getaddrinfo does
# of an address; private: loopback and all else that is not routed
Reach = Literal["public", "private", "link-local"]


def reach_of(text: str) -> Reach:
    """Judge an address as a socket has it; an embedded IPv4 address counts."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        if address in _LOCAL_NAT64:
            is_metadata = any(map(_is_metadata, _translated(address)))
            return "link-local" if is_metadata else "private"
        if address.is_site_local:
            return "private"
        if any(address in each for each in _HOLDING_IPV4):
            address = IPv4Address(address.packed[12:])  # of :: and ::1, one of 0.0.0.0/8: private
        else:
            address = address.sixtofour or address
    if _is_metadata(address):
        return "link-local"
    return "public" if address.is_global and not address.is_multicast else "private"


def _is_metadata(address: IPv4Address | IPv6Address) -> bool:
    return address.is_link_local or any(address in each for each in _METADATA)


def _translated(address: IPv6Address) -> list[IPv4Address]:
    """Read the IPv4 address by RFC 6052, for prefixes of 48, 56, 64 and 96 bits."""
    octets = address.packed
    ways = (octets[6:8] + octets[9:11], octets[7:8] + octets[9:12], octets[9:13], octets[12:16])
    return [IPv4Address(each) for each in ways]


def judge(address: str, *, may_be_private: bool) -> Reach:
    """Return the reach of an address. Raises NotConnected if a call may not go there."""
    reach = reach_of(address)
    if reach == "link-local" or (reach == "private" and not may_be_private):
        what = f"the address is {reach}: no call is made to it"
        raise NotConnected("no-route", what, _REFUSED_FIXES[reach])
    return reach


class _TimedReader(io.RawIOBase):
    """Reads from a socket; the time that the socket allows for one read limits all reads."""

    def __init__(self, connection: socket.socket, raw: io.RawIOBase) -> None:
        self._connection = connection
        self._raw = raw
        self._end = time.monotonic() + (connection.gettimeout() or 0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    """A response that is complete before the timeout of its connection, however slowly it comes."""

    def __init__(self, sock: socket.socket, *arguments: Any, **settings: Any) -> None:
        super().__init__(sock, *arguments, **settings)
        self.fp = io.BufferedReader(_TimedReader(sock, self.fp.detach()))


class _HttpConnection(urllib3.connection.HTTPConnection):
    """A connection to an address that its calls may go to."""

    response_class = _Response
    look_up: ClassVar[LookUp]
    may_be_private: ClassVar[bool]  # whether its calls may go to a private address
    reach: Reach = "public"  # of its address; unknown behind a proxy

    def connect(self) -> None:
        """Connect. Raises NotConnected, so that nobody has to guess whether a call was sent."""
        try:
            super().connect()
            return
        except (OSError, UnicodeError, HTTPException, urllib3.exceptions.HTTPError) as error:
            is_proxy = self.proxy is not None and not self.has_connected_to_proxy
            failure = explain_connecting(error, self.timeout or 0, is_proxy=is_proxy)
        raise failure

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that accepts the connection."""
        host = self._dns_host.strip("[]")
        failure: Exception = OSError("no address")
        for entry in self.look_up(host, self.port, socket.AF_UNSPEC, socket.SOCK_STREAM):
            address = entry[4][:2]
            try:
                if self.proxy is None:
                    self.reach = judge(address[0], may_be_private=self.may_be_private)
                return create_connection(address, self.timeout, None, self.socket_options)
            except (OSError, NotConnected) as error:
                failure = error
        raise failure


def _pool_classes(resolve: LookUp, *, is_open: bool) -> dict[str, type]:
    """Make the classes of pools whose connections resolve names so.

    `is_open`: they may go to private addresses.
    """

    class HttpConnection(_HttpConnection):
        look_up = staticmethod(resolve)
        may_be_private = is_open

    class HttpsConnection(HttpConnection, urllib3.connection.HTTPSConnection):
        pass

    class HttpPool(urllib3.connectionpool.HTTPConnectionPool):
        ConnectionCls = HttpConnection

    class HttpsPool(urllib3.connectionpool.HTTPSConnectionPool):
        ConnectionCls = HttpsConnection

    return {"http": HttpPool, "https": HttpsPool}


class Roots:
    """The certificates that are trusted, read when they are first needed: to load them is slow.

    Thread-safe.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._context: ssl.SSLContext | None = None
        self._mutex = threading.Lock()

    def tls(self) -> ssl.SSLContext:
        """Return the one TLS context of a run. Raises NotConnected."""
        with self._mutex:
            if self._context is None:
                self._context = make_tls(self._environ)
            return self._context


class Adapter(requests.adapters.HTTPAdapter):
    """Keeps at most `size` connections to a server. All https connections share one TLS context."""

    def __init__(self, size: int, roots: Roots, look_up: LookUp, *, may_be_private: bool) -> None:
        self._roots = roots
        self._pools = _pool_classes(look_up, is_open=may_be_private)
        self._mutex = threading.Lock()
        super().__init__(pool_connections=_SERVERS, pool_maxsize=size, pool_block=True)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Give every https pool the shared context, as requests advises."""
        host, tls = super().build_connection_pool_key_attributes(request, True, cert)
        if host["scheme"] == "https":
            tls["ssl_context"] = self._roots.tls()
        return host, tls

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the context has the roots; here, each connection would load them."""

    def proxy_manager_for(self, proxy: str, **settings: Any) -> Any:
        """Make the pools behind a proxy.

        The certificate of an https proxy is verified like a server's.
        """
        if proxy.lower().startswith("https:"):
            settings["proxy_ssl_context"] = self._roots.tls()
        with self._mutex:
            manager = super().proxy_manager_for(proxy, **settings)
            if not proxy.lower().startswith("socks"):  # these have connections of their own
                manager.pool_classes_by_scheme = self._pools
            return manager


class Session(requests.Session):
    """A session without environment, netrc, cookies and redirects."""

    def __init__(self, adapter: Adapter) -> None:
        super().__init__()
        self.trust_env = False
        self.headers.clear()
        self.headers.update(_HEADERS)
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return nothing.

        Even without `allow_redirects`, requests would read the whole response to prepare for it.
        """


def make_tls(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Make a context with the system's roots, those of requests, and a bundle's.

    Raises NotConnected.
    """
    context = ssl.create_default_context()
    # names stand in subjectAltName alone (RFC 9525), as for urllib3
    context.hostname_checks_common_name = False
    context.load_verify_locations(requests.utils.DEFAULT_CA_BUNDLE_PATH)
    for name in _CA_VARIABLES:
        place = environ.get(name)
        if place:
            _load_bundle(context, name, place)
    return context


def _load_bundle(context: ssl.SSLContext, name: str, place: str) -> None:
    try:
        if os.path.isdir(place):
            context.load_verify_locations(capath=place)
        else:
            context.load_verify_locations(cafile=place)
        return
    except (ssl.SSLError, ValueError):
        reason = "it holds no certificate in PEM format"
    except OSError as error:
        reason = os_reason(error)
    what = f"the certificate bundle {place} of {name} cannot be used: {reason}"
    fix = f"point {name} at a PEM file, or at a folder prepared with `openssl rehash`, or unset it"
    raise NotConnected("tls", what, fix)
