"""The examples of receivers, each on its server, against `check`, the sandbox, pyPreservica, and
forged requests.

A test with the fixture `server` checks one duty of every receiver. It runs for each of COMMANDS in
conftest.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pyPreservica import TriggerType

from hooksync.receiver import sign_event
from tests.boxes import Sandbox
from tests.clocks import SteadyClock
from tests.command_line import ROOT, hooksync
from tests.pypreservica import no_credentials, web_hooks_api
from tests.receivers.conftest import COMMANDS, EXAMPLES, SECRETS, Server, built, serve

__all__ = ["no_credentials"]  # a fixture

NEW, OLD = SECRETS.values()
MOST_LINES = 85


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox() as box:
        yield box


def send(server: Server, query: str = "", body: Any = b"", **headers: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return session.post(f"{server.url}?code=KEY{query}", data=body, headers=named)


def moved(reference: str) -> dict[str, object]:
    return {"event": "Moved", "entityType": "IO", "entityRef": reference, "identifiers": []}


def event(reference: str, subscription: str = "9495ddbf7d4a0b9f030a3411c87f967d") -> bytes:
    document = {
        "subscriptionId": subscription,
        "timestamp": "2023-10-11T10:52:42.469",
        "tenant": "Bibliothèque",
    }
    return json.dumps(
        {**document, "trigger": "MOVED", "events": [moved(reference)]}, ensure_ascii=False
    ).encode()


def deliver(server: Server, body: bytes, secret: str = NEW) -> int:
    """Send a signed event in two chunks; return the status of the answer."""
    signature = sign_event(secret.encode(), body)
    sent = iter([body[:50], body[50:]])
    return send(
        server, body=sent, Content_Type="application/json", Preservica_Signature=signature
    ).status_code


@pytest.mark.slow
def test_each_receiver_passes_the_suite_of_fire(server: Server) -> None:
    given = ["--secret", "env:HOOK_SECRET", "--secret", "env:HOOK_SECRET_OLD"]
    if server.name.startswith("aws-"):
        given += ["--largest", "4"]
    done = hooksync(
        ["fire", "--suite", "--url", f"{server.url}?code=KEY", *given],
        dict(SECRETS),
        clock=SteadyClock(),  # a busy machine is no slow receiver
    )
    assert (done.code, "Suite: 50 passed, 0 failed.\n" in done.out) == (0, True), done.out


@pytest.mark.usefixtures("no_credentials")
def test_each_receiver_can_be_subscribed_by_pypreservica_and_takes_its_events(
    server: Server, box: Sandbox
) -> None:
    with web_hooks_api(box) as api:
        api.subscribe(f"{server.url}?code=KEY", TriggerType.MOVED, NEW)
    reference = str(uuid.uuid4())
    assert box.fire("MOVED", [moved(reference)]) == [200]
    server.wait_for(f"MOVED IO {reference}")
    server.wait_for("200 event HOOK_SECRET\n")


def test_each_receiver_works_once_on_an_event_that_arrives_twice_and_with_two_ids(
    server: Server,
) -> None:
    reference, last = str(uuid.uuid4()), str(uuid.uuid4())
    bodies = [event(reference), event(reference), event(reference, "0" * 32)]
    assert [deliver(server, body) for body in (*bodies, event(last))] == [200] * 4
    server.wait_for(last)
    assert server.printed.count(reference) == 1


def test_each_receiver_refuses_a_forged_event_and_does_no_work(server: Server) -> None:
    reference, last = str(uuid.uuid4()), str(uuid.uuid4())
    body = event(reference)
    for secret in ("another secret", ""):
        assert deliver(server, body, secret) == 401
    assert send(server, body=body, Content_Type="application/json").status_code == 401
    changed = send(server, body=body + b" ", Preservica_Signature=sign_event(NEW.encode(), body))
    assert changed.status_code == 401
    assert deliver(server, event(last)) == 200
    server.wait_for(last)
    assert reference not in server.printed
    assert "401 refused the signature is wrong" in server.printed


def test_each_receiver_reports_failed_work_and_tries_again_on_the_next_delivery(
    server: Server,
) -> None:
    # the work of the examples looks up `entityRef`, which is missing here
    body = event(str(uuid.uuid4())).replace(b'"entityRef"', b'"ref"')
    statuses = [deliver(server, body) for _ in range(2)]
    if statuses != [200, 200]:
        assert min(statuses) >= 500
    else:  # it has stored the event, and tries again by itself
        server.wait_for("try 1 of 8 failed")
        server.wait_for("try 2 of 8 failed")


def test_no_receiver_prints_a_secret(server: Server) -> None:
    deliver(server, event(str(uuid.uuid4())))
    assert not [secret for secret in (NEW, OLD) if secret in server.printed]


@pytest.mark.parametrize(
    ("folder", "command"), [("go", ["go", "test", "."]), ("node-express", ["node", "--test"])]
)
@pytest.mark.slow
def test_an_example_in_another_language_passes_the_test_vectors_in_its_own_runner(
    folder: str, command: list[str], tmp_path: Path
) -> None:
    shutil.copy(EXAMPLES / "vectors.json", tmp_path)
    copied = shutil.copytree(EXAMPLES / folder, tmp_path / folder)
    _, needed = built(command, copied)
    environ = {**os.environ, **needed}
    done = subprocess.run(command, cwd=copied, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.slow
def test_without_a_secret_no_receiver_starts(name: str, tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="HOOK_SECRET is not set"),
        serve(name, tmp_path, {"HOOK_SECRET": ""}),
    ):
        pass


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*.py")), ids=lambda path: path.name)
def test_an_example_is_short_and_a_receiver_takes_its_secret_from_the_environment(
    path: Path,
) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < MOST_LINES
    if "Receiver(" in text:
        assert '("HOOK_SECRET", "HOOK_SECRET_OLD")' in text
        assert '"""Your code. ' in text


def test_the_requirements_of_the_examples_are_what_the_tests_ran_with() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        tested = tomllib.load(file)["project"]["optional-dependencies"]["test"]
    required = {
        line for path in EXAMPLES.glob("*/requirements.txt") for line in path.read_text().split()
    }
    assert required - set(tested) == {"gunicorn>=22.0"}
