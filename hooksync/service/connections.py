"""The connections of a run, and the adapter of `requests` that keeps them.

All threads share them, and one TLS context. Without a proxy, nothing is sent to an address that a
call may not go to. `requests` limits the time of each read, so a response that comes byte by byte
could take for ever. `_Response` limits the time of the whole response. No call is repeated.
"""

from __future__ import annotations

import io
import os
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any, ClassVar

import requests
import requests.adapters
import requests.utils
import urllib3.connection
import urllib3.connectionpool
from urllib3.exceptions import HTTPError

from hooksync.core.errors import ServiceError, os_reason
from hooksync.core.urls import literal_address
from hooksync.service.responses import explain_connecting, failed_call

# pools to keep, one for each server; to drop a pool would fail the calls that have just taken it
_SERVERS = 1024
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # `requests` uses these, too
_REFUSED_FIXES = {
    "link-local": "use a different host: at such addresses, clouds give keys to their own machines",
    "unique local": "write the address into the URL: a name may lead to a service of a cloud",
    "private": "if that is intended, write `allow_private_receivers: true` into the policy",
}

# where clouds give their machines keys and settings, besides the link-local addresses
_METADATA = (
    "100.100.100.200",  # Alibaba
    "168.63.129.16",  # Azure
    "192.0.0.192",  # Oracle
    "fd00:ec2::254",  # Amazon
    "fd20:ce::254",  # Google
)
_UNIQUE_LOCAL = IPv6Network("fc00::/7")


def check_address(text: str, *, may_be_private: bool, is_written: bool) -> None:
    """Raise ServiceError if no call may go to an address.

    Private: not global, or multicast. Link-local addresses and those of `_METADATA` are always
    refused. Clouds choose more such addresses in fc00::/7, so these are refused, too, unless the
    URL contains the address itself (`is_written`).
    """
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if address.is_link_local or str(address) in _METADATA:
        scope = "link-local"
    elif address in _UNIQUE_LOCAL and not is_written:
        scope = "unique local"
    elif may_be_private or (address.is_global and not address.is_multicast):
        return
    else:
        scope = "private"
    what = f"the address is {scope}: no call is made to it"
    raise failed_call("not-sent", what, _REFUSED_FIXES[scope])


class _TimedReader(io.RawIOBase):
    """Reads from a socket. All reads together must end within the timeout of the socket."""

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
    """A response that must be complete within the timeout of its connection."""

    def __init__(self, sock: socket.socket, *arguments: Any, **settings: Any) -> None:
        super().__init__(sock, *arguments, **settings)
        self.fp = io.BufferedReader(_TimedReader(sock, self.fp.detach()))


class _HttpConnection(urllib3.connection.HTTPConnection):
    """A connection to an address that its calls may go to."""

    response_class = _Response
    may_be_private: ClassVar[bool]  # whether its calls may go to a private address

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
                check_address(
                    connected.getpeername()[0],
                    may_be_private=self.may_be_private,
                    is_written=literal_address(f"[{self.host}]") is not None,
                )
            except ServiceError:
                connected.close()
                raise
        return connected


def _pool_classes(*, is_open: bool) -> dict[str, type]:
    """Make a class of pools for each scheme. `is_open`: private addresses are allowed."""

    class HttpConnection(_HttpConnection):
        may_be_private = is_open

    class HttpsConnection(HttpConnection, urllib3.connection.HTTPSConnection):
        pass

    class HttpPool(urllib3.connectionpool.HTTPConnectionPool):
        ConnectionCls = HttpConnection

    class HttpsPool(urllib3.connectionpool.HTTPSConnectionPool):
        ConnectionCls = HttpsConnection

    return {"http": HttpPool, "https": HttpsPool}


class Adapter(requests.adapters.HTTPAdapter):
    """Keeps at most `size` connections to each server.

    All https connections share one TLS context. Thread-safe.
    """

    def __init__(self, size: int, environ: Mapping[str, str], *, may_be_private: bool) -> None:
        self._environ = environ
        self._context: ssl.SSLContext | None = None
        self._pools = _pool_classes(is_open=may_be_private)
        self._mutex = threading.Lock()
        super().__init__(pool_connections=_SERVERS, pool_maxsize=size, pool_block=True)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def tls(self) -> ssl.SSLContext:
        """Return the TLS context. The first call makes it: to load root certificates is slow.

        Raises ServiceError if a certificate bundle cannot be used.
        """
        with self._mutex:
            if self._context is None:
                self._context = _make_tls(self._environ)
            return self._context

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Give every https pool the shared context, as requests advises."""
        host, tls = super().build_connection_pool_key_attributes(request, True, cert)
        if host["scheme"] == "https":
            tls["ssl_context"] = self.tls()
        return host, tls

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing. `requests` would load the root certificates again for each connection."""

    def proxy_manager_for(self, proxy: str, **settings: Any) -> Any:
        """Return the pools behind an http proxy. Raises ServiceError for a SOCKS or https one."""
        if proxy.lower().startswith(("socks", "https:")):
            raise explain_connecting(ValueError(), 0, is_proxy=True)
        with self._mutex:
            manager = super().proxy_manager_for(proxy, **settings)
            manager.pool_classes_by_scheme = self._pools
            return manager


def _make_tls(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Make a context with the root certificates of the system, of `requests` and of bundles.

    `environ` names the bundles. Raises ServiceError if one cannot be used.
    """
    context = ssl.create_default_context()
    # as in urllib3, only the names in subjectAltName count (RFC 9525)
    context.hostname_checks_common_name = False
    context.load_verify_locations(requests.utils.DEFAULT_CA_BUNDLE_PATH)
    for name in _CA_VARIABLES:
        place = environ.get(name)
        if not place:
            continue
        at = "capath" if os.path.isdir(place) else "cafile"
        try:
            context.load_verify_locations(**{at: place})
        except (OSError, ValueError) as error:  # exceptions of ssl are OSErrors
            what = f"the certificate bundle {place} of {name} cannot be used: {os_reason(error)}"
            fix = f"point {name} at certificates in PEM format, or at a folder with hashed names"
            raise failed_call("not-sent", what, fix) from error
    return context
