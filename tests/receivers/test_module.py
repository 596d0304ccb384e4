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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
    Event,
    Memory,
    Receiver,
    Refused,
    SQLiteMemory,
    event_key,
    verify_event,
)
from tests.command_line import ROOT

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


def challenge(receiver: Receiver, code: str) -> Answer:
    return receiver.receive("POST", f"key=1&challengeCode={quote(code, safe='')}", {}, b"")


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
def test_the_query_may_be_text_or_bytes_with_or_without_a_question_mark(
    receiver: Receiver, query: str | bytes
) -> None:
    assert json.loads(receiver.receive("POST", query, {}, b"").body)["challengeCode"] == "c0de"


def test_of_two_codes_only_the_first_is_checked_and_signed(receiver: Receiver) -> None:
    answer = receiver.receive(
        "POST", "challengeCode=c0de&challengeCode=preservica-webhook-auth", {}, b""
    )
    assert json.loads(answer.body)["challengeCode"] == "c0de"
    answer = receiver.receive(
        "POST", "challengeCode=preservica-webhook-auth&challengeCode=c0de", {}, b""
    )
    assert answer.status == 400


@pytest.mark.parametrize("query", ["", "?", "challengeCode=", "challengecode=c0de", "code=KEY"])
def test_a_request_without_a_code_is_no_challenge(receiver: Receiver, query: str) -> None:
    assert receiver.receive("POST", query, {}, b"").status == 401


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "post", ""])
def test_every_method_but_post_is_refused(receiver: Receiver, method: str) -> None:
    answer = receiver.receive(
        method, "challengeCode=c0de", {"Preservica-Signature": sign(BODY)}, BODY
    )
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
    answer = Receiver("catalogue", {"NEW": NEW}).receive(
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
def test_a_malformed_signature_is_refused_without_an_exception(
    receiver: Receiver, signature: str
) -> None:
    assert receiver.receive("POST", "", {"Preservica-Signature": signature}, BODY).status == 401


@pytest.mark.parametrize("others", ["0" * 64, "", sign(BODY)])
def test_an_event_with_several_signature_headers_is_refused(
    receiver: Receiver, others: str
) -> None:
    headers = {"Preservica-Signature": sign(BODY), "preservica-signature": others}
    assert receiver.receive("POST", "", headers, BODY).status == 401


def test_a_refusal_gives_its_reason_in_the_answer_and_for_the_log(receiver: Receiver) -> None:
    answers = {
        "only POST is answered": receiver.receive("GET", "", {}, b""),
        "the challenge code is not printable ASCII beginning with a letter or digit": challenge(
            receiver, "{}"
        ),
        "the challenge code begins like a signed event; the answer could forge one": challenge(
            receiver, "preservica-webhook-auth"
        ),
        "the header Preservica-Signature is missing": receiver.receive("POST", "", {}, BODY),
        "the signature is wrong: signed with a different secret, or the body was changed": deliver(
            receiver, secret="other"
        ),
        "the event is not a JSON object, or is nested too deeply": deliver(receiver, b"[]"),
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
def test_the_signature_header_and_its_hex_are_accepted_in_any_case(
    receiver: Receiver, name: str, change: Callable[[str], str]
) -> None:
    assert receiver.receive("POST", "", {name: change(sign(BODY))}, BODY).kind == "event"


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


def test_work_that_failed_is_done_when_the_event_comes_again(receiver: Receiver) -> None:
    def fail(_: Event) -> None:
        raise OSError("the catalogue is down")

    with pytest.raises(OSError, match="catalogue"):
        deliver(receiver, work=fail)
    worked: list[Event] = []
    assert deliver(receiver, work=worked.append).kind == "event"
    assert worked == [EVENT]


def test_the_receiver_passes_on_a_refused_error_that_the_work_raises(
    receiver: Receiver,
) -> None:
    def fail(_: Event) -> None:
        raise Refused("by the catalogue")

    with pytest.raises(Refused):
        deliver(receiver, work=fail)


# The contract of a memory


class Odd(Memory):
    """A memory whose `begin` returns something else: an asynchronous client returns a coroutine."""

    answer: object = None

    def begin(self, key: str, claim: str) -> Any:
        return self.answer


async def later() -> str:
    return "new"


@pytest.mark.parametrize("answer", [True, False, None, "", "NEW", b"new", 1, later])
def test_an_event_is_not_skipped_with_200_if_a_memory_returns_none_of_the_three_words(
    answer: object,
) -> None:
    memory = Odd()
    memory.answer = later() if answer is later else answer
    with pytest.raises(TypeError, match=r'"new", "busy" or "done"'):
        deliver(Receiver("catalogue", {"NEW": NEW}, memory))


def test_receivers_that_share_a_memory_each_work_on_an_event_that_all_of_them_get() -> None:
    memory = Memory()
    worked: list[str] = []
    for name in ("catalogue", "search", "search"):
        receiver = Receiver(name, {"NEW": NEW}, memory)
        deliver(receiver, work=lambda _, name=name: worked.append(name))
    assert worked == ["catalogue", "search"]


@pytest.fixture(params=["memory", "sqlite"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Memory | SQLiteMemory:
    return Memory() if request.param == "memory" else SQLiteMemory(str(tmp_path / "events.sqlite"))


@pytest.mark.parametrize(
    "steps",
    [
        "begin a new, begin b busy, done a, begin c done",
        "begin a new, failed a, begin b new, done b, begin c done",
        "expiry 0, begin a new, expiry 900, begin b new, begin c busy",
        "expiry 0, begin a new, expiry 900, begin b new, failed a, begin c busy",
        "expiry 0, begin a new, expiry 900, begin b new, done a, failed b, begin c done",
        "expiry 0, begin a new, done a, begin b done",
        "failed a, begin b new, failed a, begin c busy",
    ],
)
def test_a_memory_records_the_events_that_are_in_progress_and_done(
    steps: str, memory: Memory | SQLiteMemory
) -> None:
    for step in steps.split(", "):
        what, value, *expected = step.split()
        if what == "expiry":
            memory.expiry = float(value)
        elif what == "begin":
            assert [memory.begin("key", value)] == expected, step
        else:
            getattr(memory, what)("key", value)
    assert memory.begin("another key", "d") == "new"


def test_a_memory_forgets_the_oldest_event_that_is_done_and_none_in_progress() -> None:
    memory = Memory(size=2)
    assert memory.begin("in progress", "a") == "new"
    for key in ("first", "second", "third"):
        memory.begin(key, "a")
        memory.done(key, "a")
    keys = ("in progress", "second", "third", "first")
    assert [memory.begin(key, "b") for key in keys] == ["busy", "done", "done", "new"]
    assert [Memory(size=0).begin("key", "a") for _ in range(2)] == ["new"] * 2


def test_of_32_simultaneous_deliveries_one_is_worked_on_and_the_others_get_503(
    memory: Memory | SQLiteMemory,
) -> None:
    receiver = Receiver("catalogue", {"NEW": NEW}, memory)
    worked: list[Event] = []
    answers: list[Answer] = []

    def work(event: Event) -> None:
        with ThreadPoolExecutor(31) as pool:
            jobs = [pool.submit(deliver, receiver, work=worked.append) for _ in range(31)]
            answers.extend(job.result() for job in jobs)
        worked.append(event)

    assert deliver(receiver, work=work).status == 200
    assert {(each.status, each.kind, each.headers.get("Retry-After")) for each in answers} == {
        (503, "busy", "30")
    }
    assert worked == [EVENT]
    assert deliver(receiver, work=worked.append).kind == "duplicate"


def test_no_event_is_lost_if_it_is_delivered_again_during_work_that_fails(
    memory: Memory | SQLiteMemory,
) -> None:
    receiver = Receiver("catalogue", {"NEW": NEW}, memory)
    meanwhile: list[Answer] = []

    def fail(_: Event) -> None:
        meanwhile.append(deliver(receiver))
        raise OSError("the catalogue is down")

    with pytest.raises(OSError, match="catalogue"):
        deliver(receiver, work=fail)
    assert [each.status for each in meanwhile] == [503]
    assert deliver(receiver).kind == "event"


PROCESS = """
import sys
from hooksync.receiver import Receiver, SQLiteMemory
def work(event):
    print("working", flush=True)
    sys.stdin.readline()
path, expiry, signature, body = sys.argv[1:]
receiver = Receiver("catalogue", {"NEW": "%s"}, SQLiteMemory(path, expiry=float(expiry)))
answer = receiver.receive("POST", "", {"Preservica-Signature": signature}, body.encode(), work)
print(answer.kind, flush=True)
"""


@contextmanager
def working(path: Path, expiry: float) -> Iterator[subprocess.Popen[str]]:
    """Start a process, and yield it in the middle of its work."""
    arguments = [str(path), str(expiry), sign(BODY), BODY.decode()]
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS % NEW, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "working\n"
        yield process


@pytest.mark.parametrize(("expiry", "kind"), [(900, "busy"), (0, "event")])
def test_an_event_of_a_killed_process_is_worked_on_after_its_claim_has_expired(
    expiry: float, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "events.sqlite"
    with working(path, expiry) as process:
        process.kill()
    receiver = Receiver("catalogue", {"NEW": NEW}, SQLiteMemory(str(path)))
    assert deliver(receiver).kind == kind


def test_of_two_processes_one_works_and_the_other_answers_503_until_the_work_is_done(
    tmp_path: Path,
) -> None:
    path = tmp_path / "events.sqlite"
    receiver = Receiver("catalogue", {"NEW": NEW}, SQLiteMemory(str(path)))
    with working(path, 900) as process:
        assert deliver(receiver).status == 503
        out, _ = process.communicate("\n")
    assert out == "event\n"
    assert deliver(receiver).kind == "duplicate"


# Asynchronous work


async def fail_later(event: Event) -> None:
    await asyncio.sleep(0)
    raise OSError("the catalogue is down")


def test_asynchronous_work_runs_and_is_repeated_if_it_failed(receiver: Receiver) -> None:
    worked: list[Event] = []

    async def work(event: Event) -> None:
        await asyncio.sleep(0)
        worked.append(event)

    def receive(work: Callable[[Event], object]) -> Answer:
        headers = {"Preservica-Signature": sign(BODY)}
        return asyncio.run(receiver.receive_async("POST", "", headers, BODY, work))

    with pytest.raises(OSError, match="catalogue"):
        receive(fail_later)
    assert [receive(work).kind, receive(work).kind] == ["event", "duplicate"]
    assert worked == [EVENT]
    assert asyncio.run(receiver.receive_async("POST", "challengeCode=c0de", {}, b"")).status == 200


def test_receive_async_runs_synchronous_work_in_a_thread(
    receiver: Receiver,
) -> None:
    headers = {"Preservica-Signature": sign(BODY)}
    threads: list[int] = []

    def work(_: Event) -> None:
        threads.append(threading.get_ident())

    answer = asyncio.run(receiver.receive_async("POST", "", headers, BODY, work))
    assert (answer.kind, threads != [threading.get_ident()]) == ("event", True)


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
        await asyncio.to_thread(begun.wait, 60)
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
print(receiver.receive("POST", "challengeCode=c0de", {}, b"").kind)
print(asyncio.run(receiver.receive_async("POST", "", headers, b"{}", work)).kind)
print(receiver.receive("POST", "", headers, b"{}").kind)
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
