"""Challenges over real HTTP: to good receivers, to bad receivers, and to no receiver at all."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from hooksync.core.model import HookUrl, ReceiverResult, Secret
from hooksync.receivers.http_server import Connection, IncomingRequest, LoopbackServer, Reply
from hooksync.service.challenges import probe_all
from hooksync.service.http import Caller, Transport
from hooksync.service.worker_pool import WorkerPool
from tests.boxes import Receiver
from tests.conftest import SECRET
from tests.memory_terminal import MemoryTerminal, make_context
from tests.sandbox_faults import send_half
from tests.shipped_receiver import shipped_receiver

KEY = Secret(SECRET)
SHORT_OF_PATIENCE = 0.5  # seconds


@dataclass
class Watched:
    """A context that records its calls."""

    records: list[str] = field(default_factory=list)
    timeout: float = 10.0
    stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Caller:
        self.transport = Transport(self.timeout, 8, {})
        terminal = MemoryTerminal(after_call=self.records.append)
        context = make_context(terminal=terminal, stop=self.stop)
        return Caller(self.transport, context)

    def __exit__(self, *_: object) -> None:
        self.transport.close()


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def caller(watched: Watched) -> Iterator[Caller]:
    with watched as caller:
        yield caller


Respond = Callable[[Connection, IncomingRequest], None]


@contextmanager
def server(respond: Respond) -> Iterator[str]:
    """Start a receiver with the given behaviour; yield its URL."""
    loopback = LoopbackServer(0, respond)
    try:
        yield f"http://127.0.0.1:{loopback.port}/hook"
    finally:
        loopback.close()


def sends(answer: Reply, *, half: bool = False) -> Respond:
    send = send_half if half else Connection.send
    return lambda connection, _: send(connection, answer)


def raw(*pieces: bytes) -> Respond:
    def respond(connection: Connection, _: IncomingRequest) -> None:
        for piece in pieces:
            connection.wfile.write(piece)
        connection.cut()

    return respond


def url(text: str, shown: str = "https://shown.example/hook?code=${FN_KEY}") -> HookUrl:
    return HookUrl(shown, text)


def challenge(target: HookUrl, secret: Secret, caller: Caller) -> ReceiverResult:
    with WorkerPool(1, caller.context.stop) as pool:
        return probe_all([(target, secret)], pool, caller)[target, secret]


def challenge_server(respond: Respond, caller: Caller) -> ReceiverResult:
    with server(respond) as address:
        return challenge(url(address), KEY, caller)


@pytest.mark.parametrize(
    ("tail", "path", "query"),
    [
        ("/hook?code=KEY&b=%2F", "/hook", "code=KEY&b=%2F&challengeCode="),
        ("", "/", "challengeCode="),
        ("?code", "/", "code&challengeCode="),
    ],
)
def test_a_challenge_is_an_empty_post_that_adds_a_new_code_to_the_query_of_the_url(
    tail: str, path: str, query: str, caller: Caller
) -> None:
    seen: list[IncomingRequest] = []

    def respond(connection: Connection, request: IncomingRequest) -> None:
        seen.append(request)
        connection.send(Reply(500))

    with server(respond) as address:
        for _ in range(2):
            challenge(url(address.removesuffix("/hook") + tail), KEY, caller)
    assert [(one.method, one.path, one.body) for one in seen] == [("POST", path, b"")] * 2
    codes = {one.query.removeprefix(query) for one in seen}
    assert (len(codes), {len(code) for code in codes}) == (2, {32})
    names = " ".join(name for one in seen for name in one.headers)
    assert not re.search("preservica|authorization|cookie", names)


def test_the_receiver_that_pypreservica_ships_is_ready(caller: Caller) -> None:
    with shipped_receiver(SECRET) as address:
        receiver = url(f"{address}?code=KEY")
        assert challenge(receiver, KEY, caller).state == "ready"


@pytest.mark.parametrize(
    ("respond", "what", "state"),
    [
        (
            sends(Reply(200, b"<html>hello</html>", "text/html")),
            "is not JSON with text in challengeCode and challengeResponse: <html>",
            "wrong-answer",
        ),
        (sends(Reply(403, b"no")), "it answers 403, not 200: no", "wrong-answer"),
        (sends(Reply(200, b"x" * (64 * 1024 + 1))), "is larger than", "wrong-answer"),
        (sends(Reply(200, b'{"challengeCode": 1}'), half=True), "was cut", "unreachable"),
        (raw(), "was cut", "unreachable"),
        (raw(b"SSH-2.0-OpenSSH_9.6\r\n"), "was cut", "unreachable"),
    ],
)
def test_each_bad_receiver_is_reported_with_its_fault(
    respond: Respond, what: str, state: str, caller: Caller
) -> None:
    result = challenge_server(respond, caller)
    assert (what in result.detail, result.state) == (True, state)
    assert result.detail.isprintable()
    assert result.fix
    if state == "unreachable":
        assert result.fix == "see the log of the server, or of a gateway before it"


def test_a_receiver_that_never_answers_is_reported_as_unreachable() -> None:
    def respond(connection: Connection, _: IncomingRequest) -> None:
        connection.server.stopping.wait(300)

    with Watched(timeout=SHORT_OF_PATIENCE) as caller:
        result = challenge_server(respond, caller)
    assert result.state == "unreachable"
    assert result.fix == "try again, or give a longer --timeout"


def test_the_answer_of_a_receiver_is_redacted_and_quoted_on_one_line(
    caller: Caller,
) -> None:
    caller.redactor.learn([SECRET])  # as SecretSources does
    said = f"wrong: {SECRET}\n\x1b[2J <b>{json.dumps(SECRET)}</b>"
    result = challenge_server(sends(Reply(500, said.encode() * 50)), caller)
    assert SECRET not in result.detail
    assert "wrong: ***" in result.detail
    assert result.detail.isprintable()
    assert len(result.detail) < 400


def test_each_pair_of_url_and_secret_is_challenged_once_and_has_a_result(
    caller: Caller,
) -> None:
    other = Secret("another secret of tests")
    with (
        Receiver({"a": [SECRET], "b": [SECRET]}) as receiver,
        WorkerPool(4, threading.Event()) as pool,
    ):
        a, b = url(receiver.url("a"), "${A}"), url(receiver.url("b"), "${B}")
        also_a = url(receiver.url("a"), "${ALSO}")
        wanted = [(a, KEY), (b, KEY), (a, Secret(SECRET)), (also_a, KEY), (a, other), (b, KEY)]
        results = probe_all(wanted, pool, caller)
        assert receiver.answers == {("a", "challenge"): 2, ("b", "challenge"): 1}
    states = {
        (target.full, secret == KEY): found.state for (target, secret), found in results.items()
    }
    assert states == {
        (a.full, True): "ready",
        (b.full, True): "ready",
        (a.full, False): "wrong-secret",
    }


def test_after_a_stop_no_receiver_is_challenged(caller: Caller, watched: Watched) -> None:
    watched.stop.set()
    with WorkerPool(4, watched.stop) as pool:
        assert probe_all([(url("http://127.0.0.1:1/"), KEY)], pool, caller) == {}
    assert not watched.records
