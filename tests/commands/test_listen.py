"""`hooksync listen` in its own process, with real HTTP on this machine."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from hooksync.receiver import sign_challenge, sign_event
from hooksync.receivers.listener import MOST_REFUSED
from tests.commands.test_receiving import DECLARED, ENVIRON, KEY, NAMED, SECRET, answering, run
from tests.conftest import make_environ
from tests.pypreservica import no_credentials
from tests.receivers.broken import BUGS, Good
from tests.receivers.test_suite import serving

__all__ = ["no_credentials"]  # a fixture

EVENT = {
    "subscriptionId": "9495ddbf7d4a0b9f030a3411c87f967d",
    "trigger": "FULL_TEXT_INDEXED",
    "events": [{"entityType": "IO", "entityRef": "7fdea7e0-1e72-4fb1-aadb-d7f9ee6ed8c2"}],
}
BODY = json.dumps(EVENT).encode()
INDEXED = (
    "INDEXED  IO 7fdea7e0-1e72-4fb1-aadb-d7f9ee6ed8c2  subscription"
    " 9495ddbf7d4a0b9f030a3411c87f967d"
)
OTHER = "another-secret-0123456789"


class Listening:
    """A running `hooksync listen`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr
        self.process = process
        self.first_line = process.stderr.readline()
        found = re.search(r"listening on (http://127\.0\.0\.1:[0-9]+),", self.first_line)
        assert found, self.first_line
        self.url = f"{found[1]}/any/path"

    def send(
        self, body: bytes = BODY, secret: str | None = SECRET, query: str = "", **more: str
    ) -> requests.Response:
        headers = (
            {} if secret is None else {"Preservica-Signature": sign_event(secret.encode(), body)}
        )
        with requests.Session() as session:
            session.trust_env = False
            return session.post(
                f"{self.url}{query}", data=iter([body]) if body else b"", headers=headers | more
            )

    def end(self, number: int = signal.SIGTERM) -> list[str]:
        """End the process with a signal, and return its lines of output without their times."""
        self.process.send_signal(number)
        out, err = self.process.communicate()
        err = re.sub(r"warning: the receiver of --forward is not ready.*\n  fix: .*\n", "", err)
        assert not [hidden for hidden in ENVIRON.values() if hidden in out + err]
        assert (self.process.returncode, err) == (0, "")
        return [re.sub(r"^\d\d:\d\d:\d\dZ  ", "", line) for line in out.splitlines()]


@contextmanager
def listening(*arguments: str, folder: Path | None = None) -> Iterator[Listening]:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "hooksync", "listen", *arguments],
        env={
            **make_environ(**ENVIRON),
            "OTHER_SECRET": OTHER,
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Listening(process)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_listen_answers_challenges_and_verifies_and_shows_events_until_a_signal(
    number: int,
) -> None:
    with listening(*NAMED, "--secret", "env:OTHER_SECRET") as one:
        answer = one.send(b"", None, "?challengeCode=c0de")
        assert answer.json() == {
            "challengeCode": "c0de",
            "challengeResponse": sign_challenge(SECRET.encode(), b"c0de"),
        }
        assert [one.send(secret=secret).status_code for secret in (SECRET, OTHER)] == [200, 200]
        assert one.end(number) == [
            "200  challenge",
            f"200  {INDEXED}  signed with env:HOOK_SECRET",
            f"200  {INDEXED}  signed with env:OTHER_SECRET",
        ]


def test_listen_refuses_wrongly_signed_requests_and_prints_the_reason(tmp_path: Path) -> None:
    (tmp_path / "hooks.yaml").write_text(DECLARED)
    with listening("-f", "hooks.yaml", *NAMED, folder=tmp_path) as one:
        assert "env:HOOK_SECRET" in one.first_line
        signature = sign_event(SECRET.encode(), BODY)
        statuses = [
            one.send(secret="one-of-nobody-0123456789").status_code,
            one.send(secret=None).status_code,
            one.send(
                json.dumps(EVENT, indent=1).encode(), None, **{"Preservica-Signature": signature}
            ).status_code,
            one.send(b"", None, "?challengeCode=preservica-webhook-auth").status_code,
        ]
        assert statuses == [401, 401, 401, 400]
        assert one.end() == [
            "401  refused  signed with a different secret or in a different way, or the body was changed",
            "401  refused  the header Preservica-Signature is missing",
            (
                "401  refused  by env:HOOK_SECRET, the signature is made of the event written again"
                " as spaced JSON: take the raw bytes of the body, before a framework, a"
                " proxy or a relay such as smee changes them"
            ),
            (
                "400  refused  the challenge code is not printable ASCII beginning with a letter or"
                " digit, or it begins like a signed event; the answer could forge one"
            ),
        ]


def test_listen_forwards_genuine_events_with_headers_unchanged_and_returns_the_status() -> None:
    with (
        answering(203) as (url, came),
        listening(*NAMED, "--forward", f"{url}?code=${{FN_KEY}}") as one,
    ):
        body = BODY + b"\n"
        answer = one.send(body, **{"X-Trace": "a b"})
        assert (answer.status_code, answer.text) == (203, "thank you")
        assert one.send(secret=OTHER).status_code == 401
        assert [line for line in one.end() if line.startswith("  ")] == ["  passed on: 203"]
    sent = next(request for request in came if request.body)
    assert (sent.body, sent.query, sent.headers["x-trace"]) == (body, f"code={KEY}", "a b")
    assert sent.headers["transfer-encoding"] == "chunked"
    assert sent.headers["preservica-signature"] == sign_event(SECRET.encode(), body)
    with listening(*NAMED, "--forward", url) as one:
        assert one.send().status_code == 502
        assert one.end()[1:] == [
            "  passed on: the receiver of --forward is down: no connection to the server:"
            " Connection refused; the sender got 502"
        ]


def test_listen_reports_at_its_start_that_the_receiver_of_forward_is_down() -> None:
    with answering(200) as (url, _):
        pass
    with listening(*NAMED, "--forward", url) as one:
        assert one.process.stderr
        warning = one.process.stderr.readline()
        assert "success" not in one.send().text
    assert warning.startswith("warning: the receiver of --forward is not ready: no connection")


def test_the_suite_behind_listen_tests_nothing_and_reports_that() -> None:
    with (
        serving(BUGS["checks nothing"][0]()) as target,
        listening(*NAMED, "--forward", target) as it,
    ):
        done = run("fire", "--url", it.url, *NAMED, "--suite")
        it.end()
    assert done.code == 1
    assert "this is hooksync listen: challenges and forged events do not reach" in done.out


def test_listen_shows_the_document_of_an_event() -> None:
    with listening(*NAMED, "--body") as one:
        one.send()
        assert one.end()[1] == f"  {BODY.decode()}"


def compact(body: bytes) -> bytes:
    return json.dumps(json.loads(body), separators=(",", ":")).encode()


def test_listen_reports_why_a_receiver_refuses_a_forwarded_genuine_event() -> None:
    receiver = Good()
    receiver.secret = SECRET.encode()
    receiver.expected = lambda body: sign_event(SECRET.encode(), compact(body))  # type: ignore[method-assign]
    with serving(receiver) as url, listening(*NAMED, "--forward", url) as one:
        answer = one.send()
        shown = one.end()[1:]
    assert (answer.status_code, answer.text) == (401, "")
    assert shown == [
        "  passed on: 401, it refuses a genuine event: the signature that it expects is made of the"
        " event written again as compact JSON; fix: take the raw bytes of the body, before a"
        " framework, a proxy or a relay such as smee changes them"
    ]


def test_verify_and_fire_accept_events_that_listen_recorded(tmp_path: Path) -> None:
    tmp_path /= "events"  # `listen` creates this folder
    with listening(*NAMED, "--record", str(tmp_path)) as one:
        one.send(b"", None, "?challengeCode=c0de")
        one.send(BODY, OTHER)
        assert one.send().status_code == 200
        shown = one.end()
    refused, genuine = (path for path in sorted(tmp_path.iterdir()) if path.suffix == ".json")
    assert shown[-1] == f"  recorded: {genuine}"
    assert genuine.read_bytes() == BODY
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert run("verify", str(genuine), *NAMED).out == "signed with env:HOOK_SECRET\n"
    assert run("verify", str(refused), *NAMED).code == 1
    with answering(200) as (url, came):
        run("fire", "--url", url, *NAMED, "--event", str(genuine))
        assert run("fire", "--url", url, *NAMED, "--replay", str(tmp_path)).code == 0
    assert [each.body for each in came] == [BODY, BODY]


@pytest.mark.slow
def test_listen_records_only_a_limited_number_of_refused_requests(tmp_path: Path) -> None:
    with listening(*NAMED, "--record", str(tmp_path)) as one:
        for _ in range(MOST_REFUSED + 2):
            one.send(secret=None)
        one.send()
        one.end()
    assert sum(path.name.endswith("refused.json") for path in tmp_path.iterdir()) == MOST_REFUSED
    assert sum(path.name.endswith("event.json") for path in tmp_path.iterdir()) == 1


def test_listen_prints_hostile_events_without_escapes_workflow_commands_or_secrets() -> None:
    hostile = {
        "trigger": "\x1b[2J\n::error::x",
        "events": [None, {"entityRef": [SECRET]}],
        "subscriptionId": "##vso[x]",
    }
    with listening(*NAMED) as one:
        for document in (hostile, {"events": 7}, {**hostile, "events": []}):
            assert one.send(json.dumps(document).encode()).status_code == 200
        shown = one.end()
    assert len(shown) == 3
    assert not [
        line
        for line in shown
        if "\x1b" in line or "##vso[" in line or line.lstrip().startswith("::")
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([*NAMED, "--record", "/nowhere/at/all"], 1, "the folder /nowhere/at/all cannot be made"),
        ([*NAMED, "--forward", "here"], 1, "is neither http nor https"),
    ],
)
def test_listen_reports_arguments_that_it_cannot_start_with(
    arguments: list[str], code: int, told: str
) -> None:
    done = run("listen", *arguments)
    assert (done.code, told in done.err) == (code, True), done.err
