"""`hooksync catch-up`: events for what was updated during an outage."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from pyPreservica import EntityAPI

from hooksync.core.errors import ServiceError
from hooksync.receiver import Event, Receiver
from hooksync.receivers.catch_up import updated_entities
from hooksync.receivers.http_server import Connection, IncomingRequest, LoopbackServer, Reply
from hooksync.sandbox.server import Sandbox
from hooksync.sandbox.tenancies import SandboxOptions
from hooksync.service.http import Response
from tests.command_line import LOG_IN, Run, hooksync
from tests.pypreservica import CREDENTIALS, no_credentials

__all__ = ["no_credentials"]  # a fixture

SECRET = "s3cret-of-the-catalogue-0123456789"
SINCE = ("--since", "2026-01-30T15:00:00+01:00")
HOOKS = """\
version: 1
tenancies:
  archive:
    server: ${BOX}
    tenant: DEMO
    subscriptions:
      catalogue: {url: "${HOOK}", triggers: [INDEXED, MOVED], secret: {env: HOOK_SECRET}}
      moved: {url: "${HOOK}", trigger: INGEST_FAILED, secret: {env: HOOK_SECRET}}
"""


class Hook:
    """A receiver that works on each event once, and records headers and entities."""

    def __init__(self, fails_on: int = -1) -> None:
        self.receiver = Receiver("catalogue", {"HOOK_SECRET": SECRET})
        self.came: list[Event] = []
        self.marks: list[str] = []
        self.fails_on = fails_on

    def respond(self, connection: Connection, request: IncomingRequest) -> None:
        self.marks.append(request.headers.get("hooksync-catch-up", ""))
        if len(self.marks) == self.fails_on:
            connection.send(Reply(500))
            return
        answer = self.receiver.receive(
            "POST", request.query, request.headers, request.body, self.came.append
        )
        connection.send(Reply(answer.status, answer.body))


def catch_up(folder: Path, *arguments: str, hook: Hook, number: int = 3) -> Run:
    (folder / "hooks.yaml").write_text(HOOKS)
    options = SandboxOptions(updated_entities=number)
    with Sandbox(options) as box, LoopbackServer(0, hook.respond) as server:
        url = f"http://127.0.0.1:{server.port}/hook"
        environ = {**LOG_IN, "BOX": box.url, "HOOK": url, "HOOK_SECRET": SECRET}
        return hooksync(["catch-up", *arguments], environ, folder, HOOKS)


def test_each_updated_entity_is_sent_once_as_a_signed_and_marked_event(tmp_path: Path) -> None:
    hook = Hook()
    done = catch_up(tmp_path, "archive/catalogue", *SINCE, "--yes", hook=hook, number=250)
    assert (done.code, done.out) == (0, "250 answered with success, 0 failed.\n")
    assert len({event["events"][0]["entityRef"] for event in hook.came}) == 250
    assert {event["trigger"] for event in hook.came} == {"FULL_TEXT_INDEXED"}
    assert set(hook.marks) == {"2026-01-30T14:00:00.000+00:00"}
    assert "cannot recover failed ingests, deletions" in done.err


def test_a_second_run_is_worked_on_although_the_receiver_remembers_the_first(
    tmp_path: Path,
) -> None:
    hook = Hook()
    for _ in range(2):
        assert catch_up(tmp_path, "archive/catalogue", *SINCE, "--yes", hook=hook).code == 0
    assert (len(hook.marks), len(hook.came)) == (6, 6)
    times = {datetime.fromisoformat(event["timestamp"]).tzinfo for event in hook.came}
    assert (times, {event["tenant"] for event in hook.came}) == ({None}, {"DEMO"})


def test_a_receiver_that_is_not_there_is_one_failure_with_its_fix(tmp_path: Path) -> None:
    with Sandbox(SandboxOptions(updated_entities=3)) as box:
        environ = {**LOG_IN, "BOX": box.url, "HOOK": "http://127.0.0.1:1/", "HOOK_SECRET": SECRET}
        (tmp_path / "hooks.yaml").write_text(HOOKS)
        done = hooksync(["catch-up", "archive/catalogue", *SINCE, "--yes"], environ, tmp_path)
    assert (done.code, done.out.count("Connection refused"), "fix: " in done.out) == (1, 1, True)
    assert done.out.endswith("0 answered with success, 1 failed, 2 not sent.\n")


def test_a_hooks_file_on_standard_input_is_read_once(tmp_path: Path) -> None:
    hook = Hook()
    done = catch_up(tmp_path, "archive/catalogue", "-f", "-", *SINCE, "--yes", hook=hook)
    assert (done.code, done.out) == (0, "3 answered with success, 0 failed.\n"), done.err


def test_a_dry_run_lists_the_entities_and_sends_nothing(tmp_path: Path) -> None:
    hook = Hook()
    done = catch_up(tmp_path, "archive/catalogue/INDEXED", *SINCE, "--dry-run", hook=hook)
    assert (done.code, len(done.out.splitlines()), hook.marks) == (0, 3, [])
    assert all(line.startswith("IO ") for line in done.out.splitlines())


def test_a_refused_event_is_shown_and_the_others_are_sent(tmp_path: Path) -> None:
    done = catch_up(tmp_path, "archive/catalogue", *SINCE, "--yes", hook=Hook(fails_on=2))
    assert (done.code, done.out.splitlines()[-1]) == (1, "2 answered with success, 1 failed.")
    assert "500 in" in done.out.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["archive/moved", *SINCE],
            'no file declares the address "archive/moved/INDEXED"',
        ),
        (["archive/catalogue/MOVED", *SINCE], "did you mean archive/catalogue/INDEXED?"),
        (
            ["archive/catalogue", "--since", "yesterday"],
            '--since "yesterday" is not a time in the past',
        ),
        (
            ["archive/catalogue", "--since", "2026-01-30T15:00:00"],
            "is not a time in the past with its time zone",
        ),
        (["archive/catalogue", "--since", "2999-01-30T15:00:00Z"], "is not a time in the past"),
        (["archive/catalogue", "--since", "0001-01-01T00:00+10:00"], "is not a time in the past"),
        (["archive/none", *SINCE], "known: archive/catalogue/INDEXED"),
        (["archive/catalogue"], "--since"),
    ],
)
def test_catch_up_refuses_what_it_cannot_do(
    arguments: list[str], told: str, tmp_path: Path
) -> None:
    done = catch_up(tmp_path, *arguments, hook=Hook())
    assert (done.code, told in done.err) == (64, True), done.err


@pytest.mark.usefixtures("no_credentials")
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # pyPreservica
def test_pypreservica_reads_the_sandboxs_pages_of_updated_entities() -> None:
    with Sandbox(SandboxOptions(updated_entities=120)) as box:
        client = EntityAPI(**CREDENTIALS, server=box.url.removeprefix("http://"), protocol="http")
        found = {entity.reference for entity in client.updated_entities(previous_days=2)}
        client.session.close()
        client.auth_session.close()
    assert len(found) == 120


def run_with_list(folder: Path, body: bytes, *flags: str) -> Run:
    """Run catch-up against a service whose list of entities is this body."""

    class Odd(Sandbox):
        def _respond(self, connection: Connection, request: IncomingRequest) -> None:
            if "updated-since" in request.path:
                connection.send(Reply(200, body, "application/xml"))
            else:
                super()._respond(connection, request)

    (folder / "hooks.yaml").write_text(HOOKS)
    environ: dict[str, Any] = {**LOG_IN, "HOOK": "http://127.0.0.1:1/", "HOOK_SECRET": SECRET}
    with Odd() as box:
        arguments = ["catch-up", "archive/catalogue", *SINCE, *flags]
        return hooksync(arguments, {**environ, "BOX": box.url}, folder)


DTD = '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'


@pytest.mark.parametrize(
    "body", [b"no XML", DTD.encode(), DTD.encode("utf-16"), b"<x><Entity/></x>"]
)
def test_a_list_of_entities_that_is_not_understood_is_an_error_that_quotes_it(
    body: bytes, tmp_path: Path
) -> None:
    done = run_with_list(tmp_path, body)
    assert (done.code, "updated-since" in done.err) == (1, True), done.err
    assert json.dumps(done.out) == '""'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_pages_that_never_end_and_repeat_themselves_end_with_what_was_new(
    encoding: str, tmp_path: Path
) -> None:
    page = '<r><Entity type="IO" ref="a-1"/><Next/></r>'.encode(encoding)
    done = run_with_list(tmp_path, page, "--dry-run")
    assert (done.code, done.out) == (0, "IO a-1\n")


def test_pages_that_never_end_and_always_have_a_new_entity_are_an_error() -> None:
    numbers = count()

    class Endless:
        def fetch(self, path: str, read: Any) -> Any:
            page = f'<r><Entity type="IO" ref="{next(numbers)}"/><Next/></r>'
            return read(Response(200, page.encode()))

    with pytest.raises(ServiceError, match="does not end after"):
        updated_entities(cast(Any, Endless()), "2026-01-30T14:00Z")


def test_a_service_that_lists_a_secret_as_an_entity_does_not_make_hooksync_show_it(
    tmp_path: Path,
) -> None:
    body = f'<x><Entity type="IO" ref="{SECRET}"/></x>'.encode()
    done = run_with_list(tmp_path, body, "--dry-run")
    assert (done.code, done.out) == (0, "IO ***\n")
    assert SECRET not in done.err
