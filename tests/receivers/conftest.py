"""Every receiver of examples/receivers/, each on its own server in its own process."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.backends import missing
from tests.command_line import ROOT
from tests.lanes import sampled

EXAMPLES = ROOT / "examples" / "receivers"
CLOUD = str(Path(__file__).with_name("cloud.py"))
SECRETS = {
    "HOOK_SECRET": "the-new-secret-of-receivers",
    "HOOK_SECRET_OLD": "the-old-secret-of-receivers",
}
# the folder of each example, and the arguments that serve its receiver; {} is a copy of the folder.
# Python runs the arguments, unless they begin with node or go.
COMMANDS: dict[str, tuple[str, Sequence[str]]] = {
    "flask": ("flask", ["-m", "flask", "--app", "app", "run", "--port", "0"]),
    "fastapi": ("fastapi", ["-m", "uvicorn", "app:app", "--port", "0"]),
    "aws-lambda-url": (
        "aws-lambda",
        ["-I", "-S", "-u", CLOUD, "lambda-url", "{}/lambda_function.py"],
    ),
    "aws-api-gateway": (
        "aws-lambda",
        ["-I", "-S", "-u", CLOUD, "api-gateway", "{}/lambda_function.py"],
    ),
    "pypreservica": ("pypreservica", ["server.py", "127.0.0.1:0"]),
    "node-express": ("node-express", ["node", "app.js"]),
    "go": ("go", ["go", "./receiver"]),
}


class Server:
    """A running receiver and its output."""

    name = ""  # of the example

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: list[str] = []
        self._has_ended = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.url = f"{self.wait_for(r'http://127[.]0[.]0[.]1:[0-9]+')}/hook"

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            with self._news:
                self._lines.append(line)
                self._news.notify_all()
        with self._news:
            self._has_ended = True
            self._news.notify_all()

    def wait_for(self, pattern: str) -> str:
        """Wait until the receiver has printed a match of a pattern; return the match."""
        with self._news:
            self._news.wait_for(lambda: self._has_ended or re.search(pattern, self.printed))
            found = re.search(pattern, self.printed)
            assert found, self.printed
            return found[0]

    @property
    def printed(self) -> str:
        return "".join(self._lines)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join()


def built(arguments: Sequence[str], folder: Path) -> tuple[Sequence[str], Mapping[str, str]]:
    """Find or build the program of a receiver; return its command and its variables."""
    if arguments[0] not in ("node", "go"):
        return [sys.executable, *arguments], {}
    name, *rest = arguments
    program = shutil.which(name) or missing(f"{name} is not there", "install it")
    if name == "go":
        subprocess.run([program, "build", "-o", "receiver"], cwd=folder, check=True)
        return rest, {"PORT": "0"}
    environ = {"PORT": "0", "NODE_PATH": os.environ.get("NODE_PATH", "")}
    found = [program, "-e", "require.resolve('express')"]
    if subprocess.run(found, cwd=folder, env=environ, capture_output=True).returncode:
        missing("Express is not there", "npm install express, and name its folder in NODE_PATH")
    return [program, *rest], environ


@contextmanager
def started(arguments: Sequence[str], folder: Path, environ: Mapping[str, str]) -> Iterator[Server]:
    """Run a receiver in its folder."""
    command, needed = built(arguments, folder)
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **needed, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        server = Server(process)
        try:
            yield server
        finally:
            server.close()


@contextmanager
def serve(name: str, folder: Path, environ: Mapping[str, str]) -> Iterator[Server]:
    """Run an example, from a copy of its folder."""
    source, arguments = COMMANDS[name]
    copied = shutil.copytree(EXAMPLES / source, folder / source)
    if source == "aws-lambda":  # it has a copy of hooksync/receiver.py beside the function
        shutil.copy(ROOT / "hooksync" / "receiver.py", copied)
    with started(
        [each.replace("{}", str(copied)) for each in arguments], copied, environ
    ) as server:
        yield server


@pytest.fixture(scope="module", params=sampled(COMMANDS, len(COMMANDS)))
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Start each example in turn: each test with this fixture runs for every example.

    In the fast lane, such a test runs only for the first example.
    """
    with serve(request.param, tmp_path_factory.mktemp("receiver"), SECRETS) as server:
        server.name = request.param
        yield server
