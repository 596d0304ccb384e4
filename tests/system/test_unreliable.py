"""The network that fails as a test says, and the servers behind it: what the stories over every
backend rest on.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import requests

from tests.unreliable import Unreliable, What
from tests.wire import Wire, answer


def _count(wire: Wire, connection: socket.socket, request: bytes) -> None:
    """Answer with how many requests came, and what this one held."""
    connection.sendall(answer(b"%d " % len(wire.requests) + request.partition(b"\r\n\r\n")[2]))


@pytest.fixture
def wire(stack: ExitStack) -> Wire:
    return stack.enter_context(Wire(_count))


@pytest.fixture
def network(wire: Wire, stack: ExitStack) -> Iterator[Unreliable]:
    with Unreliable(wire.port) as network:
        yield network


def call(network: Unreliable, method: str = "PUT", data: object = b"x") -> str | None:
    """Tell what was answered; None: nothing was."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.request(method, f"{network.url}/state", data=data, timeout=30).text  # type: ignore[arg-type]
        except requests.ConnectionError:
            return None


def test_requests_and_answers_pass(network: Unreliable) -> None:
    assert call(network, data=b"hello") == "1 hello"
    assert call(network, data=iter([b"in ", b"pieces"])) == "2 3\r\nin \r\n6\r\npieces\r\n0\r\n\r\n"
    assert call(network, "GET", None) == "3 "
    assert network.requests == ["PUT /state HTTP/1.1", "PUT /state HTTP/1.1", "GET /state HTTP/1.1"]


@pytest.mark.parametrize(
    ("what", "told", "seen"),
    [
        ("drop", None, 1),
        ("lose", None, 2),
        ("double", "3 x", 3),
        ("cut", None, 1),
        ("cut-after", None, 2),
    ],
)
def test_only_the_request_that_is_meant_fails(
    what: What, told: str | None, seen: int, network: Unreliable, wire: Wire
) -> None:
    fault = network.add(what, "^PUT ", 2)
    assert call(network) == "1 x"
    assert not fault.happened.is_set()
    assert call(network) == told
    assert fault.happened.is_set()
    assert len(wire.requests) == seen
    network.restore()
    assert call(network) == f"{seen + 1} x"


def test_a_delayed_request_waits_until_it_is_released(network: Unreliable, wire: Wire) -> None:
    fault = network.add("delay", "^PUT ")
    with ThreadPoolExecutor() as pool:
        late = pool.submit(call, network)
        assert fault.happened.wait(30)
        assert not wire.requests
        assert call(network, "GET", None) == "1 "
        network.release()
        assert late.result() == "2 x"


def test_a_cut_network_is_cut_until_it_is_restored(network: Unreliable, wire: Wire) -> None:
    network.cut()
    assert call(network) is None
    network.restore()
    assert call(network) == "1 x"
