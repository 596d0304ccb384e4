"""Fixtures for the tests of the sandbox: sandboxes, plain HTTP clients and receivers."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from hooksync.sandbox.tenancies import SandboxOptions
from tests.boxes import Sandbox

USERNAME = "archivist@example.org"
PASSWORD = "sandbox-password"


class Client:
    """A plain client of one sandbox, logged in as the default account."""

    def __init__(self, box: Sandbox, tenant: str | None = "DEMO", **credentials: str) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.base = f"{box.url}/api"
        self.form = {"username": USERNAME, "password": PASSWORD, **credentials}
        self.form |= {"tenant": tenant} if tenant else {"includeUserDetails": "true"}
        self.log_in()

    def log_in(self) -> dict[str, Any]:
        answer = self.session.post(f"{self.base}/accesstoken/login", data=self.form)
        assert answer.status_code == 200, answer.text
        self.session.headers["Preservica-Access-Token"] = answer.json()["token"]
        return answer.json()

    def list(self) -> requests.Response:
        return self.session.get(f"{self.base}/webhook/subscriptions", allow_redirects=False)

    def subscribe(
        self, url: str, trigger: str = "MOVED", secret: str = "a-shared-secret-of-tests"
    ) -> requests.Response:
        document = {
            "url": url,
            "triggerType": trigger,
            "secret": secret,
            "includeIdentifiers": "true",
        }
        return self.session.post(
            f"{self.base}/webhook/subscriptions", json=document, allow_redirects=False
        )

    def unsubscribe(self, subscription_id: str) -> requests.Response:
        return self.session.delete(f"{self.base}/webhook/subscriptions/{subscription_id}")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the proxy variables, so that no request leaves the machine."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def start(stack: ExitStack) -> Callable[..., Sandbox]:
    """Return a function that starts a sandbox, without challenges unless `traits` is given."""

    def start(**options: Any) -> Sandbox:
        return stack.enter_context(
            Sandbox(SandboxOptions(**{"traits": frozenset({"no-challenge"}), **options}))
        )

    return start


@pytest.fixture
def connect(stack: ExitStack) -> Callable[..., Client]:
    """Return a function that logs in to a sandbox."""

    def connect(box: Sandbox, tenant: str | None = "DEMO", **credentials: str) -> Client:
        client = Client(box, tenant, **credentials)
        stack.callback(client.session.close)
        return client

    return connect
