"""The client against a service over real HTTP: its calls, its repeats, and its reaction to every
answer.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, cast

import pytest

from hooksync.core.clock import Clock
from hooksync.core.errors import AnswerLost, HooksyncError, Rejected
from hooksync.core.model import Secret
from hooksync.sandbox.tenancies import SandboxOptions
from hooksync.service.client import SUBSCRIPTIONS
from tests import clients as shared
from tests.boxes import Sandbox
from tests.clients import Clients
from tests.clocks import JumpingClock
from tests.makers import INDEXED, declared
from tests.wire import Wire, answer

SECRET = Secret('s3cret-with-"quotes"-0123456789')
URL = "https://hooks.example.org/a?code=k3y-of-the-url"
WANTED = declared(URL, INDEXED, include_identifiers=False)

Start = Callable[..., Sandbox]
Serve = Callable[..., Wire]


@pytest.fixture
def start(stack: ExitStack) -> Start:
    def start(*faults: str, **options: Any) -> Sandbox:
        options = {"traits": frozenset({"no-challenge"}), "faults": faults, **options}
        return stack.enter_context(Sandbox(SandboxOptions(**options)))

    return start


@pytest.fixture
def serve(stack: ExitStack) -> Serve:
    """Start a service that answers a log-in, and sends the same bytes to every other call."""

    def serve(data: bytes, *, is_cut: bool = False) -> Wire:
        def respond(wire: Wire, connection: Any, request: bytes) -> bool:
            if b"/accesstoken/" in request:
                connection.sendall(answer(b'{"success": true, "token": "t0ken-0123456789"}'))
                return True
            connection.sendall(data)
            return not is_cut

        return stack.enter_context(Wire(respond))

    return serve


def failure_of(call: Callable[[], object]) -> HooksyncError:
    secret = SECRET.reveal()
    hidden = (secret, json.dumps(secret)[1:-1], "k3y-of-the-url", "t0ken-0123456789")
    return shared.failure_of(call, *hidden)


# calls that succeed


@pytest.mark.parametrize(
    ("link", "is_whole"),
    [
        ('</api/webhook/subscriptions?page=2>; rel="next"', False),
        ("</first>; rel=first, </api/webhook/subscriptions?page=2>; rel=next", False),
        ('</api/webhook/subscriptions>; rel="self"', True),
    ],
)
def test_a_part_of_a_list_does_not_count_as_the_list(
    clients: Clients, serve: Serve, link: str, *, is_whole: bool
) -> None:
    client = clients.client(serve(answer(b"[]", "200 OK", f"Link: {link}")).url)
    if is_whole:
        assert client.list_subscriptions() == ()
    else:
        error = failure_of(client.list_subscriptions)
        assert "a part of the list" in error.summary
        assert not isinstance(error, Rejected)


def test_the_body_of_a_subscribe_is_what_pypreservica_sends(clients: Clients, serve: Serve) -> None:
    wire = serve(answer(b'{"id": "abc"}'))
    assert clients.client(wire.url).subscribe(WANTED, SECRET) == "abc"
    assert wire.request_lines[-1] == f"POST {SUBSCRIPTIONS} HTTP/1.1"
    assert wire.header("Content-Type") == "application/json"
    assert wire.header("Preservica-Access-Token") == "t0ken-0123456789"
    assert json.loads(wire.requests[-1].partition(b"\r\n\r\n")[2]) == {
        "url": URL,
        "triggerType": "FULL_TEXT_INDEXED",
        "secret": SECRET.reveal(),
        "includeIdentifiers": "false",
    }


# repeated calls

LOST = ["status-429", "status-500", "status-501", "gateway-502", "gateway-504", "cut", "half-body"]


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("call", ["login", "list"])
def test_a_log_in_and_a_list_are_repeated_up_to_four_times(
    clients: Clients, start: Start, fault: str, call: str
) -> None:
    box = start(f"{fault}@{call}:4")
    assert clients.client(box.url).list_subscriptions() == ()
    assert box.call_names.count(call) == 5
    assert len(clients.waits) == 4


@pytest.mark.parametrize("fault", [*LOST, "commit-cut"])
def test_a_removal_is_repeated_and_succeeds_if_the_subscription_is_already_gone(
    clients: Clients, start: Start, fault: str
) -> None:
    box = start(f"{fault}@unsubscribe:4")
    clients.client(box.url).unsubscribe(box.seed("DEMO", URL, "MOVED", "whatever-secret"))
    assert box.subscriptions("DEMO") == ()
    assert box.call_names.count("unsubscribe") == 5


@pytest.mark.parametrize(
    ("faults", "is_lost"),
    [
        (["gateway-502@unsubscribe:*"], True),
        (["cut@unsubscribe", "status-500@unsubscribe:*"], True),
        (["status-500@unsubscribe:*"], True),  # a 500 does not exclude that the removal was made
        (["status-202@unsubscribe"], True),
        (["status-403@unsubscribe"], False),
        (["retry-after-0@unsubscribe:*"], False),
    ],
)
def test_a_removal_that_may_have_been_made_counts_as_lost_and_not_as_refused(
    clients: Clients, start: Start, faults: list[str], is_lost: bool
) -> None:
    box = start(*faults)
    error = failure_of(lambda: clients.client(box.url).unsubscribe("1"))
    assert isinstance(error, AnswerLost) == is_lost


@pytest.mark.parametrize("status", [400, 404, 409])
def test_a_refused_list_is_not_repeated(clients: Clients, start: Start, status: int) -> None:
    box = start(f"status-{status}@list:*")
    error = failure_of(clients.client(box.url).list_subscriptions)
    assert isinstance(error, Rejected)
    assert error.status == status
    assert box.call_names == ["login", "list"]


def test_after_a_stop_no_call_is_repeated(clients: Clients, start: Start) -> None:
    box = start("status-503@list:*")
    clients.stop.set()
    error = failure_of(clients.client(box.url).list_subscriptions)
    assert "503" in error.summary
    assert box.call_names == ["login", "list"]


# no subscribe is made twice


@pytest.mark.parametrize(
    "fault",
    [
        *("cut", "commit-cut", "gateway-502", "commit-502", "status-503", "gateway-504"),
        *("half-body", "big"),
    ],
)
def test_a_subscribe_whose_answer_is_lost_is_not_repeated(
    clients: Clients, start: Start, fault: str
) -> None:
    box = start(f"{fault}@subscribe")
    client = clients.client(box.url)
    assert isinstance(failure_of(lambda: client.subscribe(WANTED, SECRET)), AnswerLost)
    assert box.call_names == ["login", "subscribe"]
    assert len(box.subscriptions("DEMO")) == (fault in ("commit-cut", "commit-502", "half-body"))


@pytest.mark.parametrize(
    "data",
    [
        answer(b"", "201 Created"),
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
def test_any_2xx_without_an_error_in_it_is_a_success_without_an_id(
    clients: Clients, serve: Serve, data: bytes
) -> None:
    assert clients.client(serve(data).url).subscribe(WANTED, SECRET) is None


def test_a_subscribe_is_repeated_after_429_only(clients: Clients, start: Start) -> None:
    box = start("retry-after-3@subscribe:4")
    assert clients.client(box.url).subscribe(WANTED, SECRET)
    assert len(box.subscriptions("DEMO")) == 1
    assert box.call_names.count("subscribe") == 5
    assert clients.waits[0] == 3.0
    # once, however often the call is repeated
    [said] = [line for line in clients.said if "busy" in line]
    most = "hooksync waits as long as it asks, at most 60 s for each call"
    assert said == f"{clients.tenancy(box.url).peer} is busy (429): {most}"


def test_a_call_is_repeated_within_two_minutes_only(clients: Clients, start: Start) -> None:
    box = start("retry-after-50@subscribe:*")
    clients.clock = cast(Clock, JumpingClock())
    failure_of(lambda: clients.client(box.url).subscribe(WANTED, SECRET))
    assert box.call_names.count("subscribe") == 3  # a third pause would end after 150 s


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, 'as "catalogue" (hooks.yaml:1:1)'),
        (409, "remove-first"),
        (403, "ROLE_SDB_MANAGER_USER"),
        (302, "redirects"),
        (429, "try again later"),  # always: nothing was done
    ],
)
def test_the_error_of_a_refused_subscribe_gives_advice(
    clients: Clients, start: Start, status: int, advice: str
) -> None:
    box = start(f"status-{status}@subscribe:*")
    error = failure_of(lambda: clients.client(box.url).subscribe(WANTED, SECRET))
    assert isinstance(error, Rejected)
    assert error.status == status
    assert advice in str(error)


# tokens


def test_a_refused_token_is_replaced_and_the_call_is_repeated(
    clients: Clients, start: Start
) -> None:
    box = start("expired-token@subscribe")
    assert clients.client(box.url).subscribe(WANTED, SECRET)
    assert box.call_names == ["login", "subscribe", "login", "subscribe"]


def test_a_token_that_expired_costs_one_log_in_for_sixteen_threads(
    clients: Clients, start: Start
) -> None:
    box = start("expired-token@list:1:1")
    client = clients.client(box.url)
    client.list_subscriptions()
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(lambda _: client.list_subscriptions(), range(64))) == [()] * 64
    assert box.call_names.count("login") == 2
    assert box.connections <= 8


def test_a_fresh_token_that_is_refused_too_is_an_error(clients: Clients, start: Start) -> None:
    box = start("status-401@unsubscribe:*")
    error = failure_of(lambda: clients.client(box.url).unsubscribe("1"))
    assert box.call_names == ["login", "unsubscribe"] * 2
    assert isinstance(error, Rejected)
    assert "the service refused a new token" in str(error)


# a failed read is an error


def test_a_list_without_a_content_length_that_is_cut_is_an_error(
    clients: Clients, serve: Serve
) -> None:
    wire = serve(b'HTTP/1.1 200 OK\r\n\r\n[{"id": "1", "url": "https://h', is_cut=True)
    assert "not JSON" in failure_of(clients.client(wire.url).list_subscriptions).summary


# unreachable servers


def test_a_call_to_a_server_that_refuses_connections_is_not_repeated(
    clients: Clients, start: Start
) -> None:
    box = start()
    box.close()
    error = failure_of(clients.client(box.url).list_subscriptions)
    assert "no connection to the server: Connection refused" in error.summary
    assert clients.waits == []


# secrets in the answers of the service


TOLD = "t0ld-by-the-service-0123"


@pytest.mark.parametrize(
    "field",
    [
        {"id": TOLD},
        {"id": TOLD.encode().hex()},
        {"triggerType": f"MOVED {TOLD}"},
        {"triggerType": base64.b64encode(TOLD.encode()).decode()},
    ],
)
def test_an_id_or_a_trigger_that_holds_a_secret_makes_the_list_an_error(
    clients: Clients, serve: Serve, field: dict[str, str]
) -> None:
    clients.output.redactor.learn([TOLD])
    item = {"id": "1", "url": "https://h.example/a", "triggerType": "MOVED", **field}
    error = failure_of(
        clients.client(serve(answer(json.dumps([item]).encode())).url).list_subscriptions
    )
    assert "contains a secret value" in error.summary
    assert not any(value in str(error) for value in field.values())


def test_a_secret_in_a_foreign_url_is_masked_where_the_list_is_read(
    clients: Clients, serve: Serve
) -> None:
    clients.output.redactor.learn([TOLD])
    item = {"id": "1", "url": f"https://h.example/{TOLD}", "triggerType": "MOVED"}
    [found] = clients.client(serve(answer(json.dumps([item]).encode())).url).list_subscriptions()
    assert (TOLD in found.url.full, TOLD in found.url.shown) == (True, False)


def test_a_new_id_that_holds_a_secret_is_not_used(clients: Clients, serve: Serve) -> None:
    clients.output.redactor.learn([SECRET.reveal()])  # as SecretSources does
    client = clients.client(serve(answer(json.dumps({"id": f"x{SECRET.reveal()}"}).encode())).url)
    assert client.subscribe(WANTED, SECRET) is None


def test_an_id_may_contain_a_short_secret_by_chance(clients: Clients, serve: Serve) -> None:
    clients.output.redactor.learn(["cafe"])
    item = {"id": "00cafe00", "url": "https://h.example/a", "triggerType": "MOVED"}
    [found] = clients.client(serve(answer(json.dumps([item]).encode())).url).list_subscriptions()
    assert found.id == "00cafe00"
