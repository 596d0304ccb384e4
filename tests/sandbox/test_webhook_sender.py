"""The service as a sender of receivers: how it challenges, what it takes for an answer, what an
event looks like.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import parse_qs

import pytest

from hooksync.receiver import sign_challenge
from hooksync.sandbox.http_server import Answer, Connection, LoopbackServer, Request, json_answer
from hooksync.sandbox.receiver import WebhookSender, event_body, judge
from hooksync.sandbox.tenancies import Subscription
from tests.boxes import Sandbox

Answering = Callable[[Answer], str]

SECRET = "a secret of the receiver"
CODE = "0123456789abcdef"
RIGHT = sign_challenge(SECRET.encode(), CODE.encode())
NO_CODE = "its answer does not repeat the challengeCode"
WRONG = "its challengeResponse is wrong; it may use a different secret"
EVENT = {
    "event": "Moved",
    "entityType": "IO",
    "entityRef": "7fdea7e0-1e72-4fb1-aadb-d7f9ee6ed8c2",
    "identifiers": [1],
}


@pytest.fixture
def sender() -> WebhookSender:
    return WebhookSender(timeout=5.0)


@pytest.fixture
def recording(stack: ExitStack) -> tuple[str, list[Request]]:
    """Run a receiver that answers every challenge rightly and keeps the requests; gives its address
    and them.
    """
    seen: list[Request] = []

    def respond(connection: Connection, request: Request) -> None:
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
    sender: WebhookSender,
    recording: tuple[str, list[Request]],
    tail: str,
    path: str,
    query: dict[str, list[str]],
) -> None:
    base, seen = recording
    assert sender.challenge(base + tail, SECRET) is None
    (request,) = seen
    asked = parse_qs(request.query, keep_blank_values=True)
    assert len(asked.pop("challengeCode")[0]) == 32
    assert (request.method, request.path, asked) == ("POST", path, query)


@pytest.mark.parametrize(
    ("status", "document", "reason"),
    [
        (201, {"challengeCode": CODE, "challengeResponse": RIGHT}, "it answered 201, not 200"),
        (404, {}, "it answered 404, not 200"),
        (200, [], NO_CODE),
        (200, {}, NO_CODE),
        (200, {"challengeCode": "other", "challengeResponse": RIGHT}, NO_CODE),
        (200, {"challengeCode": CODE}, WRONG),
        (
            200,
            {"challengeCode": CODE, "challengeResponse": 5},
            WRONG,
        ),
        (
            200,
            {"challengeCode": CODE, "challengeResponse": RIGHT.upper()},
            WRONG,
        ),
        (
            200,
            {"challengeCode": CODE, "challengeResponse": "\ud800"},
            WRONG,
        ),
    ],
)
def test_wrong_answer_fails_with_its_reason(status: int, document: object, reason: str) -> None:
    assert judge(status, json.dumps(document).encode(), CODE, SECRET) == reason


def test_redirect_is_not_followed(
    sender: WebhookSender, recording: tuple[str, list[Request]], answering: Answering
) -> None:
    base, seen = recording
    assert (
        sender.challenge(answering(Answer(302, headers=(("Location", base),))), SECRET)
        == "it answered 302, not 200"
    )
    assert seen == []


def test_endless_answer_is_not_read_to_its_end(sender: WebhookSender, answering: Answering) -> None:
    reason = sender.challenge(answering(Answer(200, b"x" * 1_000_000)), SECRET)
    assert reason == "it could not be called (its answer is longer than 65536 bytes)"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/\u20ac", "http://127.0.0.1:1/a b", f"http://{'a' * 70}.example/"]
)
def test_url_that_cannot_be_called_fails(sender: WebhookSender, url: str) -> None:
    assert sender.challenge(url, SECRET) is not None


def silent(stack: ExitStack, called: threading.Event) -> str:
    """Run a receiver that takes a request and says nothing until it is stopped; gives its URL."""

    def respond(connection: Connection, _: Request) -> None:
        called.set()
        server.stopping.wait()
        connection.cut()

    server = LoopbackServer(0, respond)
    stack.callback(server.close)
    return f"http://127.0.0.1:{server.port}/"


def test_receiver_that_never_ends_its_answer_fails_when_the_time_is_over(stack: ExitStack) -> None:
    def respond(connection: Connection, _: Request) -> None:
        connection.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not server.stopping.wait(0.01):
            connection.wfile.write(b"x")

    server = LoopbackServer(0, respond)
    stack.callback(server.close)
    assert (
        WebhookSender(timeout=0.05).challenge(f"http://127.0.0.1:{server.port}/", SECRET)
        == "it did not answer in time"
    )


# Events


def test_event_has_the_fields_of_the_service() -> None:
    subscription = Subscription("https://a/", "MOVED", SECRET)
    document = json.loads(event_body("DEMO", subscription, [EVENT]))
    assert list(document) == [
        "subscriptionId",
        "timestamp",
        "tenant",
        "version",
        "events",
        "trigger",
    ]
    assert (document["subscriptionId"], document["tenant"]) == (subscription.id, "DEMO")
    assert (document["trigger"], document["events"]) == ("MOVED", [EVENT])


def test_event_has_identifiers_only_where_the_subscription_asks_for_them() -> None:
    subscription = Subscription("https://a/", "MOVED", SECRET, include_identifiers=False)
    assert json.loads(event_body("DEMO", subscription, [EVENT]))["events"] == [
        {**EVENT, "identifiers": []}
    ]


@pytest.fixture
def failing(stack: ExitStack) -> Callable[[int], tuple[str, list[bytes]]]:
    """Run a receiver that fails some times and then takes what comes; gives its URL and the bodies."""

    def failing(times: int) -> tuple[str, list[bytes]]:
        bodies: list[bytes] = []

        def respond(connection: Connection, request: Request) -> None:
            bodies.append(request.body)
            connection.send(json_answer(500 if len(bodies) <= times else 204, {}))

        server = LoopbackServer(0, respond)
        stack.callback(server.close)
        return f"http://127.0.0.1:{server.port}/", bodies

    return failing


Failing = Callable[[int], tuple[str, list[bytes]]]


@pytest.mark.parametrize(
    ("repeats", "fails", "sent", "status"),
    [
        ((0.0, 0.0, 0.0), 2, 3, 204),
        ((0.0, 0.0, 0.0), 9, 4, 500),
        ((0.0,), 0, 1, 204),
        ((), 2, 1, 500),
    ],
)
def test_event_that_is_not_taken_comes_again_where_that_is_chosen(
    start: Callable[..., Sandbox],
    failing: Failing,
    repeats: tuple[float, ...],
    fails: int,
    sent: int,
    status: int,
) -> None:
    box = start(traits=frozenset(), repeats=repeats)
    url, bodies = failing(fails)
    box.seed("DEMO", url, "MOVED", SECRET)
    [result] = box.fire("MOVED", [EVENT]).values()
    assert (result, len(bodies), len(set(bodies))) == (status, sent, 1)
