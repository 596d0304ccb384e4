"""The suite of `fire` against receivers with one bug each: it names the bug, once."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from hooksync.core.model import HookUrl, ReceiverResult, Secret
from hooksync.receivers.diagnosis import event_mistakes
from hooksync.receivers.events import Delivery
from hooksync.receivers.http_server import IncomingRequest, LoopbackServer, Reply
from hooksync.receivers.suite import FIRST, WRONG, Sender, Trial
from hooksync.receivers.verdict import explain
from hooksync.service.http import Response
from hooksync.service.signatures import name_mistake
from tests.clocks import SteadyClock
from tests.command_line import Run, hooksync
from tests.lanes import sampled
from tests.receivers.broken import (
    BUGS,
    OLD,
    PREFIX,
    RIGHT,
    SECRET,
    TRIGGERS,
    TWO_SECRETS,
    Good,
    bug,
    refusing,
    sign,
)
from tests.receivers.conftest import EXAMPLES
from tests.shipped_receiver import shipped_receiver


@contextmanager
def serving(receiver: Good) -> Iterator[str]:
    with LoopbackServer(0, receiver.respond) as server:
        yield f"http://127.0.0.1:{server.port}/hook"


def fire(url: str, *arguments: str) -> Run:
    given = ["fire", "--url", url, "--secret", "env:HOOK_SECRET", *arguments]
    environ = {"HOOK_SECRET": SECRET.decode(), "HOOK_SECRET_OLD": OLD.decode()}
    folder = Path(__file__).parent
    return hooksync(given, environ, folder, clock=SteadyClock())  # on it, no receiver is slow


def fire_suite(receiver: Good, *arguments: str) -> Any:
    """Run the suite, and return its JSON."""
    with serving(receiver) as url:
        done = fire(url, "--suite", "--format", "json", *arguments)
    assert done.err == ""
    assert done.code == done.json["exit_code"]
    return done.json


class LogFile:
    """What the work of a receiver prints."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text("")

    def append(self, line: str) -> None:
        with self.path.open("a") as file:
            file.write(f"{line}\n")


def fire_with_log(receiver: Any, folder: Path, *arguments: str) -> Any:
    receiver.log = LogFile(folder / "receiver.log")
    return fire_suite(receiver, "--log", str(receiver.log.path), *arguments)


# these bugs have several effects, each with a cause of its own
SEVERAL = {"HTML log-in page", "raw code", "chunked only, 200 to the rest"}


@pytest.mark.parametrize("name", sampled(BUGS, 20, nightly=2))
def test_the_suite_names_the_bug_of_a_receiver_once(name: str, tmp_path: Path) -> None:
    receiver, sentence = BUGS[name]
    both = ("--secret", "env:HOOK_SECRET_OLD") if name in TWO_SECRETS else ()
    found = fire_with_log(receiver(), tmp_path, *both)
    causes = [cause for cause in found["causes"] if sentence in cause["what"]]
    assert len(causes) == 1, found["causes"]
    assert len(found["causes"]) == 1 or name in SEVERAL, found["causes"]
    assert causes[0]["fix"]
    failed = {test["name"] for test in found["tests"] if test["state"] == "failed"}
    explained = set()
    for cause in found["causes"]:
        if cause["severity"] == "failed":
            explained.update(cause["tests"])
    assert failed == explained
    assert found["exit_code"] == bool(failed)


def test_a_secret_that_is_decoded_as_base64_for_urls_is_named() -> None:
    secret = "q-_q" * 8
    given = sign(base64.urlsafe_b64decode(secret), PREFIX + b"{}")
    mistake = name_mistake(given, event_mistakes(secret.encode(), b"{}"))
    assert mistake
    assert "with the secret read as base64" in mistake.what


@pytest.mark.parametrize("name", RIGHT)
def test_the_suite_passes_a_correct_receiver(name: str) -> None:
    found = fire_suite(RIGHT[name]())
    assert (found["causes"], found["exit_code"]) == ([], 0)
    assert {test["state"] for test in found["tests"]} == {"passed"}


@pytest.mark.slow
def test_the_log_proves_that_a_receiver_works_once_on_each_event(tmp_path: Path) -> None:
    assert fire_with_log(Good(), tmp_path)["causes"] == []


def test_genuine_events_are_unproved_if_a_forged_one_is_answered_with_200() -> None:
    found = fire_suite(BUGS["200 to a wrong signature"][0]())
    states = {test["name"]: test["state"] for test in found["tests"]}
    assert (states[FIRST], states["with é in UTF-8"]) == ("unproved", "unproved")
    assert found["exit_code"] == 1


VECTORS = json.loads((EXAMPLES / "vectors.json").read_text(encoding="utf-8"))


def lenient(vector: Any) -> Good:
    """A correct receiver, except that it takes what one test vector says to refuse."""
    if "code" in vector:
        code = vector["code"]
        if code.startswith("preservica-webhook-auth{"):  # an event, which the suite must not send
            code = "preservica-webhook-auth"
        return bug(is_plain=lambda self, given: given == code or Good.is_plain(self, given))()
    secret, old, why = SECRET, vector["secrets"][-1], vector["why"]
    others = {
        "signed without the prefix": lambda body: [sign(secret, body)],
        "signed in Latin-1 instead of UTF-8": lambda body: [
            sign(secret, PREFIX + body.decode().encode("latin-1", "replace"))
        ],
        "one byte more": lambda body: [sign(secret, PREFIX + body[:-1])],
        "the sender's secret ends with a line break": lambda body: [
            sign(secret + b"\n", PREFIX + body)
        ],
        "a digit less": lambda body: [sign(secret, PREFIX + body)[:-1]],
        "a digit more": lambda body: [sign(secret, PREFIX + body) + "0"],
        "a signature of nothing": lambda body: ["0" * 64],
        "no hex": lambda body: ["caf\xe9", "caf\xc3\xa9"],
        "no signature": lambda body: [""],
        "the body was written again: spaced instead of compact": lambda body: [
            sign(secret, PREFIX + json.dumps(json.loads(body), separators=(",", ":")).encode())
        ],
        "signed with a secret that the receiver does not have": lambda body: ["0" * 64, old],
    }
    return bug(
        is_genuine=lambda self, given, body: (
            given == self.expected(body) or (body and given in others[why](body))
        )
    )()


@pytest.mark.parametrize(
    "vector",
    sampled(
        [
            *(each for each in VECTORS["challenges"] if each["response"] is None),
            *(each for each in VECTORS["events"] if not each["is_genuine"]),
        ],
        8,
    ),
    ids=lambda vector: vector["why"],
)
def test_the_suite_fails_a_receiver_that_takes_what_a_test_vector_says_to_refuse(
    vector: Any,
) -> None:
    assert fire_suite(lenient(vector))["exit_code"] == 1


def counting(reply: Reply) -> Good:
    """A receiver that answers everything with the same, and counts the requests."""

    def answer(self: Good, connection: Any, request: IncomingRequest) -> Reply:
        self.number += 1
        return reply

    return bug(answer=answer)()


def test_a_server_that_is_not_there_is_one_failed_test_and_one_cause() -> None:
    done = fire("http://127.0.0.1:1/hook", "--suite", "--format", "json")
    [cause] = done.json["causes"]
    assert (cause["tests"], done.json["summary"]["passed"]) == (["challenge"], 0)
    assert "Connection refused" in cause["what"]


def test_a_receiver_that_answers_with_a_gzip_bomb_is_called_once() -> None:
    bomb = Reply(200, gzip.compress(bytes(10_000_000)), headers=(("Content-Encoding", "gzip"),))
    receiver = counting(bomb)
    [cause] = fire_suite(receiver)["causes"]
    assert (receiver.number, "larger than 65536 bytes" in cause["what"]) == (1, True)


def test_a_wrong_path_is_one_cause_and_nothing_passes() -> None:
    found = fire_suite(bug(answer=lambda self, connection, request: Reply(404))())
    assert [cause["what"] for cause in found["causes"]] == ["it answers 404, not 200"]
    assert found["summary"]["passed"] == 0


def test_a_receiver_that_dies_during_the_suite_is_named_as_such() -> None:
    refused = ReceiverResult(
        "unreachable", "the server refuses connections", "", failure="not-sent"
    )
    sender = Sender(HookUrl("", ""), Secret(""), NotImplemented)
    first = sender.judge(FIRST, Delivery(b"", ""), Response(200, b"{}"))
    gone = sender.judge("two at once", Delivery(b"", ""), refused)
    [cause] = explain([Trial(WRONG, "forged", "passed", 401), first, gone], NotImplemented)
    assert (cause.what, cause.tests) == ("the server refuses connections", ("two at once",))


@pytest.mark.parametrize("status", [502, 504])
def test_a_proxy_whose_receiver_does_not_answer_is_no_failure_of_the_work(status: int) -> None:
    [cause] = fire_suite(bug(check=lambda self, event: status)())["causes"]
    assert "as a proxy does if the receiver behind it does not answer" in cause["what"]


def test_an_event_that_is_refused_for_an_unknown_reason_may_be_under_a_different_secret() -> None:
    with serving(bug(secret=OLD)()) as url:
        assert "it may have a different secret" in fire(url).out


STRICT = refusing(lambda self, event: event["trigger"] not in TRIGGERS, 400)


def test_text_shows_each_test_and_then_each_cause() -> None:
    with serving(STRICT()) as url:
        done = fire(url, "--suite")
    lines = done.out.splitlines()
    assert re.fullmatch(r"passed    challenge +200 in \d\.\d{3} s", lines[0])
    assert any(re.fullmatch(r"failed    of an unknown trigger +400 in .*", line) for line in lines)
    assert lines[-11:] == [
        "failed    it fails on an event of an unknown trigger: it answers 400",
        "          tests: of an unknown trigger",
        "            fix: answer 200 to each genuine event, whatever it holds, up to the size of --largest",
        "",
        "Suite: 48 passed, 1 failed.",
        "Not visible from outside, so not tested:",
        "  whether signatures are compared in constant time",
        "  whether events wait in memory, where a crash loses them",
        "  whether the identifiers are logged only after the work",
        "  whether its memory of events grows without end",
        "  without --log: whether each entity of an event is worked on, and only once",
    ]


def test_junit_has_a_case_for_each_test_with_its_cause() -> None:
    with serving(STRICT()) as url:
        done = fire(url, "--suite", "--format", "junit")
    suite = ElementTree.fromstring(done.out)
    assert (suite.attrib["tests"], suite.attrib["failures"], done.code) == ("49", "1", 1)
    [failure] = suite.iterfind("testcase/failure")
    assert "of an unknown trigger" in failure.attrib["message"]


def test_a_slow_answer_is_a_warning() -> None:
    sender = Sender(HookUrl("", ""), Secret(""), NotImplemented)
    trial = sender.judge(FIRST, Delivery(b"", ""), Response(200, b"{}", seconds=4.0))
    [cause] = explain([Trial(WRONG, "forged", "passed", 401), trial], NotImplemented)
    assert (cause.severity, cause.what.partition(";")[0]) == ("warning", "it takes more than 3 s")


def test_the_code_of_an_event_in_disguise_is_no_real_event() -> None:
    codes: list[str] = []
    receiver = bug(is_plain=lambda self, code: codes.append(code) or Good.is_plain(self, code))
    fire_suite(receiver())
    bodies = [code.removeprefix(PREFIX.decode()) for code in codes if "webhook-auth" in code]
    assert {re.sub(r"[0-9a-f]{32}", "hex", body) for body in bodies} == {"", "hex"}


def suite_of_pypreservica(url: str) -> Any:
    done = fire(url, "--suite", "--format", "json")
    return done.json["summary"], [cause["what"] for cause in done.json["causes"]]


def test_pypreservicas_own_receiver_signs_any_code_and_does_not_answer_forged_events() -> None:
    with shipped_receiver(SECRET.decode()) as url:
        _, causes = suite_of_pypreservica(url)
    for what in ("it does not answer forged events with 401", "it signs 'preservica-webhook-auth'"):
        assert any(what in cause for cause in causes), causes


class LooksUp(Good):
    """A receiver whose work looks up the entity, and fails if there is none."""

    def do(self, event: Any) -> None:
        assert all("7fdea7e0" in entity["entityRef"] for entity in event["events"])


def test_a_receiver_that_looks_up_the_entity_passes_with_an_event_of_a_real_entity(
    tmp_path: Path,
) -> None:
    entity = {"entityType": "IO", "entityRef": "7fdea7e0-1e72-4fb1-aadb-d7f9ee6ed8c2"}
    recorded = {"trigger": "MOVED", "tenant": "BRAMA", "events": [entity]}
    (tmp_path / "event.json").write_text(json.dumps(recorded))
    [cause] = fire_suite(LooksUp())["causes"]
    assert "--event" in cause["fix"]
    assert fire_suite(LooksUp(), "--event", str(tmp_path / "event.json"))["causes"] == []


def test_one_event_that_is_refused_is_explained() -> None:
    with serving(BUGS["no prefix"][0]()) as url:
        done = fire(url)
    assert done.code == 1
    assert "is made of the body alone, without preservica-webhook-auth before it" in done.out
    with serving(Good()) as url:
        done = fire(url)
    assert re.fullmatch(r"answered  event +200 in \d\.\d{3} s\n", done.out)


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
        single = fire(url, "--replay", str(tmp_path / "2-event.json"))
        empty = fire(url, "--replay", str(tmp_path / "none"))
    assert (single.code, "Replay: 1 answered, 0 failed." in single.out) == (0, True)
    assert done.code == 1
    one, reason, two, _, summary = done.out.splitlines()
    assert re.fullmatch(r"failed    1-event\.json +401 in \d\.\d{3} s", one)
    assert re.fullmatch(r"answered  2-event\.json +200 in \d\.\d{3} s", two)
    assert reason.endswith(
        "  its recorded signature: signed with a different secret or in a different way, or the body was changed"
    )
    assert summary == "Replay: 1 answered, 1 failed."
    assert (empty.code, "fix: name a folder that `hooksync listen --record`" in empty.err) == (
        1,
        True,
    )


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("--replay . --suite", "--replay cannot be combined with --suite"),
        ("--log x", "--log, --largest and --format need --suite"),
        ("--largest 6", "--log, --largest and --format need --suite"),
        ("--suite --largest 0", "is not a number from 0.001 to 1000"),
        ("--format json", "--log, --largest and --format need --suite"),
        ("--replay . --event x", "--replay cannot be combined with --suite, --event"),
    ],
)
def test_flags_of_fire_that_contradict_each_other_are_usage_errors(flags: str, told: str) -> None:
    done = fire("http://127.0.0.1:1/hook", *flags.split())
    assert (done.code, told in done.err) == (64, True), done.err
