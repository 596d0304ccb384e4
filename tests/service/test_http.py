"""One call over real sockets: its request, its errors, and its limits of time and memory."""

from __future__ import annotations

import socket
import ssl
import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from hooksync import __version__
from hooksync.core.errors import AnswerLost, ServiceError
from hooksync.service.http import Request, Transport, check_address
from tests.wire import (
    Certificate,
    Respond,
    Wire,
    answer,
    make_certificate,
    saying,
)

SECRET = "s3cret-body-0123456789"
TOKEN = "t0ken-0123456789"
OK = answer(b"[]")

Make = Callable[..., Transport]
Serve = Callable[..., Wire]


@pytest.fixture
def serve(stack: ExitStack) -> Serve:
    def serve(respond: Respond, tls: ssl.SSLContext | None = None) -> Wire:
        return stack.enter_context(Wire(respond, tls))

    return serve


@pytest.fixture
def make(stack: ExitStack) -> Make:
    def make(
        call: float = 300.0,
        environ: dict[str, str] | None = None,
        *,
        private_receivers: bool = True,
    ) -> Transport:
        transport = Transport(call, 4, environ or {}, private_receivers=private_receivers)
        stack.callback(transport.close)
        return transport

    return make


def get(url: str, path: str = "/x", limit: int = 1024 * 1024) -> Request:
    return Request("GET", url + path, {"Preservica-Access-Token": TOKEN}, answer_limit=limit)


def failure_of(transport: Transport, request: Request) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        transport.send(request)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(request)
    assert SECRET not in shown
    assert TOKEN not in shown
    assert caught.value.__context__ is None or isinstance(caught.value.__context__, OSError)
    return caught.value


# names


# addresses that may be called


def test_the_address_of_a_name_is_checked_before_anything_is_sent(make: Make, serve: Serve) -> None:
    wire = serve(saying(OK))
    transport = make(private_receivers=False)
    named = wire.url.replace("127.0.0.1", "localhost")
    assert transport.send(get(named)).status == 200
    failure = failure_of(transport, Request("POST", named, is_for_receiver=True))
    assert failure.kind == "not-sent"
    assert wire.request_lines == ["GET /x HTTP/1.1"]


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]"])
def test_behind_a_proxy_only_an_address_in_the_url_is_checked(
    host: str, serve: Serve, make: Make
) -> None:
    proxy = serve(saying(OK))
    transport = make(environ={"HTTP_PROXY": proxy.url}, private_receivers=False)
    assert failure_of(transport, get(f"http://{host}")).kind == "not-sent"
    assert proxy.request_lines == []
    request = Request("POST", "http://receiver.example", is_for_receiver=True)
    assert transport.send(request).status == 200  # only the proxy resolves this name


PUBLIC = "8.8.8.8 2606:4700::1111 2002:808:808:: 64:ff9b::808:808"
PRIVATE = (
    "127.0.0.1 0.0.0.0 10.1.2.3 172.16.0.1 192.168.1.1 100.64.0.1 224.0.0.1 240.0.0.1"
    " :: ::1 fd00::1 ff02::1 2001:db8::1 ::ffff:10.0.0.1"
    " 2002:a00:1:: ::a00:1 64:ff9b::a00:1 64:ff9b:1::808:808 fec0::1"
)
LINK_LOCAL = (
    "169.254.169.254 169.254.170.2 fe80::1%eth0 febf::1 ::ffff:169.254.0.1"
    " 2002:a9fe:a9fe:: ::a9fe:a9fe 64:ff9b::a9fe:a9fe 64:ff9b:1::a9fe:a9fe"
    " 100.100.100.200 168.63.129.16 192.0.0.192 fd00:ec2::254 fd20:ce::254"
)


@pytest.mark.parametrize("address", PUBLIC.split())
def test_a_public_address_may_be_called(address: str) -> None:
    check_address(address, may_be_private=False)


@pytest.mark.parametrize("address", PRIVATE.split())
def test_a_private_address_may_be_called_only_if_that_is_allowed(address: str) -> None:
    check_address(address, may_be_private=True)
    with pytest.raises(ServiceError, match="the address is private"):
        check_address(address, may_be_private=False)


@pytest.mark.parametrize("address", LINK_LOCAL.split())
def test_a_link_local_or_metadata_address_is_never_called(address: str) -> None:
    with pytest.raises(ServiceError, match="the address is link-local"):
        check_address(address, may_be_private=True)


# requests and answers


def test_a_request_is_sent_unchanged_with_few_added_headers(make: Make, serve: Serve) -> None:
    wire = serve(saying(answer(b"ok", "201 Created", "Retry-After: 7")))
    request = Request("POST", f"{wire.url}/a%2Fb?c=d", {"X-Y": "z"}, SECRET.encode())
    found = make().send(request)
    assert (found.status, found.body, found.headers["Retry-After"]) == (201, b"ok", "7")
    assert wire.request_lines == ["POST /a%2Fb?c=d HTTP/1.1"]
    assert wire.header("User-Agent") == f"hooksync/{__version__}"
    assert wire.header("X-Y") == "z"
    assert wire.header("Accept-Encoding") == "identity"
    assert wire.requests[0].endswith(b"\r\n\r\n" + SECRET.encode())


# faults on the way


@pytest.mark.parametrize(
    "host",
    [
        *("a" * 64 + ".localhost", "a..localhost", "*.localhost", "xn--a.\u0130", "%", "\ud800"),
        *("nowhere.invalid", "127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1:x"),
    ],
)
def test_an_invalid_host_is_an_error_of_hooksync(make: Make, host: str) -> None:
    error = failure_of(make(), get(f"http://{host}"))
    assert not isinstance(error, AnswerLost)
    assert "server" in str(error)


@pytest.mark.parametrize(
    "status", ["101 Switching Protocols", "102 Processing", "103 Early Hints", "199 Huh"]
)
def test_an_interim_answer_counts_as_lost_and_the_next_call_reads_its_own_answer(
    make: Make, serve: Serve, status: str
) -> None:
    is_asked_again = threading.Event()

    def respond(wire: Wire, connection: socket.socket, _: bytes) -> bool:
        if wire.connections > 1:
            is_asked_again.set()
            connection.sendall(answer(b"the second"))
            return True
        connection.sendall(f"HTTP/1.1 {status}\r\n\r\n".encode())
        is_asked_again.wait(300)  # so that the final answer comes late
        connection.sendall(answer(b"the first"))
        return True

    transport, url = make(), serve(respond).url
    error = failure_of(transport, get(url))
    assert isinstance(error, AnswerLost)
    assert transport.send(get(url)).body == b"the second"


# time and memory


def test_a_server_that_does_not_read_holds_up_a_call_no_longer_than_the_time_out(
    make: Make,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        request = Request(
            "POST", f"http://127.0.0.1:{deaf.getsockname()[1]}/x", body=b"x" * 30_000_000
        )
        error = failure_of(make(call=0.3), request)
    assert isinstance(error, AnswerLost)
    assert "within 0.3 s" in error.summary


def test_a_body_of_exactly_the_limit_is_accepted_and_no_larger_one(
    make: Make, serve: Serve
) -> None:
    wire = serve(saying(answer(b"x" * 5000)))
    assert len(make().send(get(wire.url, limit=5000)).body) == 5000
    assert failure_of(make(), get(wire.url, limit=4999)).kind == "too-large"


# proxies


def test_calls_beyond_this_machine_use_the_proxy_of_the_given_environment(
    make: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(saying(OK))
    of_the_process = serve(saying(OK))
    monkeypatch.setenv("HTTP_PROXY", of_the_process.url)
    monkeypatch.setenv("NO_PROXY", "*")
    transport = make(environ={"HTTP_PROXY": proxy.url.replace("//", "//user:pr0xy-password@")})
    assert transport.send(get("http://example.invalid", "/a%2Fb")).status == 200
    assert of_the_process.requests == []
    assert proxy.request_lines == ["GET http://example.invalid/a%2Fb HTTP/1.1"]
    assert (proxy.header("Proxy-Authorization") or "").startswith("Basic ")


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("http://user:pr0xy-password@127.0.0.1:1", "the proxy: Connection refused"),
        ("http://user:pr0xy-password@proxy.invalid:1", "no connection to the proxy: "),
        (
            "ftp://user:pr0xy-password@127.0.0.1:1",
            "the proxy: its address is invalid",
        ),
        ("http://user:pr0xy-password@[bad:1", "the proxy: its address is invalid"),
        ("http://user:pr0xy-password@h:99999", "the proxy: its address is invalid"),
        (
            "http://user:pr0xy-password@" + "h" * 70,
            "the proxy: its address is invalid",
        ),
        ("http://", "the proxy: its address is invalid"),
        ("socks5h://user:pr0xy-password@h:1", "the proxy: its address is invalid"),
        ("https://user:pr0xy-password@h:1", "the proxy: its address is invalid"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_cannot_be_used_is_named_in_the_error(
    make: Make, proxy: str, said: str, scheme: str
) -> None:
    transport = make(environ={f"{scheme.upper()}_PROXY": proxy})
    error = failure_of(transport, get(f"{scheme}://example.invalid"))
    assert not isinstance(error, AnswerLost)
    assert said in error.summary
    assert "pr0xy-password" not in "".join(traceback.format_exception(error))


def test_https_through_a_proxy_is_encrypted_to_the_server(
    make: Make, serve: Serve, tmp_path: Path
) -> None:
    # this address is of this machine, but does not look like loopback
    certificate = make_certificate(tmp_path, "0.0.0.0")
    server = serve(saying(OK), certificate.server)

    def tunnel(wire: Wire, connection: socket.socket, _: bytes) -> None:
        with socket.create_connection(("127.0.0.1", server.port)) as onward:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_copy, args=(onward, connection))
            back.start()
            _copy(connection, onward)
            back.join()

    proxy = serve(tunnel)
    transport = make(
        environ={
            "HTTPS_PROXY": proxy.url.replace("127.0.0.1", "0.0.0.0"),
            "REQUESTS_CA_BUNDLE": str(certificate.pem),
        }
    )
    assert transport.send(get(f"https://0.0.0.0:{server.port}")).status == 200
    assert server.header("Preservica-Access-Token") == TOKEN
    assert TOKEN not in proxy.requests[0].decode()
    transport.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"), "127.0.0.1")


def test_a_certificate_bundle_makes_a_server_trusted(
    make: Make, serve: Serve, certificate: Certificate
) -> None:
    wire = serve(saying(OK), certificate.server)
    transport = make(environ={"REQUESTS_CA_BUNDLE": str(certificate.pem)})
    assert [transport.send(get(wire.url)).status for _ in range(3)] == [200] * 3
    assert wire.connections == 1


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_a_bundle_that_cannot_be_used_is_an_error_that_names_it(
    make: Make, tmp_path: Path, content: bytes | None
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    error = failure_of(
        make(environ={"REQUESTS_CA_BUNDLE": str(bundle)}), get("https://127.0.0.1:1")
    )
    assert not isinstance(error, AnswerLost)
    assert f"the certificate bundle {bundle} of REQUESTS_CA_BUNDLE cannot be used" in error.summary
