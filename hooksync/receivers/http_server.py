"""HTTP on 127.0.0.1: requests and answers as plain values, and a server that stops at once.

It knows nothing of Preservica. It refuses a body if two programs could disagree about its length.

The function `respond` must not sleep. It must wait on the server's `stopping` instead, because its
connection is cut when the server stops.
"""

from __future__ import annotations

import io
import json
import re
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any
from urllib.parse import parse_qsl

from hooksync.core.errors import StartError
from hooksync.core.record import Record
from hooksync.core.timed_reader import TimedReader
from hooksync.receiver import Answer, Receiver

# takes a kind ("call", "challenge" or "receiver"), a subject and a result; URLs are not masked, but
# secrets of subscriptions are never passed
Log = Callable[[str, str, object], None]

MAX_BODY = 16 * 1024 * 1024  # bytes of a request's body; a longer one is refused
MAX_CONNECTIONS = 64  # fewer than the open files that a process may have (256 on macOS)
_LONGEST_LINE = 256  # bytes of a line with the size of a chunk
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[\t -~]*)?\r\n")
_POLL = 0.02  # seconds between two checks whether the server must stop


class IncomingRequest(Record):
    """One request as it was received."""

    method: str
    path: str  # without its query
    query: str = ""  # as sent, without the question mark
    headers: Mapping[str, str] = {}  # names in lower case
    body: bytes = b""

    def form(self) -> dict[str, str]:
        """Read the body as a form. The result is empty if the body is not a form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace")))

    def hand_to(self, receiver: Receiver) -> Answer:
        """Return the answer of a receiver that does no work on events."""
        return receiver.receive(
            self.method, self.query, self.headers, self.body, lambda event: None
        )


class Reply(Record):
    """One answer, ready to be sent."""

    status: int  # the HTTP status
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()  # besides Content-Type and Content-Length


class Refusal(Exception):
    """The service refuses: a status, and a message for the JSON body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.answer = json_answer(status, {"message": message})


def json_answer(status: int, document: object, *headers: tuple[str, str]) -> Reply:
    """Answer with a JSON document."""
    return Reply(status, json.dumps(document).encode(), headers=headers)


# answers a request through `Connection.send`, or calls `Connection.cut`
Respond = Callable[["Connection", IncomingRequest], None]


class LoopbackServer(ThreadingTCPServer):
    """A server with one thread for each connection, which may carry many requests.

    The constructor starts it and `close` stops it. It is also a context manager.

    There are at most MAX_CONNECTIONS: further ones are closed at once. Raises `StartError` if the
    port cannot be used. `close` raises unexpected errors of `respond`.
    """

    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, port: int, respond: Respond) -> None:
        self.respond = respond
        self.stopping = threading.Event()
        self.open: set[socket.socket] = set()  # connections
        self.lock = threading.Lock()  # for what a subclass counts
        self._crashes: list[Exception] = []
        try:
            super().__init__(("127.0.0.1", port), Connection)
        except OSError as error:
            raise StartError(
                f"cannot listen on 127.0.0.1:{port}: {error.strerror}",
                "choose a different port; 0 is any free one",
            ) from error
        self.port = self.server_address[1]  # the real port, also if `port` is 0
        self._thread = threading.Thread(target=self.serve_forever, args=(_POLL,))
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, cut every connection, and wait for every thread."""
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        for connection in list(self.open):
            with suppress(OSError):  # it may be cut already; its thread then closes it
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()
        if self._crashes:
            raise self._crashes[0]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread, unless there are too many."""
        if len(self.open) >= MAX_CONNECTIONS:
            self.shutdown_request(request)
        else:
            self.open.add(request)
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, and forget it."""
        self.open.discard(request)
        super().shutdown_request(request)

    def check_host(self, host: str) -> None:
        """Raise `Refusal` if the host is not this server, as in a request from a web page."""
        if host.lower() not in {
            f"{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]")
        }:
            raise Refusal(421, f"this server is 127.0.0.1:{self.port} and answers to no other name")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep an unexpected error. An OSError is expected: the connection was closed or cut."""
        error = sys.exception()
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self._crashes.append(error)


class Connection(BaseHTTPRequestHandler):
    """One connection: reads whole requests, calls the server's `respond`, writes whole answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30.0  # seconds for a whole request, and for each write; then the connection is closed
    server: LoopbackServer

    def setup(self) -> None:
        """Let the reads of a request share one deadline."""
        super().setup()
        self._reader = TimedReader(self.connection, self.rfile.detach())
        self.rfile = io.BufferedReader(self._reader)

    def handle_one_request(self) -> None:
        """Read and answer one request."""
        self._reader.restart(self.timeout)
        super().handle_one_request()

    def _answer(self) -> None:
        """Read the rest of a request, and answer it; close the connection if it cannot be read."""
        headers = {}
        for name in self.headers:
            headers[name.lower()] = ", ".join(self.headers.get_all(name, [])).strip(" \t")
        try:
            if any("\n" in value for value in headers.values()):
                raise Refusal(400, "a header is folded")  # RFC 9112, 5.2
            self.server.check_host(headers.get("host", ""))
            body = _read_body(self.rfile, headers)
        except Refusal as refusal:
            self.close_connection = True
            self.send(refusal.answer)
            return
        path, _, query = self.path.partition("?")
        request = IncomingRequest(self.command, path, query, headers, body)
        self.server.respond(self, request)

    do_DELETE = do_GET = do_PATCH = do_POST = do_PUT = _answer  # noqa: N815, as http.server has it

    def send(self, answer: Reply) -> None:
        """Send an answer."""
        self.connection.settimeout(self.timeout)  # the reads have shortened it
        has_body = answer.status not in (204, 304)  # answers with these have none (RFC 9110)
        self.send_response(answer.status)
        if has_body:
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if has_body:
            self.wfile.write(answer.body)

    def cut(self) -> None:
        """Close the connection without an answer."""
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Write nothing: the function `respond` logs."""


def _read_body(stream: io.BufferedIOBase, headers: Mapping[str, str]) -> bytes:
    """Read a body that was sent with its length or in chunks.

    Raises `Refusal` if the body is too large or broken.
    """
    if "transfer-encoding" not in headers:
        length = headers.get("content-length", "0")
        if not re.fullmatch("[0-9]{1,15}", length):
            raise Refusal(400, "Content-Length is not one number")
        return _read_exactly(stream, int(length), MAX_BODY)
    if headers["transfer-encoding"].lower() != "chunked" or "content-length" in headers:
        raise Refusal(400, "Transfer-Encoding is not chunked, or comes with Content-Length")
    body = bytearray()
    while True:
        found = _CHUNK_LINE.fullmatch(stream.readline(_LONGEST_LINE))
        if found is None:
            raise Refusal(400, "the size of a chunk is invalid")
        size = int(found[1], 16)
        if not size:
            break
        body += _read_exactly(stream, size, MAX_BODY - len(body))
        if stream.read(2) != b"\r\n":
            raise Refusal(400, "a chunk is not as long as its size says")
    if stream.read(2) != b"\r\n":
        raise Refusal(400, "the body has trailers")
    return bytes(body)


def _read_exactly(stream: io.BufferedIOBase, size: int, most: int) -> bytes:
    """Read a body of a known size. Raises Refusal if it is too long."""
    if size > most:
        raise Refusal(413, f"the body is longer than {MAX_BODY} bytes")
    piece = stream.read(size)
    if len(piece) < size:
        raise ConnectionError("the other side stopped in the middle of a body")
    return piece
