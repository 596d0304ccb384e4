"""`hooksync.receiver`: what is signed, what is taken, and what is worked on, for any secret, code
and body.
"""

from __future__ import annotations

import ast
import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pyPreservica.webHooksAPI import LambdaURLHandler

from hooksync import receiver as module
from hooksync.receiver import (
    EVENT_PREFIX,
    Answer,
    Event,
    Memory,
    Receiver,
    Refused,
    event_key,
    verify_event,
)

NEW, OLD = "the-new-secret-of-it", "the-old-secret-of-it"
KEYS = {"NEW": NEW.encode(), "OLD": OLD.encode()}
EVENT: Event = {
    "subscriptionId": "9495ddbf7d4a0b9f030a3411c87f967d",
    "timestamp": "2023-10-11T10:52:42.469",
    "trigger": "MOVED",
    "events": [
        {"event": "Moved", "entityType": "IO", "entityRef": "7fdea7e0-1e72-4fb1-aadb-d7f9ee6ed8c2"}
    ],
}
BODY = json.dumps(EVENT).encode()

SECRETS = st.binary(min_size=1, max_size=80)
NAMED_SECRETS = st.dictionaries(st.text(max_size=5), SECRETS, min_size=1, max_size=4)
CODES = st.from_regex("[0-9A-Za-z][ -~]*", fullmatch=True)
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
DOCUMENTS = st.dictionaries(
    st.text(max_size=8), st.none() | st.integers() | st.text(max_size=8), max_size=5
)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver({"NEW": NEW, "OLD": OLD})


def sign(body: bytes, secret: str = NEW) -> str:
    """By the standard library alone, not by the module under test."""
    return hmac.new(
        secret.encode("latin-1"), b"preservica-webhook-auth" + body, hashlib.sha256
    ).hexdigest()


def deliver(
    receiver: Receiver,
    body: bytes = BODY,
    secret: str = NEW,
    work: Callable[[Event], object] = bool,
) -> Answer:
    return receiver.receive("POST", "", {"Preservica-Signature": sign(body, secret)}, body, work)


def challenge(receiver: Receiver, code: str) -> Answer:
    return receiver.receive("POST", f"key=1&challengeCode={quote(code, safe='')}", {}, b"")


# Challenges


@given(CODES)
def test_a_challenge_is_answered_as_pypreservica_answers_it(code: str) -> None:
    receiver, theirs = Receiver({"NEW": NEW}), LambdaURLHandler(NEW, None)
    answer = challenge(receiver, code)
    assume(answer.status == 200)
    expected = theirs.verify_challenge({"queryStringParameters": {"challengeCode": code}})
    assert json.loads(answer.body) == json.loads(expected["body"])
    assert (answer.kind, answer.headers["Content-Type"]) == ("challenge", "application/json")


@given(SECRETS, st.binary(max_size=40))
def test_no_answer_to_a_challenge_is_the_signature_of_an_event(secret: bytes, body: bytes) -> None:
    answer = challenge(Receiver({"NEW": secret}), (EVENT_PREFIX + body).decode("latin-1"))
    assert (answer.status, answer.kind) == (400, "refused")
    assert module.sign_event(secret, body) not in answer.body.decode()


@given(SECRETS, CODES, st.binary(max_size=40))
def test_what_a_challenge_gives_away_verifies_no_event(
    secret: bytes, code: str, body: bytes
) -> None:
    document = json.loads(challenge(Receiver({"NEW": secret}), code).body)
    for signature in (document.get("challengeResponse", ""), code):
        assert verify_event({"NEW": secret}, body, signature) is None


@pytest.mark.parametrize(
    "code",
    [
        "preservica-webhook-auth",
        "preservica-webhook-auth{}",
        '{"a": 1}',
        "[1]",
        '"a bare string"',
        ' {"a": 1}',
        "\n[1]",
        *(json.dumps({"a": 1}).encode(encoding).decode("latin-1") for encoding in ENCODINGS),
        *(json.dumps("text").encode(encoding).decode("latin-1") for encoding in ENCODINGS),
        "\ufeff{}",
        "+a",
        "-1",
        "a\n",
        "a\x7f",
        "caf\u00e9",
        "\u0661",
        "\u20ac",
        "\ud800",
    ],
)
def test_a_code_that_nobody_should_sign_is_refused_without_a_signature(
    receiver: Receiver, code: str
) -> None:
    with pytest.raises(Refused):
        module.answer_challenge(NEW.encode(), code)
    answer = receiver.receive(
        "POST", f"challengeCode={quote(code, safe='', errors='replace')}", {}, b""
    )
    assert (answer.status, answer.kind, list(json.loads(answer.body))) == (
        400,
        "refused",
        ["message"],
    )


@pytest.mark.parametrize("query", ["challengeCode=%FF", "challengeCode=%E2%82%AC"])
def test_a_code_that_is_not_ascii_is_refused(receiver: Receiver, query: str) -> None:
    assert (
        receiver.receive("POST", query, {}, b"").status
        == receiver.receive("POST", query.encode(), {}, b"").status
        == 400
    )


@pytest.mark.parametrize(
    "query", ["challengeCode=c0de", "?challengeCode=c0de", b"key=1&challengeCode=c0de"]
)
def test_the_query_is_taken_as_text_or_bytes_with_or_without_its_mark(
    receiver: Receiver, query: str | bytes
) -> None:
    assert json.loads(receiver.receive("POST", query, {}, b"").body)["challengeCode"] == "c0de"


def test_of_two_codes_the_one_that_is_signed_is_the_one_that_was_judged(receiver: Receiver) -> None:
    answer = receiver.receive(
        "POST", "challengeCode=c0de&challengeCode=preservica-webhook-auth", {}, b""
    )
    assert json.loads(answer.body)["challengeCode"] == "c0de"
    answer = receiver.receive(
        "POST", "challengeCode=preservica-webhook-auth&challengeCode=c0de", {}, b""
    )
    assert answer.status == 400


@pytest.mark.parametrize("query", ["", "?", "challengeCode=", "challengecode=c0de", "code=KEY"])
def test_what_has_no_code_is_no_challenge(receiver: Receiver, query: str) -> None:
    assert receiver.receive("POST", query, {}, b"").status == 401


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "post", ""])
def test_nothing_but_post_is_answered(receiver: Receiver, method: str) -> None:
    answer = receiver.receive(
        method, "challengeCode=c0de", {"Preservica-Signature": sign(BODY)}, BODY
    )
    assert (answer.status, answer.kind, answer.headers["Allow"]) == (405, "refused", "POST")


# Events


@given(NAMED_SECRETS, st.binary(max_size=60), st.data())
def test_an_event_is_told_by_the_secret_that_it_was_signed_with(
    secrets: dict[str, bytes], body: bytes, data: Any
) -> None:
    name = data.draw(st.sampled_from(sorted(secrets)))
    found = verify_event(
        secrets, body, hmac.new(secrets[name], EVENT_PREFIX + body, hashlib.sha256).hexdigest()
    )
    assert found is not None
    # HMAC fills keys up with zeros
    assert secrets[found].rstrip(b"\0") == secrets[name].rstrip(b"\0")


@given(DOCUMENTS, st.integers(min_value=0), st.integers(1, 255))
def test_a_body_that_was_changed_in_one_byte_is_refused(
    document: dict[str, object], where: int, by: int
) -> None:
    body = json.dumps(document).encode()
    changed = bytearray(body)
    changed[where % len(body)] ^= by
    answer = Receiver({"NEW": NEW}).receive(
        "POST", "", {"Preservica-Signature": sign(body)}, bytes(changed)
    )
    assert (answer.status, answer.kind, answer.event) == (401, "refused", None)


@given(st.integers(0, 63), st.sampled_from("0123456789abcdefg\u00e9"))
def test_a_signature_that_was_changed_in_one_digit_is_refused(where: int, digit: str) -> None:
    right = sign(BODY)
    assume(right[where] != digit)
    wrong = right[:where] + digit + right[where + 1 :]
    assert verify_event(KEYS, BODY, wrong) is None


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "0",
        "0" * 64,
        "\u00e9",
        "\ud800",
        "sha256=" + sign(BODY),
        sign(BODY)[:-1],
        f"{sign(BODY)},{sign(BODY)}",
    ],
)
def test_an_odd_signature_is_refused_and_not_an_error(receiver: Receiver, signature: str) -> None:
    assert receiver.receive("POST", "", {"Preservica-Signature": signature}, BODY).status == 401


@pytest.mark.parametrize("others", ["0" * 64, "", sign(BODY)])
def test_an_event_with_several_signature_headers_is_refused(
    receiver: Receiver, others: str
) -> None:
    headers = {"Preservica-Signature": sign(BODY), "preservica-signature": others}
    assert receiver.receive("POST", "", headers, BODY).status == 401


def test_what_is_refused_says_why_in_the_answer_and_for_the_log(receiver: Receiver) -> None:
    answers = {
        "only POST is answered": receiver.receive("GET", "", {}, b""),
        "the challenge code is not printable ASCII beginning with a letter or digit": challenge(
            receiver, "{}"
        ),
        "the challenge code begins like a signed event; the answer could forge one": challenge(
            receiver, "preservica-webhook-auth"
        ),
        "the header Preservica-Signature is missing": receiver.receive("POST", "", {}, BODY),
        "the signature is wrong: another secret, or the body was changed on its way": deliver(
            receiver, secret="other"
        ),
        "the event is not a JSON object": deliver(receiver, b"[]"),
    }
    for reason, answer in answers.items():
        assert (answer.kind, answer.reason, json.loads(answer.body)) == (
            "refused",
            reason,
            {"message": reason},
        )


@pytest.mark.parametrize(
    "name", ["Preservica-Signature", "preservica-signature", "PRESERVICA-SIGNATURE"]
)
@pytest.mark.parametrize("change", [str, str.upper, " {} ".format])
def test_the_header_is_found_in_any_case_and_its_hex_is_taken_in_any(
    receiver: Receiver, name: str, change: Callable[[str], str]
) -> None:
    assert receiver.receive("POST", "", {name: change(sign(BODY))}, BODY).kind == "event"


def test_every_secret_is_compared_in_constant_time_also_after_one_that_fitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[bytes] = []
    original = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(a) or original(a, b))
    assert verify_event(KEYS, BODY, sign(BODY)) == "NEW"
    assert compared == [sign(BODY).encode(), sign(BODY, OLD).encode()]


def test_the_raw_bytes_count_and_not_the_document(receiver: Receiver) -> None:
    body = '{"tenant": "Bibliothèque"}'.encode()
    assert deliver(receiver, body).event == {"tenant": "Bibliothèque"}
    spaced = json.dumps(json.loads(body)).encode()
    assert receiver.receive("POST", "", {"Preservica-Signature": sign(body)}, spaced).status == 401


@pytest.mark.parametrize(
    "body", [b"", b"text", b"[1]", b'"text"', b"\xff", b"[" * 100_000, b'{"a":' * 100_000]
)
def test_a_signed_body_that_is_no_json_object_is_refused(receiver: Receiver, body: bytes) -> None:
    assert deliver(receiver, body).status == 400


def test_an_answer_tells_the_event_and_the_name_of_its_secret(receiver: Receiver) -> None:
    answer = deliver(receiver, secret=OLD)
    assert (answer.status, answer.kind, answer.event, answer.signed_with) == (
        200,
        "event",
        EVENT,
        "OLD",
    )
    assert (json.loads(answer.body), answer.reason) == ({"success": True}, "")


# Duplicates


def test_an_event_that_comes_twice_is_worked_on_once(receiver: Receiver) -> None:
    worked: list[Event] = []
    answers = [deliver(receiver, work=worked.append) for _ in range(3)]
    assert [(each.status, each.kind, each.event) for each in answers[1:]] == [
        (200, "duplicate", None)
    ] * 2
    assert worked == [EVENT]


def test_an_event_of_the_replaced_and_of_the_new_subscription_is_worked_on_once(
    receiver: Receiver,
) -> None:
    """While a subscription is replaced, both are live: the ids differ, and so may the secrets and
    the order of keys.
    """
    twin = json.dumps(
        {**dict(reversed(EVENT.items())), "subscriptionId": "0" * 32}, indent=1
    ).encode()
    assert [deliver(receiver).kind, deliver(receiver, twin, OLD).kind] == ["event", "duplicate"]


@given(DOCUMENTS, DOCUMENTS)
def test_events_that_say_something_else_are_told_apart(one: Event, other: Event) -> None:
    said = [
        {name: value for name, value in each.items() if name != "subscriptionId"}
        for each in (one, other)
    ]
    assert (event_key(one) == event_key(other)) == (
        json.dumps(said[0], sort_keys=True) == json.dumps(said[1], sort_keys=True)
    )


def test_work_that_failed_is_done_when_the_event_comes_again(receiver: Receiver) -> None:
    def fail(_: Event) -> None:
        raise OSError("the catalogue is down")

    with pytest.raises(OSError, match="catalogue"):
        deliver(receiver, work=fail)
    worked: list[Event] = []
    assert deliver(receiver, work=worked.append).kind == "event"
    assert worked == [EVENT]


def test_work_that_raises_a_refusal_of_its_own_is_not_taken_for_one_of_ours(
    receiver: Receiver,
) -> None:
    def fail(_: Event) -> None:
        raise Refused("by the catalogue")

    with pytest.raises(Refused):
        deliver(receiver, work=fail)


def test_of_32_deliveries_at_once_one_is_worked_on(receiver: Receiver) -> None:
    worked: list[Event] = []
    together = threading.Barrier(32)
    with ThreadPoolExecutor(32) as pool:
        jobs = [
            pool.submit(lambda: (together.wait(), deliver(receiver, work=worked.append))[1])
            for _ in range(32)
        ]
        kinds = [job.result().kind for job in jobs]
    assert sorted(kinds) == ["duplicate"] * 31 + ["event"]
    assert worked == [EVENT]


@given(st.integers(0, 4), st.lists(st.sampled_from("abcdef")))
def test_a_memory_holds_the_last_events_and_no_more(size: int, keys: list[str]) -> None:
    memory, held = Memory(size), list[str]()
    for key in keys:
        assert memory.add(key) == (key not in held)
        held = (
            [*held, *([key] if key not in held else [])][-size or len(keys) + 1 :] if size else []
        )


def test_what_was_never_remembered_can_be_forgotten() -> None:
    Memory().discard("never seen")


def test_receivers_that_share_a_memory_work_on_an_event_once() -> None:
    shared = Memory()
    kinds = [deliver(Receiver({"NEW": NEW}, shared)).kind for _ in range(2)]
    assert kinds == ["event", "duplicate"]


# Secrets


@pytest.mark.parametrize(
    "secrets",
    [{}, {"NEW": None}, {"NEW": ""}, {"NEW": b""}, {"NEW": None, "OLD": OLD}, {"NEW": "\u20ac"}],
)
def test_a_receiver_without_a_usable_secret_does_not_start(secrets: dict[str, str | None]) -> None:
    with pytest.raises(ValueError, match=r"the secret|NEW") as caught:
        Receiver(secrets)
    assert "\u20ac" not in f"{caught.value!r}{caught.value.__cause__!r}"


@pytest.mark.parametrize("old", [None, "", b""])
def test_an_old_secret_that_is_not_set_signs_nothing(old: str | None) -> None:
    receiver = Receiver({"NEW": NEW, "OLD": old})
    assert deliver(receiver, secret="").status == 401


def test_a_secret_is_bytes_of_latin_1() -> None:
    assert deliver(Receiver({"NEW": "caf\u00e9"}), secret="caf\u00e9").kind == "event"


def test_neither_the_receiver_nor_its_answers_show_a_secret(receiver: Receiver) -> None:
    shown = f"{receiver!r}{deliver(receiver)!r}{challenge(receiver, 'c0de')!r}{deliver(receiver, secret='x')!r}"
    assert NEW not in shown
    assert OLD not in shown


def test_the_module_is_one_file_for_python_3_9() -> None:
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"), feature_version=(3, 9))
    imported = {each.module for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)}
    assert imported == {"__future__", "collections.abc", "typing", "urllib.parse"}


def test_the_module_says_how_it_changes() -> None:
    assert "By semantic versioning, " in (module.__doc__ or "")
