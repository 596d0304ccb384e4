"""How the service of the sandbox challenges a receiver, and which answers it accepts."""

from __future__ import annotations

import json
from contextlib import ExitStack
from urllib.parse import parse_qs

import pytest

from hooksync.receiver import sign_challenge
from hooksync.receivers.http_server import (
    Connection,
    IncomingRequest,
    LoopbackServer,
    json_answer,
)
from hooksync.sandbox.receiver import challenge_receiver, fault_in_answer

SECRET = "a secret of the receiver"
TIMEOUT = 5.0
CODE = "0123456789abcdef"
RIGHT = sign_challenge(SECRET.encode(), CODE.encode())
WRONG = "its answer is wrong; it may use a different secret"


@pytest.fixture
def recording(stack: ExitStack) -> tuple[str, list[IncomingRequest]]:
    """Start a receiver that passes every challenge. Return its address and its requests."""
    seen: list[IncomingRequest] = []

    def respond(connection: Connection, request: IncomingRequest) -> None:
        seen.append(request)
        code = parse_qs(request.query).get("challengeCode", [""])[0]
        answer = {
            "challengeCode": code,
            "challengeResponse": sign_challenge(SECRET.encode(), code.encode()),
        }
        connection.send(json_answer(200, answer))

    server = LoopbackServer(0, respond)
    stack.callback(server.close)
    return f"http://127.0.0.1:{server.port}", seen


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
    recording: tuple[str, list[IncomingRequest]],
    tail: str,
    path: str,
    query: dict[str, list[str]],
) -> None:
    base, seen = recording
    assert challenge_receiver(base + tail, SECRET, TIMEOUT) is None
    (request,) = seen
    asked = parse_qs(request.query, keep_blank_values=True)
    assert len(asked.pop("challengeCode")[0]) == 32
    assert (request.method, request.path, asked) == ("POST", path, query)


@pytest.mark.parametrize(
    ("status", "document", "reason"),
    [
        (201, {"challengeCode": CODE, "challengeResponse": RIGHT}, "it answered 201, not 200"),
        (200, [], WRONG),
        (200, 5, "its answer is not a JSON object"),
        (200, {"challengeCode": "other", "challengeResponse": RIGHT}, WRONG),
        (200, {"challengeCode": CODE, "challengeResponse": RIGHT.upper()}, WRONG),
        (200, {"challengeCode": CODE, "challengeResponse": "\ud800"}, WRONG),
    ],
)
def test_a_wrong_answer_fails_the_challenge_with_its_reason(
    status: int, document: object, reason: str
) -> None:
    assert fault_in_answer(status, json.dumps(document).encode(), CODE, SECRET) == reason


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/\u20ac", "http://127.0.0.1:1/a b", f"http://{'a' * 70}.example/"]
)
def test_a_url_that_cannot_be_called_fails_the_challenge(url: str) -> None:
    assert challenge_receiver(url, SECRET, TIMEOUT) is not None
