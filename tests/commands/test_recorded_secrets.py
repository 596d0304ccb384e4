"""`hooksync verify --record-state`: what an event was signed with is what the state knows of its
subscription.
"""

from __future__ import annotations

import json

import pytest

from hooksync.receiver import sign_event
from tests.conftest import SECRET, URL_KEY, Place, Run

OTHER = "an-old-secret-of-somebody-0123456789"


def seed(place: Place, secret: str = SECRET, trigger: str = "MOVED") -> str:
    return place.box.seed("DEMO", f"{place.environ['RECEIVER']}?code={URL_KEY}", trigger, secret)


def record(
    place: Place, identifier: object, *arguments: str, secret: str = SECRET, **fields: str
) -> Run:
    event = {
        "subscriptionId": identifier,
        "trigger": "MOVED",
        "tenant": "demo",
        "events": [],
        **fields,
    }
    body = json.dumps(event).encode()
    (place.folder / "event.json").write_bytes(body)
    signature = sign_event(secret.encode(), body)
    return place.run(
        "verify",
        "event.json",
        "--signature",
        signature,
        "-f",
        "hooks.yaml",
        "--record-state",
        *arguments,
    )


def known(place: Place) -> dict[str, str]:
    """Tell what plan knows of the secrets of what is live, by the address."""
    steps = place.run("plan", "--format", "json").json["tenancies"][0]["steps"]
    return {
        step["address"]: step["secret"]["state"] for step in steps if step["action"] != "subscribe"
    }


def test_the_secret_of_a_subscription_made_by_hand_is_known_once_an_event_of_it_is_recorded(
    place: Place,
) -> None:
    moved, indexed = seed(place), seed(place, trigger="FULL_TEXT_INDEXED")
    assert known(place) == {"prod/catalogue/INDEXED": "unknown", "prod/catalogue/MOVED": "unknown"}
    done = record(place, moved)
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "signed with env:CATALOGUE_SECRET (declared for prod/catalogue)\n"
        "the state knows now that prod/catalogue/MOVED has it\n"
    )
    assert known(place) == {"prod/catalogue/INDEXED": "unknown", "prod/catalogue/MOVED": "same"}
    done = record(place, indexed, "--json", trigger="FULL_TEXT_INDEXED")
    assert done.json["recorded"] == "prod/catalogue/INDEXED"
    assert set(known(place).values()) == {"same"}
    assert not place.run("plan", "--detailed-exitcode").code


def test_a_subscription_that_signs_with_another_secret_than_the_state_knew_is_to_be_replaced(
    place: Place,
) -> None:
    place.run("apply", "--yes")
    made = next(each.id for each in place.box.subscriptions("DEMO") if each.trigger == "MOVED")
    place.environ["OLD_SECRET"] = OTHER
    done = record(place, made, "--secret", "env:OLD_SECRET", secret=OTHER)
    assert done.out.endswith("that prod/catalogue/MOVED has it\n")
    assert known(place) == {"prod/catalogue/INDEXED": "same", "prod/catalogue/MOVED": "changed"}


@pytest.mark.parametrize(
    ("identifier", "arguments", "fields", "told"),
    [
        (
            "9" * 32,
            ("--target", "prod/catalogue/INDEXED"),
            {},
            "the event may be of no declared subscription",
        ),
        ("9" * 32, (), {"tenant": "ANOTHER"}, "the event may be of no declared subscription"),
        (7, (), {}, "the event does not name its subscription"),
        ("::error::x", (), {}, "the event does not name its subscription"),
    ],
)
def test_an_event_that_may_be_of_no_or_another_subscription_is_not_recorded(
    place: Place, identifier: object, arguments: tuple[str, ...], fields: dict[str, str], told: str
) -> None:
    place.environ["PRESERVICA_TENANT"] = "DEMO"
    place.write((place.folder / "hooks.yaml").read_text().replace("    tenant: DEMO\n", ""))
    done = record(place, identifier, *arguments, **fields)
    assert (done.code, told in done.err) == (3, True), done.err
    assert not (place.folder / "hooks.state.json").exists()


def test_what_nobody_signed_changes_no_state(place: Place) -> None:
    assert record(place, seed(place), secret="a-secret-of-nobody-0123456789").code == 1
    assert not (place.folder / "hooks.state.json").exists()
