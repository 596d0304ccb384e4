"""The rules of the service, without a socket, and with a clock that the test sets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pyotp
import pytest

from hooksync.sandbox.accounts import Account
from hooksync.sandbox.http_server import IncomingRequest, Reply
from hooksync.sandbox.tenancies import SandboxOptions, Subscription
from tests.sandbox_faults import OddRules

SEED = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # of the examples in RFC 6238
NOW = 1_700_000_000.0
GOOD = {"url": "https://hooks.example.org/x", "triggerType": "MOVED", "secret": "of the receiver"}


@dataclass
class Service:
    """The rules, with a clock and an answer of all receivers that the test sets."""

    account: Account = field(default_factory=Account)
    traits: frozenset[str] = frozenset()
    receiver_fails: str | None = None
    now: float = NOW
    token: str = ""
    challenged: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = {
            "traits": self.traits,
            "clock": lambda: self.now,
            **self.options,
        }
        self.rules = OddRules(SandboxOptions((self.account,), **given), self.challenge)
        self.tenancies = self.rules.tenancies

    def challenge(self, url: str, secret: str) -> str | None:
        self.challenged.append(url)
        return self.receiver_fails

    def call(self, method: str, path: str, body: bytes = b"") -> Reply:
        headers = {"preservica-access-token": self.token}
        return self.rules.answer(IncomingRequest(method, path, headers=headers, body=body))

    def post_form(self, name: str, **form: str) -> tuple[int, dict[str, Any]]:
        answer = self.call("POST", f"/api/accesstoken/{name}", urlencode(form).encode())
        return answer.status, json.loads(answer.body)

    def log_in(self, **form: str) -> tuple[int, dict[str, Any]]:
        form = {"username": self.account.username, "password": self.account.password} | form
        status, document = self.post_form("login", **form)
        self.token = document.get("token", "")
        return status, document

    def subscribe(self, **changes: object) -> tuple[int, Any]:
        document = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
        answer = self.call("POST", "/api/webhook/subscriptions", json.dumps(document).encode())
        return answer.status, json.loads(answer.body)

    def list(self) -> Any:
        return json.loads(self.call("GET", "/api/webhook/subscriptions").body)


@pytest.fixture
def service() -> Service:
    service = Service()
    service.log_in(tenant="DEMO")
    return service


# Logging in


def test_continuation_token_works_once() -> None:
    service = Service(Account(totp_seed=SEED))
    continuation = service.log_in()[1]["continuationToken"]
    code = pyotp.TOTP(SEED).at(int(NOW))
    assert [complete(service, continuation, code)[0] for _ in range(2)] == [200, 401]


def complete(service: Service, continuation: str, code: str) -> tuple[int, dict[str, Any]]:
    form = {"username": service.account.username, "tenant": "DEMO"}
    return service.post_form(
        "complete-2fa", **form, continuationToken=continuation, twoFactorToken=code
    )


# Other documents


# Subscriptions


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"url": None}, "url"),
        ({"url": 5}, "url"),
        ({"url": "ftp://example.org/"}, "url"),
        ({"triggerType": None}, "triggerType"),
        ({"triggerType": "INDEXED"}, "triggerType"),
        ({"triggerType": ["MOVED"]}, "triggerType"),
        ({"secret": None}, "secret"),
        ({"secret": ""}, "secret"),
        ({"secret": 7}, "secret"),
        ({"secret": "\u20ac"}, "secret"),
        ({"includeIdentifiers": "yes"}, "includeIdentifiers"),
    ],
)
def test_the_refusal_of_a_bad_field_names_the_field(
    service: Service, changes: dict[str, object], reason: str
) -> None:
    status, document = service.subscribe(**changes)
    assert status == 400
    assert document["message"].startswith(reason)
    assert service.challenged == []


def test_tenants_neither_see_nor_remove_each_others_subscriptions() -> None:
    service = Service(Account(tenants=("ONE", "TWO")))
    service.log_in(tenant="ONE")
    subscription_id = service.subscribe()[1]["id"]
    service.log_in(tenant="TWO")
    assert service.list() == []
    assert service.call("DELETE", f"/api/webhook/subscriptions/{subscription_id}").status == 404
    service.log_in(tenant="ONE")
    assert [each["id"] for each in service.list()] == [subscription_id]


# Traits: possible behaviour of the real service


def with_trait(trait: str) -> Service:
    service = Service(traits=frozenset({trait}))
    service.log_in()
    return service


def test_refuse_duplicates_answers_409_for_the_same_url_and_trigger_only() -> None:
    service = with_trait("refuse-duplicates")
    statuses = [
        service.subscribe()[0],
        service.subscribe()[0],
        service.subscribe(triggerType="INGEST_FAILED")[0],
    ]
    assert statuses == [200, 409, 200]


# A list that lags


def lagging(*traits: str, **seconds: float) -> Service:
    service = Service(
        traits=frozenset(traits),
        options={f"list_lag_{changes}": lag for changes, lag in seconds.items()},
    )
    service.log_in()
    return service


def test_an_addition_that_lags_takes_effect_at_once_and_is_listed_later() -> None:
    service = lagging(additions=5)
    _, made = service.subscribe()
    assert [each.id for each in service.tenancies.held_by("DEMO")] == [made["id"]]
    assert service.list() == []
    service.now += 4.9
    assert service.list() == []
    service.now += 0.1
    assert service.list() == [made]


def test_a_removal_that_lags_takes_effect_at_once_and_is_still_listed_for_a_while() -> None:
    service = lagging(removals=5)
    _, made = service.subscribe()
    statuses = [
        service.call("DELETE", f"/api/webhook/subscriptions/{made['id']}").status for _ in range(2)
    ]
    assert statuses == [204, 404]
    assert service.tenancies.held_by("DEMO") == ()
    service.now += 4.9
    assert service.list() == [made]
    service.now += 0.1
    assert service.list() == []


def test_no_repr_shows_a_secret() -> None:
    account = Account(password="pass-word", totp_seed=SEED)
    shown = repr(
        (
            account,
            Subscription("https://a/", "MOVED", "se-cret"),
            IncomingRequest("POST", "/", body=b"se-cret"),
        )
    )
    assert not any(secret in shown for secret in ("pass-word", SEED, "se-cret"))
