"""The example with a queue: events that were answered 200 are worked on. Events that an outage kept
away are worked on later.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from pyPreservica import EntityAPI

from hooksync.sandbox.http_server import Connection, IncomingRequest, Reply
from tests.boxes import Sandbox
from tests.command_line import ROOT, hooksync
from tests.pypreservica import CREDENTIALS, no_credentials
from tests.receivers.conftest import COMMANDS, EXAMPLES, SECRETS, Server, started
from tests.receivers.test_examples import deliver, event

__all__ = ["no_credentials"]  # a fixture

NAMES = ("event_queue", "worker", "catch_up")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLES / "queue", tmp_path / "queue"))


@pytest.fixture
def modules(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ModuleType]]:
    """Import the modules of the example, and yield them in its folder."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    yield [importlib.import_module(name) for name in NAMES]
    for name in NAMES:
        del sys.modules[name]


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with started(COMMANDS["flask"][1], folder, SECRETS) as server:
        yield server


def test_the_suite_finds_no_fault_with_the_receiver_that_has_a_queue(server: Server) -> None:
    given = ["--secret", "env:HOOK_SECRET", "--secret", "env:HOOK_SECRET_OLD"]
    done = hooksync(["fire", "--suite", "--url", server.url, *given], dict(SECRETS))
    assert "\nSuite: 20 passed, 0 failed.\n" in done.out
    assert done.code == 0


def test_a_worker_works_once_on_each_event_that_the_receiver_took(
    server: Server, folder: Path
) -> None:
    reference, last = str(uuid.uuid4()), str(uuid.uuid4())
    bodies = [event(reference), event(reference, "0" * 32), event(last)]
    assert [deliver(server, body) for body in bodies] == [200] * 3
    with subprocess.Popen(
        [sys.executable, "worker.py"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        printed = [process.stdout.readline() for _ in range(2)]
        process.kill()
    assert printed == [f"MOVED IO {reference}\n", f"MOVED IO {last}\n"]


def test_an_event_whose_worker_died_or_failed_is_tried_again(modules: list[ModuleType]) -> None:
    event_queue, worker, _ = modules
    queue = event_queue.Queue()
    queue.put({"trigger": "MOVED", "events": [{"entityType": "IO"}]})  # on which `work` fails
    event_queue.LEASE = 900.0
    taken = queue.take()
    assert (queue.take(), taken[1]["trigger"]) == (None, "MOVED")  # the worker died after that
    event_queue.LEASE = -1.0
    queue.run("UPDATE events SET try_at = 0")
    worker.work_off(queue)
    [[tries, is_done, try_at]] = queue.run("SELECT tries, is_done, try_at FROM events")
    assert (tries, is_done, 100 < try_at - time.time() < 121) == (2, 0, True)


LISTED = """<EntitiesResponse xmlns="http://preservica.com/EntityAPI/v7.5"><Entities>{}</Entities>
<Paging><TotalResults>3</TotalResults>{}</Paging></EntitiesResponse>"""
ENTITY = '<Entity title="{0}" ref="{0}" type="{1}">http://127.0.0.1/</Entity>'


class Updated(Sandbox):
    """A sandbox that also lists updated entities, as pyPreservica expects them."""

    since: str = ""

    def _respond(self, connection: Connection, request: IncomingRequest) -> None:
        if request.path != "/api/entity/entities/updated-since":
            super()._respond(connection, request)
            return
        form = IncomingRequest("GET", "/", body=request.query.encode()).form()
        page = f"<Next>{self.url}{request.path}?start=2</Next>" if "date" in form else ""
        self.since = form.get("date", self.since)
        found = [("a", "IO"), ("b", "SO")] if page else [("c", "CO")]
        entities = "".join(ENTITY.format(*each) for each in found)
        connection.send(Reply(200, LISTED.format(entities, page).encode(), "application/xml"))


@pytest.mark.usefixtures("no_credentials")
def test_catching_up_queues_each_updated_entity_once(
    modules: list[ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    event_queue, worker, catch_up = modules
    queue = event_queue.Queue()
    with Updated() as box:
        client = EntityAPI(**CREDENTIALS, server=box.url.removeprefix("http://"), protocol="http")
        with pytest.raises(SystemExit, match="no event ever came"):
            catch_up.catch_up(client, queue)
        queue.put({"trigger": "MOVED", "events": []})
        queue.run("UPDATE events SET came = came - 86400 * 2.5, is_done = 1")
        assert catch_up.catch_up(client, queue) == 3
        days = time.time() - time.mktime(time.strptime(box.since[:19], "%Y-%m-%dT%H:%M:%S"))
        client.session.close()
        client.auth_session.close()
    worker.work_off(queue)
    assert capsys.readouterr().out == "CATCH_UP IO a\nCATCH_UP SO b\nCATCH_UP CO c\n"
    assert 2.5 < (days + time.timezone) / 86400 < 3.1
    assert queue.complete_until() > time.time() - 60
