"""The receiver of the sandbox over real HTTP: challenges, events and refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from hooksync.receiver import sign_challenge, sign_event
from hooksync.sandbox.http_server import SandboxError
from tests.boxes import Receiver

OLD, NEW = "the-old-secret-of-it", "the-new-secret-of-it"


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


def test_a_challenge_is_answered_with_the_first_secret(receiver: Receiver) -> None:
    answer = post(f"{receiver.url('catalogue')}?code=KEY&challengeCode=c0de")
    assert answer.json() == {
        "challengeCode": "c0de",
        "challengeResponse": sign_challenge(NEW.encode(), b"c0de"),
    }
    assert receiver.answers["catalogue", "challenge"] == 1
    assert receiver.answers["alerts", "challenge"] == 0


def test_an_event_signed_for_a_different_receiver_is_refused(receiver: Receiver) -> None:
    signature = sign_event(b"another secret", b"{}")
    assert post(receiver.url("catalogue"), b"{}", Preservica_Signature=signature).status_code == 401
    assert not receiver.answers["catalogue", "event"]
    assert receiver.answers["catalogue", "refused"] == 1


def test_an_unknown_receiver_name_is_answered_with_404(receiver: Receiver) -> None:
    assert post(f"{receiver.url('nobody')}?challengeCode=c0de").status_code == 404


def test_a_running_receiver_accepts_a_new_secret(receiver: Receiver) -> None:
    receiver.set_secret("alerts", "a fresh secret")
    answer = post(f"{receiver.url('alerts')}?challengeCode=c0de")
    assert answer.json()["challengeResponse"] == sign_challenge(b"a fresh secret", b"c0de")


@pytest.mark.parametrize("secrets", [[], [""], ["\u20ac"]])
def test_secret_that_cannot_sign_is_refused_without_being_shown(secrets: list[str]) -> None:
    with pytest.raises(SandboxError, match="receiver") as caught:
        Receiver({"x": secrets})
    assert "\u20ac" not in str(caught.value)
