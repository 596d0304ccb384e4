"""The sandbox over real HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from hooksync.sandbox.tenancies import SandboxOptions
from tests.boxes import Sandbox

Start = Callable[..., Sandbox]
Connect = Callable[..., Any]

LOG_IN = {"username": "archivist@example.org", "password": "sandbox-password"}
URL = "https://hooks.example.org/x?code=a-key-in-the-query"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("LOCALHOST:{port}", 200),
        ("[::1]:{port}", 200),
        ("evil.example:{port}", 421),
        ("user@localhost:{port}", 421),
        ("localhost:1", 421),
        ("", 421),
    ],
)
def test_a_web_page_cannot_reach_the_sandbox_under_its_own_host_name(
    start: Start, host: str, status: int
) -> None:
    box = start()
    own = {"Host": host.format(port=box.url.rpartition(":")[2])}
    for _ in range(2):  # the second on a new connection, because a refused body is not read
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


def test_close_ends_calls_that_a_fault_delays() -> None:
    with ThreadPoolExecutor(1) as pool:
        with Sandbox(SandboxOptions(faults=("slow-3600@login",))) as box:
            waiting = pool.submit(requests.post, f"{box.url}/api/accesstoken/login", data=LOG_IN)
        assert isinstance(waiting.exception(), requests.ConnectionError)
