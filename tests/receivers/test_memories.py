"""The memories of `hooksync.receiver`, and those that examples/receivers/README.md prints."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hooksync.receiver import Answer, Event, ProcessMemory, Progress, Receiver, SQLiteMemory
from tests.command_line import ROOT
from tests.receivers.test_module import (
    BODY,
    EVENT,
    NEW,
    deliver,
    deliver_async,
    fail_later,
    sign,
)

README = ROOT / "examples" / "receivers" / "README.md"


class Odd(ProcessMemory):
    """A memory whose `begin` returns something else: an asynchronous client returns a coroutine."""

    answer: object = None

    def begin(self, key: str, claim: str) -> Any:
        return self.answer


async def later() -> str:
    return "new"


@pytest.mark.parametrize("answer", [True, False, None, "", "NEW", b"new", 1])
def test_an_event_is_not_skipped_with_200_if_a_memory_returns_none_of_the_three_words(
    answer: object,
) -> None:
    memory = Odd()
    memory.answer = answer
    receiver = Receiver("catalogue", {"NEW": NEW}, memory)
    with pytest.raises(TypeError, match=r'"new", "busy" or "done"'):
        deliver(receiver)
    with pytest.raises(TypeError, match=r'"new", "busy" or "done"'):
        deliver_async(receiver)


def test_an_event_is_not_skipped_with_200_if_the_memory_is_asynchronous() -> None:
    memory = Odd()
    memory.answer = later()
    with pytest.raises(TypeError, match="the memory is asynchronous: await receive_async"):
        deliver(Receiver("catalogue", {"NEW": NEW}, memory))


class Later:
    """An asynchronous memory."""

    def __init__(self) -> None:
        self.memory = ProcessMemory()

    async def begin(self, key: str, claim: str) -> Progress:
        await asyncio.sleep(0)
        return self.memory.begin(key, claim)

    async def done(self, key: str, claim: str) -> None:
        await asyncio.sleep(0)
        self.memory.done(key, claim)

    async def failed(self, key: str, claim: str) -> None:
        await asyncio.sleep(0)
        self.memory.failed(key, claim)


def test_receive_async_awaits_an_asynchronous_memory() -> None:
    receiver = Receiver("catalogue", {"NEW": NEW}, Later())
    with pytest.raises(OSError, match="catalogue"):
        deliver_async(receiver, fail_later)
    assert [deliver_async(receiver).kind for _ in range(2)] == ["event", "duplicate"]


class InThreads(ProcessMemory):
    """Records the threads that call it."""

    def begin(self, key: str, claim: str) -> Progress:
        self.thread = threading.get_ident()
        return super().begin(key, claim)


def test_receive_async_never_calls_a_memory_on_the_event_loop() -> None:
    memory = InThreads()
    deliver_async(Receiver("catalogue", {"NEW": NEW}, memory))
    assert memory.thread != threading.get_ident()


class Broken(ProcessMemory):
    """Cannot record that work failed."""

    def failed(self, key: str, claim: str) -> None:
        raise RuntimeError("database or disk is full")


def test_an_error_of_the_memory_does_not_hide_the_error_of_the_work() -> None:
    with pytest.raises(OSError, match="catalogue"):
        deliver_async(Receiver("catalogue", {"NEW": NEW}, Broken()), fail_later)


TYPED = """
from collections.abc import Awaitable
from hooksync.receiver import Event, Memory, Progress, Receiver

class Mine:
    def begin(self, event: str, delivery: str) -> Progress:
        return "new"
    def done(self, event: str, delivery: str) -> None: ...
    def failed(self, event: str, delivery: str) -> bool:
        return True

class MineLater:
    async def begin(self, key: str, claim: str) -> Progress:
        return "new"
    async def done(self, key: str, claim: str) -> None: ...
    async def failed(self, key: str, claim: str) -> None: ...

def work(event: Event) -> None:
    print(event.get("trigger"))

for memory in (Mine(), MineLater()):
    made: Receiver = Receiver("catalogue", {"A": "b"}, memory)
Receiver("catalogue", {"A": b"b"}).receive("POST", b"", {}, b"", work)
"""


@pytest.mark.slow
def test_mypy_strict_accepts_a_memory_that_a_user_writes(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "mine.py").write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run([*command, str(tmp_path / "mine.py")], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stdout.decode()


def test_receivers_that_share_a_memory_each_work_on_an_event_that_all_of_them_get() -> None:
    memory = ProcessMemory()
    worked: list[str] = []
    for name in ("catalogue", "search", "search"):
        receiver = Receiver(name, {"NEW": NEW}, memory)
        deliver(receiver, work=lambda _, name=name: worked.append(name))
    assert worked == ["catalogue", "search"]


def printed(name: str) -> Any:
    """Return a class of the page of examples."""
    for code in re.findall(r"```python\n(.+?)```", README.read_text(encoding="utf-8"), re.DOTALL):
        if f"class {name}" in code:
            names: dict[str, Any] = {}
            exec(code, names)
            return names[name]
    raise AssertionError(f"the page has no {name}")


@contextmanager
def dynamodb() -> Iterator[Any]:
    import boto3  # 2 s, like the libraries below; no other test needs them
    from moto import mock_aws

    with mock_aws():
        given = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
        service = boto3.resource("dynamodb", region_name="eu-west-1", **given)
        yield service.create_table(
            TableName="events",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "event_key", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "event_key", "AttributeType": "S"}],
        )


@pytest.fixture(
    params=["process", "sqlite", "redis", pytest.param("dynamodb", marks=pytest.mark.slow)]
)
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    match request.param:
        case "process":
            yield ProcessMemory()
        case "sqlite":
            yield SQLiteMemory(str(tmp_path / "events.sqlite"))
        case "redis":
            import fakeredis

            yield printed("RedisMemory")(fakeredis.FakeRedis(decode_responses=True))
        case _:
            with dynamodb() as table:
                yield printed("DynamoDBMemory")(table)


@pytest.mark.parametrize(
    "steps",
    [
        "begin a new, begin b busy, done a, begin c done",
        "begin a new, failed a, begin b new, done b, begin c done",
        "expiry -9, begin a new, expiry 900, begin b new, begin c busy",
        "expiry -9, begin a new, expiry 900, begin b new, failed a, begin c busy",
        "expiry -9, begin a new, expiry 900, begin b new, done a, failed b, begin c done",
        "expiry -9, begin a new, done a, begin b done",
        "failed a, begin b new, failed a, begin c busy",
    ],
)
def test_a_memory_records_the_events_that_are_in_progress_and_done(steps: str, memory: Any) -> None:
    if "expiry" in steps and "Redis" in type(memory).__name__:
        pytest.skip("Redis has no expiry in the past")
    for step in steps.split(", "):
        what, value, *expected = step.split()
        if what == "expiry":
            memory.expiry = int(value)
        elif what == "begin":
            assert [memory.begin("key", value)] == expected, step
        else:
            getattr(memory, what)("key", value)
    assert memory.begin("another key", "d") == "new"


def test_a_memory_forgets_the_oldest_event_that_is_done_and_none_in_progress() -> None:
    memory = ProcessMemory(size=2)
    assert memory.begin("in progress", "a") == "new"
    for key in ("first", "second", "third"):
        memory.begin(key, "a")
        memory.done(key, "a")
    keys = ("in progress", "second", "third", "first")
    assert [memory.begin(key, "b") for key in keys] == ["busy", "done", "done", "new"]
    assert [ProcessMemory(size=0).begin("key", "a") for _ in range(2)] == ["new"] * 2


def test_of_32_simultaneous_deliveries_one_is_worked_on_and_the_others_get_503(
    memory: Any,
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
    memory: Any,
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


FORKED = """
import os, sys
from hooksync.receiver import SQLiteMemory
memory = SQLiteMemory(sys.argv[1])
print(memory.begin("before the fork", "a"), flush=True)
child = os.fork()
name = "parent" if child else "child"
found = [memory.begin("before the fork", name), memory.begin(f"of the {name}", name)]
memory.done(f"of the {name}", name)
if child:
    os.waitpid(child, 0)
    found += [memory.begin("of the child", name), memory.begin("of the parent", name)]
print(*found, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no fork")
def test_a_memory_works_on_both_sides_of_a_fork(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(tmp_path / "events.sqlite")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.stdout.splitlines(), done.stderr) == (
        ["new", "busy new", "busy new done done"],
        "",
    )


OPENS = "import sys; from hooksync.receiver import SQLiteMemory; SQLiteMemory(sys.argv[1]).begin('a', 'b')"


def test_processes_that_make_the_same_file_at_the_same_time_all_succeed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPENS, str(tmp_path / "events.sqlite")]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(6)]
    assert [process.wait() for process in processes] == [0] * 6


def test_a_file_of_events_is_private(tmp_path: Path) -> None:
    memory = SQLiteMemory(str(tmp_path / "events.sqlite"))
    assert memory.begin("key", "claim") == "new"
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert (modes, len(list(tmp_path.iterdir()))) == ({0o600}, 3)
