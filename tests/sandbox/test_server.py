"""The sandbox over real HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from hooksync.sandbox.accounts import Account
from hooksync.sandbox.http_server import Refusal, SandboxError
from hooksync.sandbox.tenancies import SandboxOptions
from tests.boxes import Sandbox

Start = Callable[..., Sandbox]
Connect = Callable[..., Any]

LOG_IN = {"username": "archivist@example.org", "password": "sandbox-password"}
URL = "https://hooks.example.org/x?code=a-key-in-the-query"


def test_subscription_comes_is_listed_and_goes(start: Start, connect: Connect) -> None:
    box = start()
    client = connect(box)
    made = client.subscribe(URL).json()
    assert client.list().json() == [made]
    assert client.unsubscribe(made["id"]).status_code == 204
    assert client.list().json() == []
    assert box.subscriptions("DEMO") == ()


def test_list_lags_by_the_clock_and_not_by_waiting(start: Start, connect: Connect) -> None:
    now = [0.0]
    box = start(list_lag_additions=5.0, clock=lambda: now[0])
    client = connect(box)
    client.subscribe(URL)
    assert client.list().json() == []
    now[0] = 5.0
    assert [each["id"] for each in client.list().json()] == [
        each.id for each in box.subscriptions("DEMO")
    ]


def test_what_is_done_by_hand_is_listed_at_once(start: Start, connect: Connect) -> None:
    box = start(list_lag_additions=5.0, list_lag_removals=5.0, clock=lambda: 0.0)
    client = connect(box)
    seeded = [box.seed("DEMO", URL, "MOVED", "a secret") for _ in range(2)]
    client.subscribe(URL)
    assert [each["id"] for each in client.list().json()] == seeded
    box.remove("DEMO", seeded[0])
    client.unsubscribe(seeded[1])
    assert [each["id"] for each in client.list().json()] == seeded[1:]


def test_one_client_needs_one_connection(start: Start, connect: Connect) -> None:
    box = start()
    client = connect(box)
    for _ in range(5):
        client.list()
    assert box.connections == 1
    assert {call.connection for call in box.calls} == {1}


def test_calls_are_kept_with_name_method_path_and_status_in_order(
    start: Start, connect: Connect
) -> None:
    box = start()
    client = connect(box)
    client.list()
    client.unsubscribe("0" * 32)
    client.session.get(f"{box.url}/favicon.ico")
    assert [(call.name, call.method, call.path, call.status) for call in box.calls] == [
        ("login", "POST", "/api/accesstoken/login", 200),
        ("list", "GET", "/api/webhook/subscriptions", 200),
        ("unsubscribe", "DELETE", f"/api/webhook/subscriptions/{'0' * 32}", 404),
        ("unknown", "GET", "/favicon.ico", 404),
    ]


def test_log_holds_no_secret_no_token_and_no_query(start: Start, connect: Connect) -> None:
    log: list[dict[str, object]] = []
    client = connect(start(log=log.append))
    client.subscribe(URL, secret="a-secret-that-is-not-shown")
    client.session.get(f"{client.base}/webhook/subscriptions?token=in-the-query")
    assert [entry["kind"] for entry in log] == ["call"] * 3
    shown = repr(log)
    hidden = (
        "a-secret-that-is-not-shown",
        "sandbox-password",
        "a-key-in-the-query",
        "in-the-query",
    )
    assert not any(
        secret in shown for secret in (*hidden, client.session.headers["Preservica-Access-Token"])
    )


def test_32_clients_at_once_lose_nothing(start: Start, connect: Connect) -> None:
    box = start()
    clients = [connect(box) for _ in range(32)]

    def work(client: Any) -> object:
        ids = [client.subscribe(URL).json()["id"] for _ in range(4)]
        assert [client.unsubscribe(each).status_code for each in ids[:3]] == [204, 204, 204]
        return ids[3]

    with ThreadPoolExecutor(32) as pool:
        left = set(pool.map(work, clients))
    assert {each.id for each in box.subscriptions("DEMO")} == left
    assert len(left) == 32
    assert box.connections == 32


def test_requests_in_flight_are_counted_at_their_peak(start: Start, connect: Connect) -> None:
    """Four log-ins meet at a barrier inside the service, so that all are under way at once."""
    barrier = threading.Barrier(4)
    box = start(clock=lambda: float(barrier.wait()))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: connect(box), range(4)))
    assert box.max_in_flight == 4


def test_token_expires(start: Start, connect: Connect) -> None:
    client = connect(start(token_seconds=0.0))
    assert client.list().status_code == 401


def test_tenants_are_separate_and_each_account_sees_its_own(start: Start, connect: Connect) -> None:
    accounts = (Account(tenants=("ONE", "TWO")), Account("other@example.org", "pw", ("THREE",)))
    box = start(accounts=accounts)
    ids = {
        "ONE": connect(box, None).subscribe(URL).json()["id"],
        "TWO": connect(box, "TWO").subscribe(URL).json()["id"],
        "THREE": (
            connect(box, "THREE", username="other@example.org", password="pw")
            .subscribe(URL)
            .json()["id"]
        ),
    }
    assert {tenant: [each.id for each in box.subscriptions(tenant)] for tenant in ids} == {
        tenant: [each] for tenant, each in ids.items()
    }


def test_seeded_subscription_is_listed_and_may_vanish(start: Start, connect: Connect) -> None:
    box = start(traits=frozenset())
    client = connect(box)
    seeded = box.seed("DEMO", URL, "INGEST_FAILED", "a secret", include_identifiers=False)
    assert client.list().json() == [
        {"id": seeded, "url": URL, "triggerType": "INGEST_FAILED", "includeIdentifiers": False}
    ]
    box.remove("DEMO", seeded)
    assert client.list().json() == []
    with pytest.raises(Refusal):
        box.remove("DEMO", seeded)


def test_latency_lets_every_call_through(start: Start, connect: Connect) -> None:
    client = connect(start(latency=0.001))
    assert client.list().json() == []


def test_request_in_chunks_is_understood(start: Start, connect: Connect) -> None:
    box = start()
    form = [b"username=archivist%40example.org&", b"password=sandbox-", b"password"]
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    with requests.post(
        f"{box.url}/api/accesstoken/login", data=iter(form), headers=headers
    ) as answer:
        assert answer.status_code == 200


def test_client_that_stops_in_the_middle_of_a_body_harms_nobody(
    start: Start, connect: Connect
) -> None:
    box = start()
    host = box.url.removeprefix("http://")
    with socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2]))) as half:
        half.sendall(
            f"POST /api/accesstoken/login HTTP/1.1\r\nHost: {host}\r\nContent-Length:"
            " 100\r\n\r\nuser".encode()
        )
    assert connect(box).list().json() == []


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("LOCALHOST:{port}", 200),
        ("[::1]:{port}", 200),
        ("evil.example:{port}", 421),
        ("127.0.0.1.evil.example:{port}", 421),
        ("localhost.:{port}", 421),
        ("user@localhost:{port}", 421),
        ("localhost:1", 421),
        ("localhost", 421),
        ("", 421),
    ],
)
def test_a_web_page_cannot_reach_the_sandbox_under_a_name_of_its_own(
    start: Start, host: str, status: int
) -> None:
    box = start()
    own = {"Host": host.format(port=box.url.rpartition(":")[2])}
    for _ in range(2):  # the second one on a new connection, for a refused body was not read
        answer = requests.post(f"{box.url}/api/accesstoken/login", data=LOG_IN, headers=own)
        assert answer.status_code == status
        assert ("token" in answer.json()) == (status == 200)
        assert "message" in answer.json() or status == 200


# Starting and stopping


def test_close_leaves_no_thread_behind(connect: Connect) -> None:
    before = set(threading.enumerate())
    with Sandbox() as box:
        client = connect(box)
    assert set(threading.enumerate()) == before
    with pytest.raises(requests.ConnectionError):
        client.list()


@pytest.mark.parametrize("options", [{"latency": 3600.0}, {"faults": ("stall-3600@login",)}])
def test_close_ends_calls_that_are_to_wait(options: dict[str, Any]) -> None:
    with ThreadPoolExecutor(1) as pool:
        with Sandbox(SandboxOptions(**options)) as box:
            waiting = pool.submit(requests.post, f"{box.url}/api/accesstoken/login", data=LOG_IN)
        assert isinstance(waiting.exception(), requests.ConnectionError)


def test_close_ends_calls_that_wait_with_their_answer() -> None:
    is_done = threading.Event()

    def clock() -> float:
        is_done.set()
        return 0.0

    with ThreadPoolExecutor(1) as pool:
        with Sandbox(SandboxOptions(faults=("slow-3600@login",), clock=clock)) as box:
            waiting = pool.submit(requests.post, f"{box.url}/api/accesstoken/login", data=LOG_IN)
            is_done.wait()
        assert isinstance(waiting.exception(), requests.ConnectionError)


def test_port_that_is_taken_is_a_clear_error() -> None:
    with Sandbox() as box:
        port = int(box.url.rpartition(":")[2])
        with pytest.raises(
            SandboxError, match=f"cannot listen on 127.0.0.1:{port}: .*; choose another port"
        ):
            Sandbox(SandboxOptions(port=port))


def test_port_is_free_again_at_once(start: Start) -> None:
    with Sandbox() as box:
        port = int(box.url.rpartition(":")[2])
    assert start(port=port).url == box.url


def test_what_nobody_expected_is_raised_when_the_sandbox_closes() -> None:
    def broken() -> float:
        raise ZeroDivisionError("a bug in the sandbox")

    box = Sandbox(SandboxOptions(clock=broken))
    with pytest.raises(requests.ConnectionError):
        requests.post(f"{box.url}/api/accesstoken/login", data=LOG_IN)
    with pytest.raises(ZeroDivisionError, match="a bug in the sandbox"):
        box.close()
