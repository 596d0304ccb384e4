"""The receiver over real HTTP: challenges, events, and what it does not take."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from hooksync.receiver import EVENT_PREFIX, sign_challenge, sign_event
from hooksync.sandbox.http_server import SandboxError
from tests.boxes import Receiver, Sandbox

OLD, NEW = "the-old-secret-of-it", "the-new-secret-of-it"
EVENT = {
    "event": "Moved",
    "entityType": "IO",
    "entityRef": "7fdea7e0-1e72-4fb1-aadb-d7f9ee6ed8c2",
    "identifiers": [],
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver({"catalogue": [NEW, OLD], "alerts": ["another secret"]}) as receiver:
        yield receiver


def post(url: str, body: Any = b"", **headers: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.post(
            url,
            data=body,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )


@pytest.mark.parametrize(
    "query", ["challengeCode=c0de", "code=KEY&challengeCode=c0de", "challengeCode=c0de&x="]
)
def test_challenge_is_answered_under_the_first_secret(receiver: Receiver, query: str) -> None:
    answer = post(f"{receiver.url('catalogue')}?{query}")
    assert answer.json() == {
        "challengeCode": "c0de",
        "challengeResponse": sign_challenge(NEW.encode(), b"c0de"),
    }
    assert receiver.answers["catalogue", "challenge"] == 1
    assert receiver.answers["alerts", "challenge"] == 0


@pytest.mark.parametrize("secret", [NEW, OLD])
@pytest.mark.parametrize("is_chunked", [True, False])
def test_event_signed_with_either_secret_is_taken(
    receiver: Receiver, secret: str, is_chunked: bool
) -> None:
    body = b'{"events": []}'
    sent = iter([body[:5], body[5:]]) if is_chunked else body
    answer = post(
        receiver.url("catalogue"), sent, Preservica_Signature=sign_event(secret.encode(), body)
    )
    assert answer.status_code == 200
    assert json.loads(receiver.last["catalogue"]) == {"events": []}


@pytest.mark.parametrize(
    "signature", ["", "0" * 64, sign_event(b"another secret", b"{}"), "\u00e9"]
)
def test_event_with_a_wrong_signature_is_refused(receiver: Receiver, signature: str) -> None:
    assert post(receiver.url("catalogue"), b"{}", Preservica_Signature=signature).status_code == 401
    assert not receiver.answers["catalogue", "event"]
    assert receiver.answers["catalogue", "refused"] == 1


def test_event_without_a_signature_is_refused(receiver: Receiver) -> None:
    assert post(receiver.url("catalogue"), b"{}").status_code == 401


def test_signed_event_that_is_no_json_is_refused(receiver: Receiver) -> None:
    signature = sign_event(NEW.encode(), b"text")
    assert (
        post(receiver.url("catalogue"), b"text", Preservica_Signature=signature).status_code == 400
    )


def test_challenge_that_would_sign_an_event_is_not_answered(receiver: Receiver) -> None:
    answer = post(f"{receiver.url('catalogue')}?challengeCode={EVENT_PREFIX.decode()}%7B%7D")
    assert answer.status_code == 400
    assert sign_event(NEW.encode(), b"{}") not in answer.text
    assert receiver.answers["catalogue", "refused"] == 1


def test_a_secret_is_bytes_of_latin_1() -> None:
    with Receiver({"cafe": ["caf\u00e9"]}) as receiver:
        answer = post(f"{receiver.url('cafe')}?challengeCode=c0de")
    assert answer.json()["challengeResponse"] == sign_challenge(b"caf\xe9", b"c0de")


def test_receiver_of_another_name_is_not_there(receiver: Receiver) -> None:
    assert post(f"{receiver.url('nobody')}?challengeCode=c0de").status_code == 404


def test_receiver_takes_nothing_but_post(receiver: Receiver) -> None:
    with requests.get(receiver.url("catalogue")) as answer:
        assert answer.status_code == 405


def test_secret_is_rotated_while_the_receiver_runs(receiver: Receiver) -> None:
    receiver.set_secret("alerts", "a fresh secret")
    answer = post(f"{receiver.url('alerts')}?challengeCode=c0de")
    assert answer.json()["challengeResponse"] == sign_challenge(b"a fresh secret", b"c0de")


def test_receiver_is_added_while_others_run(receiver: Receiver) -> None:
    receiver.set_secret("late", "a fresh secret")
    assert post(f"{receiver.url('late')}?challengeCode=c0de").status_code == 200


@pytest.mark.parametrize("secrets", [[], [""], ["\u20ac"]])
def test_secret_that_cannot_sign_is_refused_without_being_shown(secrets: list[str]) -> None:
    with pytest.raises(SandboxError, match="receiver") as caught:
        Receiver({"x": secrets})
    assert "\u20ac" not in str(caught.value)


def test_32_challenges_at_once_are_answered(receiver: Receiver) -> None:
    with ThreadPoolExecutor(32) as pool:
        answers = pool.map(
            lambda n: post(f"{receiver.url('catalogue')}?challengeCode={n}"), range(32)
        )
        assert [answer.json()["challengeCode"] for answer in answers] == [str(n) for n in range(32)]
    assert receiver.answers["catalogue", "challenge"] == 32


def test_close_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    with Receiver({"x": ["a secret"]}) as receiver:
        post(f"{receiver.url('x')}?challengeCode=c0de")
    assert set(threading.enumerate()) == before


# Together with the sandbox


def test_sandbox_takes_a_receiver_that_knows_the_secret_and_no_other(
    start: Callable[..., Sandbox], connect: Callable[..., Any], receiver: Receiver
) -> None:
    client = connect(start(traits=frozenset()))
    statuses = [
        client.subscribe(receiver.url("catalogue"), secret=secret).status_code
        for secret in (NEW, OLD)
    ]
    assert statuses == [200, 400]


def test_event_reaches_every_subscriber_of_its_trigger(
    start: Callable[..., Sandbox], receiver: Receiver
) -> None:
    box = start()
    ids = [box.seed("DEMO", receiver.url("catalogue"), "MOVED", secret) for secret in (NEW, OLD)]
    box.seed("DEMO", receiver.url("catalogue"), "INGEST_FAILED", NEW)
    deliveries = box.fire("MOVED", [EVENT])
    assert deliveries == dict.fromkeys(ids, 200)
    assert receiver.answers["catalogue", "event"] == 2
    assert json.loads(receiver.last["catalogue"])["subscriptionId"] == ids[1]
    assert not receiver.answers["alerts", "event"]
