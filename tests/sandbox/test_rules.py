"""The rules of the service, without a socket, and with a clock that the test sets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pyotp
import pytest

from hooksync.sandbox.accounts import Account, one_time_code
from hooksync.sandbox.faults import CALLS
from hooksync.sandbox.http_server import Answer, Request, SandboxError
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

    def call(self, method: str, path: str, body: bytes = b"") -> Answer:
        headers = {"preservica-access-token": self.token}
        return self.rules.answer(Request(method, path, headers=headers, body=body))

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


def test_a_log_in_whose_body_is_no_form_is_refused(service: Service) -> None:
    assert service.call("POST", "/api/accesstoken/login", b"\xff{}").status == 401


@pytest.mark.parametrize("drift", [-90, 90])
def test_a_one_time_code_of_a_different_time_is_refused(drift: int) -> None:
    service = Service(Account(totp_seed=SEED))
    continuation = service.log_in()[1]["continuationToken"]
    assert complete(service, continuation, pyotp.TOTP(SEED).at(int(NOW) + drift))[0] == 401


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


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (20000000000, "353130"),
    ],
)
def test_one_time_codes_are_those_of_rfc_6238(moment: int, code: str) -> None:
    assert one_time_code(SEED, moment // 30) == code


def test_seed_that_is_not_base32_is_refused_at_once() -> None:
    with pytest.raises(SandboxError, match="not base32"):
        Account(totp_seed="0189")


@pytest.mark.parametrize(
    ("method", "path"),
    [call for call in CALLS if "accesstoken" not in call[1]]
    + [("DELETE", f"/api/webhook/subscriptions/{'0' * 32}")],
)
def test_every_call_except_a_log_in_needs_a_token(method: str, path: str) -> None:
    assert Service().call(method, path).status == 401


# Other documents


def test_the_user_details_contain_the_roles(service: Service) -> None:
    assert json.loads(service.call("GET", "/api/user/details").body) == {
        "roles": ["ROLE_SDB_MANAGER_USER"]
    }


def test_version_is_xml(service: Service) -> None:
    answer = service.call("GET", "/api/entity/versiondetails/version")
    assert b"<CurrentVersion>7.5.0</CurrentVersion>" in answer.body
    assert answer.content_type == "application/xml"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("PUT", "/api/user/details"), ("DELETE", "/api/webhook/subscriptions/")],
)
def test_an_unknown_path_or_method_is_answered_with_404(
    service: Service, method: str, path: str
) -> None:
    assert service.call(method, path).status == 404


# Subscriptions


@pytest.mark.parametrize(
    "role", ["ROLE_SDB_MANAGER_USER", "ROLE_SDB_ADMIN_USER", "ROLE_SDB_CONFIG_MANAGER_USER"]
)
def test_each_of_three_roles_may_manage_subscriptions(role: str) -> None:
    service = Service(Account(roles=("ROLE_OTHER", role)))
    service.log_in()
    assert service.subscribe()[0] == 200


@pytest.mark.parametrize(
    ("flag", "kept"),
    [("true", True), ("false", False), (True, True), (False, False), (None, False)],
)
def test_flag_may_be_a_text_or_a_boolean_or_left_out(
    service: Service, flag: object, kept: bool
) -> None:
    assert service.subscribe(includeIdentifiers=flag)[1]["includeIdentifiers"] is kept


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


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff", b"[" * 100_000])
def test_body_that_is_no_json_object_is_refused(service: Service, body: bytes) -> None:
    assert service.call("POST", "/api/webhook/subscriptions", body).status == 400


def test_an_extra_trigger_of_the_sandbox_is_accepted(service: Service) -> None:
    assert service.subscribe(triggerType="ENTITY_DELETED")[1]["triggerType"] == "ENTITY_DELETED"


def test_a_second_subscription_for_the_same_url_and_trigger_is_accepted(service: Service) -> None:
    ids = {service.subscribe()[1]["id"], service.subscribe()[1]["id"]}
    assert {each["id"] for each in service.list()} == ids


def test_removal_answers_204_once_and_404_afterwards(service: Service) -> None:
    path = f"/api/webhook/subscriptions/{service.subscribe()[1]['id']}"
    assert service.call("DELETE", path) == Answer(204)
    assert service.call("DELETE", path).status == 404


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
            Request("POST", "/", body=b"se-cret"),
        )
    )
    assert not any(secret in shown for secret in ("pass-word", SEED, "se-cret"))
