"""The HTTP server behind the sandbox and `listen`: strict framing, and no client can block it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from hooksync.receivers.http_server import (
    MAX_BODY,
    MAX_CONNECTIONS,
    Connection,
    IncomingRequest,
    LoopbackServer,
    Reply,
)

BY_CHUNKS = "Transfer-Encoding: chunked"
CHUNKED = f"POST / HTTP/1.1\r\n{BY_CHUNKS}\r\n\r\n"
SMUGGLED = "GET /smuggled HTTP/1.1\r\n\r\n"
SHORT = 0.1  # seconds


class Impatient(Connection):
    timeout = SHORT


class Echo(LoopbackServer):
    """Answers each request with its body."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        super().__init__(0, self._echo)

    def check_host(self, host: str) -> None:
        pass

    def _echo(self, connection: Connection, request: IncomingRequest) -> None:
        self.paths.append(request.path)
        connection.send(Reply(200, request.body))


def impatient(server: LoopbackServer) -> LoopbackServer:
    """Let a server close silent connections soon."""
    server.RequestHandlerClass = Impatient
    return server


@contextmanager
def connected(server: LoopbackServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        yield client


def received(client: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    data = b""
    while piece := client.recv(65536):
        data += piece
    return data


def is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def head(*lines: str) -> str:
    return "\r\n".join(["POST / HTTP/1.1", *lines, "\r\n"])


REFUSED = {
    "many headers": (431, head(*["X: 1"] * 200)),
    "a method that needs other framing": (501, "HEAD / HTTP/1.1\r\n\r\n"),
    "two equal lengths": (400, head("Content-Length: 2", "Content-Length: 2") + "hi"),
    "a length with a sign": (400, head("Content-Length: +2") + "hi"),
    "a superscript length": (400, head("Content-Length: \xb2") + "hi"),
    "a length of 5000 digits": (400, head("Content-Length: " + "9" * 5000)),
    "a body that is too long": (413, head(f"Content-Length: {MAX_BODY + 1}")),
    "gzip, chunked": (400, head("Transfer-Encoding: gzip, chunked") + "0\r\n\r\n"),
    "chunked after a vertical tab": (
        400,
        head("Transfer-Encoding: \x0bchunked") + "0\r\n\r\n",
    ),
    "a folded header": (400, head("X-More: a\r\n b", "Content-Length: 2") + "hi"),
    "chunked twice": (400, head(BY_CHUNKS, BY_CHUNKS) + "0\r\n\r\n"),
    "chunked and a length": (400, head(BY_CHUNKS, "Content-Length: 5") + "0\r\n\r\n"),
    "a chunk that is too long": (413, CHUNKED + "fffffff\r\n"),
    "a chunk size with a prefix": (400, CHUNKED + "0x2\r\nhi\r\n0\r\n\r\n"),
    "a chunk size with a bare LF": (400, CHUNKED + "2\nhi\r\n0\r\n\r\n"),
    "a chunk extension that is too long": (400, CHUNKED + "2;" + "x" * 254),
    "a trailer": (400, CHUNKED + "0\r\nX: 1\r\n\r\n"),
    "a chunk that is longer than its size": (400, CHUNKED + "2\r\nhi there\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize(("status", "sent"), REFUSED.values(), ids=REFUSED)
def test_ambiguous_or_endless_framing_is_refused(status: int, sent: str) -> None:
    if len(sent) < 1000:
        sent += SMUGGLED
    with Echo() as server, connected(server) as client:
        client.sendall(sent.encode("latin-1"))
        answer = received(client)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in answer
    assert server.paths == []


TAKEN = {
    "a length": head("Connection: close", "content-length:2 \t") + "hi",
    "HTTP/1.0": "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi",
    "chunks and an extension": head("Connection: Close", "Transfer-Encoding: Chunked")
    + "1\r\nh\r\n01;a=b\r\ni\r\n0\r\n\r\n",
    "expect": head("Connection: close", "Content-Length: 2", "Expect: 100-Continue") + "hi",
}


@pytest.mark.parametrize("sent", TAKEN.values(), ids=TAKEN)
def test_a_request_with_plain_framing_is_answered(sent: str) -> None:
    with Echo() as server, connected(server) as client:
        client.sendall(sent.encode())
        answer = received(client)
    assert answer.endswith(b"\r\n\r\nhi")
    assert answer.startswith(b"HTTP/1.1 100 " if "Expect" in sent else b"HTTP/1.1 200 ")
    assert b"Connection: close" in answer


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "POST / HT",
        head("Content-Length: 2") + "h",
        CHUNKED + "2\r\nhi\r\n",
        head("Content-Length: 0"),
    ],
)
def test_a_connection_that_falls_silent_ends(sent: str) -> None:
    with impatient(Echo()) as server, connected(server) as client:
        client.sendall(sent.encode())
        received(client)


@pytest.mark.parametrize(
    ("sent", "piece"),
    [
        ("", "P"),
        (head()[:-2] + "X: ", "x"),
        (head("Content-Length: 1000"), "x"),
        (CHUNKED + "1000\r\n", "x"),
        (CHUNKED, "1\r\nx\r\n"),
    ],
)
def test_a_request_that_arrives_byte_by_byte_ends_at_its_deadline(sent: str, piece: str) -> None:
    with impatient(Echo()) as server, connected(server) as client:
        client.settimeout(SHORT / 10)
        client.sendall(sent.encode())
        for _ in range(200):
            if is_closed(client):
                break
            client.sendall(piece.encode())
        assert is_closed(client)


def test_a_client_that_reads_no_answer_does_not_hold_a_connection() -> None:
    request = (head("Content-Length: 1000000") + "x" * 1_000_000).encode()
    with impatient(Echo()) as server, connected(server) as client, pytest.raises(ConnectionError):
        client.sendall(request * 50)  # far more than the buffers of both sides take


def test_a_connection_beyond_the_limit_is_closed_at_once_and_the_others_are_served() -> None:
    with Echo() as server, ExitStack() as clients:
        silent = [clients.enter_context(connected(server)) for _ in range(MAX_CONNECTIONS)]
        with connected(server) as client:
            assert received(client) == b""
        for client in silent:
            client.sendall(head("Connection: close").encode())
            assert received(client).startswith(b"HTTP/1.1 200 ")
