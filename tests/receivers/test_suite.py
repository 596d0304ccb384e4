"""The suite of `fire` against receivers with one bug each: only the tests of this bug fail."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from hooksync.receiver import event_key
from hooksync.sandbox.http_server import Connection, IncomingRequest, LoopbackServer, Reply
from tests.command_line import Run, hooksync
from tests.lanes import sampled

SECRET = b"s3cret-of-the-catalogue-0123456789"
PREFIX = b"preservica-webhook-auth"
TRIGGERS = ("FULL_TEXT_INDEXED", "MOVED")
LETTERS = {"with é in UTF-8", "with Ł in UTF-8", "with an emoji in UTF-8"}
COMPACT = {"compact, in chunks", "compact, in one piece"}
LARGE = {"of 1 MB, in chunks", "of 1 MB, in one piece"}
TWICE = {"the same twice", "with two subscriptionIds", "two at once"}
SPACED = {"spaced", "with unknown fields", "of an unknown trigger"} | LARGE | TWICE
GENUINE = COMPACT | SPACED | LETTERS | {"with Ł escaped"}
FORGED = {"with a wrong signature", "without a signature", "with a changed body"}
FAILED = re.compile(r"^failed {4}(\S.*?) +(?:\d+ )?in \d+\.\d{3} s\n((?: {12}.*\n)*)", re.MULTILINE)


def sign(secret: bytes, message: bytes) -> str:
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


class Good:
    """A correct receiver, made of parts that a subclass with a bug replaces."""

    limit = 10_000_000
    answers_forgeries = False
    secret = SECRET

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seen: set[str] = set()
        self.came: list[dict[str, object]] = []

    def signed_code(self, code: bytes, request: IncomingRequest) -> str:
        return sign(self.secret, code)

    def expected(self, body: bytes) -> str:
        return sign(self.secret, PREFIX + body)

    def is_genuine(self, signature: str, body: bytes) -> bool:
        return signature == self.expected(body)

    def refusal(self, event: dict[str, object]) -> int:
        return 0

    def key(self, event: dict[str, object]) -> str:
        return event_key(event)  # type: ignore[arg-type]

    def work(self, event: dict[str, object]) -> None:
        with self.lock:
            if self.key(event) in self.seen:
                return
            self.seen.add(self.key(event))

    def respond(self, connection: Connection, request: IncomingRequest) -> None:
        try:
            answer = self.answer(request)
        except Exception:
            answer = Reply(500)
        connection.send(answer)

    def answer(self, request: IncomingRequest) -> Reply:
        code = parse_qs(request.query).get("challengeCode", [""])[0].encode()
        if code.startswith(PREFIX) and not self.answers_forgeries:
            return Reply(400)
        if code:
            response = self.signed_code(code, request)
            document = {"challengeCode": code.decode(), "challengeResponse": response}
            return Reply(200, json.dumps(document).encode())
        if len(request.body) > self.limit:
            return Reply(413)
        if not self.is_genuine(request.headers.get("preservica-signature", ""), request.body):
            return Reply(401)
        event = json.loads(request.body)
        self.came.append(event)
        status = self.refusal(event)
        if not status:
            self.work(event)
        return Reply(status or 200)


class NoPrefix(Good):
    def expected(self, body: bytes) -> str:
        return sign(SECRET, body)


class Swapped(Good):
    def expected(self, body: bytes) -> str:
        return sign(PREFIX + body, SECRET)


class PlainSha(Good):
    def expected(self, body: bytes) -> str:
        return hashlib.sha256(SECRET + PREFIX + body).hexdigest()


class LineBreak(Good):
    secret = SECRET + b"\n"


class Respaced(Good):
    def expected(self, body: bytes) -> str:
        return sign(SECRET, PREFIX + json.dumps(json.loads(body)).encode())


class Recompacted(Good):
    """As Express does with `JSON.stringify(request.body)`."""

    def expected(self, body: bytes) -> str:
        text = json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False)
        return sign(SECRET, PREFIX + text.encode())


class Latin1(Good):
    """As the receivers of pyPreservica do."""

    def expected(self, body: bytes) -> str:
        return sign(SECRET, PREFIX + body.decode().encode("latin-1"))


class TakesAll(Good):
    def is_genuine(self, signature: str, body: bytes) -> bool:
        return True


class SmallLimit(Good):
    """As Express does with `express.raw({ type: "*/*" })`: 100 kB."""

    limit = 100_000


class KnownFields(Good):
    def refusal(self, event: dict[str, object]) -> int:
        return 0 if "newField" not in event else 422


class KnownTriggers(Good):
    def refusal(self, event: dict[str, object]) -> int:
        return 0 if event["trigger"] in TRIGGERS else 400


class NoSecondTime(Good):
    def refusal(self, event: dict[str, object]) -> int:
        return 409 if self.key(event) in self.seen else 0


class SignsForgeries(Good):
    answers_forgeries = True


class Crashes(Good):
    def respond(self, connection: Connection, request: IncomingRequest) -> None:
        if "challengeCode" in request.query:
            connection.cut()
            return
        super().respond(connection, request)


@contextmanager
def serving(receiver: Good) -> Iterator[str]:
    with LoopbackServer(0, receiver.respond) as server:
        yield f"http://127.0.0.1:{server.port}/hook"


def fire(url: str, *arguments: str) -> Run:
    given = ["fire", "--url", url, "--secret", "env:HOOK_SECRET", *arguments]
    return hooksync(given, {"HOOK_SECRET": SECRET.decode()}, Path(__file__).parent)


def fire_suite(url: str, *arguments: str) -> dict[str, str]:
    """Return the text that the suite prints about each failure, by the name of the test."""
    done = fire(url, "--suite", *arguments)
    failed: dict[str, str] = dict(FAILED.findall(done.out))
    assert f", {len(failed)} failed.\n" in done.out
    assert done.code == bool(failed), done.err
    assert all(re.search(r" so .+\n +fix: ", text) for text in failed.values()), failed
    return failed


ONE_BUG: list[tuple[Callable[[], Good], set[str], str]] = [
    (NoPrefix, GENUINE, "is made of the body alone, without preservica-webhook-auth before it"),
    (Swapped, GENUINE, "is made with key and message swapped"),
    (PlainSha, GENUINE, "is a plain SHA-256, and no HMAC"),
    (LineBreak, GENUINE | {"challenge"}, "is made with the secret and a line break at its end"),
    (Respaced, COMPACT | LETTERS, "is made of the event written again as spaced JSON"),
    (
        Recompacted,
        SPACED | {"with Ł escaped"},
        "is made of the event written again as compact JSON",
    ),
    (Latin1, LETTERS, "is made of the body in Latin-1 instead of UTF-8"),
    (TakesAll, FORGED, "either it works on events that anybody can forge, or it answers 200 to"),
    (SmallLimit, LARGE, "let the server and its proxies take bodies of 10 MB"),
    (KnownFields, {"with unknown fields"}, ""),
    (KnownTriggers, {"of an unknown trigger"}, ""),
    (NoSecondTime, TWICE - {"two at once"}, ""),
    (SignsForgeries, {"code that could forge"}, "it signs one"),
    (Crashes, {"challenge"}, "cut before the answer was complete"),
]


@pytest.mark.parametrize(("make", "names", "bug"), sampled(ONE_BUG, 4))
def test_the_suite_names_the_one_bug_of_a_receiver_and_passes_everything_else(
    make: Callable[[], Good], names: set[str], bug: str
) -> None:
    with serving(make()) as url:
        failed = fire_suite(url)
    assert set(failed) == names
    assert any(bug in text for text in failed.values()), failed


def test_the_suite_passes_a_good_receiver_and_prints_its_summary() -> None:
    receiver = Good()
    with serving(receiver) as url:
        done = fire(url, "--suite")
    *_, summary, untested = done.out.splitlines()
    assert summary == "Suite: 19 passed, 0 failed."
    assert untested.startswith("Not tested: whether work is done twice. Look for the identifiers")
    came = [str(event.get("events")) for event in receiver.came]
    for name in ("the same twice", "with two subscriptionIds", "two at once"):
        assert sum(f"'value': '{name}'" in events for events in came) == 2


class LooksUp(Good):
    """A receiver whose work looks up the entity, and fails if there is none."""

    def work(self, event: dict[str, object]) -> None:
        assert "7fdea7e0" in json.dumps(event)
        super().work(event)


def test_a_receiver_that_looks_up_the_entity_passes_with_an_event_of_a_real_entity(
    tmp_path: Path,
) -> None:
    events = [{"entityType": "IO", "entityRef": "7fdea7e0-1e72-4fb1-aadb-d7f9ee6ed8c2"}]
    recorded = {"subscriptionId": "9" * 32, "trigger": "MOVED", "tenant": "BRAMA", "events": events}
    (tmp_path / "event.json").write_text(json.dumps(recorded))
    with serving(LooksUp()) as url:
        assert "--event" in fire_suite(url)["spaced"]
        assert fire_suite(url, "--event", str(tmp_path / "event.json")) == {}


def record(folder: Path, name: str, event: object, secret: bytes = SECRET) -> None:
    body = json.dumps(event).encode()
    (folder / f"{name}.json").write_bytes(body)
    headers = f"preservica-signature: {sign(secret, PREFIX + body)}\nx-trace: {name}\n"
    (folder / f"{name}.json.headers").write_text(headers)


def test_a_folder_is_replayed_in_order_with_the_recorded_signatures(tmp_path: Path) -> None:
    record(tmp_path, "2-event", {"events": [2]})
    record(tmp_path, "1-event", {"events": [1]}, b"the secret before the rotation")
    record(tmp_path, "3-refused", {"events": [3]}, b"of nobody at all, and no secret")
    with serving(Good()) as url:
        done = fire(url, "--replay", str(tmp_path))
        empty = fire(url, "--replay", str(tmp_path / "none"))
    assert done.code == 1
    one, reason, *_, two, _, summary = done.out.splitlines()
    assert re.fullmatch(r"failed    1-event\.json {14}401 in \d\.\d{3} s", one)
    assert re.fullmatch(r"passed    2-event\.json {14}200 in \d\.\d{3} s", two)
    assert reason.endswith(
        "  its recorded signature: signed with a different secret, or the body was changed"
    )
    assert summary == "Replay: 1 passed, 1 failed."
    assert (empty.code, "fix: name a folder that `hooksync listen --record`" in empty.err) == (
        1,
        True,
    )


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("--replay . --suite", "not allowed with argument --replay"),
        ("--replay . --event x", "--event cannot be combined with --replay"),
    ],
)
def test_flags_of_fire_that_contradict_each_other_are_usage_errors(flags: str, told: str) -> None:
    done = fire("http://127.0.0.1:1/hook", *flags.split())
    assert (done.code, told in done.err) == (64, True), done.err
