"""How the service of the sandbox challenges a receiver, and which answers it accepts."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import pytest

from hooksync.receiver import sign_challenge
from hooksync.receivers.http_server import (
    Connection,
    IncomingRequest,
    LoopbackServer,
    json_answer,
)
from hooksync.sandbox.receiver import challenge_receiver

SECRET = "a secret of the receiver"
TIMEOUT = 5.0


class Answering(LoopbackServer):
    """A receiver that passes every challenge, unless a part of its answer is changed."""

    def __init__(self, status: int = 200, document: object = None, **changed: object) -> None:
        self.status = status
        self.document = document
        self.changed = changed
        self.seen: list[IncomingRequest] = []
        super().__init__(0, self._answer)

    def _answer(self, connection: Connection, request: IncomingRequest) -> None:
        self.seen.append(request)
        code = parse_qs(request.query)["challengeCode"][0]
        response = sign_challenge(SECRET.encode(), code.encode())
        right = {"challengeCode": code, "challengeResponse": response, **self.changed}
        connection.send(json_answer(self.status, self.document or right))


@pytest.mark.parametrize(
    ("tail", "path", "query"),
    [
        ("", "/", {}),
        ("/hook", "/hook", {}),
        ("/hook?code=KEY&b=", "/hook", {"code": ["KEY"], "b": [""]}),
        ("/a%20b?x=%26#fragment", "/a%20b", {"x": ["&"]}),
    ],
)
def test_challenge_is_a_post_that_adds_the_code_to_the_query(
    tail: str, path: str, query: dict[str, list[str]]
) -> None:
    with Answering() as server:
        url = f"http://127.0.0.1:{server.port}{tail}"
        assert challenge_receiver(url, SECRET, TIMEOUT) is None
    [request] = server.seen
    asked = parse_qs(request.query, keep_blank_values=True)
    assert len(asked.pop("challengeCode")[0]) == 32
    assert (request.method, request.path, asked) == ("POST", path, query)


@pytest.mark.parametrize(
    "server",
    [
        {"status": 201},
        {"document": ["a"]},
        {"document": 5},
        {"challengeCode": "other"},
        {"challengeResponse": "0" * 64},
        {"challengeResponse": "\ud800"},
    ],
)
def test_a_wrong_answer_fails_the_challenge(server: dict[str, Any]) -> None:
    with Answering(**server) as receiver:
        reason = challenge_receiver(f"http://127.0.0.1:{receiver.port}", SECRET, TIMEOUT)
    status = server.get("status", 200)
    assert reason == f"its answer ({status}) is wrong; it may use a different secret"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/\u20ac", "http://127.0.0.1:1/a b", f"http://{'a' * 70}.example/"]
)
def test_a_url_that_cannot_be_called_fails_the_challenge(url: str) -> None:
    assert challenge_receiver(url, SECRET, TIMEOUT) is not None
