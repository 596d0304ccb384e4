"""HTTP on 127.0.0.1: requests and answers as plain values, and a server that stops at once and leaves no thread behind.

It knows nothing of Preservica. The code that responds must not sleep, but wait on the server's `stopping`; its
connection is cut when the server stops.
"""

from __future__ import annotations

import io
import json
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import responses
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any
from urllib.parse import parse_qsl

Log = Callable[[dict[str, object]], None]  # takes what happened: its kind, what, the result

MAX_BODY = 1 << 20  # bytes of a request's body; a longer one is refused
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}(?=[;\s])")  # of a body
_POLL = 0.02  # seconds between two checks whether to stop


class SandboxError(ValueError):
    """The sandbox cannot start or go on as asked; the text is one line for the user."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call as it came in."""

    method: str
    path: str  # without its query
    query: str = field(default="", repr=False)  # as sent, without the question mark
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # names in lower case
    body: bytes = field(default=b"", repr=False)

    def form(self) -> dict[str, str]:
        """Read the body as a form; one that cannot be read is empty."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, ready to be sent."""

    status: int  # the HTTP status
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()  # besides Content-Type and Content-Length


class Refusal(Exception):
    """The service refuses: a status, and a message for the JSON body."""

    def __init__(self, status: int, message: str, **more: str) -> None:
        super().__init__(message)
        self.answer = json_answer(status, {"message": message, **more})


def json_answer(status: int, document: object, *headers: tuple[str, str]) -> Answer:
    """Answer with a JSON document."""
    return Answer(status, json.dumps(document).encode(), headers=headers)


def html_answer(status: int) -> Answer:
    """Answer as a gateway in front of the service does: with an HTML page, not JSON."""
    title = f"{status} {responses.get(status, 'Unknown')}"
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Answer(status, page.encode(), "text/html")


def read_number(text: str) -> int | None:
    """Read a whole number from a header or form; None if it is not one, or is absurdly long."""
    return int(text) if text.isdecimal() and len(text) < 20 else None


class LoopbackServer(ThreadingTCPServer):
    """One thread for each connection, which may carry many requests. Runs from its making to `close`, or as a context.

    Raises `SandboxError` if the port cannot be used. Unexpected errors of `respond` are raised by `close`.
    """

    allow_reuse_address = os.name != "nt"  # where it lets several listen on one port
    request_queue_size = 512

    def __init__(self, port: int, respond: Callable[[Connection, Request], None]) -> None:
        self.respond = respond  # answers a request through `Connection.send`, or cuts the connection
        self.stopping = threading.Event()
        self.open: set[socket.socket] = set()  # the connections
        self.lock = threading.Lock()  # for these
        self._crashes: list[Exception] = []
        try:
            super().__init__(("127.0.0.1", port), Connection)
        except (OSError, OverflowError) as error:
            raise SandboxError(
                f"cannot listen on 127.0.0.1:{port}: {error}; choose another port, or 0 for any"
            ) from error
        self.port = int(self.socket.getsockname()[1])  # also where `port` was 0
        self._thread = threading.Thread(target=self.serve_forever, args=(_POLL,), name=f"loopback:{self.port}")
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, cut every connection, and wait for every thread."""
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        with self.lock:
            for connection in self.open:
                cut(connection)
        self.server_close()
        if self._crashes:
            raise self._crashes[0]

    def check_host(self, host: str) -> None:
        """Raise `Refusal` for a host that is not this one: a web page whose name leads here sends its own name."""
        if host.lower() not in {f"{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]")}:
            raise Refusal(421, f"this server is 127.0.0.1:{self.port} and answers to no other name")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep an unexpected error; that the other side closes the connection, or the server stops, is none."""
        error = sys.exception()
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self._crashes.append(error)


class Connection(BaseHTTPRequestHandler):
    """One connection: reads requests whole, hands each to the server's `respond`, writes answers in one piece."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: LoopbackServer

    def setup(self) -> None:
        """Let the server know the connection."""
        super().setup()
        with self.server.lock:
            self.server.open.add(self.connection)
            if self.server.stopping.is_set():  # it may have cut the others already
                cut(self.connection)

    def finish(self) -> None:
        """Let the server forget the connection."""
        super().finish()
        with self.server.lock:
            self.server.open.discard(self.connection)

    def do_any(self) -> None:
        """Read one request and respond to it; one that cannot be read is refused, and the connection closed."""
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            self.server.check_host(headers.get("host", ""))
            body = read_body(self.rfile, headers)
        except Refusal as refusal:
            self.close_connection = True
            self.send(refusal.answer)
            return
        self.server.respond(self, Request(self.command, path, query, headers, body))

    do_DELETE = do_GET = do_PATCH = do_POST = do_PUT = do_any  # noqa: N815  names that http.server looks for

    def send(self, answer: Answer, *, half: bool = False) -> None:
        """Send an answer; or half of its body (of one without a body only "HTTP/1.1"), and cut the connection."""
        has_body = answer.status not in (204, 304)  # these have none (RFC 9110)
        body = answer.body if has_body else b""
        lines = [f"HTTP/1.1 {answer.status} {responses.get(answer.status, 'Unknown')}"]
        lines += [f"Content-Type: {answer.content_type}", f"Content-Length: {len(body)}"] if has_body else []
        lines += [f"{name}: {value}" for name, value in answer.headers]
        lines += ["Connection: close"] if self.close_connection else []
        head = "\r\n".join([*lines, "\r\n"]).encode("latin-1")
        if half:
            self.close_connection = True
            head, body = (head, body[: len(body) // 2]) if body else (b"HTTP/1.1", b"")
        self.wfile.write(head + body)

    def cut(self) -> None:
        """Close the connection without an answer."""
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Do nothing: the sandbox never prints."""


def read_body(stream: io.BufferedIOBase, headers: dict[str, str]) -> bytes:
    """Read a body, sent with its length or in chunks. Raises `Refusal` for one that is too large or broken."""
    is_chunked = "chunked" in headers.get("transfer-encoding", "").lower()
    body = bytearray()
    is_whole = False
    while not is_whole:
        size = _chunk_size(stream) if is_chunked else read_number(headers.get("content-length", "0"))
        if size is None:
            raise Refusal(400, "the length of the body, or of one of its chunks, is not a number")
        if len(body) + size > MAX_BODY:
            raise Refusal(413, f"the body is longer than {MAX_BODY} bytes")
        piece = stream.read(size)
        if len(piece) < size:
            raise ConnectionError("the other side stopped in the middle of a body")
        body += piece
        is_whole = not (is_chunked and size)
        if not is_whole:
            stream.readline(1024)  # the end of the chunk
    while is_chunked and stream.readline(1024).strip():
        pass  # trailers
    return bytes(body)


def _chunk_size(stream: io.BufferedIOBase) -> int | None:
    """Read the line before a chunk; None: it is invalid."""
    found = _CHUNK_SIZE.match(stream.readline(1024))
    return int(found[0], 16) if found else None


def cut(connection: socket.socket) -> None:
    """Cut a connection; the thread that uses it closes it."""
    with suppress(OSError):  # it may be cut already
        connection.shutdown(socket.SHUT_RDWR)
