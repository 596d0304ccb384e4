"""`Inbox`: an event that was answered with 200 is worked on, whatever fails or dies."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from hooksync.receiver import Answer, Event, Inbox, ProcessMemory, Receiver, sign_event
from tests.command_line import ROOT

SECRET = "the-new-secret-of-it"


def event(number: object = 1) -> bytes:
    return json.dumps({"trigger": "MOVED", "events": [{"entityRef": str(number)}]}).encode()


def deliver(box: Inbox, body: bytes | None = None) -> Answer:
    receiver = Receiver("catalogue", {"SECRET": SECRET}, inbox=box)
    body = body or event()
    headers = {"Preservica-Signature": sign_event(SECRET.encode(), body)}
    return receiver.receive("POST", "", headers, body)


def work_off(box: Inbox, fails: int = 0) -> list[str]:
    """Work on all that is due, failing the first times. Returns the references that came."""
    came: list[str] = []

    def work(event: Event) -> None:
        came.append(event["events"][0]["entityRef"])
        if len(came) <= fails:
            raise OSError("the catalogue is down")

    while box._work_on_next(work):
        pass
    return came


def rows(box: Inbox, statement: str, *values: object) -> list[tuple[object, ...]]:
    """Read or change the file of an inbox, as a different process."""
    with closing(sqlite3.connect(box._store._path, timeout=30, isolation_level=None)) as connection:
        return connection.execute(statement, values).fetchall()


@pytest.fixture
def box(tmp_path: Path) -> Inbox:
    return Inbox(str(tmp_path / "events.sqlite"), tries=3, first_wait=0)


def test_an_event_is_stored_answered_with_200_and_then_worked_on_once(box: Inbox) -> None:
    answers = [deliver(box) for _ in range(2)]
    assert [(answer.status, answer.kind) for answer in answers] == [
        (200, "event"),
        (200, "duplicate"),
    ]
    assert work_off(box) == ["1"]
    assert (deliver(box).kind, work_off(box)) == ("duplicate", [])


def test_a_genuine_event_that_is_nested_too_deeply_is_refused_and_raises_nothing(
    box: Inbox,
) -> None:
    for levels in (49, 50, *range(800, 1000), 100_000):
        body = b'{"events": ' + b"[" * levels + b"]" * levels + b"}"
        assert deliver(box, body).status == (200 if levels == 49 else 400)


def test_of_32_simultaneous_deliveries_one_is_stored(box: Inbox) -> None:
    with ThreadPoolExecutor(32) as pool:
        kinds = sorted(answer.kind for answer in pool.map(lambda _: deliver(box), range(32)))
    assert kinds == ["duplicate"] * 31 + ["event"]
    assert work_off(box) == ["1"]


def test_work_that_fails_is_tried_again_until_it_succeeds(box: Inbox) -> None:
    deliver(box)
    assert work_off(box, fails=2) == ["1"] * 3
    assert (box.given_up(), work_off(box)) == ([], [])


def test_an_event_whose_tries_all_fail_is_kept_with_its_error_and_can_be_tried_by_hand(
    box: Inbox,
) -> None:
    deliver(box)
    deliver(box, event(2))
    assert sorted(work_off(box, fails=6)) == ["1"] * 3 + ["2"] * 3
    first, second = box.given_up()
    assert first.key == deliver(box).key
    assert (first.event, first.tries) == (json.loads(event()), 3)
    assert first.error == "OSError: the catalogue is down"
    box.retry(first.key)
    assert work_off(box) == ["1"]
    assert box.given_up() == [second]
    for key in (first.key, "unknown"):
        with pytest.raises(KeyError, match="no event that was given up has the key"):
            box.retry(key)


def test_all_events_that_were_given_up_can_be_tried_again_at_once(box: Inbox) -> None:
    box.retry()  # there is none
    for number in (1, 2):
        deliver(box, event(number))
    work_off(box, fails=6)
    box.retry()
    assert (box.waiting(), box.given_up()) == (2, [])
    assert sorted(work_off(box)) == ["1", "2"]


def test_an_event_that_is_dropped_is_not_worked_on_even_if_it_comes_again(box: Inbox) -> None:
    assert box.waiting() == 0
    key = deliver(box).key
    assert box.waiting() == 1
    box.drop(key)
    assert (box.waiting(), deliver(box).kind, work_off(box)) == (0, "duplicate", [])
    deliver(box, event(2))
    work_off(box, fails=3)
    [stored] = box.given_up()
    box.drop(stored.key)
    assert box.given_up() == []
    for gone in (stored.key, "unknown"):
        with pytest.raises(KeyError, match="no event that waits or was given up has the key"):
            box.drop(gone)


def test_the_space_of_done_events_is_given_back_to_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    box = Inbox(str(path))
    for number in range(20):
        deliver(
            box, json.dumps({"events": [{"entityRef": str(number)}], "x": "x" * 500_000}).encode()
        )
    assert len(work_off(box)) == 20
    rows(box, "PRAGMA wal_checkpoint(TRUNCATE)")
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 1_500_000


def test_a_stop_ends_after_the_event_at_work_and_no_event_is_tried_in_vain(box: Inbox) -> None:
    stop = threading.Event()
    for number in (1, 2):
        deliver(box, event(number))
    box.run(lambda event: stop.set(), stop)
    assert rows(box, "SELECT tries, event IS NULL FROM events ORDER BY tries") == [(0, 0), (1, 1)]


def test_the_wait_between_two_tries_grows_up_to_an_hour(tmp_path: Path) -> None:
    box = Inbox(str(tmp_path / "events.sqlite"), tries=9, first_wait=10)
    deliver(box)
    for wait in (10, 40, 160, 640, 2560, 3600):
        rows(box, "UPDATE events SET due = 0")
        before = time.time()
        work_off(box, fails=1)
        [[due]] = rows(box, "SELECT due FROM events")
        assert isinstance(due, float)
        assert before + wait <= due <= time.time() + wait


def test_an_error_while_storing_is_no_answer_with_200(box: Inbox) -> None:
    rows(box, "DROP TABLE events")
    with pytest.raises(sqlite3.OperationalError):
        deliver(box)


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
from tests.receivers.test_inbox import Inbox, deliver, event
box = Inbox(sys.argv[1])
for number in range(2000):
    try:
        print(deliver(box, event(number)).status, flush=True)
    except Exception as error:
        print(error)
        break
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits of a process")
def test_what_was_answered_with_200_before_the_disk_was_full_is_worked_on(tmp_path: Path) -> None:
    path = str(tmp_path / "events.sqlite")
    done = subprocess.run(
        [sys.executable, "-c", FULL, path], cwd=ROOT, capture_output=True, text=True
    )
    *answered, error = done.stdout.splitlines()
    assert set(answered) == {"200"}, done.stderr
    assert "disk" in error
    assert len(work_off(Inbox(path))) == len(answered)


PROCESS = """
import sys, threading
from tests.receivers.test_inbox import Inbox, deliver, event
box = Inbox(sys.argv[1], expiry=float(sys.argv[2]))
stop = threading.Event()
for number in range(int(sys.argv[3])):
    deliver(box, event(number))
def work(event):
    print(event["events"][0]["entityRef"], flush=True)
    if not sys.stdin.readline():
        stop.set()
box.run(work, stop)
"""


@contextmanager
def working(path: Path, expiry: float = 900, number: int = 0) -> Iterator[subprocess.Popen[str]]:
    """Run a process that stores events and works on them; each takes a line of standard input."""
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(path), str(expiry), str(number)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_after_kill_9_nothing_is_lost_and_only_the_event_at_work_is_repeated(
    tmp_path: Path,
) -> None:
    path = tmp_path / "events.sqlite"
    with working(path, expiry=0, number=4) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "0\n"
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "1\n"
        process.kill()
    assert sorted(work_off(Inbox(str(path)))) == ["1", "2", "3"]


STORING = """
import gc, os, sys
from hooksync.receiver import Inbox, SQLiteMemory
from tests.receivers.test_inbox import deliver, event
path = sys.argv[2]
box = globals()[sys.argv[1]](path)
exec(sys.argv[3])
print(os.getpid(), flush=True)
sys.stdin.readline()
for number in range(5):
    if isinstance(box, Inbox):
        deliver(box, event(number))
    else:
        box.begin(str(number), "claim")
print("stored", flush=True)
sys.stdin.readline()
"""
# what a process does besides the object with which it then stores five events
BESIDES = {
    "nothing": "",
    "a second object": "second = type(box)(path)",
    "a second object that is closed": "type(box)(path); gc.collect()",
    "a fork": "if os.fork(): os.wait()\nbox._store.run('SELECT 1')",
}


@pytest.mark.parametrize("kind", ["Inbox", "SQLiteMemory"])
@pytest.mark.parametrize("besides", BESIDES)
def test_a_process_that_opens_the_file_twice_loses_nothing_if_others_open_it_and_it_is_killed(
    kind: str, besides: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "events.sqlite")
    with subprocess.Popen(
        [sys.executable, "-c", STORING, kind, path, BESIDES[besides]],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        storing = int(process.stdout.readline())  # after a fork: the child
        if storing != process.pid:
            process.kill()
        look = f"from hooksync.receiver import {kind}; {kind}({path!r})"
        subprocess.run([sys.executable, "-c", look], cwd=ROOT, check=True)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "stored\n"
        os.kill(storing, signal.SIGKILL)
    with closing(sqlite3.connect(path)) as connection:
        [[number]] = connection.execute("SELECT count(*) FROM events")
    assert number == 5


KILLED = """
import sys, threading
from tests.receivers.test_inbox import Inbox, deliver, event
boxes = [Inbox(sys.argv[1], tries=1000, first_wait=0, expiry=0) for _ in range(2)]
threading.Thread(target=boxes[1].run, args=(lambda event: None,), daemon=True).start()
for number in range(10**6):
    answer = deliver(boxes[number % 2], event(f"{sys.argv[2]}-{number}"))
    print(answer.key, flush=True)
"""


@pytest.mark.nightly
def test_no_answered_event_is_lost_in_100_rounds_of_kill_9(tmp_path: Path) -> None:
    """Two processes, each with two objects, while a third opens and closes the file."""
    path = str(tmp_path / "events.sqlite")
    answered: set[str] = set()
    chance = random.Random(1)
    for number in range(100):
        commands = [[sys.executable, "-c", KILLED, path, f"{number}{name}"] for name in "ab"]
        processes = [
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            for command in commands
        ]
        for process in processes:
            assert process.stdout
            for _ in range(chance.randrange(1, 40)):
                answered.add(process.stdout.readline().strip())
            Inbox(path).given_up()
            gc.collect()
        for process in processes:
            process.kill()
            answered |= {*process.communicate()[0].split()}
    box = Inbox(path, tries=1000)
    work_off(box)
    done = {key for (key,) in rows(box, "SELECT key FROM events WHERE event IS NULL")}
    sys.stdout.write(f"{len(answered)} answered, {len(answered - done)} lost\n")
    assert answered - done == set()


def test_an_event_that_kills_its_process_each_time_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    box = Inbox(str(path), tries=2, expiry=0)
    deliver(box)
    for _ in range(2):
        with working(path, expiry=0) as process:
            assert process.stdout
            assert process.stdout.readline() == "1\n"
            process.kill()
    assert work_off(box) == []
    [stored] = box.given_up()
    assert (stored.tries, stored.error) == (2, "the process ended during the work")


def test_two_processes_share_an_inbox_and_work_once_on_each_event(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    box = Inbox(str(path))
    for number in range(40):
        deliver(box, event(number))
    with working(path) as one, working(path) as two:
        out = ""
        for process in (one, two):
            assert process.stdin
            process.stdin.write("\n" * 40)
            process.stdin.flush()
        while rows(box, "SELECT 1 FROM events WHERE due IS NOT NULL"):
            pass
        for process in (one, two):
            process.terminate()
            out += process.communicate()[0]
    assert sorted(map(int, out.split())) == list(range(40))


def test_a_done_event_and_its_body_are_forgotten_after_the_time_to_keep_it(tmp_path: Path) -> None:
    path = str(tmp_path / "events.sqlite")
    deliver(Inbox(path))
    assert work_off(Inbox(path, keep=0)) == ["1"]
    assert rows(Inbox(path), "SELECT event FROM events") == [(None,)]
    assert work_off(Inbox(path)) == []  # it deletes old rows at its first look
    assert rows(Inbox(path), "SELECT * FROM events") == []


def steps_of_a_look(box: Inbox) -> int:
    """Count the steps of SQLite for one look that finds no event."""
    steps = []
    box._work_on_next(bool)  # it also deletes old rows
    connection = box._store._connection
    connection.set_progress_handler(lambda: steps.append(1), 1)
    assert not box._work_on_next(bool)
    connection.set_progress_handler(None, 0)
    return len(steps)


def test_a_look_without_work_costs_the_same_at_10_and_at_10_000_done_events(box: Inbox) -> None:
    counts = []
    for number in (10, 10_000):
        rows(
            box,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?)"
            " INSERT INTO events (key, until) SELECT i || '/' || ?, 1e12 FROM n",
            *(number, number),
        )
        counts.append(steps_of_a_look(box))
    assert counts[0] == counts[1]


def test_a_cancelled_delivery_is_stored_or_not_answered(box: Inbox) -> None:
    receiver = Receiver("catalogue", {"SECRET": SECRET}, inbox=box)
    headers = {"Preservica-Signature": sign_event(SECRET.encode(), event())}

    async def cancel() -> None:
        task = asyncio.create_task(receiver.receive_async("POST", "", headers, event()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        answer = await receiver.receive_async("POST", "", headers, event())
        assert answer.status == 200

    asyncio.run(cancel())
    assert work_off(box) == ["1"]


async def later(event: Event) -> None:
    """Asynchronous work."""


def test_work_that_returns_a_coroutine_is_an_error_with_its_cure(box: Inbox) -> None:
    deliver(box)
    while box._work_on_next(lambda event: later(event)):
        pass
    [stored] = box.given_up()
    assert "give run(lambda event: asyncio.run(work(event)))" in stored.error


def test_the_log_of_the_last_try_states_that_the_event_is_given_up(
    box: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(box)
    work_off(box, fails=3)
    ends = [record.message.endswith("; given up") for record in caplog.records]
    assert ends == [False, False, True]


def test_a_receiver_takes_no_memory_and_no_work_beside_an_inbox(box: Inbox) -> None:
    with pytest.raises(ValueError, match="a memory or an inbox"):
        Receiver("catalogue", {"SECRET": SECRET}, ProcessMemory(), inbox=box)
    with pytest.raises(TypeError, match="not both"):
        Receiver("catalogue", {"SECRET": SECRET}, inbox=box).receive("POST", "", {}, b"", bool)
