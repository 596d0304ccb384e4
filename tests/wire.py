"""A server on loopback that sends exactly the bytes that a test chooses, for answers that the
sandbox never sends.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hooksync.receiver import sign_challenge

Respond = Callable[["Wire", socket.socket, bytes], object]  # a true value keeps the connection open


class Loopback(ABC):
    """Listens on loopback and serves each connection in its own thread. As a context manager, it
    closes at the end.
    """

    def __init__(self) -> None:
        """Begin to listen. A subclass must set its own attributes before this call."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._end()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    @abstractmethod
    def _serve(self, connection: socket.socket) -> None:
        """Serve one connection, and close it."""

    @abstractmethod
    def _end(self) -> None:
        """End all connections."""


class Wire(Loopback):
    """Reads whole requests and hands each to `respond`."""

    def __init__(self, respond: Respond, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._respond = respond
        self._tls = tls
        self._sockets: list[socket.socket] = []
        super().__init__()

    def _end(self) -> None:
        self.stopping.set()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def request_lines(self) -> list[str]:
        return [request.partition(b"\r\n")[0].decode("latin-1") for request in self.requests]

    @property
    def documents(self) -> list[Any]:
        """The bodies of all requests, which must be JSON."""
        return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in self.requests]

    def header(self, name: str) -> str | None:
        head = self.requests[-1].partition(b"\r\n\r\n")[0].decode("latin-1")
        pairs = (line.partition(": ") for line in head.split("\r\n")[1:])
        return next((value for key, _, value in pairs if key.lower() == name.lower()), None)

    def _serve(self, connection: socket.socket) -> None:
        self._sockets.append(connection)
        with connection as plain, suppress(OSError):
            self.connections += 1
            if self._tls:
                connection = self._tls.wrap_socket(plain, server_side=True)
                self._sockets.append(connection)
            with connection:
                if self.stopping.is_set():
                    return  # it came too late for `_end` to close it
                while (request := _read_request(connection)) and not self.stopping.is_set():
                    self.requests.append(request)
                    if not self._respond(self, connection, request):
                        return


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(65536)):
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    while lengths and len(body) < lengths[0]:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def saying(data: bytes) -> Respond:
    """Return a function that sends the same answer to each request, and keeps the connection."""

    def respond(_: Wire, connection: socket.socket, __: bytes) -> bool:
        connection.sendall(data)
        return True

    return respond


def answering_challenges(secret: str) -> Respond:
    """Return a function that answers challenges as a receiver with this secret should."""

    def respond(_: Wire, connection: socket.socket, request: bytes) -> bool:
        query = urlsplit(request.split(b" ")[1].decode("latin-1")).query
        code = parse_qs(query).get("challengeCode", [""])[0]
        document = {
            "challengeCode": code,
            "challengeResponse": sign_challenge(secret.encode(), code.encode()),
        }
        connection.sendall(answer(json.dumps(document).encode()))
        return True

    return respond


def cutting(data: bytes) -> Respond:
    """Return a function that sends some bytes and cuts the connection."""

    def respond(_: Wire, connection: socket.socket, __: bytes) -> bool:
        connection.sendall(data)
        return False

    return respond


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate, and the TLS context of a server that has it."""

    pem: Path  # only the certificate, as the bundle of a client
    server: ssl.SSLContext


def make_certificate(folder: Path, name: str, *, days: int = 1, fault: str = "") -> Certificate:
    """Make a certificate for a host name or an address. `days`: until it expires. Below zero, it
    has expired; above ten, it is not valid yet.

    `fault`: "no names" puts the name only into the common name; "for clients" allows only clients
    to use it.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name if fault == "no names" else "hooksync tests")]
    )
    try:
        host: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        host = x509.DNSName(name)
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(end - datetime.timedelta(days=10))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if fault != "no names":
        builder = builder.add_extension(x509.SubjectAlternativeName([host]), critical=False)
    if fault == "for clients":
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True
        )
    certificate = builder.sign(key, hashes.SHA256())
    stem = f"{name}{days}{fault}".replace("*", "any")
    pem = folder / f"{stem}.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    both = folder / f"{stem}.server.pem"
    plain = serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    both.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain) + pem.read_bytes())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(both)
    return Certificate(pem, server)
