"""Every way to log in, over real HTTP. Refused credentials are tried only once, because a service
may lock the account.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qsl

import pytest

from hooksync.core.errors import (
    SecretError,
)
from hooksync.sandbox.tenancies import SandboxOptions
from tests.boxes import Sandbox
from tests.clients import ENVIRON, OTHER_SEED, SEED, SHORT_SEED, USERNAME, Clients, failure_of
from tests.sandbox_faults import Account
from tests.wire import Wire, answer, saying

WITH_SEED = {**ENVIRON, "PRESERVICA_2FA_TOKEN": SEED}

Start = Callable[..., Sandbox]


@pytest.fixture
def start(stack: ExitStack) -> Start:
    def start(
        *faults: str,
        **options: Any,
    ) -> Sandbox:
        account = Account(**({"tenants": ("OTHER", "DEMO")} | options))
        settings = SandboxOptions(accounts=(account,), faults=faults)
        return stack.enter_context(Sandbox(settings))

    return start


# by password


def test_without_a_declared_tenant_the_client_takes_the_tenant_of_the_service(
    clients: Clients, start: Start
) -> None:
    clients.tenant = None
    client = clients.client(start().url)
    assert client.tenant is None
    client.list_subscriptions()
    assert client.tenant == "OTHER"


@pytest.mark.parametrize("tenant", ["DEMO", None])
def test_the_log_in_form_is_what_pypreservica_sends(
    clients: Clients, stack: ExitStack, tenant: str | None
) -> None:
    wire = stack.enter_context(Wire(saying(answer(b'{"token": "t0ken", "tenant": "DEMO"}'))))
    clients.tenant = tenant
    clients.environ["PRESERVICA_PASSWORD"] = "p&ss=w\u00f6rd +%"
    clients.client(wire.url).token()
    form = dict(parse_qsl(wire.requests[0].partition(b"\r\n\r\n")[2].decode()))
    more = {"tenant": "DEMO"} if tenant else {"includeUserDetails": "true"}
    assert form == {"username": USERNAME, "password": "p&ss=w\u00f6rd +%", **more}
    assert wire.header("Content-Type") == "application/x-www-form-urlencoded"


def test_a_wrong_password_is_tried_once_by_all_threads_together(
    clients: Clients, start: Start
) -> None:
    clients.environ["PRESERVICA_PASSWORD"] = "wr0ng-password"
    box = start()
    client = clients.client(box.url)
    barrier = threading.Barrier(16)

    def fail(_: int) -> str:
        barrier.wait(300)
        return str(failure_of(client.list_subscriptions, "wr0ng-password"))

    with ThreadPoolExecutor(16) as threads:
        errors = set(threads.map(fail, range(16)))
    errors.add(str(failure_of(client.list_subscriptions, "wr0ng-password")))
    assert box.call_names == ["login"]
    [error] = errors
    assert "POST /api/accesstoken/login -> 401: " in error
    assert (
        "check username env:PRESERVICA_USERNAME, password env:PRESERVICA_PASSWORD and the tenant"
        in error
    )


@pytest.mark.parametrize("fault", ["empty-body", "not-json", "wrong-shape"])
def test_a_log_in_answer_without_a_token_is_an_error_and_not_repeated(
    clients: Clients, start: Start, fault: str
) -> None:
    box = start(f"{fault}@login:*")
    client = clients.client(box.url)
    for _ in range(3):
        error = failure_of(client.list_subscriptions)
        assert "POST /api/accesstoken/login -> 200: " in error.summary
        assert "check that `server` is a Preservica server" in str(error)
    assert box.call_names == ["login"]


@pytest.mark.parametrize("fault", ["status-503", "cut"])
def test_a_log_in_that_failed_temporarily_can_succeed_later(
    clients: Clients, start: Start, fault: str
) -> None:
    box = start(f"{fault}@login:5")
    client = clients.client(box.url)
    failure_of(client.list_subscriptions)
    assert client.list_subscriptions() == ()


def test_a_missing_password_is_an_error_that_names_its_variable(
    clients: Clients, start: Start
) -> None:
    del clients.environ["PRESERVICA_PASSWORD"]
    box = start()
    error = failure_of(clients.client(box.url).list_subscriptions)
    assert isinstance(error, SecretError)
    assert "not set: password env:PRESERVICA_PASSWORD" in error.summary
    assert "validate needs none" in error.problems[0].fix
    assert box.call_names == []


# with a second factor


def test_a_log_in_with_a_second_factor_can_take_the_tenant_of_the_service(
    clients: Clients, start: Start
) -> None:
    clients.environ, clients.tenant = WITH_SEED, None
    client = clients.client(start(totp_seed=SEED).url)
    client.list_subscriptions()
    assert client.tenant == "OTHER"


@pytest.mark.parametrize("written", [SHORT_SEED, SHORT_SEED.lower(), "GEZD GNBV GY3T QOJQ"])
def test_a_seed_of_sixteen_characters_works_although_pyotp_finds_it_short(
    clients: Clients, start: Start, written: str
) -> None:
    clients.environ = {**ENVIRON, "PRESERVICA_2FA_TOKEN": written}
    assert clients.client(start(totp_seed=SHORT_SEED).url).list_subscriptions() == ()


@pytest.mark.parametrize(
    "seed", ["no-base32-s33d!", "GEZDGNBV", "s33d-\u00f6\u00e4\u00fc", "GEZDGNBVGY3TQOJ1", " "]
)
def test_an_invalid_seed_is_an_error_that_names_its_variable(
    clients: Clients, start: Start, seed: str
) -> None:
    clients.environ = {**ENVIRON, "PRESERVICA_2FA_TOKEN": seed}
    box = start(totp_seed=SEED)
    client = clients.client(box.url)
    for _ in range(2):
        error = failure_of(client.list_subscriptions, *filter(str.strip, [seed]))
        assert isinstance(error, SecretError)
        assert "env:PRESERVICA_2FA_TOKEN is not a base32 seed" in error.summary
    assert box.call_names == ["login"]


def test_a_wrong_seed_is_tried_once(clients: Clients, start: Start) -> None:
    clients.environ = {**ENVIRON, "PRESERVICA_2FA_TOKEN": OTHER_SEED}
    box = start(totp_seed=SEED)
    client = clients.client(box.url)
    for _ in range(3):
        error = failure_of(client.list_subscriptions)
        assert "check the TOTP seed env:PRESERVICA_2FA_TOKEN and this machine's clock" in str(error)
    assert box.call_names == ["login", "complete-2fa"]


def test_without_pyotp_a_second_factor_is_an_error_that_names_the_extra_to_install(
    clients: Clients, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyotp", None)
    clients.environ = WITH_SEED
    error = failure_of(clients.client(start(totp_seed=SEED).url).list_subscriptions)
    assert "pyotp is not installed" in error.summary
    assert 'install the extra "totp"' in str(error)


def test_a_second_factor_that_is_not_set_up_is_an_error_that_refers_to_a_browser(
    clients: Clients, start: Start
) -> None:
    box = start("needs-2fa-setup@login:*")
    client = clients.client(box.url)
    for _ in range(2):
        error = failure_of(client.list_subscriptions)
        assert "in a browser once, and set up the second factor" in str(error)
    assert box.call_names == ["login"]


def test_the_tokens_of_a_second_factor_are_hidden(clients: Clients, start: Start) -> None:
    clients.environ = WITH_SEED
    error = failure_of(
        clients.client(start("echo@complete-2fa:*", totp_seed=SEED).url).list_subscriptions
    )
    assert error.summary.endswith("-> 400: ***")  # the echo has escapes
