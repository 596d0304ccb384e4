"""The receiver over real HTTP: challenges, events, and what it does not take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from hooksync.receiver import sign_challenge, sign_event
from hooksync.sandbox.http_server import SandboxError
from tests.boxes import Receiver

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


@pytest.mark.parametrize(
    "signature", ["", "0" * 64, sign_event(b"another secret", b"{}"), "\u00e9"]
)
def test_event_with_a_wrong_signature_is_refused(receiver: Receiver, signature: str) -> None:
    assert post(receiver.url("catalogue"), b"{}", Preservica_Signature=signature).status_code == 401
    assert not receiver.answers["catalogue", "event"]
    assert receiver.answers["catalogue", "refused"] == 1


def test_signed_event_that_is_no_json_is_refused(receiver: Receiver) -> None:
    signature = sign_event(NEW.encode(), b"text")
    assert (
        post(receiver.url("catalogue"), b"text", Preservica_Signature=signature).status_code == 400
    )


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


# Together with the sandbox
