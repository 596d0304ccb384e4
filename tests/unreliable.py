"""A network that fails as a test chooses: a proxy on loopback between an HTTP client and a real
server.

Each request has its own connection to the server, so that its end is always clear to both sides.
"""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from tests.wire import Loopback

# drop: the server never gets the request · lose: the server does it, but its answer is dropped ·
# double: the server gets it twice, and the second answer is passed on · delay: it is never answered
What = Literal["drop", "lose", "double", "delay"]


@dataclass
class Fault:
    """What happens to one request."""

    what: What
    like: str  # a pattern for the request line, e.g. "^PUT "
    happened: threading.Event = field(default_factory=threading.Event)  # set when it begins


class Unreliable(Loopback):
    """Passes requests to the server, and its answers to the client."""

    def __init__(self, port: int) -> None:
        """Begin to listen. `port`: the port of the server on 127.0.0.1."""
        self.requests: list[str] = []  # all request lines
        self._server = port
        self._faults: list[Fault] = []
        self._ended = threading.Event()
        self._sockets: list[socket.socket] = []
        super().__init__()

    def _end(self) -> None:
        self._ended.set()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, what: What, like: str = "") -> Fault:
        """Add a fault of the next request that is like this."""
        self._faults.append(Fault(what, like))
        return self._faults[-1]

    def cut(self) -> None:
        """Drop each new connection."""
        self._ended.set()

    def _serve(self, connection: socket.socket) -> None:
        self._sockets.append(connection)
        with connection, suppress(OSError):
            if self._ended.is_set():
                return
            if (request := _read_request(connection)) and (answer := self._answer(request)):
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)  # without this, the last bytes of the answer may be lost

    def _answer(self, request: bytes) -> bytes:
        line = request.partition(b"\r\n")[0].decode("latin-1")
        self.requests.append(line)
        fault = next((each for each in self._faults if re.search(each.like, line)), None)
        if fault is None:
            return self._pass_on(request)
        self._faults.remove(fault)
        fault.happened.set()
        if fault.what == "delay":
            self._ended.wait()
        if fault.what in ("lose", "double"):
            self._pass_on(request)
        return self._pass_on(request) if fault.what == "double" else b""

    def _pass_on(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self._server)) as server:
            server.sendall(request)
            pieces = []
            while more := server.recv(65536):
                pieces.append(more)
            return b"".join(pieces)


def _read_request(client: socket.socket) -> bytes:
    """Return a whole request, changed so that the server closes the connection after its answer.
    Return no bytes if there is no request.
    """
    with client.makefile("rb") as file:
        lines = [file.readline()]
        while lines[-1] not in (b"\r\n", b""):
            lines.append(file.readline())
        if lines[-1] == b"":
            return b""
        fields = {
            line.partition(b":")[0].lower(): line.partition(b":")[2].strip().lower()
            for line in lines[1:-1]
        }
        if fields.get(b"expect") == b"100-continue":
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        kept = [
            line
            for line in lines[1:-1]
            if line.partition(b":")[0].lower() not in (b"connection", b"expect")
        ]
        head = b"".join((lines[0], *kept, b"Connection: close\r\n\r\n"))
        if fields.get(b"transfer-encoding") != b"chunked":
            return head + file.read(int(fields.get(b"content-length", b"0")))
        body = b""
        while size := int((line := file.readline()).partition(b";")[0], 16):
            body += line + file.read(size + 2)
        return head + body + b"0\r\n" + file.readline()
