"""The client against a service over real HTTP: what it sends, what it repeats, and what it makes of
every answer.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from hooksync.core.clock import Clock
from hooksync.core.errors import AnswerLost, HooksyncError, Rejected, ServiceError
from hooksync.core.model import HookUrl, Secret
from hooksync.core.record import replace
from hooksync.sandbox.accounts import Account
from hooksync.sandbox.tenancies import SandboxOptions
from hooksync.service.client import SUBSCRIPTIONS
from hooksync.service.http import CallRecord, RetryPolicy, Transport
from tests.boxes import Sandbox
from tests.clients import PASSWORD, Clients, Patience
from tests.makers import INDEXED, declared
from tests.wire import Wire, answer, cutting

SECRET = Secret('s3cret-with-"quotes"-0123456789')
URL = "https://hooks.example.org/a?code=k3y-of-the-url"
WANTED = declared(URL, INDEXED, include_identifiers=False)
ITEM = {"id": "1", "url": "https://h.example/a", "triggerType": "MOVED"}

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
    """Answer a log-in, and then one thing to everything else."""

    def serve(data: bytes, *, is_cut: bool = False) -> Wire:
        def respond(wire: Wire, connection: Any, request: bytes) -> bool:
            if b"/accesstoken/" in request:
                connection.sendall(answer(b'{"success": true, "token": "t0ken-0123456789"}'))
                return True
            connection.sendall(data)
            return not is_cut

        return stack.enter_context(Wire(respond))

    return serve


def failure_of(call: Callable[[], object]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        call()
    shown = str(caught.value)
    for hidden in (
        PASSWORD,
        SECRET.reveal(),
        json.dumps(SECRET.reveal())[1:-1],
        "k3y-of-the-url",
        "t0ken-0123456789",
    ):
        assert hidden not in shown
    assert len(caught.value.problems[0].what) < 400
    assert "\n  fix: " in shown
    return caught.value


def names(box: Sandbox) -> list[str]:
    return [call.name for call in box.calls]


# the plain way


def test_a_list_takes_two_requests_on_one_connection(clients: Clients, start: Start) -> None:
    box = start()
    identifier = box.seed("DEMO", URL, "MOVED", "whatever-secret")
    [live] = clients.client(box.url).list_subscriptions()
    assert (live.id, live.url.full, live.trigger.wire, live.include_identifiers) == (
        identifier,
        URL,
        "MOVED",
        True,
    )
    assert names(box) == ["login", "list"]
    assert box.connections == 1
    assert clients.waits == []


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


def test_a_subscription_is_made_and_removed(clients: Clients, start: Start) -> None:
    box = start()
    client = clients.client(box.url)
    identifier = client.subscribe(WANTED, SECRET)
    [held] = box.subscriptions("DEMO")
    assert (held.id, held.url, held.trigger, held.include_identifiers) == (
        identifier,
        URL,
        "FULL_TEXT_INDEXED",
        False,
    )
    assert held.secret == SECRET.reveal()
    client.unsubscribe(held.id)
    assert box.subscriptions("DEMO") == ()
    client.unsubscribe(held.id)  # gone already
    assert names(box) == ["login", "subscribe", "unsubscribe", "unsubscribe"]


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


def test_calls_are_told_to_the_watcher_without_secrets(clients: Clients, start: Start) -> None:
    box = start("status-503@list")
    client = clients.client(box.url)
    client.list_subscriptions()
    client.subscribe(WANTED, SECRET)
    assert [(record.request, record.result) for record in clients.records] == [
        ("POST /api/accesstoken/login", "200"),
        (f"GET {SUBSCRIPTIONS}", "503"),
        (f"GET {SUBSCRIPTIONS}", "200"),
        (f"POST {SUBSCRIPTIONS}", "200"),
    ]
    assert {record.peer for record in clients.records} == {f"prod ({box.url})"}
    assert all(isinstance(record, CallRecord) and record.seconds >= 0 for record in clients.records)


@pytest.mark.parametrize(
    "traits", ["minimal-list", "string-flags", "answer-without-id", "normalise-urls", "number-ids"]
)
def test_whichever_way_the_service_has_it_is_understood(
    clients: Clients, start: Start, traits: str
) -> None:
    box = start(traits=frozenset({"no-challenge", traits}))
    client = clients.client(box.url)
    identifier = client.subscribe(WANTED, SECRET)
    [live] = client.list_subscriptions()
    assert identifier == (None if traits == "answer-without-id" else live.id)
    assert live.include_identifiers is (None if traits == "minimal-list" else False)
    assert live.key == WANTED.key


# what is repeated

LOST = ["status-429", "status-502", "gateway-502", "gateway-503", "gateway-504", "cut", "half-body"]


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("call", ["login", "list"])
def test_reading_is_repeated_up_to_four_times(
    clients: Clients, start: Start, fault: str, call: str
) -> None:
    box = start(f"{fault}@{call}:4")
    assert clients.client(box.url).list_subscriptions() == ()
    assert names(box).count(call) == 5
    assert len(clients.waits) == 4


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("call", ["login", "list"])
def test_reading_fails_after_the_fifth_try(
    clients: Clients, start: Start, fault: str, call: str
) -> None:
    box = start(f"{fault}@{call}:*")
    failure_of(clients.client(box.url).list_subscriptions)
    assert names(box).count(call) == 5


@pytest.mark.parametrize("fault", [*LOST, "commit-cut"])
def test_a_removal_is_repeated_and_gone_is_gone(clients: Clients, start: Start, fault: str) -> None:
    box = start(f"{fault}@unsubscribe:4")
    clients.client(box.url).unsubscribe(box.seed("DEMO", URL, "MOVED", "whatever-secret"))
    assert box.subscriptions("DEMO") == ()
    assert names(box).count("unsubscribe") == 5


@pytest.mark.parametrize(
    ("faults", "is_lost"),
    [
        (["gateway-502@unsubscribe:*"], True),
        (["cut@unsubscribe", "status-500@unsubscribe"], True),
        (["status-500@unsubscribe"], True),  # it says that it failed, not that it did nothing
        (["status-202@unsubscribe"], True),
        (["status-403@unsubscribe"], False),
        (["retry-after-0@unsubscribe:*"], False),
    ],
)
def test_a_removal_that_may_have_been_carried_out_is_lost_not_refused(
    clients: Clients, start: Start, faults: list[str], is_lost: bool
) -> None:
    box = start(*faults)
    error = failure_of(lambda: clients.client(box.url).unsubscribe("1"))
    assert isinstance(error, AnswerLost) == is_lost


def test_a_service_that_is_out_is_waited_for_by_one_change_and_not_by_each(
    clients: Clients, start: Start
) -> None:
    box = start("gateway-503@unsubscribe:7")
    client = clients.client(box.url)
    for _ in range(3):
        failure_of(lambda: client.unsubscribe("1"))
    assert names(box).count("unsubscribe") == 5 + 1 + 1
    client.unsubscribe("1")  # it is back
    assert names(box).count("unsubscribe") == 8
    assert len(clients.waits) == 4


def test_a_look_is_patient_with_a_service_that_is_out(clients: Clients, start: Start) -> None:
    box = start("gateway-503@unsubscribe:5", "gateway-503@list:4")
    client = clients.client(box.url)
    failure_of(lambda: client.unsubscribe("1"))
    assert client.list_subscriptions() == ()


class Restarting(Patience):
    """A wait in which the service starts again, on the port that it had."""

    def __init__(self, start: Callable[[], object]) -> None:
        super().__init__()
        self.start = start

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        if not self.waits:
            self.start()
        return super().wait(stop, seconds)


@pytest.mark.parametrize("call", ["list", "unsubscribe", "subscribe"])
def test_a_service_that_restarts_is_waited_for(clients: Clients, start: Start, call: str) -> None:
    box = start()
    again: list[Sandbox] = []
    clients.clock = Restarting(lambda: again.append(start(port=int(box.url.rpartition(":")[2]))))
    client = clients.client(box.url)
    client.list_subscriptions()
    box.close()
    calls: dict[str, Callable[[], object]] = {
        "list": client.list_subscriptions,
        "unsubscribe": lambda: client.unsubscribe("1"),
        "subscribe": lambda: client.subscribe(WANTED, SECRET),
    }
    calls[call]()
    assert names(again[0]) == [call, "login", call]
    assert len(again[0].subscriptions("DEMO")) == (call == "subscribe")


def test_a_call_that_takes_too_long_is_repeated(stack: ExitStack, start: Start) -> None:
    transport = Transport(0.2, 1, {})
    stack.callback(transport.close)
    clients = Clients(transport)
    box = start("stall-30@list")
    assert clients.client(box.url).list_subscriptions() == ()
    assert clients.results == ["200", "no complete answer within 0.2 s", "200"]


@pytest.mark.parametrize("status", [400, 404, 409, 500, 501])
def test_a_plain_no_is_not_repeated(clients: Clients, start: Start, status: int) -> None:
    box = start(f"status-{status}@list:*")
    error = failure_of(clients.client(box.url).list_subscriptions)
    assert isinstance(error, Rejected)
    assert error.status == status
    assert names(box) == ["login", "list"]


def test_retry_after_in_seconds_is_waited_for(clients: Clients, start: Start) -> None:
    clients.client(start("retry-after-7@list", "busy-9@list").url).list_subscriptions()
    assert clients.waits == [7.0, 9.0]


def test_retry_after_as_a_date_is_waited_for(clients: Clients, start: Start) -> None:
    clients.client(start("retry-after-date-30@list").url).list_subscriptions()
    [wait] = clients.waits
    assert wait is not None
    assert 1 < wait <= 30


def test_after_a_stop_nothing_is_repeated(clients: Clients, start: Start) -> None:
    box = start("status-503@list:*")
    clients.stop.set()
    error = failure_of(clients.client(box.url).list_subscriptions)
    assert "503" in error.summary
    assert names(box) == ["login", "list"]


def test_a_stop_ends_a_wait_at_once(stack: ExitStack, start: Start) -> None:
    class Announced(Clock):
        def wait(self, stop: threading.Event, seconds: float) -> bool:
            waiting.set()
            return super().wait(stop, seconds)

    waiting, stop = threading.Event(), threading.Event()
    clients = Clients(
        stop=stop,
        clock=Announced(),
        policy=RetryPolicy(first_wait=3000, longest_wait=3000, window=100_000),
    )
    stack.callback(clients.transport.close)
    box = start("status-503@list:*")
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(clients.client(box.url).list_subscriptions)
        assert waiting.wait(30)
        stop.set()
        assert isinstance(call.exception(30), Rejected)


# subscribing is never done twice


@pytest.mark.parametrize(
    "fault", ["cut", "commit-cut", "gateway-502", "commit-502", "status-503", "gateway-504"]
)
def test_a_subscribe_whose_answer_is_lost_is_not_repeated(
    clients: Clients, start: Start, fault: str
) -> None:
    box = start(f"{fault}@subscribe")
    client = clients.client(box.url)
    assert isinstance(failure_of(lambda: client.subscribe(WANTED, SECRET)), AnswerLost)
    assert names(box) == ["login", "subscribe"]
    assert len(box.subscriptions("DEMO")) == ("commit" in fault)


@pytest.mark.parametrize("fault", ["empty-body", "not-json", "half-body", "status-201", "big"])
def test_an_answer_to_a_subscribe_that_makes_no_sense_leaves_it_open(
    clients: Clients, start: Start, fault: str
) -> None:
    box = start(f"{fault}@subscribe")
    assert isinstance(
        failure_of(lambda: clients.client(box.url).subscribe(WANTED, SECRET)), AnswerLost
    )
    assert names(box) == ["login", "subscribe"]


def test_a_subscribe_is_repeated_after_429_only(clients: Clients, start: Start) -> None:
    box = start("retry-after-3@subscribe:4")
    assert clients.client(box.url).subscribe(WANTED, SECRET)
    assert len(box.subscriptions("DEMO")) == 1
    assert names(box).count("subscribe") == 5
    assert clients.waits[0] == 3.0


def test_a_subscribe_that_only_ever_meets_429_was_surely_not_made(
    clients: Clients, start: Start
) -> None:
    box = start("status-429@subscribe:*")
    error = failure_of(lambda: clients.client(box.url).subscribe(WANTED, SECRET))
    assert isinstance(error, Rejected)
    assert not isinstance(error, AnswerLost)


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, 'as "catalogue" (hooks.yaml:1:1)'),
        (409, "plan again"),
        (403, "ROLE_SDB_MANAGER_USER"),
        (302, "redirects"),
    ],
)
def test_a_refused_subscribe_says_what_to_do(
    clients: Clients, start: Start, status: int, advice: str
) -> None:
    box = start(f"status-{status}@subscribe")
    error = failure_of(lambda: clients.client(box.url).subscribe(WANTED, SECRET))
    assert isinstance(error, Rejected)
    assert error.status == status
    assert advice in str(error)


def test_an_answer_that_echoes_the_call_gives_nothing_away(clients: Clients, start: Start) -> None:
    clients.redactor.learn(["k3y-of-the-url"])
    box = start("echo@subscribe", "echo@login:*:1")
    client = clients.client(box.url)
    error = failure_of(lambda: client.subscribe(WANTED, SECRET))
    assert "-> 400: " in error.summary
    assert "***" in error.summary
    assert SECRET.reveal()[:8] not in error.summary  # its quotation marks are escaped twice there


def test_an_answer_that_echoes_the_log_in_gives_nothing_away(
    clients: Clients, start: Start
) -> None:
    error = failure_of(clients.client(start("echo@login").url).list_subscriptions)
    assert "cannot take" in error.summary


# tokens


def test_a_token_that_was_refused_is_replaced_and_the_call_made_again(
    clients: Clients, start: Start
) -> None:
    box = start("expired-token@subscribe")
    assert clients.client(box.url).subscribe(WANTED, SECRET)
    assert names(box) == ["login", "subscribe", "login", "subscribe"]


def test_a_token_that_ran_out_by_time_costs_one_log_in_for_sixteen_threads(
    clients: Clients, start: Start
) -> None:
    now = [1_000_000.0]
    box = start(token_seconds=60, clock=lambda: now[0])
    client = clients.client(box.url)
    client.list_subscriptions()
    now[0] += 61
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(lambda _: client.list_subscriptions(), range(64))) == [()] * 64
    assert names(box).count("login") == 2
    assert box.connections <= 8


@pytest.mark.parametrize("call", ["list", "unsubscribe", "subscribe"])
def test_a_fresh_token_that_is_refused_too_is_an_error(
    clients: Clients, start: Start, call: str
) -> None:
    box = start(f"status-401@{call}:*")
    client = clients.client(box.url)
    calls: dict[str, Callable[[], object]] = {
        "list": client.list_subscriptions,
        "unsubscribe": lambda: client.unsubscribe("1"),
        "subscribe": lambda: client.subscribe(WANTED, SECRET),
    }
    error = failure_of(calls[call])
    assert names(box) == ["login", call, "login", call]
    assert isinstance(error, Rejected)
    assert "the service refused a new token" in str(error)


def test_a_user_without_the_role_is_told_which_ones_will_do(clients: Clients, start: Start) -> None:
    box = start(accounts=(Account(roles=("ROLE_SDB_READER",)),))
    error = failure_of(clients.client(box.url).list_subscriptions)
    assert "403" in error.summary
    assert "ROLE_SDB_MANAGER_USER, ROLE_SDB_ADMIN_USER, ROLE_SDB_CONFIG_MANAGER_USER" in str(error)


# a failed read is an error


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b'{"subscriptions": []}',
        b"<html><body>" + b"welcome to the portal " * 1000 + b"</body></html>",
        json.dumps([ITEM, ITEM]).encode(),
        json.dumps([{"id": "1", "triggerType": "MOVED"}]).encode(),
        json.dumps([{**ITEM, "includeIdentifiers": 5}]).encode(),
        b'["' + b"\x1b[31m" * 100 + b'"]',
    ],
)
def test_a_list_that_makes_no_sense_is_an_error_that_quotes_a_little_of_it(
    clients: Clients, serve: Serve, body: bytes
) -> None:
    wire = serve(answer(body))
    error = failure_of(clients.client(wire.url).list_subscriptions)
    assert not isinstance(error, AnswerLost)
    assert error.summary.startswith(f"GET {SUBSCRIPTIONS} -> 200: ")
    assert error.summary.isprintable()
    assert len(error.summary) < 256 + 120
    assert len(wire.requests) == 2


def test_a_list_that_is_cut_where_no_length_was_announced_is_an_error(
    clients: Clients, serve: Serve
) -> None:
    wire = serve(b'HTTP/1.1 200 OK\r\n\r\n[{"id": "1", "url": "https://h', is_cut=True)
    assert "not JSON" in failure_of(clients.client(wire.url).list_subscriptions).summary


def test_a_list_that_is_too_large_is_fetched_only_once(clients: Clients, serve: Serve) -> None:
    wire = serve(
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"[" * 70_000_000, is_cut=True
    )
    error = failure_of(clients.client(wire.url).list_subscriptions)
    assert "larger than" in error.summary
    assert len(wire.requests) == 2


# ids


@pytest.mark.parametrize("identifier", ["", ".", ".."])
def test_an_id_that_would_lead_elsewhere_is_refused(
    clients: Clients, serve: Serve, identifier: str
) -> None:
    wire = serve(answer(b"", "204 No Content"))
    error = failure_of(lambda: clients.client(wire.url).unsubscribe(identifier))
    assert f'the id "{identifier}"' in error.summary
    assert wire.requests == []


def test_a_server_that_is_not_there_is_not_asked_again(clients: Clients, start: Start) -> None:
    box = start()
    box.close()
    error = failure_of(clients.client(box.url).list_subscriptions)
    assert "the server refuses connections" in error.summary
    assert clients.waits == []


def test_the_url_of_a_subscription_may_be_any_text(clients: Clients, serve: Serve) -> None:
    wire = serve(answer(b"{}"))
    odd = replace(declared(), url=HookUrl("x", "https://h/\u00e9\U0001f600"))
    assert clients.client(wire.url).subscribe(odd, SECRET) is None
    assert (
        json.loads(wire.requests[-1].partition(b"\r\n\r\n")[2])["url"]
        == "https://h/\u00e9\U0001f600"
    )


def test_one_client_fails_without_the_others(
    clients: Clients, start: Start, stack: ExitStack
) -> None:
    good = start()
    bad = stack.enter_context(Wire(cutting(b"")))
    with pytest.raises(HooksyncError):
        clients.client(bad.url).list_subscriptions()
    assert clients.client(good.url).list_subscriptions() == ()


# what a service tells that must not be seen


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
    clients.redactor.learn([TOLD])
    item = {"id": "1", "url": "https://h.example/a", "triggerType": "MOVED", **field}
    error = failure_of(
        clients.client(serve(answer(json.dumps([item]).encode())).url).list_subscriptions
    )
    assert "holds a secret value" in error.summary
    assert not any(value in str(error) for value in field.values())


def test_a_new_id_that_holds_a_secret_is_a_lost_answer(clients: Clients, serve: Serve) -> None:
    client = clients.client(serve(answer(json.dumps({"id": f"x{SECRET.reveal()}"}).encode())).url)
    assert isinstance(failure_of(lambda: client.subscribe(WANTED, SECRET)), AnswerLost)


def test_a_short_secret_in_an_id_is_there_by_chance(clients: Clients, serve: Serve) -> None:
    clients.redactor.learn(["cafe"])
    item = {"id": "00cafe00", "url": "https://h.example/a", "triggerType": "MOVED"}
    [found] = clients.client(serve(answer(json.dumps([item]).encode())).url).list_subscriptions()
    assert found.id == "00cafe00"


def test_a_live_url_is_shown_as_the_file_declares_it_or_without_what_must_not_be_seen(
    clients: Clients, serve: Serve
) -> None:
    clients.redactor.learn([TOLD, "k3y"])
    urls = {
        f"https://H.example:443/{TOLD}": "https://h.example/${KEY}",
        "https://h.example/k3y/x?k3y": "https://h.example/***/x?***",
        f"https://h.example/{TOLD}/": "https://h.example/***/",
        f"https://h.example/%74{TOLD[1:]}": "https://h.example/***",
        f"https://{TOLD.encode().hex()}.example/": "https://***.example/",
    }
    items = [
        {"id": str(number), "url": url, "triggerType": "MOVED"} for number, url in enumerate(urls)
    ]
    wire = serve(answer(json.dumps(items).encode()))
    explained = replace(
        WANTED, url=HookUrl("https://h.example/${KEY}", f"https://h.example/{TOLD}")
    )
    client = clients.client(wire.url, subscriptions=(explained,))
    assert [one.url.shown for one in client.list_subscriptions()] == list(urls.values())
