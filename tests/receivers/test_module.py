"""`hooksync.receiver`: the codes that it signs and the events that it works on, for any secret,
code and body.
"""

from __future__ import annotations

import ast
import asyncio
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pyPreservica.webHooksAPI import LambdaURLHandler

from hooksync import __version__
from hooksync import receiver as module
from hooksync.receiver import (
    EVENT_PREFIX,
    Answer,
    BadRequest,
    Event,
    Receiver,
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

SECRETS = st.binary(min_size=16, max_size=80).filter(lambda secret: secret[-1:] not in b"\n\r")
NAMED_SECRETS = st.dictionaries(st.text(max_size=5), SECRETS, min_size=1, max_size=4)
CODES = st.from_regex("[0-9A-Za-z][ -~]*", fullmatch=True)
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
DOCUMENTS = st.dictionaries(
    st.text(max_size=8), st.none() | st.integers() | st.text(max_size=8), max_size=5
)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver("catalogue", {"NEW": NEW, "OLD": OLD})


def sign(body: bytes, secret: str = NEW) -> str:
    """Sign a body with the standard library alone, not with the module under test."""
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


def deliver_async(receiver: Receiver, work: Callable[[Event], object] = bool) -> Answer:
    headers = {"Preservica-Signature": sign(BODY)}
    return asyncio.run(receiver.receive_async("POST", "", headers, BODY, work))


def ask(
    receiver: Receiver, method: str, query: str | bytes, headers: dict[str, str], body: bytes
) -> Answer:
    return receiver.receive(method, query, headers, body, bool)


def challenge(receiver: Receiver, code: str) -> Answer:
    return ask(receiver, "POST", f"key=1&challengeCode={quote(code, safe='')}", {}, b"")


# Challenges


@given(CODES)
def test_a_challenge_is_answered_as_pypreservica_answers_it(code: str) -> None:
    receiver, theirs = Receiver("catalogue", {"NEW": NEW}), LambdaURLHandler(NEW, None)
    answer = challenge(receiver, code)
    assume(answer.status == 200)
    expected = theirs.verify_challenge({"queryStringParameters": {"challengeCode": code}})
    assert json.loads(answer.body) == json.loads(expected["body"])
    assert (answer.kind, answer.headers["Content-Type"]) == ("challenge", "application/json")


@given(SECRETS, st.binary(max_size=40))
def test_no_answer_to_a_challenge_is_the_signature_of_an_event(secret: bytes, body: bytes) -> None:
    answer = challenge(
        Receiver("catalogue", {"NEW": secret}), (EVENT_PREFIX + body).decode("latin-1")
    )
    assert (answer.status, answer.kind) == (400, "refused")
    assert module.sign_event(secret, body) not in answer.body.decode()


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
def test_a_code_that_is_dangerous_to_sign_is_refused_without_a_signature(
    receiver: Receiver, code: str
) -> None:
    with pytest.raises(BadRequest):
        module.answer_challenge(NEW.encode(), code)
    answer = ask(
        receiver, "POST", f"challengeCode={quote(code, safe='', errors='replace')}", {}, b""
    )
    assert (answer.status, answer.kind, list(json.loads(answer.body))) == (
        400,
        "refused",
        ["message"],
    )


@pytest.mark.parametrize(
    "query", ["challengeCode=c0de", "?challengeCode=c0de", b"key=1&challengeCode=c0de"]
)
def test_the_query_may_be_text_or_bytes_with_or_without_a_question_mark(
    receiver: Receiver, query: str | bytes
) -> None:
    assert json.loads(ask(receiver, "POST", query, {}, b"").body)["challengeCode"] == "c0de"


def test_of_two_codes_only_the_first_is_checked_and_signed(receiver: Receiver) -> None:
    answer = ask(
        receiver, "POST", "challengeCode=c0de&challengeCode=preservica-webhook-auth", {}, b""
    )
    assert json.loads(answer.body)["challengeCode"] == "c0de"
    answer = ask(
        receiver, "POST", "challengeCode=preservica-webhook-auth&challengeCode=c0de", {}, b""
    )
    assert answer.status == 400


@pytest.mark.parametrize("query", ["", "?", "challengeCode=", "challengecode=c0de", "code=KEY"])
def test_a_request_without_a_code_is_no_challenge(receiver: Receiver, query: str) -> None:
    assert ask(receiver, "POST", query, {}, b"").status == 401


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "post", ""])
def test_every_method_but_post_is_refused(receiver: Receiver, method: str) -> None:
    answer = ask(receiver, method, "challengeCode=c0de", {"Preservica-Signature": sign(BODY)}, BODY)
    assert (answer.status, answer.kind, answer.headers["Allow"]) == (405, "refused", "POST")


# Events


@given(NAMED_SECRETS, st.binary(max_size=60), st.data())
def test_verify_event_returns_the_name_of_the_secret_that_signed_the_event(
    secrets: dict[str, bytes], body: bytes, data: Any
) -> None:
    name = data.draw(st.sampled_from(sorted(secrets)))
    found = verify_event(
        secrets, body, hmac.new(secrets[name], EVENT_PREFIX + body, hashlib.sha256).hexdigest()
    )
    assert found is not None
    # HMAC pads keys with zeros
    assert secrets[found].rstrip(b"\0") == secrets[name].rstrip(b"\0")


@given(DOCUMENTS, st.integers(min_value=0), st.integers(1, 255))
def test_a_body_that_was_changed_in_one_byte_is_refused(
    document: dict[str, object], where: int, by: int
) -> None:
    body = json.dumps(document).encode()
    changed = bytearray(body)
    changed[where % len(body)] ^= by
    answer = ask(
        Receiver("catalogue", {"NEW": NEW}),
        "POST",
        "",
        {"Preservica-Signature": sign(body)},
        bytes(changed),
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
def test_a_malformed_signature_is_refused_without_an_exception(
    receiver: Receiver, signature: str
) -> None:
    assert ask(receiver, "POST", "", {"Preservica-Signature": signature}, BODY).status == 401


@pytest.mark.parametrize("others", ["0" * 64, "", sign(BODY)])
def test_an_event_with_several_signature_headers_is_refused(
    receiver: Receiver, others: str
) -> None:
    headers = {"Preservica-Signature": sign(BODY), "preservica-signature": others}
    assert ask(receiver, "POST", "", headers, BODY).status == 401


def test_every_secret_is_compared_in_constant_time_even_after_a_match(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[bytes] = []
    original = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(a) or original(a, b))
    assert verify_event(KEYS, BODY, sign(BODY)) == "NEW"
    assert compared == [sign(BODY).encode(), sign(BODY, OLD).encode()]


@pytest.mark.parametrize(
    "body", [b"", b"text", b"[1]", b'"text"', b"\xff", b"[" * 100_000, b'{"a":' * 100_000]
)
def test_a_signed_body_that_is_no_json_object_is_refused(receiver: Receiver, body: bytes) -> None:
    assert deliver(receiver, body).status == 400


def test_an_answer_contains_the_event_and_the_name_of_its_secret(receiver: Receiver) -> None:
    answer = deliver(receiver, secret=OLD)
    assert (answer.status, answer.kind, answer.event, answer.signed_with) == (
        200,
        "event",
        EVENT,
        "OLD",
    )
    assert (json.loads(answer.body), answer.reason) == ({"success": True}, "")


@pytest.mark.parametrize("depth", [100, 985, 990, 995, 3000, 30_000])
def test_a_signed_event_that_is_deeply_nested_raises_nothing_out_of_the_receiver(
    receiver: Receiver, depth: int
) -> None:
    body = b'{"a":' * depth + b"1" + b"}" * depth
    answer = deliver(receiver, body)
    assert answer.status == 400 or deliver(receiver, body).kind == "duplicate"


# Duplicates


def test_an_event_of_the_replaced_and_of_the_new_subscription_is_worked_on_once(
    receiver: Receiver,
) -> None:
    """While a subscription is replaced, the old and the new one are both live.

    Their ids differ. Their secrets and the order of keys may differ too.
    """
    twin = json.dumps(
        {**dict(reversed(EVENT.items())), "subscriptionId": "0" * 32}, indent=1
    ).encode()
    assert [deliver(receiver).kind, deliver(receiver, twin, OLD).kind] == ["event", "duplicate"]


@given(DOCUMENTS, DOCUMENTS)
def test_two_events_have_the_same_key_only_if_they_differ_in_the_subscription_id_alone(
    one: Event, other: Event
) -> None:
    said = [
        {name: value for name, value in each.items() if name != "subscriptionId"}
        for each in (one, other)
    ]
    assert (event_key(one) == event_key(other)) == (
        json.dumps(said[0], sort_keys=True) == json.dumps(said[1], sort_keys=True)
    )


# Arguments


def test_a_receiver_without_work_and_inbox_answers_nothing(receiver: Receiver) -> None:
    with pytest.raises(TypeError, match="give work to receive, or give an inbox to Receiver"):
        receiver.receive("POST", "challengeCode=c0de", {}, b"")


# Asynchronous work


async def fail_later(event: Event) -> None:
    await asyncio.sleep(0)
    raise OSError("the catalogue is down")


def test_asynchronous_work_runs_and_is_repeated_if_it_failed(receiver: Receiver) -> None:
    worked: list[Event] = []

    async def work(event: Event) -> None:
        await asyncio.sleep(0)
        worked.append(event)

    with pytest.raises(OSError, match="catalogue"):
        deliver_async(receiver, fail_later)
    assert [deliver_async(receiver, work).kind for _ in "ab"] == ["event", "duplicate"]
    assert worked == [EVENT]


def test_no_second_delivery_works_while_the_work_of_a_cancelled_delivery_runs_in_its_thread(
    receiver: Receiver,
) -> None:
    headers = {"Preservica-Signature": sign(BODY)}
    begun, may_end = threading.Event(), threading.Event()

    def work(_: Event) -> None:
        begun.set()
        may_end.wait(300)

    async def cancel_and_deliver_again() -> Answer:
        first = asyncio.create_task(receiver.receive_async("POST", "", headers, BODY, work))
        await asyncio.to_thread(begun.wait, 300)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        try:
            return await receiver.receive_async("POST", "", headers, BODY, work)
        finally:
            may_end.set()

    answer = asyncio.run(cancel_and_deliver_again())
    assert (answer.status, answer.kind) == (503, "busy")


def test_receive_refuses_asynchronous_work_and_loses_no_event(
    receiver: Receiver,
) -> None:
    with pytest.raises(TypeError, match="await receive_async"):
        deliver(receiver, work=fail_later)
    assert deliver(receiver).kind == "event"


# Secrets


@pytest.mark.parametrize(
    "secrets",
    [
        *({}, {"NEW": None}, {"NEW": ""}, {"NEW": b""}, {"NEW": None, "OLD": OLD}),
        *({"NEW": "\u20ac" * 16}, {"NEW": NEW[:15]}, {"OLD": OLD, "NEW": NEW[:15]}),
        *({"NEW": f"{NEW}\n"}, {"NEW": f"{NEW}\r\n".encode()}, {"OLD": OLD, "NEW": f"{NEW}\r"}),
    ],
)
def test_a_receiver_without_a_usable_secret_does_not_start(secrets: dict[str, str | None]) -> None:
    with pytest.raises(ValueError, match=r"the secret|NEW") as caught:
        Receiver("catalogue", secrets)
    shown = f"{caught.value!r}{caught.value.__cause__!r}"
    assert not [hidden for hidden in ("\u20ac", NEW[:15]) if hidden in shown]


def test_a_short_secret_is_accepted_if_the_caller_allows_it() -> None:
    assert (
        deliver(Receiver("catalogue", {"NEW": "short"}, shortest=1), secret="short").status == 200
    )


@pytest.mark.parametrize("old", [None, "", b""])
def test_an_old_secret_that_is_not_set_verifies_no_event(old: str | None) -> None:
    receiver = Receiver("catalogue", {"NEW": NEW, "OLD": old})
    assert deliver(receiver, secret="").status == 401


def test_a_secret_is_encoded_as_latin_1() -> None:
    secret = "caf\u00e9 of the museum"
    assert deliver(Receiver("catalogue", {"NEW": secret}), secret=secret).kind == "event"


def test_neither_the_receiver_nor_its_answers_show_a_secret(receiver: Receiver) -> None:
    shown = f"{receiver!r}{deliver(receiver)!r}{challenge(receiver, 'c0de')!r}{deliver(receiver, secret='x')!r}"
    assert NEW not in shown
    assert OLD not in shown


OLDEST = """
import asyncio, sys
from receiver import Receiver, SQLiteMemory, sign_event
async def work(event): await asyncio.sleep(0)
receiver = Receiver("catalogue", {"NEW": "x" * 16}, SQLiteMemory(sys.argv[1]))
headers = {"Preservica-Signature": sign_event(b"x" * 16, b"{}")}
print(receiver.receive("POST", "challengeCode=c0de", {}, b"", print).kind)
print(asyncio.run(receiver.receive_async("POST", "", headers, b"{}", work)).kind)
print(receiver.receive("POST", "", headers, b"{}", print).kind)
"""


def oldest_python() -> str:
    """Find the oldest Python from 3.9 on: on PATH, or among those of pyenv."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(9, sys.version_info.minor):
        for found in (shutil.which(f"python3.{minor}"), *versions.glob(f"3.{minor}.*/bin/python")):
            if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
                return str(found)
    pytest.skip("there is no Python from 3.9 on that is older than this one")


def test_the_module_is_one_file_that_runs_on_the_oldest_python(tmp_path: Path) -> None:
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"), feature_version=(3, 9))
    named = {each.module for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in named if name} <= {*sys.stdlib_module_names}
    shutil.copy(module.__file__, tmp_path)
    done = subprocess.run(
        [oldest_python(), "-W", "error", "-c", OLDEST, str(tmp_path / "events.sqlite")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.stdout.split(), done.stderr) == (["challenge", "event", "duplicate"], "")


def test_the_module_states_its_version_its_licence_and_its_semantic_versioning() -> None:
    first, *_ = Path(module.__file__).read_text(encoding="utf-8").splitlines()
    assert first == f"# hooksync.receiver {__version__}. SPDX-License-Identifier: Apache-2.0"
    assert module.__version__ == __version__
    assert "semantic versioning" in (module.__doc__ or "")
