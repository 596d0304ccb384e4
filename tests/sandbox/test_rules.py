"""The rules of the service: bad fields, tenants, second factors, duplicates, and lists that lag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hooksync.receivers.http_server import IncomingRequest
from hooksync.sandbox.tenancies import Subscription
from tests.boxes import Sandbox
from tests.clocks import JumpingClock
from tests.sandbox_faults import Account

SEED = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # of the examples in RFC 6238
URL = "https://hooks.example.org/x"

Start = Callable[..., Sandbox]
Connect = Callable[..., Any]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("url", None), ("url", 5), ("url", "ftp://example.org/")),
        *(("triggerType", None), ("triggerType", "INDEXED"), ("triggerType", ["MOVED"])),
        *(("secret", None), ("secret", "\u20ac")),
    ],
)
def test_a_subscription_with_a_bad_field_is_refused(
    start: Start, connect: Connect, field: str, value: object
) -> None:
    client = connect(start())
    document = {"url": URL, "triggerType": "MOVED", "secret": "of the receiver", field: value}
    given = {name: each for name, each in document.items() if each is not None}
    answer = client.session.post(f"{client.base}/webhook/subscriptions", json=given)
    assert answer.status_code == 400


def test_tenants_neither_see_nor_remove_each_others_subscriptions(
    start: Start, connect: Connect
) -> None:
    box = start(accounts=(Account(tenants=("ONE", "TWO")),))
    one, two = connect(box, "ONE"), connect(box, "TWO")
    identifier = one.subscribe(URL).json()["id"]
    assert two.list().json() == []
    assert two.unsubscribe(identifier).status_code == 404
    assert [each["id"] for each in one.list().json()] == [identifier]


def test_refuse_duplicates_answers_409_for_the_same_url_and_trigger_only(
    start: Start, connect: Connect
) -> None:
    client = connect(start(traits=("refuse-duplicates", "no-challenge")))
    triggers = ("MOVED", "MOVED", "INGEST_FAILED")
    statuses = [client.subscribe(URL, trigger).status_code for trigger in triggers]
    assert statuses == [200, 409, 200]


def test_additions_and_removals_that_lag_take_effect_at_once_and_are_listed_later(
    start: Start, connect: Connect
) -> None:
    clock = JumpingClock()
    box = start(list_lag_additions=5, list_lag_removals=5, clock=clock.now)
    client = connect(box)
    made = client.subscribe(URL).json()
    assert [each.id for each in box.subscriptions("DEMO")] == [made["id"]]
    assert client.list().json() == []
    clock.advance(5)
    assert client.list().json() == [made]
    assert [client.unsubscribe(made["id"]).status_code for _ in "ab"] == [204, 404]
    assert box.subscriptions("DEMO") == ()
    assert client.list().json() == [made]
    clock.advance(5)
    assert client.list().json() == []


def test_no_repr_shows_a_secret() -> None:
    account = Account(password="pass-word", totp_seed=SEED)
    request = IncomingRequest("POST", "/", body=b"se-cret")
    shown = repr((account, Subscription("https://a/", "MOVED", "se-cret"), request))
    assert not any(secret in shown for secret in ("pass-word", SEED, "se-cret"))
