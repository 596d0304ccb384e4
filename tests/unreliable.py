"""A network that fails as a test chooses: a proxy on loopback between an HTTP client and a real
server.

Each request has its own connection to the server, so that its end is always clear to both sides.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from tests.wire import Loopback

What = Literal["drop", "lose", "delay", "double", "cut", "cut-after"]


@dataclass
class Fault:
    """What happens to one request."""

    what: What
    # drop: the server never gets it · lose: the server does it, but its answer is dropped · double:
    # the server gets it twice, and the second answer is passed on · delay: it waits · cut: it and
    # all later requests are dropped · cut-after: as cut, but the server still does this request,
    # and its answer is dropped
    # a pattern for the request line, e.g. "^PUT " or "^POST .*/git-receive-pack"
    like: str = ""
    nth: int = 1  # which of the matching requests, counted from when the fault is added
    seconds: float | None = None  # of a delay; None: until `release` is called
    happened: threading.Event = field(default_factory=threading.Event)  # set when it begins


class Unreliable(Loopback):
    """Passes requests to the server, and its answers to the client."""

    def __init__(self, port: int) -> None:
        """Begin to listen. `port`: the port of the server on 127.0.0.1."""
        # all request lines, also of dropped requests, but not of those while the network is cut
        self.requests: list[str] = []
        self._server = port
        self._faults: list[Fault] = []
        self._is_cut = False
        self._released = threading.Event()
        self._mutex = threading.Lock()
        self._sockets: set[socket.socket] = set()
        super().__init__()

    def _end(self) -> None:
        self._released.set()
        self.cut()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(
        self, what: What, like: str = "", nth: int = 1, *, seconds: float | None = None
    ) -> Fault:
        """Add a fault of a later request."""
        fault = Fault(what, like, nth, seconds)
        with self._mutex:
            self._faults.append(fault)
        return fault

    def release(self) -> None:
        """Let all delayed requests continue."""
        with self._mutex:
            self._released.set()
            self._released = threading.Event()

    def cut(self) -> None:
        """Cut all connections, and each new one until `restore`."""
        with self._mutex:
            self._is_cut = True
            for each in self._sockets:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def restore(self) -> None:
        with self._mutex:
            self._is_cut = False

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError), self._kept(connection):
            if (request := _read_request(connection)) and (answer := self._answer(request)):
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)  # without this, the last bytes of the answer may be lost

    @contextmanager
    def _kept(self, connection: socket.socket) -> Iterator[None]:
        """Keep a connection in `_sockets` as long as it is used, so that `cut` can end it."""
        with self._mutex:
            if self._is_cut:
                raise OSError("cut")
            self._sockets.add(connection)
        try:
            yield
        finally:
            with self._mutex:
                self._sockets.discard(connection)

    def _answer(self, request: bytes) -> bytes:
        fault = self._fault(request.partition(b"\r\n")[0].decode("latin-1"))
        what = fault.what if fault else None
        if fault and what == "delay":
            released = self._released
            fault.happened.set()
            released.wait(fault.seconds)
        elif what == "drop":
            return b""
        elif what == "cut":
            self.cut()
            return b""
        elif what == "double":
            self._pass_on(request)
        answer = self._pass_on(request)
        if what == "cut-after":
            self.cut()
        return b"" if what in ("lose", "cut-after") else answer

    def _fault(self, line: str) -> Fault | None:
        """Return the fault of a request, if it has one; of several, the first that was added."""
        with self._mutex:
            self.requests.append(line)
            found = None
            for fault in [each for each in self._faults if re.search(each.like, line)]:
                fault.nth -= 1
                if fault.nth == 0:
                    self._faults.remove(fault)
                    found = found or fault
            if found and found.what != "delay":
                found.happened.set()
            return found

    def _pass_on(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self._server)) as server, self._kept(server):
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
