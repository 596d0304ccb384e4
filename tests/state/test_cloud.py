"""Tests of a state in an object store.

Each write has a condition, and each failure is one clear error. Some tests use real servers. The
others use a fake server on loopback.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from hooksync.core.errors import ExitCode, Refused, StateError, UsageError
from hooksync.state.cloud import CloudBackend
from hooksync.state.contract import BackendData, Holder
from hooksync.state.format import state_text
from hooksync.state.remote import RemoteStore
from hooksync.state.store import run_lock
from tests.backends import CONTAINER, Backend
from tests.command_line import run_python
from tests.conftest import Place
from tests.memory_terminal import make_context
from tests.state_makers import elsewhere, entry, load, state
from tests.unreliable import What
from tests.wire import Wire, answer

TEXT = state_text(state(entry()))
OTHER = state_text(state(elsewhere("test")))
LOCK = '{"id": "0123456789abcdef"}'
HELD = json.dumps({"format": "hooksync.held/1", "lock": None, "state": TEXT}).encode()
HOLDER = Holder("archivist")
KEYS = {"AWS_ACCESS_KEY_ID": "some-key", "AWS_SECRET_ACCESS_KEY": "s3cret-of-a-cloud"}
HTTP = {"AWS_ALLOW_HTTP": "true"}

THEN = "Wed, 25 Nov 2026 10:00:00 GMT"

on_servers = pytest.mark.parametrize("backend", ["s3", "azure"], indirect=True)
Surround = Callable[[Mapping[str, str]], Mapping[str, str]]


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> Surround:
    """Return a function that replaces all cloud variables of this process."""

    def change(variables: Mapping[str, str]) -> Mapping[str, str]:
        for name in [each for each in os.environ if each.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return os.environ

    return change


@pytest.fixture
def cloud(backend: Backend, environ: Surround) -> CloudBackend:
    environ(backend.environ)
    return CloudBackend(backend.where)


def put_raw(cloud: CloudBackend, data: bytes) -> None:
    """Overwrite the object without a condition, as a different program could."""

    async def put(obstore: Any) -> None:
        await obstore.put_async(cloud._store, cloud._key, data)

    cloud._call("written", put)


def get_raw(cloud: CloudBackend) -> bytes:
    async def get(obstore: Any) -> bytes:
        found = await obstore.get_async(cloud._store, cloud._key)
        return bytes(await found.bytes_async())

    return bytes(cloud._call("read", get))


def store(cloud: CloudBackend) -> RemoteStore:
    return RemoteStore(cloud, make_context())


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def refused(do: Callable[[], object]) -> str:
    with pytest.raises(StateError) as caught:
        do()
    assert all(value not in str(caught.value) for value in KEYS.values())
    shown = str(caught.value)
    assert not re.search(r"[?&][\w-]+=(?!\*\*\*)", shown)  # a query may hold a key
    return shown


# --- names and settings


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "museum",
            "museum/",
            "/key",
            "museum//key",
            "museum/key/",
            "museum/a//b",
            "museum/key?x=1",
            "museum/key#1",
        ),
        *(
            "mu seum/key",
            "user@museum/key",
            "museum/../key",
            "museum/a/..",
            "museum/a\nb",
            "museum/a\\b",
        ),
    ],
)
@pytest.mark.parametrize("scheme", ["s3", "az", "gs"])
def test_an_invalid_object_name_is_a_usage_error(scheme: str, name: str) -> None:
    with pytest.raises(UsageError, match=f"{scheme}://(BUCKET|CONTAINER)/KEY"):
        CloudBackend(f"{scheme}://{name}")


@pytest.mark.parametrize(
    "name", ["museum/key", "my.museum-1/folder/hooks.state.json", "m/ä b", "m/..."]
)
def test_a_valid_object_name_is_accepted(name: str) -> None:
    assert CloudBackend(f"s3://{name}").where == f"s3://{name}"


def test_the_error_without_obstore_names_the_extra_to_install() -> None:
    code = (
        "import sys; sys.modules['obstore'] = None\n"
        "from hooksync.state.cloud import CloudBackend\n"
        "from hooksync.core.errors import StateError\n"
        "try: CloudBackend('s3://museum/key').get()\n"
        "except StateError as error: print(error)"
    )
    done = run_python(["-c", code], {})
    assert 'which is not installed\n  fix: install the extra "cloud"' in done.out, done.err


@pytest.mark.parametrize(
    ("where", "variables", "said"),
    [
        (
            "s3://museum/key",
            {"AWS_ENDPOINT_URL": "http://s3.example.org"},
            "a server without https needs AWS_ALLOW_HTTP=true",
        ),
        ("s3://museum/key", {"AWS_SECRET_ACCESS_KEY": ""}, "Missing SecretAccessKey"),
        ("az://museum/key", {}, "Account must be specified"),
        (
            "az://museum/key",
            {"AZURE_STORAGE_ACCOUNT_NAME": "a", "AZURE_STORAGE_ACCOUNT_KEY": "!"},
            "Invalid Access Key",
        ),
        (
            "gs://museum/key",
            {"GOOGLE_APPLICATION_CREDENTIALS": "/no/such/file"},
            "the variables GOOGLE_*",
        ),
    ],
)
def test_the_error_names_a_wrong_or_missing_setting(
    where: str, variables: dict[str, str], said: str, environ: Surround
) -> None:
    given = {name: value for name, value in {**KEYS, **variables}.items() if value}
    environ(given)
    assert said in refused(CloudBackend(where).get)


def test_a_write_at_google_names_the_generation_that_was_read(environ: Surround) -> None:
    headers = ('ETag: "e"', "x-goog-generation: 1700000000000001", f"Last-Modified: {THEN}")

    def respond(wire: Wire, connection: socket.socket, request: bytes) -> bool:
        match = wire.header("x-goog-if-generation-match")
        status = "412 Precondition Failed" if match == "1" else "200 OK"
        connection.sendall(answer(HELD if request.startswith(b"GET ") else b"", status, *headers))
        return True

    with Wire(respond) as wire:
        environ({"GOOGLE_BASE_URL": wire.url, "GOOGLE_BEARER_TOKEN": "t0ken"})
        cloud = CloudBackend("gs://museum/key")
        _, version = cloud.get()
        assert wire.header("Authorization") == "Bearer t0ken"
        cloud.put(BackendData(OTHER), version, "")
        assert wire.header("x-goog-if-generation-match") == "1700000000000001"
        cloud.put(BackendData(OTHER), None, "")
        assert wire.header("x-goog-if-generation-match") == "0"


def test_a_setting_that_turns_conditional_writes_off_is_refused(environ: Surround) -> None:
    off = {
        "AWS_CONDITIONAL_PUT": "disabled",
        "AWS_METADATA_ENDPOINT": f"http://127.0.0.1:{closed_port()}",
    }
    environ({**KEYS, **off})
    cloud = CloudBackend("s3://museum/key")
    assert "cannot be written: " in refused(
        lambda: cloud.put(BackendData(TEXT), {"e_tag": "1"}, "")
    )


@pytest.mark.slow
def test_an_endless_object_is_cut_off_whatever_size_the_server_declares(environ: Surround) -> None:
    size = (
        "Content-Length: 10",
        "Transfer-Encoding: chunked",
        'ETag: "e"',
        f"Last-Modified: {THEN}",
    )
    chunk = b"%x\r\n%b\r\n" % (1 << 20, b"x" * (1 << 20))

    def respond(wire: Wire, connection: socket.socket, _: bytes) -> bool:
        connection.sendall("\r\n".join(("HTTP/1.1 200 OK", *size, "", "")).encode())
        while not wire.stopping.is_set():
            connection.sendall(chunk)
        return False

    with Wire(respond) as wire:
        environ({**KEYS, **HTTP, "AWS_ENDPOINT_URL": wire.url})
        cloud = CloudBackend("s3://museum/key")
        assert "is larger than 64 MiB" in refused(cloud.get)


@pytest.mark.slow
def test_an_endless_error_is_cut_off(environ: Surround) -> None:
    gone = Event()

    def respond(wire: Wire, connection: socket.socket, _: bytes) -> bool:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        try:
            while not wire.stopping.is_set():
                connection.sendall(b"x" * (1 << 20))
        except OSError:
            gone.set()
        return False

    with Wire(respond) as wire:
        environ({**KEYS, **HTTP, "AWS_ENDPOINT_URL": wire.url})
        cloud = CloudBackend("s3://museum/key")
        assert "cannot be read: the answer is too large" in refused(cloud.get)
        assert gone.wait(60)  # nobody goes on reading


# --- on real servers


@pytest.mark.slow
@on_servers
@pytest.mark.parametrize("what", ["lose", "double", "drop"])
def test_a_write_takes_effect_once_if_the_network_loses_or_doubles_it(
    what: What, backend: Backend, cloud: CloudBackend, tmp_path: Path
) -> None:
    assert backend.network
    ours = store(cloud)
    fault = backend.network.add(what, "^PUT ")
    with run_lock(ours, 0, make_context(), HOLDER):
        assert fault.happened.is_set()
        backend.network.add(what, "^PUT ")
        ours.write(TEXT, None, "a test writes")
        ours.check()
    assert json.loads(get_raw(cloud)) == json.loads(HELD)


@pytest.mark.slow
@on_servers
@pytest.mark.parametrize(
    "data",
    [
        *(
            b"",
            b"{}",
            b"[1]",
            b"null",
            b"hello",
            b"[" * 99_999,
            TEXT[:-4].encode(),
            b"\xff\xfe",
            HELD[:20],
            HELD[:30],
        ),
        *(
            HELD[:-4],
            HELD.replace(b"lock", b"locks"),
            HELD.replace(b"null", b"1"),
            HELD.replace(b'"state"', b'"state": "as a reader sees it", "state"'),
            b'["hooksync.held/1"]',
            HELD[:30] + b"[" * 99_999,
        ),
    ],
    ids=lambda data: f"{len(data)} bytes",
)
def test_an_invalid_object_is_an_error_and_not_a_missing_state(
    data: bytes, cloud: CloudBackend, tmp_path: Path
) -> None:
    cloud.get()
    put_raw(cloud, data)
    refused(lambda: load(store(cloud)))
    assert get_raw(cloud) == data


@pytest.mark.slow
@on_servers
def test_a_missing_bucket_is_reported(backend: Backend, cloud: CloudBackend) -> None:
    other = CloudBackend(backend.where.replace(CONTAINER, "missing"))
    for do in (other.get, lambda: other.put(BackendData(TEXT), None, "")):
        assert "missing does not exist: create it" in refused(do)


@pytest.mark.slow
@on_servers
def test_wrong_credentials_are_reported(backend: Backend, environ: Surround) -> None:
    wrong = {"AWS_SECRET_ACCESS_KEY": "d3Jvbmc=", "AZURE_STORAGE_ACCOUNT_KEY": "d3Jvbmc="}
    environ({**backend.environ, **wrong})
    cloud = CloudBackend(backend.where)
    for do in (cloud.get, lambda: cloud.put(BackendData(TEXT), {"e_tag": "1"}, "")):
        assert re.search("lacked the|403|denied", refused(do))


@pytest.mark.slow
@on_servers
def test_an_interrupt_ends_a_run_whose_server_does_not_answer(
    backend: Backend, place: Place
) -> None:
    assert backend.network
    place.environ |= backend.environ
    fault = backend.network.add("delay")
    with place.popen("plan", "--state", backend.where) as process:
        assert fault.happened.wait(300)
        process.send_signal(signal.SIGINT)
        process.communicate()  # less than the time-out of a request
        assert process.returncode == ExitCode.INTERRUPTED


@pytest.mark.slow
def test_a_server_that_ignores_conditions_is_refused_and_never_used(
    environ: Surround,
) -> None:
    kept: list[bytes] = []

    def respond(wire: Wire, connection: socket.socket, request: bytes) -> bool:
        if request.startswith(b"PUT "):
            kept.append(request.partition(b"\r\n\r\n")[2])
        headers = ('ETag: "e"', f"Last-Modified: {THEN}")
        connection.sendall(
            answer(kept[-1] if request.startswith(b"GET ") else b"", "200 OK", *headers)
        )
        return True

    with Wire(respond) as wire:
        environ({**KEYS, **HTTP, "AWS_ENDPOINT_URL": wire.url})
        cloud = CloudBackend("s3://museum/key")
        with pytest.raises(Refused, match="does not support conditional writes"):
            cloud.put(BackendData(TEXT), None, "")
        assert len(kept) == 1
        assert "does not hold a whole state" in refused(cloud.get)
